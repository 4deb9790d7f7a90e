/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Commands -> tables and sessions: what is applied, what is refused and leaves the old in force.
 */

#include "dataplane/ctl/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/crypto/aead.h"
#include "tests/lib/gateways.h"
#include "tests/lib/invariants.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct in_memory *m;

static void
start(void)
{
	const struct in_memory_config config = { .n_workers = 1, .n_frames = 512 };

	if (in_memory_create(&config, &m) < 0)
		abort();
}

static void
drain(void)
{
	struct shm_event event;

	while (in_memory_event(m, &event))
		;
}

static uint32_t
leads_to(const char *text)
{
	const struct tables *t = m->tables;
	struct addr a;

	if (addr_parse(text, &a) < 0)
		abort();
	return fib_lookup(&t->fib, a.family, a.bytes);
}

// Peers 0 and 1; 10.0.0.0/8 and fd00::/8 to 0, 10.1.0.0/16 to 1.
static void
apply_something(void)
{
	in_memory_begin(m, true);
	in_memory_settings(m, 1420, "10.255.0.1", NULL);
	in_memory_peer(m, 0);
	in_memory_peer(m, 1);
	in_memory_prefix(m, "10.0.0.0/8", 0);
	in_memory_prefix(m, "fd00::/8", 0);
	in_memory_prefix(m, "10.1.0.0/16", 1);
	if (in_memory_commit(m) != 0)
		abort();
}

static bool
is_unchanged(void)
{
	return leads_to("10.2.0.1") == 0 && leads_to("10.1.0.1") == 1 && leads_to("fd00::1") == 0 &&
	       leads_to("11.0.0.1") == FIB_NONE && m->tables->mtu == 1420 &&
	       m->tables->generation == m->state->applied[m->state->applied_which & 1].generation;
}

static void
generations(void)
{
	start();
	tap_int(leads_to("10.0.0.1"), FIB_NONE, "nothing is applied: nothing leads anywhere");
	apply_something();
	tap_ok(is_unchanged(), "a full generation is in force");

	in_memory_begin(m, false);
	in_memory_prefix(m, "10.1.0.0/16", 0);
	in_memory_prefix(m, "10.2.3.4/32", 1);
	in_memory_prefix(m, "10.9.0.77/16", SHM_TO_HOST);
	tap_int(in_memory_commit(m), 0, "a delta is applied");
	tap_ok(leads_to("10.1.0.1") == 0, "a prefix has moved");
	tap_ok(leads_to("10.2.3.4") == 1 && leads_to("10.2.3.5") == 0, "a host prefix was added");
	tap_ok(leads_to("10.9.200.1") == FIB_HOST, "host bits of a prefix do not count");
	tap_ok(leads_to("fd00::1") == 0, "the rest is as it was");

	in_memory_begin(m, false);
	in_memory_prefix_gone(m, "10.9.0.0/16");
	in_memory_prefix_gone(m, "192.168.0.0/16");
	tap_int(in_memory_commit(m), 0, "a prefix goes; one that was not there does not matter");
	tap_ok(leads_to("10.9.200.1") == 0, "what is shorter shows again");

	in_memory_begin(m, false);
	in_memory_peer_gone(m, 0);
	tap_int(in_memory_commit(m), 0, "a peer goes");
	tap_ok(leads_to("10.1.0.1") == FIB_NONE && leads_to("10.2.3.4") == 1, "with its prefixes");

	in_memory_begin(m, true);
	in_memory_peer(m, 5);
	in_memory_prefix(m, "0.0.0.0/0", 5);
	tap_int(in_memory_commit(m), 0, "a full generation again");
	tap_ok(leads_to("10.2.3.4") == 5 && leads_to("fd00::1") == FIB_NONE,
		"what it does not mention has gone");
	tap_int(m->tables->mtu, 1420, "settings stay");

	in_memory_begin(m, false);
	tap_int(in_memory_commit(m), 0, "an empty delta");
	tap_ok(leads_to("1.2.3.4") == 5, "changes nothing");
	in_memory_destroy(m);
}

