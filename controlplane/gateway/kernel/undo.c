/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/undo.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/gateway/kernel/host.h"
#include "controlplane/gateway/kernel/journal.h"
#include "controlplane/gateway/kernel/link.h"
#include "controlplane/gateway/kernel/message.h"
#include "controlplane/gateway/kernel/neighbours.h"
#include "controlplane/gateway/kernel/netlink.h"
#include "controlplane/gateway/kernel/nf_table.h"
#include "controlplane/gateway/kernel/reserved_ports.h"
#include "controlplane/gateway/kernel/sysctl.h"
#include "lib/base/err.h"

struct undoing {
	struct netlink nl;
	struct notes *notes;
	int err; // the first thing that could not be undone
};

// Things that are not there have been undone already.
static bool
is_gone(int err)
{
	return err == -ENOENT || err == -ENODEV || err == -ESRCH || err == -EADDRNOTAVAIL ||
	       err == -EAFNOSUPPORT;
}

static void
report(struct undoing *u, int err, const char *what)
{
	if (err == 0) {
		notes_add(u->notes, "undone: %s", what);
	} else if (!is_gone(err)) {
		notes_add(u->notes, "not undone: %s: %s", what, err_str(err));
		if (u->err == 0)
			u->err = err;
	}
}

// The name may have passed to another interface meanwhile: only a TUN is deleted.
static void
undo_tun(struct undoing *u, const struct journal_entry *e)
{
	struct link_row link;
	struct message m;
	char what[64];
	int err = link_get(&u->nl, e->interface, &link);

	if (err == 0)
		err = link.is_tun ? netlink_change(&u->nl, message_link_delete(&m, link.ifindex))
		                  : -ENODEV;
	snprintf(what, sizeof(what), "TUN %s", e->interface);
	report(u, err, what);
}

static void
undo_address(struct undoing *u, const struct journal_entry *e)
{
	struct address_row address = { .prefix = e->prefix };
	char text[ADDR_TEXT_LEN], what[128];
	struct link_row link;
	struct message m;
	int err = link_get(&u->nl, e->interface, &link);

	if (err == 0) {
		address.ifindex = link.ifindex;
		err = netlink_change(&u->nl, message_address(&m, RTM_DELADDR, 0, &address));
	}
	snprintf(what, sizeof(what), "address %s of %s", prefix_format(&e->prefix, text),
		e->interface);
	report(u, err, what);
}

static void
undo_rule(struct undoing *u, const struct journal_entry *e)
{
	struct rule_row rule = {
		.family = e->family,
		.action = FR_ACT_TO_TBL,
		.protocol = HOST_ROUTE_PROTOCOL,
		.priority = e->priority,
		.table = e->table,
		.mark = e->mark,
		.mask = e->mark,
		.inverted = true,
	};
	struct message m;
	char what[64];
	int err = netlink_change(&u->nl, message_rule(&m, RTM_DELRULE, 0, &rule));

	snprintf(what, sizeof(what), "%s rule that leads to table %u",
		e->family == ADDR_V6 ? "IPv6" : "IPv4", e->table);
	report(u, err, what);
}

/* Routes of one table. */
struct flushing {
	uint32_t table;
	struct route_row *routes;
	size_t n;
	size_t room;
	int err; // the first refusal
};

static int
take_route(const struct nlmsghdr *row, void *context)
{
	struct flushing *f = context;
	struct route_row route, *routes;

	if (row == NULL) {
		f->n = 0;
		return 0;
	}
	if (!message_read_route(row, &route) || route.table != f->table ||
		route.protocol != HOST_ROUTE_PROTOCOL)
		return 0;
	if (f->n == f->room) {
		f->room = f->room > 0 ? 2 * f->room : 256;
		routes = reallocarray(f->routes, f->room, sizeof(*routes));
		if (routes == NULL)
			return -ENOMEM;
		f->routes = routes;
	}
	f->routes[f->n++] = route;
	return 0;
}

