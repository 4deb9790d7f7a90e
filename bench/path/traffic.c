/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/traffic.h"

#include <string.h>

#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "lib/wg/message.h"

#define AT_ONCE   64
#define IP_LEN    20
#define INNER_LEN (IP_LEN + 8)
#define PORT      9

// A flow of the peer whose turn it is, and its ends.
struct ends {
	uint32_t flow;
	uint32_t peer, lan; /* addresses */
	uint16_t peer_port;
};

static uint32_t
flows_per_peer(const struct traffic *t)
{
	return t->world->config.n_flows / t->world->config.n_peers;
}

static struct ends
ends_of(const struct traffic *t, uint32_t flow)
{
	uint32_t each = flows_per_peer(t), k = flow % each;

	return (struct ends){
		.flow = flow,
		.peer = world_address(t->world, flow / each, 0),
		.lan = WORLD_LAN_HOSTS + k % t->lan_hosts,
		.peer_port = (uint16_t)(1024 + k / t->lan_hosts),
	};
}

static struct ends
next_ends(struct traffic *t, uint32_t peer)
{
	return ends_of(t, peer * flows_per_peer(t) +
				  (uint32_t)(popularity_random(&t->random) % flows_per_peer(t)));
}

static uint32_t
lan_host(struct traffic *t)
{
	return WORLD_LAN_HOSTS + (uint32_t)(popularity_random(&t->random) % t->lan_hosts);
}

static uint32_t
peer_address(struct traffic *t, uint32_t peer)
{
	uint32_t n = t->world->config.prefixes;

	return world_address(
		t->world, peer, n > 1 ? (uint32_t)(popularity_random(&t->random) % n) : 0);
}

// The payload is left as it is: what the frame held before.
static void
write_inner(uint8_t *p, uint32_t len, uint32_t source, uint32_t destination)
{
	memset(p, 0, INNER_LEN);
	p[0] = 0x45;
	store_be16(p + 2, (uint16_t)len);
	p[8] = 64;
	p[9] = IP_PROTOCOL_UDP;
	store_be32(p + 12, source);
	store_be32(p + 16, destination);
	store_be16(p + IP_LEN, PORT);
	store_be16(p + IP_LEN + 2, PORT);
	store_be16(p + IP_LEN + 4, (uint16_t)(len - IP_LEN));
}

// The same for a flow: ports, a header checksum, and the flow's number as the payload.
static void
write_flow(uint8_t *p, uint32_t len, const struct ends *e, bool from_lan, uint16_t outside)
{
	write_inner(p, len, from_lan ? e->lan : e->peer, from_lan ? WORLD_LAN_OURS : e->lan);
	store_be16(p + IP_LEN, from_lan ? PORT : e->peer_port);
	store_be16(p + IP_LEN + 2, from_lan ? outside : PORT);
	store_be32(p + INNER_LEN, e->flow);
	checksum_fill_ipv4(p, IP_LEN);
}

static void
write_ethernet(uint8_t *p)
{
	memcpy(p, WORLD_LAN_MAC "\x02neigh\x08\x00", NIC_ETHERNET_LEN);
}

static void
write_outer(uint8_t *p, uint32_t peer, uint32_t payload_len)
{
	uint8_t *ip = p + NIC_ETHERNET_LEN, *udp = ip + IP_LEN;

	write_ethernet(p);
	memset(ip, 0, IP_LEN + 8);
	ip[0] = 0x45;
	store_be16(ip + 2, (uint16_t)(payload_len + IP_LEN + 8));
	ip[8] = 64;
	ip[9] = IP_PROTOCOL_UDP;
	store_be32(ip + 12, world_outer(peer));
	store_be32(ip + 16, WORLD_GATEWAY);
	store_be16(udp, WORLD_UDP_PORT);
	store_be16(udp + 2, WORLD_UDP_PORT);
	store_be16(udp + 4, (uint16_t)(payload_len + 8));
}