enum mistake {
	WRONG_BASE,
	PEER_RANGE,
	PREFIX_RANGE,
	PREFIX_PEER,
	PREFIX_PEER_GONE,
	PREFIX_TWICE,
	PREFIX_TWICE_MASKED,
	FAMILY,
	LENGTH4,
	LENGTH6,
	MTU_SMALL,
	MTU_LARGE,
	NO_BEGIN,
	OTHER_COMMIT,
	ZERO,
	TOO_MANY,
};

static const struct {
	const char *what;
	enum mistake mistake;
	enum shm_refusal refusal;
} mistakes[] = {
	{ "a delta on another generation", WRONG_BASE, SHM_REFUSED_BASE },
	{ "a peer number out of range", PEER_RANGE, SHM_REFUSED_ROW },
	{ "a prefix to a number out of range", PREFIX_RANGE, SHM_REFUSED_ROW },
	{ "a prefix to a peer that is not there", PREFIX_PEER, SHM_REFUSED_PEER },
	{ "a new prefix to a peer that goes", PREFIX_PEER_GONE, SHM_REFUSED_PEER },
	{ "a prefix twice", PREFIX_TWICE, SHM_REFUSED_ROW },
	{ "a prefix twice but for host bits", PREFIX_TWICE_MASKED, SHM_REFUSED_ROW },
	{ "no such family", FAMILY, SHM_REFUSED_ROW },
	{ "an IPv4 length of 33", LENGTH4, SHM_REFUSED_ROW },
	{ "an IPv6 length of 129", LENGTH6, SHM_REFUSED_ROW },
	{ "an MTU of 575", MTU_SMALL, SHM_REFUSED_ROW },
	{ "an MTU that no buffer takes", MTU_LARGE, SHM_REFUSED_ROW },
	{ "a commit of nothing", NO_BEGIN, SHM_REFUSED_BASE },
	{ "a commit of another generation", OTHER_COMMIT, SHM_REFUSED_BASE },
	{ "generation 0", ZERO, SHM_REFUSED_BASE },
	{ "more prefixes than the table has", TOO_MANY, SHM_REFUSED_FULL },
};

static void
bad_prefix(uint8_t family, uint8_t len)
{
	struct shm_command cmd = { .kind = SHM_CMD_PREFIX, .generation = m->generation };

	cmd.prefix.family = family;
	cmd.prefix.len = len;
	in_memory_command(m, &cmd);
}

static void
too_many_prefixes(void)
{
	struct shm_command cmd = { .kind = SHM_CMD_PREFIX, .generation = m->generation };

	cmd.prefix.family = 4;
	cmd.prefix.len = 32;
	for (uint32_t i = 0; i <= SHM_MAX_PREFIXES; i++) {
		memcpy(cmd.prefix.addr.bytes, &i, sizeof(i));
		in_memory_command(m, &cmd);
	}
}

static void
make_mistake(enum mistake mistake)
{
	uint64_t applied = m->generation;

	if (mistake == WRONG_BASE)
		m->generation += 7;
	if (mistake == ZERO)
		m->generation = UINT64_MAX;
	if (mistake != NO_BEGIN)
		in_memory_begin(m, mistake != WRONG_BASE && mistake % 2 == 0);
	in_memory_peer(m, 0);
	in_memory_prefix(m, "11.0.0.0/8", 0);
	switch (mistake) {
	case PEER_RANGE:
		in_memory_peer(m, SHM_MAX_PEERS);
		break;
	case PREFIX_RANGE:
		in_memory_prefix(m, "12.0.0.0/8", SHM_MAX_PEERS);
		break;
	case PREFIX_PEER:
		in_memory_prefix(m, "12.0.0.0/8", 77);
		break;
	case PREFIX_PEER_GONE:
		in_memory_peer_gone(m, 0);
		break;
	case PREFIX_TWICE:
		in_memory_prefix(m, "11.0.0.0/8", 0);
		break;
	case PREFIX_TWICE_MASKED:
		in_memory_prefix(m, "11.1.2.3/8", 0);
		break;
	case FAMILY:
		bad_prefix(5, 8);
		break;
	case LENGTH4:
		bad_prefix(4, 33);
		break;
	case LENGTH6:
		bad_prefix(6, 129);
		break;
	case MTU_SMALL:
		in_memory_settings(m, 575, NULL, NULL);
		break;
	case MTU_LARGE:
		in_memory_settings(m, 9000, NULL, NULL);
		break;
	case TOO_MANY:
		too_many_prefixes();
		break;
	case NO_BEGIN:
	case OTHER_COMMIT:
		m->generation++;
		break;
	case WRONG_BASE:
	case ZERO:
		break;
	}
	(void)applied;
}

