/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/prefix_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

#define LINE_BYTES   64
#define MAX_ITEMS    (UINT32_C(1) << 22)
#define MAX_DEPTH    130              /* prefixes around an address: lengths 0 to 128, and "none" */
#define MAX_COUNTED  PREFIX_V6_FANOUT /* separators of a deep tree that needs no nodes */
#define SHAPE_LEVELS 24
#define SHAPE_COUNT  ((UINT32_C(1) << SHAPE_LEVELS) - 1)

static_assert(PREFIX_V4_FANOUT * sizeof(uint32_t) == LINE_BYTES, "a node is a line");
static_assert(PREFIX_V6_FANOUT * sizeof(uint64_t) == LINE_BYTES, "a node is a line");

typedef unsigned __int128 u128;

// A prefix while the table is being built.  IPv4 stands in the upper 32 bits, so that one order and
// one sweep serve both families.
struct entry {
	u128 start;
	uint32_t value;
	uint32_t index; // in the caller's array
	uint8_t len;
};

// Where an interval begins, and what is found in it up to the next one.
struct boundary {
	u128 start;
	uint32_t value;
};

struct boundaries {
	struct boundary *list;
	size_t count;
};

// What one family or half of it adds to the table's memory, before that is laid out.
struct shape {
	size_t intervals;
	size_t separators;
	uint32_t first_interval;
	uint32_t levels;
};

struct builder {
	struct entry *entries; // sorted: IPv4, then IPv6
	size_t n_v4, n_v6;
	struct boundaries v4, v6;
	struct shape shape_v4, shape_high;
	size_t n_deep, deep_separators, deep_values; // how many of each
};

static u128
load_u128(const uint8_t *p)
{
	return (u128)load_be64(p) << 64 | load_be64(p + 8);
}

// The last address of a prefix.
static u128
last_of(const struct entry *e)
{
	return e->len == 0 ? ~(u128)0 : e->start | (((u128)1 << (128 - e->len)) - 1);
}

static int
compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

static int
fill_entry(const struct prefix_item *item, size_t index, struct entry *ret_entry)
{
	struct prefix p = item->prefix;
	unsigned bits = addr_bits(p.addr.family);

	if (bits == 0 || p.len > bits || item->value > PREFIX_TABLE_MAX_VALUE)
		return ERR_BAD_FORMAT;
	p = prefix_mask(p);
	if (p.addr.family == ADDR_V4)
		memset(p.addr.bytes + 4, 0, sizeof(p.addr.bytes) - 4);
	*ret_entry = (struct entry){
		.start = load_u128(p.addr.bytes),
		.value = item->value,
		.index = (uint32_t)index,
		.len = p.len,
	};
	return 0;
}

// Split by family: IPv4 from the front, IPv6 from the back.
static int
fill_entries(struct builder *b, const struct prefix_item *items, size_t n, size_t *ret_bad)
{
	for (size_t i = 0; i < n; i++) {
		bool is_v4 = items[i].prefix.addr.family == ADDR_V4;
		size_t at = is_v4 ? b->n_v4 : n - 1 - b->n_v6;
		int err;

		err = fill_entry(&items[i], i, &b->entries[at]);
		if (err < 0) {
			*ret_bad = i;
			return err;
		}
		b->n_v4 += is_v4;
		b->n_v6 += !is_v4;
	}
	qsort(b->entries, b->n_v4, sizeof(*b->entries), compare_entries);
	qsort(b->entries + b->n_v4, b->n_v6, sizeof(*b->entries), compare_entries);
	return 0;
}

// The item that repeats an earlier one and comes first in the caller's array, or SIZE_MAX.
static size_t
find_duplicate(const struct entry *e, size_t n)
{
	size_t first = SIZE_MAX;

	for (size_t i = 1; i < n; i++)
		if (e[i].start == e[i - 1].start && e[i].len == e[i - 1].len && e[i].index < first)
			first = e[i].index;
	return first;
}

// Append, or change the last if it has no room; what goes on with the same value is no boundary.
static void
add_boundary(struct boundaries *b, u128 start, uint32_t value)
{
	if (b->count > 0 && b->list[b->count - 1].start == start)
		b->count--;
	if (b->count > 0 && b->list[b->count - 1].value == value)
		return;
	b->list[b->count++] = (struct boundary){ start, value };
}

// Prefixes that are open at a point of the sweep, each inside the one before it.
struct nest {
	const struct entry *open[MAX_DEPTH];
	int depth;
};

static uint32_t
value_of(const struct nest *nest)
{
	return nest->depth == 0 ? PREFIX_TABLE_NONE : nest->open[nest->depth - 1]->value;
}