// The inner packet of `peer` whose turn it is, or of the next flow that begins.  Returns the peer.
static uint32_t
prepare_inner(struct traffic *t, uint8_t *inner, uint32_t len, bool to_peers, bool begins)
{
	uint32_t peer = popularity_at(t->popularity, t->next);
	struct ends ends;

	if (t->outside != NULL && !to_peers) {
		ends = begins ? ends_of(t, t->n_primed++) : next_ends(t, peer);
		write_flow(inner, len, &ends, false, 0);
		return ends.flow / flows_per_peer(t);
	}
	write_inner(inner, len, peer_address(t, peer),
		to_peers ? peer_address(t, popularity_at(t->popularity, t->next + 1))
			 : lan_host(t));
	return peer;
}

// A whole frame but for the seal, which the job describes.  Returns its length.
static uint16_t
prepare(struct traffic *t,
	uint8_t *frame,
	bool to_peers,
	bool begins,
	struct world_seal *seal,
	struct aead_job *job)
{
	uint32_t len = sizes_at(t->sizes, t->next), padded = wg_padded_len(len, IN_MEMORY_MTU);
	uint8_t *message = frame + NIC_OUTER_LEN, *inner = message + WG_TRANSPORT_HEADER_LEN;
	uint32_t peer = prepare_inner(t, inner, len, to_peers, begins);

	t->next++;
	world_sending(t->world, peer, seal);
	write_outer(frame, peer, WG_TRANSPORT_HEADER_LEN + padded + WG_TAG_LEN);
	memset(inner + len, 0, padded - len);
	wg_transport_header_write(message, seal->receiver_index, seal->counter);
	*job = (struct aead_job){
		.data = inner, .len = padded, .key = seal->key, .counter = seal->counter
	};
	return (uint16_t)(NIC_OUTER_LEN + WG_TRANSPORT_HEADER_LEN + padded + WG_TAG_LEN);
}

static uint32_t
hash_of(struct traffic *t)
{
	return (uint32_t)popularity_random(&t->random);
}

static void
from_peers(struct traffic *t, uint32_t n, bool to_peers, bool begins)
{
	struct nic *wire = t->world->wire;
	struct world_seal seals[AT_ONCE];
	struct aead_job jobs[AT_ONCE];
	uint16_t lens[AT_ONCE];
	uint32_t hashes[AT_ONCE];

	t->sent += n;
	for (uint32_t now; n > 0; n -= now) {
		now = n < AT_ONCE ? n : AT_ONCE;
		for (uint32_t i = 0; i < now; i++) {
			lens[i] = prepare(
				t, nic_rx_frame(wire, i), to_peers, begins, &seals[i], &jobs[i]);
			hashes[i] = hash_of(t);
		}
		aead_seal(jobs, now);
		nic_receive(wire, lens, hashes, now);
	}
}

void
traffic_from_peers(struct traffic *t, uint32_t n, bool to_peers)
{
	from_peers(t, n, to_peers, false);
}

void
traffic_prime(struct traffic *t, uint32_t n)
{
	from_peers(t, n, false, true);
}

void
traffic_from_lan(struct traffic *t, uint32_t n)
{
	struct nic *host = t->outside != NULL ? t->world->link : t->world->host;

	t->sent += n;
	for (; n > 0; n--) {
		uint32_t peer = popularity_at(t->popularity, t->next);
		uint32_t len = sizes_at(t->sizes, t->next++), hash = hash_of(t);
		uint8_t *frame = nic_rx_frame(host, 0);
		uint16_t frame_len = (uint16_t)(NIC_ETHERNET_LEN + len);

		write_ethernet(frame);
		if (t->outside != NULL) {
			struct ends ends = next_ends(t, peer);

			write_flow(
				frame + NIC_ETHERNET_LEN, len, &ends, true, t->outside[ends.flow]);
		} else {
			write_inner(
				frame + NIC_ETHERNET_LEN, len, lan_host(t), peer_address(t, peer));
		}
		nic_receive(host, &frame_len, &hash, 1);
	}
}

