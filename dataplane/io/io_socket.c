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

static struct io_socket *
socket_of(struct io_thread *thread)
{
	return (struct io_socket *)lanes_of_thread(thread);
}

static enum io_state
receive(struct io_thread *thread)
{
	struct io_socket *s = socket_of(thread);
	enum io_state state = socket_rx_run(&s->rx, &s->lanes);
	bool is_all_pushed = lanes_push(&s->lanes);

	return is_all_pushed || state == IO_MORE ? state : IO_HELD_UP;
}

static uint32_t
send_all(struct io_thread *thread)
{
	struct io_socket *s = socket_of(thread);
	uint32_t n = socket_tx_run(&s->tx, &s->lanes);

	lanes_end_round(&s->lanes);
	return n;
}

static_assert(SOCKET_FAMILIES <= IO_MAX_FDS, "all are watched");

static unsigned
watch(struct io_thread *thread, struct pollfd *ret_fds)
{
	for (unsigned i = 0; i < SOCKET_FAMILIES; i++)
		ret_fds[i] = (struct pollfd){ .fd = socket_of(thread)->rx.fd[i], .events = POLLIN };
	return SOCKET_FAMILIES;
}

static bool
woken(struct io_thread *thread, const struct pollfd *fds)
{
	bool is_ready = false;

	(void)thread;
	for (unsigned i = 0; i < SOCKET_FAMILIES; i++) {
		if ((fds[i].revents & POLLERR) != 0)
			socket_error_drain(fds[i].fd); // or poll() would never sleep again
		is_ready |= fds[i].revents != 0;
	}
	return is_ready;
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
		.receive = receive,
		.send = send_all,
		.watch = watch,
		.woken = woken,
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
