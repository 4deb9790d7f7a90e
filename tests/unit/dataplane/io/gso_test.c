/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Super-packets: cut by the rules of segmentation, merged only where cutting gives back what came.
 * Checksums are judged by a naive sum written here.
 */

#include "dataplane/io/gso.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/io/pool.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define MEMORY_LEN (1024u * 2048u)

enum {
	FIN = 1,
	SYN = 2,
	RST = 4,
	PSH = 8,
	ACK = 16,
	URG = 32,
	ECE = 64,
	CWR = 128
};

static struct pool *pool;
static struct pool_cache cache;

/* ---- naive checksums ---- */

static uint32_t
naive_sum(uint32_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t
naive_pseudo(const uint8_t *p, uint32_t transport, uint32_t transport_len, uint8_t protocol)
{
	uint8_t pseudo[40] = {};

	(void)transport;
	if (p[0] >> 4 == 4) {
		memcpy(pseudo, p + 12, 8);
		pseudo[9] = protocol;
		store_be16(pseudo + 10, (uint16_t)transport_len);
		return naive_sum(0, pseudo, 12);
	}
	memcpy(pseudo, p + 8, 32);
	store_be32(pseudo + 32, transport_len);
	pseudo[39] = protocol;
	return naive_sum(0, pseudo, 40);
}

static bool
has_right_sums(const uint8_t *p, uint32_t len, uint32_t transport, uint8_t protocol)
{
	uint32_t sum = naive_pseudo(p, transport, len - transport, protocol);

	if (p[0] >> 4 == 4 && naive_sum(0, p, (p[0] & 15u) * 4) != 0xffff)
		return false;
	return naive_sum(sum, p + transport, len - transport) == 0xffff;
}

/* ---- packets ---- */

struct shape {
	uint8_t family; // 4 or 6
	bool is_udp;
	uint8_t flow; // in addresses and ports
	uint8_t flags;
	uint8_t ttl;
	bool may_fragment;
	bool with_timestamps; // a TCP option of 12 bytes
	uint16_t id;
	uint32_t seq;
	uint32_t payload_len;
	uint8_t first_byte; // of the payload, which counts up
};

static const struct shape plain = {
	.family = 4,
	.flags = ACK,
	.ttl = 64,
	.id = 100,
	.seq = 1000,
	.payload_len = 1000,
};

static uint32_t
transport_of(const struct shape *s)
{
	return s->family == 4 ? 20 : 40;
}

static uint32_t
header_len_of(const struct shape *s)
{
	return transport_of(s) + (s->is_udp ? 8 : s->with_timestamps ? 32 : 20);
}

static void
write_ip(const struct shape *s, uint8_t *p, uint32_t len)
{
	if (s->family == 4) {
		p[0] = 0x45;
		store_be16(p + 2, (uint16_t)len);
		store_be16(p + 4, s->id);
		p[6] = s->may_fragment ? 0 : 0x40;
		p[8] = s->ttl;
		p[9] = s->is_udp ? 17 : 6;
		memcpy(p + 12, (uint8_t[]){ 10, 0, 0, s->flow, 10, 0, 1, 1 }, 8);
		store_be16(p + 10, (uint16_t)~naive_sum(0, p, 20));
		return;
	}
	p[0] = 0x60;
	store_be16(p + 4, (uint16_t)(len - 40));
	p[6] = s->is_udp ? 17 : 6;
	p[7] = s->ttl;
	p[8] = p[24] = 0xfd;
	p[23] = s->flow;
}

static void
write_transport(const struct shape *s, uint8_t *t, uint32_t len)
{
	store_be16(t, (uint16_t)(5000 + s->flow));
	store_be16(t + 2, 443);
	if (s->is_udp) {
		store_be16(t + 4, (uint16_t)len);
		return;
	}
	store_be32(t + 4, s->seq);
	store_be32(t + 8, 0x01020304);
	t[12] = s->with_timestamps ? 0x80 : 0x50;
	t[13] = s->flags;
	store_be16(t + 14, 512);
	if (s->with_timestamps)
		memcpy(t + 20, (uint8_t[]){ 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8 }, 12);
}

// Whole checksum, or for a super-packet only the pseudo-header's sum.
static uint32_t
write_packet(const struct shape *s, uint8_t *p, bool is_super)
{
	uint32_t transport = transport_of(s), header_len = header_len_of(s);
	uint32_t len = header_len + s->payload_len, sum;
	uint32_t field = transport + (s->is_udp ? 6 : 16);

	memset(p, 0, header_len);
	write_ip(s, p, len);
	write_transport(s, p + transport, len - transport);
	for (uint32_t i = 0; i < s->payload_len; i++)
		p[header_len + i] = (uint8_t)(s->first_byte + i);
	sum = naive_pseudo(p, transport, len - transport, s->is_udp ? 17 : 6);
	if (!is_super)
		sum = (uint16_t)~naive_sum(sum, p + transport, len - transport);
	store_be16(p + field, (uint16_t)sum);
	return len;
}

static struct pkt *
make_pkt(const struct shape *s)
{
	struct pkt *pkt;

	if (pool_get(&cache, &pkt, 1) != 1)
		abort();
	pkt->len = write_packet(s, pkt->data, false);
	return pkt;
}

static struct virtio_net_hdr
super_header(const struct shape *s, uint16_t gso_size)
{
	uint8_t type = s->is_udp        ? VIRTIO_NET_HDR_GSO_UDP_L4
	               : s->family == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
	                                : VIRTIO_NET_HDR_GSO_TCPV6;

	if ((s->flags & CWR) != 0)
		type |= VIRTIO_NET_HDR_GSO_ECN;
	return (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = type,
		.hdr_len = (uint16_t)header_len_of(s),
		.gso_size = gso_size,
		.csum_start = (uint16_t)transport_of(s),
		.csum_offset = s->is_udp ? 6 : 16,
	};
}

/* ---- what the merger emits ---- */

#define MAX_EMITTED 512

static struct emitted {
	struct virtio_net_hdr hdr;
	uint32_t n;
	uint32_t len;
	uint8_t *bytes;
} emitted[MAX_EMITTED];
static unsigned n_emitted;

static void
collect(void *context, const struct gso_super *super)
{
	struct emitted *e = &emitted[n_emitted++];
	uint32_t skip = 0, len = 0;

	(void)context;
	if (n_emitted == MAX_EMITTED)
		abort();
	*e = (struct emitted){ super->hdr, super->n, super->len, malloc(super->len + 1) };
	for (uint32_t i = 0; i < super->n; i++) {
		memcpy(e->bytes + len, super->pkts[i]->data + skip, super->pkts[i]->len - skip);
		len += super->pkts[i]->len - skip;
		skip = super->header_len;
	}
	if (len != super->len)
		abort();
	pool_put(&cache, super->pkts, super->n);
}

static void
forget_emitted(void)
{
	while (n_emitted > 0)
		free(emitted[--n_emitted].bytes);
}

/* ---- cutting ---- */

static void
cut_rows(void)
{
	static const struct {
		const char *what;
		struct shape shape;
		uint16_t gso_size;
		uint32_t pieces, last_len;
	} rows[] = {
		{ "three full pieces", { 4, .flags = ACK, .payload_len = 3000 }, 1000, 3, 1000 },
		{ "a short last one", { 4, .flags = ACK, .payload_len = 2001 }, 1000, 3, 1 },
		{ "one piece", { 4, .flags = ACK, .payload_len = 700 }, 1000, 1, 700 },
		{ "IPv6", { 6, .flags = ACK, .payload_len = 2500 }, 1220, 3, 60 },
		{ "FIN, PSH and CWR",
			{ 4, .flags = ACK | FIN | PSH | CWR | ECE, .payload_len = 2500 }, 1000, 3,
			500 },
		{ "options", { 6, .flags = ACK, .with_timestamps = true, .payload_len = 2400 },
			1208, 2, 1192 },
		{ "a sequence number and an identifier that wrap",
			{ 4, .flags = ACK, .seq = 0xfffffff0, .id = 0xffff, .payload_len = 4000 },
			1000, 4, 1000 },
		{ "UDP", { 4, .is_udp = true, .payload_len = 2500 }, 1200, 3, 100 },
		{ "UDP over IPv6", { 6, .is_udp = true, .payload_len = 2400 }, 1200, 2, 1200 },
		{ "all that a packet holds", { 4, .flags = ACK, .payload_len = 65495 }, 1380, 48,
			635 },
	};
	static uint8_t packet[GSO_MAX_LEN], out[GSO_MAX_LEN];

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		const struct shape *s = &rows[r].shape;
		struct virtio_net_hdr hdr = super_header(s, rows[r].gso_size);
		uint32_t len = write_packet(s, packet, true), transport = transport_of(s);
		uint32_t header_len = header_len_of(s), n, done = 0, pieces = 0;
		bool good = true;
		struct gso_cut cut;

		hdr.hdr_len = 7; // a hint that means nothing
		if (!tap_ok(gso_cut_begin(&cut, &hdr, packet, len) == 0, "%s: cut", rows[r].what))
			continue;
		while ((n = gso_cut_len(&cut)) > 0) {
			bool is_last = done + (n - header_len) == s->payload_len;
			uint8_t flags = s->flags;

			gso_cut_next(&cut, out);
			if (!is_last)
				flags &= (uint8_t) ~(FIN | PSH);
			if (pieces > 0)
				flags &= (uint8_t)~CWR;
			good = good && has_right_sums(out, n, transport, s->is_udp ? 17 : 6);
			good = good && memcmp(out + header_len, packet + header_len + done,
					       n - header_len) == 0;
			if (s->family == 4)
				good = good && load_be16(out + 2) == n &&
				       load_be16(out + 4) == (uint16_t)(s->id + pieces);
			else
				good = good && load_be16(out + 4) == n - 40;
			if (s->is_udp)
				good = good && load_be16(out + transport + 4) == n - transport;
			else
				good = good && out[transport + 13] == flags &&
				       load_be32(out + transport + 4) == s->seq + done;
			done += n - header_len;
			pieces++;
			if (is_last)
				good = good && n - header_len == rows[r].last_len;
		}
		tap_ok(good, "%s: headers, payload and checksums", rows[r].what);
		tap_int(pieces, rows[r].pieces, rows[r].what);
		tap_int(done, s->payload_len, rows[r].what);
	}
}

