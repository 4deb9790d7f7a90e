/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/neighbours.h"

#include <assert.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

#define N_BUCKETS  16384
#define NONE       UINT16_MAX
#define RETRY_NS   (100 * NS_PER_MS) /* of what the kernel refused or forgot */
#define WORK_NS    (1 * NS_PER_S)    /* giving up, and the use of older kernels */
#define NUD_ANSWER (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

static_assert(NEIGHBOURS_MAX < NONE, "an index is 16 bits");

struct entry {
	struct network_neighbour said; // as last reported
	char interface[IF_NAMESIZE];
	bool is_used, is_entered, is_pinned, is_static;
	struct mono wanted;    // last
	struct mono used;      // by us, on older kernels
	uint16_t next;         // of the bucket
	uint16_t older, newer; // in the line of those to be forgotten
};

struct neighbours {
	struct neighbours_setup setup;
	int timer_fd;
	struct mono due;
	bool has_managed_known;
	bool is_full; // the kernel's table, last time
	size_t n;
	uint16_t buckets[N_BUCKETS];
	uint16_t free; // linked by `next`
	uint16_t oldest, newest;
	struct entry entries[NEIGHBOURS_MAX];
};

/* --- the table --- */

static size_t
bucket_of(uint32_t ifindex, const struct addr *addr)
{
	uint32_t hash = ifindex * UINT32_C(0x9e3779b1);
	uint32_t word;

	// Who fills one bucket on purpose gains a walk over 8,192 rows, some µs.
	for (size_t i = 0; i < sizeof(addr->bytes); i += sizeof(word)) {
		memcpy(&word, addr->bytes + i, sizeof(word));
		hash = (hash ^ word) * UINT32_C(0x85ebca6b);
		hash ^= hash >> 13;
	}
	return hash % N_BUCKETS;
}

static struct entry *
find(struct neighbours *n, uint32_t ifindex, const struct addr *addr)
{
	for (uint16_t i = n->buckets[bucket_of(ifindex, addr)]; i != NONE; i = n->entries[i].next)
		if (n->entries[i].said.ifindex == ifindex &&
			addr_equal(&n->entries[i].said.addr, addr))
			return &n->entries[i];
	return NULL;
}

static uint16_t
index_of(const struct neighbours *n, const struct entry *e)
{
	return (uint16_t)(e - n->entries);
}

static void
leave_line(struct neighbours *n, struct entry *e)
{
	*(e->older != NONE ? &n->entries[e->older].newer : &n->oldest) = e->newer;
	*(e->newer != NONE ? &n->entries[e->newer].older : &n->newest) = e->older;
}

static void
join_line(struct neighbours *n, struct entry *e)
{
	e->older = n->newest;
	e->newer = NONE;
	*(n->newest != NONE ? &n->entries[n->newest].newer : &n->oldest) = index_of(n, e);
	n->newest = index_of(n, e);
}

static void
take_out(struct neighbours *n, struct entry *e)
{
	uint16_t *link = &n->buckets[bucket_of(e->said.ifindex, &e->said.addr)];

	while (*link != index_of(n, e))
		link = &n->entries[*link].next;
	*link = e->next;
	leave_line(n, e);
	memset(e, 0, sizeof(*e));
	e->next = n->free;
	n->free = index_of(n, e);
	n->n--;
}

/* --- reports --- */

static void
say(struct neighbours *n, struct entry *e, uint8_t state, const uint8_t mac[static 6])
{
	static const uint8_t no_mac[6];

	if (state != SHM_NEIGHBOUR_REACHABLE)
		mac = no_mac;
	if (e->said.state == state && memcmp(e->said.mac, mac, 6) == 0)
		return;
	if (e->said.state == SHM_NEIGHBOUR_REACHABLE)
		e->wanted = mono_now(); // it was in use: the time to come back begins now
	e->said.state = state;
	memcpy(e->said.mac, mac, 6);
	if (n->setup.changed != NULL)
		n->setup.changed(n->setup.context, &e->said);
}

