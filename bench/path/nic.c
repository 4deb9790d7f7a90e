/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/nic.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "dataplane/path/burst.h"
#include "lib/net/headers.h"

#define LINE         64
#define RECEIVE_AT   (sizeof(struct pkt) + PKT_HEADROOM)
#define ETHERTYPE_IP 0x0800
#define REAP         64 // descriptors given back at a time, as drivers do

static_assert(sizeof(struct nic_rx_descriptor) == 32,
	"two a line, as ice and mlx5 class cards have");
static_assert(sizeof(struct nic_tx_descriptor) == 16, "four a line");

struct nic {
	struct port port; // first: the port's address is ours
	struct port_counters counters;
	struct nic_config config;
	uint32_t mask;
	uint8_t header[NIC_OUTER_LEN]; // of what is sent; what changes is written over it

	struct nic_rx_descriptor *rx;
	struct pkt **rx_pkts;  // the driver's: what was posted
	uint32_t rx_next;      // the driver reads here
	uint32_t rx_posted;    // the driver posts here
	uint32_t device_write; // the device writes here

	struct nic_tx_descriptor *tx;
	struct pkt **tx_pkts;
	uint32_t tx_next;   // the driver writes here
	uint32_t tx_reaped; // ... and gives back here
	uint32_t device_read;
	bool has_clflushopt;
	volatile uint32_t rx_doorbell, tx_doorbell; // registers of the device
};

// --- the driver: receive -----------------------------------------------------------------------

static bool
post(struct nic *nic)
{
	uint32_t n = nic->mask + 1 - (nic->rx_posted - nic->rx_next);
	struct pkt *pkts[BURST_MAX];

	while (n > 0) {
		uint32_t want = n < BURST_MAX ? n : BURST_MAX;
		uint32_t got = pool_get(nic->config.cache, pkts, want);

		for (uint32_t i = 0; i < got; i++) {
			uint32_t at = nic->rx_posted++ & nic->mask;

			nic->rx_pkts[at] = pkts[i];
			nic->rx[at].address = (uint64_t)(uintptr_t)pkts[i] + RECEIVE_AT;
			nic->rx[at].status = 0;
		}
		if (got < want)
			return false;
		n -= got;
	}
	nic->rx_doorbell = nic->rx_posted;
	return true;
}

static bool
parse_outer(const struct nic *nic, struct pkt *p)
{
	const uint8_t *ip = p->data + NIC_ETHERNET_LEN, *udp = ip + 20;
	struct pkt_outer *o = &p->rx_outer;

	if (p->len < NIC_OUTER_LEN || load_be16(p->data + 12) != ETHERTYPE_IP || ip[0] != 0x45 ||
		ip[9] != IP_PROTOCOL_UDP || load_be16(udp + 2) != nic->config.udp_port)
		return false;
	memset(o, 0, sizeof(*o));
	memcpy(o->remote, ip + 12, 4);
	memcpy(o->local, ip + 16, 4);
	o->remote_port = load_be16(udp);
	o->family = 4;
	p->outer = o;
	p->outer_ecn = ip[1] & 3;
	p->outer_tag = pkt_outer_tag(o);
	p->data += NIC_OUTER_LEN;
	p->len = load_be16(udp + 4) - 8u;
	return true;
}

static uint32_t
nic_rx(struct port *port, unsigned, struct pkt **ret_pkts, uint32_t max)
{
	struct nic *nic = (struct nic *)port;
	uint32_t n = 0, kept = 0, most = max < nic->config.burst ? max : nic->config.burst;

	while (n < most && nic->rx[(nic->rx_next + n) & nic->mask].status == NIC_DONE) {
		struct pkt *p = nic->rx_pkts[(nic->rx_next + n) & nic->mask];

		// Its descriptor is written, its outer headers are read, in the next loop.
		__builtin_prefetch(p, 1);
		__builtin_prefetch(&p->rx_outer, 1);
		__builtin_prefetch((uint8_t *)p + RECEIVE_AT);
		n++;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct nic_rx_descriptor *d = &nic->rx[(nic->rx_next + i) & nic->mask];
		struct pkt *p = nic->rx_pkts[(nic->rx_next + i) & nic->mask];

		p->data = (uint8_t *)p + RECEIVE_AT;
		p->len = d->len;
		p->flow_hash = d->flow_hash;
		p->port = nic->port.index;
		p->kind = (uint8_t)nic->config.kind;
		if (nic->config.kind == PKT_FRAME) {
			p->flags = 0;
			p->outer_ecn = 0;
			p->outer = &p->rx_outer;
			ret_pkts[kept++] = p;
			continue;
		}
		if (nic->config.kind == PKT_INNER) {
			p->data += NIC_ETHERNET_LEN;
			p->len -= NIC_ETHERNET_LEN;
		} else if (!parse_outer(nic, p)) {
			nic->counters.malformed++;
			pool_put(nic->config.cache, &p, 1);
			continue;
		}
		ret_pkts[kept++] = p;
	}
	nic->rx_next += n;
	nic->counters.rx_packets += kept;
	if (n > 0 && !post(nic))
		nic->counters.no_buffer++;
	return kept;
}

