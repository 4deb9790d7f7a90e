/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/dataplane/path/twins.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/table/nat_worker.h"
#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "lib/net/addr.h"
#include "lib/wg/message.h"
#include "tests/lib/acl.h"
#include "tests/lib/tap.h"

#define MARK UINT32_C(0x7a51e5f1)

static const char *const remotes[TWINS_PEERS] = { "192.0.2.9:41641", "192.0.2.10:41641",
	"192.0.2.11:41641" };
static struct pkt_outer outers[TWINS_PEERS];

static void
must(bool right)
{
	if (!right)
		abort();
}

/* ---- time ---- */

static uint64_t now_ns = 1000 * (uint64_t)NS_PER_S;

// In place of the library's: workers and main thread take their time from here.
int
clock_gettime(clockid_t id, struct timespec *ret)
{
	if (id != CLOCK_BOOTTIME)
		return (int)syscall(SYS_clock_gettime, id, ret);
	ret->tv_sec = (time_t)(now_ns / (uint64_t)NS_PER_S);
	ret->tv_nsec = (long)(now_ns % (uint64_t)NS_PER_S);
	return 0;
}

uint64_t
twins_now(void)
{
	return now_ns;
}

static void
stay_young(struct twins *t)
{
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t peer = 0; peer < TWINS_PEERS; peer++) {
			uint32_t slot = t->sessions[peer].slot;

			t->both[i]->keys->rx[slot].birth_ns = now_ns;
			t->both[i]->keys->tx[slot].birth_ns = now_ns;
			t->both[i]->state->sessions[slot].birth_ns = now_ns;
		}
}

void
twins_advance(struct twins *t, int64_t ns)
{
	now_ns += (uint64_t)ns;
	stay_young(t);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k < 2; k++) { // mappings go when their flows have gone
			(void)nat_sweep(t->both[i]->nat, (struct mono){ now_ns }, UINT32_MAX);
			nat_release(t->both[i]->nat);
		}
}

/* ---- what both are told ---- */

static struct shm_addr
addr_of(const char *text)
{
	struct shm_addr out = {};
	struct addr addr;

	if (text == NULL)
		return out;
	must(addr_parse(text, &addr) == 0);
	memcpy(out.bytes, addr.bytes, sizeof(out.bytes));
	return out;
}

struct shm_net_route *
twins_route(struct twins *t,
	const char *prefix,
	enum shm_route_kind kind,
	unsigned link,
	const char *gateway,
	const char *source)
{
	struct shm_net_route *r = t->net->routes;
	struct prefix parsed;

	must(prefix_parse(prefix, &parsed) == 0);
	while (r < t->net->routes + t->net->n_routes &&
		(r->family != parsed.addr.family || r->len != parsed.len ||
			memcmp(r->addr.bytes, parsed.addr.bytes, sizeof(r->addr.bytes)) != 0))
		r++;
	if (r == t->net->routes + t->net->n_routes)
		t->net->n_routes++;
	*r = (struct shm_net_route){
		.gateway = addr_of(gateway),
		.source = addr_of(source),
		.ifindex = IN_MEMORY_IFINDEX(link),
		.family = parsed.addr.family,
		.len = parsed.len,
		.kind = (uint8_t)kind,
	};
	memcpy(r->addr.bytes, parsed.addr.bytes, sizeof(r->addr.bytes));
	return r;
}

void
twins_say(struct twins *t)
{
	for (unsigned i = 0; i < 2; i++)
		must(in_memory_net(t->both[i], t->net) == 0);
}

void
twins_neighbour(struct twins *t,
	unsigned link,
	const char *addr,
	uint8_t mac,
	enum shm_neighbour_state state)
{
	for (unsigned i = 0; i < 2; i++)
		in_memory_neighbour(t->both[i], link, addr, mac, state);
}

static struct shm_settings
settings_of(struct twins *t)
{
	const struct shm_state *state = t->both[CACHED]->state;

	return state->applied[state->applied_which & 1].settings;
}

