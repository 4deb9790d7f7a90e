/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/dataplane.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/publish/peer_note.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/fake_forwarder.h"

struct site {
	struct fake_forwarder f;
	struct dataplane dp;
};

static void
start(struct site *s)
{
	struct dataplane_grant g;

	fake_start(&s->f, 1);
	dataplane_init(&s->dp);
	g = fake_grant(&s->f);
	tap_int(dataplane_join(&s->dp, &g), 0, "join");
}

static void
end(struct site *s)
{
	dataplane_fini(&s->dp);
	fake_end(&s->f);
}

static bool
has_keys(const struct shm_to_dp *ring)
{
	for (size_t i = 0; i < SHM_N_COMMANDS; i++)
		for (size_t k = 0; k < KEY_LEN; k++)
			if (ring->commands[i].session.key_send[k] == 0xaa)
				return true;
	return false;
}

static struct shm_command
session_command(uint32_t slot)
{
	struct shm_command c = { .kind = SHM_CMD_SESSION,
		.session = { .receiver_index = slot, .role = SHM_ROLE_RESPONDER } };

	memset(c.session.key_send, 0xaa, KEY_LEN);
	memset(c.session.key_receive, 0xaa, KEY_LEN);
	return c;
}

static void
test_keys_are_wiped(void)
{
	struct shm_command c = session_command(1), other = { .kind = SHM_CMD_KEEPALIVE };
	struct site s;

	start(&s);
	dataplane_push(&s.dp, &c);
	dataplane_flush(&s.dp);
	tap_ok(has_keys(s.f.to_dp), "keys are in the ring until they were taken");
	tap_ok(dataplane_is_waiting(&s.dp), "and that is remembered");
	fake_work(&s.f);
	dataplane_flush(&s.dp);
	tap_ok(!has_keys(s.f.to_dp), "then they are wiped");
	tap_ok(!dataplane_is_waiting(&s.dp), "nothing waits any more");
	tap_int(s.f.session.key_send[0], 0xaa, "they had arrived");

	s.f.silent = true;
	for (uint32_t i = 0; i < 3000; i++) {
		c = session_command(2 + i);
		dataplane_push(&s.dp, i % 3 == 0 ? &c : &other);
	}
	s.f.silent = false;
	for (int i = 0; i < 10; i++) {
		fake_work(&s.f);
		dataplane_flush(&s.dp);
	}
	tap_int(s.f.n_sessions, 1001, "a queue longer than the ring arrives");
	tap_int(s.f.session.receiver_index, 2 + 2997, "in order");
	tap_ok(!has_keys(s.f.to_dp), "and leaves no key behind");
	end(&s);
}

static void
test_hostile_rings(void)
{
	struct shm_command c = { .kind = SHM_CMD_KEEPALIVE };
	struct shm_event e;
	struct site s;

	start(&s);
	s.f.to_cp->commands_tail.tail = 5; // more than was ever published
	dataplane_push(&s.dp, &c);
	dataplane_flush(&s.dp);
	tap_ok(dataplane_is_violated(&s.dp), "a consumer ahead of its producer violates the ring");
	dataplane_leave(&s.dp);
	tap_ok(!dataplane_is_violated(&s.dp), "which ends with the attachment");
	end(&s);

	start(&s);
	s.f.to_cp->events_head.head = SHM_N_EVENTS + 1;
	tap_ok(!shm_ring_peek(&s.dp.events, &e) && dataplane_is_violated(&s.dp),
		"so do more events than the ring holds");
	end(&s);
}

