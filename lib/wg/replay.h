/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The replay window: has this counter of a session been accepted before?
 *
 * Source: the question is whitepaper section 5.4.6; the answer is ours
 *         (../shared/design/architecture.md 4.1, performance.md 2.5 point 6), not RFC 6479's ring.
 * Owner:  one per session, in memory that outlives the process; all zeros is a new session's.
 * Thread: any number of workers at once, without a lock.
 *
 * A ring of 256 words.  Counters are grouped in blocks of 32; block b has the word b mod 256, which
 * holds 32 bits of seen counters and the tag of the block that they belong to.  One
 * compare-and-swap tests and sets a counter, and by taking a newer tag slides the window.
 *
 *     counter   63 ............ 45 | 44 .......... 13 | 12 ... 5 | 4 ... 0
 *                   (not kept)     |   tag            |   word   |   bit
 *     word      63 ............. 32 | 31 ............. 0
 *                    tag            |      bits
 *
 * What is guaranteed, for any order of arrival and any number of threads:
 *  - No counter is accepted twice.  A word only ever grows: a larger tag, or the same tag and one
 *    more bit.  Whatever was accepted stays behind or in it.  This needs no assumption about tags
 *    being unambiguous: counters 2^45 apart share tag and bit, and then the later is refused.
 *  - A counter at most WG_REPLAY_WINDOW (8,160) behind the newest accepted is judged exactly: its
 *    word cannot hold a newer block, because that would be 256 blocks on, beyond the newest.
 *  - An older one is refused if its word has moved on, and may still be accepted (once) if not.
 *
 * Tags.  The word's index is part of the block's number, so a tag needs only what is above it: 32
 * bits reach 2^45 counters.  A session lives 180 s (WG_REJECT_AFTER_TIME_NS); a peer would have to
 * send 195 thousand million packets a second to get there, and what comes after is then refused
 * as old, not accepted twice.  All zeros need no case of their own: each word stands at its first
 * block (tag 0) of which nothing was seen.
 */
#ifndef LIB_WG_REPLAY_H
#define LIB_WG_REPLAY_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/wg/limits.h"

#define WG_REPLAY_WORDS  256
#define WG_REPLAY_WINDOW ((WG_REPLAY_WORDS - 1) * 32)

struct wg_replay {
	_Atomic uint64_t word[WG_REPLAY_WORDS];
};

static_assert(sizeof(struct wg_replay) == 2048, "lies in shared memory");
static_assert((WG_REPLAY_WORDS & (WG_REPLAY_WORDS - 1)) == 0, "the word is found by masking");

static inline uint64_t
wg_replay_tag(uint64_t counter)
{
	return (uint64_t)(uint32_t)(counter >> 13) << 32;
}

/* What a word becomes when it takes `bits` of the block with this tag. */
static inline uint64_t
wg_replay_next(uint64_t word, uint64_t tag, uint32_t bits)
{
	uint64_t word_tag = word & ~UINT64_C(0xffffffff);

	if (tag > word_tag)
		return tag | bits;
	return tag == word_tag ? word | bits : word;
}

/* Which of `bits` a word takes: those that it has not seen. */
static inline uint32_t
wg_replay_taken(uint64_t word, uint64_t tag, uint32_t bits)
{
	uint64_t word_tag = word & ~UINT64_C(0xffffffff);

	if (tag > word_tag)
		return bits;
	return tag == word_tag ? bits & ~(uint32_t)word : 0;
}

/*
 * Accept several counters of one block at once: those that are 32 * block + i for each bit i that
 * is set.  Returns which of them were accepted.  The caller sees to WG_REJECT_AFTER_MESSAGES.
 * is_alone: no other thread accepts counters of this session, so no locked instruction is needed.
 */
static inline uint32_t
wg_replay_accept_block(struct wg_replay *replay, uint64_t block, uint32_t bits, bool is_alone)
{
	_Atomic uint64_t *word = &replay->word[block % WG_REPLAY_WORDS];
	uint64_t tag = wg_replay_tag(block << 5);
	// Relaxed: the word is the whole state, and no other memory is published through it.
	uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
	uint32_t taken;

	do {
		taken = wg_replay_taken(seen, tag, bits);
		if (taken == 0)
			return 0;
		if (is_alone) {
			atomic_store_explicit(
				word, wg_replay_next(seen, tag, bits), memory_order_relaxed);
			return taken;
		}
	} while (!atomic_compare_exchange_weak_explicit(word, &seen,
		wg_replay_next(seen, tag, bits), memory_order_relaxed, memory_order_relaxed));
	return taken;
}

/*
 * Accept a counter, once.  Only after the message was authenticated: a forged one must not move the
 * window.  False: seen before, too old, or WG_REJECT_AFTER_MESSAGES and beyond.
 */
static inline bool
wg_replay_accept(struct wg_replay *replay, uint64_t counter)
{
	return counter < WG_REJECT_AFTER_MESSAGES &&
	       wg_replay_accept_block(replay, counter >> 5, UINT32_C(1) << (counter & 31), false) !=
	               0;
}

/*
 * Whether wg_replay_accept() would accept it now.  Before decrypting, to drop replays cheaply; true
 * promises nothing, another worker may be faster.
 */
static inline bool
wg_replay_check(const struct wg_replay *replay, uint64_t counter)
{
	const _Atomic uint64_t *word = &replay->word[(counter >> 5) % WG_REPLAY_WORDS];
	uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);

	return counter < WG_REJECT_AFTER_MESSAGES &&
	       wg_replay_taken(seen, wg_replay_tag(counter), UINT32_C(1) << (counter & 31)) != 0;
}

#endif
