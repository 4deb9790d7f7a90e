/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/forwarder_state.h"
#include "dataplane/keeper/link.h"
#include "dataplane/path/drop.h"
#include "dataplane/table/flow_memory.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/shm/region.h"

#define SWEEP_NS       NS_PER_S
#define COUNTERS_NS    (NS_PER_S / 4)
#define NAT_SWEEP_NS   (NS_PER_S / 10)
#define NAT_SWEEP_ROWS 16384 /* each time */
#define MAX_COMMANDS   256   /* per round of the main loop */
#define MAX_INJECTED   64

// --- keeper and control plane -----------------------------------------------------------------

int
forwarder_join(struct forwarder *f, int to_dp_fd, int to_cp_fd)
{
	void *to_dp, *to_cp;
	int err;

	rings_leave(&f->rings);
	err = shm_region_map(to_dp_fd, sizeof(struct shm_to_dp), false, &to_dp);
	if (err < 0)
		return err;
	err = shm_region_map(to_cp_fd, sizeof(struct shm_to_cp), true, &to_cp);
	if (err < 0) {
		munmap(to_dp, sizeof(struct shm_to_dp));
		return err;
	}
	rings_join(&f->rings, to_dp, to_cp, f->setup->bell_cp);
	return 0;
}

static void
tell_ports(struct forwarder *f)
{
	const struct shm_event event = { .kind = SHM_EV_PORTS,
		.value = link_ports_number(&f->links) };

	rings_event(&f->rings, &event); // no room: state.ports says it too
}

static int
serve_port(struct forwarder *f, const struct link_message *msg, const int *fds, size_t n)
{
	struct xdp_fds port = msg->port;
	int err;

	if (msg->row >= SHM_MAX_PORTS || (msg->kind == LINK_PORT_OPEN && n != port.n_queues))
		return ERR_PROTOCOL;
	switch ((enum link_kind)msg->kind) {
	case LINK_PORT_OPEN:
		memcpy(port.socket, fds, n * sizeof(*fds));
		err = link_ports_join(&f->links, msg->row, &port);
		tell_ports(f);
		return link_send_port(f->setup->link, LINK_PORT_OPENED, msg->row, err, NULL);
	case LINK_PORT_CLOSE:
		link_ports_leave(&f->links, msg->row);
		tell_ports(f);
		return link_send_port(f->setup->link, LINK_PORT_GONE, msg->row, 0, NULL);
	case LINK_PORT_FREE:
		link_ports_reclaim(&f->links, msg->row);
		return 0;
	default:
		return ERR_PROTOCOL;
	}
}

static bool
run_commands(struct forwarder *f, unsigned max)
{
	struct shm_command cmd;
	unsigned n = 0;

	while (n < max && rings_have_room(&f->rings) && shm_ring_peek(&f->rings.commands, &cmd)) {
		apply_command(&f->apply, &cmd);
		shm_ring_advance(&f->rings.commands);
		n++;
	}
	apply_flush_retired(&f->apply);
	return n > 0;
}

static bool
run_injected(struct forwarder *f, unsigned max)
{
	unsigned n = 0;
	struct pkt *p;

	while (n < max && (p = report_take_injected(&f->rings, &f->cache)) != NULL) {
		// One worker for all: what came merged with a message keeps its order.
		if (pkt_ring_put(&f->workers[0]->inject, &p, 1) == 0) {
			f->state->workers[SHM_MAIN_ROW].drops[DROP_TX_FULL]++;
			pool_put(&f->cache, &p, 1);
		}
		n++;
	}
	if (n > 0)
		doorbell_ring(&f->workers[0]->bell);
	return n > 0;
}

// What was published before its death still counts.
static void
drain(struct forwarder *f)
{
	for (unsigned i = 0; i < SHM_N_COMMANDS / MAX_COMMANDS + 1; i++)
		if (!run_commands(f, MAX_COMMANDS) && !run_injected(f, MAX_INJECTED))
			break;
}

static int
serve_link(struct forwarder *f)
{
	struct link_message msg;
	int fds[LINK_MAX_FDS], err;
	size_t n;

	for (;;) {
		err = link_receive(f->setup->link, &msg, fds, &n);
		if (err == -EAGAIN)
			return 0;
		if (err < 0)
			return err;
		if (msg.kind == LINK_LEAVE) {
			drain(f);
			rings_leave(&f->rings);
		} else if (msg.kind == LINK_JOIN && n == 2) {
			err = forwarder_join(f, fds[0], fds[1]);
			if (err == 0)
				err = link_send(f->setup->link, LINK_JOINED, msg.epoch, NULL, 0);
		} else if (msg.kind >= LINK_PORT_OPEN) {
			err = serve_port(f, &msg, fds, n);
			n = msg.kind == LINK_PORT_OPEN ? 0 : n; // the port has them
		}
		while (n > 0)
			close(fds[--n]);
		if (err < 0)
			return err;
	}
}