static void
refusals(void)
{
	start();
	apply_something();
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		make_mistake(mistakes[i].mistake);
		tap_int(in_memory_commit(m), mistakes[i].refusal, mistakes[i].what);
		tap_ok(is_unchanged(), "the old one is in force");
		in_memory_begin(m, false);
		tap_ok(in_memory_commit(m) == 0 && is_unchanged(),
			"and a right one goes on from it");
	}
	in_memory_destroy(m);
}

static void
rows_outside(void)
{
	struct shm_command cmd = { .kind = SHM_CMD_PEER_GONE, .generation = 999 };

	start();
	apply_something();
	in_memory_command(m, &cmd);
	in_memory_prefix_gone(m, "10.0.0.0/8");
	tap_ok(is_unchanged(), "rows outside of a generation mean nothing");
	in_memory_begin(m, false);
	cmd.generation = m->generation + 1;
	in_memory_command(m, &cmd);
	tap_ok(in_memory_commit(m) == 0 && is_unchanged(), "nor do those of another one");
	for (uint32_t kind = 0; kind < 40; kind++) {
		struct shm_command odd = { .kind = kind == 0 ? 0 : kind + SHM_CMD_UNREACHABLE };

		in_memory_command(m, &odd);
	}
	tap_ok(is_unchanged(), "unknown commands mean nothing");
	in_memory_destroy(m);
}

// --- sessions and paths ------------------------------------------------------------------------

static struct in_memory_session
session(uint32_t peer, uint32_t index)
{
	return (struct in_memory_session){ .peer = peer,
		.receiver_index = index,
		.sender_index = 0x4711,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 1,
		.key_send = 2 };
}

static uint32_t
install(struct in_memory_session s)
{
	struct shm_event event;

	drain();
	in_memory_install(m, &s);
	while (in_memory_event(m, &event)) {
		if (event.kind == SHM_EV_SESSION && event.index == s.receiver_index)
			return 0;
		if (event.kind == SHM_EV_SESSION_REFUSED && event.index == s.receiver_index)
			return event.value;
	}
	return UINT32_MAX;
}

static bool
is_healthy(bool swept)
{
	const char *what = memory_broken(m->state, m->keys, swept);

	if (what != NULL)
		printf("# %s\n", what);
	return what == NULL;
}

static const struct {
	const char *what;
	uint32_t peer, index;
	enum shm_role role;
	enum shm_refusal refusal;
} session_rows[] = {
	{ "a peer that is not there", 2, 0x00100009, SHM_ROLE_INITIATOR, SHM_REFUSED_PEER },
	{ "a peer out of range", SHM_MAX_PEERS, 0x00100009, SHM_ROLE_INITIATOR, SHM_REFUSED_PEER },
	{ "no peer", SHM_NO_PEER, 0x00100009, SHM_ROLE_INITIATOR, SHM_REFUSED_PEER },
	{ "slot 0", 0, 0x00100000, SHM_ROLE_INITIATOR, SHM_REFUSED_ROW },
	{ "the first slot that does not exist", 0, SHM_MAX_SESSIONS, SHM_ROLE_INITIATOR,
		SHM_REFUSED_ROW },
	{ "the largest index", 0, UINT32_MAX, SHM_ROLE_INITIATOR, SHM_REFUSED_ROW },
	{ "no role", 0, 0x00100009, SHM_ROLE_NONE, SHM_REFUSED_ROW },
	{ "an unknown role", 0, 0x00100009, (enum shm_role)3, SHM_REFUSED_ROW },
	{ "a slot in use, another generation", 0, 0x00200007, SHM_ROLE_INITIATOR,
		SHM_REFUSED_SLOT },
	{ "a slot in use, another peer", 1, 0x00100007, SHM_ROLE_INITIATOR, SHM_REFUSED_SLOT },
};