static void
a_missing_checksum_is_filled(void)
{
	static const struct shape shapes[] = {
		{ 4, .flags = ACK, .payload_len = 77 },
		{ 6, .flags = SYN, .payload_len = 0 },
		{ 4, .is_udp = true, .payload_len = 10 },
		{ 6, .is_udp = true, .payload_len = 1001 },
	};
	uint8_t packet[2048], out[2048];
	struct gso_cut cut;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		struct virtio_net_hdr hdr = super_header(s, 0);
		uint32_t len = write_packet(s, packet, true);

		hdr.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		tap_int(gso_cut_begin(&cut, &hdr, packet, len), 0, "a packet without checksum");
		tap_int(gso_cut_len(&cut), len, "is one piece");
		gso_cut_next(&cut, out);
		tap_int(gso_cut_len(&cut), 0, "and no more");
		tap_ok(has_right_sums(out, len, transport_of(s), s->is_udp ? 17 : 6),
			"with the right checksum");

		len = write_packet(s, packet, false);
		packet[len - 1] ^= 1; // wrong, and whole
		memcpy(out, packet, len);
		hdr.flags = 0;
		tap_int(gso_cut_begin(&cut, &hdr, packet, len), 0, "a whole packet");
		gso_cut_next(&cut, out + 0);
		tap_bytes(out, packet, len, "is not changed");
	}
}