static bool
is_usable_mac(const struct neighbour_row *row)
{
	static const uint8_t no_mac[6];

	return row->has_mac && (row->mac[0] & 1) == 0 && memcmp(row->mac, no_mac, 6) != 0;
}

static uint8_t
state_of(const struct neighbour_row *row)
{
	if ((row->nud & NUD_ANSWER) != 0 && is_usable_mac(row))
		return SHM_NEIGHBOUR_REACHABLE;
	return (row->nud & NUD_FAILED) != 0 ? SHM_NEIGHBOUR_FAILED : SHM_NEIGHBOUR_ASKED;
}

/* --- the kernel --- */

static void
work_in(struct neighbours *n, int64_t delay_ns)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = delay_ns / NS_PER_S, .tv_nsec = delay_ns % NS_PER_S },
	};
	struct mono due = mono_add_ns(mono_now(), delay_ns);

	if (!mono_is_never(n->due) && mono_diff_ns(n->due, due) <= 0)
		return;
	if (timerfd_settime(n->timer_fd, 0, &when, NULL) == 0)
		n->due = due;
}

static int
store_row(const struct nlmsghdr *h, void *context)
{
	struct neighbour_row *row = context;

	if (h == NULL)
		memset(row, 0, sizeof(*row));
	else if (!message_read_neighbour(h, row))
		return -EBADMSG;
	return 0;
}

// What the kernel has of it.  Nothing: a row without a state.
static int
look_up(struct neighbours *n, const struct entry *e, struct neighbour_row *ret_row)
{
	struct neighbour_row asked = { .ifindex = e->said.ifindex, .addr = e->said.addr };
	struct message m;
	int err = netlink_get(n->setup.nl, message_neighbour_get(&m, &asked), store_row, ret_row);

	if (err == -ENOENT) {
		*ret_row = asked;
		return 0;
	}
	return err;
}

static bool
is_ours(const struct neighbour_row *row)
{
	return row->protocol == NEIGHBOURS_MADE || row->protocol == NEIGHBOURS_FOUND;
}

static int
write_down(struct neighbours *n, const struct entry *e)
{
	struct journal_entry entry = { .kind = JOURNAL_NEIGHBOURS };

	memcpy(entry.interface, e->interface, sizeof(entry.interface));
	return journal_append(n->setup.journal, &entry);
}

// Once: an older kernel takes the request and does not manage.
static void
learn_whether_managed(struct neighbours *n, const struct entry *e)
{
	struct neighbour_row row;

	if (n->has_managed_known || look_up(n, e, &row) < 0 || !is_ours(&row))
		return;
	n->has_managed_known = true;
	n->setup.without_managed = !row.is_managed;
}

static int
put_in(struct neighbours *n, struct entry *e, struct neighbour_row *row)
{
	struct message m;
	int err = write_down(n, e);

	row->protocol = is_ours(row)    ? row->protocol
	                : row->nud == 0 ? NEIGHBOURS_MADE
	                                : NEIGHBOURS_FOUND;
	if (err == 0 && !n->setup.without_managed)
		err = netlink_change(n->setup.nl, message_neighbour_manage(&m, row));
	if (err == 0)
		learn_whether_managed(n, e);
	if (err == 0 && n->setup.without_managed)
		err = netlink_change(n->setup.nl, message_neighbour_use(&m, row));
	return err;
}

static int
enter(struct neighbours *n, struct entry *e)
{
	struct neighbour_row row = {};
	int err = look_up(n, e, &row);

	if (err == 0 && (row.nud & (NUD_PERMANENT | NUD_NOARP)) != 0) {
		e->is_entered = e->is_static = true; // the operator's: kept as it is
		say(n, e, state_of(&row), row.mac);
		return 0;
	}
	if (err == 0)
		err = put_in(n, e, &row);
	n->is_full = err == -ENOBUFS;
	e->is_entered = err == 0;
	e->used = mono_now();
	say(n, e, row.nud != 0 ? state_of(&row) : SHM_NEIGHBOUR_ASKED, row.mac);
	if (err < 0 && err != -ENETDOWN && err != -ENODEV)
		work_in(n, err == -EPERM ? WORK_NS : RETRY_NS);
	return err;
}

