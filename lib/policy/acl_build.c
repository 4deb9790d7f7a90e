/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Each side of each family is swept once: the spans of all rules cut the address space at their
 * ends, and between two cuts the set of spans, sorted by rule, is a class.  Equal sets are found by
 * a hash and stored once.
 */

#include "lib/policy/acl_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_ROW UINT32_MAX

// Addresses that a rule names.  The key orders a class and is what becomes an entry:
//     source       rule << 1 | ACL_BY_ADDRESS
//     destination  rule << 32 | first_port << 16 | last_port
struct span {
	struct acl_addr first, last;
	uint64_t key;
	bool is_local; // no rule: a destination that may be delivered; the key counts for nothing
};

struct spans {
	struct span *list;
	size_t n, room;
};

// A growing array of numbers.
struct words {
	uint64_t *list;
	size_t n, room;
};

struct builder {
	const struct policy *policy;
	uint8_t family;
	uint64_t work; // left
	struct spans src, dst;
	struct words protocols; // four for each rule of this family
	uint32_t n_rules;
};

// A side as it grows.
struct sweep {
	struct builder *b;
	struct spans *spans;
	bool is_src;
	const struct span **active; // in effect at the cut, in order of their keys
	size_t n_active;
	uint64_t *keys; // of the class at the cut
	size_t n_keys;
	uint32_t flags;
	struct acl_addr *bounds;
	uint32_t *classes;
	uint32_t n_intervals;
	struct acl_class *rows;
	uint32_t n_rows, rows_room;
	struct words entries; // keys
	uint32_t *buckets;    // rows by hash, NO_ROW if empty
	uint32_t n_buckets;
};

static int
work(struct builder *b, uint64_t steps)
{
	if (steps > b->work)
		return -E2BIG;
	b->work -= steps;
	return 0;
}

static int
words_add(struct words *w, uint64_t word)
{
	if (w->n == w->room) {
		size_t room = w->room == 0 ? 64 : 2 * w->room;
		uint64_t *grown = realloc(w->list, room * sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		w->list = grown;
		w->room = room;
	}
	w->list[w->n++] = word;
	return 0;
}

static int
spans_add(struct spans *s, struct span span)
{
	if (s->n == ACL_MAX_SPANS)
		return -E2BIG;
	if (s->n == s->room) {
		size_t room = s->room == 0 ? 64 : 2 * s->room;
		struct span *grown = realloc(s->list, room * sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		s->list = grown;
		s->room = room;
	}
	s->list[s->n++] = span;
	return 0;
}

static struct span
span_of(const struct filter_range *r, uint64_t key)
{
	return (struct span){
		.first = acl_addr_load(r->first.family, r->first.bytes),
		.last = acl_addr_load(r->last.family, r->last.bytes),
		.key = key,
	};
}

static bool
node_has_cap(const struct policy_node *node, const char *cap)
{
	for (size_t i = 0; i < node->n_caps; i++)
		if (strcmp(node->caps[i], cap) == 0)
			return true;
	return false;
}

static int
add_owner(struct builder *b, const struct policy_node *node, uint32_t rule)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < node->n_addrs; i++) {
		struct filter_range r = { node->addrs[i], node->addrs[i] };

		if (r.first.family == b->family)
			err = spans_add(&b->src, span_of(&r, (uint64_t)rule << 1));
	}
	return err;
}

// The addresses of every node that has a capability.
static int
add_owners(struct builder *b, const char *cap, uint32_t rule)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < b->policy->n_nodes; i++) {
		const struct policy_node *node = &b->policy->nodes[i];

		err = work(b, 8 * (node->n_caps + 1));
		if (err == 0 && node_has_cap(node, cap))
			err = add_owner(b, node, rule);
	}
	return err;
}

static int
add_srcs(struct builder *b, const struct filter_rule *r, uint32_t rule)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < r->n_srcs; i++)
		if (r->srcs[i].first.family == b->family)
			err = spans_add(&b->src,
				span_of(&r->srcs[i], (uint64_t)rule << 1 | ACL_BY_ADDRESS));
	for (size_t i = 0; err == 0 && i < r->n_src_caps; i++)
		err = add_owners(b, r->src_caps[i], rule);
	return err;
}

static int
add_dsts(struct builder *b, const struct filter_rule *r, uint32_t rule)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < r->n_dsts; i++) {
		const struct filter_dst *d = &r->dsts[i];
		uint64_t ports = (uint64_t)d->first_port << 16 | d->last_port;

		if (d->addrs.first.family == b->family)
			err = spans_add(&b->dst, span_of(&d->addrs, (uint64_t)rule << 32 | ports));
	}
	return err;
}

