/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/message.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "controlplane/gateway/kernel/message_parts.h"

// Values that the headers of Debian 12 have not, or keep inside the kernel.
#define ADDRESS_BY_ADVERTISEMENT 2 /* IFAPROT_KERNEL_RA of linux/if_addr.h, since 5.18 */
#define NO_ADDRESS_GENERATION    1 /* IN6_ADDR_GEN_MODE_NONE of linux/if_link.h */

uint8_t
message_to_kernel(uint8_t family)
{
	return family == ADDR_V6 ? AF_INET6 : family == ADDR_V4 ? AF_INET : AF_UNSPEC;
}

uint8_t
message_from_kernel(uint8_t family)
{
	return family == AF_INET6 ? ADDR_V6 : family == AF_INET ? ADDR_V4 : ADDR_NONE;
}

size_t
message_addr_bytes(uint8_t family)
{
	return addr_bits((enum addr_family)family) / 8;
}

void *
message_begin(struct message *m, uint16_t type, uint16_t flags, size_t header_len)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(m->bytes);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(h, header_len); // comes zeroed
}

struct nlmsghdr *
message_header(struct message *m)
{
	return (struct nlmsghdr *)m->bytes;
}

struct nlmsghdr *
message_link_set(struct message *m, const struct link_row *link)
{
	struct ifinfomsg *info = message_begin(m, RTM_NEWLINK, 0, sizeof(*info));

	info->ifi_index = (int)link->ifindex;
	info->ifi_change = IFF_UP;
	info->ifi_flags = link->up ? IFF_UP : 0;
	if (link->mtu != 0)
		mnl_attr_put_u32(message_header(m), IFLA_MTU, link->mtu);
	return message_header(m);
}

struct nlmsghdr *
message_link_no_addr_gen(struct message *m, uint32_t ifindex)
{
	struct ifinfomsg *info = message_begin(m, RTM_NEWLINK, 0, sizeof(*info));
	struct nlmsghdr *h = message_header(m);
	struct nlattr *families, *v6;

	info->ifi_index = (int)ifindex;
	families = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	v6 = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, NO_ADDRESS_GENERATION);
	mnl_attr_nest_end(h, v6);
	mnl_attr_nest_end(h, families);
	return h;
}

struct nlmsghdr *
message_link_delete(struct message *m, uint32_t ifindex)
{
	struct ifinfomsg *info = message_begin(m, RTM_DELLINK, 0, sizeof(*info));

	info->ifi_index = (int)ifindex;
	return message_header(m);
}

struct nlmsghdr *
message_link_get(struct message *m, const char *name)
{
	message_begin(m, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message_header(m), IFLA_IFNAME, name);
	return message_header(m);
}

struct nlmsghdr *
message_link_get_index(struct message *m, uint32_t ifindex)
{
	struct ifinfomsg *info = message_begin(m, RTM_GETLINK, 0, sizeof(*info));

	info->ifi_index = (int)ifindex;
	return message_header(m);
}

struct nlmsghdr *
message_address(struct message *m, uint16_t type, uint16_t flags, const struct address_row *address)
{
	const struct addr *addr = &address->prefix.addr;
	struct ifaddrmsg *info = message_begin(m, type, flags, sizeof(*info));
	struct nlmsghdr *h = message_header(m);

	info->ifa_family = message_to_kernel(addr->family);
	info->ifa_prefixlen = address->prefix.len;
	info->ifa_index = address->ifindex;
	mnl_attr_put(h, IFA_LOCAL, message_addr_bytes(addr->family), addr->bytes);
	mnl_attr_put(h, IFA_ADDRESS, message_addr_bytes(addr->family), addr->bytes);
	if (type == RTM_NEWADDR)
		mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NOPREFIXROUTE | IFA_F_NODAD);
	return h;
}

