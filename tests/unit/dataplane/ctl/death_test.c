/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A forwarder is killed at any instant; its successor takes over the same memory.  Whatever was
 * under way: sessions are whole, send counters never go back, no key is left behind.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/crypto/aead.h"
#include "tests/lib/gateways.h"
#include "tests/lib/invariants.h"
#include "tests/lib/tap.h"

#define N_PEERS 200u
#define N_SLOTS 1000u
#define N_KILLS 200

// What outlives the forwarder: the command ring's oldest command, and what was seen on the wire.
struct witness {
	_Atomic uint32_t is_ready;
	_Atomic uint32_t is_executing; // `cmd` was taken from the ring, and not given back yet
	struct shm_command cmd;
	uint64_t n_commands;
	struct {
		_Atomic uint32_t index; // of the session
		_Atomic uint64_t next;  // no counter from here on was seen on the wire
	} sent[N_SLOTS];
};

static struct shm_state *state;
static struct shm_sessions *keys;
static struct witness *witness;
static uint64_t rng_state;

static uint32_t
rng(uint32_t below)
{
	rng_state = rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((rng_state >> 33) % below);
}

static struct in_memory *
join(void)
{
	const struct in_memory_config config = {
		.n_workers = 1, .n_frames = 512, .state = state, .keys = keys
	};
	struct in_memory *m;

	if (in_memory_create(&config, &m) < 0)
		abort();
	return m;
}

static void
drain(struct in_memory *m)
{
	struct shm_event event;

	while (in_memory_event(m, &event))
		;
}

static void
execute(struct in_memory *m, const struct shm_command *cmd)
{
	witness->cmd = *cmd;
	atomic_store(&witness->is_executing, 1);
	in_memory_command(m, cmd);
	atomic_store(&witness->is_executing, 0);
	witness->n_commands++;
	drain(m);
}

// --- the forwarder that is killed, and the control plane that speaks to it
// ------------------------

static void
change_peers(struct in_memory *m)
{
	struct shm_command cmd = { .kind = SHM_CMD_BEGIN, .generation = ++m->generation };
	uint32_t n = 0;

	cmd.begin.full = 1;
	execute(m, &cmd);
	for (uint32_t peer = 0; peer < N_PEERS; peer++) {
		if (rng(4) == 0)
			continue; // leaves
		memset(&cmd, 0, sizeof(cmd));
		cmd.kind = SHM_CMD_PEER;
		cmd.generation = m->generation;
		cmd.peer.peer = peer;
		cmd.peer.public_key[0] = rng(8) == 0; // or somebody else gets its number
		execute(m, &cmd);
		memset(&cmd, 0, sizeof(cmd));
		cmd.kind = SHM_CMD_PREFIX;
		cmd.generation = m->generation;
		cmd.prefix.family = 4;
		cmd.prefix.len = 32;
		cmd.prefix.to = peer;
		memcpy(cmd.prefix.addr.bytes, &n, sizeof(n));
		n++;
		execute(m, &cmd);
	}
	memset(&cmd, 0, sizeof(cmd));
	cmd.kind = SHM_CMD_COMMIT;
	cmd.generation = m->generation;
	execute(m, &cmd);
}

// As the real one: a slot that the directory calls free, the next generation of it.
static void
new_session(struct in_memory *m)
{
	static uint32_t generation;
	struct shm_command cmd = { .kind = SHM_CMD_SESSION };
	uint32_t slot = 1 + rng(N_SLOTS - 1);

	if (state->sessions[slot].receiver_index != 0)
		return;
	cmd.session.peer = rng(N_PEERS);
	cmd.session.receiver_index = (++generation % 4095 + 1) << SHM_SLOT_BITS | slot;
	cmd.session.sender_index = cmd.session.receiver_index; // tells it on the wire
	cmd.session.role = 1 + rng(2);
	cmd.session.birth_ns = mono_now().ns;
	memset(cmd.session.key_receive, (int)slot, SHM_KEY_LEN);
	memset(cmd.session.key_send, (int)slot + 1, SHM_KEY_LEN);
	atomic_store(&witness->sent[slot].index, 0);
	atomic_store(&witness->sent[slot].next, 0);
	atomic_store(&witness->sent[slot].index, cmd.session.receiver_index);
	execute(m, &cmd);
}

