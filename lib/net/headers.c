/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/headers.h"

#include <string.h>

#include "lib/base/err.h"

// Where a walk along the extension headers of an IPv6 packet stands.
struct walk {
	const uint8_t *p;
	uint32_t end; // of the packet
	uint32_t at;  // of the header of kind `next`
	uint8_t next;
	bool seen_fragment;
	struct ip_transport *found;
};

static bool
is_extension(uint8_t protocol)
{
	switch (protocol) {
	case IP_PROTOCOL_HOPOPT:
	case IP_PROTOCOL_IPV6_ROUTE:
	case IP_PROTOCOL_IPV6_FRAG:
	case IP_PROTOCOL_AH:
	case IP_PROTOCOL_IPV6_OPTS:
	case IP_PROTOCOL_MOBILITY:
	case IP_PROTOCOL_HIP:
	case IP_PROTOCOL_SHIM6:
		return true;
	default:
		return false;
	}
}

// The length in bytes of the extension header whose first eight bytes are at `h`.
static uint32_t
extension_len(uint8_t kind, const uint8_t *h)
{
	if (kind == IP_PROTOCOL_IPV6_FRAG)
		return 8;
	if (kind == IP_PROTOCOL_AH)
		return ((uint32_t)h[1] + 2) * 4; // RFC 4302 section 2.2 counts in words of four
	return ((uint32_t)h[1] + 1) * 8;
}

static int
read_fragment_header(struct walk *w, const uint8_t *h)
{
	uint16_t word = load_be16(h + 2);

	if (w->seen_fragment)
		return ERR_BAD_FORMAT;
	w->seen_fragment = true;
	w->found->fragment_offset = word & 0xfff8;
	w->found->is_later_fragment = w->found->fragment_offset != 0;
	w->found->is_fragment = w->found->is_later_fragment || (word & 1) != 0;
	return 0;
}

static int
step_over_extension(struct walk *w)
{
	const uint8_t *h = w->p + w->at;
	uint32_t len;
	int err = 0;

	if (w->end - w->at < 8)
		return ERR_TRUNCATED;
	len = extension_len(w->next, h);
	if (len > w->end - w->at)
		return ERR_TRUNCATED;
	if (w->next == IP_PROTOCOL_IPV6_ROUTE && h[2] == 0)
		return ERR_BAD_FORMAT; // RFC 5095: source routing is an amplifier
	if (w->next == IP_PROTOCOL_IPV6_FRAG)
		err = read_fragment_header(w, h);
	w->next = h[0];
	w->at += len;
	return err;
}

static int
walk_extensions(struct walk *w)
{
	uint32_t start = w->at;
	int err;

	// Behind the fragment header of a later fragment is the middle of something.
	for (int n = 0; is_extension(w->next) && !w->found->is_later_fragment; n++) {
		if (n == IP_MAX_EXTENSIONS)
			return ERR_BAD_FORMAT;
		err = step_over_extension(w);
		if (err < 0)
			return err;
		if (w->at - start > IP_MAX_EXTENSION_BYTES)
			return ERR_BAD_FORMAT;
	}
	return 0;
}

int
ip_find_transport(const uint8_t *p, const struct ip_view *v, struct ip_transport *ret_transport)
{
	struct ip_transport found = {
		.fragment_offset = ip_fragment_offset(v),
		.is_fragment = ip_is_fragment(v),
		.is_later_fragment = ip_is_later_fragment(v),
	};
	struct walk w = {
		.p = p,
		.end = v->total_len,
		.at = v->header_len,
		.next = v->protocol,
		.found = &found,
	};
	int err;

	// IPv4 has no chain: what follows its header is the transport header, AH included.
	if (v->family == ADDR_V6) {
		err = walk_extensions(&w);
		if (err < 0)
			return err;
	}
	found.offset = w.at;
	found.protocol = w.next;
	*ret_transport = found;
	return 0;
}

static struct addr
addr_of(uint8_t family, const uint8_t *bytes)
{
	struct addr a = { .family = family };

	memcpy(a.bytes, bytes, family == ADDR_V4 ? IPV4_ADDR_LEN : IPV6_ADDR_LEN);
	return a;
}

struct addr
ip_src(const struct ip_view *v)
{
	return addr_of(v->family, v->src);
}

struct addr
ip_dst(const struct ip_view *v)
{
	return addr_of(v->family, v->dst);
}
