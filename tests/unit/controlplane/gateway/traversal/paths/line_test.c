/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Path choice and handshakes of two or three nodes against each other, over lines that lose,
 * reorder and repeat, behind all kinds of NAT: thousands of cases, each from one number.
 *
 *     line_test [FIRST COUNT]
 */

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/traversal/path.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/traversal/paths/node.h"

#define S  NS_PER_S
#define MS NS_PER_MS

#define DATA_EVERY (200 * MS)
#define EVENT_AT   (45 * S)
#define LEAK_MAX   32768
#define LAST_PART  (15 * S) /* by then all has settled */

enum event {
	NOTHING,
	MOVE,         /* another address, noticed */
	REBIND,       /* the NAT has forgotten us: nobody notices */
	KILL_CONTROL, /* and start it again */
	RESTART,      /* with another disco key */
	PAUSE,        /* no traffic for 100 s */
	MOVE_HOME,    /* to another relay */
	N_EVENTS,
};

static const char *const event_names[] = { "nothing", "move", "rebind", "kill control", "restart",
	"pause", "move home" };

struct world {
	struct line line;
	struct node nodes[LINE_MAX_HOSTS];
	struct mono start, event_at, end;
	enum event event;
	bool both_send;
	bool done; /* the event has been */
};

static struct world world;
static unsigned failures;
static unsigned long case_number;

static void
complain(const char *what, long value)
{
	if (failures++ < 20)
		printf("# case %lu (%s): %s (%ld)\n", case_number, event_names[world.event], what,
			value);
}

/* --- a case from a number --- */

static void
make_nat(struct line *line, int host)
{
	static const struct {
		enum nat_mapping mapping;
		enum nat_filter filter;
		bool no_out, no_in;
	} kinds[] = {
		{ NAT_NONE, NAT_ANY, false, false },
		{ NAT_NONE, NAT_SAME_PORT, false, false },
		{ NAT_STABLE, NAT_ANY, false, false },
		{ NAT_STABLE, NAT_SAME_ADDR, false, false },
		{ NAT_STABLE, NAT_SAME_PORT, false, false },
		{ NAT_STABLE, NAT_SAME_PORT, false, false },
		{ NAT_SYMMETRIC, NAT_SAME_PORT, false, false },
		{ NAT_SYMMETRIC, NAT_SAME_PORT, false, false },
		{ NAT_STABLE, NAT_SAME_PORT, true, true },
		{ NAT_STABLE, NAT_SAME_PORT, false, true },
		{ NAT_STABLE, NAT_ANY, true, false },
	};
	int kind = line_below(line, (int)(sizeof(kinds) / sizeof(kinds[0])));
	struct line_host *h = &line->hosts[host];

	*h = (struct line_host){
		.nat = {
			.mapping = kinds[kind].mapping,
			.filter = kinds[kind].filter,
			.no_out = kinds[kind].no_out,
			.no_in = kinds[kind].no_in,
		},
	};
	h->nat.outer = (struct addr){ ADDR_V4, { 198, 51, (uint8_t)(100 + 40 * host), 1 } };
	h->nat.next_port = (uint16_t)(20000 + line_below(line, 20000));
	h->inner = (struct endpoint){ .addr = { ADDR_V4, { 10, 7, (uint8_t)host, 2 } },
		.port = 41641 };
	if (kinds[kind].mapping == NAT_NONE)
		h->inner.addr = h->nat.outer;
}

// Two hosts behind the same NAT reach each other by their inner addresses.
static void
share_lan(struct line *line)
{
	line->hosts[1].nat = line->hosts[0].nat;
	line->hosts[1].nat.next_port = (uint16_t)(line->hosts[0].nat.next_port + 5000);
	line->hosts[1].inner = line->hosts[0].inner;
	line->hosts[1].inner.addr.bytes[3]++;
}

