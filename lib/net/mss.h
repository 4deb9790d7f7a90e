/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Clamping of the TCP maximum segment size, for paths whose ICMP "too big" never arrives.
 *
 * Source: RFC 9293 section 3.7.1 (the option, MSS = MTU less fixed headers); RFC 4459 section 3.2.
 */
#ifndef LIB_NET_MSS_H
#define LIB_NET_MSS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/headers.h"

/* The work of tcp_clamp_mss(), for packets that may be a SYN.  Call that one. */
bool tcp_clamp_mss_of_syn(uint8_t *p, const struct ip_view *v, uint32_t mtu);

/*
 * Lower the MSS that a SYN in a packet announces to what fits an IP packet of `mtu` bytes (less 40
 * or 60 bytes of fixed headers), and update the TCP checksum, which must be complete.  True if
 * something was changed.  Never raises, never adds an option; a later fragment, another protocol, a
 * segment without SYN, or malformed options from the malformed one on are left alone.
 * v: of ip_parse() on p.  Costs two compares for what is no TCP.
 */
static inline bool
tcp_clamp_mss(uint8_t *p, const struct ip_view *v, uint32_t mtu)
{
	uint32_t flags_at = (uint32_t)v->header_len + 13;

	if (v->protocol == IP_PROTOCOL_TCP) {
		if (v->total_len <= flags_at || (p[flags_at] & 0x02) == 0)
			return false;
		return tcp_clamp_mss_of_syn(p, v, mtu);
	}
	// UDP and ICMPv6 are the common next headers of IPv6; extension headers are rare.
	if (v->family != ADDR_V6 || v->protocol == IP_PROTOCOL_UDP ||
		v->protocol == IP_PROTOCOL_IPV6_ICMP)
		return false;
	return tcp_clamp_mss_of_syn(p, v, mtu);
}

#endif
