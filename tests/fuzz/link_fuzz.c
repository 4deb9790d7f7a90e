/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Frames through a gateway with two link ports, with and without NAT: raw ones, packets of hosts,
 * and plaintexts that the client has sealed properly.  Whatever comes, what leaves is whole,
 * nothing of a LAN for the tailnet leaves in clear, and no buffer is lost.
 *
 * Input: records of a kind, a length (16 bits, little-endian) and that many bytes.  Bit 6 of the
 * kind makes the checksum of an IPv4 header right; bit 7 runs a round, so that bursts of any size
 * are made.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table/nat_worker.h"
#include "lib/base/clock.h"
#include "lib/crypto/aead.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "lib/wg/message.h"
#include "tests/lib/gateways.h"
#include "tests/lib/link_world.h"
#include "tests/lib/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct link_world w;
static bool has_nat;

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
set_up(void)
{
	link_world_create(&w);
	w.net->nat_port_first = 61000;
	w.net->nat_port_last = 65535;
	w.net->ports[LAN].flags |= SHM_PORT_FILL_CHECKSUM;
	link_world_say(&w);
}

// Each input finds young sessions with empty windows, no NAT, and the neighbours it began with.
static void
reset(void)
{
	struct in_memory *all[2] = { w.gateway, w.client };
	uint64_t now = mono_now().ns;

	for (unsigned i = 0; i < 2; i++) {
		struct shm_sessions *k = all[i]->keys;

		k->rx[1].birth_ns = k->tx[1].birth_ns = now;
		all[i]->state->sessions[1].birth_ns = now;
		memset(&k->replay[1], 0, sizeof(k->replay[1]));
		atomic_store(&k->tx[1].counter, 0);
	}
	if (has_nat) {
		w.net->nat = 0;
		has_nat = false;
		link_world_say(&w);
	}
	in_memory_neighbour(
		w.gateway, LAN, "192.168.77.5", LINK_WORLD_HOST, SHM_NEIGHBOUR_REACHABLE);
}

static void
push(unsigned link, uint8_t *frame, size_t len)
{
	(void)in_memory_push_link(w.gateway, link, 0, frame, len);
}

static void
push_packet(unsigned link, const uint8_t *packet, size_t len)
{
	uint8_t frame[2100];

	push(link, frame, link_world_frame(frame, link, LINK_WORLD_HOST, packet, len));
}

// As the client would send it: its plaintext need not be a packet.
static void
push_sealed(const uint8_t *plaintext, size_t len)
{
	struct in_memory *m = w.client;
	uint64_t counter = atomic_fetch_add(&m->keys->tx[1].counter, 1);
	uint8_t outer[2100], *udp = outer + 20, *message = udp + 8;
	size_t total = 28 + WG_TRANSPORT_HEADER_LEN + len + WG_TAG_LEN;
	struct aead_job job = {
		.data = message + WG_TRANSPORT_HEADER_LEN,
		.key = m->keys->tx[1].key,
		.counter = counter,
		.len = (uint32_t)len,
	};

	packet_make(outer, total, &(struct packet_make){ .src = "192.0.2.9", .dst = "192.0.2.2" });
	store_be16(udp, 41641);
	store_be16(udp + 2, IN_MEMORY_LISTEN_PORT);
	wg_transport_header_write(message, m->keys->tx[1].sender_index, counter);
	memcpy(job.data, plaintext, len);
	aead_seal(&job, 1);
	push_packet(WAN, outer, total);
}

static bool
is_of_tailnet(const struct ip_view *v)
{
	static const uint8_t v6[6] = { 0xfd, 0x7a };

	if (v->family == ADDR_V4)
		return v->dst[0] == 100 && (v->dst[1] & 0xc0) == 64;
	return memcmp(v->dst, v6, sizeof(v6)) == 0;
}

static bool
is_sealed(const uint8_t *p, const struct ip_view *v)
{
	const uint8_t *udp = p + v->header_len;

	return v->protocol == IP_PROTOCOL_UDP && v->total_len >= v->header_len + 40u &&
	       load_be16(udp) == IN_MEMORY_LISTEN_PORT && load_le32(udp + 8) == 4;
}