static void
sessions(void)
{
	struct in_memory_session s = session(0, 0x00100007);
	struct shm_command gone = { .kind = SHM_CMD_SESSION_GONE };
	struct shm_event event;

	start();
	apply_something();
	tap_int(install(s), 0, "a session is installed");
	for (size_t i = 0; i < sizeof(session_rows) / sizeof(session_rows[0]); i++) {
		struct in_memory_session bad = session(session_rows[i].peer, session_rows[i].index);

		bad.role = session_rows[i].role;
		tap_int(install(bad), session_rows[i].refusal, session_rows[i].what);
	}
	tap_ok(is_healthy(true) && m->state->keypairs[0] == UINT64_C(7) << 20 &&
			m->state->keypairs[1] == 0,
		"nothing has changed");

	atomic_store(&m->keys->tx[7].counter, 1000);
	atomic_store(&m->keys->replay[7].word[3], 0xff);
	s.role = SHM_ROLE_RESPONDER; // repeated it must not become another's `next`
	tap_int(install(s), 0, "said again it is answered again");
	tap_ok(atomic_load(&m->keys->tx[7].counter) == 1000 &&
			atomic_load(&m->keys->replay[7].word[3]) == 0xff &&
			m->state->keypairs[0] == UINT64_C(7) << 20,
		"and changes nothing: counter and window go on");

	gone.session_gone.peer = 0;
	gone.session_gone.receiver_index = 0x00200007;
	in_memory_command(m, &gone);
	gone.session_gone.receiver_index = 0x00100007;
	gone.session_gone.peer = 1;
	in_memory_command(m, &gone);
	gone.session_gone.peer = SHM_NO_PEER;
	in_memory_command(m, &gone);
	tap_ok(m->state->keypairs[0] == UINT64_C(7) << 20, "another's session does not go");
	gone.session_gone.peer = 0;
	drain();
	in_memory_command(m, &gone);
	tap_ok(m->state->keypairs[0] == 0 &&
			in_memory_wait_event(m, SHM_EV_SESSION_FREED, &event) &&
			event.index == 0x00100007,
		"its own goes, and its slot is free");
	tap_ok(is_healthy(true), "without a key left");
	in_memory_command(m, &gone);
	tap_ok(!in_memory_event(m, &event), "once more: nothing");
	in_memory_destroy(m);
}

// SESSION_GONE and SESSION in one go, without waiting for SESSION_FREED: a mistake of the control
// plane's, but it must not end in a session without keys.
static void
install_while_being_freed(void)
{
	struct shm_command gone = { .kind = SHM_CMD_SESSION_GONE };
	struct shm_command again = { .kind = SHM_CMD_SESSION };
	struct in_memory_session s = session(0, 0x00100007);

	start();
	apply_something();
	(void)install(s);
	gone.session_gone.receiver_index = s.receiver_index;
	again.session.receiver_index = s.receiver_index;
	again.session.role = SHM_ROLE_INITIATOR;
	again.session.birth_ns = mono_now().ns;
	apply_command(&m->apply, &gone);
	apply_command(&m->apply, &again);
	apply_flush_retired(&m->apply);
	tap_ok(is_healthy(true), "installed again before its slot was free: refused, or complete");
	in_memory_destroy(m);
}

static void
peer_goes(void)
{
	struct shm_event event;
	unsigned freed = 0;

	start();
	apply_something();
	in_memory_path(m, 0, "192.0.2.1:1", NULL);
	in_memory_path(m, 1, "192.0.2.2:2", NULL);
	(void)install(session(0, 0x00100001));
	(void)install(session(0, 0x00100002));
	(void)install(session(1, 0x00100003));
	m->state->counters[0][0].rx_packets = 5;
	m->state->counters[0][1].rx_packets = 6;
	in_memory_begin(m, false);
	in_memory_peer_gone(m, 0);
	in_memory_command(
		m, &(struct shm_command){ .kind = SHM_CMD_COMMIT, .generation = m->generation });
	while (in_memory_event(m, &event))
		freed += event.kind == SHM_EV_SESSION_FREED;
	tap_int(freed, 2, "a peer that goes gives back its slots");
	tap_ok(is_healthy(true) && m->state->keypairs[1] != 0, "only its own");
	tap_int(session_path(&m->apply.sessions, 0)->family, 0, "its path has gone");
	tap_int(session_path(&m->apply.sessions, 1)->family, 4, "another's has not");
	tap_ok(m->state->counters[0][0].rx_packets == 0 && m->state->counters[0][1].rx_packets == 6,
		"and its counters");

	// The number is given to somebody else, together with a path.
	in_memory_begin(m, false);
	in_memory_peer(m, 0);
	in_memory_path(m, 0, "192.0.2.9:9", NULL);
	tap_int(in_memory_commit(m), 0, "the number is used again");
	tap_int(session_path(&m->apply.sessions, 0)->remote_port, 9, "with a path of its own");
	in_memory_destroy(m);
}

