/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Neighbours: requests and rows.
 *
 * Source: linux/neighbour.h; net/core/neighbour.c of Linux for what a request with NTF_EXT_MANAGED
 *         leaves alone (the state and the address of an entry that is there).
 */

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "controlplane/gateway/kernel/message_parts.h"

static struct nlmsghdr *
begin(struct message *m, uint16_t type, uint16_t flags, const struct neighbour_row *row)
{
	struct ndmsg *info = message_begin(m, type, flags, sizeof(*info));
	struct nlmsghdr *h = message_header(m);

	info->ndm_family = message_to_kernel(row->addr.family);
	info->ndm_ifindex = (int)row->ifindex;
	mnl_attr_put(h, NDA_DST, message_addr_bytes(row->addr.family), row->addr.bytes);
	return h;
}

static struct ndmsg *
info_of(struct nlmsghdr *h)
{
	return mnl_nlmsg_get_payload(h);
}

struct nlmsghdr *
message_neighbour_manage(struct message *m, const struct neighbour_row *row)
{
	struct nlmsghdr *h = begin(m, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, row);

	info_of(h)->ndm_type = RTN_UNICAST;
	mnl_attr_put_u32(h, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	if (row->protocol != 0)
		mnl_attr_put_u8(h, NDA_PROTOCOL, row->protocol);
	return h;
}

struct nlmsghdr *
message_neighbour_use(struct message *m, const struct neighbour_row *row)
{
	struct nlmsghdr *h = begin(m, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, row);

	info_of(h)->ndm_type = RTN_UNICAST;
	info_of(h)->ndm_flags = NTF_USE;
	if (row->protocol != 0)
		mnl_attr_put_u8(h, NDA_PROTOCOL, row->protocol);
	return h;
}

struct nlmsghdr *
message_neighbour_keep(struct message *m, const struct neighbour_row *row)
{
	struct nlmsghdr *h = begin(m, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, row);

	info_of(h)->ndm_type = RTN_UNICAST;
	info_of(h)->ndm_state = row->nud;
	if (row->has_mac)
		mnl_attr_put(h, NDA_LLADDR, sizeof(row->mac), row->mac);
	if (row->protocol != 0)
		mnl_attr_put_u8(h, NDA_PROTOCOL, row->protocol);
	return h;
}

struct nlmsghdr *
message_neighbour_delete(struct message *m, const struct neighbour_row *row)
{
	return begin(m, RTM_DELNEIGH, 0, row);
}

struct nlmsghdr *
message_neighbour_get(struct message *m, const struct neighbour_row *row)
{
	return begin(m, RTM_GETNEIGH, 0, row);
}

struct nlmsghdr *
message_dump_neighbours(struct message *m, uint32_t ifindex)
{
	message_begin(m, RTM_GETNEIGH, 0, sizeof(struct ndmsg));
	if (ifindex != 0)
		mnl_attr_put_u32(message_header(m), NDA_IFINDEX, ifindex);
	return message_header(m);
}

static bool
read_attr(const struct nlattr *attr, struct neighbour_row *row)
{
	uint32_t flags = 0;

	switch (mnl_attr_get_type(attr)) {
	case NDA_DST:
		return message_read_addr(attr, row->addr.family, &row->addr);
	case NDA_LLADDR:
		row->has_mac = mnl_attr_get_payload_len(attr) == sizeof(row->mac);
		if (row->has_mac)
			memcpy(row->mac, mnl_attr_get_payload(attr), sizeof(row->mac));
		return true;
	case NDA_PROTOCOL:
		row->protocol = mnl_attr_get_payload_len(attr) > 0 ? mnl_attr_get_u8(attr) : 0;
		return true;
	case NDA_FLAGS_EXT:
		row->is_managed = message_read_u32(attr, &flags) && (flags & NTF_EXT_MANAGED) != 0;
		return true;
	default:
		return true;
	}
}

bool
message_read_neighbour(const struct nlmsghdr *h, struct neighbour_row *ret_row)
{
	const struct ndmsg *info = message_fixed_part(h, sizeof(*info));
	struct neighbour_row row = {};
	const struct nlattr *attr;

	if (info == NULL || message_from_kernel(info->ndm_family) == ADDR_NONE ||
		info->ndm_ifindex <= 0)
		return false;
	row.ifindex = (uint32_t)info->ndm_ifindex;
	row.addr.family = message_from_kernel(info->ndm_family);
	row.nud = info->ndm_state;
	row.is_proxy = (info->ndm_flags & NTF_PROXY) != 0;
	mnl_attr_for_each(attr, h, sizeof(*info))
	{
		if (!read_attr(attr, &row))
			return false;
	}
	*ret_row = row;
	return true;
}
