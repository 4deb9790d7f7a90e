/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Neighbours that are looked after: entered in the kernel as managed ones, so that it keeps them
 * resolved though it sends nothing itself, and reported whenever their state changes.
 *
 * Source: ../shared/design/architecture.md section 3.3; linux/neighbour.h (NTF_EXT_MANAGED).
 * Owner:  the host.  Thread: `coord`.
 *
 * What is entered carries a protocol number of ours, by which a later process, and the undoing,
 * know it again: one for entries that were made, one for those that were found and shall stay when
 * we go.  A static entry is taken as it is.  The kernel forgets entries when their link goes down,
 * loses its carrier or changes its address: they are entered again when the link is up.  On kernels
 * before 5.16 the entry is used once in a while instead.  A neighbour that does not answer is given
 * up after NEIGHBOURS_GIVE_UP_S, so that who scans a subnet does not make us ask for ever.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_NEIGHBOURS_H
#define CONTROLPLANE_GATEWAY_KERNEL_NEIGHBOURS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/kernel/journal.h"
#include "controlplane/gateway/kernel/message.h"
#include "controlplane/gateway/kernel/netlink.h"
#include "controlplane/gateway/kernel/network.h"
#include "controlplane/gateway/kernel/notes.h"

#define NEIGHBOURS_MAX          8192
#define NEIGHBOURS_MADE         83 /* protocol numbers; unused in rt_protos */
#define NEIGHBOURS_FOUND        84
#define NEIGHBOURS_GIVE_UP_S    10
#define NEIGHBOURS_USE_PERIOD_S 10 /* on kernels without managed ones */

struct neighbours;

struct neighbours_setup {
	struct netlink *nl;      /* borrowed until the end */
	struct journal *journal; /* the same; may be NULL */
	void (*changed)(void *context, const struct network_neighbour *neighbour); /* or NULL */
	void *context;
	bool without_managed; /* tests: as on an older kernel */
};

/* 0, -ENOMEM, or -errno of the timer. */
[[nodiscard]] int neighbours_create(const struct neighbours_setup *setup,
	struct neighbours **ret_neighbours);
/* The kernel keeps what was entered: journal_undo() removes it.  NULL is allowed. */
void neighbours_destroy(struct neighbours *n);

/* A timer for epoll; neighbours_work() when it is readable. */
int neighbours_fd(const struct neighbours *n);
void neighbours_work(struct neighbours *n);

/*
 * Look after one.  interface: its name, for the journal.  0, or -errno of the kernel (it is tried
 * again later).
 */
[[nodiscard]] int neighbours_want(struct neighbours *n,
	uint32_t ifindex,
	const char *interface,
	const struct addr *addr);

/* Those that are never given up or forgotten, in place of the ones of the last call. */
void neighbours_begin_pins(struct neighbours *n);
void neighbours_pin(struct neighbours *n,
	uint32_t ifindex,
	const char *interface,
	const struct addr *addr);

/* What the kernel reports. */
void neighbours_take_row(struct neighbours *n, const struct neighbour_row *row, bool is_deleted);
void neighbours_take_link(struct neighbours *n, uint32_t ifindex, bool is_usable, bool is_gone);

/* Read all of the kernel's again: reports were lost.  0, or -errno. */
[[nodiscard]] int neighbours_read(struct neighbours *n);

/*
 * Entries that an earlier process has left: those of wanted ports are looked after, the others are
 * put back as they were.  0, or -errno.
 */
[[nodiscard]] int neighbours_adopt(struct neighbours *n, const struct network *network);

/* Forget those of interfaces that are no wanted ports (any more). */
void neighbours_keep_ports(struct neighbours *n, const struct network *network);

/* Report each as it is. */
void neighbours_tell(struct neighbours *n);

/* What the operator should know. */
void neighbours_note(const struct neighbours *n, struct notes *notes);

/* Put an entry back as it was before us; of others, nothing happens.  0, or -errno. */
[[nodiscard]] int neighbours_restore(struct netlink *nl, const struct neighbour_row *row);

#endif
