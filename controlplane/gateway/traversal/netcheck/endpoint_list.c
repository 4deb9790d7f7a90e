/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/endpoint_list.h"

#include "controlplane/gateway/traversal/netcheck/local_addresses.h"

static bool
has(const struct endpoint_list *list, const struct endpoint *e)
{
	for (size_t i = 0; i < list->n; i++)
		if (endpoint_equal(&list->entries[i].endpoint, e))
			return true;
	return false;
}

// Our own tunnel's addresses never: peers would send into the tunnel what carries the tunnel.
static void
add(struct endpoint_list *list, const struct endpoint *e, enum endpoint_kind kind)
{
	if (e->addr.family == ADDR_NONE || e->port == 0 || addr_is_of_tailnet(&e->addr) ||
		list->n == ENDPOINT_LIST_MAX || has(list, e))
		return;
	list->entries[list->n++] = (struct own_endpoint){ *e, kind };
}

// The first one, and others that were not seen by chance.
static void
add_globals(struct endpoint_list *list,
	const struct endpoint *first,
	const struct netcheck_global *globals,
	size_t n)
{
	add(list, first, ENDPOINT_STUN);
	for (size_t i = 0; i < n; i++)
		if (globals[i].n_seen > 1)
			add(list, &globals[i].endpoint, ENDPOINT_STUN);
}

static void
add_report(struct endpoint_list *list, const struct endpoint_sources *from)
{
	const struct netcheck_report *r = from->report;
	struct endpoint guess = { .addr = r->global_v4.addr, .port = from->local_port };

	add_globals(list, &r->global_v4, r->globals_v4, r->n_globals_v4);
	add_globals(list, &r->global_v6, r->globals_v6, r->n_globals_v6);
	if (r->mapping_varies == TRI_TRUE)
		add(list, &guess, ENDPOINT_STUN4_LOCAL_PORT);
}

/* --- memory --- */

static struct kept_endpoint *
find(struct endpoint_memory *memory, const struct endpoint *e)
{
	for (size_t i = 0; i < memory->n; i++)
		if (endpoint_equal(&memory->entries[i].endpoint.endpoint, e))
			return &memory->entries[i];
	return NULL;
}

static struct kept_endpoint *
place_for(struct endpoint_memory *memory)
{
	struct kept_endpoint *oldest = &memory->entries[0];

	if (memory->n < ENDPOINT_LIST_MAX)
		return &memory->entries[memory->n++];
	for (size_t i = 1; i < memory->n; i++)
		if (memory->entries[i].seen.ns < oldest->seen.ns)
			oldest = &memory->entries[i];
	return oldest;
}

static void
forget_old(struct endpoint_memory *memory, struct mono now)
{
	size_t kept = 0;

	for (size_t i = 0; i < memory->n; i++)
		if (mono_diff_ns(now, memory->entries[i].seen) < ENDPOINT_KEPT_NS)
			memory->entries[kept++] = memory->entries[i];
	memory->n = kept;
}

static void
remember(struct endpoint_memory *memory, const struct endpoint_list *list, struct mono now)
{
	forget_old(memory, now);
	for (size_t i = 0; i < list->n; i++) {
		struct kept_endpoint *known = find(memory, &list->entries[i].endpoint);

		if (known == NULL)
			known = place_for(memory);
		*known = (struct kept_endpoint){ list->entries[i], now };
	}
}

static unsigned
count_of_ip(const struct endpoint_list *list, const struct addr *addr)
{
	unsigned n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += addr_equal(&list->entries[i].endpoint.addr, addr);
	return n;
}

// The latest first: of a NAT that gives a new port to each round, the newest are worth most.
static void
add_remembered(struct endpoint_list *list, const struct endpoint_memory *memory)
{
	bool done[ENDPOINT_LIST_MAX] = {};

	for (size_t round = 0; round < memory->n; round++) {
		size_t best = memory->n;

		for (size_t i = 0; i < memory->n; i++)
			if (!done[i] &&
				(best == memory->n ||
					memory->entries[i].seen.ns > memory->entries[best].seen.ns))
				best = i;
		done[best] = true;
		if (count_of_ip(list, &memory->entries[best].endpoint.endpoint.addr) <
			ENDPOINT_KEPT_PER_IP)
			add(list, &memory->entries[best].endpoint.endpoint,
				memory->entries[best].endpoint.kind);
	}
}

void
endpoint_list_build(struct endpoint_list *ret_list,
	struct endpoint_memory *memory,
	const struct endpoint_sources *from,
	struct mono now)
{
	struct endpoint_list list = {};

	add(&list, &from->mapped, ENDPOINT_PORT_MAPPED);
	add_report(&list, from);
	remember(memory, &list, now);
	add_remembered(&list, memory);
	for (size_t i = 0; i < from->n_explicit; i++)
		add(&list, &from->explicit_endpoints[i], ENDPOINT_EXPLICIT);
	for (size_t i = 0; i < from->n_local; i++) {
		struct endpoint e = { .addr = from->local[i], .port = from->local_port };

		add(&list, &e, ENDPOINT_LOCAL);
	}
	*ret_list = list;
}

static bool
is_subset(const struct endpoint_list *a, const struct endpoint_list *b)
{
	for (size_t i = 0; i < a->n; i++) {
		bool found = false;

		for (size_t j = 0; j < b->n && !found; j++)
			found = a->entries[i].kind == b->entries[j].kind &&
			        endpoint_equal(&a->entries[i].endpoint, &b->entries[j].endpoint);
		if (!found)
			return false;
	}
	return true;
}

bool
endpoint_list_is_same_set(const struct endpoint_list *a, const struct endpoint_list *b)
{
	return a->n == b->n && is_subset(a, b);
}
