/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Routes, as the kernel tells them.
 */

#include <linux/rtnetlink.h>

#include "controlplane/gateway/kernel/message_parts.h"

// struct rtvia, nexthop objects that are not spelled out, encapsulations: all that a MAC address
// alone does not carry.
static bool
is_involved_attr(uint16_t type)
{
	return type == RTA_VIA || type == RTA_ENCAP || type == RTA_ENCAP_TYPE ||
	       type == RTA_NEWDST || type == RTA_MULTIPATH;
}

static void
read_mtu(const struct nlattr *metrics, struct route_row *route)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, metrics)
	{
		if (mnl_attr_get_type(attr) == RTAX_MTU && !message_read_u32(attr, &route->mtu))
			route->mtu = 0;
	}
}

// The interfaces only: which of them a packet takes is the kernel's to say.
static void
read_hops(const struct nlattr *multipath, struct route_row *route)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);

	while (left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) &&
		NLMSG_ALIGN(hop->rtnh_len) <= NLMSG_ALIGN(left)) {
		size_t len = NLMSG_ALIGN(hop->rtnh_len);

		if (route->n_hops < ROUTE_MAX_HOPS && hop->rtnh_ifindex > 0 &&
			(hop->rtnh_flags & RTNH_F_DEAD) == 0)
			route->hops[route->n_hops++] = (uint32_t)hop->rtnh_ifindex;
		if (len >= left)
			return;
		left -= len;
		hop = (const void *)((const char *)hop + len);
	}
}

static bool
read_attr(const struct nlattr *attr, struct route_row *route)
{
	uint16_t type = mnl_attr_get_type(attr);
	uint8_t family = route->prefix.addr.family;

	route->is_involved |= is_involved_attr(type);
	switch (type) {
	case RTA_DST:
		return message_read_addr(attr, family, &route->prefix.addr);
	case RTA_GATEWAY:
		return message_read_addr(attr, family, &route->gateway);
	case RTA_PREFSRC:
		return message_read_addr(attr, family, &route->source);
	case RTA_TABLE:
		return message_read_u32(attr, &route->table);
	case RTA_PRIORITY:
		return message_read_u32(attr, &route->metric);
	case RTA_OIF:
		return message_read_u32(attr, &route->ifindex);
	case RTA_METRICS:
		read_mtu(attr, route);
		return true;
	case RTA_MULTIPATH:
		read_hops(attr, route);
		return true;
	default:
		return true;
	}
}

bool
message_read_route(const struct nlmsghdr *h, struct route_row *ret_route)
{
	const struct rtmsg *info = message_fixed_part(h, sizeof(*info));
	struct route_row route = {};
	const struct nlattr *attr;

	if (info == NULL || message_from_kernel(info->rtm_family) == ADDR_NONE)
		return false;
	route.prefix.addr.family = message_from_kernel(info->rtm_family);
	route.prefix.len = info->rtm_dst_len;
	route.table = info->rtm_table;
	route.type = info->rtm_type;
	route.protocol = info->rtm_protocol;
	route.is_cached = (info->rtm_flags & RTM_F_CLONED) != 0;
	route.is_dead = (info->rtm_flags & RTNH_F_DEAD) != 0;
	route.narrowed = info->rtm_src_len != 0 || info->rtm_tos != 0 || route.is_cached;
	mnl_attr_for_each(attr, h, sizeof(*info))
	{
		if (!read_attr(attr, &route))
			return false;
	}
	*ret_route = route;
	return route.prefix.len <= addr_bits((enum addr_family)route.prefix.addr.family);
}