// End every open prefix that ends before `start`: what is around it goes on behind it.
static void
close_before(struct nest *nest, u128 start, struct boundaries *out)
{
	while (nest->depth > 0) {
		u128 last = last_of(nest->open[nest->depth - 1]);

		if (last >= start)
			return;
		nest->depth--;
		add_boundary(out, last + 1, value_of(nest));
	}
}

static void
close_all(struct nest *nest, struct boundaries *out)
{
	while (nest->depth > 0) {
		u128 last = last_of(nest->open[nest->depth - 1]);

		nest->depth--;
		if (last != ~(u128)0)
			add_boundary(out, last + 1, value_of(nest));
	}
}

// Sorted prefixes to intervals.  out->list has room for 2 * n + 1.
static void
sweep(const struct entry *entries, size_t n, struct boundaries *out)
{
	struct nest nest = { .depth = 0 };

	add_boundary(out, 0, PREFIX_TABLE_NONE);
	for (size_t i = 0; i < n; i++) {
		close_before(&nest, entries[i].start, out);
		nest.open[nest.depth++] = &entries[i];
		add_boundary(out, entries[i].start, entries[i].value);
	}
	close_all(&nest, out);
}

static struct shape
shape_of(size_t intervals, size_t fanout)
{
	struct shape s = { .intervals = intervals };
	size_t reach = 1; // intervals that this many levels can tell apart
	size_t last_nodes;

	while (reach < intervals) {
		s.first_interval = (uint32_t)(s.first_interval * (fanout + 1) + 1);
		s.levels++;
		reach *= fanout + 1;
	}
	if (s.levels == 0)
		return s;
	last_nodes = (intervals + fanout) / (fanout + 1);
	s.separators = ((s.first_interval - 1) / (fanout + 1) + last_nodes) * fanout;
	return s;
}

// Where the separator of an interval (1 and on) lies: in the lowest level at whose nodes' borders
// the interval does not begin.
static size_t
separator_at(const struct shape *s, size_t interval, size_t fanout)
{
	size_t first = (s->first_interval - 1) / (fanout + 1); // node of the level
	size_t child = interval;

	while (child % (fanout + 1) == 0) {
		child /= fanout + 1;
		first = (first - 1) / (fanout + 1);
	}
	return (first + child / (fanout + 1)) * fanout + child % (fanout + 1) - 1;
}

// One upper half of IPv6 addresses: boundaries first to end - 1 begin in it.
struct high_group {
	size_t first, end;
	uint64_t high;
	uint32_t before; // value at its first address, unless a boundary is there
	bool is_deep;
};

static uint64_t
high_of(const struct boundary *b)
{
	return (uint64_t)(b->start >> 64);
}

static struct high_group
read_group(const struct boundaries *b, size_t first)
{
	struct high_group g = { .first = first, .end = first, .high = high_of(&b->list[first]) };

	while (g.end < b->count && high_of(&b->list[g.end]) == g.high)
		g.end++;
	g.before = first == 0 ? PREFIX_TABLE_NONE : b->list[first - 1].value;
	g.is_deep = g.end - first > 1 || (uint64_t)b->list[first].start != 0;
	return g;
}

// Whether the group's last value goes on in the next upper half, which no group begins.
static bool
goes_on_behind(const struct boundaries *b, const struct high_group *g)
{
	if (!g->is_deep || g->high == UINT64_MAX)
		return false;
	return g->end == b->count || high_of(&b->list[g->end]) != g->high + 1;
}

// The lower halves of a group: one more interval if none begins at 0.
static size_t
deep_intervals(const struct boundaries *b, const struct high_group *g)
{
	return g->end - g->first + ((uint64_t)b->list[g->first].start != 0);
}

static struct shape
deep_shape(size_t intervals)
{
	struct shape s = shape_of(intervals, PREFIX_V6_FANOUT);

	if (intervals - 1 <= MAX_COUNTED) {
		s.levels = 0;
		s.first_interval = 0;
		s.separators = intervals - 1;
	}
	return s;
}

// A tree with nodes starts at a line.
static size_t
deep_start(size_t used, const struct shape *s)
{
	return s->levels == 0 ? used : (used + MAX_COUNTED - 1) / MAX_COUNTED * MAX_COUNTED;
}

static void
measure_v6(struct builder *b)
{
	size_t intervals = 0;

	for (size_t i = 0; i < b->v6.count;) {
		struct high_group g = read_group(&b->v6, i);

		intervals += 1 + goes_on_behind(&b->v6, &g);
		if (g.is_deep) {
			struct shape s = deep_shape(deep_intervals(&b->v6, &g));

			b->n_deep++;
			b->deep_values += s.intervals;
			b->deep_separators = deep_start(b->deep_separators, &s) + s.separators;
		}
		i = g.end;
	}
	b->shape_high = shape_of(intervals, PREFIX_V6_FANOUT);
}

