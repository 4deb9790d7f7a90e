/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/link_ports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/io/io_xdp.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define LOG_TAG "forwarder"

#define FIRST_ROW 2u // before it: the UDP sockets and the TUN

static void
close_sockets(struct xdp_fds *fds)
{
	for (unsigned i = 0; i < fds->n_queues && i < SHM_MAX_WORKERS; i++)
		close(fds->socket[i]);
	fds->n_queues = 0;
}

static unsigned
open_ports(const struct link_ports *l, struct network_port ret[SHM_MAX_PORTS])
{
	unsigned n = 0;

	for (unsigned row = 0; row < SHM_MAX_PORTS; row++)
		if (l->of[row].io != NULL)
			ret[n++] = (struct network_port){ l->of[row].io, l->of[row].fds.ifindex };
	return n;
}

unsigned
link_ports_number(const struct link_ports *l)
{
	struct network_port ports[SHM_MAX_PORTS];

	return open_ports(l, ports);
}

// Rows behind the last one that counts are not looked at.
static void
count_rows(struct shm_state *state)
{
	uint32_t n = FIRST_ROW;

	for (uint32_t row = FIRST_ROW; row < SHM_MAX_PORTS; row++)
		if (state->ports[row].name[0] != '\0')
			n = row + 1;
	state->n_ports = n;
}

// state.ports tells the control plane which ports are open: `name` says that a row counts.
static void
describe(struct link_ports *l, uint32_t row)
{
	struct shm_port_counters *out = &l->state->ports[row];
	const struct link_port *p = &l->of[row];

	memset(out, 0, sizeof(*out));
	if (p->io == NULL) {
		count_rows(l->state);
		return;
	}
	snprintf(out->driver, sizeof(out->driver), "%s", p->io->driver);
	snprintf(out->note, sizeof(out->note), "%s", p->fds.note);
	out->ifindex = p->fds.ifindex;
	out->mode = p->fds.mode;
	out->n_queues = p->fds.n_queues;
	snprintf(out->name, sizeof(out->name), "%s", p->io->name);
	count_rows(l->state);
}

static int
create(struct link_ports *l, uint32_t row)
{
	struct link_port *p = &l->of[row];
	const struct io_xdp_config config = {
		.fds = &p->fds,
		.pool = l->pool,
		.ledger = l->ledger,
		.n_workers = l->n_workers,
		.port_index = (uint8_t)row,
		.counters = &p->counters,
	};
	int err = io_xdp_create(&config, &p->io);

	if (err < 0) {
		p->io = NULL;
		return err;
	}
	for (unsigned i = 0; i < l->n_workers; i++)
		io_xdp_attach_worker(p->io, i, &l->workers[i]->bell);
	return 0;
}

static int
publish(struct link_ports *l)
{
	struct network_port ports[SHM_MAX_PORTS];
	unsigned n = open_ports(l, ports);

	return network_set_ports(l->network, ports, n);
}

void
link_ports_begin(struct link_ports *l)
{
	for (uint32_t row = FIRST_ROW; row < SHM_MAX_PORTS; row++)
		describe(l, row);
}

int
link_ports_join(struct link_ports *l, uint32_t row, const struct xdp_fds *fds)
{
	struct link_port *p = &l->of[row];
	int err = -EINVAL;

	p->fds = *fds;
	if (l->ledger != NULL && p->io == NULL && fds->n_queues > 0 &&
		fds->n_queues <= SHM_MAX_WORKERS)
		err = create(l, row);
	if (err == 0)
		err = publish(l);
	if (err < 0) {
		io_xdp_destroy(p->io);
		p->io = NULL;
		log_err("rings of %s cannot be joined: %s; its packets go the kernel's way",
			fds->name, err_str(err));
		close_sockets(&p->fds);
		return err;
	}
	describe(l, row);
	return 0;
}

void
link_ports_leave(struct link_ports *l, uint32_t row)
{
	struct link_port *p = &l->of[row];
	struct port *io = p->io;

	if (io == NULL)
		return;
	p->io = NULL;
	while (publish(l) < 0) {
		// No memory for the smaller table: as long as workers look at the port, it stays.
		usleep(1000);
	}
	io_xdp_destroy(io);
	describe(l, row);
	close_sockets(&p->fds);
	memset(&p->counters, 0, sizeof(p->counters));
}

void
link_ports_reclaim(struct link_ports *l, uint32_t row)
{
	if (l->ledger != NULL && l->of[row].io == NULL)
		(void)frame_ledger_reclaim(l->ledger, l->cache, (uint8_t)row);
}

static void
count(struct link_ports *l, uint32_t row)
{
	struct shm_port_counters *out = &l->state->ports[row];
	struct link_port *p = &l->of[row];
	const struct port_counters *c = &p->counters;
	struct steer_counts steered;

	io_xdp_statistics(p->io);
	out->rx_packets = c->rx_packets;
	out->rx_bytes = c->rx_bytes;
	out->tx_packets = c->tx_packets;
	out->tx_bytes = c->tx_bytes;
	out->rx_calls = c->rx_calls;
	out->tx_calls = c->tx_calls;
	out->rx_dropped = c->rx_dropped;
	out->tx_dropped = c->tx_dropped;
	out->handed_over = c->handed_over;
	if (steer_read_counters(l->maps, p->fds.ifindex, &steered) == 0)
		out->steered_out = steer_dropped(&steered);
}

void
link_ports_count(struct link_ports *l)
{
	for (uint32_t row = 0; row < SHM_MAX_PORTS; row++)
		if (l->of[row].io != NULL)
			count(l, row);
}
