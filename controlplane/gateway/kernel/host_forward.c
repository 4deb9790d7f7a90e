/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sysctls beyond our own interface: forwarding, and what forwarding would break.
 *
 * Source: Documentation/networking/ip-sysctl.rst of Linux.  Writing conf/all/forwarding also writes
 * each interface's own value, and for IPv4 conf/all/accept_redirects; turning IPv6 forwarding on
 * drops the default routes learnt from advertisements, except where accept_ra is 2.
 */

#include "controlplane/gateway/kernel/host_state.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/kernel/link.h"
#include "controlplane/gateway/kernel/sysctl.h"
#include "lib/base/err.h"

#define ACCEPT_RA_ALWAYS 2 /* though we forward */
#define STRICT           1 /* rp_filter */
#define DEFAULT_LIKE     1 /* prefixes of this length, or shorter, stand for a default route */

// Write down a value that the kernel is about to change as a side effect.
static int
record_before(struct host *h, const char *family, const char *name, const char *setting)
{
	struct journal_entry entry = { .kind = JOURNAL_BEFORE };
	int len =
		snprintf(entry.key, sizeof(entry.key), "net/%s/conf/%s/%s", family, name, setting);
	int err;

	if (len >= (int)sizeof(entry.key))
		return -ENAMETOOLONG;
	err = sysctl_read(entry.key, &entry.old_value);
	if (err == -ENOENT)
		return 0; // the interface went away
	if (err == 0 && strcmp(setting, "forwarding") == 0 && entry.old_value == 0)
		return 0; // as it will be when ours is undone
	return err == 0 ? journal_append(h->journal, &entry) : err;
}

static int
record_interfaces(struct host *h, const char *family)
{
	char path[JOURNAL_KEY_LEN];
	const struct dirent *entry;
	int err = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf", family);
	dir = opendir(path);
	if (dir == NULL)
		return -errno;
	while (err == 0 && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "all") != 0)
			err = record_before(h, family, entry->d_name, "forwarding");
	closedir(dir);
	return err;
}

// Interfaces that live on router advertisements go on doing so.
static int
keep_advertisements(struct host *h)
{
	char key[JOURNAL_KEY_LEN];
	struct link_row link;
	int32_t value;
	int err = 0, next;

	for (size_t i = 0; i < h->advertised.n; i++) {
		if (link_get_index(&h->nl, h->advertised.ifindex[i], &link) < 0)
			continue; // gone: nothing to lose
		snprintf(key, sizeof(key), "net/ipv6/conf/%s/accept_ra", link.name);
		if (sysctl_read(key, &value) < 0 || value != 1)
			continue;
		next = host_set_sysctl(h, key, ACCEPT_RA_ALWAYS);
		err = first_error(err, next == -ENOENT ? 0 : next);
	}
	return err;
}

static int
switch_on(struct host *h, const char *family, const char *key)
{
	bool is_v6 = strcmp(family, "ipv6") == 0;
	int err;

	// Losing the default route is worse than not forwarding.
	err = is_v6 ? keep_advertisements(h) : record_before(h, family, "all", "accept_redirects");
	if (err == 0)
		err = record_interfaces(h, family);
	if (err < 0) {
		notes_add(&h->notes, "%s forwarding is not switched on: %s", family, err_str(err));
		return err;
	}
	return host_set_sysctl(h, key, 1);
}

struct restoring {
	const char *prefix; // of the keys
	int err;
};

static void
write_before(const struct journal_entry *entry, void *context)
{
	struct restoring *r = context;
	int err;

	if (strncmp(entry->key, r->prefix, strlen(r->prefix)) != 0)
		return;
	err = sysctl_write(entry->key, entry->old_value);
	if (err != -ENOENT) // the interface went away
		r->err = first_error(r->err, err);
}

