/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The synthetic card: what goes in comes out, rings go round, no frame is lost.
 */

#include "bench/path/nic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/path/burst.h"
#include "lib/base/bytes.h"
#include "lib/net/headers.h"
#include "tests/lib/tap.h"

#define RING    64
#define FRAMES  512
#define ADDRESS 0xc6336401u
#define PORT    51820

static void *memory;
static struct pool *pool;
static struct pool_cache cache;

static struct nic *
make(enum pkt_kind kind)
{
	struct nic_config config = {
		.name = "card",
		.kind = kind,
		.port_index = 3,
		.ring = RING,
		.burst = 32,
		.lines = NIC_LINES_MEMORY,
		.address = ADDRESS,
		.udp_port = PORT,
		.cache = &cache,
	};
	struct nic *nic;

	memory = aligned_alloc(4096, FRAMES * 2112);
	if (memory == NULL || pool_create(memory, FRAMES * 2112, 2112, &pool) < 0)
		abort();
	pool_cache_init(&cache, pool);
	if (nic_create(&config, &nic) < 0)
		abort();
	return nic;
}

static void
unmake(struct nic *nic)
{
	nic_destroy(nic);
	pool_destroy(pool);
	free(memory);
}

static uint32_t
free_frames(void)
{
	return pool_free_count(pool) + cache.n;
}

// A datagram as it is on the wire.
static uint16_t
write_frame(uint8_t *f, uint16_t to_port, uint8_t ecn, const char *payload)
{
	uint16_t len = (uint16_t)strlen(payload);

	memset(f, 0, NIC_OUTER_LEN);
	store_be16(f + 12, 0x0800);
	f[14] = 0x45;
	f[15] = ecn;
	store_be16(f + 16, (uint16_t)(28 + len));
	f[23] = IP_PROTOCOL_UDP;
	memcpy(f + 26, "\xc6\x12\x00\x09", 4);
	memcpy(f + 30, "\xc6\x33\x64\x01", 4);
	store_be16(f + 34, 4321);
	store_be16(f + 36, to_port);
	store_be16(f + 38, (uint16_t)(8 + len));
	memcpy(f + NIC_OUTER_LEN, payload, len);
	return (uint16_t)(NIC_OUTER_LEN + len);
}

static void
receive(struct nic *nic, uint16_t to_port, uint8_t ecn, const char *payload, uint32_t hash)
{
	uint16_t len = write_frame(nic_rx_frame(nic, 0), to_port, ecn, payload);

	nic_receive(nic, &len, &hash, 1);
}

static void
test_receive(void)
{
	struct nic *nic = make(PKT_WIRE);
	struct port *port = nic_port(nic);
	struct pkt *pkts[BURST_MAX];

	tap_int(nic_rx_room(nic), RING, "every descriptor has a frame");
	tap_ok(port->ops->is_idle(port, 0), "nothing has come");
	receive(nic, PORT, 2, "hello", 99);
	tap_ok(!port->ops->is_idle(port, 0), "something has come");
	tap_int(port->ops->rx(port, 0, pkts, BURST_MAX), 1, "one packet");
	tap_int(pkts[0]->len, 5, "its payload's length");
	tap_bytes(pkts[0]->data, "hello", 5, "and bytes");
	tap_bytes(pkts[0]->rx_outer.remote, "\xc6\x12\x00\x09", 4, "where from");
	tap_int(pkts[0]->rx_outer.remote_port, 4321, "and from which port");
	tap_bytes(pkts[0]->rx_outer.local, "\xc6\x33\x64\x01", 4, "where to");
	tap_int(pkts[0]->outer_ecn, 2, "congestion bits");
	tap_int(pkts[0]->flow_hash, 99, "the card's hash");
	tap_int(pkts[0]->port, 3, "by which port");
	tap_int(pkts[0]->outer_tag, pkt_outer_tag(&pkts[0]->rx_outer), "the endpoint's tag");
	pool_put(&cache, pkts, 1);
	tap_int(nic_rx_room(nic), RING, "the descriptor has a new frame");
	tap_int(free_frames(), FRAMES - RING, "and no frame is lost");

	receive(nic, PORT + 1, 0, "not ours", 0);
	tap_int(port->ops->rx(port, 0, pkts, BURST_MAX), 0,
		"a datagram for another port is no packet");
	tap_int(port->counters->malformed, 1, "but counted");
	tap_int(free_frames(), FRAMES - RING, "and its frame is back");
	unmake(nic);
}

// The text that a packet is.
static unsigned long
number_in(const struct pkt *p)
{
	char text[16] = "";

	memcpy(text, p->data, p->len < sizeof(text) ? p->len : sizeof(text) - 1);
	return strtoul(text, NULL, 10);
}