static void
make_line(struct line *line, unsigned long number)
{
	static const int losses[] = { 0, 0, 0, 0, 5, 20, 50 };

	memset(line, 0, sizeof(*line));
	line->random_state = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (int i = 0; i < 8; i++)
		(void)line_random(line);
	line->now = (struct mono){ 100000 * S };
	line->n_hosts = line_chance(line, 15) ? 3 : 2;
	line->latency_ns = (1 + line_below(line, 120)) * MS;
	line->jitter_ns = line_below(line, 2) * line->latency_ns / 2;
	line->loss_percent = losses[line_below(line, 7)];
	line->repeat_percent = line_chance(line, 30) ? 10 : 0;
	line->relays_down = line_chance(line, 5);
	for (int i = 0; i < line->n_hosts; i++)
		make_nat(line, i);
	if (line->hosts[0].nat.mapping != NAT_NONE && line_chance(line, 10))
		share_lan(line);
}

static void
make_world(unsigned long number)
{
	struct line *line = &world.line;

	memset(&world, 0, sizeof(world));
	make_line(line, number);
	world.event = (enum event)line_below(line, N_EVENTS);
	world.both_send = line->relays_down || line_chance(line, 60);
	world.start = line->now;
	world.event_at = mono_add_ns(line->now, EVENT_AT + line_below(line, 10000) * MS);
	world.end = mono_add_ns(
		world.event_at, (world.event == PAUSE ? 100 * S : 0) + 30 * S + LAST_PART);
	for (int i = 0; i < line->n_hosts; i++) {
		struct node *n = &world.nodes[i];

		n->number = i;
		n->line = line;
		n->nodes = world.nodes;
		n->home = (uint16_t)(1 + line_below(line, 3));
		node_open(n);
	}
	for (int i = 0; i < line->n_hosts; i++)
		node_meet(&world.nodes[i]);
	for (int i = 0; i < line->n_hosts; i++)
		world.nodes[i].map_due = mono_add_ns(line->now, line_below(line, 1000) * MS);
}

// Who sends to whom: the first to all others, and they to the first if both send.
static void
set_traffic(int64_t every_ns)
{
	for (int i = 1; i < world.line.n_hosts; i++) {
		int64_t phase = line_below(&world.line, 200) * MS;

		world.nodes[0].data_every_ns[i] = every_ns;
		world.nodes[0].next_data[i] = mono_add_ns(world.line.now, phase);
		if (!world.both_send)
			continue;
		world.nodes[i].data_every_ns[0] = every_ns;
		world.nodes[i].next_data[0] = mono_add_ns(world.line.now, phase);
	}
}

/* --- what must be --- */

static bool
has_udp(const struct nat *nat)
{
	return !nat->no_in && !nat->no_out;
}

static bool
is_same_lan(const struct line_host *a, const struct line_host *b)
{
	return memcmp(a->inner.addr.bytes, b->inner.addr.bytes, 3) == 0;
}

static bool
can_be_direct(int a, int b)
{
	const struct line_host *x = &world.line.hosts[a], *y = &world.line.hosts[b];

	if (is_same_lan(x, y))
		return true;
	if (!has_udp(&x->nat) || !has_udp(&y->nat))
		return false;
	if (x->nat.mapping == NAT_SYMMETRIC && y->nat.mapping == NAT_SYMMETRIC)
		return false;
	// Who cannot tell its port beforehand comes in where any port may.
	if (x->nat.mapping == NAT_SYMMETRIC)
		return y->nat.filter != NAT_SAME_PORT;
	return y->nat.mapping != NAT_SYMMETRIC || x->nat.filter != NAT_SAME_PORT;
}

// At every moment at which a packet leaves.
static void
check_choice(const struct node *n, int to)
{
	const struct node_peer *p = &n->peers[to];
	bool direct = p->choice.direct.addr.family != ADDR_NONE;

	if (!direct && !p->choice.relay)
		complain("a packet has nowhere to go", to);
	if (direct && !p->choice.relay &&
		mono_diff_ns(world.line.now, p->last_pong) > PATH_TRUST_NS)
		complain("only a direct path that nobody has confirmed, ms ago",
			(long)(mono_diff_ns(world.line.now, p->last_pong) / MS));
}

