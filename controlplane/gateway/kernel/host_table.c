/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Our routing table and the rules that lead to it.
 *
 * The order within a change is: throws first, so that the host's own networks are never without
 * their exception; then for each prefix the route that refuses and the one into the tunnel; the
 * rules last, so that nothing sees a table half filled.
 */

#include "controlplane/gateway/kernel/host_state.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

struct kind {
	uint8_t type;
	uint32_t metric;
	const char *name;
};

static const struct kind throw_kind = { RTN_THROW, HOST_METRIC_THROW, "throw" };
static const struct kind unreachable_kind = { RTN_UNREACHABLE, HOST_METRIC_UNREACHABLE,
	"unreachable" };
static const struct kind tunnel_kind = { RTN_UNICAST, HOST_METRIC_TUNNEL, "tunnel" };

static void
table_fini(struct host_table *t)
{
	prefix_set_fini(&t->throws);
	prefix_set_fini(&t->unreachables);
	prefix_set_fini(&t->tunnels);
}

struct reading {
	struct host *h;
	struct host_table *table;
	size_t n_before[3];       // this family
	struct route_row *strays; // ours, but not as we write them today
	size_t n_strays;
	size_t n_strays_before;
	size_t n_foreign;
	size_t n_foreign_before;
};

static void
begin_family(struct reading *r)
{
	r->n_before[0] = r->table->throws.n;
	r->n_before[1] = r->table->unreachables.n;
	r->n_before[2] = r->table->tunnels.n;
	r->n_strays_before = r->n_strays;
	r->n_foreign_before = r->n_foreign;
}

static void
begin_again(struct reading *r)
{
	r->table->throws.n = r->n_before[0];
	r->table->unreachables.n = r->n_before[1];
	r->table->tunnels.n = r->n_before[2];
	r->n_strays = r->n_strays_before;
	r->n_foreign = r->n_foreign_before;
}

static int
add_stray(struct reading *r, const struct route_row *route)
{
	struct route_row *strays = reallocarray(r->strays, r->n_strays + 1, sizeof(*strays));

	if (strays == NULL)
		return -ENOMEM;
	strays[r->n_strays++] = *route;
	r->strays = strays;
	return 0;
}

static bool
is_kind(const struct route_row *route, const struct kind *kind)
{
	return route->type == kind->type && route->metric == kind->metric;
}

static int
take_route(const struct nlmsghdr *row, void *context)
{
	struct reading *r = context;
	struct route_row route;

	if (row == NULL) {
		begin_again(r);
		return 0;
	}
	if (!message_read_route(row, &route) || route.table != r->h->table)
		return 0;
	if (route.protocol != HOST_ROUTE_PROTOCOL) {
		r->n_foreign++;
		return 0;
	}
	if (is_kind(&route, &throw_kind))
		return prefix_set_add(&r->table->throws, route.prefix);
	if (is_kind(&route, &unreachable_kind))
		return prefix_set_add(&r->table->unreachables, route.prefix);
	if (is_kind(&route, &tunnel_kind) && route.ifindex == r->h->link.ifindex)
		return prefix_set_add(&r->table->tunnels, route.prefix);
	return add_stray(r, &route);
}

static int
read_family(struct reading *r, uint8_t family)
{
	struct message m;
	int err;

	begin_family(r);
	err = netlink_dump(&r->h->nl, message_dump_routes(&m, family, r->h->table), take_route, r);
	return err == -ENOENT ? 0 : err;
}

/* One change of the table, being collected. */
struct change {
	struct host *h;
	struct netlink_batch *batch;
	bool adding;
	int err; // the first refusal
	size_t n_refused;
};

static void
take_refusal(const struct nlmsghdr *request, int err, void *context)
{
	struct change *c = context;
	char text[ADDR_TEXT_LEN];
	struct route_row route;

	if (!c->adding && (err == -ESRCH || err == -ENOENT || err == -ENODEV))
		return; // gone already
	c->err = first_error(c->err, err);
	if (c->n_refused++ == 0 && message_read_route(request, &route))
		notes_add(&c->h->notes, "table %u: the kernel refuses to %s a route for %s: %s",
			c->h->table, c->adding ? "add" : "remove",
			prefix_format(&route.prefix, text), err_str(err));
}

static int
put_route(struct change *c, const struct route_row *route)
{
	struct message m;

	return netlink_batch_add(
		c->batch, message_route(&m, c->adding ? RTM_NEWROUTE : RTM_DELROUTE,
				  c->adding ? NLM_F_CREATE | NLM_F_REPLACE : 0, route));
}

