/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/xdp_link.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bench/tunnel/xdp_match.h"
#include "dataplane/io/xdp_ring.h"

#define FRAME_LEN XDP_LINK_ROOM
#define N_OUT     4096u /* frames for sending, the first ones */
#define N_IN      4096u
#define MAX_KICKS 256

struct xdp_link {
	struct xdp_link *next;
	unsigned n_references;
	char netns[128], interface[IFNAMSIZ];
	struct xdp_fds fds;
	struct xdp_rings rings[SHM_MAX_WORKERS];
	uint8_t *memory;
	size_t memory_len;

	struct {
		uint32_t n_free;
		uint32_t free[N_OUT]; // frame numbers
	} out;

	struct {
		unsigned next; // queue to be asked first
		unsigned n;    // given out, to be given back
		unsigned queue;
		uint64_t frames[XDP_RX_SLOTS];
	} in;
};

// Links that are open: a few, of the main thread.
static struct xdp_link *links;

// --- coming and going --------------------------------------------------------------------------

static void
give_in(struct xdp_ring *fill, const uint64_t *frames, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		atomic_store_explicit(&fill->frames[(fill->ours + i) & (fill->n_slots - 1)],
			frames[i], memory_order_relaxed);
	xdp_ring_produce(fill, n);
}

static void
fill_rings(struct xdp_link *l)
{
	uint32_t each = N_IN / l->fds.n_queues;
	uint64_t frame = N_OUT;

	if (each > XDP_FILL_SLOTS)
		each = XDP_FILL_SLOTS;
	for (unsigned q = 0; q < l->fds.n_queues; q++) {
		for (uint32_t i = 0; i < each; i++, frame++) {
			uint64_t addr = frame * FRAME_LEN;

			give_in(&l->rings[q].fill, &addr, 1);
		}
	}
	for (uint32_t i = 0; i < N_OUT; i++)
		l->out.free[i] = N_OUT - 1 - i;
	l->out.n_free = N_OUT;
}

static int
open_link(struct xdp_link *l, uint16_t port, char why[XDP_WHY_LEN])
{
	struct xdp_open_config config = {
		.name = l->interface,
		.ifindex = if_nametoindex(l->interface),
		.generic_is_fine = true,
		.packets_len = l->memory_len,
		.frame_len = FRAME_LEN,
		.attach = xdp_match_attach,
		.context = &port,
	};
	int err;

	if (config.ifindex == 0) {
		snprintf(why, XDP_WHY_LEN, "there is no interface %s there", l->interface);
		return -ENODEV;
	}
	l->memory = mmap(
		NULL, l->memory_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->memory == MAP_FAILED) {
		l->memory = NULL;
		return -ENOMEM;
	}
	config.packets = l->memory;
	err = xdp_open(&config, &l->fds, why);
	for (unsigned q = 0; err == 0 && q < l->fds.n_queues; q++)
		err = xdp_rings_map(l->fds.socket[q], &l->rings[q]);
	if (err == 0)
		fill_rings(l);
	return err;
}

static void
close_link(struct xdp_link *l)
{
	for (unsigned q = 0; q < SHM_MAX_WORKERS; q++)
		xdp_rings_unmap(&l->rings[q]);
	if (l->fds.mode != SHM_PORT_SOCKETS)
		xdp_close(&l->fds);
	if (l->memory != NULL)
		munmap(l->memory, l->memory_len);
	free(l);
}

int
xdp_link_get(const char *netns,
	const char *interface,
	uint16_t port,
	struct xdp_link **ret_link,
	char why[XDP_WHY_LEN])
{
	struct xdp_link *l;
	int err;

	why[0] = '\0';
	if (netns == NULL)
		netns = "";
	for (l = links; l != NULL; l = l->next) {
		if (strcmp(l->netns, netns) == 0 && strcmp(l->interface, interface) == 0) {
			l->n_references++;
			*ret_link = l;
			return 0;
		}
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	snprintf(l->netns, sizeof(l->netns), "%s", netns);
	snprintf(l->interface, sizeof(l->interface), "%s", interface);
	l->memory_len = (size_t)(N_OUT + N_IN) * FRAME_LEN;
	l->n_references = 1;
	err = open_link(l, port, why);
	if (err < 0) {
		close_link(l);
		return err;
	}
	l->next = links;
	links = l;
	*ret_link = l;
	return 0;
}

void
xdp_link_put(struct xdp_link *link)
{
	struct xdp_link **at = &links;

	if (link == NULL || --link->n_references > 0)
		return;
	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	close_link(link);
}

uint32_t
xdp_link_ifindex(const struct xdp_link *link)
{
	return link->fds.ifindex;
}

// --- out ---------------------------------------------------------------------------------------

static void
reap(struct xdp_link *l)
{
	struct xdp_ring *done = &l->rings[0].done;
	uint32_t n = xdp_ring_available(done, XDP_DONE_SLOTS);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr = done->frames[(done->ours + i) & (done->n_slots - 1)];

		l->out.free[l->out.n_free++] = (uint32_t)(addr / FRAME_LEN) % N_OUT;
	}
	if (n > 0)
		xdp_ring_consume(done, n);
}