static void
look_at_wire(struct in_memory *m)
{
	struct message msg;

	while (gateway_take_wire(m, &msg)) {
		uint32_t slot = shm_index_slot(load_le32(msg.data + 4));

		if (slot < N_SLOTS && witness->sent[slot].index == load_le32(msg.data + 4))
			atomic_store(&witness->sent[slot].next, load_le64(msg.data + 8) + 1);
	}
}

static void
one_step(struct in_memory *m)
{
	struct shm_command cmd = {};

	switch (rng(24)) {
	case 0:
		change_peers(m);
		break;
	case 1:
		apply_sweep(&m->apply);
		break;
	case 2:
		cmd.kind = SHM_CMD_PATH;
		cmd.path.peer = rng(N_PEERS);
		cmd.path.path.family = 4;
		cmd.path.path.remote_port = (uint16_t)(1 + rng(1000));
		execute(m, &cmd);
		break;
	case 3:
		cmd.kind = SHM_CMD_SESSION_GONE;
		cmd.session_gone.receiver_index =
			state->sessions[1 + rng(N_SLOTS - 1)].receiver_index;
		cmd.session_gone.peer =
			state->sessions[shm_index_slot(cmd.session_gone.receiver_index)].peer;
		execute(m, &cmd);
		break;
	case 4: // what the first packet of an unconfirmed session does
	case 5: {
		uint32_t peer = rng(N_PEERS), freed = 0;
		uint32_t next = shm_keypairs_next(state->keypairs[peer]);

		if (next != 0)
			(void)session_promote(&m->apply.sessions, peer, next, &freed);
		if (rng(2) == 0) // else the event is lost, and the sweep finds the slot
			apply_retire(&m->apply, freed);
		break;
	}
	case 6:
	case 7:
	case 8:
	case 9:
		cmd.kind = SHM_CMD_KEEPALIVE;
		cmd.one.peer = rng(N_PEERS);
		execute(m, &cmd);
		in_memory_round(m);
		look_at_wire(m);
		break;
	default:
		new_session(m);
	}
}

_Noreturn static void
live_until_killed(uint64_t seed)
{
	struct in_memory *m = join();

	rng_state = seed;
	change_peers(m);
	atomic_store(&witness->is_ready, 1);
	for (;;)
		one_step(m);
}

// --- what its successor finds
// ----------------------------------------------------------------------

static const char *
counters_broken(void)
{
	for (uint32_t slot = 1; slot < N_SLOTS; slot++)
		if (witness->sent[slot].index != 0 &&
			keys->tx[slot].receiver_index == witness->sent[slot].index &&
			keys->tx[slot].counter < witness->sent[slot].next)
			return "a counter that was on the wire would be used again";
	return NULL;
}

static const char *
take_over(void)
{
	const char *what = memory_broken(state, keys, false);
	struct in_memory *m;

	if (what == NULL)
		what = counters_broken();
	m = join();
	if (what == NULL)
		what = memory_broken(state, keys, false);
	if (what == NULL && atomic_load(&witness->is_executing) != 0) {
		in_memory_command(m, &witness->cmd);
		what = memory_broken(state, keys, false);
	}
	apply_sweep(&m->apply);
	if (what == NULL)
		what = memory_broken(state, keys, true);
	if (what == NULL)
		what = counters_broken();
	atomic_store(&witness->is_executing, 0);
	in_memory_destroy(m);
	return what;
}