// A datagram whose sum is zero: the field must not say "none".
static void
a_zero_checksum_becomes_ones(void)
{
	struct shape s = { 4, .is_udp = true, .payload_len = 2 };
	struct virtio_net_hdr hdr = super_header(&s, 0);
	uint8_t packet[64];
	uint32_t len = write_packet(&s, packet, false), sum;
	struct gso_cut cut;

	// Payload that makes the sum of everything else ffff, so that its complement is 0.
	memset(packet + 26, 0, 4);
	sum = naive_sum(naive_pseudo(packet, 20, 10, 17), packet + 20, 10);
	store_be16(packet + 28, (uint16_t)(0xffff - sum));
	store_be16(packet + 26, (uint16_t)naive_pseudo(packet, 20, 10, 17));
	hdr.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	tap_int(gso_cut_begin(&cut, &hdr, packet, len), 0, "a datagram whose checksum is 0");
	tap_int(load_be16(packet + 26), 0xffff, "gets ffff");
}

static void
contradictions_are_refused(void)
{
	static const struct {
		const char *what;
		struct virtio_net_hdr hdr;
		uint32_t len; // 0: all
		int at;       // byte to change, -1: none
		uint8_t to;
	} rows[] = {
#define TCP4 .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 500
#define CSUM .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
		{ "pieces of nothing", { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 }, 0, -1, 0 },
		{ "another family", { .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 9 }, 0, -1,
			0 },
		{ "another protocol", { .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4, .gso_size = 9 }, 0,
			-1, 0 },
		{ "UFO", { .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 9 }, 0, -1, 0 },
		{ "no known type", { .gso_type = 77, .gso_size = 9 }, 0, -1, 0 },
		{ "a packet cut off", { TCP4 }, 900, -1, 0 },
		{ "nothing", { TCP4 }, 1, 0, 0 },
		{ "a version", { TCP4 }, 0, 0, 0x55 },
		{ "a short header", { TCP4 }, 0, 0, 0x44 },
		{ "a fragment", { TCP4 }, 0, 6, 0x20 },
		{ "a TCP header of 16 bytes", { TCP4 }, 0, 32, 0x40 },
		{ "a checksum in the IP header", { CSUM, .csum_start = 10 }, 0, -1, 0 },
		{ "a checksum behind the end", { CSUM, .csum_start = 20, .csum_offset = 1019 }, 0,
			-1, 0 },
		{ "a checksum far away", { CSUM, .csum_start = 65535, .csum_offset = 65535 }, 0, -1,
			0 },
	};
	uint8_t packet[2048];
	struct gso_cut cut;

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint32_t len = write_packet(&plain, packet, true);

		if (rows[r].len != 0)
			len = rows[r].len;
		if (rows[r].at >= 0)
			packet[rows[r].at] = rows[r].to;
		tap_ok(gso_cut_begin(&cut, &rows[r].hdr, packet, len) == ERR_BAD_FORMAT,
			"refused: %s", rows[r].what);
	}
}