static void
take_refusal(const struct nlmsghdr *, int err, void *context)
{
	struct flushing *f = context;

	if (!is_gone(err) && f->err == 0)
		f->err = err;
}

static int
delete_routes(struct undoing *u, struct flushing *f)
{
	struct netlink_batch *batch;
	struct message m;
	int err = 0;

	batch = calloc(1, sizeof(*batch));
	if (batch == NULL)
		return -ENOMEM;
	batch->nl = &u->nl;
	batch->refused = take_refusal;
	batch->context = f;
	for (size_t i = 0; err == 0 && i < f->n; i++)
		err = netlink_batch_add(batch, message_route(&m, RTM_DELROUTE, 0, &f->routes[i]));
	if (err == 0)
		err = netlink_batch_send(batch);
	free(batch);
	return err < 0 ? err : f->err;
}

static void
flush_table(struct undoing *u, uint8_t family, uint32_t table)
{
	struct flushing f = { .table = table };
	struct message m;
	char what[64];
	int err;

	err = netlink_dump(&u->nl, message_dump_routes(&m, family, table), take_route, &f);
	if (err == 0)
		err = f.n > 0 ? delete_routes(u, &f) : -ENOENT;
	snprintf(what, sizeof(what), "%zu %s routes of table %u", f.n,
		family == ADDR_V6 ? "IPv6" : "IPv4", table);
	report(u, err, what);
	free(f.routes);
}

static void
undo_table(struct undoing *u, const struct journal_entry *e)
{
	flush_table(u, ADDR_V4, e->table);
	flush_table(u, ADDR_V6, e->table);
}

// Only while the value is ours: what somebody has set since is his.
static void
undo_sysctl(struct undoing *u, const struct journal_entry *e)
{
	char what[JOURNAL_KEY_LEN + 32];
	int32_t value;
	int err = sysctl_read(e->key, &value);

	if (err == 0 && (value != e->new_value || e->new_value == e->old_value))
		return;
	if (err == 0)
		err = sysctl_write(e->key, e->old_value);
	snprintf(what, sizeof(what), "/proc/sys/%s is %d again", e->key, e->old_value);
	report(u, err, what);
}

// The value that a side effect of forwarding has overwritten, if forwarding is off again.
static void
undo_side_effect(struct undoing *u, const struct journal_entry *e)
{
	bool is_v6 = strncmp(e->key, "net/ipv6/", 9) == 0;
	char what[JOURNAL_KEY_LEN + 32];
	int32_t forwarding, value;
	int err;

	err = sysctl_read(is_v6 ? "net/ipv6/conf/all/forwarding" : "net/ipv4/conf/all/forwarding",
		&forwarding);
	if (err < 0 || forwarding != 0)
		return;
	err = sysctl_read(e->key, &value);
	if (err == 0 && value == e->old_value)
		return;
	if (err == 0)
		err = sysctl_write(e->key, e->old_value);
	snprintf(what, sizeof(what), "/proc/sys/%s is %d again", e->key, e->old_value);
	report(u, err, what);
}

/* Neighbours of one interface. */
struct restoring {
	struct neighbour_row *rows;
	size_t n;
};

static int
take_neighbour(const struct nlmsghdr *h, void *context)
{
	struct restoring *r = context;
	struct neighbour_row row, *rows;

	if (h == NULL) {
		r->n = 0;
		return 0;
	}
	if (!message_read_neighbour(h, &row) || row.is_proxy ||
		(row.protocol != NEIGHBOURS_MADE && row.protocol != NEIGHBOURS_FOUND))
		return 0;
	rows = reallocarray(r->rows, r->n + 1, sizeof(*rows));
	if (rows == NULL)
		return -ENOMEM;
	r->rows = rows;
	r->rows[r->n++] = row;
	return 0;
}