// As undoing it would; the journal stays as it is, for the values in it are still the first ones.
static int
switch_off(struct host *h, const char *family, const char *key)
{
	char prefix[32];
	struct restoring r = { .prefix = prefix };
	int err = sysctl_write(key, 0);

	if (err < 0)
		return err;
	snprintf(prefix, sizeof(prefix), "net/%s/conf/", family);
	journal_each(h->journal, JOURNAL_BEFORE, write_before, &r);
	return r.err;
}

static int
follow_by_us(struct host *h,
	const char *family,
	const char *key,
	enum host_forwarding *state,
	bool wanted)
{
	int err;

	if (*state == HOST_FORWARDING_OFF)
		*state = journal_has_sysctl(h->journal, key) &&
		                         !h->switched_off[strcmp(family, "ipv6") == 0]
		                 ? HOST_FORWARDING_BY_US
		                 : HOST_FORWARDING_FOUND_ON;
	if (*state != HOST_FORWARDING_BY_US || wanted)
		return 0;
	err = switch_off(h, family, key);
	if (err == 0)
		*state = HOST_FORWARDING_OFF;
	h->switched_off[strcmp(family, "ipv6") == 0] = err == 0;
	return err;
}

static int
forwarding_look(struct host *h, const char *family, bool wanted, enum host_forwarding *state)
{
	char key[JOURNAL_KEY_LEN];
	int32_t value;
	int err;

	snprintf(key, sizeof(key), "net/%s/conf/all/forwarding", family);
	err = sysctl_read(key, &value);
	if (err == 0 && value == 0 && wanted) {
		err = switch_on(h, family, key);
		if (err == 0)
			*state = HOST_FORWARDING_BY_US;
		h->switched_off[strcmp(family, "ipv6") == 0] = false;
	} else if (err == 0 && value == 0) {
		*state = HOST_FORWARDING_OFF;
	} else if (err == 0) {
		err = follow_by_us(h, family, key, state, wanted);
	}
	if (err == 0)
		return 0;
	*state = HOST_FORWARDING_OFF;
	if (wanted)
		notes_add(&h->notes,
			"%s is not forwarded between %s and other interfaces: %s; set /proc/sys/%s "
			"to 1",
			family, h->interface, err_str(err), key);
	return err;
}

static bool
has_default_like(const struct host *h)
{
	for (size_t i = 0; i < h->prefixes.n; i++)
		if (h->prefixes.items[i].addr.family == ADDR_V4 &&
			h->prefixes.items[i].len <= DEFAULT_LIKE)
			return true;
	return false;
}

// A packet of a peer's endpoint has its way back by our table, as far as the kernel can see, and
// strict mode drops it where it arrives.
static void
warn_strict(struct host *h)
{
	char key[JOURNAL_KEY_LEN];
	int32_t for_all = 0, for_one;
	struct link_row link;

	if (!has_default_like(h) || sysctl_read("net/ipv4/conf/all/rp_filter", &for_all) < 0)
		return;
	for (size_t i = 0; i < h->default_v4.n; i++) {
		if (link_get_index(&h->nl, h->default_v4.ifindex[i], &link) < 0)
			continue;
		snprintf(key, sizeof(key), "net/ipv4/conf/%s/rp_filter", link.name);
		if (sysctl_read(key, &for_one) < 0)
			continue;
		if ((for_one > for_all ? for_one : for_all) != STRICT)
			continue;
		notes_add(&h->notes,
			"rp_filter is strict on %s: answers of peers are dropped there while a "
			"peer has "
			"the default route; set /proc/sys/%s to 2",
			link.name, key);
	}
}

int
host_forward_look(struct host *h)
{
	bool undecided, forwards = host_kernel_forwards(h, &undecided);
	int err = 0;

	if (!h->has_desired)
		return 0;
	if (!undecided) {
		err = forwarding_look(h, "ipv4", h->forward_v4 && forwards, &h->forwarding_v4);
		if (h->has_v6)
			err = first_error(err, forwarding_look(h, "ipv6", h->forward_v6 && forwards,
						       &h->forwarding_v6));
	}
	warn_strict(h);
	return err;
}