int
neighbours_restore(struct netlink *nl, const struct neighbour_row *row)
{
	struct neighbour_row before = *row;
	struct message m;
	int err;

	if (!is_ours(row) || (row->nud & NUD_PERMANENT) != 0) // since made static: the operator's
		return 0;
	err = netlink_change(nl, message_neighbour_delete(&m, row));
	if (err < 0 || row->protocol == NEIGHBOURS_MADE || !is_usable_mac(row))
		return err == -ENOENT ? 0 : err;
	before.protocol = 0; // cannot be taken off an entry, so it is another one
	before.nud = NUD_STALE;
	return netlink_change(nl, message_neighbour_keep(&m, &before));
}

static void
forget(struct neighbours *n, struct entry *e)
{
	static const uint8_t no_mac[6];
	struct neighbour_row row;

	if (e->is_entered && !e->is_static && look_up(n, e, &row) == 0 &&
		neighbours_restore(n->setup.nl, &row) < 0)
		n->is_full = false; // it is out of our hands; the journal still has the interface
	say(n, e, SHM_NEIGHBOUR_NONE, no_mac);
	take_out(n, e);
}

/* --- wanting --- */

static struct entry *
oldest_unpinned(struct neighbours *n)
{
	uint16_t i = n->oldest;

	while (i != NONE && n->entries[i].is_pinned)
		i = n->entries[i].newer;
	return i != NONE ? &n->entries[i] : NULL;
}

static struct entry *
add(struct neighbours *n, uint32_t ifindex, const char *interface, const struct addr *addr)
{
	size_t bucket = bucket_of(ifindex, addr);
	struct entry *e;

	if (n->free == NONE && oldest_unpinned(n) != NULL)
		forget(n, oldest_unpinned(n));
	if (n->free == NONE)
		return NULL;
	e = &n->entries[n->free];
	n->free = e->next;
	*e = (struct entry){ .said = { .ifindex = ifindex, .addr = *addr },
		.is_used = true,
		.next = n->buckets[bucket] };
	memcpy(e->interface, interface, strnlen(interface, sizeof(e->interface) - 1));
	n->buckets[bucket] = index_of(n, e);
	join_line(n, e);
	n->n++;
	return e;
}

int
neighbours_want(struct neighbours *n,
	uint32_t ifindex,
	const char *interface,
	const struct addr *addr)
{
	struct entry *e = find(n, ifindex, addr);
	bool is_new = e == NULL;

	if (is_new)
		e = add(n, ifindex, interface, addr);
	if (e == NULL)
		return -ENOSPC;
	e->wanted = mono_now();
	leave_line(n, e);
	join_line(n, e);
	work_in(n, WORK_NS);
	if (!is_new && e->is_entered) {
		if (n->setup.changed != NULL)
			n->setup.changed(n->setup.context, &e->said); // whoever asks does not know
		return 0;
	}
	return enter(n, e);
}

void
neighbours_begin_pins(struct neighbours *n)
{
	for (size_t i = 0; i < NEIGHBOURS_MAX && n->n > 0; i++)
		n->entries[i].is_pinned = false;
}

void
neighbours_pin(struct neighbours *n,
	uint32_t ifindex,
	const char *interface,
	const struct addr *addr)
{
	struct entry *e = find(n, ifindex, addr);

	if (e == NULL) {
		e = add(n, ifindex, interface, addr);
		if (e == NULL)
			return;
		if (enter(n, e) < 0)
			work_in(n, WORK_NS); // by then the link may be up
	}
	e->is_pinned = true;
	e->wanted = mono_now();
}

/* --- what the kernel reports --- */

void
neighbours_take_row(struct neighbours *n, const struct neighbour_row *row, bool is_deleted)
{
	struct entry *e = row->is_proxy ? NULL : find(n, row->ifindex, &row->addr);

	if (e == NULL)
		return;
	if (is_deleted) {
		e->is_entered = e->is_static = false;
		say(n, e, SHM_NEIGHBOUR_ASKED, row->mac);
		work_in(n, RETRY_NS);
		return;
	}
	say(n, e, state_of(row), row->mac);
}