/* ---- merging ---- */

// Cut, merge: the super-packet that was there before.
static void
round_trips(void)
{
	static uint8_t packet[GSO_MAX_LEN];
	unsigned good = 0, tries = 0;

	srandom(1);
	for (int i = 0; i < 600; i++) {
		struct shape s = {
			.family = i % 2 ? 4 : 6,
			.is_udp = i % 3 == 0,
			.flags = (uint8_t)(ACK | (i % 5 == 0 ? PSH : 0) | (i % 7 == 0 ? CWR : 0) |
					   (i % 11 == 0 ? ECE : 0)),
			.ttl = 64,
			.may_fragment = i % 4 == 0,
			.with_timestamps = i % 4 < 2,
			.id = (uint16_t)random(),
			.seq = (uint32_t)random() * 2,
			.first_byte = (uint8_t)random(),
		};
		uint16_t size = (uint16_t)(200 + random() % 1200);
		uint32_t max = 65535 - header_len_of(&s), len, n;
		struct gso_merge merge;
		struct virtio_net_hdr hdr;
		struct gso_cut cut;

		if (s.is_udp)
			s.flags = 0;
		if (max > size * 64u)
			max = size * 64u;
		s.payload_len = size + 1 + (uint32_t)random() % (max - size);
		hdr = super_header(&s, size);
		len = write_packet(&s, packet, true);
		gso_merge_init(&merge, true, collect, NULL);
		if (gso_cut_begin(&cut, &hdr, packet, len) < 0)
			abort();
		while ((n = gso_cut_len(&cut)) > 0) {
			struct pkt *pkt;

			if (pool_get(&cache, &pkt, 1) != 1)
				abort();
			gso_cut_next(&cut, pkt->data);
			pkt->len = n;
			gso_merge_add(&merge, pkt);
		}
		gso_merge_flush(&merge);
		tries++;
		good += n_emitted == 1 && emitted[0].len == len &&
		        memcmp(emitted[0].bytes, packet, len) == 0 &&
		        memcmp(&emitted[0].hdr, &hdr, sizeof(hdr)) == 0;
		forget_emitted();
	}
	tap_int(good, tries, "cut and merged super-packets are what they were, with their headers");
}