static void
undo_neighbours(struct undoing *u, const struct journal_entry *e)
{
	struct restoring r = {};
	struct link_row link;
	struct message m;
	char what[64];
	int err = link_get(&u->nl, e->interface, &link);

	if (err == 0)
		err = netlink_dump(
			&u->nl, message_dump_neighbours(&m, link.ifindex), take_neighbour, &r);
	if (err == 0 && r.n == 0)
		err = -ENOENT;
	for (size_t i = 0; err == 0 && i < r.n; i++)
		if (r.rows[i].ifindex == link.ifindex)
			err = neighbours_restore(&u->nl, &r.rows[i]);
	snprintf(what, sizeof(what), "%zu neighbours on %s", r.n, e->interface);
	report(u, err, what);
	free(r.rows);
}

static void
undo_nf_table(struct undoing *u, const struct journal_entry *e)
{
	char what[64];

	snprintf(what, sizeof(what), "table inet %s of the packet filter", e->name);
	report(u, nf_table_remove(e->name), what);
}

static void
undo_reservation(struct undoing *u, const struct journal_entry *e)
{
	char what[64];

	snprintf(what, sizeof(what), "reserved ports %u to %u", e->port_first, e->port_last);
	report(u, reserved_ports_remove(e->port_first, e->port_last), what);
}

static void
undo_entry(struct undoing *u, const struct journal_entry *e)
{
	switch (e->kind) {
	case JOURNAL_TUN:
		undo_tun(u, e);
		break;
	case JOURNAL_TABLE:
		undo_table(u, e);
		break;
	case JOURNAL_RULE:
		undo_rule(u, e);
		break;
	case JOURNAL_ADDRESS:
		undo_address(u, e);
		break;
	case JOURNAL_BEFORE:
		undo_side_effect(u, e);
		break;
	case JOURNAL_SYSCTL:
		undo_sysctl(u, e);
		break;
	case JOURNAL_NEIGHBOURS:
		undo_neighbours(u, e);
		break;
	case JOURNAL_NF_TABLE:
		undo_nf_table(u, e);
		break;
	case JOURNAL_RESERVE:
		undo_reservation(u, e);
		break;
	}
}

static int
undo_all(const struct journal_content *content, struct notes *notes)
{
	struct undoing u = { .notes = notes };
	int err = netlink_open(&u.nl);

	if (err < 0) {
		notes_add(notes, "nothing is undone, there is no netlink socket: %s", err_str(err));
		return err;
	}
	for (size_t i = content->n_entries; i > 0; i--)
		undo_entry(&u, &content->entries[i - 1]);
	netlink_close(&u.nl);
	return u.err;
}

// What a journal says of another boot, or of another namespace, does not concern us.
static int
undo_if_here(const struct journal_content *content, struct notes *notes)
{
	struct journal_place here;
	int err = journal_place_here(&here);

	if (err < 0)
		return err;
	if (journal_place_equal(&content->place, &here))
		return undo_all(content, notes);
	notes_add(notes, "the journal is of %s: discarded",
		strcmp(content->place.boot, here.boot) == 0 ? "another network namespace"
							    : "another boot");
	return 0;
}

static void
note_unreadable(const char *path, int err, struct notes *notes)
{
	switch (err) {
	case ERR_VERSION:
		notes_add(notes,
			"the journal %s was written by another version of Sluice: undo it with "
			"that one, "
			"or remove the file",
			path);
		break;
	case -EPERM:
		notes_add(notes,
			"the journal %s is not a plain file that only we can write: nothing is "
			"undone; "
			"look who made it and remove it",
			path);
		break;
	default:
		notes_add(notes, "the journal %s cannot be read, nothing is undone: %s", path,
			err_str(err));
		break;
	}
}

int
journal_undo(const char *path, struct notes *notes)
{
	struct journal_content content = {};
	int err = journal_read(path, notes, &content);

	if (err == -ENOENT)
		return 0;
	if (err == ERR_TRUNCATED)
		err = 0; // a death before the first entry: nothing was changed
	else if (err < 0)
		note_unreadable(path, err, notes);
	else
		err = undo_if_here(&content, notes);
	journal_content_fini(&content);
	if (err == 0 && unlink(path) < 0 && errno != ENOENT)
		err = -errno;
	return err;
}