static void
test_hostile_state(void)
{
	struct dataplane_session session;
	struct dataplane_keypairs k;
	struct shm_peer_counters counters;
	uint64_t generation;
	uint32_t n_peers, n_prefixes;
	uint8_t *rows;
	struct site s;

	start(&s);
	srand(2);
	rows = (uint8_t *)s.f.state->sessions;
	for (size_t i = 0; i < 64 * sizeof(s.f.state->sessions[0]); i++)
		rows[i] = (uint8_t)rand();
	s.f.state->sessions_end = UINT32_MAX;
	for (uint32_t i = 0; i < 64; i++)
		s.f.state->keypairs[i] =
			(uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand();
	s.f.state->n_workers = UINT32_MAX;
	s.f.state->applied_which = 77;
	for (uint32_t i = 0; i < 64; i++) {
		dataplane_keypairs(&s.dp, i, &k);
		dataplane_counters(&s.dp, i, &counters);
	}
	tap_ok(!dataplane_session(&s.dp, 0, &session) &&
			!dataplane_session(&s.dp, UINT32_MAX, &session),
		"slots that do not exist hold no session");
	tap_ok(dataplane_applied(&s.dp, &generation, &n_peers, &n_prefixes) == NULL,
		"there are two halves, no third");
	s.f.state->applied_which = 0;
	s.f.state->applied[0].n_peers = UINT32_MAX;
	s.f.state->applied[0].n_prefixes = UINT32_MAX;
	tap_ok(dataplane_applied(&s.dp, &generation, &n_peers, &n_prefixes) != NULL &&
			n_peers == SHM_MAX_PEERS && n_prefixes == SHM_MAX_PREFIXES,
		"counts are cut to what there is room for");

	s.f.state->sessions[3] = (struct shm_session_row){ .receiver_index = 9u << 20 | 4,
		.role = SHM_ROLE_INITIATOR };
	tap_ok(!dataplane_session(&s.dp, 3, &session),
		"an index of another slot is no session of this one");
	s.f.state->sessions[3] = (struct shm_session_row){
		.receiver_index = 9u << 20 | 3, .role = SHM_ROLE_INITIATOR, .peer = 5
	};
	tap_ok(dataplane_session(&s.dp, 3, &session) && session.initiator && session.peer == 5,
		"a right one is");
	s.f.state->keypairs[6] = SHM_KEYPAIRS(0, 3, 0);
	dataplane_keypairs(&s.dp, 6, &k);
	tap_int(k.current.receiver_index, 0, "a session of another peer is not this peer's");
	end(&s);
}

static void
test_join_checks(void)
{
	struct fake_forwarder f;
	struct dataplane dp;
	struct dataplane_grant g;

	fake_start(&f, 1);
	dataplane_init(&dp);
	g = fake_grant(&f);
	f.state->magic++;
	tap_int(dataplane_join(&dp, &g), ERR_PROTOCOL, "memory without the magic is not joined");
	f.state->magic--;
	f.state->session_version++;
	tap_int(dataplane_join(&dp, &g), ERR_VERSION, "nor one with sessions of another version");
	f.state->session_version--;
	tap_int(dataplane_join(&dp, &g), 0, "else it is");
	dataplane_fini(&dp);
	fake_end(&f);
}

static void
test_notes(void)
{
	struct peer p = { .number = 7,
		.remote = { .static_public = { { 1, 2, 3 } } },
		.latest = { .timestamp = { { 4, 5 } }, .accepted = { 99 } },
		.tx_timestamp = { { 6 } },
		.endpoint = { .addr = { ADDR_V4, { 192, 0, 2, 1 } }, .port = 51820 },
		.local = { ADDR_V4, { 198, 18, 0, 2 } } };
	struct peer q = { .number = 7, .remote = { .static_public = { { 1, 2, 3 } } } };
	struct peer stranger = { .number = 7, .remote = { .static_public = { { 1, 2, 4 } } } };
	struct peer later = { .number = 7,
		.remote = { .static_public = { { 1, 2, 3 } } },
		.latest = { .timestamp = { { 200 } } } };
	struct wg_cookie_secret secret = { .bytes = { 8 }, .birth = { 5 } }, read_back = {};
	struct site s;

	start(&s);
	peer_note_write(&s.dp, &p);
	tap_ok(peer_note_read(&s.dp, &q), "a note is read back");
	tap_bytes(&q.latest.timestamp, &p.latest.timestamp, sizeof(q.latest.timestamp),
		"received timestamp");
	tap_bytes(&q.tx_timestamp, &p.tx_timestamp, sizeof(q.tx_timestamp), "sent timestamp");
	tap_int(q.latest.accepted.ns, 99, "time of the initiation");
	tap_ok(endpoint_equal(&q.endpoint, &p.endpoint) && addr_equal(&q.local, &p.local), "path");
	tap_ok(!peer_note_read(&s.dp, &stranger) && stranger.endpoint.port == 0,
		"not for another key");
	(void)peer_note_read(&s.dp, &later);
	tap_int(later.latest.timestamp.bytes[0], 200,
		"an older timestamp does not replace a later one");

	s.f.notes->notes[7].rx_timestamp[0] ^= 1; // a death in the middle of writing
	q = (struct peer){ .number = 7, .remote = p.remote };
	tap_ok(!peer_note_read(&s.dp, &q) && q.latest.timestamp.bytes[0] == 0,
		"a torn note is ignored");

	cookie_note_write(&s.dp, &secret);
	cookie_note_read(&s.dp, &read_back);
	tap_ok(read_back.birth.ns == 5 && read_back.bytes[0] == 8, "the cookie secret is kept");
	end(&s);
}

static void
test_inject(void)
{
	struct shm_path path = { .family = 4, .remote_port = 9 };
	struct shm_packet packet;
	uint8_t data[SHM_PACKET_LEN + 1] = { 4, 0, 0, 0, 7 };
	struct site s;

	start(&s);
	dataplane_inject(&s.dp, &path, data, 60);
	dataplane_inject(&s.dp, &path, data, sizeof(data));
	tap_ok(shm_ring_peek(&s.f.inject, &packet) && packet.kind == SHM_PKT_WIRE &&
			packet.len == 60 && packet.data[4] == 7 && packet.path.remote_port == 9,
		"a datagram is injected with where it came from");
	shm_ring_advance(&s.f.inject);
	tap_ok(!shm_ring_peek(&s.f.inject, &packet), "one that is too long is not");
	for (uint32_t i = 0; i < SHM_N_PACKETS + 44; i++)
		dataplane_inject(&s.dp, &path, data, 60);
	tap_int(s.dp.n_inject_full, 44, "what does not fit is counted");
	end(&s);
}

int
main(void)
{
	test_join_checks();
	test_keys_are_wiped();
	test_hostile_rings();
	test_hostile_state();
	test_notes();
	test_inject();
	return tap_done();
}
