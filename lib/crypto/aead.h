/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ChaCha20-Poly1305 over bursts: many independent packets, each with its own key, in one call.
 *
 * Source: RFC 8439; the nonce is WireGuard's, four zero bytes and the counter in little-endian
 *         (../shared/protocol/peer.md 3.5).  No associated data: transport data has none.
 * Owner:  jobs, keys and buffers are the caller's, borrowed for the call.
 * Thread: aead_init() once before other threads; seal and open from any thread;
 *         a thread's first burst may allocate memory, later ones make no system call at all.
 *
 * The interface is made for implementations that fill a vector unit with blocks of *different*
 * packets, so callers hand over whole bursts and never loop over single packets.
 */
#ifndef LIB_CRYPTO_AEAD_H
#define LIB_CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_LEN 32
#define AEAD_TAG_LEN 16
#define AEAD_MAX_LEN 65535 /* bytes of plaintext in one job */
#define AEAD_BURST   64    /* best size of a burst; any n is allowed */

struct aead_job {
	uint8_t *data; /* sealed or opened in place; the tag is the 16 bytes behind data + len */
	const uint8_t *key; /* AEAD_KEY_LEN bytes */
	uint64_t counter;   /* the nonce */
	uint32_t len; /* bytes of plaintext = bytes of ciphertext without its tag; 0 is allowed */
	bool ok;      /* written by aead_open(): the tag was right */
};

/*
 * A burst goes whole to one back end: a kernel that works on blocks of different packets would lose
 * by splitting.  Which one depends on its direction, on n, and on the mean length of its packets.
 */
#define AEAD_DIRECTIONS    2 /* 0: seal, 1: open */
#define AEAD_BURST_CLASSES 4 /* from 1, 2, 4 and 8 packets on: aead_burst_min */
#define AEAD_SIZE_CLASSES  4 /* to 128, 512, 1,024 and AEAD_MAX_LEN bytes: aead_size_max */
extern const uint32_t aead_burst_min[AEAD_BURST_CLASSES];
extern const uint32_t aead_size_max[AEAD_SIZE_CLASSES];

#define AEAD_MAX_BACKENDS 8

enum aead_presence {
	AEAD_WORKS,
	AEAD_MISSING, /* not for this CPU, or not in this build */
	AEAD_REFUSED, /* gave wrong answers here */
};

enum aead_reason {
	AEAD_FASTEST, /* by timing, or as fast as a faster one and preferred */
	AEAD_FORCED,  /* by SLUICE_AEAD */
	AEAD_ONLY,    /* no other works here */
};

struct aead_candidate {
	const char *name;
	enum aead_presence presence;
	/* Of one packet, best of some rounds; 0: not timed. */
	float ns[AEAD_DIRECTIONS][AEAD_BURST_CLASSES][AEAD_SIZE_CLASSES];
};

struct aead_choice {
	enum aead_reason reason;
	size_t n_candidates;
	struct aead_candidate candidates[AEAD_MAX_BACKENDS]; /* the most preferred first */
	/* index into candidates */
	uint8_t in_use[AEAD_DIRECTIONS][AEAD_BURST_CLASSES][AEAD_SIZE_CLASSES];
};

/*
 * Check every back end that this CPU has against known answers, time those that are right (15 ms of
 * its own time), choose one per class, and be ready.
 *
 * SLUICE_AEAD=name in the environment, if not empty, forces one for all classes; nothing is timed
 * then.  ret_refused (may be NULL) is set to the name of a back end whose answers were wrong, if
 * any: that one is not used, and the caller says so.
 *
 * Returns 0; -ENOENT if SLUICE_AEAD names none that works here; ERR_BAD_MAC if not even libsodium
 * gives the known answers (nothing may be encrypted then); -ENOMEM.
 */
[[nodiscard]] int aead_init(const char **ret_refused);

/* What aead_init() found and chose.  Valid until it is called again. */
const struct aead_choice *aead_choice(void);

/*
 * Name of the back end in use ("avx512", "avx2", "ipsec-mb", "libsodium"), for most sizes of
 * full bursts if they differ; and the names of all that work here, libsodium first.
 */
const char *aead_backend(void);
const char *const *aead_backends(size_t *ret_count);

/* Seal n packets in place and write their tags.  Cannot fail. */
void aead_seal(struct aead_job *jobs, size_t n);

/*
 * Verify n packets and decrypt those whose tag is right; sets `ok` of each.  Tags are compared in
 * constant time, and nothing of a packet is given out before that.  What is refused is left exactly
 * as it was, data and tag.  (A back end whose library decrypts as it verifies puts it back.)
 */
void aead_open(struct aead_job *jobs, size_t n);

/*
 * One message with associated data, for handshakes (RFC 8439 section 2.8; nonce as above).
 * aead_seal_one writes len + AEAD_TAG_LEN bytes to dst.  aead_open_one reads len bytes (tag
 * included) and writes len - AEAD_TAG_LEN to dst: 0, ERR_TRUNCATED, or ERR_BAD_MAC (dst is zeroed).
 * dst and src may be equal.
 */
void aead_seal_one(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t *ad,
	size_t ad_len,
	uint64_t counter,
	const uint8_t key[static AEAD_KEY_LEN]);
[[nodiscard]] int aead_open_one(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t *ad,
	size_t ad_len,
	uint64_t counter,
	const uint8_t key[static AEAD_KEY_LEN]);

/* XChaCha20-Poly1305 with a 24-byte nonce, for cookie replies.  As above. */
#define XAEAD_NONCE_LEN 24
void xaead_seal_one(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t *ad,
	size_t ad_len,
	const uint8_t nonce[static XAEAD_NONCE_LEN],
	const uint8_t key[static AEAD_KEY_LEN]);
[[nodiscard]] int xaead_open_one(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t *ad,
	size_t ad_len,
	const uint8_t nonce[static XAEAD_NONCE_LEN],
	const uint8_t key[static AEAD_KEY_LEN]);

#endif
