/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Changing a sysctl so that it can be undone.
 */

#include "controlplane/gateway/kernel/host_state.h"

#include <errno.h>
#include <stdio.h>

#include "controlplane/gateway/kernel/sysctl.h"
#include "lib/base/err.h"

int
host_set_sysctl(struct host *h, const char *key, int32_t value)
{
	struct journal_entry entry = { .kind = JOURNAL_SYSCTL, .new_value = value };
	int err = sysctl_read(key, &entry.old_value);

	if (err == -ENOENT || (err == 0 && entry.old_value == value))
		return err;
	snprintf(entry.key, sizeof(entry.key), "%s", key);
	if (err == 0)
		err = journal_append(h->journal, &entry);
	if (err == 0)
		err = sysctl_write(key, value);
	if (err < 0)
		notes_add(&h->notes, "cannot set /proc/sys/%s to %d: %s", key, value, err_str(err));
	return err;
}