// --- what comes out ----------------------------------------------------------------------------

static uint32_t
collect_host(struct traffic *t)
{
	struct nic_frame frames[AT_ONCE];
	uint32_t n, all = 0;

	while ((n = nic_to_send(t->world->host, frames, AT_ONCE)) > 0) {
		for (uint32_t i = 0; i < n; i++) {
			const uint8_t *ip = frames[i].data + NIC_ETHERNET_LEN;

			if (frames[i].len < NIC_ETHERNET_LEN + INNER_LEN || ip[0] != 0x45 ||
				load_be16(ip + 2) + (uint32_t)NIC_ETHERNET_LEN != frames[i].len ||
				load_be32(ip + 16) >> 24 != WORLD_LAN >> 24)
				t->wrong++;
		}
		nic_sent(t->world->host, n);
		all += n;
	}
	return all;
}

// What NAT made of a flow: the address is ours, and the port stays.
static uint32_t
collect_link(struct traffic *t)
{
	struct nic_frame frames[AT_ONCE];
	uint32_t n, all = 0;

	while (t->outside != NULL && (n = nic_to_send(t->world->link, frames, AT_ONCE)) > 0) {
		for (uint32_t i = 0; i < n; i++) {
			const uint8_t *ip = frames[i].data + NIC_ETHERNET_LEN;
			uint32_t flow = load_be32(ip + INNER_LEN) % t->world->config.n_flows;
			uint16_t port = load_be16(ip + IP_LEN);

			t->wrong += load_be32(ip + 12) != WORLD_LAN_OURS ||
			            load_be32(ip + 16) != ends_of(t, flow).lan ||
			            (t->outside[flow] != 0 && t->outside[flow] != port);
			t->outside[flow] = port;
		}
		nic_sent(t->world->link, n);
		all += n;
	}
	return all;
}

static bool
is_message(const struct nic_frame *frame)
{
	return frame->len >= NIC_OUTER_LEN + WG_TRANSPORT_MIN_LEN &&
	       load_le32(frame->data + NIC_OUTER_LEN) == WG_MESSAGE_TRANSPORT_DATA;
}

// As the peers that messages are for would.
static void
open_all(struct traffic *t, const struct nic_frame *frames, uint32_t n)
{
	struct aead_job jobs[AT_ONCE];
	uint8_t keys[AT_ONCE][AEAD_KEY_LEN];
	uint32_t n_jobs = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t *message = frames[i].data + NIC_OUTER_LEN;

		if (!is_message(&frames[i]) ||
			!world_receiving(
				t->world, wg_message_receiver_index(message), keys[n_jobs])) {
			t->wrong++;
			continue;
		}
		jobs[n_jobs] = (struct aead_job){
			.data = message + WG_TRANSPORT_HEADER_LEN,
			.len = frames[i].len - NIC_OUTER_LEN - WG_TRANSPORT_MIN_LEN,
			.key = keys[n_jobs],
			.counter = wg_message_counter(message),
		};
		n_jobs++;
	}
	aead_open(jobs, n_jobs);
	for (uint32_t i = 0; i < n_jobs; i++)
		t->wrong += !jobs[i].ok;
}

static uint32_t
collect_wire(struct traffic *t, bool look_inside)
{
	struct nic_frame frames[AT_ONCE];
	uint32_t n, all = 0;

	while ((n = nic_to_send(t->world->wire, frames, AT_ONCE)) > 0) {
		if (look_inside)
			open_all(t, frames, n);
		nic_sent(t->world->wire, n);
		all += n;
	}
	return all;
}

uint32_t
traffic_collect(struct traffic *t, bool look_inside)
{
	uint32_t n = collect_host(t) + collect_link(t) + collect_wire(t, look_inside);

	t->received += n;
	return n;
}