// Two packets of which the second is the first's successor, but for one thing.
static void
merge_rules(void)
{
	static const struct {
		const char *what;
		uint8_t family, first_flags, flags;
		int at;           // byte of the second packet to change, -1: none
		uint8_t by;       // xor
		bool is_resummed; // checksums made right again
		unsigned out;     // packets
	} rows[] = {
		{ "successors", 4, ACK, ACK, -1, 0, true, 1 },
		{ "successors, IPv6", 6, ACK, ACK, -1, 0, true, 1 },
		{ "PSH on the second", 4, ACK, ACK | PSH, -1, 0, true, 1 },
		{ "PSH on the first ends it", 4, ACK | PSH, ACK, -1, 0, true, 2 },
		{ "FIN", 4, ACK, ACK | FIN, -1, 0, true, 2 },
		{ "SYN", 4, ACK, ACK | SYN, -1, 0, true, 2 },
		{ "RST", 4, ACK, ACK | RST, -1, 0, true, 2 },
		{ "URG", 4, ACK, ACK | URG, -1, 0, true, 2 },
		{ "no ACK", 4, ACK, 0, -1, 0, true, 2 },
		{ "SYN first", 4, ACK | SYN, ACK, -1, 0, true, 2 },
		{ "CWR on the first", 4, ACK | CWR, ACK, -1, 0, true, 1 },
		{ "CWR on the second", 4, ACK, ACK | CWR, -1, 0, true, 2 },
		{ "ECE on one", 4, ACK, ACK | ECE, -1, 0, true, 2 },
		{ "ECE on both", 4, ACK | ECE, ACK | ECE, -1, 0, true, 1 },
		{ "another TOS", 4, ACK, ACK, 1, 2, true, 2 },
		{ "another identifier", 4, ACK, ACK, 5, 9, true, 2 },
		{ "may be fragmented", 4, ACK, ACK, 6, 0x40, true, 2 },
		{ "another TTL", 4, ACK, ACK, 8, 1, true, 2 },
		{ "another sequence number", 4, ACK, ACK, 27, 1, true, 2 },
		{ "another acknowledgement", 4, ACK, ACK, 31, 1, true, 2 },
		{ "another window", 4, ACK, ACK, 35, 1, true, 2 },
		{ "another timestamp", 4, ACK, ACK, 47, 1, true, 2 },
		{ "another port", 4, ACK, ACK, 21, 1, true, 2 },
		{ "another source", 4, ACK, ACK, 15, 1, true, 2 },
		{ "another destination", 4, ACK, ACK, 19, 1, true, 2 },
		{ "a damaged payload", 4, ACK, ACK, 500, 1, false, 2 },
		{ "a damaged TCP checksum", 4, ACK, ACK, 36, 1, false, 2 },
		{ "a damaged IPv4 checksum", 4, ACK, ACK, 10, 1, false, 2 },
		{ "another flow label", 6, ACK, ACK, 3, 1, true, 2 },
		{ "another traffic class", 6, ACK, ACK, 1, 0x20, true, 2 },
		{ "another hop limit", 6, ACK, ACK, 7, 1, true, 2 },
		{ "another IPv6 source", 6, ACK, ACK, 15, 1, true, 2 },
		{ "a damaged payload, IPv6", 6, ACK, ACK, 500, 1, false, 2 },
	};

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct shape s = plain;
		struct gso_merge merge;
		struct pkt *a, *b;
		uint8_t before[2048];
		uint32_t t;

		s.family = rows[r].family;
		s.with_timestamps = true;
		s.flags = rows[r].first_flags;
		t = transport_of(&s);
		a = make_pkt(&s);
		s.flags = rows[r].flags;
		s.seq += s.payload_len;
		s.id++;
		b = make_pkt(&s);
		if (rows[r].at >= 0)
			b->data[rows[r].at] ^= rows[r].by;
		if (rows[r].is_resummed) {
			if (s.family == 4) {
				memset(b->data + 10, 0, 2);
				store_be16(b->data + 10, (uint16_t)~naive_sum(0, b->data, 20));
			}
			memset(b->data + t + 16, 0, 2);
			store_be16(b->data + t + 16,
				(uint16_t)~naive_sum(naive_pseudo(b->data, t, b->len - t, 6),
					b->data + t, b->len - t));
		}
		memcpy(before, b->data, b->len);
		gso_merge_init(&merge, false, collect, NULL);
		gso_merge_add(&merge, a);
		gso_merge_add(&merge, b);
		gso_merge_flush(&merge);
		tap_ok(n_emitted == rows[r].out, "%s: %u", rows[r].what, rows[r].out);
		if (n_emitted == 2)
			tap_ok(emitted[1].len == header_len_of(&s) + s.payload_len &&
					memcmp(emitted[1].bytes, before, emitted[1].len) == 0 &&
					emitted[1].hdr.flags == 0,
				"%s: comes second, as it was", rows[r].what);
		forget_emitted();
	}
}

