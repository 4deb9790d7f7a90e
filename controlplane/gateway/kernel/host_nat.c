/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source translation, as far as it concerns the kernel: a masquerade for subnets that it forwards
 * to, and where the workers translate, ports that nobody else on the machine uses and that the
 * kernel does not answer on.  (Packets of the workers' flows come here when no worker takes them: a
 * RST would end the flow.)
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/kernel/host_state.h"
#include "controlplane/gateway/kernel/link.h"
#include "controlplane/gateway/kernel/reserved_ports.h"
#include "lib/base/err.h"

static void
add_masquerade(const struct host *h, struct nf_table *t, const char *interface)
{
	for (uint8_t family = ADDR_V4; family <= ADDR_V6; family += ADDR_V6 - ADDR_V4) {
		uint32_t bit = family == ADDR_V6 ? SHM_NAT_V6 : SHM_NAT_V4;
		struct nf_masquerade *m = &t->masquerades[t->n_masquerades];

		if ((h->wish.nat & bit) == 0 || t->n_masquerades == NF_TABLE_MAX_INTERFACE)
			continue;
		*m = (struct nf_masquerade){ .family = family };
		snprintf(m->interface, sizeof(m->interface), "%s", interface);
		t->n_masquerades++;
	}
}

static void
add_masquerades(struct host *h, struct nf_table *t)
{
	struct link_row link;

	if (h->lans.has_others) {
		add_masquerade(h, t, ""); // wherever the kernel sends it
		return;
	}
	for (size_t i = 0; i < h->lans.n; i++)
		if (!host_is_served(h, h->lans.ifindex[i]) &&
			link_get_index(&h->nl, h->lans.ifindex[i], &link) == 0)
			add_masquerade(h, t, link.name);
}

static void
add_address(struct nf_table *t, const struct addr *a)
{
	for (size_t i = 0; i < t->n_nat_addresses; i++)
		if (addr_equal(&t->nat_addresses[i], a))
			return;
	if (t->n_nat_addresses < NF_TABLE_MAX_ADDRESSES)
		t->nat_addresses[t->n_nat_addresses++] = *a;
}

// The addresses that workers translate to.
static void
add_addresses(const struct host *h, struct nf_table *t)
{
	for (size_t i = 0; i < h->network->n_routes; i++) {
		const struct network_route *r = &h->network->routes[i];
		uint32_t bit = r->source.family == ADDR_V6 ? SHM_NAT_V6 : SHM_NAT_V4;

		if ((r->kind == SHM_ROUTE_CONNECTED || r->kind == SHM_ROUTE_GATEWAY) &&
			r->source.family != ADDR_NONE && (h->wish.nat & bit) != 0 &&
			host_is_served(h, r->ifindex))
			add_address(t, &r->source);
	}
}

static void
fill_table(struct host *h, bool forwards, struct nf_table *t)
{
	memset(t, 0, sizeof(*t));
	nf_table_name(h->interface, t->name);
	snprintf(t->tun, sizeof(t->tun), "%s", h->interface);
	if (forwards)
		add_masquerades(h, t);
	if (h->wish.nat_port_first != 0) {
		t->port_first = h->wish.nat_port_first;
		t->port_last = h->wish.nat_port_last;
		add_addresses(h, t);
	}
}

static int
put_table(struct host *h, const struct nf_table *t)
{
	struct journal_entry entry = { .kind = JOURNAL_NF_TABLE };
	int err;

	snprintf(entry.name, sizeof(entry.name), "%s", t->name);
	err = journal_append(h->journal, &entry);
	return err == 0 ? nf_table_put(t) : err;
}

static void
note_refusal(struct host *h, const struct nf_table *t, int err)
{
	notes_add(&h->notes, "the packet filter's table inet %s cannot be written: %s; %s", t->name,
		err_str(err),
		t->n_masquerades > 0
			? "subnets see members' own addresses and have no way back to them"
			: "the kernel may end flows that the data plane translates");
}

// An empty table is none.  What an earlier process put is replaced without being compared.
static int
follow_table(struct host *h, const struct nf_table *t)
{
	bool wanted = t->n_masquerades + t->n_nat_addresses > 0;
	int err = 0;

	if (h->nf_is_known && wanted == h->nf_is_there &&
		(!wanted || memcmp(t, &h->nf, sizeof(*t)) == 0))
		return 0;
	if (wanted)
		err = put_table(h, t);
	else if (h->nf_is_there || !h->nf_is_known)
		err = nf_table_remove(t->name);
	if (!wanted && err < 0)
		err = 0; // there is none, or there are none at all
	if (err < 0)
		note_refusal(h, t, err);
	h->nf = *t;
	h->nf_is_known = err == 0;
	h->nf_is_there = wanted && err == 0;
	return err;
}

static int
reserve(struct host *h, const struct nf_table *t)
{
	int err;

	if (t->n_nat_addresses == 0)
		return 0;
	err = reserved_ports_add(h->journal, t->port_first, t->port_last);
	if (err == -ENOENT)
		return 0;
	if (err < 0)
		notes_add(&h->notes,
			"ports %u to %u cannot be reserved (%s), so a program of this machine may "
			"get one that the data plane translates to; set "
			"/proc/sys/" RESERVED_PORTS_KEY,
			t->port_first, t->port_last, err_str(err));
	return err;
}

int
host_nat_look(struct host *h)
{
	struct nf_table table;
	bool undecided, forwards;
	int err;

	if (!h->has_desired || h->network == NULL)
		return 0;
	forwards = host_kernel_forwards(h, &undecided);
	if (undecided)
		return 0; // what is there stays until then
	fill_table(h, forwards, &table);
	err = reserve(h, &table);
	return first_error(err, follow_table(h, &table));
}