static void
check_link(unsigned link)
{
	const uint8_t own[6] = IN_MEMORY_MAC(link);
	struct ip_view v;
	struct pkt *p;

	while ((p = in_memory_take_link(w.gateway, link, 0)) != NULL) {
		const uint8_t *packet = p->data + 14;

		must(p->len > 14 && memcmp(p->data + 6, own, 6) == 0 && (p->data[0] & 1) == 0);
		must(ip_parse(packet, p->len - 14, &v) && v.total_len == p->len - 14);
		must(v.total_len <= 1500);
		must(v.family == ADDR_V6 || checksum_is_valid_ipv4(packet, v.header_len) ||
			link == LAN || !is_sealed(packet, &v));
		must(is_sealed(packet, &v) || !is_of_tailnet(&v));
		in_memory_put(w.gateway, p);
	}
}

static void
round_and_check(void)
{
	struct shm_packet punted;
	struct shm_event event;
	struct ip_view v;
	struct pkt *p;

	while (in_memory_round(w.gateway) > 0)
		;
	check_link(WAN);
	check_link(LAN);
	while ((p = in_memory_take_host(w.gateway, 0)) != NULL) {
		must(ip_parse(p->data, p->len, &v) && v.total_len == p->len);
		in_memory_put(w.gateway, p);
	}
	while ((p = in_memory_take_wire(w.gateway, 0)) != NULL) {
		must(wg_message_type(p->data, p->len) == WG_MESSAGE_TRANSPORT_DATA);
		in_memory_put(w.gateway, p);
	}
	while (in_memory_event(w.gateway, &event) || in_memory_punted(w.gateway, &punted))
		;
}

static void
change(const uint8_t *data, size_t len)
{
	static const char *const hosts[4] = { "192.168.77.5", "192.168.77.6", "192.168.77.254",
		"fd77::5" };

	if (len == 0)
		return;
	if ((data[0] & 0x80) == 0) {
		in_memory_neighbour(w.gateway, LAN, hosts[data[0] & 3], data[0],
			(enum shm_neighbour_state)(data[0] >> 2 & 3));
		return;
	}
	round_and_check(); // whoever changes the network waits for the workers
	w.net->nat = data[0] & 3;
	has_nat = true;
	link_world_say(&w);
}

static void
one_record(uint8_t kind, uint8_t *data, size_t len)
{
	const struct shm_command give_up = { .kind = SHM_CMD_UNREACHABLE, .one.peer = 1 };
	bool mends = (kind & 0x40) != 0 && len >= 20 && data[0] == 0x45;

	if (mends)
		checksum_fill_ipv4(data, 20);
	switch (kind & 7) {
	case 0:
		push(WAN, data, len);
		break;
	case 1:
		push(LAN, data, len);
		break;
	case 2:
	case 3:
		push_packet(LAN, data, len);
		break;
	case 4:
		push_packet(WAN, data, len);
		break;
	case 5:
	case 6:
		push_sealed(data, len);
		break;
	case 7:
		change(data, len);
		in_memory_command(w.gateway, &give_up);
		break;
	}
}

// Fragments wait with NAT's part of the worker.
static bool
has_all_buffers(void)
{
	const struct nat_worker *nat = w.gateway->workers[0]->w.nat;

	return in_memory_free_frames(w.gateway) + nat->from_tunnel.n + nat->to_tunnel.n ==
	       pool_frame_count(w.gateway->pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct shm_command give_up = { .kind = SHM_CMD_UNREACHABLE, .one.peer = 1 };
	uint8_t copy[1560];
	size_t at = 0;

	if (w.gateway == NULL)
		set_up();
	reset();
	while (at + 3 <= len) {
		uint8_t kind = data[at];
		size_t n = (size_t)(data[at + 1] | data[at + 2] << 8) % 1500;

		at += 3;
		if (n > len - at)
			n = len - at;
		memcpy(copy, data + at, n);
		one_record(kind, copy, n);
		at += n;
		if ((kind & 0x80) != 0)
			round_and_check();
	}
	round_and_check();
	in_memory_command(w.gateway, &give_up);
	round_and_check();
	must(has_all_buffers());
	return 0;
}
