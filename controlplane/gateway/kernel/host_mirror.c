/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the host says about itself: which tables are looked up behind ours, which of their routes
 * come before one of our prefixes, which addresses there are; and the same routes as the list that
 * the data plane is told, for host_network.c.
 *
 * All of it is read anew at each look.  A mirror kept up to date by single events would be quicker
 * and wrong: IPv4 routes vanish without a notification when their link goes down.
 */

#include "controlplane/gateway/kernel/host_state.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

#define MAX_FOLLOWERS 32

struct follower {
	uint32_t table;
	int suppressed_len;
};

/* The tables that a packet of one family sees after ours. */
struct followers {
	const struct host *h;
	uint8_t family;
	bool own_seen;
	struct follower list[MAX_FOLLOWERS];
	size_t n;
	size_t n_narrowed; // rules that only some packets follow
};

static bool
is_own_rule(const struct host *h, const struct rule_row *rule)
{
	return rule->table == h->table && rule->priority == h->rule_priority &&
	       rule->mark == h->mark && rule->mask == h->mark && rule->inverted &&
	       !rule->narrowed && rule->action == FR_ACT_TO_TBL;
}

// Every packet that leaves our table comes by this rule: it has no selector, or the very one of
// ours.  (A table that only some packets see cannot take part: a throw is for all of them, and
// those that do not see it would leave by the default route, in clear.)
static bool
is_for_all(const struct host *h, const struct rule_row *rule)
{
	if (rule->narrowed || rule->action != FR_ACT_TO_TBL)
		return false;
	if (rule->mark == 0 && rule->mask == 0)
		return !rule->inverted;
	return rule->inverted && rule->mark == h->mark && rule->mask == h->mark;
}

static bool
is_behind_ours(const struct followers *f, const struct rule_row *rule)
{
	return rule->priority > f->h->rule_priority ||
	       (rule->priority == f->h->rule_priority && f->own_seen);
}

static int
take_rule(const struct nlmsghdr *row, void *context)
{
	struct followers *f = context;
	struct rule_row rule;

	if (row == NULL) {
		f->n = 0;
		f->own_seen = false;
		f->n_narrowed = 0;
		return 0;
	}
	if (!message_read_rule(row, &rule) || rule.family != f->family)
		return 0;
	if (is_own_rule(f->h, &rule)) {
		f->own_seen = true;
		return 0;
	}
	f->n_narrowed += rule.narrowed && rule.table != f->h->table;
	if (!is_behind_ours(f, &rule) || !is_for_all(f->h, &rule) || rule.table == f->h->table ||
		rule.table == RT_TABLE_LOCAL || f->n == MAX_FOLLOWERS)
		return 0;
	f->list[f->n++] = (struct follower){ rule.table, rule.suppressed_len };
	return 0;
}

static void
add_way(struct host_ways *ways, uint32_t ifindex)
{
	for (size_t i = 0; i < ways->n; i++)
		if (ways->ifindex[i] == ifindex)
			return;
	if (ifindex != 0 && ways->n < HOST_MAX_WAYS)
		ways->ifindex[ways->n++] = ifindex;
}

/* The default route of a family that is used: the lowest metric of the first table with one. */
struct default_way {
	bool is_decided; // by an earlier table
	bool is_there;
	uint32_t metric;
	struct host_ways ways;
};

struct view {
	struct host *h;
	const struct follower *follower; // whose routes are being read
	struct prefix_set throws;
	size_t n_throws_before; // this table
	size_t n_too_many;
	struct prefix_set exceptions;
	struct host_ways advertised;
	struct host_ways default_v4;
	struct default_way way; // of the family being read
	struct host_sight sight;
};

static void
take_way(struct default_way *w, const struct route_row *route)
{
	if (route->type != RTN_UNICAST || route->narrowed || route->is_dead || w->is_decided)
		return;
	if (!w->is_there || route->metric < w->metric)
		w->ways.n = 0;
	else if (route->metric > w->metric)
		return;
	w->is_there = true;
	w->metric = route->metric;
	add_way(&w->ways, route->ifindex);
	for (size_t i = 0; i < route->n_hops; i++)
		add_way(&w->ways, route->hops[i]);
}

static void
take_default(struct view *v, const struct route_row *route)
{
	if (route->prefix.addr.family == ADDR_V4)
		add_way(&v->default_v4, route->ifindex);
	if (route->protocol == RTPROT_RA)
		add_way(&v->advertised, route->ifindex);
}

static bool
leads_somewhere(const struct route_row *route)
{
	return route->type == RTN_UNICAST || route->type == RTN_BLACKHOLE ||
	       route->type == RTN_UNREACHABLE || route->type == RTN_PROHIBIT;
}

