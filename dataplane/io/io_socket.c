/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/io_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/lanes.h"
#include "dataplane/io/socket_error.h"
#include "dataplane/io/socket_rx.h"
#include "dataplane/io/socket_tx.h"

struct io_socket {
	struct lanes lanes; // first: the address of the port
	struct socket_rx rx;
	struct socket_tx tx;
};

// Sleep until a socket or a worker has something.  Held up, sockets are no reason to wake.
static void
sleep_until_needed(struct io_socket *s, bool is_held_up)
{
	struct pollfd fds[1 + SOCKET_FAMILIES] = {};

	for (unsigned i = 0; i < SOCKET_FAMILIES; i++) {
		fds[1 + i].fd = is_held_up ? -1 : s->rx.fd[i];
		fds[1 + i].events = POLLIN;
	}
	lanes_sleep(&s->lanes, fds, 1 + SOCKET_FAMILIES, is_held_up);
	for (unsigned i = 0; i < SOCKET_FAMILIES; i++) {
		if ((fds[1 + i].revents & POLLERR) != 0)
			socket_error_drain(s->rx.fd[i]); // or poll() would never sleep again
	}
}

static void
run(struct io_thread *thread)
{
	struct lanes *lanes = lanes_of_thread(thread);
	struct io_socket *s = (struct io_socket *)lanes;

	while (!lanes_is_stopping(lanes)) {
		enum socket_rx_state state = socket_rx_run(&s->rx, lanes);
		bool is_all_pushed = lanes_push(lanes);
		uint32_t n_sent = socket_tx_run(&s->tx, lanes);

		lanes_end_round(lanes);
		if (n_sent == 0 && state != SOCKET_RX_MORE)
			sleep_until_needed(s, state == SOCKET_RX_HELD_UP || !is_all_pushed);
	}
}

int
io_socket_create(const struct io_socket_config *config,
	struct port **ret_port,
	struct io_thread **ret_thread)
{
	const struct lanes_config lanes_config = {
		.name = "wire",
		.driver = "kernel",
		.pool = config->pool,
		.n_workers = config->n_workers,
		.port_index = config->port_index,
		.hash_seed = config->hash_seed,
		.counters = config->counters,
		.quiescent = config->quiescent,
		.run = run,
	};
	struct io_socket *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);
	int err;

	if (s == NULL)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	err = lanes_init(&s->lanes, &lanes_config);
	if (err == 0)
		err = socket_rx_init(&s->rx, config->fds.data_v4, config->fds.data_v6);
	if (err < 0) {
		io_socket_destroy(&s->lanes.port);
		return err;
	}
	socket_tx_init(&s->tx, config->fds.data_v4, config->fds.data_v6, s->lanes.port.counters);
	s->lanes.thread.name = "wire";
	*ret_port = &s->lanes.port;
	*ret_thread = &s->lanes.thread;
	return 0;
}

void
io_socket_destroy(struct port *port)
{
	struct io_socket *s = (struct io_socket *)port;

	if (s == NULL)
		return;
	socket_rx_fini(&s->rx);
	lanes_fini(&s->lanes);
	free(s);
}

void
io_socket_attach_worker(struct port *port, unsigned queue, struct doorbell *worker_bell)
{
	((struct io_socket *)port)->lanes.lane[queue].worker_bell = worker_bell;
}