// Packets that may be lost although the line loses none: those on their way to where nobody is
// any more, until a path is doubted and the new one found.
static bool
is_excused(const struct node_data *d)
{
	int64_t after = mono_diff_ns(d->sent, world.event_at);
	int64_t patience = PATH_TRUST_NS + 2 * S;

	if (world.event == RESTART) // with losses the new session's first message may be among them
		patience = world.line.loss_percent == 0 ? 7 * S : 40 * S;
	else if (world.event != MOVE && world.event != REBIND)
		patience = 0;
	return after >= -2 * S && after <= patience;
}

static long
count_lost(const struct node_peer *p)
{
	struct mono last = mono_add_ns(world.end, -3 * S);
	long lost = 0;

	for (uint32_t i = 0; i < p->n_data; i++)
		if (!p->data[i].arrived && p->data[i].sent.ns < last.ns && !is_excused(&p->data[i]))
			lost++;
	return lost;
}

static void
check_delivery(const struct node *n, int to)
{
	const struct node_peer *p = &n->peers[to];
	long lost = count_lost(p);

	if (world.line.relays_down)
		return;
	if (world.line.loss_percent == 0 && lost > 0)
		complain("packets were lost on a line that loses none", lost);
	if (lost * 100 > (long)p->n_data * (world.line.loss_percent + 10))
		complain("more packets were lost than the line loses", lost);
}

static void
check_path(const struct node *n, int to)
{
	const struct node_peer *p = &n->peers[to];
	// Where pongs are lost a path comes and goes.
	struct mono from = mono_add_ns(
		world.end, world.line.loss_percent == 0 ? -LAST_PART : -EVENT_AT - LAST_PART);
	long directly = 0, by_relay = 0;

	if (world.line.relays_down && !can_be_direct(n->number, to))
		return; // nothing works
	for (uint32_t i = 0; i < p->n_data; i++) {
		if (p->data[i].sent.ns < from.ns)
			continue;
		directly += p->data[i].directly;
		by_relay += p->data[i].by_relay;
	}
	if (can_be_direct(n->number, to)) {
		if (world.line.loss_percent == 0 && by_relay > 0)
			complain("not only direct, though it can be", by_relay);
		if (world.line.loss_percent <= 20 && directly == 0)
			complain("never direct, though it can be", to);
	} else if (directly > 0 && world.line.loss_percent == 0) {
		complain("direct, though it cannot be", directly);
	} else if (by_relay == 0) {
		complain("no relay, though nothing else works", to);
	}
}

static void
check_rates(const struct node *n)
{
	double seconds = (double)mono_diff_ns(world.end, world.start) / S;
	struct paths_counters c;

	paths_counters(n->paths, &c);
	if ((double)c.pings_out > 1.5 * seconds * (world.line.n_hosts - 1))
		complain("a storm of pings", (long)c.pings_out);
	if ((double)c.call_me_maybes_out > (seconds / 5 + 3) * (world.line.n_hosts - 1))
		complain("a storm of call-me-maybes", (long)c.call_me_maybes_out);
	for (int i = 0; i < world.line.n_hosts; i++)
		if (n->peers[i].n_initiations > seconds / 5 + 3)
			complain("a storm of initiations", (long)n->peers[i].n_initiations);
}

static void
check_end(void)
{
	for (int i = 0; i < world.line.n_hosts; i++) {
		check_rates(&world.nodes[i]);
		for (int j = 0; j < world.line.n_hosts; j++)
			if (world.nodes[i].data_every_ns[j] > 0) {
				check_delivery(&world.nodes[i], j);
				check_path(&world.nodes[i], j);
			}
	}
}

/* --- running --- */

static void
check_adoption(const struct node *n, const struct paths_choice *before)
{
	for (int i = 0; i < world.line.n_hosts; i++)
		if (i != n->number && before[i].direct.addr.family != ADDR_NONE &&
			(n->peers[i].choice.relay != before[i].relay ||
				!endpoint_equal(&n->peers[i].choice.direct, &before[i].direct)))
			complain("a path in use was not adopted", i);
}

