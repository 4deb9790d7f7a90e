/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A gateway that is down, or not yet up, leaves the host as it would be without it, but for its
 * interface, which the data plane holds.  Routes, rules, neighbours and the packet filter's table
 * go because nothing wants them; here is what has to be put back.  The journal stays as it is:
 * undoing twice is harmless.
 */

#include <errno.h>
#include <string.h>

#include "controlplane/gateway/kernel/host_state.h"
#include "controlplane/gateway/kernel/reserved_ports.h"
#include "controlplane/gateway/kernel/sysctl.h"

bool
host_is_resting(const struct host *h)
{
	return h->n_addresses == 0 && h->prefixes.n == 0;
}

struct resting {
	struct host *h;
	int err;
};

static bool
is_of_own_interface(const struct host *h, const char *key)
{
	const char *name = strstr(key, "/conf/");
	size_t len = strlen(h->interface);

	return name != NULL && strncmp(name + 6, h->interface, len) == 0 && name[6 + len] == '/';
}

// Forwarding has a file of its own.  What somebody has set since is his.
static void
put_back(const struct journal_entry *entry, void *context)
{
	struct resting *r = context;
	int32_t value;
	int err;

	if (is_of_own_interface(r->h, entry->key) ||
		strstr(entry->key, "/conf/all/forwarding") != NULL)
		return;
	err = sysctl_read(entry->key, &value);
	if (err == 0 && value == entry->new_value)
		err = sysctl_write(entry->key, entry->old_value);
	if (err != -ENOENT) // the interface went away
		r->err = first_error(r->err, err);
}

static void
give_up_ports(const struct journal_entry *entry, void *context)
{
	struct resting *r = context;
	int err = reserved_ports_remove(entry->port_first, entry->port_last);

	if (err != -ENOENT)
		r->err = first_error(r->err, err);
}

int
host_rest_look(struct host *h)
{
	struct resting r = { .h = h };

	if (!h->has_desired || !host_is_resting(h)) {
		h->has_rested = false;
		return 0;
	}
	if (h->has_rested)
		return 0;
	journal_each(h->journal, JOURNAL_SYSCTL, put_back, &r);
	journal_each(h->journal, JOURNAL_RESERVE, give_up_ports, &r);
	h->has_rested = r.err == 0;
	return r.err;
}