uint8_t *
xdp_link_buffer(struct xdp_link *l)
{
	if (l->out.n_free == 0)
		reap(l);
	if (l->out.n_free == 0 || xdp_ring_room(&l->rings[0].tx, 1) == 0)
		return NULL;
	return l->memory + (size_t)l->out.free[l->out.n_free - 1] * FRAME_LEN;
}

void
xdp_link_queue(struct xdp_link *l, uint8_t *buffer, uint32_t len)
{
	struct xdp_ring *tx = &l->rings[0].tx;

	l->out.n_free--;
	tx->descs[tx->ours & (tx->n_slots - 1)] =
		(struct xdp_desc){ .addr = (uint64_t)(buffer - l->memory), .len = len };
	xdp_ring_produce(tx, 1);
}

unsigned
xdp_link_flush(struct xdp_link *l)
{
	struct xdp_ring *tx = &l->rings[0].tx;
	unsigned n = 0;

	reap(l); // without room for completions nothing is sent
	for (; n < MAX_KICKS && xdp_ring_level(tx) > 0 && xdp_ring_wants_kick(tx); n++) {
		if (sendto(l->fds.socket[0], NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 &&
			errno != EAGAIN && errno != EBUSY)
			break;
	}
	return n;
}

// --- in ----------------------------------------------------------------------------------------

static void
give_back(struct xdp_link *l)
{
	if (l->in.n > 0)
		give_in(&l->rings[l->in.queue].fill, l->in.frames, l->in.n);
	l->in.n = 0;
}

static uint32_t
receive_queue(struct xdp_link *l, unsigned q, struct xdp_in *ret, uint32_t max)
{
	struct xdp_ring *rx = &l->rings[q].rx;
	uint32_t n = xdp_ring_available(rx, max < XDP_RX_SLOTS ? max : XDP_RX_SLOTS);

	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *d = &rx->descs[(rx->ours + i) & (rx->n_slots - 1)];
		uint64_t base = d->addr & XSK_UNALIGNED_BUF_ADDR_MASK;

		l->in.frames[i] = base;
		ret[i].data = l->memory + base + (d->addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
		ret[i].len = d->len;
	}
	if (n > 0)
		xdp_ring_consume(rx, n);
	l->in.n = n;
	l->in.queue = q;
	return n;
}

uint32_t
xdp_link_receive(struct xdp_link *l, struct xdp_in *ret, uint32_t max)
{
	give_back(l);
	for (unsigned i = 0; i < l->fds.n_queues; i++) {
		uint32_t n = receive_queue(l, l->in.next, ret, max);

		l->in.next = (l->in.next + 1) % l->fds.n_queues;
		if (n > 0)
			return n;
	}
	return 0;
}

int
xdp_link_watch(const struct xdp_link *l, int epoll)
{
	for (unsigned q = 0; q < l->fds.n_queues; q++) {
		struct epoll_event event = { .events = EPOLLIN };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, l->fds.socket[q], &event) < 0)
			return -errno;
	}
	return 0;
}

uint64_t
xdp_link_dropped(const struct xdp_link *l)
{
	uint64_t sum = 0;

	for (unsigned q = 0; q < l->fds.n_queues; q++) {
		struct xdp_statistics s = {};
		socklen_t len = sizeof(s);

		if (getsockopt(l->fds.socket[q], SOL_XDP, XDP_STATISTICS, &s, &len) == 0)
			sum += s.rx_dropped + s.rx_ring_full;
	}
	return sum;
}
