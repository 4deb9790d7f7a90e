/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Receiving: frames go to the kernel by the fill ring, and come back by the receive ring.
 */

#include <sys/socket.h>

#include "dataplane/io/xdp_queue.h"

void
xdp_give(const struct io_xdp *x,
	struct xdp_ring *ring,
	_Atomic uint64_t *intent,
	const uint32_t *numbers,
	uint32_t n,
	uint8_t holder)
{
	uint64_t word = (uint64_t)ring->ours << 32 | n;

	// See frame_ledger.h: each step is done before the next.
	xdp_in_order();
	atomic_store_explicit(intent, word, memory_order_relaxed);
	xdp_in_order();
	for (uint32_t i = 0; i < n; i++)
		x->ledger->holder[numbers[i]] = holder;
	xdp_in_order();
	xdp_ring_produce(ring, n);
	xdp_in_order();
	atomic_store_explicit(intent, 0, memory_order_relaxed);
}

// Frames that are missing from the fill ring.
static uint32_t
missing(const struct io_xdp *x, const struct xdp_queue *q)
{
	uint32_t level = xdp_ring_level(&q->rings.fill);

	return level < x->fill_target ? x->fill_target - level : 0;
}

static bool
refill_batch(struct io_xdp *x, struct xdp_queue *q, uint32_t n)
{
	struct xdp_ring *fill = &q->rings.fill;
	struct pkt *pkts[XDP_BATCH];
	uint32_t numbers[XDP_BATCH];

	n = xdp_ring_room(fill, n < XDP_BATCH ? n : XDP_BATCH);
	n = pool_get_raw(q->cache, pkts, n);
	if (n == 0)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t offset = (uint64_t)((uint8_t *)pkts[i] - x->memory);

		numbers[i] = xdp_frame_number(x, offset);
		atomic_store_explicit(&fill->frames[(fill->ours + i) & (fill->n_slots - 1)], offset,
			memory_order_relaxed);
	}
	xdp_give(x, fill, &q->intent->fill, numbers, n, x->fill_holder);
	return true;
}

void
xdp_refill(struct io_xdp *x, struct xdp_queue *q)
{
	uint32_t n = missing(x, q);

	// Not one by one: the kernel looks at the ring from another core.
	if (n < XDP_BATCH / 2 && n < x->fill_target / 8)
		return;
	while (n > 0 && refill_batch(x, q, n))
		n -= n < XDP_BATCH ? n : XDP_BATCH;
	if (xdp_ring_wants_kick(&q->rings.fill)) {
		(void)recvfrom(q->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
		q->counts.rx_calls++;
	}
}

// The packet of a descriptor; NULL: it is none that we gave.  *ret_number: its frame.
static struct pkt *
look_at(const struct io_xdp *x, struct xdp_queue *q, const struct xdp_desc *d, uint32_t *ret_number)
{
	uint64_t base = d->addr & XSK_UNALIGNED_BUF_ADDR_MASK;
	uint64_t begin = base + (d->addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
	uint32_t number = xdp_frame_number(x, base), len = d->len;
	struct pkt *p;

	if (number >= x->n_frames || x->ledger->holder[number] != x->fill_holder) {
		q->counts.malformed++;
		return NULL;
	}
	p = xdp_frame(x, number);
	p->frame_len = x->frame_len;
	pkt_reset(p);
	p->data = x->memory + begin;
	p->len = len;
	p->kind = PKT_FRAME;
	p->port = x->port.index;
	*ret_number = number;
	return p;
}

static bool
has_room(const struct pkt *p)
{
	const uint8_t *end = (const uint8_t *)p + p->frame_len - PKT_TAILROOM;

	return p->data >= (const uint8_t *)(p + 1) && p->data <= end &&
	       p->len <= (size_t)(end - p->data);
}

static uint32_t
receive_batch(struct io_xdp *x, struct xdp_queue *q, struct pkt **ret_pkts, uint32_t max)
{
	struct xdp_ring *rx = &q->rings.rx;
	struct pkt *useless[XDP_BATCH];
	uint32_t numbers[XDP_BATCH], n_numbers = 0, n_useless = 0, n_pkts = 0, n;

	n = xdp_ring_available(rx, max < XDP_BATCH ? max : XDP_BATCH);
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc d = rx->descs[(rx->ours + i) & (rx->n_slots - 1)];
		struct pkt *p = look_at(x, q, &d, &numbers[n_numbers]);

		if (p == NULL)
			continue;
		n_numbers++;
		if (!has_room(p)) {
			q->counts.too_long++;
			useless[n_useless++] = p;
			continue;
		}
		q->counts.rx_bytes += p->len;
		ret_pkts[n_pkts++] = p;
	}
	if (n == 0)
		return 0;
	// Both before a packet goes on: a death costs a loss, never a duplicate.
	for (uint32_t i = 0; i < n_numbers; i++)
		x->ledger->holder[numbers[i]] = FRAME_OURS;
	xdp_in_order();
	xdp_ring_consume(rx, n);
	xdp_in_order();
	pool_put(q->cache, useless, n_useless);
	q->counts.rx_packets += n_pkts;
	return n_pkts;
}

uint32_t
xdp_receive(struct io_xdp *x, struct xdp_queue *q, struct pkt **ret_pkts, uint32_t max)
{
	uint32_t n = 0, got;

	do {
		got = receive_batch(x, q, ret_pkts + n, max - n);
		n += got;
	} while (got == XDP_BATCH && n < max);
	// Before they are processed: an empty fill ring loses packets.
	xdp_refill(x, q);
	return n;
}
