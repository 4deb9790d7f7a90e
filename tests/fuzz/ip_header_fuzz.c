/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Inner packets of any bytes: first header, extension headers, MSS clamp, TTL, ECN, flow hash, and
 * every ICMP error about them.  What is changed or built must still parse and have right checksums.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/ecn.h"
#include "lib/net/flow_hash.h"
#include "lib/net/headers.h"
#include "lib/net/icmp.h"
#include "lib/net/mss.h"
#include "lib/net/ttl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
build_errors(const uint8_t *p, const struct ip_view *v)
{
	struct addr source = { .family = v->family, .bytes = { 10, 99, 0, 1 } };
	uint8_t buf[ICMP_ERROR_MAX];

	for (int error = ICMP_ERROR_TOO_BIG; error <= ICMP_ERROR_PROHIBITED; error++) {
		uint32_t room = v->total_len % (ICMP_ERROR_MAX + 1);
		struct ip_view built;
		uint32_t n;

		n = icmp_error_build((enum icmp_error)error, p, v, &source, 1420, buf, room);
		require(n <= room);
		n = icmp_error_build((enum icmp_error)error, p, v, &source, 1420, buf, sizeof(buf));
		require((n > 0) == icmp_error_is_allowed(p, v));
		if (n == 0)
			continue;
		require(ip_parse(buf, n, &built) && built.total_len == n);
		require(!icmp_error_is_allowed(buf, &built));
	}
}

static void
walk(const uint8_t *p, const struct ip_view *v)
{
	struct ip_transport t;

	require(v->total_len >= v->header_len);
	(void)flow_hash_inner(p, v, 0);
	if (ip_find_transport(p, v, &t) < 0)
		return;
	require(t.offset >= v->header_len && t.offset <= v->total_len);
	require(t.offset <= (uint32_t)v->header_len + IP_MAX_EXTENSION_BYTES);
}

// A valid header checksum stays valid, and the packet parses to the same lengths.
static void
change(uint8_t *p, const struct ip_view *v)
{
	bool is_v4 = v->family == ADDR_V4;
	bool was_valid = is_v4 && checksum_is_valid_ipv4(p, v->header_len);
	struct ip_view after;

	(void)tcp_clamp_mss(p, v, 1420);
	(void)ip_decrement_ttl(p);
	ip_set_ecn(p, ECN_CE);
	require(ip_parse(p, v->total_len, &after));
	require(after.total_len == v->total_len && after.protocol == v->protocol);
	require(after.ecn == ECN_CE);
	if (was_valid)
		require(checksum_is_valid_ipv4(p, v->header_len));
	(void)checksum_fill_packet(p, v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ip_view v;
	uint8_t *p;

	if (len == 0 || len > UINT16_MAX + IPV6_HEADER_LEN)
		return 0;
	p = malloc(len); // a block of its own: the sanitizer sees a byte too far
	if (p == NULL)
		return 0;
	memcpy(p, data, len);
	if (ip_parse(p, (uint32_t)len, &v)) {
		walk(p, &v);
		build_errors(p, &v);
		change(p, &v);
	}
	free(p);
	return 0;
}
