/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sending: frames go to the kernel by the send ring, and come back by the completion ring.
 */

#include <errno.h>
#include <sys/socket.h>

#include "dataplane/io/xdp_queue.h"

#define ETHERNET_LEN 14u

// In copy mode the kernel takes 32 packets a call, where its budget cannot be raised: a full ring,
// and as much again for what was busy.
#define MAX_KICKS (2 * XDP_TX_SLOTS / 32)

static void
reap_batch(struct io_xdp *x, struct xdp_queue *q, uint32_t n)
{
	struct xdp_ring *done = &q->rings.done;
	struct pkt *pkts[XDP_BATCH];
	uint32_t numbers[XDP_BATCH], n_pkts = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr =
			atomic_load_explicit(&done->frames[(done->ours + i) & (done->n_slots - 1)],
				memory_order_relaxed);
		uint32_t number = xdp_frame_number(x, addr & XSK_UNALIGNED_BUF_ADDR_MASK);

		if (number >= x->n_frames || x->ledger->holder[number] != x->send_holder) {
			q->counts.malformed++;
			continue;
		}
		// At once: an address that comes twice is taken once.
		x->ledger->holder[number] = FRAME_OURS;
		numbers[n_pkts++] = number;
	}
	xdp_in_order();
	xdp_ring_consume(done, n);
	xdp_in_order();
	for (uint32_t i = 0; i < n_pkts; i++)
		pkts[i] = xdp_frame(x, numbers[i]);
	pool_put(q->cache, pkts, n_pkts);
}

void
xdp_reap(struct io_xdp *x, struct xdp_queue *q)
{
	uint32_t n;

	while ((n = xdp_ring_available(&q->rings.done, XDP_BATCH)) > 0)
		reap_batch(x, q, n);
}

// The kernel forgets a descriptor that it does not understand, and the frame with it.
static bool
is_sendable(const struct io_xdp *x, const struct pkt *p)
{
	return p->len >= ETHERNET_LEN && p->len <= x->frame_len - sizeof(*p) &&
	       p->data >= (const uint8_t *)(p + 1) &&
	       p->data <= (const uint8_t *)p + x->frame_len - p->len;
}

static uint32_t
send_batch(struct io_xdp *x, struct xdp_queue *q, struct pkt *const *pkts, uint32_t n)
{
	struct xdp_ring *tx = &q->rings.tx;
	uint32_t numbers[XDP_BATCH], n_slots = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = pkts[i];
		uint64_t offset = (uint64_t)((uint8_t *)p - x->memory);

		if (!is_sendable(x, p)) {
			q->counts.malformed++;
			pool_put(q->cache, &p, 1);
			continue;
		}
		numbers[n_slots] = xdp_frame_number(x, offset);
		tx->descs[(tx->ours + n_slots) & (tx->n_slots - 1)] = (struct xdp_desc){
			.addr = (uint64_t)(p->data - x->memory),
			.len = p->len,
		};
		q->counts.tx_bytes += p->len;
		n_slots++;
	}
	if (n_slots > 0)
		xdp_give(x, tx, &q->intent->send, numbers, n_slots, x->send_holder);
	q->counts.tx_packets += n_slots;
	return n;
}

uint32_t
xdp_send(struct io_xdp *x, struct xdp_queue *q, struct pkt *const *pkts, uint32_t n)
{
	uint32_t room = xdp_ring_room(&q->rings.tx, n), done = 0;

	if (room < n) {
		xdp_reap(x, q); // without room for completions nothing is sent
		xdp_kick(q);
		room = xdp_ring_room(&q->rings.tx, n);
	}
	while (done < room) {
		uint32_t batch = room - done < XDP_BATCH ? room - done : XDP_BATCH;

		done += send_batch(x, q, pkts + done, batch);
	}
	return done;
}

void
xdp_kick(struct xdp_queue *q)
{
	struct xdp_ring *tx = &q->rings.tx;

	for (unsigned i = 0; i < MAX_KICKS; i++) {
		if (xdp_ring_level(tx) == 0 || !xdp_ring_wants_kick(tx)) {
			q->is_down = false;
			return;
		}
		q->counts.tx_calls++;
		if (sendto(q->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			continue;
		if (errno == EAGAIN || errno == EBUSY || errno == EINTR)
			continue; // that was this call's share
		q->counts.tx_dropped++;
		// Room comes by itself; a link that is down, or gone, may stay so.
		q->is_down = errno != ENOBUFS;
		return;
	}
}