static void
more_rules(void)
{
	struct gso_merge merge;
	struct shape s = plain;
	struct pkt *pkt;

	gso_merge_init(&merge, false, collect, NULL);
	gso_merge_add(&merge, make_pkt(&s));
	s.seq += 1000;
	s.id++;
	s.payload_len = 400;
	gso_merge_add(&merge, make_pkt(&s));
	tap_int(n_emitted, 1, "a shorter segment ends a super-packet at once");
	s.seq += 400;
	s.payload_len = 900;
	gso_merge_add(&merge, make_pkt(&s));
	s.seq += 900;
	s.payload_len = 1000;
	s.id++;
	gso_merge_add(&merge, make_pkt(&s));
	gso_merge_flush(&merge);
	tap_int(n_emitted, 3, "a longer one begins another");
	forget_emitted();

	s = plain;
	gso_merge_add(&merge, make_pkt(&s));
	s.seq += 1000; // the same identifier: fine with "don't fragment"
	gso_merge_add(&merge, make_pkt(&s));
	s.seq += 1000;
	gso_merge_add(&merge, make_pkt(&s));
	s.seq += 1000;
	s.id += 3;
	gso_merge_add(&merge, make_pkt(&s));
	gso_merge_flush(&merge);
	tap_ok(n_emitted == 2 && emitted[0].n == 3, "equal identifiers are not mixed with others");
	forget_emitted();

	s = plain;
	s.payload_len = 0;
	gso_merge_add(&merge, make_pkt(&s));
	gso_merge_add(&merge, make_pkt(&s));
	tap_int(n_emitted, 2, "empty segments go alone and at once");
	forget_emitted();

	s = plain;
	gso_merge_add(&merge, make_pkt(&s));
	for (int i = 0; i < 2; i++) {
		s.seq += 1000;
		s.id = (uint16_t)(s.id + (i == 0));
		if (i == 1)
			s.id = plain.id;
		gso_merge_add(&merge, make_pkt(&s));
	}
	gso_merge_flush(&merge);
	tap_ok(n_emitted == 2 && emitted[0].n == 2, "nor are counted ones with equal ones");
	forget_emitted();

	s = plain;
	s.payload_len = 100;
	for (int i = 0; i < 100; i++) {
		gso_merge_add(&merge, make_pkt(&s));
		s.seq += 100;
		s.id++;
	}
	gso_merge_flush(&merge);
	tap_ok(n_emitted == 2 && emitted[0].n == GSO_MAX_PACKETS, "64 packets at most");
	forget_emitted();

	s = plain;
	s.payload_len = 1380;
	for (int i = 0; i < 60; i++) {
		gso_merge_add(&merge, make_pkt(&s));
		s.seq += 1380;
		s.id++;
	}
	gso_merge_flush(&merge);
	tap_ok(n_emitted == 2 && emitted[0].n == 47, "and 65,535 bytes");
	forget_emitted();

	s = plain;
	gso_merge_add(&merge, make_pkt(&s));
	s.seq += 1000;
	s.id++;
	pkt = make_pkt(&s);
	pkt->len += 5;
	gso_merge_add(&merge, pkt);
	tap_ok(n_emitted == 2 && emitted[1].len == 1045, "bytes behind a packet keep it alone");
	forget_emitted();

	// A later fragment looks as if it had ports.
	s = plain;
	gso_merge_add(&merge, make_pkt(&s));
	pkt = make_pkt(&s);
	pkt->data[6] = 0x20;
	memset(pkt->data + 20, 0xff, 4);
	gso_merge_add(&merge, pkt);
	tap_ok(n_emitted == 2 && emitted[1].bytes[6] == 0x20,
		"a fragment goes alone and overtakes nothing");
	forget_emitted();

	// Behind an extension header a flow is not looked for; what is held goes first.
	s = plain;
	s.family = 6;
	gso_merge_add(&merge, make_pkt(&s));
	pkt = make_pkt(&s);
	pkt->data[6] = IP_PROTOCOL_IPV6_OPTS;
	gso_merge_add(&merge, pkt);
	tap_ok(n_emitted == 2 && emitted[0].bytes[6] == 6 && emitted[1].n == 1,
		"a packet with extension headers is not merged and overtakes nothing");
	forget_emitted();

	// Datagrams, where the receiver cannot take them merged.
	s = plain;
	s.is_udp = true;
	gso_merge_add(&merge, make_pkt(&s));
	s.id++;
	gso_merge_add(&merge, make_pkt(&s));
	tap_int(n_emitted, 2, "UDP is not merged unless it may be");
	gso_merge_flush(&merge);
	forget_emitted();

	// Other protocols pass by.
	s = plain;
	gso_merge_add(&merge, make_pkt(&s));
	pkt = make_pkt(&s);
	pkt->data[9] = 1;
	gso_merge_add(&merge, pkt);
	tap_ok(n_emitted == 1 && emitted[0].bytes[9] == 1, "ICMP waits for nobody");
	gso_merge_flush(&merge);
	forget_emitted();
}

