/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/controlplane/gateway/traversal/paths/line.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct line_packet {
	struct mono at;
	uint64_t number; /* keeps what arrives at the same time in order */
	struct line_datagram datagram;
};

uint64_t
line_random(struct line *line)
{
	line->random_state ^= line->random_state << 13;
	line->random_state ^= line->random_state >> 7;
	line->random_state ^= line->random_state << 17;
	return line->random_state * UINT64_C(0x2545f4914f6cdd1d);
}

int
line_below(struct line *line, int n)
{
	return (int)(line_random(line) >> 33) % n;
}

bool
line_chance(struct line *line, int percent)
{
	return line_below(line, 100) < percent;
}

/* --- what is under way --- */

static bool
is_before(const struct line_packet *a, const struct line_packet *b)
{
	return a->at.ns < b->at.ns || (a->at.ns == b->at.ns && a->number < b->number);
}

static void
swap(struct line *line, size_t i, size_t j)
{
	struct line_packet *p = line->packets[i];

	line->packets[i] = line->packets[j];
	line->packets[j] = p;
}

static void
push(struct line *line, const struct line_datagram *d, int64_t delay_ns)
{
	struct line_packet *p = malloc(sizeof(*p));
	size_t i = line->n_packets++;

	if (line->n_packets > line->room) {
		line->room = 2 * line->n_packets;
		line->packets = realloc(line->packets, line->room * sizeof(line->packets[0]));
	}
	assert(p != NULL && line->packets != NULL);
	p->at = mono_add_ns(line->now, delay_ns);
	p->number = line->n_ever++;
	p->datagram = *d;
	for (line->packets[i] = p; i > 0; i = (i - 1) / 2) {
		if (!is_before(p, line->packets[(i - 1) / 2]))
			break;
		swap(line, i, (i - 1) / 2);
	}
}

static void
pop(struct line *line, struct line_datagram *ret_datagram)
{
	*ret_datagram = line->packets[0]->datagram;
	free(line->packets[0]);
	line->packets[0] = line->packets[--line->n_packets];
	for (size_t i = 0;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < line->n_packets &&
			is_before(line->packets[child + 1], line->packets[child]))
			child++;
		if (child >= line->n_packets || is_before(line->packets[i], line->packets[child]))
			return;
		swap(line, i, child);
		i = child;
	}
}

struct mono
line_next(const struct line *line)
{
	return line->n_packets > 0 ? line->packets[0]->at : (struct mono){};
}

void
line_drop_all(struct line *line)
{
	while (line->n_packets > 0)
		free(line->packets[--line->n_packets]);
	free(line->packets);
	line->packets = NULL;
	line->room = 0;
}

/* --- NATs --- */

static bool
is_alive(const struct line *line, const struct nat_flow *f)
{
	return f->port != 0 && mono_diff_ns(line->now, f->last_out) <= LINE_FLOW_NS;
}

static struct nat_flow *
flow_for(struct line *line, struct nat *nat, const struct endpoint *to)
{
	struct nat_flow *oldest = &nat->flows[0];

	for (size_t i = 0; i < LINE_MAX_FLOWS; i++) {
		struct nat_flow *f = &nat->flows[i];

		if (is_alive(line, f) && endpoint_equal(&f->remote, to))
			return f;
		if (f->last_out.ns < oldest->last_out.ns)
			oldest = f;
	}
	*oldest = (struct nat_flow){ .remote = *to };
	return oldest;
}

// A stable NAT keeps the port as long as anybody is spoken to.
static uint16_t
port_in_use(const struct line *line, const struct nat *nat)
{
	for (size_t i = 0; i < LINE_MAX_FLOWS; i++)
		if (is_alive(line, &nat->flows[i]))
			return nat->flows[i].port;
	return 0;
}

static uint16_t
outer_port(struct line *line, struct line_host *host)
{
	struct nat *nat = &host->nat;
	uint16_t port;

	if (nat->mapping == NAT_NONE)
		return host->inner.port;
	port = nat->mapping == NAT_STABLE ? port_in_use(line, nat) : 0;
	return port != 0 ? port : nat->next_port++;
}

static struct endpoint
pass_out(struct line *line, struct line_host *host, const struct endpoint *to)
{
	struct nat_flow *f = flow_for(line, &host->nat, to);

	if (f->port == 0)
		f->port = outer_port(line, host);
	f->last_out = line->now;
	return (struct endpoint){ .addr = host->nat.outer, .port = f->port };
}

