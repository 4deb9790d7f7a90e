/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Several tables as one list: rows that tell a story, then random tables against a naive walk as
 * the kernel does it.
 */

#include "controlplane/gateway/kernel/route_merge.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/kernel/network_make.h"
#include "tests/lib/tap.h"

#define MAX_ROWS 12
#define ROUNDS   300

/* A route in words: prefix, type, gateway or NULL, interface, metric. */
struct given {
	const char *prefix;
	uint8_t type;
	const char *gateway;
	uint32_t ifindex;
	uint32_t metric;
	bool narrowed, involved;
};

static struct route_row
row_of(const struct given *g)
{
	struct route_row row = { .type = g->type,
		.ifindex = g->ifindex,
		.metric = g->metric,
		.narrowed = g->narrowed,
		.is_involved = g->involved };

	if (prefix_parse(g->prefix, &row.prefix) < 0)
		abort();
	if (g->gateway != NULL && addr_parse(g->gateway, &row.gateway) < 0)
		abort();
	return row;
}

static void
add_table(struct route_merge *m, const struct given *table, size_t n)
{
	route_merge_begin(m);
	for (size_t i = 0; i < n; i++) {
		struct route_row row = row_of(&table[i]);

		if (route_merge_add(m, &row) < 0)
			abort();
	}
	if (route_merge_end(m) < 0)
		abort();
}

#define TABLE(m, ...)                                       \
	add_table(m, (const struct given[]){ __VA_ARGS__ }, \
		sizeof((const struct given[]){ __VA_ARGS__ }) / sizeof(struct given))

static const struct network_route *
lookup(const struct route_merge *m, const char *address)
{
	struct prefix p;

	if (prefix_parse(address, &p) < 0)
		abort();
	return network_route_covering(m->rows, m->n, &p);
}

static bool
goes(const struct route_merge *m, const char *address, uint8_t kind, uint32_t ifindex)
{
	const struct network_route *row = lookup(m, address);

	return kind == 0 ? row == NULL
	                 : row != NULL && row->kind == kind && row->ifindex == ifindex;
}

static void
test_kinds(void)
{
	struct route_merge m = {};
	char text[ADDR_TEXT_LEN];

	TABLE(&m, { "192.0.2.1/32", RTN_LOCAL, NULL, 1, 0, false, false },
		{ "192.0.2.255/32", RTN_BROADCAST, NULL, 1, 0, false, false },
		{ "192.0.2.0/24", RTN_UNICAST, NULL, 2, 0, false, false },
		{ "10.0.0.0/8", RTN_UNICAST, "192.0.2.9", 2, 0, false, false },
		{ "10.1.0.0/16", RTN_BLACKHOLE, NULL, 0, 0, false, false },
		{ "10.2.0.0/16", RTN_UNREACHABLE, NULL, 0, 0, false, false },
		{ "10.3.0.0/16", RTN_PROHIBIT, NULL, 0, 0, false, false },
		{ "10.4.0.0/16", RTN_UNICAST, NULL, 0, 0, false, true },
		{ "10.5.0.0/16", RTN_UNICAST, "192.0.2.9", 2, 0, true, false },
		{ "10.6.0.0/16", RTN_NAT, NULL, 2, 0, false, false },
		{ "fd00::/8", RTN_UNICAST, "fe80::1", 3, 1024, false, false });
	route_merge_finish(&m, 100, NULL, 0);
	tap_ok(goes(&m, "192.0.2.1", SHM_ROUTE_LOCAL, 1), "an own address");
	tap_ok(goes(&m, "192.0.2.255", SHM_ROUTE_LOCAL, 1), "a broadcast is the kernel's");
	tap_ok(goes(&m, "192.0.2.77", SHM_ROUTE_CONNECTED, 2), "a connected network");
	tap_ok(goes(&m, "10.9.9.9", SHM_ROUTE_GATEWAY, 2), "behind a gateway");
	tap_text(addr_format(&lookup(&m, "10.9.9.9")->gateway, text), "192.0.2.9", "this one");
	tap_ok(goes(&m, "10.1.2.3", SHM_ROUTE_REFUSE, 0) &&
			goes(&m, "10.2.2.3", SHM_ROUTE_REFUSE, 0) &&
			goes(&m, "10.3.2.3", SHM_ROUTE_REFUSE, 0),
		"blackhole, unreachable, prohibit");
	tap_ok(goes(&m, "10.4.2.3", SHM_ROUTE_KERNEL, 0), "several next hops");
	tap_ok(goes(&m, "10.5.2.3", SHM_ROUTE_KERNEL, 0), "a route for some packets only");
	tap_ok(goes(&m, "10.6.2.3", SHM_ROUTE_KERNEL, 2), "what we have no word for");
	tap_ok(goes(&m, "fd12::3", SHM_ROUTE_GATEWAY, 3), "IPv6 by a link-local gateway");
	tap_ok(goes(&m, "11.0.0.1", 0, 0) && goes(&m, "fc00::", 0, 0), "no route");
	route_merge_fini(&m);
}