// A rule without destination in this family has no say in it.
static int
add_rule(struct builder *b, const struct filter_rule *r)
{
	size_t before = b->dst.n;
	int err = add_dsts(b, r, b->n_rules);

	if (err < 0 || b->dst.n == before)
		return err;
	err = add_srcs(b, r, b->n_rules);
	for (int i = 0; err == 0 && i < 4; i++)
		err = words_add(&b->protocols, r->protocols[i]);
	b->n_rules++;
	return err;
}

static int
add_local_nets(struct builder *b)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < b->policy->local_nets->n; i++) {
		struct span span = span_of(&b->policy->local_nets->ranges[i], UINT64_MAX);

		span.is_local = true;
		if (b->policy->local_nets->ranges[i].first.family == b->family)
			err = spans_add(&b->dst, span);
	}
	return err;
}

static int
collect(struct builder *b)
{
	int err = add_local_nets(b);

	for (size_t i = 0; err == 0 && i < policy_n_rules(b->policy); i++)
		err = add_rule(b, &b->policy->rules->rules[i]);
	return err;
}

static int
compare_addrs(const void *a, const void *b)
{
	const struct acl_addr *x = a, *y = b;

	return acl_addr_less(x, y) ? -1 : acl_addr_less(y, x);
}

// Those that begin together in the order in which they are kept, so that nothing has to be moved.
static int
compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int order = compare_addrs(&x->first, &y->first);

	return order != 0 ? order : x->key < y->key ? -1 : x->key > y->key;
}

// Where classes may change: 0, and every span's first address and the one behind its last.
static size_t
make_cuts(const struct spans *spans, struct acl_addr *cuts)
{
	size_t n = 0, kept = 1;

	cuts[n++] = (struct acl_addr){ 0, 0 };
	for (size_t i = 0; i < spans->n; i++) {
		struct acl_addr behind = spans->list[i].last;

		behind.low++;
		behind.high += behind.low == 0;
		cuts[n++] = spans->list[i].first;
		cuts[n++] = behind; // 0 again behind the very last
	}
	qsort(cuts, n, sizeof(*cuts), compare_addrs);
	for (size_t i = 1; i < n; i++)
		if (!acl_addr_equal(&cuts[i], &cuts[kept - 1]))
			cuts[kept++] = cuts[i];
	return kept;
}

static void
drop_ended(struct sweep *s, const struct acl_addr *cut)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_active; i++)
		if (!acl_addr_less(&s->active[i]->last, cut))
			s->active[kept++] = s->active[i];
	s->n_active = kept;
}

static int
insert_active(struct sweep *s, const struct span *span)
{
	size_t low = 0, high = s->n_active;
	int err;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->active[middle]->key < span->key)
			low = middle + 1;
		else
			high = middle;
	}
	err = work(s->b, (s->n_active - low) / 8 + 1);
	if (err < 0)
		return err;
	memmove(s->active + low + 1, s->active + low, (s->n_active - low) * sizeof(s->active[0]));
	s->active[low] = span;
	s->n_active++;
	return 0;
}

// All that begin at a cut.
static int
insert_begun(struct sweep *s, const struct acl_addr *cut, size_t *next)
{
	for (; *next < s->spans->n; (*next)++) {
		const struct span *span = &s->spans->list[*next];
		int err;

		if (!acl_addr_equal(&span->first, cut))
			break;
		err = insert_active(s, span);
		if (err < 0)
			return err;
	}
	return 0;
}

// The class of the spans in effect: their keys without repetition, and its flags.
static void
describe(struct sweep *s)
{
	s->n_keys = 0;
	s->flags = 0;
	for (size_t i = 0; i < s->n_active; i++) {
		const struct span *span = s->active[i];
		// Of a source by capability and by address, which comes later, the latter says all.
		unsigned ignored = s->is_src ? 1 : 0;

		if (span->is_local) {
			s->flags |= ACL_CLASS_LOCAL;
			continue;
		}
		if (s->is_src && (span->key & ACL_BY_ADDRESS) == 0)
			s->flags |= ACL_CLASS_CAP;
		if (s->n_keys > 0 && s->keys[s->n_keys - 1] >> ignored == span->key >> ignored)
			s->n_keys--;
		s->keys[s->n_keys++] = span->key;
	}
}