// A throw has the narrowest scope, because a look-up for a gateway skips what is wider than the
// link: it would pass by the throw, find our default route behind it, and send the gateway's routes
// into the tunnel.
static uint8_t
scope_of(uint16_t type, const struct route_row *route)
{
	if (type == RTM_DELROUTE)
		return RT_SCOPE_NOWHERE; // whatever it is
	if (route->type == RTN_THROW)
		return RT_SCOPE_HOST;
	return route->ifindex != 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

struct nlmsghdr *
message_route(struct message *m, uint16_t type, uint16_t flags, const struct route_row *route)
{
	const struct addr *addr = &route->prefix.addr;
	struct rtmsg *info = message_begin(m, type, flags, sizeof(*info));
	struct nlmsghdr *h = message_header(m);

	info->rtm_family = message_to_kernel(addr->family);
	info->rtm_dst_len = route->prefix.len;
	info->rtm_protocol = route->protocol;
	info->rtm_type = route->type;
	info->rtm_scope = scope_of(type, route);
	mnl_attr_put(h, RTA_DST, message_addr_bytes(addr->family), addr->bytes);
	mnl_attr_put_u32(h, RTA_TABLE, route->table);
	mnl_attr_put_u32(h, RTA_PRIORITY, route->metric);
	if (route->ifindex != 0)
		mnl_attr_put_u32(h, RTA_OIF, route->ifindex);
	return h;
}

struct nlmsghdr *
message_rule(struct message *m, uint16_t type, uint16_t flags, const struct rule_row *rule)
{
	struct fib_rule_hdr *info = message_begin(m, type, flags, sizeof(*info));
	struct nlmsghdr *h = message_header(m);

	info->family = message_to_kernel(rule->family);
	info->action = rule->action;
	info->flags = rule->inverted ? FIB_RULE_INVERT : 0;
	mnl_attr_put_u32(h, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(h, FRA_TABLE, rule->table);
	mnl_attr_put_u32(h, FRA_FWMARK, rule->mark);
	mnl_attr_put_u32(h, FRA_FWMASK, rule->mask);
	mnl_attr_put_u8(h, FRA_PROTOCOL, rule->protocol);
	return h;
}

struct nlmsghdr *
message_dump_routes(struct message *m, uint8_t family, uint32_t table)
{
	struct rtmsg *info = message_begin(m, RTM_GETROUTE, 0, sizeof(*info));

	info->rtm_family = message_to_kernel(family);
	mnl_attr_put_u32(message_header(m), RTA_TABLE, table);
	return message_header(m);
}

struct nlmsghdr *
message_dump_cached_routes(struct message *m, uint8_t family)
{
	struct rtmsg *info = message_begin(m, RTM_GETROUTE, 0, sizeof(*info));

	info->rtm_family = message_to_kernel(family);
	info->rtm_flags = RTM_F_CLONED;
	return message_header(m);
}

struct nlmsghdr *
message_dump_rules(struct message *m, uint8_t family)
{
	struct fib_rule_hdr *info = message_begin(m, RTM_GETRULE, 0, sizeof(*info));

	info->family = message_to_kernel(family);
	return message_header(m);
}

struct nlmsghdr *
message_dump_links(struct message *m)
{
	message_begin(m, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	return message_header(m);
}

struct nlmsghdr *
message_dump_addresses(struct message *m)
{
	message_begin(m, RTM_GETADDR, 0, sizeof(struct ifaddrmsg));
	return message_header(m);
}

const void *
message_fixed_part(const struct nlmsghdr *h, size_t len)
{
	return mnl_nlmsg_get_payload_len(h) >= len ? mnl_nlmsg_get_payload(h) : NULL;
}

bool
message_read_u32(const struct nlattr *attr, uint32_t *ret_value)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(uint32_t))
		return false;
	*ret_value = mnl_attr_get_u32(attr);
	return true;
}

bool
message_read_addr(const struct nlattr *attr, uint8_t family, struct addr *ret_addr)
{
	size_t len = message_addr_bytes(family);

	if (mnl_attr_get_payload_len(attr) != len)
		return false;
	*ret_addr = (struct addr){ .family = family };
	memcpy(ret_addr->bytes, mnl_attr_get_payload(attr), len);
	return true;
}

// At most `len` bytes with the zero.
static bool
read_text_attr(const struct nlattr *attr, char *text, size_t len)
{
	size_t n = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));

	if (n >= len)
		return false;
	memcpy(text, mnl_attr_get_payload(attr), n);
	text[n] = '\0';
	return true;
}

// "" where the kernel says none, as of hardware.
static void
read_kind(const struct nlattr *link_info, char kind[static IF_NAMESIZE])
{
	const struct nlattr *attr;

	kind[0] = '\0';
	mnl_attr_for_each_nested(attr, link_info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND &&
			!read_text_attr(attr, kind, IF_NAMESIZE))
			kind[0] = '\0';
	}
}

static void
read_xdp(const struct nlattr *xdp, uint32_t *ret_program)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, xdp)
	{
		if (mnl_attr_get_type(attr) == IFLA_XDP_PROG_ID &&
			!message_read_u32(attr, ret_program))
			*ret_program = 0;
	}
}

static bool
read_link_attr(const struct nlattr *attr, struct link_row *link)
{
	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		return read_text_attr(attr, link->name, sizeof(link->name));
	case IFLA_MTU:
		return message_read_u32(attr, &link->mtu);
	case IFLA_LINK:
		return message_read_u32(attr, &link->lower);
	case IFLA_XDP:
		read_xdp(attr, &link->xdp_program);
		return true;
	case IFLA_NUM_RX_QUEUES:
		return message_read_u32(attr, &link->n_rx_queues);
	case IFLA_ADDRESS:
		link->is_ethernet =
			link->is_ethernet && mnl_attr_get_payload_len(attr) == sizeof(link->mac);
		if (link->is_ethernet)
			memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
		return true;
	case IFLA_LINKINFO:
		read_kind(attr, link->kind);
		return true;
	default:
		return true;
	}
}

