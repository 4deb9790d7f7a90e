/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/link.h"

#include <errno.h>
#include <string.h>

static int
store_link(const struct nlmsghdr *row, void *context)
{
	struct link_row *link = context;

	if (row == NULL)
		memset(link, 0, sizeof(*link));
	else if (!message_read_link(row, link))
		return -EBADMSG;
	return 0;
}

int
link_get(struct netlink *nl, const char *name, struct link_row *ret_link)
{
	struct message m;

	return netlink_get(nl, message_link_get(&m, name), store_link, ret_link);
}

int
link_get_index(struct netlink *nl, uint32_t ifindex, struct link_row *ret_link)
{
	struct message m;

	return netlink_get(nl, message_link_get_index(&m, ifindex), store_link, ret_link);
}