// --- the main loop -----------------------------------------------------------------------------

static void
publish_port_counters(struct forwarder *f)
{
	uint64_t *drops = f->state->workers[SHM_MAIN_ROW].drops;
	uint64_t no_buffer = f->rings.n_no_buffer, too_long = 0, malformed = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct port_counters *c = &f->port_counters[i];
		struct shm_port_counters *out = &f->state->ports[i];

		out->rx_packets = c->rx_packets;
		out->rx_bytes = c->rx_bytes;
		out->tx_packets = c->tx_packets;
		out->tx_bytes = c->tx_bytes;
		out->rx_calls = c->rx_calls;
		out->tx_calls = c->tx_calls;
		out->rx_dropped = c->rx_dropped;
		out->tx_dropped = c->tx_dropped;
		no_buffer += c->no_buffer;
		too_long += c->too_long;
		malformed += c->malformed;
	}
	link_ports_count(&f->links);
	for (unsigned i = 0; i < SHM_MAX_PORTS; i++)
		no_buffer += f->links.of[i].counters.no_buffer;
	drops[DROP_NO_BUFFER] = no_buffer;
	drops[DROP_LONG] = too_long;
	drops[DROP_HOST_MALFORMED] = malformed;
}

// Flows that are idle for too long make room once no worker looks at them.
static void
sweep_nat(struct forwarder *f, struct mono now)
{
	if (f->nat_pages > 0)
		flow_memory_reserve(f->flow_memory, &f->nat_pages);
	if (nat_sweep(f->nat, now, NAT_SWEEP_ROWS) == 0)
		return;
	quiescent_wait_workers(&f->quiescent);
	nat_release(f->nat);
}

static void
housekeeping(struct forwarder *f)
{
	uint64_t now = mono_now().ns;

	if (now - f->nat_swept_ns >= (uint64_t)NAT_SWEEP_NS) {
		f->nat_swept_ns = now;
		sweep_nat(f, (struct mono){ now });
	}
	if (now - f->counted_ns >= (uint64_t)COUNTERS_NS) {
		f->counted_ns = now;
		publish_port_counters(f);
	}
	if (now - f->swept_ns >= (uint64_t)SWEEP_NS) {
		f->swept_ns = now;
		apply_sweep(&f->apply);
		for (unsigned i = 0; i < f->n_workers; i++)
			worker_tend(f->workers[i]);
	}
}

static bool
run_round(struct forwarder *f)
{
	bool busy = false;

	busy |= run_commands(f, MAX_COMMANDS);
	busy |= run_injected(f, MAX_INJECTED);
	for (unsigned i = 0; i < f->n_workers; i++)
		report_worker(&f->rings, &f->apply, f->workers[i], &f->cache);
	apply_flush_retired(&f->apply);
	rings_bell(&f->rings);
	housekeeping(f);
	return busy;
}

static bool
may_sleep(struct forwarder *f)
{
	if (f->rings.attached && rings_have_room(&f->rings) &&
		(!shm_ring_sleep(&f->rings.commands) || !shm_ring_sleep(&f->rings.inject)))
		return false;
	for (unsigned i = 0; i < f->n_workers; i++)
		if (!pkt_ring_is_empty(&f->workers[i]->punt) ||
			event_ring_peek(&f->workers[i]->events) != NULL)
			return f->rings.attached && !rings_have_room(&f->rings);
	return true;
}

static void
clear(int fd)
{
	uint64_t rings;

	if (read(fd, &rings, sizeof(rings)) < 0)
		return; // it was not rung
}

static volatile sig_atomic_t stop;

static void
on_stop(int sig)
{
	(void)sig;
	stop = 1;
}

void
forwarder_catch_signals(void)
{
	const struct sigaction sa = { .sa_handler = on_stop };
	sigset_t none;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int
forwarder_serve(struct forwarder *f)
{
	struct pollfd fds[] = {
		{ .fd = f->setup->link, .events = POLLIN },
		{ .fd = f->bell.fd, .events = POLLIN },
		{ .fd = f->setup->bell_dp, .events = POLLIN },
	};

	while (!stop) {
		// A full event ring is looked at again soon: its reader does not ring for room.
		int timeout_ms = f->rings.attached && !rings_have_room(&f->rings) ? 5 : 250;

		doorbell_announce(&f->bell); // before looking: what comes later rings
		if (run_round(f) || !may_sleep(f))
			timeout_ms = 0;
		poll(fds, 3, timeout_ms);
		doorbell_clear(&f->bell);
		clear(f->bell.fd);
		clear(f->setup->bell_dp);
		if (f->rings.attached) {
			shm_ring_wake(&f->rings.commands);
			shm_ring_wake(&f->rings.inject);
		}
		if (fds[0].revents != 0) {
			int err = serve_link(f);

			if (err < 0)
				return err; // the keeper is gone, and so are we
		}
	}
	return 0;
}
