/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/icmp.h"

#include <assert.h>
#include <string.h>

#include "lib/net/checksum.h"

#define ICMP_HEADER_LEN  8
#define MIN_QUOTED_BYTES 8 /* so that there is something to tell the flow by */
#define ERROR_TTL        64
#define IPV6_MIN_MTU     1280

/* Internetwork control (RFC 1812 section 4.3.2.5), as this concerns the path itself. */
#define ERROR_TOS 0xc0

struct icmp_code {
	uint8_t type;
	uint8_t code;
};

static const struct icmp_code codes_v4[] = {
	[ICMP_ERROR_TOO_BIG] = { 3, 4 },
	[ICMP_ERROR_TTL_EXCEEDED] = { 11, 0 },
	[ICMP_ERROR_NO_ROUTE] = { 3, 0 },
	[ICMP_ERROR_HOST_UNREACHABLE] = { 3, 1 },
	[ICMP_ERROR_PROHIBITED] = { 3, 13 },
};

static const struct icmp_code codes_v6[] = {
	[ICMP_ERROR_TOO_BIG] = { 2, 0 },
	[ICMP_ERROR_TTL_EXCEEDED] = { 3, 0 },
	[ICMP_ERROR_NO_ROUTE] = { 1, 0 },
	[ICMP_ERROR_HOST_UNREACHABLE] = { 1, 3 },
	[ICMP_ERROR_PROHIBITED] = { 1, 1 },
};

static_assert(sizeof(codes_v4) == sizeof(codes_v6), "one row per error in both families");

static bool
is_unspecified(const uint8_t *v6)
{
	return (load_be64(v6) | load_be64(v6 + 8)) == 0;
}

// A source that no single host can have, so that an answer would go to many or to nobody.
static bool
is_bad_source(const struct ip_view *v)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool is_loopback;

	if (v->family == ADDR_V4)
		return v->src[0] == 0 || v->src[0] == 127 || v->src[0] >= 224;
	is_loopback = load_be64(v->src) == 0 && load_be64(v->src + 8) == 1;
	return v->src[0] == 0xff || is_loopback || is_unspecified(v->src) ||
	       memcmp(v->src, mapped, sizeof(mapped)) == 0;
}

// 0.0.0.0/8 is an old form of broadcast; 240/4 holds the new one and nothing else of use.
static bool
is_bad_destination(const struct ip_view *v)
{
	if (v->family == ADDR_V4)
		return v->dst[0] == 0 || v->dst[0] >= 224;
	return v->dst[0] == 0xff || is_unspecified(v->dst);
}

// Only types known as requests, answers or news, so that no new error is ever answered.
static bool
is_harmless_icmp_v4(uint8_t type)
{
	switch (type) {
	case 0:  // echo reply
	case 8:  // echo
	case 9:  // router advertisement
	case 10: // router solicitation
	case 13: // timestamp
	case 14: // timestamp reply
	case 15: // information request
	case 16: // information reply
	case 17: // address mask request
	case 18: // address mask reply
	case 42: // extended echo request
	case 43: // extended echo reply
		return true;
	default:
		return false;
	}
}

// Errors have types below 128 (RFC 4443 section 2.1); 137 is the redirect.
static bool
is_harmless_icmp_v6(uint8_t type)
{
	return type >= 128 && type != 137;
}

static bool
is_harmless_transport(const uint8_t *p, const struct ip_view *v)
{
	struct ip_transport t;

	if (ip_find_transport(p, v, &t) < 0 || t.is_later_fragment)
		return false;
	// Either family's ICMP inside either, as nobody has business sending the other's.
	if (t.protocol != IP_PROTOCOL_ICMP && t.protocol != IP_PROTOCOL_IPV6_ICMP)
		return true;
	if (v->total_len - t.offset < 1)
		return false;
	if (t.protocol == IP_PROTOCOL_ICMP)
		return is_harmless_icmp_v4(p[t.offset]);
	return is_harmless_icmp_v6(p[t.offset]);
}

bool
icmp_error_is_allowed(const uint8_t *p, const struct ip_view *v)
{
	return !is_bad_source(v) && !is_bad_destination(v) && is_harmless_transport(p, v);
}

static uint32_t
min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

// Type, code, zeros, what the second word says, the quote; the checksum is left 0.
static void
write_icmp(uint8_t *icmp,
	struct icmp_code code,
	uint32_t word,
	const uint8_t *quoted,
	uint32_t quoted_len)
{
	icmp[0] = code.type;
	icmp[1] = code.code;
	store_be16(icmp + 2, 0);
	store_be32(icmp + 4, word);
	memcpy(icmp + ICMP_HEADER_LEN, quoted, quoted_len);
}