static void
test_rounds(void)
{
	struct nic *nic = make(PKT_WIRE);
	struct port *port = nic_port(nic);
	struct pkt *pkts[BURST_MAX];
	bool in_order = true, in_bursts = true;
	uint32_t came = 0, sent = 0;
	char text[16];

	while (sent < 10 * RING + 7) {
		for (uint32_t i = 0; i < 50 && nic_rx_room(nic) > 0; i++) {
			snprintf(text, sizeof(text), "%u", sent);
			receive(nic, PORT, 0, text, sent++);
		}
		for (uint32_t n; (n = port->ops->rx(port, 0, pkts, BURST_MAX)) > 0;) {
			in_bursts = in_bursts && n <= 32;
			for (uint32_t i = 0; i < n; i++)
				in_order = in_order && pkts[i]->flow_hash == came++ &&
				           number_in(pkts[i]) == pkts[i]->flow_hash;
			pool_put(&cache, pkts, n);
		}
	}
	tap_ok(in_order && came == sent, "many times round the ring all come, in order");
	tap_ok(in_bursts, "never more than a burst at once");
	tap_int(free_frames(), FRAMES - RING, "and no frame is lost");
	unmake(nic);
}

static void
test_send(void)
{
	struct nic *nic = make(PKT_WIRE);
	struct port *port = nic_port(nic);
	struct pkt_outer to = { .remote = { 198, 18, 0, 9 }, .remote_port = 4321, .family = 4 };
	struct nic_frame frames[2 * RING];
	struct pkt *pkts[2 * RING];
	uint8_t *f;

	for (uint32_t i = 0; i < 2 * RING; i++) {
		if (pool_get(&cache, &pkts[i], 1) == 0)
			abort();
		memcpy(pkts[i]->data, "payload", 7);
		pkts[i]->len = 7;
		pkts[i]->outer = &to;
		pkts[i]->outer_ecn = 1;
	}
	tap_int(port->ops->tx(port, 0, pkts, 2 * RING), RING,
		"as many are taken as the ring holds");
	tap_int(nic_to_send(nic, frames, 2 * RING), RING, "and are there for the card");
	f = frames[0].data;
	tap_int(frames[0].len, NIC_OUTER_LEN + 7, "with headers in front");
	tap_ok(load_be16(f + 12) == 0x0800 && f[14] == 0x45 && f[15] == 1 &&
			load_be16(f + 16) == 35 && f[23] == IP_PROTOCOL_UDP &&
			load_be32(f + 26) == ADDRESS,
		"IPv4: length, congestion bits, our address");
	tap_ok(memcmp(f + 30, to.remote, 4) == 0 && load_be16(f + 34) == PORT &&
			load_be16(f + 36) == 4321 && load_be16(f + 38) == 15,
		"and UDP: to the endpoint, from our port");
	tap_bytes(f + NIC_OUTER_LEN, "payload", 7, "and the payload behind");
	tap_int(port->ops->tx(port, 0, pkts + RING, RING), 0, "a full ring takes none");
	nic_sent(nic, RING);
	tap_int(port->ops->tx(port, 0, pkts + RING, RING), RING, "what was sent makes room");
	nic_sent(nic, nic_to_send(nic, frames, 2 * RING));
	port->ops->tx(port, 0, pkts, 0);
	tap_int(free_frames(), FRAMES - RING, "and all frames are back at last");
	unmake(nic);
}

static void
test_host(void)
{
	struct nic *nic = make(PKT_INNER);
	struct port *port = nic_port(nic);
	struct nic_frame frame;
	struct pkt *p;
	uint16_t len = NIC_ETHERNET_LEN + 4;
	uint32_t hash = 5;

	memcpy(nic_rx_frame(nic, 0) + NIC_ETHERNET_LEN, "\x45\0\0\4", 4);
	nic_receive(nic, &len, &hash, 1);
	tap_int(port->ops->rx(port, 0, &p, 1), 1, "a host card gives what is behind Ethernet");
	tap_ok(p->len == 4 && p->data[0] == 0x45 && p->kind == PKT_INNER, "whole");
	tap_int(port->ops->tx(port, 0, &p, 1), 1, "and takes it back");
	tap_int(nic_to_send(nic, &frame, 1), 1, "to send it");
	tap_int(frame.len, NIC_ETHERNET_LEN + 4, "with an Ethernet header");
	unmake(nic);
}

static void
test_refused(void)
{
	struct nic_config config = { .name = "x", .ring = 48, .burst = 1, .cache = &cache };
	struct nic *nic;

	tap_int(nic_create(&config, &nic), -EINVAL, "a ring is a power of two");
	config.ring = RING;
	config.burst = 0;
	tap_int(nic_create(&config, &nic), -EINVAL, "a burst has packets");
	nic_destroy(NULL);
	nic = make(PKT_WIRE);
	config.burst = 1;
	config.ring = 1024;
	tap_int(nic_create(&config, &(struct nic *){ NULL }), -ENOBUFS,
		"a ring that the pool cannot fill is refused");
	unmake(nic);
}

int
main(void)
{
	test_receive();
	test_rounds();
	test_send();
	test_host();
	test_refused();
	return tap_done();
}
