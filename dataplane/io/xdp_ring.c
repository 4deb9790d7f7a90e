/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/xdp_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "dataplane/io/xdp_open.h"

static int
map_ring(int fd,
	const struct xdp_ring_offset *at,
	off_t page,
	uint32_t n_slots,
	size_t slot_len,
	struct xdp_ring *ret)
{
	size_t len = at->desc + n_slots * slot_len;
	uint8_t *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);

	if (map == MAP_FAILED)
		return -errno;
	*ret = (struct xdp_ring){
		.producer = (_Atomic uint32_t *)(map + at->producer),
		.consumer = (_Atomic uint32_t *)(map + at->consumer),
		.flags = (const _Atomic uint32_t *)(map + at->flags),
		.descs = (struct xdp_desc *)(map + at->desc),
		.n_slots = n_slots,
		.map = map,
		.map_len = len,
	};
	return 0;
}

// Go on where the last process stood.
static void
join(struct xdp_ring *r, bool is_producer)
{
	uint32_t producer = atomic_load_explicit(r->producer, memory_order_acquire);
	uint32_t consumer = atomic_load_explicit(r->consumer, memory_order_acquire);

	r->ours = is_producer ? producer : consumer;
	r->theirs = is_producer ? consumer : producer;
}

int
xdp_rings_map(int fd, struct xdp_rings *ret)
{
	struct xdp_mmap_offsets at;
	struct xdp_rings r = {};
	socklen_t len = sizeof(at);
	int err;

	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len) < 0)
		return -errno;
	if (len != sizeof(at))
		return -EOPNOTSUPP; // a kernel before 5.4: no flags
	err = map_ring(fd, &at.rx, XDP_PGOFF_RX_RING, XDP_RX_SLOTS, sizeof(*r.rx.descs), &r.rx);
	if (err == 0)
		err = map_ring(
			fd, &at.tx, XDP_PGOFF_TX_RING, XDP_TX_SLOTS, sizeof(*r.tx.descs), &r.tx);
	if (err == 0)
		err = map_ring(fd, &at.fr, (off_t)XDP_UMEM_PGOFF_FILL_RING, XDP_FILL_SLOTS,
			sizeof(*r.fill.frames), &r.fill);
	if (err == 0)
		err = map_ring(fd, &at.cr, (off_t)XDP_UMEM_PGOFF_COMPLETION_RING, XDP_DONE_SLOTS,
			sizeof(*r.done.frames), &r.done);
	if (err < 0) {
		xdp_rings_unmap(&r);
		return err;
	}
	join(&r.rx, false);
	join(&r.tx, true);
	join(&r.fill, true);
	join(&r.done, false);
	*ret = r;
	return 0;
}

static void
unmap_ring(struct xdp_ring *r)
{
	if (r->map != NULL)
		munmap(r->map, r->map_len);
	r->map = NULL;
}

void
xdp_rings_unmap(struct xdp_rings *rings)
{
	unmap_ring(&rings->rx);
	unmap_ring(&rings->tx);
	unmap_ring(&rings->fill);
	unmap_ring(&rings->done);
}