static void
interleaved_flows(void)
{
	struct gso_merge merge;
	struct shape s[10];
	unsigned full = 0;

	gso_merge_init(&merge, false, collect, NULL);
	for (unsigned f = 0; f < 10; f++) {
		s[f] = plain;
		s[f].flow = (uint8_t)f;
	}
	for (unsigned i = 0; i < 10; i++) {
		for (unsigned f = 0; f < GSO_MAX_FLOWS; f++) {
			gso_merge_add(&merge, make_pkt(&s[f]));
			s[f].seq += 1000;
			s[f].id++;
		}
	}
	tap_int(n_emitted, 0, "eight flows are held");
	gso_merge_add(&merge, make_pkt(&s[8]));
	tap_ok(n_emitted == 1 && emitted[0].bytes[15] == 0, "a ninth sends the oldest off");
	gso_merge_flush(&merge);
	for (unsigned i = 0; i < n_emitted; i++)
		full += emitted[i].n == 10;
	tap_int(n_emitted, 9, "one super-packet per flow");
	tap_int(full, 8, "of ten packets, for all but the ninth");
	forget_emitted();
}

/* ---- random packets against the rule itself: cut again, they are what came ---- */

#define MAX_SEEN 400

static struct seen {
	uint32_t len;
	uint8_t bytes[1500];
} went_in[MAX_SEEN];
static bool is_matched[MAX_SEEN];
static unsigned n_in;

// The next packet of this one's flow that has not come out yet, by order of entering.
static int
expected_next(const uint8_t *p)
{
	uint32_t transport = p[0] >> 4 == 4 ? 20 : 40;

	for (unsigned i = 0; i < n_in; i++) {
		const uint8_t *q = went_in[i].bytes;

		if (is_matched[i] || q[0] != p[0])
			continue;
		if (memcmp(q + transport, p + transport, 4) == 0 &&
			(transport == 20 ? memcmp(q + 12, p + 12, 8) : memcmp(q + 8, p + 8, 32)) ==
				0)
			return (int)i;
	}
	return -1;
}