static bool
lets_in(const struct nat *nat, const struct nat_flow *f, const struct endpoint *from)
{
	if (nat->filter == NAT_ANY)
		return true;
	if (nat->filter == NAT_SAME_ADDR)
		return addr_equal(&f->remote.addr, &from->addr);
	return endpoint_equal(&f->remote, from);
}

static bool
may_come_in(const struct line *line,
	const struct line_host *host,
	const struct endpoint *from,
	uint16_t port)
{
	const struct nat *nat = &host->nat;

	if (nat->no_in)
		return false;
	if (nat->mapping == NAT_NONE && nat->filter == NAT_ANY)
		return port == host->inner.port;
	for (size_t i = 0; i < LINE_MAX_FLOWS; i++) {
		const struct nat_flow *f = &nat->flows[i];

		if (is_alive(line, f) && f->port == port && lets_in(nat, f, from))
			return true;
	}
	return false;
}

bool
line_stun(struct line *line, int host, struct endpoint *ret_outer)
{
	const struct endpoint server = { .addr = { ADDR_V4, { 9, 9, 9, 9 } }, .port = 3478 };
	struct line_host *h = &line->hosts[host];

	if (h->nat.no_in || h->nat.no_out)
		return false;
	*ret_outer = pass_out(line, h, &server);
	return true;
}

void
line_rebind(struct line *line, int host, bool another_address)
{
	struct nat *nat = &line->hosts[host].nat;

	memset(nat->flows, 0, sizeof(nat->flows));
	nat->next_port = (uint16_t)(20000 + line_below(line, 20000));
	if (another_address)
		nat->outer.bytes[2]++;
}

/* --- sending --- */

static int64_t
delay_of(struct line *line)
{
	int64_t delay = line->latency_ns + line_below(line, 1000) * line->jitter_ns / 1000;

	return line_chance(line, 2) ? delay + 3 * line->jitter_ns : delay; // overtaken by others
}

static void
deliver(struct line *line, struct line_datagram *d)
{
	if (!line_chance(line, line->loss_percent))
		push(line, d, delay_of(line));
	if (line_chance(line, line->repeat_percent))
		push(line, d, delay_of(line));
}

static bool
is_same_lan(const struct endpoint *a, const struct endpoint *b)
{
	return a->addr.family == b->addr.family && memcmp(a->addr.bytes, b->addr.bytes, 3) == 0;
}

void
line_send_udp(struct line *line,
	int from,
	const struct endpoint *to,
	const uint8_t *data,
	size_t len)
{
	struct line_host *sender = &line->hosts[from];
	struct line_datagram d = { .from_host = from, .len = len, .from = sender->inner };

	assert(len <= LINE_MTU);
	memcpy(d.data, data, len);
	for (d.to = 0; d.to < line->n_hosts; d.to++) {
		const struct line_host *h = &line->hosts[d.to];

		if (is_same_lan(&sender->inner, to) && endpoint_equal(&h->inner, to) &&
			d.to != from && h->nat.mapping != NAT_NONE &&
			sender->nat.mapping != NAT_NONE)
			deliver(line, &d);
	}
	if (is_same_lan(&sender->inner, to) || sender->nat.no_out)
		return;
	d.from = pass_out(line, sender, to);
	for (d.to = 0; d.to < line->n_hosts; d.to++) {
		struct line_host *h = &line->hosts[d.to];

		if (d.to != from && addr_equal(&h->nat.outer, &to->addr) &&
			may_come_in(line, h, &d.from, to->port))
			deliver(line, &d);
	}
}

void
line_send_relay(struct line *line,
	int from,
	uint16_t region,
	int to,
	const uint8_t *data,
	size_t len)
{
	struct line_datagram d = { .to = to, .from_host = from, .region = region, .len = len };

	assert(len <= LINE_MTU && region < 32);
	line->hosts[from].regions |= 1u << region;
	if (line->relays_down || (line->hosts[to].regions & 1u << region) == 0)
		return;
	memcpy(d.data, data, len);
	push(line, &d, 3 * line->latency_ns);
}

bool
line_take(struct line *line, struct line_datagram *ret_datagram)
{
	if (line->n_packets == 0 || line->packets[0]->at.ns > line->now.ns)
		return false;
	pop(line, ret_datagram);
	return true;
}