void
twins_filter(struct twins *t, enum shm_filter filter, const char *rules, const char *local)
{
	struct acl_table *table = rules != NULL ? acl_make(rules, local) : NULL;
	struct shm_settings settings = settings_of(t);

	settings.filter = filter;
	for (unsigned i = 0; i < 2; i++) {
		in_memory_begin(t->both[i], false);
		in_memory_all_settings(t->both[i], &settings);
		in_memory_filter(t->both[i], table);
		must(in_memory_commit(t->both[i]) == 0);
	}
	free(table);
}

void
twins_mtu(struct twins *t, uint16_t mtu)
{
	struct shm_settings settings = settings_of(t);

	settings.mtu = mtu;
	for (unsigned i = 0; i < 2; i++) {
		in_memory_begin(t->both[i], false);
		in_memory_all_settings(t->both[i], &settings);
		must(in_memory_commit(t->both[i]) == 0);
	}
}

void
twins_prefix(struct twins *t, const char *prefix, uint32_t to)
{
	for (unsigned i = 0; i < 2; i++) {
		in_memory_begin(t->both[i], false);
		in_memory_prefix(t->both[i], prefix, to);
		must(in_memory_commit(t->both[i]) == 0);
	}
}

void
twins_prefix_gone(struct twins *t, const char *prefix)
{
	for (unsigned i = 0; i < 2; i++) {
		in_memory_begin(t->both[i], false);
		in_memory_prefix_gone(t->both[i], prefix);
		must(in_memory_commit(t->both[i]) == 0);
	}
}

// Its prefixes, besides.
static void
say_peer(struct in_memory *m, uint32_t peer)
{
	static const char *const prefixes[TWINS_PEERS][2] = {
		{ "100.64.0.2/32", "fd7a::2/128" },
		{ "10.3.0.0/16", "fd03::/16" },
		{ "100.64.0.4/32", "fd7a::4/128" },
	};

	in_memory_peer(m, peer);
	for (unsigned i = 0; i < 2; i++)
		in_memory_prefix(m, prefixes[peer][i], peer);
}

void
twins_peer_gone(struct twins *t, uint32_t peer)
{
	for (unsigned i = 0; i < 2; i++) {
		in_memory_begin(t->both[i], false);
		in_memory_peer_gone(t->both[i], peer);
		must(in_memory_commit(t->both[i]) == 0);
	}
}

void
twins_peer_back(struct twins *t, uint32_t peer)
{
	for (unsigned i = 0; i < 2; i++) {
		in_memory_begin(t->both[i], false);
		say_peer(t->both[i], peer);
		must(in_memory_commit(t->both[i]) == 0);
		in_memory_path(t->both[i], peer, remotes[peer], NULL);
	}
	twins_rekey(t, peer);
}

// Slots follow each other, and are used again once they are forgotten.
void
twins_rekey(struct twins *t, uint32_t peer)
{
	uint32_t n = t->n_sessions++, slot = 1 + n % 4096;
	const struct in_memory_session s = {
		.peer = peer,
		.receiver_index = slot + (n / 4096 << SHM_SLOT_BITS),
		.sender_index = slot,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 0xae,
		.key_send = 0xfa,
	};

	for (unsigned i = 0; i < 2; i++)
		in_memory_install(t->both[i], &s);
	t->sessions[peer].slot = slot;
	t->sessions[peer].counter = 0;
}

void
twins_session_gone(struct twins *t, uint32_t peer)
{
	struct shm_command cmd = { .kind = SHM_CMD_SESSION_GONE };

	cmd.session_gone.peer = peer;
	cmd.session_gone.receiver_index =
		t->both[CACHED]->keys->rx[t->sessions[peer].slot].receiver_index;
	for (unsigned i = 0; i < 2; i++)
		in_memory_command(t->both[i], &cmd);
}

/* ---- making ---- */