static bool
is_as_it_came(uint8_t *p, uint32_t len)
{
	int i = expected_next(p);
	uint8_t *q;

	if (i < 0)
		return false;
	is_matched[i] = true;
	q = went_in[i].bytes;
	if (p[0] >> 4 == 4 &&
		(q[6] & 0x40) != 0) { // the identifier may differ, and with it the sum
		memcpy(p + 4, q + 4, 2);
		if (naive_sum(0, q, 20) == 0xffff)
			memcpy(p + 10, q + 10, 2);
	}
	return went_in[i].len == len && memcmp(p, q, len) == 0;
}

static unsigned
count_wrong(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < n_emitted; i++) {
		struct emitted *e = &emitted[i];
		uint8_t out[2048];
		struct gso_cut cut;
		uint32_t n, pieces = 0;

		if (gso_cut_begin(&cut, &e->hdr, e->bytes, e->len) < 0) {
			wrong++;
			continue;
		}
		while ((n = gso_cut_len(&cut)) > 0) {
			gso_cut_next(&cut, out);
			wrong += !is_as_it_came(out, n);
			pieces++;
		}
		wrong += pieces != e->n;
	}
	return wrong;
}

static void
add_random(struct gso_merge *merge, struct shape *flows)
{
	struct shape *s = &flows[random() % 12];
	struct pkt *pkt;

	if (random() % 10 == 0)
		s->payload_len = (uint32_t)random() % 900;
	s->flags = (uint8_t)(ACK | (random() % 12 ? 0 : PSH) | (random() % 20 ? 0 : FIN) |
			     (random() % 20 ? 0 : CWR));
	pkt = make_pkt(s);
	if (random() % 15 == 0)
		pkt->data[24 + random() % (pkt->len - 24)] ^= (uint8_t)(1 << random() % 8);
	s->seq += s->payload_len;
	s->id = (uint16_t)(s->id + (random() % 20 != 0));
	s->payload_len = 900;
	went_in[n_in].len = pkt->len;
	memcpy(went_in[n_in++].bytes, pkt->data, pkt->len);
	gso_merge_add(merge, pkt);
}

static void
random_bursts(void)
{
	unsigned wrong = 0, merged = 0, came_out = 0, total = 0;

	srandom(2);
	for (int round = 0; round < 150; round++) {
		struct gso_merge merge;
		struct shape flows[12];

		gso_merge_init(&merge, true, collect, NULL);
		for (unsigned f = 0; f < 12; f++) {
			flows[f] = plain;
			flows[f].family = f % 2 ? 4 : 6;
			flows[f].is_udp = f % 3 == 0;
			flows[f].flow = (uint8_t)(f / 2);
			flows[f].may_fragment = f % 4 == 1;
			flows[f].payload_len = 900;
		}
		n_in = 0;
		memset(is_matched, 0, sizeof(is_matched));
		for (int i = 0; i < 300; i++)
			add_random(&merge, flows);
		gso_merge_flush(&merge);
		for (unsigned i = 0; i < n_emitted; i++) {
			came_out += emitted[i].n;
			merged += emitted[i].n > 1;
		}
		total += n_in;
		wrong += count_wrong();
		forget_emitted();
	}
	tap_int(came_out, total, "every packet comes out");
	tap_int(wrong, 0, "cut again, each flow is what it was, damaged packets included");
	tap_ok(merged > 1000, "%u super-packets were made", merged);
}

int
main(void)
{
	void *memory = aligned_alloc(4096, MEMORY_LEN);

	if (pool_create(memory, MEMORY_LEN, 2048, &pool) < 0)
		abort();
	pool_cache_init(&cache, pool);
	cut_rows();
	a_missing_checksum_is_filled();
	a_zero_checksum_becomes_ones();
	contradictions_are_refused();
	round_trips();
	merge_rules();
	more_rules();
	interleaved_flows();
	random_bursts();
	pool_cache_fini(&cache);
	tap_int(pool_free_count(pool), pool_frame_count(pool), "all packets were given back");
	pool_destroy(pool);
	free(memory);
	return tap_done();
}
