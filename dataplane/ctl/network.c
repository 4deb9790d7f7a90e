/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/network.h"

#include <errno.h>
#include <string.h>

#include "dataplane/io/io.h"
#include "dataplane/table/net.h"

static struct shm_net *
block(const struct network *n, bool in_use)
{
	uint32_t which = atomic_load_explicit(&n->state->net_which, memory_order_relaxed) & 1;

	return &n->state->nets[in_use ? which : which ^ 1];
}

const struct shm_net *
network_applied(const struct network *n)
{
	if (atomic_load_explicit(&n->state->net_serial, memory_order_relaxed) == 0)
		return NULL;
	return block(n, true);
}

// --- the table ----------------------------------------------------------------------------------

static uint32_t
next_serial(struct network *n)
{
	if (++n->table_serial == 0)
		n->table_serial = 1;
	return n->table_serial;
}

static int
make_table(struct network *n,
	const struct shm_net *net,
	const struct network_port *ports,
	unsigned n_ports,
	struct net_table **ret)
{
	struct net_port open[SHM_MAX_PORTS] = {};
	const struct net_table_setup setup = {
		.net = net,
		.state = n->state,
		.ports = open,
		.n_ports = n_ports,
		.listen_port = n->listen_port,
		.seed = { n->seed[0], n->seed[1] },
		.serial = next_serial(n),
	};

	if (n_ports > SHM_MAX_PORTS)
		return -EINVAL;
	for (unsigned i = 0; i < n_ports; i++)
		open[i] = (struct net_port){
			.io = ports[i].io, .ifindex = ports[i].ifindex, .row = ports[i].io->index
		};
	return net_table_create(&setup, ret);
}

// Workers no longer look at the old table, nor at what only that had, once this has returned.
static void
publish(struct network *n, const struct net_table *table)
{
	const struct net_table *old =
		atomic_exchange_explicit(n->published, table, memory_order_acq_rel);

	if (n->wake != NULL)
		n->wake(n->context);
	quiescent_wait_workers(n->quiescent);
	net_table_destroy((struct net_table *)old);
	if (table != NULL)
		net_neighbours_reclaim(table);
	n->neighbours_full = false;
}

static size_t
ifindexes(const struct network_port *ports, unsigned n_ports, uint32_t ret[SHM_MAX_PORTS])
{
	for (unsigned i = 0; i < n_ports; i++)
		ret[i] = ports[i].ifindex;
	return n_ports;
}

/*
 * Change to these: the maps lose before the tables do, and gain after them.  net: NULL, nothing is
 * known of the network.
 */
static int
change(struct network *n,
	const struct shm_net *net,
	const struct network_port *ports,
	unsigned n_ports)
{
	uint32_t open[SHM_MAX_PORTS];
	bool steers = n->steering != NULL && net != NULL;
	struct net_table *table;
	int err = make_table(n, net, ports, n_ports, &table);

	if (err < 0)
		return err;
	(void)ifindexes(ports, n_ports, open);
	if (steers)
		steering_network_before(n->steering, net, open, n_ports);
	if (n->nat_changed != NULL && net != NULL)
		n->nat_changed(n->context, net);
	publish(n, table);
	if (steers)
		steering_network_after(n->steering, net, open, n_ports);
	return 0;
}

int
network_init(struct network *n)
{
	const struct shm_net *net = network_applied(n);

	// A predecessor's, checked when it came; checked again, for memory that is not sound is a
	// reason to start with.
	if (net != NULL && (net->n_routes > SHM_MAX_ROUTES ||
				   net_block_check(net, SHM_NET_LEN(net->n_routes)) < 0)) {
		atomic_store_explicit(&n->state->net_serial, 0, memory_order_relaxed);
		net = NULL;
	}
	return change(n, net, n->ports, n->n_ports);
}

void
network_fini(struct network *n)
{
	net_table_destroy((struct net_table *)atomic_exchange_explicit(
		n->published, NULL, memory_order_acq_rel));
}

void
network_start_steering(struct network *n, struct steering *steering)
{
	const struct shm_net *net = network_applied(n);
	uint32_t open[SHM_MAX_PORTS];

	n->steering = steering;
	if (net == NULL)
		return;
	(void)ifindexes(n->ports, n->n_ports, open);
	steering_network_before(steering, net, open, n->n_ports);
	steering_network_after(steering, net, open, n->n_ports);
}

int
network_set_ports(struct network *n, const struct network_port *ports, unsigned n_ports)
{
	int err = change(n, network_applied(n), ports, n_ports);

	if (err < 0)
		return err;
	memmove(n->ports, ports, n_ports * sizeof(*ports));
	n->n_ports = n_ports;
	return 0;
}

// --- blocks -------------------------------------------------------------------------------------

static bool
refuse(struct network *n, struct shm_event *ret_event)
{
	n->part_wrong = true;
	ret_event->value = SHM_REFUSED_NET;
	return true;
}

static bool
apply(struct network *n, struct shm_event *ret_event)
{
	struct shm_net *next = block(n, false);

	if (net_block_check(next, n->part_total) < 0 || change(n, next, n->ports, n->n_ports) < 0)
		return refuse(n, ret_event);
	atomic_store_explicit(&n->state->net_which,
		(atomic_load_explicit(&n->state->net_which, memory_order_relaxed) & 1) ^ 1,
		memory_order_release);
	atomic_store_explicit(&n->state->net_serial, n->part_serial, memory_order_release);
	n->part_serial = 0;
	return true;
}

bool
network_part(struct network *n, const struct shm_cmd_net *part, struct shm_event *ret_event)
{
	uint32_t len;

	*ret_event = (struct shm_event){ .kind = SHM_EV_NET, .generation = part->serial };
	if (part->offset == 0) {
		n->part_serial = part->serial;
		n->part_total = part->total;
		n->part_len = 0;
		n->part_wrong = false;
		if (part->serial == 0 || part->total > SHM_NET_LEN(SHM_MAX_ROUTES) ||
			part->total < SHM_NET_LEN(0))
			return refuse(n, ret_event);
	}
	if (n->part_wrong && part->serial == n->part_serial)
		return false;
	if (part->serial != n->part_serial || part->offset != n->part_len ||
		part->total != n->part_total || n->part_serial == 0) {
		n->part_serial = part->serial;
		return refuse(n, ret_event);
	}
	len = part->total - part->offset;
	if (len > SHM_NET_PART)
		len = SHM_NET_PART;
	memcpy((uint8_t *)block(n, false) + part->offset, part->bytes, len);
	n->part_len += len;
	return n->part_len == n->part_total && apply(n, ret_event);
}

// --- neighbours ---------------------------------------------------------------------------------

void
network_neighbour(struct network *n, const struct shm_cmd_neighbour *cmd)
{
	const struct net_table *table = atomic_load_explicit(n->published, memory_order_relaxed);

	if (cmd->state == SHM_NEIGHBOUR_NONE)
		n->neighbours_full = false;
	if (net_neighbour_set(table, cmd) != -ENOSPC || n->neighbours_full)
		return;
	// Those that were forgotten make room once nobody can look at them.
	if (change(n, network_applied(n), n->ports, n->n_ports) < 0)
		return;
	table = atomic_load_explicit(n->published, memory_order_relaxed);
	n->neighbours_full = net_neighbour_set(table, cmd) == -ENOSPC;
}