static void
describe(struct twins *t)
{
	static const struct {
		unsigned link;
		const char *addr;
		uint8_t mac;
	} neighbours[] = {
		{ 0, "192.168.77.5", 5 },
		{ 0, "192.168.77.6", 6 },
		{ 0, "192.168.77.254", 254 },
		{ 0, "fd77::5", 5 },
		{ 0, "fd77::6", 6 },
		{ 0, "fd77::fe", 254 },
		{ 1, "192.168.87.5", 0x15 },
		{ 1, "192.168.87.6", 0x16 },
		{ 1, "192.168.87.254", 0x1f },
		{ 1, "fd87::5", 0x15 },
		{ 1, "fd87::6", 0x16 },
		{ 1, "fd87::fe", 0x1f },
	};

	t->net->n_ports = TWINS_LINKS;
	for (unsigned i = 0; i < TWINS_LINKS; i++)
		t->net->ports[i] = (struct shm_net_port){
			.ifindex = IN_MEMORY_IFINDEX(i),
			.mtu = 1500,
			.flags = SHM_PORT_UP,
			.mac = IN_MEMORY_MAC(i),
		};
	t->net->nat_port_first = 61000;
	t->net->nat_port_last = 61031;
	twins_route(t, "192.168.77.1/32", SHM_ROUTE_LOCAL, 0, NULL, NULL);
	twins_route(t, "fd77::1/128", SHM_ROUTE_LOCAL, 0, NULL, NULL);
	twins_route(t, "192.168.87.1/32", SHM_ROUTE_LOCAL, 1, NULL, NULL);
	twins_route(t, "fd87::1/128", SHM_ROUTE_LOCAL, 1, NULL, NULL);
	twins_route(t, "100.64.0.1/32", SHM_ROUTE_LOCAL, 9, NULL, NULL);
	twins_route(t, "192.168.77.0/24", SHM_ROUTE_CONNECTED, 0, NULL, "192.168.77.1");
	twins_route(t, "fd77::/64", SHM_ROUTE_CONNECTED, 0, NULL, "fd77::1");
	twins_route(t, "192.168.87.0/24", SHM_ROUTE_CONNECTED, 1, NULL, "192.168.87.1");
	twins_route(t, "fd87::/64", SHM_ROUTE_CONNECTED, 1, NULL, "fd87::1");
	twins_route(t, "192.168.78.0/24", SHM_ROUTE_GATEWAY, 0, "192.168.77.254", "192.168.77.1");
	twins_route(t, "fd78::/64", SHM_ROUTE_GATEWAY, 0, "fd77::fe", "fd77::1");
	twins_route(t, "192.168.79.0/24", SHM_ROUTE_GATEWAY, 0, "192.168.77.254", "192.168.77.1")
		->mtu = 1000;
	twins_say(t);
	for (size_t i = 0; i < sizeof(neighbours) / sizeof(neighbours[0]); i++)
		twins_neighbour(t, neighbours[i].link, neighbours[i].addr, neighbours[i].mac,
			SHM_NEIGHBOUR_REACHABLE);
}

static void
create(struct twins *t, unsigned which)
{
	const struct in_memory_config config = { .n_workers = 1,
		.n_frames = 2048,
		.n_links = TWINS_LINKS,
		.small_pages = true,
		.no_flow_cache = which == UNCACHED,
		.is_shared = getenv("GATEWAYS_SHARED") != NULL };
	struct in_memory *m;

	must(in_memory_create(&config, &m) == 0);
	t->both[which] = m;
	in_memory_begin(m, true);
	in_memory_settings(m, TWINS_MTU, "100.64.0.1", "fd7a::1");
	in_memory_prefix(m, "100.64.0.1/32", SHM_TO_HOST);
	in_memory_prefix(m, "fd7a::1/128", SHM_TO_HOST);
	in_memory_prefix(m, "100.64.0.0/10", SHM_TO_NOBODY);
	in_memory_prefix(m, "fd7a::/48", SHM_TO_NOBODY);
	for (uint32_t peer = 0; peer < TWINS_PEERS; peer++)
		say_peer(m, peer);
	must(in_memory_commit(m) == 0);
	for (uint32_t peer = 0; peer < TWINS_PEERS; peer++)
		in_memory_path(m, peer, remotes[peer], NULL);
	t->out[which] = calloc(TWINS_MAX_OUT, sizeof(*t->out[which]));
	must(t->out[which] != NULL);
}

