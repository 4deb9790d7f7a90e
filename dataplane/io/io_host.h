/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The host port: inner packets to and from the kernel of this machine, through a TUN interface with
 * virtio headers.
 *
 * TCP comes and goes as super-packets of up to 64 KiB: a read or a write of the TUN costs a system
 * call, so the host thread cuts what it reads into frames, and merges what the workers send
 * (gso.h). The keeper opens the TUN and keeps it; the forwarder inherits it.
 *
 * Source: ../shared/design/architecture.md section 3.1; linux/if_tun.h, linux/virtio_net.h.
 * Owner:  descriptor: the keeper.  Port and thread: the forwarder's main().
 * Thread: open, create and destroy are for the main thread.
 */
#ifndef DATAPLANE_IO_IO_HOST_H
#define DATAPLANE_IO_IO_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/io/io.h"
#include "dataplane/io/pool.h"

struct io_host_fd {
	int fd; /* non-blocking, close-on-exec */
	uint32_t ifindex;
	bool has_tso; /* the kernel gives and takes TCP super-packets */
	bool has_uso; /* and UDP ones (kernel 6.2 and later) */
	char name[16];
};

/*
 * Open the TUN interface `name` (1 to 15 characters), made if it does not exist.  Somebody else's
 * hold on it is waited for up to two seconds: the previous owner may be dying.  Neither address,
 * MTU nor state are touched; the transmit queue is lengthened, where that is allowed.
 *
 * persist: the interface outlives the descriptor; false: an interface made earlier as persistent
 *          goes with this descriptor.
 * ret:     set on success only; release with io_host_close().
 *
 * Returns 0, -EBUSY (another process has it), -EPERM (no CAP_NET_ADMIN), -ENOENT or -ENODEV (no
 * /dev/net/tun), -EINVAL (a name that the kernel refuses, or an interface of another kind), or
 * another -errno.
 */
[[nodiscard]] int io_host_open(const char *name, bool persist, struct io_host_fd *ret);
/* Close; with `remove`, a persistent interface goes away with its addresses and routes. */
void io_host_close(struct io_host_fd *host, bool remove);

struct io_host_config {
	struct io_host_fd host;         /* borrowed until destroyed */
	struct pool *pool;              /* borrowed */
	unsigned n_workers;             /* queues: 1 to 256 */
	uint8_t port_index;             /* for pkt->port */
	uint64_t hash_seed;             /* random per process; spreads flows over workers */
	struct port_counters *counters; /* borrowed; NULL: the port has its own */
	_Atomic uint64_t *quiescent;    /* for the thread, see io.h; NULL: nobody looks */
};

/*
 * Make the port (named as the interface, driver "host") and its thread; everything else is as with
 * io_socket_create().
 */
[[nodiscard]] int io_host_create(const struct io_host_config *config,
	struct port **ret_port,
	struct io_thread **ret_thread);
/* Every packet that is still in the port goes back to the pool.  NULL is allowed. */
void io_host_destroy(struct port *port);

/* Say which bell wakes the worker of this queue.  Before thread and workers run. */
void io_host_attach_worker(struct port *port, unsigned queue, struct doorbell *worker_bell);

#endif