// --- the driver: send --------------------------------------------------------------------------

static void
write_outer(const struct nic *nic, struct pkt *p)
{
	const struct pkt_outer *o = p->outer;
	uint32_t udp_len = p->len + 8;
	uint8_t *h, *ip, *udp;

	p->data -= NIC_OUTER_LEN;
	p->len += NIC_OUTER_LEN;
	h = p->data;
	memcpy(h, nic->header, NIC_OUTER_LEN);
	ip = h + NIC_ETHERNET_LEN;
	udp = ip + 20;
	ip[1] = p->outer_ecn;
	store_be16(ip + 2, (uint16_t)(udp_len + 20));
	memcpy(ip + 16, o->remote, 4);
	store_be16(udp + 2, o->remote_port);
	store_be16(udp + 4, (uint16_t)udp_len);
}

static void
reap(struct nic *nic)
{
	while (nic->tx_next - nic->tx_reaped >= REAP &&
		nic->tx[(nic->tx_reaped + REAP - 1) & nic->mask].status == NIC_DONE) {
		uint32_t at = nic->tx_reaped & nic->mask; // the ring is a multiple of REAP

		pool_put(nic->config.cache, &nic->tx_pkts[at], REAP);
		nic->tx_reaped += REAP;
	}
}

static uint32_t
nic_tx(struct port *port, unsigned, struct pkt **pkts, uint32_t n)
{
	struct nic *nic = (struct nic *)port;
	uint32_t room;

	reap(nic);
	room = nic->mask + 1 - (nic->tx_next - nic->tx_reaped);
	if (n > room)
		n = room;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = nic->tx_next++ & nic->mask;
		struct pkt *p = pkts[i];

		if (nic->config.kind == PKT_WIRE) {
			write_outer(nic, p);
		} else if (nic->config.kind == PKT_INNER) {
			p->data -= NIC_ETHERNET_LEN;
			p->len += NIC_ETHERNET_LEN;
			memcpy(p->data, nic->header, NIC_ETHERNET_LEN);
		}
		nic->tx_pkts[at] = p;
		nic->tx[at] = (struct nic_tx_descriptor){ .address = (uint64_t)(uintptr_t)p->data,
			.len = p->len };
	}
	nic->tx_doorbell = nic->tx_next;
	nic->counters.tx_packets += n;
	return n;
}

static bool
nic_is_idle(struct port *port, unsigned)
{
	struct nic *nic = (struct nic *)port;

	return nic->rx[nic->rx_next & nic->mask].status != NIC_DONE;
}

static const struct port_ops nic_ops = { .rx = nic_rx, .tx = nic_tx, .is_idle = nic_is_idle };

// --- making it ---------------------------------------------------------------------------------

// Asked once: in a virtual machine each question takes a microsecond or more.
static bool
has_clflushopt(void)
{
	uint32_t a, b, c, d;

	__asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
	return (b >> 23 & 1) != 0;
}

static void
prepare_header(struct nic *nic)
{
	uint8_t *h = nic->header, *ip = h + NIC_ETHERNET_LEN;

	memcpy(h, "\x02neigh\x02local", 12);
	store_be16(h + 12, ETHERTYPE_IP);
	ip[0] = 0x45;
	ip[6] = 0x40; // don't fragment
	ip[8] = 64;
	ip[9] = IP_PROTOCOL_UDP;
	store_be32(ip + 12, nic->config.address);
	store_be16(ip + 20, nic->config.udp_port);
}

static void *
zeroed(size_t len)
{
	void *p = aligned_alloc(LINE, (len + LINE - 1) / LINE * LINE);

	if (p != NULL)
		memset(p, 0, len);
	return p;
}