void
twins_create(struct twins *t)
{
	must(aead_init(NULL) == 0);
	memset(t, 0, sizeof(*t));
	t->net = calloc(1, sizeof(*t->net));
	must(t->net != NULL);
	for (uint32_t peer = 0; peer < TWINS_PEERS; peer++)
		outers[peer] = in_memory_outer(remotes[peer], NULL);
	create(t, CACHED);
	create(t, UNCACHED);
	describe(t);
	for (uint32_t peer = 0; peer < TWINS_PEERS; peer++)
		twins_rekey(t, peer);
	must(twins_agree(t));
}

void
twins_destroy(struct twins *t)
{
	for (unsigned i = 0; i < 2; i++) {
		struct in_memory *m = t->both[i];
		const struct worker *w = &m->workers[0]->w;

		tap_int((long long)in_memory_free_frames(m) + w->n_waiting + w->nat->from_tunnel.n +
				w->nat->to_tunnel.n,
			pool_frame_count(m->pool),
			i == CACHED ? "all buffers of the one with flows are there"
				    : "all buffers of the other one");
		in_memory_destroy(m);
		free(t->out[i]);
	}
	free(t->net);
}

/* ---- in ---- */

void
twins_mark(uint8_t *payload, uint64_t flow, uint32_t number)
{
	store_le32(payload, MARK);
	store_le64(payload + 4, flow);
	store_le32(payload + 12, number);
}

// NULL: no mark.
static const uint8_t *
mark_of(const uint8_t *packet, uint32_t len)
{
	struct ip_view v;
	uint32_t at;

	if (!ip_parse(packet, len, &v))
		return NULL;
	at = v.header_len + (v.protocol == IP_PROTOCOL_TCP ? TCP_HEADER_LEN : UDP_HEADER_LEN + 0u);
	if (v.total_len < at + TWINS_MARK_LEN || load_le32(packet + at) != MARK)
		return NULL;
	return packet + at;
}

uint32_t
twins_number(const uint8_t *packet, uint32_t len)
{
	const uint8_t *mark = mark_of(packet, len);

	return mark != NULL ? load_le32(mark + 12) : UINT32_MAX;
}

void
twins_from_peer(struct twins *t, uint32_t peer, const void *packet, uint32_t len, uint8_t ecn)
{
	uint8_t message[TWINS_MAX_LEN + 64];
	struct aead_job job = {
		.data = message + WG_TRANSPORT_HEADER_LEN,
		.key = t->both[CACHED]->keys->rx[t->sessions[peer].slot].key,
		.counter = t->sessions[peer].counter++,
		.len = (len + 15) / 16 * 16,
	};

	wg_transport_header_write(message,
		t->both[CACHED]->keys->rx[t->sessions[peer].slot].receiver_index, job.counter);
	memset(job.data, 0, job.len);
	memcpy(job.data, packet, len);
	aead_seal(&job, 1);
	for (unsigned i = 0; i < 2; i++)
		must(in_memory_push_wire(t->both[i], 0, message,
			WG_TRANSPORT_HEADER_LEN + job.len + WG_TAG_LEN, &outers[peer], ecn));
}

void
twins_from_link(struct twins *t, unsigned link, const void *packet, uint32_t len)
{
	const uint8_t mac[6] = IN_MEMORY_MAC(link);
	uint8_t frame[TWINS_MAX_LEN];

	memcpy(frame, mac, 6);
	memcpy(frame + 6, (const uint8_t[6]){ 2, 0, 0, 0, (uint8_t)link, 99 }, 6);
	store_be16(frame + 12, len > 0 && *(const uint8_t *)packet >> 4 == 6 ? 0x86dd : 0x0800);
	memcpy(frame + 14, packet, len);
	for (unsigned i = 0; i < 2; i++)
		must(in_memory_push_link(t->both[i], link, 0, frame, 14 + len));
}

