/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The interface itself: up, MTU, addresses.  It is ours altogether: addresses that are not
 * desired are removed, but for the link-local ones, which the kernel makes.
 */

#include "controlplane/gateway/kernel/host_state.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/kernel/link.h"
#include "lib/base/err.h"

#define LOOSE         2  /* rp_filter: any route back will do */
#define MAX_ADDRESSES 64 /* that an interface of ours may carry */
#define MAX_ROUNDS    3
#define IPV6_MIN_MTU  1280 /* RFC 8200 section 5: Linux ends IPv6 on a link with less */
#define LINK_KEY_LEN  JOURNAL_KEY_LEN

static int
read_own_link(struct host *h)
{
	int err = link_get(&h->nl, h->interface, &h->link);

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

static int
set_interface_sysctl(struct host *h, const char *family, const char *setting, int32_t value)
{
	char key[LINK_KEY_LEN];
	int err;

	snprintf(key, sizeof(key), "net/%s/conf/%s/%s", family, h->interface, setting);
	err = host_set_sysctl(h, key, value);
	return err == -ENOENT ? 0 : err;
}

// Loose, because what comes out of a tunnel may belong to a flow that left by another interface.
// Secondary addresses are promoted, or the kernel would remove them with the first of their
// network, and with the last address every IPv4 route of the interface.
static int
set_sysctls(struct host *h)
{
	int err = set_interface_sysctl(h, "ipv4", "rp_filter", LOOSE);

	err = first_error(err, set_interface_sysctl(h, "ipv4", "promote_secondaries", 1));
	// ICMP errors of the workers come from the gateway's own address, by this interface.  A
	// peer cannot use that: the workers' source check lets no own address in.
	err = first_error(err, set_interface_sysctl(h, "ipv4", "accept_local", 1));
	if (host_wants_v6(h))
		err = first_error(err, set_interface_sysctl(h, "ipv6", "disable_ipv6", 0));
	return err;
}

static int
set_link(struct host *h)
{
	struct link_row wanted = { .ifindex = h->link.ifindex, .mtu = h->mtu, .up = true };
	struct message m;
	int err;

	if (h->link.up && h->link.mtu == h->mtu)
		return 0;
	// Nobody in a tunnel answers router solicitations.  A kernel without IPv6 refuses: fine.
	if (h->has_v6 && !h->link.up) {
		err = netlink_change(&h->nl, message_link_no_addr_gen(&m, h->link.ifindex));
		(void)err;
	}
	err = netlink_change(&h->nl, message_link_set(&m, &wanted));
	if (err < 0) {
		notes_add(&h->notes, "interface %s: cannot set it up with MTU %u: %s", h->interface,
			h->mtu, err_str(err));
		return err;
	}
	h->link.up = true;
	h->link.mtu = h->mtu;
	return 0;
}

struct address_list {
	uint32_t ifindex;
	struct address_row row[MAX_ADDRESSES];
	size_t n;
};

static int
store_address(const struct nlmsghdr *row, void *context)
{
	struct address_list *list = context;
	struct address_row address;

	if (row == NULL)
		list->n = 0;
	else if (message_read_address(row, &address) && address.ifindex == list->ifindex &&
		 list->n < MAX_ADDRESSES)
		list->row[list->n++] = address;
	return 0;
}

static bool
same_address(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

static bool
is_listed(const struct address_list *list, const struct prefix *p)
{
	for (size_t i = 0; i < list->n; i++)
		if (same_address(&list->row[i].prefix, p))
			return true;
	return false;
}

static bool
is_desired(const struct host *h, const struct prefix *p)
{
	for (size_t i = 0; i < h->n_addresses; i++)
		if (same_address(&h->addresses[i], p))
			return true;
	return false;
}

static int
add_address(struct host *h, const struct prefix *p)
{
	struct address_row address = { .ifindex = h->link.ifindex, .prefix = *p };
	struct journal_entry entry = { .kind = JOURNAL_ADDRESS, .prefix = *p };
	char text[ADDR_TEXT_LEN];
	struct message m;
	int err;

	memcpy(entry.interface, h->interface, sizeof(entry.interface));
	err = journal_append(h->journal, &entry);
	if (err == 0)
		err = netlink_change(&h->nl,
			message_address(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &address));
	if (err < 0)
		notes_add(&h->notes, "interface %s: cannot add address %s: %s", h->interface,
			prefix_format(p, text), err_str(err));
	return err;
}

static int
delete_address(struct host *h, const struct address_row *address)
{
	char text[ADDR_TEXT_LEN];
	struct message m;
	int err = netlink_change(&h->nl, message_address(&m, RTM_DELADDR, 0, address));

	if (err == -EADDRNOTAVAIL)
		return 0;
	if (err < 0)
		notes_add(&h->notes, "interface %s: cannot remove address %s: %s", h->interface,
			prefix_format(&address->prefix, text), err_str(err));
	return err;
}

static bool
is_usable(const struct host *h, const struct prefix *p)
{
	return p->addr.family == ADDR_V4 || h->has_v6;
}

// One round.  ret_changed tells whether the kernel's list is another one now.
static int
change_addresses(struct host *h, struct address_list *list, bool *ret_changed)
{
	int err = 0;

	*ret_changed = false;
	for (size_t i = 0; i < h->n_addresses; i++) {
		if (is_listed(list, &h->addresses[i]) || !is_usable(h, &h->addresses[i]))
			continue;
		err = first_error(err, add_address(h, &h->addresses[i]));
		*ret_changed = true;
	}
	for (size_t i = 0; i < list->n; i++) {
		const struct address_row *row = &list->row[i];

		if (row->link_local || is_desired(h, &row->prefix))
			continue;
		err = first_error(err, delete_address(h, row));
		*ret_changed = true;
	}
	return err;
}

// In rounds, because addresses may go with others (see set_sysctls(), which may fail).
static int
set_addresses(struct host *h)
{
	struct address_list list = { .ifindex = h->link.ifindex };
	bool changed = true;
	struct message m;
	int err = 0;

	for (int round = 0; changed && err == 0 && round < MAX_ROUNDS; round++) {
		err = netlink_dump(&h->nl, message_dump_addresses(&m), store_address, &list);
		if (err < 0) {
			notes_add(&h->notes, "addresses cannot be read: %s", err_str(err));
			break;
		}
		err = change_addresses(h, &list, &changed);
		if (changed)
			h->in_kernel_known = false; // routes may have gone with the last address
	}
	return err;
}

bool
host_wants_v6(const struct host *h)
{
	if (!h->has_v6)
		return false;
	// Sorted by family, so the last item tells; the addresses' networks are among them.
	return h->prefixes.n > 0 && h->prefixes.items[h->prefixes.n - 1].addr.family == ADDR_V6;
}

int
host_address_look(struct host *h, bool from_apply)
{
	int err = read_own_link(h);

	if (err < 0 || !h->has_desired)
		return err;
	if (!from_apply && !h->link.up && h->configured_ifindex == h->link.ifindex) {
		notes_add(&h->notes,
			"interface %s was set down: packets for peers are refused until "
			"`ip link set %s up`",
			h->interface, h->interface);
		return -ENETDOWN;
	}
	if (host_wants_v6(h) && h->mtu < IPV6_MIN_MTU)
		notes_add(&h->notes, "interface %s: MTU %u is too small for IPv6, which needs %d",
			h->interface, h->mtu, IPV6_MIN_MTU);
	err = set_sysctls(h);
	err = first_error(err, set_link(h));
	err = first_error(err, set_addresses(h));
	if (h->link.up)
		h->configured_ifindex = h->link.ifindex;
	return err;
}