int
nic_create(const struct nic_config *config, struct nic **ret_nic)
{
	uint32_t ring = config->ring;
	struct nic *nic;

	if (ring < REAP || ring > NIC_RING_MAX || (ring & (ring - 1)) != 0 || config->burst == 0)
		return -EINVAL;
	nic = zeroed(sizeof(*nic));
	if (nic == NULL)
		return -ENOMEM;
	nic->config = *config;
	nic->mask = ring - 1;
	nic->port = (struct port){
		.ops = &nic_ops,
		.counters = &nic->counters,
		.driver = "synthetic",
		.index = config->port_index,
		.is_link = config->kind == PKT_FRAME,
	};
	strncpy(nic->port.name, config->name, sizeof(nic->port.name) - 1);
	prepare_header(nic);
	nic->has_clflushopt = has_clflushopt();
	nic->rx = zeroed(ring * sizeof(*nic->rx));
	nic->rx_pkts = zeroed(ring * sizeof(struct pkt *));
	nic->tx = zeroed(ring * sizeof(*nic->tx));
	nic->tx_pkts = zeroed(ring * sizeof(struct pkt *));
	if (nic->rx == NULL || nic->rx_pkts == NULL || nic->tx == NULL || nic->tx_pkts == NULL) {
		nic_destroy(nic);
		return -ENOMEM;
	}
	if (!post(nic)) {
		nic_destroy(nic);
		return -ENOBUFS;
	}
	*ret_nic = nic;
	return 0;
}

void
nic_destroy(struct nic *nic)
{
	if (nic == NULL)
		return;
	free(nic->rx);
	free(nic->rx_pkts);
	free(nic->tx);
	free(nic->tx_pkts);
	free(nic);
}

struct port *
nic_port(struct nic *nic)
{
	return &nic->port;
}

// --- the device --------------------------------------------------------------------------------

// What the device has written is not in the driver's own caches.
static void
move_lines(const struct nic *nic, const void *data, size_t len)
{
	const uint8_t *first = (const uint8_t *)((uintptr_t)data & ~(uintptr_t)(LINE - 1));
	const uint8_t *end = (const uint8_t *)data + len;
	enum nic_lines lines = nic->config.lines;

	if (lines == NIC_LINES_LEFT)
		return;
	for (const uint8_t *p = first; p < end; p += LINE) {
		if (lines == NIC_LINES_SHARED)
			__asm__ volatile(".byte 0x0f, 0x1c, 0x00" ::"a"(p)
					 : "memory"); // cldemote (%rax)
		else if (nic->has_clflushopt)
			__asm__ volatile(".byte 0x66, 0x0f, 0xae, 0x38" ::"a"(p)
					 : "memory"); // clflushopt
		else
			_mm_clflush(p);
	}
}

uint32_t
nic_rx_room(const struct nic *nic)
{
	return nic->rx_posted - nic->device_write;
}

uint8_t *
nic_rx_frame(struct nic *nic, uint32_t i)
{
	return (uint8_t *)(uintptr_t)nic->rx[(nic->device_write + i) & nic->mask].address;
}

void
nic_receive(struct nic *nic, const uint16_t *lens, const uint32_t *hashes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct nic_rx_descriptor *d = &nic->rx[nic->device_write++ & nic->mask];

		d->len = lens[i];
		d->flow_hash = hashes[i];
		d->status = NIC_DONE;
		move_lines(nic, (void *)(uintptr_t)d->address, lens[i]);
		move_lines(nic, d, sizeof(*d));
	}
}

uint32_t
nic_to_send(struct nic *nic, struct nic_frame *ret_frames, uint32_t max)
{
	uint32_t n = nic->tx_next - nic->device_read;

	if (n > max)
		n = max;
	for (uint32_t i = 0; i < n; i++) {
		const struct nic_tx_descriptor *d = &nic->tx[(nic->device_read + i) & nic->mask];

		ret_frames[i] = (struct nic_frame){ (uint8_t *)(uintptr_t)d->address, d->len };
	}
	return n;
}

void
nic_sent(struct nic *nic, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct nic_tx_descriptor *d = &nic->tx[nic->device_read++ & nic->mask];

		d->status = NIC_DONE;
		move_lines(nic, d, sizeof(*d));
	}
}
