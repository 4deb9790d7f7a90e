/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/filter.h"

#include <string.h>

#include "lib/policy/acl_table.h"

static struct shm_filter_table *
place_of(const struct apply *a, const struct shm_applied_half *half)
{
	return &a->sessions.state->filters[half->filter_which & 1];
}

void
filter_begin(struct apply *a, const struct shm_applied_half *applied, struct shm_applied_half *next)
{
	a->open_filter_total = 0;
	next->filter_which = applied->filter_which;
	next->filter_len = a->open_full ? 0 : applied->filter_len;
}

bool
filter_part(struct apply *a,
	const struct shm_applied_half *applied,
	struct shm_applied_half *next,
	const struct shm_cmd_filter *part)
{
	uint32_t n;

	if (part->offset == 0) {
		next->filter_which = (applied->filter_which & 1) ^ 1;
		next->filter_len = 0;
		a->open_filter_total = part->total;
	}
	if (part->offset != next->filter_len || part->total != a->open_filter_total ||
		part->total > SHM_MAX_FILTER || part->offset > part->total)
		return false;
	n = part->total - part->offset;
	if (n > SHM_FILTER_PART)
		n = SHM_FILTER_PART;
	memcpy(place_of(a, next)->bytes + part->offset, part->bytes, n);
	next->filter_len += n;
	return true;
}

// Workers remember verdicts by the table's number.  The control plane's would come again after its
// restart, with other rules.
static const struct acl_table *
number(struct apply *a, const struct shm_applied_half *half)
{
	struct acl_table *table = (struct acl_table *)place_of(a, half)->bytes;

	if (half->filter_len == 0)
		return NULL;
	table->generation = ++a->filter_serial;
	return table;
}

bool
filter_settle(struct apply *a, struct shm_applied_half *next)
{
	if (a->open_filter_total == 0)
		return true;
	if (next->filter_len != a->open_filter_total ||
		acl_table_check(place_of(a, next)->bytes, next->filter_len) < 0)
		return false;
	(void)number(a, next);
	return true;
}

const struct acl_table *
filter_of(const struct apply *a, const struct shm_applied_half *half)
{
	return half->filter_len > 0 ? (const struct acl_table *)place_of(a, half)->bytes : NULL;
}

const struct acl_table *
filter_take_up(struct apply *a, const struct shm_applied_half *half)
{
	if (half->filter_len > SHM_MAX_FILTER ||
		(half->filter_len > 0 &&
			acl_table_check(place_of(a, half)->bytes, half->filter_len) < 0))
		return NULL;
	return number(a, half);
}