static int
put_prefix(struct change *c, const struct prefix *p, const struct kind *kind)
{
	struct route_row route = {
		.prefix = *p,
		.table = c->h->table,
		.metric = kind->metric,
		.type = kind->type,
		.protocol = HOST_ROUTE_PROTOCOL,
		.ifindex = kind == &tunnel_kind ? c->h->link.ifindex : 0,
	};

	return put_route(c, &route);
}

static int
put_all(struct change *c, bool adding, const struct prefix_set *set, const struct kind *kind)
{
	int err = 0;

	if (adding != c->adding) { // a refusal must be judged by its own direction
		err = netlink_batch_send(c->batch);
		c->adding = adding;
	}
	for (size_t i = 0; err == 0 && i < set->n; i++)
		err = put_prefix(c, &set->items[i], kind);
	return err;
}

static int
run_change(struct change *c, int (*collect)(struct change *c, const void *what), const void *what)
{
	int err;

	c->batch = calloc(1, sizeof(*c->batch));
	if (c->batch == NULL)
		return -ENOMEM;
	c->batch->nl = &c->h->nl;
	c->batch->refused = take_refusal;
	c->batch->context = c;
	err = collect(c, what);
	err = first_error(err, netlink_batch_send(c->batch));
	free(c->batch);
	if (err < 0)
		notes_add(
			&c->h->notes, "table %u cannot be changed: %s", c->h->table, err_str(err));
	return first_error(err, c->err);
}

static int
collect_strays(struct change *c, const void *what)
{
	const struct reading *r = what;
	int err = 0;

	for (size_t i = 0; err == 0 && i < r->n_strays; i++)
		err = put_route(c, &r->strays[i]);
	return err;
}

static int
read_table(struct host *h)
{
	struct host_table table = {};
	struct reading r = { .h = h, .table = &table };
	struct change c = { .h = h };
	int err;

	err = read_family(&r, ADDR_V4);
	if (err == 0 && h->has_v6)
		err = read_family(&r, ADDR_V6);
	if (err < 0) {
		notes_add(&h->notes, "table %u cannot be read: %s", h->table, err_str(err));
		goto fini;
	}
	prefix_set_seal(&table.throws);
	prefix_set_seal(&table.unreachables);
	prefix_set_seal(&table.tunnels);
	prefix_set_move(&h->in_kernel.throws, &table.throws);
	prefix_set_move(&h->in_kernel.unreachables, &table.unreachables);
	prefix_set_move(&h->in_kernel.tunnels, &table.tunnels);
	h->in_kernel_known = true;
	h->n_foreign_routes = r.n_foreign;
	if (r.n_strays > 0)
		err = run_change(&c, collect_strays, &r);

fini:
	free(r.strays);
	table_fini(&table);
	return err;
}

/* What is to be added and removed. */
struct difference {
	struct host_table add;
	struct host_table remove;
};

static void
difference_fini(struct difference *d)
{
	table_fini(&d->add);
	table_fini(&d->remove);
}

static size_t
difference_count(const struct difference *d)
{
	return d->add.throws.n + d->add.unreachables.n + d->add.tunnels.n + d->remove.throws.n +
	       d->remove.unreachables.n + d->remove.tunnels.n;
}

static int
both_ways(const struct prefix_set *wanted,
	const struct prefix_set *there,
	struct prefix_set *add,
	struct prefix_set *remove)
{
	int err = prefix_set_minus(wanted, there, add);

	return err == 0 ? prefix_set_minus(there, wanted, remove) : err;
}

// Without a link that is up the tunnel's routes cannot exist, and the refusing ones do their work.
static int
compute_difference(const struct host *h, struct difference *d)
{
	static const struct prefix_set none;
	const struct prefix_set *tunnels = h->link.up ? &h->prefixes : &none;
	int err;

	err = both_ways(&h->throws, &h->in_kernel.throws, &d->add.throws, &d->remove.throws);
	if (err == 0)
		err = both_ways(&h->prefixes, &h->in_kernel.unreachables, &d->add.unreachables,
			&d->remove.unreachables);
	if (err == 0)
		err = both_ways(
			tunnels, &h->in_kernel.tunnels, &d->add.tunnels, &d->remove.tunnels);
	return err;
}