// One commit gives a number to another key: nothing of the old one may serve the new one, not even
// for a moment between two steps.
static void
number_changes_hands(void)
{
	struct shm_command cmd = { .kind = SHM_CMD_PEER };

	start();
	apply_something();
	in_memory_path(m, 0, "192.0.2.1:1", NULL);
	(void)install(session(0, 0x00100001));
	in_memory_begin(m, false);
	cmd.generation = m->generation;
	cmd.peer.public_key[0] = 0xaa;
	in_memory_command(m, &cmd);
	tap_int(in_memory_commit(m), 0, "a peer number gets another key");
	tap_ok(m->state->keypairs[0] == 0 && is_healthy(true), "its sessions are gone");
	tap_int(session_path(&m->apply.sessions, 0)->family, 0, "its path too");
	tap_ok(leads_to("10.2.0.1") == 0, "its prefixes stay: they are the number's");
	in_memory_destroy(m);
}

static const struct {
	const char *what;
	uint32_t peer;
	uint8_t family;
	uint16_t port;
	bool is_taken;
} path_rows[] = {
	{ "of no such family", 0, 5, 1, false },
	{ "without a port", 0, 4, 0, false },
	{ "of a peer that is not there", 2, 4, 1, false },
	{ "of a peer out of range", SHM_MAX_PEERS, 4, 1, false },
	{ "of no peer", SHM_NO_PEER, 4, 1, false },
	{ "to IPv6", 0, 6, 7, true },
	{ "to nowhere", 0, 0, 0, true },
};

static void
paths(void)
{
	start();
	apply_something();
	for (size_t i = 0; i < sizeof(path_rows) / sizeof(path_rows[0]); i++) {
		struct shm_command cmd = { .kind = SHM_CMD_PATH };
		const struct pkt_outer *now;

		in_memory_path(m, 0, "192.0.2.1:1111", NULL);
		cmd.path.peer = path_rows[i].peer;
		cmd.path.path.family = path_rows[i].family;
		cmd.path.path.remote_port = path_rows[i].port;
		in_memory_command(m, &cmd);
		now = session_path(&m->apply.sessions, 0);
		tap_ok((now->remote_port != 1111) == path_rows[i].is_taken, "a path %s is %s",
			path_rows[i].what, path_rows[i].is_taken ? "taken" : "ignored");
	}
	for (unsigned i = 0; i < 300; i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.1:%u", i + 1);
		in_memory_path(m, i % 2, text, NULL);
	}
	tap_ok(session_path(&m->apply.sessions, 1)->remote_port == 300, "many changes in a row");
	in_memory_destroy(m);
}

/*
 * A worker promotes a session; before the main thread sees that event, its sweep finds the slot
 * that fell out, frees it, and the control plane uses it again.  The late event must not take it
 * away.
 */
static void
promoted_event_comes_late(void)
{
	struct in_memory_session near = session(0, 0x00100001);
	struct gateways g;
	struct message msg;
	uint8_t inner[100];

	gateways_create(&g, true); // far: slot 1 is current
	near.sender_index = 0x00900005;
	near.receiver_index = 0x00900003;
	in_memory_install(g.near, &near);
	m = g.far;
	for (uint32_t slot = 5; slot <= 6; slot++) {
		struct in_memory_session far = {
			.receiver_index = 0x00900000 + slot,
			.sender_index = 0x00900003 + slot - 5,
			.role = SHM_ROLE_RESPONDER,
			.key_receive = 2,
			.key_send = 1,
		};

		near.receiver_index = far.sender_index;
		near.sender_index = far.receiver_index;
		in_memory_install(g.near, &near);
		in_memory_install(g.far, &far);
		packet_make(
			inner, 100, &(struct packet_make){ .src = "10.1.0.5", .dst = "10.2.0.5" });
		(void)gateway_seal(g.near, inner, 100, &msg);
		(void)in_memory_push_wire(g.far, 0, msg.data, msg.len, NULL, 0);
		worker_round(g.far->workers[0]); // promotes; the main thread has not looked yet
		if (slot == 5)
			in_memory_main_round(g.far);
	}
	apply_sweep(&g.far->apply); // slot 1 fell out
	drain();
	tap_ok(g.far->state->sessions[1].receiver_index == 0, "the sweep frees what fell out");
	tap_int(install(session(0, 0x00a00001)), 0, "its slot is used again");
	in_memory_main_round(g.far); // now the event
	tap_ok(is_healthy(false) && g.far->state->sessions[1].receiver_index == 0x00a00001,
		"the late event takes nothing away");
	gateways_destroy(&g);
}