static void
test_metrics(void)
{
	struct route_merge m = {};

	TABLE(&m, { "0.0.0.0/0", RTN_UNICAST, "192.0.2.9", 3, 200, false, false },
		{ "0.0.0.0/0", RTN_UNICAST, "192.0.2.8", 2, 100, false, false },
		{ "10.0.0.0/8", RTN_UNICAST, NULL, 4, 5, false, false },
		{ "10.0.0.0/8", RTN_UNICAST, NULL, 5, 5, false, false },
		{ "11.0.0.0/8", RTN_UNICAST, NULL, 4, 5, false, false },
		{ "11.0.0.0/8", RTN_UNICAST, NULL, 4, 5, false, false },
		{ "ff00::/8", RTN_MULTICAST, NULL, 4, 256, false, false },
		{ "ff00::/8", RTN_MULTICAST, NULL, 5, 256, false, false });
	route_merge_finish(&m, 100, NULL, 0);
	tap_ok(goes(&m, "8.8.8.8", SHM_ROUTE_GATEWAY, 2), "the lowest metric counts");
	tap_ok(goes(&m, "10.1.1.1", SHM_ROUTE_KERNEL, 0), "two of one metric are the kernel's");
	tap_ok(goes(&m, "11.1.1.1", SHM_ROUTE_CONNECTED, 4), "unless they are the same");
	tap_ok(lookup(&m, "ff02::1")->kind == SHM_ROUTE_LOCAL, "multicast of many interfaces");
	route_merge_fini(&m);
}

static void
test_order(void)
{
	struct route_merge m = {};

	TABLE(&m, { "10.0.0.0/8", RTN_UNICAST, NULL, 1, 0, false, false },
		{ "10.1.0.0/16", RTN_THROW, NULL, 0, 0, false, false },
		{ "11.0.0.0/8", RTN_THROW, NULL, 0, 0, false, false },
		{ "12.0.0.0/8", RTN_THROW, NULL, 0, 0, false, false });
	TABLE(&m, { "10.2.0.0/16", RTN_UNICAST, NULL, 2, 0, false, false },
		{ "10.1.2.0/24", RTN_UNICAST, NULL, 2, 0, false, false },
		{ "11.1.0.0/16", RTN_UNICAST, NULL, 2, 0, false, false },
		{ "8.0.0.0/5", RTN_UNICAST, NULL, 2, 0, false, false },
		{ "12.0.0.0/8", RTN_THROW, NULL, 0, 0, false, false });
	TABLE(&m, { "10.1.2.128/25", RTN_UNICAST, NULL, 3, 0, false, false },
		{ "11.9.0.0/16", RTN_UNICAST, NULL, 3, 0, false, false },
		{ "12.1.0.0/16", RTN_UNICAST, NULL, 3, 0, false, false },
		{ "0.0.0.0/0", RTN_UNICAST, "9.9.9.9", 3, 0, false, false });
	route_merge_finish(&m, 100, NULL, 0);
	tap_ok(goes(&m, "10.2.1.1", SHM_ROUTE_CONNECTED, 1),
		"an earlier table decides, though a later one has a longer prefix");
	tap_ok(goes(&m, "10.1.2.1", SHM_ROUTE_CONNECTED, 2), "a throw lets it go on");
	tap_ok(goes(&m, "10.1.2.200", SHM_ROUTE_CONNECTED, 2), "to the table that decides");
	tap_ok(goes(&m, "10.1.9.9", SHM_ROUTE_CONNECTED, 2), "which may do so by a shorter prefix");
	tap_ok(goes(&m, "11.1.1.1", SHM_ROUTE_CONNECTED, 2) &&
			goes(&m, "11.9.1.1", SHM_ROUTE_CONNECTED, 2),
		"the same for a throw of nothing around it");
	tap_ok(goes(&m, "12.1.1.1", SHM_ROUTE_CONNECTED, 3) &&
			goes(&m, "12.9.9.9", SHM_ROUTE_GATEWAY, 3),
		"thrown twice: the third table");
	tap_ok(goes(&m, "200.1.1.1", SHM_ROUTE_GATEWAY, 3), "nothing earlier: the last table");
	route_merge_fini(&m);
}

