/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who holds each packet buffer: the forwarder, or the kernel on behalf of a port.  It lies in the
 * keeper's memory, so that a new forwarder knows which frames it must not touch, and no frame is
 * lost or used twice whatever the instant at which the old one was killed.
 *
 * A frame changes hands in this order; "intent" is a word that says which slots of a ring are being
 * given away:
 *
 *     give   slots written, intent set, holder = port, ring's producer moved, intent cleared
 *     take   holder = forwarder, ring's consumer moved
 *
 * A process that is killed has done all stores before some instruction and none behind it, so only
 * the compiler must keep the order; frame_ledger_settle() (io_xdp.h) mends each of the states that
 * lie between:
 *
 *     intent set, producer not moved      the slots' frames are the forwarder's
 *     intent set, producer moved          they are the kernel's, as their holders say already
 *     holder = forwarder, consumer not moved    what stands in the ring is still the kernel's
 *
 * Owner:  the keeper makes the memory, zeroed, which says that all frames are the forwarder's.
 * Thread: a frame's byte is for whoever owns the frame, an intent for the worker of the queue.
 */
#ifndef DATAPLANE_IO_FRAME_LEDGER_H
#define DATAPLANE_IO_FRAME_LEDGER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/shm/shm_abi.h"

#define FRAME_OURS 0u /* free, or in the forwarder's hands */

/* Holder of what a port has in its fill or receive ring, and in its send or completion ring. */
#define FRAME_TO_FILL(port_index) ((uint8_t)(1u + 2u * (port_index)))
#define FRAME_TO_SEND(port_index) ((uint8_t)(2u + 2u * (port_index)))
static_assert(2u + 2u * (SHM_MAX_PORTS - 1) <= UINT8_MAX, "a holder is a byte");

/* Lower half: number of slots, 0 for none; upper half: the producer before. */
struct frame_intent {
	_Alignas(64) _Atomic uint64_t fill;
	_Atomic uint64_t send;
};

struct frame_ledger {
	struct frame_intent intents[SHM_MAX_PORTS][SHM_MAX_WORKERS]; /* by port and queue */
	uint8_t holder[];                                            /* by frame */
};

/* Bytes for so many frames. */
static inline size_t
frame_ledger_size(uint32_t n_frames)
{
	return sizeof(struct frame_ledger) + n_frames;
}

struct pool_cache;

/*
 * Give the frames that a closed port held back to the pool of `cache`.  After io_xdp_destroy(), and
 * after the last descriptor of each of the port's sockets was closed, in every process.  Returns
 * how many there were.
 */
uint32_t
frame_ledger_reclaim(struct frame_ledger *ledger, struct pool_cache *cache, uint8_t port_index);

#endif