bool
message_read_link(const struct nlmsghdr *h, struct link_row *ret_link)
{
	const struct ifinfomsg *info = message_fixed_part(h, sizeof(*info));
	struct link_row link = {};
	const struct nlattr *attr;
	bool ok = true;

	if (info == NULL || info->ifi_family != AF_UNSPEC || info->ifi_index <= 0)
		return false;
	link.ifindex = (uint32_t)info->ifi_index;
	link.up = (info->ifi_flags & IFF_UP) != 0;
	link.running = (info->ifi_flags & IFF_RUNNING) != 0;
	link.carrier = (info->ifi_flags & IFF_LOWER_UP) != 0;
	link.is_ethernet = info->ifi_type == ARPHRD_ETHER;
	mnl_attr_for_each(attr, h, sizeof(*info))
	{
		ok = ok && read_link_attr(attr, &link);
	}
	link.is_tun = strcmp(link.kind, "tun") == 0;
	*ret_link = link;
	return ok;
}

static bool
read_address_attr(const struct nlattr *attr, struct address_row *address, bool *has_local)
{
	struct addr *addr = &address->prefix.addr;
	uint32_t flags = 0;

	switch (mnl_attr_get_type(attr)) {
	case IFA_LOCAL: // on a point-to-point link IFA_ADDRESS is the other end's
		*has_local = true;
		return message_read_addr(attr, addr->family, addr);
	case IFA_ADDRESS:
		return *has_local || message_read_addr(attr, addr->family, addr);
	case IFA_FLAGS:
		if (!message_read_u32(attr, &flags))
			return false;
		address->by_advertisement |= (flags & IFA_F_MANAGETEMPADDR) != 0;
		address->is_second_choice |= (flags & (IFA_F_SECONDARY | IFA_F_DEPRECATED |
							      IFA_F_TENTATIVE | IFA_F_DADFAILED)) !=
		                             0; // IPv6's temporary ones are secondary
		return true;
	case IFA_PROTO:
		if (mnl_attr_get_payload_len(attr) < 1)
			return false;
		address->by_advertisement |= mnl_attr_get_u8(attr) == ADDRESS_BY_ADVERTISEMENT;
		return true;
	default:
		return true;
	}
}

bool
message_read_address(const struct nlmsghdr *h, struct address_row *ret_address)
{
	const struct ifaddrmsg *info = message_fixed_part(h, sizeof(*info));
	struct address_row address = {};
	const struct nlattr *attr;
	bool has_local = false;

	if (info == NULL || message_from_kernel(info->ifa_family) == ADDR_NONE)
		return false;
	address.ifindex = info->ifa_index;
	address.link_local = info->ifa_scope == RT_SCOPE_LINK;
	address.prefix.addr.family = message_from_kernel(info->ifa_family);
	address.prefix.len = info->ifa_prefixlen;
	mnl_attr_for_each(attr, h, sizeof(*info))
	{
		if (!read_address_attr(attr, &address, &has_local))
			return false;
	}
	*ret_address = address;
	return address.prefix.len <= addr_bits((enum addr_family)address.prefix.addr.family);
}

static bool
read_rule_attr(const struct nlattr *attr, struct rule_row *rule)
{
	uint32_t value = 0;

	switch (mnl_attr_get_type(attr)) {
	case FRA_PRIORITY:
		return message_read_u32(attr, &rule->priority);
	case FRA_TABLE:
		return message_read_u32(attr, &rule->table);
	case FRA_FWMARK:
		return message_read_u32(attr, &rule->mark);
	case FRA_FWMASK:
		return message_read_u32(attr, &rule->mask);
	case FRA_SUPPRESS_PREFIXLEN:
		rule->suppressed_len = message_read_u32(attr, &value) ? (int)value : -1;
		return true;
	case FRA_PROTOCOL:
		rule->protocol = mnl_attr_get_payload_len(attr) > 0 ? mnl_attr_get_u8(attr) : 0;
		return true;
	case FRA_L3MDEV: // 0 says: no selector
		rule->narrowed |= mnl_attr_get_payload_len(attr) > 0 && mnl_attr_get_u8(attr) != 0;
		return true;
	case FRA_PAD:
	case FRA_DST: // a length of 0 is in the header
	case FRA_SRC:
		return true;
	default: // interface, ports, protocol, user, tunnel, and what is yet to be invented
		rule->narrowed = true;
		return true;
	}
}

bool
message_read_rule(const struct nlmsghdr *h, struct rule_row *ret_rule)
{
	const struct fib_rule_hdr *info = message_fixed_part(h, sizeof(*info));
	struct rule_row rule = { .suppressed_len = -1 };
	const struct nlattr *attr;

	if (info == NULL || message_from_kernel(info->family) == ADDR_NONE)
		return false;
	rule.family = message_from_kernel(info->family);
	rule.action = info->action;
	rule.table = info->table;
	rule.inverted = (info->flags & FIB_RULE_INVERT) != 0;
	rule.narrowed = info->dst_len != 0 || info->src_len != 0 || info->tos != 0;
	mnl_attr_for_each(attr, h, sizeof(*info))
	{
		if (!read_rule_attr(attr, &rule))
			return false;
	}
	*ret_rule = rule;
	return true;
}
