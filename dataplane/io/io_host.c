/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/io_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/io/gso.h"
#include "dataplane/io/lanes.h"
#include "lib/net/flow_hash.h"

#define READS_PER_ROUND 64 // super-packets: up to 4 MiB, then writing gets its turn
#define TX_BURST        256

struct io_host {
	struct lanes lanes; // first: the address of the port
	int fd;             // borrowed
	// What was read last; cut.packet points to it.
	struct gso_cut cut;
	uint32_t flow_hash;
	struct lane *lane;
	struct gso_merge merge;
	bool is_broken; // the interface was removed under us
	struct virtio_net_hdr hdr;
	_Alignas(64) uint8_t packet[GSO_MAX_LEN];
};

// Hand on the pieces of what was read that have not been.  False: held up.
static bool
finish_cut(struct io_host *h)
{
	uint32_t len;

	while ((len = gso_cut_len(&h->cut)) > 0) {
		struct pkt *pkt = lane_frame(&h->lanes, h->lane);

		if (pkt == NULL)
			return false;
		gso_cut_next(&h->cut, pkt->data);
		pkt->len = len;
		pkt->kind = PKT_INNER;
		pkt->flow_hash = h->flow_hash;
		lane_give(&h->lanes, h->lane, pkt);
	}
	return true;
}

static void
begin_cut(struct io_host *h, uint32_t len)
{
	struct port_counters *counters = h->lanes.port.counters;

	if (gso_cut_begin(&h->cut, &h->hdr, h->packet, len) < 0) {
		counters->malformed++;
		h->cut = (struct gso_cut){};
		return;
	}
	// The first piece is the longest.
	if (gso_cut_len(&h->cut) > h->lanes.capacity) {
		counters->too_long++;
		h->cut = (struct gso_cut){};
		return;
	}
	h->flow_hash = flow_hash_inner(h->packet, &h->cut.view, h->lanes.hash_seed);
	h->lane = lanes_pick(&h->lanes, h->flow_hash);
}

// One packet or super-packet.  False: there is none.
static bool
read_one(struct io_host *h)
{
	struct iovec iov[2] = {
		{ &h->hdr, sizeof(h->hdr) },
		{ h->packet, sizeof(h->packet) },
	};
	ssize_t n = readv(h->fd, iov, 2);

	if (n < 0)
		return false; // nothing there, or the interface is down
	h->lanes.port.counters->rx_calls++;
	if ((size_t)n < sizeof(h->hdr))
		h->lanes.port.counters->malformed++;
	else
		begin_cut(h, (uint32_t)((size_t)n - sizeof(h->hdr)));
	return true;
}

static enum io_state
run_rx(struct io_host *h)
{
	if (!finish_cut(h))
		return IO_HELD_UP;
	for (int i = 0; i < READS_PER_ROUND; i++) {
		if (!read_one(h))
			return IO_EMPTY;
		if (!finish_cut(h))
			return IO_HELD_UP;
	}
	return IO_MORE;
}

// One system call each: a TUN takes one packet per write.
static void
write_super(void *context, const struct gso_super *super)
{
	struct io_host *h = context;
	struct port_counters *counters = h->lanes.port.counters;
	struct iovec iov[1 + GSO_MAX_PACKETS];
	uint32_t skip = 0;
	ssize_t n;

	iov[0] = (struct iovec){ (void *)&super->hdr, sizeof(super->hdr) };
	for (uint32_t i = 0; i < super->n; i++) {
		iov[1 + i] =
			(struct iovec){ super->pkts[i]->data + skip, super->pkts[i]->len - skip };
		skip = super->header_len;
	}
	do {
		n = writev(h->fd, iov, 1 + (int)super->n);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		counters->tx_calls++;
		counters->tx_packets += super->n;
		counters->tx_bytes += super->len;
	} else {
		counters->tx_dropped += super->n; // EIO: the interface is down
	}
	pool_put(&h->lanes.cache, super->pkts, super->n);
}

static uint32_t
run_tx(struct io_host *h)
{
	struct pkt *pkts[TX_BURST];
	uint32_t n, total = 0;

	for (unsigned i = 0; i < h->lanes.n; i++) {
		// A ringful at most: what a worker adds meanwhile is for the next round.
		for (uint32_t taken = 0; taken < PKT_RING_SIZE; taken += n) {
			n = pkt_ring_get(&h->lanes.lane[i].tx, pkts, TX_BURST);
			if (n == 0)
				break;
			for (uint32_t k = 0; k < n; k++)
				gso_merge_add(&h->merge, pkts[k]);
			total += n;
		}
		gso_merge_flush(&h->merge);
	}
	return total;
}

static struct io_host *
host_of(struct io_thread *thread)
{
	return (struct io_host *)lanes_of_thread(thread);
}

static enum io_state
receive(struct io_thread *thread)
{
	struct io_host *h = host_of(thread);
	enum io_state state = run_rx(h);
	bool is_all_pushed = lanes_push(&h->lanes);

	return is_all_pushed || state == IO_MORE ? state : IO_HELD_UP;
}

static uint32_t
send_all(struct io_thread *thread)
{
	struct io_host *h = host_of(thread);
	uint32_t n = run_tx(h);

	lanes_end_round(&h->lanes);
	return n;
}

static unsigned
watch(struct io_thread *thread, struct pollfd *ret_fds)
{
	struct io_host *h = host_of(thread);

	ret_fds[0] = (struct pollfd){ .fd = h->is_broken ? -1 : h->fd, .events = POLLIN };
	return 1;
}

static bool
woken(struct io_thread *thread, const struct pollfd *fds)
{
	// It does not come back on this descriptor, and would keep poll() from sleeping.
	if ((fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		host_of(thread)->is_broken = true;
	return fds[0].revents != 0;
}

int
io_host_create(const struct io_host_config *config,
	struct port **ret_port,
	struct io_thread **ret_thread)
{
	const struct lanes_config lanes_config = {
		.name = config->host.name,
		.driver = "host",
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
	struct io_host *h = aligned_alloc(64, (sizeof(*h) + 63) / 64 * 64);
	int err;

	if (h == NULL)
		return -ENOMEM;
	memset(h, 0, sizeof(*h));
	err = lanes_init(&h->lanes, &lanes_config);
	if (err < 0) {
		free(h);
		return err;
	}
	h->fd = config->host.fd;
	gso_merge_init(&h->merge, config->host.has_uso, write_super, h);
	*ret_port = &h->lanes.port;
	*ret_thread = &h->lanes.thread;
	return 0;
}

void
io_host_destroy(struct port *port)
{
	struct io_host *h = (struct io_host *)port;

	if (h == NULL)
		return;
	lanes_fini(&h->lanes);
	free(h);
}

void
io_host_attach_worker(struct port *port, unsigned queue, struct doorbell *worker_bell)
{
	((struct io_host *)port)->lanes.lane[queue].worker_bell = worker_bell;
}
