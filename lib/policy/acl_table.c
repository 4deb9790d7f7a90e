/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/acl_table.h"

#include "lib/base/err.h"

// An array of n elements at an offset, all inside and aligned.
static bool
is_inside(const struct acl_table *t, uint32_t at, uint64_t n, uint32_t element)
{
	return at % 8 == 0 && at >= sizeof(*t) && (uint64_t)at + n * element <= t->size_bytes;
}

static bool
bounds_ascend(const struct acl_addr *bounds, uint32_t n)
{
	if (bounds[0].high != 0 || bounds[0].low != 0)
		return false;
	for (uint32_t i = 1; i < n; i++)
		if (!acl_addr_less(&bounds[i - 1], &bounds[i]))
			return false;
	return true;
}

static bool
classes_exist(const uint32_t *classes, const struct acl_side *s)
{
	for (uint32_t i = 0; i < s->n_intervals; i++)
		if (classes[i] >= s->n_rows)
			return false;
	return true;
}

static bool
rows_are_inside(const struct acl_class *rows, const struct acl_side *s)
{
	for (uint32_t i = 0; i < s->n_rows; i++)
		if (rows[i].first > s->n_entries || rows[i].count > s->n_entries - rows[i].first)
			return false;
	return true;
}

static bool
side_is_sound(const struct acl_table *t, const struct acl_side *s, uint32_t entry)
{
	return s->n_intervals > 0 &&
	       is_inside(t, s->bounds_at, s->n_intervals, sizeof(struct acl_addr)) &&
	       is_inside(t, s->classes_at, s->n_intervals, sizeof(uint32_t)) &&
	       is_inside(t, s->rows_at, s->n_rows, sizeof(struct acl_class)) &&
	       is_inside(t, s->entries_at, s->n_entries, entry) &&
	       bounds_ascend(acl_table_at(t, s->bounds_at), s->n_intervals) &&
	       classes_exist(acl_table_at(t, s->classes_at), s) &&
	       rows_are_inside(acl_table_at(t, s->rows_at), s);
}

static bool
src_entries_name_rules(const struct acl_table *t, const struct acl_family *f)
{
	const uint32_t *entries = acl_table_at(t, f->src.entries_at);

	for (uint32_t i = 0; i < f->src.n_entries; i++)
		if (entries[i] >> 1 >= f->n_rules)
			return false;
	return true;
}

static bool
dst_entries_name_rules(const struct acl_table *t, const struct acl_family *f)
{
	const struct acl_dst *entries = acl_table_at(t, f->dst.entries_at);

	for (uint32_t i = 0; i < f->dst.n_entries; i++)
		if (entries[i].rule >= f->n_rules)
			return false;
	return true;
}

static bool
family_is_sound(const struct acl_table *t, const struct acl_family *f)
{
	return side_is_sound(t, &f->src, sizeof(uint32_t)) &&
	       side_is_sound(t, &f->dst, sizeof(struct acl_dst)) &&
	       is_inside(t, f->protocols_at, f->n_rules, 4 * sizeof(uint64_t)) &&
	       src_entries_name_rules(t, f) && dst_entries_name_rules(t, f);
}

int
acl_table_check(const void *memory, size_t len)
{
	const struct acl_table *t = memory;

	if (len < sizeof(*t))
		return ERR_TRUNCATED;
	if (t->magic != ACL_TABLE_MAGIC || t->version != ACL_TABLE_VERSION)
		return ERR_VERSION;
	if (t->size_bytes != len || t->n_exempt > ACL_MAX_EXEMPT)
		return ERR_BAD_FORMAT;
	if (!family_is_sound(t, &t->families[0]) || !family_is_sound(t, &t->families[1]))
		return ERR_BAD_FORMAT;
	return 0;
}