static void
test_limit(void)
{
	struct route_merge m = {};
	struct prefix keep;
	struct route_row row = { .type = RTN_UNICAST, .ifindex = 7 };

	if (prefix_parse("10.77.0.0/16", &keep) < 0)
		abort();
	route_merge_begin(&m);
	for (unsigned i = 0; i < 1000; i++) {
		row.prefix =
			(struct prefix){ { ADDR_V4, { 10, (uint8_t)(i / 4), (uint8_t)(i % 4) } },
				24 };
		if (route_merge_add(&m, &row) < 0)
			abort();
	}
	row = row_of(&(struct given){ "192.0.2.1/32", RTN_LOCAL, NULL, 1, 0, false, false });
	if (route_merge_add(&m, &row) < 0 || route_merge_end(&m) < 0)
		abort();
	tap_int((long long)route_merge_finish(&m, 50, &keep, 1), 1001 - 4 - 1 - 2, "most go");
	tap_int((long long)m.n, 4 + 1 + 2, "few stay");
	tap_ok(goes(&m, "10.77.1.1", SHM_ROUTE_CONNECTED, 7), "what is advertised");
	tap_ok(goes(&m, "192.0.2.1", SHM_ROUTE_LOCAL, 1), "own addresses");
	tap_ok(goes(&m, "10.78.1.1", SHM_ROUTE_KERNEL, 0) &&
			goes(&m, "fd00::1", SHM_ROUTE_KERNEL, 0),
		"the rest is the kernel's");
	tap_int((long long)route_merge_finish(&m, 5, &keep, 1), 4, "still too many");
	tap_ok(m.n == 3 && goes(&m, "10.77.1.1", SHM_ROUTE_KERNEL, 0) &&
			goes(&m, "192.0.2.1", SHM_ROUTE_LOCAL, 1),
		"own addresses stay longest");
	route_merge_fini(&m);
}

/* --- against a naive walk --- */

struct table {
	struct route_row rows[MAX_ROWS];
	size_t n;
};

// Two bits of address: four places, prefixes of 0 to 3 bits, so that everything collides.
static void
fill_table(struct table *t)
{
	static const uint8_t types[] = { RTN_UNICAST, RTN_UNICAST, RTN_THROW, RTN_UNREACHABLE };

	t->n = (size_t)(rand() % MAX_ROWS);
	for (size_t i = 0; i < t->n; i++) {
		t->rows[i] = (struct route_row){ .type = types[rand() % 4],
			.metric = (uint32_t)(rand() % 3) };
		t->rows[i].ifindex =
			t->rows[i].type == RTN_UNICAST ? (uint32_t)(1 + rand() % 3) : 0;
		t->rows[i].prefix = prefix_mask((struct prefix){
			{ ADDR_V4, { (uint8_t)(rand() % 8 * 32) } }, (uint8_t)(rand() % 4) });
	}
}

// The longest prefix, then the lowest metric.  NULL: none; is_tie: several that differ.
static const struct route_row *
naive_in_table(const struct table *t, const struct addr *a, bool *is_tie)
{
	const struct route_row *best = NULL;

	*is_tie = false;
	for (size_t i = 0; i < t->n; i++) {
		const struct route_row *r = &t->rows[i];

		if (!prefix_contains(&r->prefix, a))
			continue;
		if (best == NULL || r->prefix.len > best->prefix.len ||
			(r->prefix.len == best->prefix.len && r->metric < best->metric)) {
			best = r;
			*is_tie = false;
		} else if (r->prefix.len == best->prefix.len && r->metric == best->metric &&
			   (r->type != best->type || r->ifindex != best->ifindex)) {
			*is_tie = true;
		}
	}
	return best;
}

// 0: no answer; else kind and interface in one number.
static uint32_t
naive(const struct table *tables, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++) {
		bool is_tie;
		const struct route_row *r = naive_in_table(&tables[i], a, &is_tie);

		if (r == NULL)
			continue;
		if (is_tie)
			return SHM_ROUTE_KERNEL * 16;
		if (r->type == RTN_UNREACHABLE)
			return SHM_ROUTE_REFUSE * 16;
		if (r->type == RTN_UNICAST)
			return SHM_ROUTE_CONNECTED * 16 + r->ifindex;
	}
	return 0;
}

static bool
agree(const struct table *tables, size_t n)
{
	struct route_merge m = {};
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		route_merge_begin(&m);
		for (size_t k = 0; k < tables[i].n; k++)
			if (route_merge_add(&m, &tables[i].rows[k]) < 0)
				abort();
		if (route_merge_end(&m) < 0)
			abort();
	}
	route_merge_finish(&m, 1000, NULL, 0);
	for (unsigned place = 0; place < 8; place++) {
		const struct prefix p = { { ADDR_V4, { (uint8_t)(place * 32 + 1) } }, 32 };
		const struct network_route *row = network_route_covering(m.rows, m.n, &p);
		uint32_t got = row == NULL ? 0 : row->kind * 16u + row->ifindex;
		uint32_t wanted = naive(tables, n, &p.addr);

		// Nobody's: the kernel may be asked, and says so itself.
		ok = ok && (got == wanted || (wanted == 0 && got == SHM_ROUTE_KERNEL * 16));
	}
	route_merge_fini(&m);
	return ok;
}

static void
test_random(void)
{
	struct table tables[4];
	int n_agree = 0;

	srand(1);
	for (int i = 0; i < ROUNDS; i++) {
		size_t n = 1 + (size_t)(rand() % 4);

		for (size_t k = 0; k < n; k++)
			fill_table(&tables[k]);
		n_agree += agree(tables, n);
	}
	tap_int(n_agree, ROUNDS, "random tables answer as the kernel's walk does");
}

int
main(void)
{
	test_kinds();
	test_metrics();
	test_order();
	test_limit();
	test_random();
	return tap_done();
}