static int
collect_difference(struct change *c, const void *what)
{
	const struct difference *d = what;
	int err;

	err = put_all(c, true, &d->add.throws, &throw_kind);
	if (err == 0)
		err = put_all(c, true, &d->add.unreachables, &unreachable_kind);
	if (err == 0)
		err = put_all(c, true, &d->add.tunnels, &tunnel_kind);
	if (err == 0)
		err = put_all(c, false, &d->remove.tunnels, &tunnel_kind);
	if (err == 0)
		err = put_all(c, false, &d->remove.unreachables, &unreachable_kind);
	if (err == 0)
		err = put_all(c, false, &d->remove.throws, &throw_kind);
	return err;
}

// There = there + added - removed, without reading thousands of routes again.
static int
remember(struct prefix_set *there, const struct prefix_set *add, const struct prefix_set *remove)
{
	struct prefix_set now = {};
	int err = prefix_set_minus(there, remove, &now);

	for (size_t i = 0; err == 0 && i < add->n; i++)
		err = prefix_set_add(&now, add->items[i]);
	prefix_set_seal(&now);
	if (err == 0)
		prefix_set_move(there, &now);
	prefix_set_fini(&now);
	return err;
}

static int
apply_difference(struct host *h, const struct difference *d)
{
	struct journal_entry entry = { .kind = JOURNAL_TABLE, .table = h->table };
	struct change c = { .h = h, .adding = true };
	int err;

	if (difference_count(d) == 0)
		return 0;
	err = journal_append(h->journal, &entry);
	if (err < 0) {
		notes_add(&h->notes, "the journal cannot be written, so no route is changed: %s",
			err_str(err));
		return err;
	}
	err = run_change(&c, collect_difference, d);
	if (err == 0)
		err = remember(&h->in_kernel.throws, &d->add.throws, &d->remove.throws);
	if (err == 0)
		err = remember(
			&h->in_kernel.unreachables, &d->add.unreachables, &d->remove.unreachables);
	if (err == 0)
		err = remember(&h->in_kernel.tunnels, &d->add.tunnels, &d->remove.tunnels);
	h->in_kernel_known = err == 0;
	return err;
}

static int
change_table(struct host *h)
{
	struct difference d = {};
	int err = compute_difference(h, &d);

	if (err == 0)
		err = apply_difference(h, &d);
	difference_fini(&d);
	return err;
}

static struct rule_row
own_rule(const struct host *h, uint8_t family)
{
	return (struct rule_row){
		.family = family,
		.action = FR_ACT_TO_TBL,
		.protocol = HOST_ROUTE_PROTOCOL,
		.priority = h->rule_priority,
		.table = h->table,
		.mark = h->mark,
		.mask = h->mark,
		.inverted = true,
	};
}

static int
add_rule(struct host *h, uint8_t family)
{
	struct journal_entry entry = {
		.kind = JOURNAL_RULE,
		.family = family,
		.table = h->table,
		.priority = h->rule_priority,
		.mark = h->mark,
	};
	struct rule_row rule = own_rule(h, family);
	struct message m;
	int err;

	if (h->rule_there[family == ADDR_V6])
		return 0;
	err = journal_append(h->journal, &entry);
	if (err == 0)
		err = netlink_change(
			&h->nl, message_rule(&m, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &rule));
	if (err < 0 && err != -EEXIST) {
		notes_add(&h->notes,
			"no rule leads to table %u (%s), so peers' prefixes are not routed: %s",
			h->table, family == ADDR_V6 ? "IPv6" : "IPv4", err_str(err));
		return err;
	}
	h->rule_there[family == ADDR_V6] = true;
	return 0;
}

static int
remove_rule(struct host *h, uint8_t family)
{
	struct rule_row rule = own_rule(h, family);
	struct message m;
	int err;

	if (!h->rule_there[family == ADDR_V6])
		return 0;
	err = netlink_change(&h->nl, message_rule(&m, RTM_DELRULE, 0, &rule));
	if (err == 0)
		h->rule_there[family == ADDR_V6] = false;
	return err == -ENOENT ? 0 : err;
}

static int
follow_rule(struct host *h, uint8_t family)
{
	return host_is_resting(h) ? remove_rule(h, family) : add_rule(h, family);
}

int
host_table_look(struct host *h)
{
	int err = 0;

	if (!h->has_desired)
		return 0;
	if (!h->in_kernel_known)
		err = read_table(h);
	if (h->in_kernel_known)
		err = first_error(err, change_table(h));
	err = first_error(err, follow_rule(h, ADDR_V4));
	if (h->has_v6)
		err = first_error(err, follow_rule(h, ADDR_V6));
	if (h->n_foreign_routes > 0)
		notes_add(&h->notes,
			"table %u also has %zu routes that are not ours: choose another table in "
			"dataplane.routing_table",
			h->table, h->n_foreign_routes);
	return err;
}