/* ---- out ---- */

static uint64_t
digest(const uint8_t *bytes, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
	return h;
}

static struct twins_out *
put_out(struct twins *t, unsigned which, uint8_t place, const uint8_t *packet, uint32_t len)
{
	struct twins_out *o = &t->out[which][t->n_out[which]++];
	const uint8_t *mark;

	must(t->n_out[which] <= TWINS_MAX_OUT && len <= sizeof(o->data));
	o->place = place;
	memset(o->mac, 0, sizeof(o->mac));
	o->ecn = 0;
	o->len = len;
	memcpy(o->data, packet, len);
	mark = mark_of(packet, len);
	o->flow = mark != NULL ? load_le64(mark + 4) : digest(packet, len);
	return o;
}

static void
open_message(struct twins *t, unsigned which, const struct pkt *p)
{
	struct in_memory *m = t->both[which];
	uint8_t opened[TWINS_MAX_LEN];
	uint32_t slot = load_le32(p->data + 4), peer = 0;
	struct aead_job job = {
		.data = opened,
		.key = m->keys->tx[slot].key,
		.counter = load_le64(p->data + 8),
		.len = p->len - WG_TRANSPORT_HEADER_LEN - WG_TAG_LEN,
	};
	struct twins_out *o;

	must(wg_message_type(p->data, p->len) == WG_MESSAGE_TRANSPORT_DATA && slot < 8192);
	while (peer < TWINS_PEERS && memcmp(&outers[peer].remote, p->outer->remote, 16) != 0)
		peer++;
	must(peer < TWINS_PEERS && p->len - WG_TRANSPORT_HEADER_LEN <= sizeof(opened));
	memcpy(opened, p->data + WG_TRANSPORT_HEADER_LEN, p->len - WG_TRANSPORT_HEADER_LEN);
	aead_open(&job, 1);
	must(job.ok);
	o = put_out(t, which, (uint8_t)(TWINS_PEER + peer), opened, job.len);
	o->ecn = p->outer_ecn;
}

static void
collect(struct twins *t, unsigned which)
{
	struct in_memory *m = t->both[which];
	struct pkt *p;

	for (unsigned link = 0; link < TWINS_LINKS; link++)
		while ((p = in_memory_take_link(m, link, 0)) != NULL) {
			struct twins_out *o;

			must(p->len > 14);
			o = put_out(t, which, (uint8_t)link, p->data + 14, p->len - 14);
			memcpy(o->mac, p->data, sizeof(o->mac));
			in_memory_put(m, p);
		}
	while ((p = in_memory_take_host(m, 0)) != NULL) {
		put_out(t, which, TWINS_HOST, p->data, p->len);
		in_memory_put(m, p);
	}
	while ((p = in_memory_take_wire(m, 0)) != NULL) {
		open_message(t, which, p);
		in_memory_put(m, p);
	}
}

void
twins_run(struct twins *t)
{
	for (unsigned i = 0; i < 2; i++) {
		while (in_memory_round(t->both[i]) > 0)
			;
		collect(t, i);
	}
}

uint64_t
twins_known(struct twins *t)
{
	uint64_t before = t->known;

	t->known = t->both[CACHED]->state->workers[0].known;
	return t->known - before;
}

/* ---- the same? ---- */

struct rank {
	uint8_t place;
	uint64_t flow;
	uint32_t at;
};