static void
enter_missing(struct neighbours *n, uint32_t ifindex)
{
	for (size_t i = 0; i < NEIGHBOURS_MAX; i++) {
		struct entry *e = &n->entries[i];

		if (e->is_used && !e->is_entered && (ifindex == 0 || e->said.ifindex == ifindex) &&
			enter(n, e) == -ENOBUFS)
			return; // the rest would fare no better
	}
}

void
neighbours_take_link(struct neighbours *n, uint32_t ifindex, bool is_usable, bool is_gone)
{
	if (n->n == 0)
		return;
	if (is_usable)
		enter_missing(n, ifindex);
	for (size_t i = 0; i < NEIGHBOURS_MAX && is_gone; i++)
		if (n->entries[i].is_used && n->entries[i].said.ifindex == ifindex) {
			n->entries[i].is_entered = false; // they went with it
			forget(n, &n->entries[i]);
		}
}

struct reading {
	struct neighbours *n;
	uint8_t *seen; // by entry
};

static int
take_row(const struct nlmsghdr *h, void *context)
{
	struct reading *r = context;
	struct neighbour_row row;
	struct entry *e;

	if (h == NULL) {
		memset(r->seen, 0, NEIGHBOURS_MAX);
		return 0;
	}
	if (!message_read_neighbour(h, &row) || row.is_proxy)
		return 0;
	e = find(r->n, row.ifindex, &row.addr);
	if (e == NULL)
		return 0;
	r->seen[index_of(r->n, e)] = 1;
	say(r->n, e, state_of(&row), row.mac);
	return 0;
}

int
neighbours_read(struct neighbours *n)
{
	struct reading r = { .n = n, .seen = calloc(NEIGHBOURS_MAX, 1) };
	struct message m;
	int err;

	if (r.seen == NULL)
		return -ENOMEM;
	err = netlink_dump(n->setup.nl, message_dump_neighbours(&m, 0), take_row, &r);
	for (size_t i = 0; err == 0 && i < NEIGHBOURS_MAX; i++)
		if (n->entries[i].is_used && !r.seen[i])
			n->entries[i].is_entered = n->entries[i].is_static = false;
	free(r.seen);
	if (err == 0)
		enter_missing(n, 0);
	return err;
}

/* --- now and then --- */

static bool
is_given_up(const struct entry *e, struct mono now)
{
	return !e->is_pinned && e->said.state != SHM_NEIGHBOUR_REACHABLE &&
	       mono_diff_ns(now, e->wanted) > NEIGHBOURS_GIVE_UP_S * NS_PER_S;
}

static void
use_again(struct neighbours *n, struct entry *e, struct mono now)
{
	struct neighbour_row row = { .ifindex = e->said.ifindex, .addr = e->said.addr };
	struct message m;

	if (!n->setup.without_managed || !e->is_entered || e->is_static ||
		mono_diff_ns(now, e->used) < NEIGHBOURS_USE_PERIOD_S * NS_PER_S)
		return;
	e->used = now;
	if (netlink_change(n->setup.nl, message_neighbour_use(&m, &row)) < 0)
		e->is_entered = false;
}

void
neighbours_work(struct neighbours *n)
{
	struct mono now = mono_now();
	bool waits = false;
	uint64_t n_times;

	if (read(n->timer_fd, &n_times, sizeof(n_times)) < 0)
		return;
	n->due = (struct mono){};
	for (size_t i = 0; i < NEIGHBOURS_MAX && n->n > 0; i++) {
		struct entry *e = &n->entries[i];

		if (!e->is_used)
			continue;
		if (is_given_up(e, now)) {
			forget(n, e);
			continue;
		}
		use_again(n, e, now);
		waits |= n->setup.without_managed || e->said.state != SHM_NEIGHBOUR_REACHABLE;
	}
	if (n->n > 0)
		enter_missing(n, 0);
	if (waits)
		work_in(n, WORK_NS);
}