static void
kill_control(struct node *n)
{
	struct paths_choice before[LINE_MAX_HOSTS];

	for (int i = 0; i < world.line.n_hosts; i++)
		before[i] = n->peers[i].choice;
	node_restart_control(n);
	check_adoption(n, before);
}

static void
happen(struct node *n)
{
	switch (world.event) {
	case MOVE:
		node_move(n, n->line->hosts[n->number].nat.mapping != NAT_NONE, true);
		break;
	case REBIND:
		node_move(n, false, false);
		break;
	case KILL_CONTROL:
		kill_control(n);
		break;
	case RESTART:
		node_restart(n);
		break;
	case PAUSE:
		set_traffic(0);
		break;
	case MOVE_HOME:
		node_set_home(n, n->home == 1 ? 2 : 1);
		break;
	default:
		break;
	}
}

static struct mono
next_of_all(void)
{
	struct mono next = line_next(&world.line);

	for (int i = 0; i < world.line.n_hosts; i++) {
		struct mono own = node_next(&world.nodes[i]);

		if (mono_is_never(next) || own.ns < next.ns)
			next = own;
	}
	return next;
}

static void
check_senders(void)
{
	for (int i = 0; i < world.line.n_hosts; i++)
		for (int j = 0; j < world.line.n_hosts; j++)
			if (world.nodes[i].data_every_ns[j] > 0 &&
				world.nodes[i].next_data[j].ns <= world.line.now.ns)
				check_choice(&world.nodes[i], j);
}

static void
run_until(struct mono end)
{
	struct line_datagram d;

	for (;;) {
		struct mono next = next_of_all();

		if (next.ns > end.ns)
			break;
		if (next.ns > world.line.now.ns)
			world.line.now = next;
		while (line_take(&world.line, &d))
			node_receive(&world.nodes[d.to], &d);
		for (int i = 0; i < world.line.n_hosts; i++)
			(void)paths_tick(world.nodes[i].paths, world.line.now);
		check_senders();
		for (int i = 0; i < world.line.n_hosts; i++)
			node_run(&world.nodes[i]);
	}
	world.line.now = end;
}

// As `ping --until-direct` between two that have nothing else to say: only call-me-maybe makes the
// other end open its NAT.
static void
run_pings(void)
{
	struct node *n = &world.nodes[0];

	for (int i = 0; i < 12; i++) {
		paths_ping(n->paths, 1, 1, 0, world.line.now);
		run_until(mono_add_ns(world.line.now, S));
	}
	if (world.line.loss_percent > 0 || world.line.relays_down)
		return;
	if (!n->peers[1].pong.is_answered)
		complain("a ping without answer", 1);
	if ((n->peers[1].pong.region == 0) != can_be_direct(0, 1))
		complain("a ping that goes another way than it can", n->peers[1].pong.region);
}

static void
run_case(unsigned long number)
{
	case_number = number;
	make_world(number);
	run_until(mono_add_ns(world.start, 2 * S));
	if (line_chance(&world.line, 30))
		run_pings();
	set_traffic(DATA_EVERY);
	run_until(world.event_at);
	happen(&world.nodes[line_below(&world.line, world.line.n_hosts)]);
	if (world.event == PAUSE) {
		run_until(mono_add_ns(world.event_at, 100 * S));
		set_traffic(DATA_EVERY);
	}
	run_until(world.end);
	check_end();
	for (int i = 0; i < world.line.n_hosts; i++)
		node_close(&world.nodes[i]);
	line_drop_all(&world.line);
}

int
main(int argc, char **argv)
{
	unsigned long first = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
	size_t before = 0;
	long more;

	if (crypto_init() != 0)
		return 1;
	for (unsigned long i = 0; i < count; i++) {
		if (i == count / 2)
			before = mallinfo2().uordblks;
		run_case(first + i);
	}
	more = (long)(mallinfo2().uordblks - before);
	tap_ok(failures == 0, "%lu cases keep all promises (%u broken)", count, failures);
	// The allocator counts what it keeps at hand for the next case, which varies.
	tap_ok(more < LEAK_MAX, "nothing leaks: %ld bytes more than half way", more);
	return tap_done();
}