static void
build_v4(enum icmp_error error,
	const uint8_t *p,
	const struct ip_view *v,
	const struct addr *source,
	uint32_t mtu,
	uint8_t *buf,
	uint32_t len)
{
	uint8_t *icmp = buf + IPV4_HEADER_LEN;
	uint32_t headers_len = IPV4_HEADER_LEN + ICMP_HEADER_LEN;

	buf[0] = 0x45;
	buf[1] = ERROR_TOS;
	store_be16(buf + 2, (uint16_t)len);
	store_be32(buf + 4, 0x4000); // never cut, so no identification is needed (RFC 6864)
	buf[8] = ERROR_TTL;
	buf[9] = IP_PROTOCOL_ICMP;
	memcpy(buf + 12, source->bytes, IPV4_ADDR_LEN);
	memcpy(buf + 16, v->src, IPV4_ADDR_LEN);
	checksum_fill_ipv4(buf, IPV4_HEADER_LEN);

	write_icmp(icmp, codes_v4[error], error == ICMP_ERROR_TOO_BIG ? min_u32(mtu, 0xffff) : 0, p,
		len - headers_len);
	checksum_fill_transport(
		ADDR_V4, buf + 12, buf + 16, IP_PROTOCOL_ICMP, icmp, len - IPV4_HEADER_LEN);
}

static void
build_v6(enum icmp_error error,
	const uint8_t *p,
	const struct ip_view *v,
	const struct addr *source,
	uint32_t mtu,
	uint8_t *buf,
	uint32_t len)
{
	uint8_t *icmp = buf + IPV6_HEADER_LEN;
	uint32_t headers_len = IPV6_HEADER_LEN + ICMP_HEADER_LEN;

	store_be32(buf, 0x60000000);
	store_be16(buf + 4, (uint16_t)(len - IPV6_HEADER_LEN));
	buf[6] = IP_PROTOCOL_IPV6_ICMP;
	buf[7] = ERROR_TTL;
	memcpy(buf + 8, source->bytes, IPV6_ADDR_LEN);
	memcpy(buf + 24, v->src, IPV6_ADDR_LEN);

	if (mtu < IPV6_MIN_MTU)
		mtu = IPV6_MIN_MTU;
	write_icmp(
		icmp, codes_v6[error], error == ICMP_ERROR_TOO_BIG ? mtu : 0, p, len - headers_len);
	checksum_fill_transport(
		ADDR_V6, buf + 8, buf + 24, IP_PROTOCOL_IPV6_ICMP, icmp, len - IPV6_HEADER_LEN);
}

uint32_t
icmp_error_build(enum icmp_error error,
	const uint8_t *p,
	const struct ip_view *v,
	const struct addr *source,
	uint32_t mtu,
	uint8_t *buf,
	uint32_t size_bytes)
{
	bool is_v4 = v->family == ADDR_V4;
	uint32_t headers_len = (is_v4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN) + ICMP_HEADER_LEN;
	uint32_t room = min_u32(size_bytes, is_v4 ? ICMP_ERROR_MAX_V4 : ICMP_ERROR_MAX_V6);
	uint32_t quoted_len;

	if (source->family != v->family || !icmp_error_is_allowed(p, v))
		return 0;
	if (room < headers_len + v->header_len + MIN_QUOTED_BYTES)
		return 0;

	quoted_len = min_u32(v->total_len, room - headers_len);
	if (is_v4)
		build_v4(error, p, v, source, mtu, buf, headers_len + quoted_len);
	else
		build_v6(error, p, v, source, mtu, buf, headers_len + quoted_len);
	return headers_len + quoted_len;
}

void
icmp_limiter_init(struct icmp_limiter *l, uint32_t rate_pps, uint32_t burst)
{
	uint64_t interval_ns = rate_pps > 0 ? (uint64_t)NS_PER_S / rate_pps : 0;

	if (interval_ns == 0)
		interval_ns = rate_pps > 0 ? 1 : UINT64_MAX;
	*l = (struct icmp_limiter){ .interval_ns = interval_ns };
	if (rate_pps > 0 && burst > 1)
		l->depth_ns = (burst - 1) * interval_ns; // below 2^62: ten digits each
}

// A bucket kept as one point in time (the "generic cell rate algorithm"): nothing to round, nothing
// that overflows, and a full bucket needs no update.
bool
icmp_limiter_allow(struct icmp_limiter *l, struct mono now)
{
	uint64_t spent_to = l->empty_until_ns > now.ns ? l->empty_until_ns : now.ns;

	if (l->interval_ns == UINT64_MAX || spent_to - now.ns > l->depth_ns)
		return false;
	l->empty_until_ns = spent_to + l->interval_ns;
	return true;
}