static int
by_flow(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	if (x->flow != y->flow)
		return x->flow < y->flow ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static void
rank_all(const struct twins *t, unsigned which, struct rank ranks[TWINS_MAX_OUT])
{
	for (uint32_t i = 0; i < t->n_out[which]; i++)
		ranks[i] = (struct rank){ t->out[which][i].place, t->out[which][i].flow, i };
	qsort(ranks, t->n_out[which], sizeof(*ranks), by_flow);
}

static void
show(const char *whose, const struct twins_out *o)
{
	printf("# %s: place %u, to %02x, ecn %u, %u bytes:", whose, o->place, o->mac[5], o->ecn,
		o->len);
	for (uint32_t i = 0; i < o->len && i < 64; i++)
		printf("%s%02x", i % 4 == 0 ? " " : "", o->data[i]);
	printf("\n");
}

static bool
packets_agree(struct twins *t)
{
	static struct rank ranks[2][TWINS_MAX_OUT];
	uint32_t n[2] = { t->n_out[CACHED], t->n_out[UNCACHED] };

	if (n[0] != n[1])
		printf("# %u packets left with a cache, %u without\n", n[0], n[1]);
	rank_all(t, CACHED, ranks[CACHED]);
	rank_all(t, UNCACHED, ranks[UNCACHED]);
	t->n_out[CACHED] = t->n_out[UNCACHED] = 0;
	for (uint32_t i = 0; i < n[0] && i < n[1]; i++) {
		const struct twins_out *a = &t->out[CACHED][ranks[CACHED][i].at];
		const struct twins_out *b = &t->out[UNCACHED][ranks[UNCACHED][i].at];

		if (a->place == b->place && a->ecn == b->ecn && a->len == b->len &&
			memcmp(a->mac, b->mac, sizeof(a->mac)) == 0 &&
			memcmp(a->data, b->data, a->len) == 0)
			continue;
		show("with", a);
		show("without", b);
		return false;
	}
	return n[0] == n[1];
}

// Each difference is told once.
static bool
drops_agree(struct twins *t)
{
	uint64_t *a = t->both[CACHED]->state->workers[0].drops;
	const uint64_t *b = t->both[UNCACHED]->state->workers[0].drops;
	bool same = true;

	for (unsigned i = 0; i < N_DROP_REASONS; i++) {
		if (a[i] == b[i])
			continue;
		printf("# dropped as %s: %" PRIu64 " with a cache, %" PRIu64 " without\n",
			drop_name(i), a[i], b[i]);
		a[i] = b[i];
		same = false;
	}
	return same;
}

static bool
counters_agree(struct twins *t)
{
	bool same = true;

	for (uint32_t peer = 0; peer < TWINS_PEERS; peer++) {
		struct shm_peer_counters *a = &t->both[CACHED]->state->counters[0][peer];
		const struct shm_peer_counters *b = &t->both[UNCACHED]->state->counters[0][peer];

		if (memcmp(a, b, sizeof(*a)) == 0)
			continue;
		printf("# counters of peer %u differ\n", peer);
		memcpy(a, b, sizeof(*a));
		same = false;
	}
	return same;
}

// One after the other; events about packets on the short way may come before the others.
#define MAX_EVENTS 512u
static uint32_t
take_events(struct in_memory *m, uint64_t ret[MAX_EVENTS])
{
	struct shm_packet punted;
	struct shm_event event;
	uint32_t n = 0;

	while (in_memory_event(m, &event)) {
		must(n < MAX_EVENTS);
		ret[n++] = digest((const uint8_t *)&event, sizeof(event));
	}
	while (in_memory_punted(m, &punted)) {
		must(n < MAX_EVENTS);
		ret[n++] = digest((const uint8_t *)&punted,
			sizeof(punted) - sizeof(punted.data) + punted.len);
	}
	return n;
}

static int
by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool
events_agree(struct twins *t)
{
	uint64_t events[2][MAX_EVENTS];
	uint32_t n[2];

	for (unsigned i = 0; i < 2; i++) {
		n[i] = take_events(t->both[i], events[i]);
		qsort(events[i], n[i], sizeof(events[i][0]), by_value);
	}
	if (n[0] == n[1] && memcmp(events[0], events[1], n[0] * sizeof(events[0][0])) == 0)
		return true;
	printf("# events and punted packets differ (%u with a cache, %u without)\n", n[0], n[1]);
	return false;
}

bool
twins_agree(struct twins *t)
{
	bool packets = packets_agree(t), drops = drops_agree(t), counters = counters_agree(t);
	bool events = events_agree(t);

	return packets && drops && counters && events;
}