// The arrays of a table while they are filled.
struct layout {
	uint32_t *v4_separators;
	uint32_t *v4_values;
	uint64_t *high_separators;
	uint32_t *high_values;
	struct prefix_deep *deep;
	uint64_t *deep_separators;
	uint32_t *deep_values;
};

static void
fill_v4(const struct builder *b, const struct layout *at)
{
	const struct shape *s = &b->shape_v4;

	for (size_t i = 0; i < s->separators; i++)
		at->v4_separators[i] = UINT32_MAX ^ PREFIX_V4_SIGN;
	for (size_t i = 0; i < s->intervals; i++) {
		uint32_t start = (uint32_t)(b->v4.list[i].start >> 96);

		at->v4_values[i] = b->v4.list[i].value;
		if (i > 0)
			at->v4_separators[separator_at(s, i, PREFIX_V4_FANOUT)] =
				(start - 1) ^ PREFIX_V4_SIGN;
	}
}

static void
fill_unused(uint64_t *separators, size_t n)
{
	for (size_t i = 0; i < n; i++)
		separators[i] = UINT64_MAX;
}

// Interval `i` begins at `start` in a tree of 64-bit halves.
static void
put_v6(const struct shape *s,
	uint64_t *separators,
	uint32_t *values,
	size_t i,
	uint64_t start,
	uint32_t value)
{
	values[i] = value;
	if (i == 0)
		return;
	if (s->levels == 0)
		separators[i - 1] = start - 1;
	else
		separators[separator_at(s, i, PREFIX_V6_FANOUT)] = start - 1;
}

// The lower halves of one group; `number`, `separators_used` and `values_used` so far.
struct deep_cursor {
	uint32_t number;
	size_t separators_used;
	size_t values_used;
};

static void
fill_deep(const struct builder *b,
	const struct high_group *g,
	const struct layout *at,
	struct deep_cursor *c)
{
	struct shape s = deep_shape(deep_intervals(&b->v6, g));
	size_t start = deep_start(c->separators_used, &s);
	uint64_t *separators = at->deep_separators + start;
	uint32_t *values = at->deep_values + c->values_used;
	size_t interval = 0;

	fill_unused(at->deep_separators + c->separators_used,
		start + s.separators - c->separators_used);
	if ((uint64_t)b->v6.list[g->first].start != 0)
		put_v6(&s, separators, values, interval++, 0, g->before);
	for (size_t i = g->first; i < g->end; i++) {
		const struct boundary *low = &b->v6.list[i];

		put_v6(&s, separators, values, interval++, (uint64_t)low->start, low->value);
	}

	at->deep[c->number++] = (struct prefix_deep){
		.separators = (uint32_t)start,
		.values = (uint32_t)c->values_used,
		.shape = s.levels << SHAPE_LEVELS | (s.levels == 0 ? (uint32_t)s.separators : 0),
	};
	c->separators_used = start + s.separators;
	c->values_used += s.intervals;
}

static void
fill_v6(const struct builder *b, const struct layout *at)
{
	const struct shape *s = &b->shape_high;
	struct deep_cursor deep = {};
	size_t interval = 0;

	fill_unused(at->high_separators, s->separators);
	for (size_t i = 0; i < b->v6.count;) {
		struct high_group g = read_group(&b->v6, i);
		uint32_t last = b->v6.list[g.end - 1].value;
		uint32_t value = g.is_deep ? PREFIX_DEEP | deep.number : last;

		put_v6(s, at->high_separators, at->high_values, interval++, g.high, value);
		if (g.is_deep)
			fill_deep(b, &g, at, &deep);
		if (goes_on_behind(&b->v6, &g))
			put_v6(s, at->high_separators, at->high_values, interval++, g.high + 1,
				last);
		i = g.end;
	}
}