// --- commands that may say anything --------------------------------------------------------------

static uint64_t rng_state = 20260101;

static uint64_t
rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

// Random bytes in every field; kind, numbers and generation are often such that they reach deep.
static struct shm_command
random_command(void)
{
	struct shm_command cmd;
	uint8_t *bytes = (uint8_t *)&cmd;

	for (size_t i = 0; i < sizeof(cmd); i++)
		bytes[i] = (uint8_t)rng();
	if (rng() % 16 != 0)
		cmd.kind = (uint32_t)(rng() % 14);
	if (rng() % 4 != 0)
		cmd.generation = rng() % 8;
	if (rng() % 4 != 0)
		cmd.one.peer = (uint32_t)(rng() % 16); // of most kinds
	if (cmd.kind == SHM_CMD_BEGIN && rng() % 2 == 0)
		cmd.begin = (struct shm_cmd_begin){ .base = rng() % 8, .full = rng() % 2 };
	if (cmd.kind == SHM_CMD_SESSION && rng() % 4 != 0) {
		cmd.session.receiver_index = (uint32_t)(rng() % 4 << SHM_SLOT_BITS | rng() % 64);
		cmd.session.role = (uint32_t)(rng() % 3);
	}
	if (cmd.kind == SHM_CMD_SESSION_GONE)
		cmd.session_gone.receiver_index =
			(uint32_t)(rng() % 4 << SHM_SLOT_BITS | rng() % 64);
	if (cmd.kind == SHM_CMD_PREFIX && rng() % 4 != 0) {
		cmd.prefix.family = rng() % 2 == 0 ? 4 : 6;
		cmd.prefix.len = (uint8_t)(rng() % 33);
		cmd.prefix.to = (uint32_t)(rng() % 16);
	}
	return cmd;
}

static void
hostile_commands(void)
{
	struct shm_command settings = { .kind = SHM_CMD_SETTINGS };
	struct message rest;
	bool healthy = true;
	uint64_t generation;

	start();
	apply_something();
	for (unsigned i = 0; i < 60000 && healthy; i++) {
		struct shm_command cmd = random_command();

		in_memory_command(m, &cmd);
		if (i % 16 == 0)
			in_memory_round(m);
		while (gateway_take_wire(m, &rest))
			;
		drain();
		if (i % 1000 == 0)
			healthy = is_healthy(false);
	}
	tap_ok(healthy, "60,000 commands of anything: what must be true stays true");
	apply_sweep(&m->apply);
	tap_ok(is_healthy(true), "and after the sweep nothing belongs to nobody");
	drain();
	generation = m->state->applied[m->state->applied_which & 1].generation;
	m->generation = generation != UINT64_MAX ? generation : 0;
	in_memory_begin(m, true);
	settings.generation = m->generation;
	settings.settings.mtu = 1420;
	in_memory_command(m, &settings);
	tap_int(in_memory_commit(m), 0, "a right generation is applied as ever");
	tap_ok(m->state->keypairs[3] == 0 && leads_to("10.0.0.1") == FIB_NONE,
		"and all the rest is gone");
	in_memory_destroy(m);
}

int
main(void)
{
	if (aead_init(NULL) < 0)
		return 1;
	generations();
	refusals();
	rows_outside();
	sessions();
	install_while_being_freed();
	peer_goes();
	number_changes_hands();
	paths();
	promoted_event_comes_late();
	hostile_commands();
	return tap_done();
}
