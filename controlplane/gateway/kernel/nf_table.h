/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Our table of the packet filter, `table inet sluice`: source translation for subnets that the
 * kernel forwards to, and silence for the ports of the workers' own translation.  Put whole, in one
 * transaction.
 *
 * Source: linux/netfilter/nf_tables.h; spoken over netlink by libmnl, because a fixed table needs
 *         no parser of rules in a process with privileges.
 * Thread: any; each call has a socket of its own.
 *
 *     table inet sluice {
 *         chain postrouting { type nat hook postrouting priority srcnat; policy accept;
 *             iifname "sluice0" oifname "lan0" meta nfproto ipv4 counter masquerade }
 *         chain input { type filter hook input priority filter; policy accept;
 *             iifname != "lo" ip daddr 192.0.2.1 tcp dport 61000-65535 counter drop
 *             iifname != "lo" ip daddr 192.0.2.1 udp dport 61000-65535 counter drop }
 *     }
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_NF_TABLE_H
#define CONTROLPLANE_GATEWAY_KERNEL_NF_TABLE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

#define NF_TABLE_NAME          "sluice"
#define NF_TABLE_NAME_LEN      32
#define NF_TABLE_MAX_INTERFACE 64
#define NF_TABLE_MAX_ADDRESSES 64

struct nf_masquerade {
	char interface[IF_NAMESIZE]; /* that packets from the tunnel leave by; "": any */
	uint8_t family;              /* enum addr_family */
};

struct nf_table {
	char name[NF_TABLE_NAME_LEN];
	char tun[IF_NAMESIZE];
	struct nf_masquerade masquerades[NF_TABLE_MAX_INTERFACE];
	size_t n_masquerades;
	struct addr nat_addresses[NF_TABLE_MAX_ADDRESSES];
	size_t n_nat_addresses;
	uint16_t port_first, port_last;
};

/* "sluice", or "sluice-NAME" for an interface that is not the usual one. */
void nf_table_name(const char *interface, char name[static NF_TABLE_NAME_LEN]);

/* Whether a name is one that nf_table_name() makes. */
bool nf_table_is_our_name(const char *name);

/*
 * Put the table in place of what there is of its name.  0, -EPERM, -EOPNOTSUPP (a kernel without
 * nf_tables), -errno of the kernel; then everything is as before.
 */
[[nodiscard]] int nf_table_put(const struct nf_table *table);

/* 0, -ENOENT (there is none), -errno. */
[[nodiscard]] int nf_table_remove(const char *name);

/*
 * A socket that becomes readable when somebody changes the packet filter; -errno where there is no
 * such thing.  nf_table_has_vanished() empties it and tells whether a table of this name was
 * removed by anybody, or reports were lost.
 */
[[nodiscard]] int nf_table_listen(void);
bool nf_table_has_vanished(int fd, const char *name);

#endif