// Take the next n_bytes, rounded up to whole lines, from a size or a block that is laid out.
static size_t
take(size_t *used, size_t n_bytes)
{
	size_t at = *used;

	*used += (n_bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
	return at;
}

// Offsets of the arrays in the table's memory.
struct offsets {
	size_t v4_separators, v4_values, high_separators, high_values;
	size_t deep, deep_separators, deep_values;
	size_t end;
};

static struct offsets
lay_out(const struct builder *b)
{
	struct offsets o = {};

	take(&o.end, sizeof(struct prefix_table));
	o.v4_separators = take(&o.end, b->shape_v4.separators * sizeof(uint32_t));
	o.high_separators = take(&o.end, b->shape_high.separators * sizeof(uint64_t));
	o.deep_separators = take(&o.end, b->deep_separators * sizeof(uint64_t));
	o.v4_values = take(&o.end, b->shape_v4.intervals * sizeof(uint32_t));
	o.high_values = take(&o.end, b->shape_high.intervals * sizeof(uint32_t));
	o.deep_values = take(&o.end, b->deep_values * sizeof(uint32_t));
	o.deep = take(&o.end, b->n_deep * sizeof(struct prefix_deep));
	return o;
}

static struct prefix_table *
make_table(const struct builder *b)
{
	struct offsets o = lay_out(b);
	struct prefix_table *t;
	struct layout at;
	uint8_t *memory;

	memory = aligned_alloc(LINE_BYTES, o.end);
	if (memory == NULL)
		return NULL;
	at = (struct layout){
		.v4_separators = (uint32_t *)(memory + o.v4_separators),
		.v4_values = (uint32_t *)(memory + o.v4_values),
		.high_separators = (uint64_t *)(memory + o.high_separators),
		.high_values = (uint32_t *)(memory + o.high_values),
		.deep = (struct prefix_deep *)(memory + o.deep),
		.deep_separators = (uint64_t *)(memory + o.deep_separators),
		.deep_values = (uint32_t *)(memory + o.deep_values),
	};
	fill_v4(b, &at);
	fill_v6(b, &at);

	t = (struct prefix_table *)memory;
	*t = (struct prefix_table){
		.v4 = { at.v4_separators, at.v4_values, b->shape_v4.first_interval,
			b->shape_v4.levels },
		.v6 = { at.high_separators, at.high_values, b->shape_high.first_interval,
			b->shape_high.levels },
		.deep = at.deep,
		.deep_separators = at.deep_separators,
		.deep_values = at.deep_values,
		.count = b->n_v4 + b->n_v6,
		.size_bytes = o.end,
	};
	return t;
}

// Sort, refuse, and turn into intervals.
static int
prepare(struct builder *b, const struct prefix_item *items, size_t n, size_t *ret_bad)
{
	size_t duplicate_v4, duplicate_v6;
	int err;

	err = fill_entries(b, items, n, ret_bad);
	if (err < 0)
		return err;
	duplicate_v4 = find_duplicate(b->entries, b->n_v4);
	duplicate_v6 = find_duplicate(b->entries + b->n_v4, b->n_v6);
	if (duplicate_v4 != SIZE_MAX || duplicate_v6 != SIZE_MAX) {
		*ret_bad = duplicate_v4 < duplicate_v6 ? duplicate_v4 : duplicate_v6;
		return -EEXIST;
	}

	b->v6.list = b->v4.list + 2 * b->n_v4 + 1;
	sweep(b->entries, b->n_v4, &b->v4);
	sweep(b->entries + b->n_v4, b->n_v6, &b->v6);
	b->shape_v4 = shape_of(b->v4.count, PREFIX_V4_FANOUT);
	measure_v6(b);
	return 0;
}

int
prefix_table_create(const struct prefix_item *items,
	size_t n,
	struct prefix_table **ret_table,
	size_t *ret_bad)
{
	struct builder b = {};
	struct prefix_table *t;
	size_t bad = 0;
	int err = -ENOMEM;

	if (n > MAX_ITEMS)
		return -E2BIG;
	b.entries = calloc(n + 1, sizeof(*b.entries));
	if (b.entries == NULL)
		return -ENOMEM;
	b.v4.list = calloc(2 * n + 2, sizeof(*b.v4.list));
	if (b.v4.list == NULL)
		goto free_entries;

	err = prepare(&b, items, n, &bad);
	if (err < 0) {
		if (ret_bad != NULL && err != -ENOMEM)
			*ret_bad = bad;
		goto free_boundaries;
	}
	t = make_table(&b);
	if (t == NULL) {
		err = -ENOMEM;
		goto free_boundaries;
	}
	*ret_table = t;

free_boundaries:
	free(b.v4.list);
free_entries:
	free(b.entries);
	return err;
}

void
prefix_table_destroy(struct prefix_table *t)
{
	free(t);
}

// (9^levels - 1) / 8: see first_interval.
static uint32_t
first_interval_of(uint32_t levels)
{
	uint32_t first = 0;

	while (levels-- > 0)
		first = first * (PREFIX_V6_FANOUT + 1) + 1;
	return first;
}

uint32_t
prefix_table_lookup_deep(const struct prefix_table *t, uint32_t deep, uint64_t low)
{
	const struct prefix_deep *d = &t->deep[deep];
	const uint64_t *separators = t->deep_separators + d->separators;
	uint32_t levels = d->shape >> SHAPE_LEVELS;
	uint32_t interval = 0;

	if (levels > 0) {
		interval =
			prefix_table_search_v6(separators, levels, first_interval_of(levels), low);
	} else {
		for (uint32_t i = 0; i < (d->shape & SHAPE_COUNT); i++)
			interval += separators[i] < low;
	}
	return t->deep_values[d->values + interval];
}