static const struct network_port *
find_port(const struct network *network, uint32_t ifindex)
{
	for (size_t i = 0; i < network->n_ports; i++)
		if (network->ports[i].ifindex == ifindex && network->ports[i].is_wanted)
			return &network->ports[i];
	return NULL;
}

void
neighbours_keep_ports(struct neighbours *n, const struct network *network)
{
	for (size_t i = 0; i < NEIGHBOURS_MAX && n->n > 0; i++)
		if (n->entries[i].is_used && find_port(network, n->entries[i].said.ifindex) == NULL)
			forget(n, &n->entries[i]);
}

/* Entries of an earlier process. */
struct orphans {
	struct neighbour_row *rows;
	size_t n;
};

static int
take_orphan(const struct nlmsghdr *h, void *context)
{
	struct orphans *o = context;
	struct neighbour_row row, *rows;

	if (h == NULL) {
		o->n = 0;
		return 0;
	}
	if (!message_read_neighbour(h, &row) || row.is_proxy || !is_ours(&row) ||
		o->n == NEIGHBOURS_MAX)
		return 0;
	rows = reallocarray(o->rows, o->n + 1, sizeof(*rows));
	if (rows == NULL)
		return -ENOMEM;
	o->rows = rows;
	o->rows[o->n++] = row;
	return 0;
}

static int
adopt_one(struct neighbours *n, const struct network *network, const struct neighbour_row *row)
{
	const struct network_port *port = find_port(network, row->ifindex);
	struct entry *e;

	if (port == NULL)
		return neighbours_restore(n->setup.nl, row);
	if (find(n, row->ifindex, &row->addr) != NULL)
		return 0;
	e = add(n, row->ifindex, port->name, &row->addr);
	if (e == NULL)
		return 0;
	e->is_entered = true;
	e->wanted = e->used = mono_now();
	say(n, e, state_of(row), row->mac);
	work_in(n, WORK_NS);
	return 0;
}

int
neighbours_adopt(struct neighbours *n, const struct network *network)
{
	struct orphans o = {};
	struct message m;
	int err = netlink_dump(n->setup.nl, message_dump_neighbours(&m, 0), take_orphan, &o);

	for (size_t i = 0; err == 0 && i < o.n; i++)
		err = adopt_one(n, network, &o.rows[i]);
	free(o.rows);
	return err;
}

void
neighbours_tell(struct neighbours *n)
{
	for (size_t i = 0; i < NEIGHBOURS_MAX && n->setup.changed != NULL; i++)
		if (n->entries[i].is_used)
			n->setup.changed(n->setup.context, &n->entries[i].said);
}

void
neighbours_note(const struct neighbours *n, struct notes *notes)
{
	if (n->is_full)
		notes_add(notes,
			"the kernel's table of neighbours is full, so some cannot be reached; "
			"raise "
			"net.ipv4.neigh.default.gc_thresh3 and net.ipv6.neigh.default.gc_thresh3");
}

/* --- life --- */

int
neighbours_create(const struct neighbours_setup *setup, struct neighbours **ret_neighbours)
{
	struct neighbours *n = calloc(1, sizeof(*n));
	int err;

	if (n == NULL)
		return -ENOMEM;
	n->setup = *setup;
	n->has_managed_known = setup->without_managed;
	n->oldest = n->newest = NONE;
	memset(n->buckets, 0xff, sizeof(n->buckets));
	for (size_t i = 0; i < NEIGHBOURS_MAX; i++)
		n->entries[i].next = i + 1 < NEIGHBOURS_MAX ? (uint16_t)(i + 1) : NONE;
	n->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (n->timer_fd < 0) {
		err = -errno;
		free(n);
		return err;
	}
	*ret_neighbours = n;
	return 0;
}

void
neighbours_destroy(struct neighbours *n)
{
	if (n == NULL)
		return;
	close(n->timer_fd);
	free(n);
}

int
neighbours_fd(const struct neighbours *n)
{
	return n->timer_fd;
}
