/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets through the whole path of a gateway with sessions: datagrams from the wire, packets from
 * the host, and plaintexts that are sealed properly, so that fuzzed bytes reach the stages behind
 * decryption.
 *
 * Input: records of a kind, a length (16 bits, little-endian) and that many bytes.  Bits 3 and 4 of
 * the kind are the outer ECN; bit 7 runs a round, so that bursts of any size are made.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/crypto/aead.h"
#include "lib/net/headers.h"
#include "lib/wg/message.h"
#include "tests/lib/gateways.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct in_memory *m;
static uint64_t counters[3]; // next to be sealed for us, by slot

// Slot 1: peer 0, 10.1.0.0/16 and fd01::/16.  Slot 2: peer 1, 10.3.0.0/16.  Peer 2 has no session.
static void
set_up(void)
{
	const struct in_memory_config config = { .n_workers = 1, .n_frames = 512 };

	if (aead_init(NULL) < 0 || in_memory_create(&config, &m) < 0)
		abort();
	in_memory_begin(m, true);
	in_memory_settings(m, IN_MEMORY_MTU, "10.2.0.1", "fd02::1");
	in_memory_prefix(m, "10.2.0.0/16", SHM_TO_HOST);
	in_memory_prefix(m, "fd02::/16", SHM_TO_HOST);
	in_memory_prefix(m, "10.2.200.0/24", SHM_TO_NOBODY);
	for (uint32_t peer = 0; peer < 3; peer++)
		in_memory_peer(m, peer);
	in_memory_prefix(m, "10.1.0.0/16", 0);
	in_memory_prefix(m, "fd01::/16", 0);
	in_memory_prefix(m, "10.3.0.0/16", 1);
	in_memory_prefix(m, "fd03::1/128", 1);
	in_memory_prefix(m, "10.4.0.0/16", 2);
	if (in_memory_commit(m) != 0)
		abort();
	for (uint32_t peer = 0; peer < 2; peer++) {
		in_memory_path(m, peer, IN_MEMORY_REMOTE, NULL);
		in_memory_install(m, &(struct in_memory_session){ .peer = peer,
					     .receiver_index = 0x00100001 + peer,
					     .sender_index = 0x4711,
					     .role = SHM_ROLE_INITIATOR,
					     .key_receive = 1,
					     .key_send = 2 });
	}
}

// Each input finds the same: young sessions, empty windows.
static void
reset(void)
{
	uint64_t now = mono_now().ns;

	for (uint32_t slot = 1; slot <= 2; slot++) {
		m->keys->rx[slot].birth_ns = m->keys->tx[slot].birth_ns = now;
		m->state->sessions[slot].birth_ns = now;
		memset(&m->keys->replay[slot], 0, sizeof(m->keys->replay[slot]));
		counters[slot] = 0;
	}
}

static void
seal_and_push(uint32_t slot, const uint8_t *plaintext, size_t len, uint8_t ecn)
{
	uint8_t message[4096];
	struct aead_job job = {
		.data = message + WG_TRANSPORT_HEADER_LEN,
		.key = m->keys->rx[slot].key,
		.counter = counters[slot]++,
		.len = (uint32_t)len,
	};

	wg_transport_header_write(message, m->keys->rx[slot].receiver_index, job.counter);
	memcpy(job.data, plaintext, len);
	aead_seal(&job, 1);
	(void)in_memory_push_wire(
		m, 0, message, WG_TRANSPORT_HEADER_LEN + len + WG_TAG_LEN, NULL, ecn);
}

// What reaches the host is a packet; what reaches the wire opens at the peer as one.
static void
check_outputs(void)
{
	struct ip_view v;
	struct pkt *p;

	while ((p = in_memory_take_host(m, 0)) != NULL) {
		if (!ip_parse(p->data, p->len, &v) || v.total_len != p->len)
			abort();
		in_memory_put(m, p);
	}
	while ((p = in_memory_take_wire(m, 0)) != NULL) {
		struct aead_job job = {
			.data = p->data + WG_TRANSPORT_HEADER_LEN,
			.len = p->len - WG_TRANSPORT_HEADER_LEN - WG_TAG_LEN,
			.key = m->keys->tx[p->slot].key,
			.counter = wg_message_counter(p->data),
		};

		if (wg_message_type(p->data, p->len) != WG_MESSAGE_TRANSPORT_DATA ||
			p->outer->family == 0 || job.len > IN_MEMORY_MTU)
			abort();
		aead_open(&job, 1);
		if (!job.ok || (job.len > 0 && !ip_parse(job.data, job.len, &v)))
			abort();
		in_memory_put(m, p);
	}
}

static void
round_and_check(void)
{
	struct shm_packet punted;
	struct shm_event event;

	while (in_memory_round(m) > 0)
		;
	check_outputs();
	while (in_memory_event(m, &event) || in_memory_punted(m, &punted))
		;
}

static void
one_record(uint8_t kind, const uint8_t *data, size_t len)
{
	const struct shm_command give_up = { .kind = SHM_CMD_UNREACHABLE, .one.peer = 2 };
	uint8_t ecn = kind >> 3 & 3;

	switch (kind & 7) {
	case 0:
		(void)in_memory_push_wire(m, 0, data, len, NULL, ecn);
		break;
	case 1:
	case 2:
		(void)in_memory_push_host(m, 0, data, len);
		break;
	case 3:
	case 4:
	case 5:
		seal_and_push(1, data, len, ecn);
		break;
	case 6:
		seal_and_push(2, data, len, ecn);
		break;
	case 7:
		in_memory_command(m, &give_up);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct shm_command give_up = { .kind = SHM_CMD_UNREACHABLE, .one.peer = 2 };
	size_t at = 0;

	if (m == NULL)
		set_up();
	reset();
	while (at + 3 <= len) {
		uint8_t kind = data[at];
		size_t n = (size_t)(data[at + 1] | data[at + 2] << 8) % 2000;

		at += 3;
		if (n > len - at)
			n = len - at;
		one_record(kind, data + at, n);
		at += n;
		if ((kind & 0x80) != 0)
			round_and_check();
	}
	round_and_check();
	in_memory_command(m, &give_up); // what waits now
	round_and_check();
	if (in_memory_free_frames(m) != pool_frame_count(m->pool))
		abort();
	return 0;
}
