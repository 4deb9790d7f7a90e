/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/frame_ledger.h"

#include <string.h>

#include "dataplane/io/io_xdp.h"
#include "dataplane/io/pool.h"
#include "dataplane/io/xdp_ring.h"

struct settling {
	struct frame_ledger *ledger;
	uint32_t n_frames;
	uint32_t frame_len;
};

static void
set_holder(const struct settling *s, uint64_t addr, uint8_t holder)
{
	uint64_t number = (addr & XSK_UNALIGNED_BUF_ADDR_MASK) / s->frame_len;

	if (number < s->n_frames)
		s->ledger->holder[number] = holder;
}

static uint64_t
slot_addr(const struct xdp_ring *r, bool has_descs, uint32_t count)
{
	uint32_t slot = count & (r->n_slots - 1);

	return has_descs ? r->descs[slot].addr
	                 : atomic_load_explicit(&r->frames[slot], memory_order_relaxed);
}

// Slots that were being given away: if the producer has not moved they are ours.
static void
settle_intent(const struct settling *s,
	const struct xdp_ring *r,
	bool has_descs,
	_Atomic uint64_t *intent)
{
	uint64_t word = atomic_load_explicit(intent, memory_order_relaxed);
	uint32_t producer = (uint32_t)(word >> 32), n = (uint32_t)word;

	if (n > 0 && n <= r->n_slots &&
		producer == atomic_load_explicit(r->producer, memory_order_acquire)) {
		for (uint32_t i = 0; i < n; i++)
			set_holder(s, slot_addr(r, has_descs, producer + i), FRAME_OURS);
	}
	// Last: whoever is killed while settling, settles again.
	xdp_in_order();
	atomic_store_explicit(intent, 0, memory_order_relaxed);
}

// What stands in a ring from the kernel was not taken.
static void
settle_untaken(const struct settling *s, const struct xdp_ring *r, bool has_descs, uint8_t holder)
{
	uint32_t consumer = atomic_load_explicit(r->consumer, memory_order_relaxed);
	uint32_t n = xdp_ring_level(r);

	for (uint32_t i = 0; i < n; i++)
		set_holder(s, slot_addr(r, has_descs, consumer + i), holder);
}

static int
settle_queue(const struct settling *s, int fd, unsigned port, unsigned queue)
{
	struct frame_intent *intent = &s->ledger->intents[port][queue];
	struct xdp_rings rings;
	int err = xdp_rings_map(fd, &rings);

	if (err < 0)
		return err;
	settle_intent(s, &rings.fill, false, &intent->fill);
	settle_intent(s, &rings.tx, true, &intent->send);
	settle_untaken(s, &rings.rx, true, FRAME_TO_FILL(port));
	settle_untaken(s, &rings.done, false, FRAME_TO_SEND(port));
	xdp_rings_unmap(&rings);
	return 0;
}

// What a port held that is not open any more, or never was, is ours.
static void
settle_closed(const struct settling *s, const struct xdp_fds ports[SHM_MAX_PORTS])
{
	bool is_known[UINT8_MAX + 1] = {};

	for (unsigned i = 0; i < SHM_MAX_PORTS; i++) {
		is_known[FRAME_TO_FILL(i)] = ports[i].n_queues > 0;
		is_known[FRAME_TO_SEND(i)] = ports[i].n_queues > 0;
	}
	for (uint32_t i = 0; i < s->n_frames; i++) {
		if (!is_known[s->ledger->holder[i]])
			s->ledger->holder[i] = FRAME_OURS;
	}
}

int
frame_ledger_settle(struct frame_ledger *ledger,
	const struct xdp_fds ports[SHM_MAX_PORTS],
	uint32_t n_frames,
	uint32_t frame_len)
{
	const struct settling s = { ledger, n_frames, frame_len };

	for (unsigned port = 0; port < SHM_MAX_PORTS; port++) {
		for (unsigned q = 0; q < ports[port].n_queues; q++) {
			int err = settle_queue(&s, ports[port].socket[q], port, q);

			if (err < 0)
				return err;
		}
		if (ports[port].n_queues == 0)
			memset(ledger->intents[port], 0, sizeof(ledger->intents[port]));
	}
	settle_closed(&s, ports);
	return 0;
}

uint32_t
frame_ledger_reclaim(struct frame_ledger *ledger, struct pool_cache *cache, uint8_t port_index)
{
	uint32_t frame_len = pool_frame_length(cache->pool), n = 0;
	uint8_t *memory = pool_memory(cache->pool);

	for (uint32_t i = 0; i < pool_frame_count(cache->pool); i++) {
		struct pkt *p = (struct pkt *)(memory + (size_t)i * frame_len);

		if (ledger->holder[i] != FRAME_TO_FILL(port_index) &&
			ledger->holder[i] != FRAME_TO_SEND(port_index))
			continue;
		ledger->holder[i] = FRAME_OURS;
		pool_put(cache, &p, 1);
		n++;
	}
	memset(ledger->intents[port_index], 0, sizeof(ledger->intents[port_index]));
	return n;
}
