/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Super-packets of any bytes.  The first byte says what the rest is:
 *   even: a virtio header and a packet to be cut; every piece must parse and be of the length said;
 *   odd:  packets to be merged, each as a two-byte length and its bytes, their checksums made right
 *         where the length's highest bit is set.  Cut again, every flow must be what it was.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/gso.h"
#include "lib/net/checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MAX_PACKETS 200
#define FRAME_LEN   4096

// What went in, and whether it has come out.
static struct {
	uint8_t bytes[FRAME_LEN];
	uint32_t len;
	bool is_out;
} packets[MAX_PACKETS];
static unsigned n_packets;

static _Alignas(64) uint8_t frames[MAX_PACKETS][FRAME_LEN];

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
cut(const struct virtio_net_hdr *hdr, uint8_t *packet, uint32_t len)
{
	static uint8_t out[GSO_MAX_LEN];
	struct gso_cut c;
	struct ip_view v;
	uint32_t n;

	if (gso_cut_begin(&c, hdr, packet, len) < 0)
		return;
	while ((n = gso_cut_len(&c)) > 0) {
		require(n <= len);
		gso_cut_next(&c, out);
		require(ip_parse(out, n, &v) && v.total_len == n);
	}
}

// The oldest packet that has not come out and has the same bytes but for an IPv4 identifier and
// what depends on it.
static bool
take(const uint8_t *p, uint32_t len)
{
	for (unsigned i = 0; i < n_packets; i++) {
		uint8_t copy[FRAME_LEN];

		if (packets[i].is_out || packets[i].len != len)
			continue;
		memcpy(copy, p, len);
		if (len >= 20 && p[0] >> 4 == 4 && (p[6] & 0x40) != 0) {
			memcpy(copy + 4, packets[i].bytes + 4, 2);
			memcpy(copy + 10, packets[i].bytes + 10, 2);
		}
		if (memcmp(copy, packets[i].bytes, len) != 0)
			continue;
		packets[i].is_out = true;
		return true;
	}
	return false;
}

static void
check_merged(void *context, const struct gso_super *super)
{
	static uint8_t whole[GSO_MAX_LEN], out[GSO_MAX_LEN];
	uint32_t len = 0, skip = 0, n, pieces = 0;
	struct gso_cut c;

	(void)context;
	require(super->n >= 1 && super->n <= GSO_MAX_PACKETS);
	if (super->n == 1) {
		require(take(super->pkts[0]->data, super->pkts[0]->len));
		require(super->hdr.flags == 0 && super->hdr.gso_type == 0);
		return;
	}
	for (uint32_t i = 0; i < super->n; i++) {
		require(super->pkts[i]->len > skip);
		memcpy(whole + len, super->pkts[i]->data + skip, super->pkts[i]->len - skip);
		len += super->pkts[i]->len - skip;
		skip = super->header_len;
	}
	require(len == super->len && len <= 65535);
	require(gso_cut_begin(&c, &super->hdr, whole, len) == 0);
	for (; (n = gso_cut_len(&c)) > 0; pieces++) {
		gso_cut_next(&c, out);
		require(take(out, n));
	}
	require(pieces == super->n);
}

static void
make_right(uint8_t *p, uint32_t len)
{
	struct ip_view v;

	if (!ip_parse(p, len, &v))
		return;
	if (v.family == ADDR_V4)
		checksum_fill_ipv4(p, v.header_len);
	if (!ip_is_fragment(&v))
		(void)checksum_fill_packet(p, &v);
}

static void
merge(const uint8_t *data, size_t len)
{
	struct gso_merge m;

	gso_merge_init(&m, true, check_merged, NULL);
	n_packets = 0;
	while (len >= 2 && n_packets < MAX_PACKETS) {
		struct pkt *pkt = (struct pkt *)frames[n_packets];
		uint32_t n = load_be16(data) & 0x7fff;
		bool is_right = (data[0] & 0x80) != 0;

		data += 2;
		len -= 2;
		if (n > len)
			n = (uint32_t)len;
		if (n > pkt_capacity(FRAME_LEN))
			n = pkt_capacity(FRAME_LEN);
		pkt->frame_len = FRAME_LEN;
		pkt_reset(pkt);
		memcpy(pkt->data, data, n);
		pkt->len = n;
		if (is_right)
			make_right(pkt->data, n);
		memcpy(packets[n_packets].bytes, pkt->data, n);
		packets[n_packets].len = n;
		packets[n_packets++].is_out = false;
		gso_merge_add(&m, pkt);
		data += n;
		len -= n;
	}
	gso_merge_flush(&m);
	for (unsigned i = 0; i < n_packets; i++)
		require(packets[i].is_out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct virtio_net_hdr hdr;
	uint8_t *copy;

	if (len < 1)
		return 0;
	if ((data[0] & 1) != 0) {
		merge(data + 1, len - 1);
		return 0;
	}
	if (len < 1 + sizeof(hdr) || len > GSO_MAX_LEN)
		return 0;
	memcpy(&hdr, data + 1, sizeof(hdr));
	len -= 1 + sizeof(hdr);
	copy = malloc(len + 1); // of its own, so that a byte too far is seen
	memcpy(copy, data + 1 + sizeof(hdr), len);
	cut(&hdr, copy, (uint32_t)len);
	free(copy);
	return 0;
}