static uint64_t
hash_class(const struct sweep *s)
{
	uint64_t h = s->flags;

	for (size_t i = 0; i < s->n_keys; i++) {
		h = (h ^ s->keys[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h ^ h >> 32;
}

static bool
is_row(const struct sweep *s, uint32_t row)
{
	const struct acl_class *c = &s->rows[row];

	return c->flags == s->flags && c->count == s->n_keys &&
	       (s->n_keys == 0 || memcmp(s->entries.list + c->first, s->keys,
					  s->n_keys * sizeof(s->keys[0])) == 0);
}

static int
add_row(struct sweep *s)
{
	if (s->entries.n + s->n_keys > ACL_MAX_ENTRIES)
		return -E2BIG;
	if (s->n_rows == s->rows_room) {
		uint32_t room = s->rows_room == 0 ? 64 : 2 * s->rows_room;
		struct acl_class *grown = realloc(s->rows, room * sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		s->rows = grown;
		s->rows_room = room;
	}
	s->rows[s->n_rows++] = (struct acl_class){
		.first = (uint32_t)s->entries.n,
		.count = (uint32_t)s->n_keys,
		.flags = s->flags,
	};
	for (size_t i = 0; i < s->n_keys; i++) {
		int err = words_add(&s->entries, s->keys[i]);

		if (err < 0)
			return err;
	}
	return 0;
}

// The number of the class that describe() made, old or new.
static int
find_row(struct sweep *s, uint32_t *ret_row)
{
	uint32_t bucket = (uint32_t)hash_class(s) & (s->n_buckets - 1);
	int err;

	for (; s->buckets[bucket] != NO_ROW; bucket = (bucket + 1) & (s->n_buckets - 1)) {
		// A server that makes hashes collide spends the work that it may cause.
		err = work(s->b, s->n_keys + 1);
		if (err < 0)
			return err;
		if (is_row(s, s->buckets[bucket])) {
			*ret_row = s->buckets[bucket];
			return 0;
		}
	}
	err = add_row(s);
	if (err < 0)
		return err;
	s->buckets[bucket] = s->n_rows - 1;
	*ret_row = s->n_rows - 1;
	return 0;
}

static int
add_interval(struct sweep *s, const struct acl_addr *cut)
{
	uint32_t row;
	int err;

	describe(s);
	err = find_row(s, &row);
	if (err < 0)
		return err;
	if (s->n_intervals > 0 && s->classes[s->n_intervals - 1] == row)
		return 0;
	s->bounds[s->n_intervals] = *cut;
	s->classes[s->n_intervals++] = row;
	return 0;
}

static int
run_sweep(struct sweep *s, const struct acl_addr *cuts, size_t n_cuts)
{
	size_t next = 0;

	for (size_t i = 0; i < n_cuts; i++) {
		int err;

		drop_ended(s, &cuts[i]);
		err = insert_begun(s, &cuts[i], &next);
		if (err == 0)
			err = work(s->b, 4 * (s->n_active + 1));
		if (err == 0)
			err = add_interval(s, &cuts[i]);
		if (err < 0)
			return err;
	}
	return 0;
}

static int
make_side(struct sweep *s)
{
	size_t most = 2 * s->spans->n + 1;
	struct acl_addr *cuts = calloc(most, sizeof(*cuts));
	size_t n_cuts;
	int err = -ENOMEM;

	for (s->n_buckets = 64; s->n_buckets < 2 * most;)
		s->n_buckets *= 2;
	s->active = calloc(s->spans->n + 1, sizeof(s->active[0]));
	s->keys = calloc(s->spans->n + 1, sizeof(s->keys[0]));
	s->bounds = calloc(most, sizeof(*s->bounds));
	s->classes = calloc(most, sizeof(*s->classes));
	s->buckets = malloc(s->n_buckets * sizeof(*s->buckets));
	if (cuts == NULL || s->active == NULL || s->keys == NULL || s->bounds == NULL ||
		s->classes == NULL || s->buckets == NULL)
		goto free_cuts;
	memset(s->buckets, 0xff, s->n_buckets * sizeof(*s->buckets));

	n_cuts = make_cuts(s->spans, cuts);
	if (s->spans->n > 0)
		qsort(s->spans->list, s->spans->n, sizeof(*s->spans->list), compare_spans);
	err = run_sweep(s, cuts, n_cuts);
free_cuts:
	free(cuts);
	return err;
}

static void
sweep_fini(struct sweep *s)
{
	free(s->active);
	free(s->keys);
	free(s->bounds);
	free(s->classes);
	free(s->rows);
	free(s->entries.list);
	free(s->buckets);
}

static void
builder_fini(struct builder *b)
{
	free(b->src.list);
	free(b->dst.list);
	free(b->protocols.list);
}

// Room for n elements behind what is there; returns the offset.
static uint32_t
reserve(uint64_t *end, uint64_t n, uint64_t element)
{
	uint64_t at = *end;

	*end = (at + n * element + 7) & ~UINT64_C(7);
	return (uint32_t)at;
}

static struct acl_side
lay_out_side(const struct sweep *s, uint64_t *end)
{
	uint64_t entry = s->is_src ? sizeof(uint32_t) : sizeof(struct acl_dst);

	return (struct acl_side){
		.bounds_at = reserve(end, s->n_intervals, sizeof(struct acl_addr)),
		.classes_at = reserve(end, s->n_intervals, sizeof(uint32_t)),
		.rows_at = reserve(end, s->n_rows, sizeof(struct acl_class)),
		.entries_at = reserve(end, s->entries.n, entry),
		.n_intervals = s->n_intervals,
		.n_rows = s->n_rows,
		.n_entries = (uint32_t)s->entries.n,
	};
}

static void
copy_rows(struct acl_table *t, uint32_t at, const void *rows, size_t len)
{
	if (len > 0)
		memcpy((char *)t + at, rows, len);
}

static void
write_side(struct acl_table *t, const struct acl_side *side, const struct sweep *s)
{
	uint32_t *srcs = (uint32_t *)((char *)t + side->entries_at);
	struct acl_dst *dsts = (struct acl_dst *)((char *)t + side->entries_at);

	copy_rows(t, side->bounds_at, s->bounds, s->n_intervals * sizeof(*s->bounds));
	copy_rows(t, side->classes_at, s->classes, s->n_intervals * sizeof(*s->classes));
	copy_rows(t, side->rows_at, s->rows, s->n_rows * sizeof(*s->rows));
	for (size_t i = 0; i < s->entries.n; i++) {
		uint64_t key = s->entries.list[i];

		if (s->is_src)
			srcs[i] = (uint32_t)key;
		else
			dsts[i] = (struct acl_dst){ (uint32_t)(key >> 32), (uint16_t)(key >> 16),
				(uint16_t)key };
	}
}

static void
write_exempt(struct acl_table *t, const struct policy *p)
{
	for (size_t i = 0; i < p->n_peer_api; i++) {
		const struct endpoint *e = &p->peer_api[i];

		t->exempt[t->n_exempt++] = (struct acl_exempt){
			.dst = acl_addr_load(e->addr.family, e->addr.bytes),
			.port = e->port,
			.family = e->addr.family,
		};
	}
}

// builders and sweeps: of IPv4, of IPv6; sweeps: source, destination of each.
static int
assemble(const struct policy *p,
	uint64_t generation,
	const struct builder builders[2],
	const struct sweep sweeps[4],
	struct acl_table **ret_table)
{
	struct acl_family families[2];
	uint64_t end = sizeof(struct acl_table);
	struct acl_table *t;

	for (int i = 0; i < 2; i++)
		families[i] = (struct acl_family){
			.src = lay_out_side(&sweeps[2 * i], &end),
			.dst = lay_out_side(&sweeps[2 * i + 1], &end),
			.protocols_at = reserve(&end, builders[i].protocols.n, sizeof(uint64_t)),
			.n_rules = builders[i].n_rules,
		};
	if (end > UINT32_MAX)
		return -E2BIG;
	t = calloc(1, end);
	if (t == NULL)
		return -ENOMEM;
	t->magic = ACL_TABLE_MAGIC;
	t->version = ACL_TABLE_VERSION;
	t->generation = generation;
	t->size_bytes = (uint32_t)end;
	memcpy(t->families, families, sizeof(families));
	write_exempt(t, p);
	for (int i = 0; i < 2; i++) {
		write_side(t, &families[i].src, &sweeps[2 * i]);
		write_side(t, &families[i].dst, &sweeps[2 * i + 1]);
		copy_rows(t, families[i].protocols_at, builders[i].protocols.list,
			builders[i].protocols.n * sizeof(uint64_t));
	}
	*ret_table = t;
	return 0;
}

int
acl_build(const struct policy *p, uint64_t generation, struct acl_table **ret_table)
{
	struct builder builders[2] = {
		{ .policy = p, .family = ADDR_V4, .work = ACL_MAX_WORK },
		{ .policy = p, .family = ADDR_V6, .work = ACL_MAX_WORK },
	};
	struct sweep sweeps[4] = {};
	int err = p->n_peer_api > ACL_MAX_EXEMPT ? -E2BIG : 0;

	for (int i = 0; err == 0 && i < 2; i++)
		err = collect(&builders[i]);
	for (int i = 0; err == 0 && i < 4; i++) {
		struct builder *b = &builders[i / 2];
		bool is_src = i % 2 == 0;

		sweeps[i].b = b;
		sweeps[i].is_src = is_src;
		sweeps[i].spans = is_src ? &b->src : &b->dst;
		err = make_side(&sweeps[i]);
	}
	if (err == 0)
		err = assemble(p, generation, builders, sweeps, ret_table);
	for (int i = 0; i < 4; i++)
		sweep_fini(&sweeps[i]);
	builder_fini(&builders[0]);
	builder_fini(&builders[1]);
	return err;
}
