/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The addresses of struct steering, and the range of ports that NAT uses.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ctl/steering_state.h"

static int
compare(const void *x, const void *y)
{
	const struct steering_address *a = x, *b = y;
	int diff = memcmp(a->bytes, b->bytes, sizeof(a->bytes));

	return diff != 0 ? diff : (int)a->family - (int)b->family;
}

static bool
is_open(uint32_t ifindex, const uint32_t *ifindexes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ifindexes[i] == ifindex)
			return true;
	return false;
}

static bool
is_zero(const struct shm_addr *addr)
{
	static const struct shm_addr zero;

	return memcmp(addr, &zero, sizeof(zero)) == 0;
}

// Addresses of one route: its own if that is the box's, its source if NAT gives that to packets.
static size_t
addresses_of(const struct shm_net_route *r,
	uint32_t nat,
	const uint32_t *ifindexes,
	size_t n_ifindexes,
	struct steering_address *to)
{
	bool is_v4 = r->family == 4;

	*to = (struct steering_address){ .family = r->family };
	if (r->kind == SHM_ROUTE_LOCAL && r->len == (is_v4 ? 32 : 128)) {
		memcpy(to->bytes, r->addr.bytes, sizeof(to->bytes));
		to->is_local = true;
		return 1;
	}
	if ((r->kind != SHM_ROUTE_CONNECTED && r->kind != SHM_ROUTE_GATEWAY) ||
		(nat & (is_v4 ? SHM_NAT_V4 : SHM_NAT_V6)) == 0 || is_zero(&r->source) ||
		!is_open(r->ifindex, ifindexes, n_ifindexes))
		return 0;
	memcpy(to->bytes, r->source.bytes, sizeof(to->bytes));
	to->is_nat = true;
	return 1;
}

// Sort, and make one row of those of one address.
static size_t
merge(struct steering_address *rows, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(rows, n, sizeof(*rows), compare);
	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && compare(&rows[kept - 1], &rows[i]) == 0) {
			rows[kept - 1].is_local |= rows[i].is_local;
			rows[kept - 1].is_nat |= rows[i].is_nat;
		} else {
			rows[kept++] = rows[i];
		}
	}
	return kept;
}

static void
put(struct steering *s, const struct steering_address *a)
{
	steering_result(s,
		s->sink.put_address(s->sink.context, a->family, a->bytes, a->is_local, a->is_nat));
}

// One address from `old` to `now`, either of which may be missing (no flag set).
static void
write_difference(struct steering *s,
	const struct steering_address *old,
	const struct steering_address *now,
	bool gains)
{
	struct steering_address both = *now;

	both.is_local &= old->is_local;
	both.is_nat &= old->is_nat;
	if (gains) {
		if (now->is_local != both.is_local || now->is_nat != both.is_nat)
			put(s, now);
		return;
	}
	if (old->is_local == both.is_local && old->is_nat == both.is_nat)
		return;
	if (both.is_local || both.is_nat)
		put(s, &both);
	else
		steering_result(
			s, s->sink.delete_address(s->sink.context, both.family, both.bytes));
}

static void
write_differences(struct steering *s, bool gains)
{
	const struct steering_addresses *a = &s->addresses;
	size_t i = 0, k = 0;

	while (i < a->n || k < a->n_next) {
		int diff = i == a->n ? 1 : k == a->n_next ? -1 : compare(&a->rows[i], &a->next[k]);
		struct steering_address old = diff <= 0 ? a->rows[i] : a->next[k];
		struct steering_address now = diff >= 0 ? a->next[k] : a->rows[i];

		if (diff > 0)
			old.is_local = old.is_nat = false;
		if (diff < 0)
			now.is_local = now.is_nat = false;
		write_difference(s, &old, &now, gains);
		i += diff <= 0;
		k += diff >= 0;
	}
}

void
steering_network_before(struct steering *s,
	const struct shm_net *net,
	const uint32_t *ifindexes,
	size_t n)
{
	struct steering_addresses *a = &s->addresses;
	size_t n_next = 0;

	free(a->next);
	a->next = malloc(((size_t)net->n_routes + 1) * sizeof(*a->next));
	a->is_pending = a->next != NULL;
	if (!a->is_pending) {
		steering_result(s, -ENOMEM);
		return;
	}
	for (uint32_t i = 0; i < net->n_routes; i++)
		n_next += addresses_of(&net->routes[i], net->nat, ifindexes, n, &a->next[n_next]);
	a->n_next = merge(a->next, n_next);
	write_differences(s, false);
}

static void
put_devices(struct steering *s, const struct shm_net *net, const uint32_t *ifindexes, size_t n)
{
	for (uint32_t i = 0; i < net->n_ports; i++)
		if (is_open(net->ports[i].ifindex, ifindexes, n))
			steering_result(s, s->sink.put_device(s->sink.context,
						   net->ports[i].ifindex, net->ports[i].mac));
}

void
steering_network_after(struct steering *s,
	const struct shm_net *net,
	const uint32_t *ifindexes,
	size_t n)
{
	struct steering_addresses *a = &s->addresses;
	uint16_t first = net->nat != 0 ? net->nat_port_first : 1;
	uint16_t last = net->nat != 0 ? net->nat_port_last : 0;

	if (!a->is_pending)
		return;
	if (!a->has_settings || a->nat_first != first || a->nat_last != last)
		steering_result(s, s->sink.put_settings(s->sink.context, first, last));
	a->has_settings = true;
	a->nat_first = first;
	a->nat_last = last;
	write_differences(s, true);
	put_devices(s, net, ifindexes, n);
	free(a->rows);
	a->rows = a->next;
	a->n = a->n_next;
	a->next = NULL;
	a->n_next = 0;
	a->is_pending = false;
}
