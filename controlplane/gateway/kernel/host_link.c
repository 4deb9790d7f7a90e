/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Looking at interfaces, ours and others.
 */

#include "controlplane/gateway/kernel/host_state.h"

#include <errno.h>
#include <string.h>

#include "lib/base/err.h"

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
host_get_link(struct host *h, uint32_t ifindex, struct link_row *ret_link)
{
	struct message m;

	return netlink_get(&h->nl, message_link_get_index(&m, ifindex), store_link, ret_link);
}

int
host_read_own_link(struct host *h)
{
	struct message m;
	int err = netlink_get(&h->nl, message_link_get(&m, h->interface), store_link, &h->link);

	if (err == -ENODEV) {
		notes_add(&h->notes,
			"interface %s does not exist: packets for peers are refused until the data "
			"plane "
			"has made it",
			h->interface);
	} else if (err < 0) {
		notes_add(&h->notes, "interface %s cannot be read: %s", h->interface, err_str(err));
	} else if (!h->link.is_tun) {
		notes_add(&h->notes,
			"interface %s is not a TUN: it is left alone; choose another name in "
			"dataplane.interface",
			h->interface);
		err = -EMEDIUMTYPE;
	}
	if (err < 0)
		memset(&h->link, 0, sizeof(h->link));
	return err;
}
