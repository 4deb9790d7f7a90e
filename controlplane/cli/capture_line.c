/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/capture_line.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/headers.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Packets as long as they say, zeros where they were cut. */
static uint8_t whole[UINT16_MAX + IPV6_HEADER_LEN + TCP_HEADER_LEN];

static const char *
tcp_word(uint8_t flags)
{
	if ((flags & TCP_SYN) != 0)
		return (flags & TCP_ACK) != 0 ? " SYN ACK" : " SYN";
	if ((flags & TCP_RST) != 0)
		return " RST";
	return (flags & TCP_FIN) != 0 ? " FIN" : "";
}

// What of ICMP a reader wants to know at a glance.
static const char *
icmp_word(uint8_t protocol, uint8_t type)
{
	if (protocol == IP_PROTOCOL_ICMP)
		return type == 8    ? "echo request"
		       : type == 0  ? "echo reply"
		       : type == 3  ? "unreachable"
		       : type == 11 ? "time exceeded"
		                    : "other";
	return type == 128   ? "echo request"
	       : type == 129 ? "echo reply"
	       : type == 1   ? "unreachable"
	       : type == 2   ? "too big"
	       : type == 3   ? "time exceeded"
	                     : "other";
}

static void
format_ends(const struct ip_view *v, const uint8_t *ports, char out[static 2 * ADDR_TEXT_LEN + 4])
{
	struct endpoint src = { .addr = ip_src(v) }, dst = { .addr = ip_dst(v) };
	char a[ADDR_TEXT_LEN], b[ADDR_TEXT_LEN];

	if (ports != NULL) {
		src.port = load_be16(ports);
		dst.port = load_be16(ports + 2);
		endpoint_format(&src, a);
		endpoint_format(&dst, b);
	} else {
		addr_format(&src.addr, a);
		addr_format(&dst.addr, b);
	}
	snprintf(out, 2 * ADDR_TEXT_LEN + 4, "%s > %s", a, b);
}

static const char *
format_transport(const struct ip_view *v,
	const struct ip_transport *t,
	char out[static CAPTURE_LINE_LEN])
{
	const uint8_t *l4 = whole + t->offset;
	char ends[2 * ADDR_TEXT_LEN + 4];

	if (t->is_later_fragment) {
		format_ends(v, NULL, ends);
		snprintf(out, CAPTURE_LINE_LEN, "%s fragment at %u", ends, t->fragment_offset);
		return out;
	}
	switch (t->protocol) {
	case IP_PROTOCOL_TCP:
		format_ends(v, l4, ends);
		snprintf(out, CAPTURE_LINE_LEN, "%s tcp%s", ends, tcp_word(l4[13]));
		break;
	case IP_PROTOCOL_UDP:
		format_ends(v, l4, ends);
		snprintf(out, CAPTURE_LINE_LEN, "%s udp", ends);
		break;
	case IP_PROTOCOL_ICMP:
	case IP_PROTOCOL_IPV6_ICMP:
		format_ends(v, NULL, ends);
		snprintf(out, CAPTURE_LINE_LEN, "%s icmp %s", ends, icmp_word(t->protocol, l4[0]));
		break;
	default:
		format_ends(v, NULL, ends);
		snprintf(out, CAPTURE_LINE_LEN, "%s protocol %u", ends, t->protocol);
	}
	return out;
}

const char *
capture_line(const uint8_t *data, size_t cap_len, char out[static CAPTURE_LINE_LEN])
{
	struct ip_transport t;
	struct ip_view v;

	if (cap_len > UINT16_MAX)
		cap_len = UINT16_MAX;
	memset(whole, 0, sizeof(whole));
	memcpy(whole, data, cap_len);
	if (cap_len < 1 || !ip_parse(whole, sizeof(whole) - TCP_HEADER_LEN, &v) ||
		ip_find_transport(whole, &v, &t) < 0)
		snprintf(out, CAPTURE_LINE_LEN, "no IP packet");
	else
		format_transport(&v, &t, out);
	return out;
}
