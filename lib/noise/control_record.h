/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Records of the control connection: a byte stream each way, in sealed pieces of up to 4096 bytes.
 * Boundaries of records mean nothing to what is above (HTTP/2).
 *
 * Source: ../shared/protocol/control.md 3.3 and 3.4; ../shared/vectors/control-noise.json.
 * Owner:  the caller embeds both ends; they hold keys and plaintext: wipe them with their fini.
 * Thread: any; each end belongs to one thread at a time.  Nothing is allocated.
 *
 * The nonce is the record's number, in big-endian order, unlike in the Noise specification.  There
 * is no other key after a number of records: the last number ends the connection.
 */
#ifndef LIB_NOISE_CONTROL_RECORD_H
#define LIB_NOISE_CONTROL_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "lib/noise/symmetric.h"

#define CONTROL_RECORD_MAX_LEN    4096 /* header, ciphertext and tag */
#define CONTROL_RECORD_HEADER_LEN 3
#define CONTROL_RECORD_MAX_PLAINTEXT \
	(CONTROL_RECORD_MAX_LEN - CONTROL_RECORD_HEADER_LEN - NOISE_TAG_LEN)

struct control_writer {
	uint8_t key[NOISE_KEY_LEN];
	uint64_t counter; /* of the next record; UINT64_MAX: no more */
};

struct control_reader {
	uint8_t key[NOISE_KEY_LEN];
	uint64_t counter;
	int err;                                /* the stream is at its end */
	size_t len;                             /* bytes of `record` that are filled */
	size_t plaintext_at, plaintext_end;     /* what the caller has not consumed; in `record` */
	uint8_t record[CONTROL_RECORD_MAX_LEN]; /* ciphertext, opened in place */
};

void control_writer_init(struct control_writer *w, const uint8_t key[static NOISE_KEY_LEN]);
void control_writer_fini(struct control_writer *w);

/*
 * Seal the first bytes of src, CONTROL_RECORD_MAX_PLAINTEXT at most, into one record.  len 0 gives
 * an empty record.
 *
 * ret_taken: how many bytes of src are in it; ret_len: bytes written to `record`.
 * 0, or -EOVERFLOW: no more records under this key; nothing was written.
 * A record that was not sent as a whole ends the connection: what follows cannot be opened.
 */
[[nodiscard]] int control_writer_seal(struct control_writer *w,
	const uint8_t *src,
	size_t len,
	uint8_t record[static CONTROL_RECORD_MAX_LEN],
	size_t *ret_taken,
	size_t *ret_len);

void control_reader_init(struct control_reader *r, const uint8_t key[static NOISE_KEY_LEN]);
void control_reader_fini(struct control_reader *r);

/*
 * Take bytes of the stream, until a record has been opened or they are used up.  While there is
 * plaintext to consume none are taken: memory stays bounded by one record.
 *
 * ret_taken: how many were taken; the rest is to be pushed again later.  Set on failure too.
 * 0; or, and then for ever,
 *   ERR_BAD_FORMAT  type or length that no record has;
 *   ERR_BAD_MAC     not authentic: changed, lost, repeated;
 *   -EOVERFLOW      more records than there are numbers.
 */
[[nodiscard]] int
control_reader_push(struct control_reader *r, const uint8_t *data, size_t len, size_t *ret_taken);

/* The plaintext at hand: ret_len bytes (0: push more), valid until the next consume or push. */
const uint8_t *control_reader_plaintext(const struct control_reader *r, size_t *ret_len);

/* Done with the first len bytes of it; len is at most what there is. */
void control_reader_consume(struct control_reader *r, size_t len);

#endif