static void
killed_at_random(void)
{
	unsigned in_command = 0;
	const char *what = NULL;
	int n;

	for (n = 0; n < N_KILLS && what == NULL; n++) {
		pid_t pid;

		atomic_store(&witness->is_ready, 0);
		pid = fork();
		if (pid < 0)
			abort();
		if (pid == 0)
			live_until_killed((uint64_t)n * 7919 + 1);
		while (atomic_load(&witness->is_ready) == 0)
			usleep(100);
		usleep((useconds_t)(n * 37 % 5000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		in_command += atomic_load(&witness->is_executing);
		what = take_over();
	}
	tap_ok(what == NULL, "killed %d times: %s", n, what != NULL ? what : "all is whole");
	printf("# %lu commands, %u times killed in the middle of one\n",
		(unsigned long)witness->n_commands, in_command);
}

// --- deaths at chosen places
// -----------------------------------------------------------------------

static jmp_buf death;

static void
die_at_give_up(void *context, uint32_t peer)
{
	(void)context;
	(void)peer;
	longjmp(death, 1);
}

static bool
die_at_event(void *context, const struct shm_event *event)
{
	(void)context;
	(void)event;
	longjmp(death, 1);
}

static struct in_memory *
with_a_session(void)
{
	struct in_memory *m;

	in_memory_regions_free(state, keys);
	if (in_memory_regions(&state, &keys) < 0)
		abort();
	m = join();
	in_memory_begin(m, true);
	in_memory_peer(m, 0);
	in_memory_peer(m, 1);
	if (in_memory_commit(m) != 0)
		abort();
	in_memory_path(m, 0, IN_MEMORY_REMOTE, NULL);
	state->counters[0][0].rx_packets = 5;
	for (uint32_t peer = 0; peer < 2; peer++)
		in_memory_install(m, &(struct in_memory_session){ .peer = peer,
					     .receiver_index = 0x00100001 + peer,
					     .sender_index = 1,
					     .role = SHM_ROLE_INITIATOR,
					     .key_receive = 5,
					     .key_send = 6 });
	return m;
}

static void
is_taken_over(const char *where)
{
	struct in_memory *m = join();
	const char *what = memory_broken(state, keys, false);

	apply_sweep(&m->apply);
	if (what == NULL)
		what = memory_broken(state, keys, true);
	if (what != NULL)
		printf("# %s\n", what);
	tap_ok(what == NULL && state->keypairs[0] == 0 &&
			session_path(&m->apply.sessions, 0)->family == 0,
		"%s: the peer that left has left nothing", where);
	tap_int((long long)state->counters[0][0].rx_packets, 0, "nor its counters");
	tap_ok(state->keypairs[1] == UINT64_C(2) << 20, "the other one is as it was");

	// A death later must not take from whoever has the number now.
	in_memory_begin(m, false);
	in_memory_peer(m, 0);
	(void)in_memory_commit(m);
	in_memory_install(m, &(struct in_memory_session){ .receiver_index = 0x00700003,
				     .sender_index = 1,
				     .role = SHM_ROLE_INITIATOR,
				     .key_receive = 5,
				     .key_send = 6 });
	in_memory_destroy(m);
	m = join();
	tap_ok(shm_keypairs_current(state->keypairs[0]) == 3,
		"its number's next holder keeps its own");
	in_memory_destroy(m);
}

static void
killed_in_a_commit(void)
{
	struct in_memory *volatile m = with_a_session();

	in_memory_begin(m, false);
	in_memory_peer_gone(m, 0);
	m->apply.calls.give_up = die_at_give_up;
	if (setjmp(death) == 0)
		(void)in_memory_commit(m);
	in_memory_destroy(m);
	is_taken_over("killed after the flip, before the peer was forgotten");

	m = with_a_session();
	in_memory_begin(m, false);
	in_memory_peer_gone(m, 0);
	m->apply.calls.event = die_at_event;
	if (setjmp(death) == 0)
		(void)in_memory_commit(m);
	in_memory_destroy(m);
	is_taken_over("killed when its slot was freed");
}

// A session of which half was written: neither found, nor its key left.
static void
half_installed(void)
{
	struct in_memory *m = with_a_session();

	state->sessions_end = 50;
	memset(keys->rx[40].key, 1, SHM_KEY_LEN);
	keys->rx[40].receiver_index = 0x00100000 + 40;
	memset(keys->tx[41].key, 1, SHM_KEY_LEN);
	in_memory_destroy(m);
	m = join();
	tap_ok(memory_broken(state, keys, true) == NULL,
		"what was half installed is wiped at start");
	in_memory_destroy(m);
}

int
main(void)
{
	if (aead_init(NULL) < 0 || in_memory_regions(&state, &keys) < 0)
		return 1;
	witness = mmap(
		NULL, sizeof(*witness), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (witness == MAP_FAILED)
		return 1;
	killed_at_random();
	killed_in_a_commit();
	half_installed();
	in_memory_regions_free(state, keys);
	return tap_done();
}