static int
take_route(const struct nlmsghdr *row, void *context)
{
	struct view *v = context;
	struct route_row route;

	int err;

	if (row == NULL) {
		v->throws.n = v->n_throws_before;
		route_merge_begin(&v->sight.routes);
		if (!v->way.is_decided)
			v->way = (struct default_way){};
		return 0;
	}
	if (!message_read_route(row, &route) || route.table != v->follower->table)
		return 0;
	if ((int)route.prefix.len > v->follower->suppressed_len) {
		err = route_merge_add(&v->sight.routes, &route);
		if (err < 0)
			return err;
		if (route.prefix.len == 0)
			take_way(&v->way, &route);
	}
	if (route.narrowed || route.table == RT_TABLE_LOCAL || !leads_somewhere(&route))
		return 0;
	if (route.prefix.len == 0) {
		take_default(v, &route);
		return 0;
	}
	if ((int)route.prefix.len <= v->follower->suppressed_len ||
		(v->h->link.ifindex != 0 && route.ifindex == v->h->link.ifindex) ||
		prefix_set_covering(&v->h->prefixes, &route.prefix) == NULL)
		return 0;
	if (v->throws.n >= HOST_MAX_EXCEPTIONS) {
		v->n_too_many++;
		return 0;
	}
	return prefix_set_add(&v->throws, route.prefix);
}

static int
read_routes(struct view *v, uint8_t family, const struct follower *follower)
{
	struct message m;
	int err;

	v->follower = follower;
	v->n_throws_before = v->throws.n;
	err = netlink_dump(
		&v->h->nl, message_dump_routes(&m, family, follower->table), take_route, v);
	if (err < 0 && err != -ENOENT) // a rule may name a table that nobody has filled
		return err;
	v->way.is_decided = v->way.is_there;
	return route_merge_end(&v->sight.routes);
}

static int
read_family(struct view *v, uint8_t family)
{
	static const struct follower local = { RT_TABLE_LOCAL, -1 };
	struct followers f = { .h = v->h, .family = family };
	struct message m;
	int err;

	v->way = (struct default_way){};
	err = netlink_dump(&v->h->nl, message_dump_rules(&m, family), take_rule, &f);
	v->h->rule_there[family == ADDR_V6] = err == 0 && f.own_seen;
	if (err == 0)
		err = read_routes(v, family, &local);
	for (size_t i = 0; err == 0 && i < f.n; i++)
		err = read_routes(v, family, &f.list[i]);
	for (size_t i = 0; i < v->way.ways.n; i++)
		add_way(&v->sight.wan, v->way.ways.ifindex[i]);
	v->sight.n_narrowed_rules += f.n_narrowed;
	return err;
}

static int
remember_address(struct host_sight *sight, const struct address_row *address)
{
	struct address_row *list =
		reallocarray(sight->addresses, sight->n_addresses + 1, sizeof(*list));

	if (list == NULL)
		return -ENOMEM;
	list[sight->n_addresses++] = *address;
	sight->addresses = list;
	return 0;
}

static int
take_address(const struct nlmsghdr *row, void *context)
{
	struct view *v = context;
	struct address_row address;

	int err;

	if (row == NULL) {
		v->exceptions.n = 0;
		v->sight.n_addresses = 0;
		return 0;
	}
	if (!message_read_address(row, &address))
		return 0;
	err = remember_address(&v->sight, &address);
	if (err < 0)
		return err;
	if (address.by_advertisement)
		add_way(&v->advertised, address.ifindex);
	address.prefix.len = (uint8_t)addr_bits((enum addr_family)address.prefix.addr.family);
	return prefix_set_add(&v->exceptions, address.prefix);
}

static int
read_all(struct view *v)
{
	struct message m;
	int err;

	err = read_family(v, ADDR_V4);
	if (err == 0 && v->h->has_v6)
		err = read_family(v, ADDR_V6);
	if (err == 0)
		err = netlink_dump(&v->h->nl, message_dump_addresses(&m), take_address, v);
	if (err < 0)
		return err;
	prefix_set_seal(&v->throws);
	for (size_t i = 0; err == 0 && i < v->throws.n; i++)
		err = prefix_set_add(&v->exceptions, v->throws.items[i]);
	prefix_set_seal(&v->exceptions);
	return err;
}

// Where both sides have the very same prefix, the operator should know who wins.
static void
note_equals(struct host *h)
{
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < h->throws.n; i++)
		if (prefix_set_has(&h->prefixes, &h->throws.items[i]))
			notes_add(&h->notes,
				"%s belongs to a peer, but the host has a route for it as well: "
				"the host's is "
				"used; remove one of the two",
				prefix_format(&h->throws.items[i], text));
}

void
host_sight_fini(struct host_sight *sight)
{
	route_merge_fini(&sight->routes);
	free(sight->addresses);
	memset(sight, 0, sizeof(*sight));
}

int
host_mirror_look(struct host *h)
{
	struct view v = { .h = h };
	int err = read_all(&v);

	if (err < 0) {
		notes_add(&h->notes, "the host's routes cannot be read: %s", err_str(err));
	} else {
		if (!prefix_set_equal(&h->exceptions, &v.exceptions))
			h->generation++;
		prefix_set_move(&h->exceptions, &v.exceptions);
		prefix_set_move(&h->throws, &v.throws);
		h->advertised = v.advertised;
		h->default_v4 = v.default_v4;
		host_sight_fini(&h->sight);
		h->sight = v.sight;
		h->sight.is_fresh = true;
		v.sight = (struct host_sight){};
		note_equals(h);
		if (v.n_too_many > 0)
			notes_add(&h->notes,
				"%zu routes of the host lie inside peers' prefixes and are too "
				"many to be kept "
				"apart: their packets go to the peers",
				v.n_too_many);
	}
	prefix_set_fini(&v.throws);
	prefix_set_fini(&v.exceptions);
	host_sight_fini(&v.sight);
	return err;
}
