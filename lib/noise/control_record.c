/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/noise/control_record.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#define TYPE_RECORD  4
#define LAST_COUNTER UINT64_MAX // reserved: never used

// lib/crypto writes the counter in little-endian order; here the nonce has it in big-endian.
static uint64_t
nonce_of(uint64_t counter)
{
	uint8_t bytes[8];

	store_be64(bytes, counter);
	return load_le64(bytes);
}

void
control_writer_init(struct control_writer *w, const uint8_t key[static NOISE_KEY_LEN])
{
	*w = (struct control_writer){};
	memcpy(w->key, key, sizeof(w->key));
}

void
control_writer_fini(struct control_writer *w)
{
	secret_wipe(w, sizeof(*w));
}

int
control_writer_seal(struct control_writer *w,
	const uint8_t *src,
	size_t len,
	uint8_t record[static CONTROL_RECORD_MAX_LEN],
	size_t *ret_taken,
	size_t *ret_len)
{
	size_t taken = len < CONTROL_RECORD_MAX_PLAINTEXT ? len : CONTROL_RECORD_MAX_PLAINTEXT;

	if (w->counter == LAST_COUNTER)
		return -EOVERFLOW;
	record[0] = TYPE_RECORD;
	store_be16(record + 1, (uint16_t)(taken + NOISE_TAG_LEN));
	aead_seal_one(record + CONTROL_RECORD_HEADER_LEN, src, taken, NULL, 0, nonce_of(w->counter),
		w->key);
	w->counter++;
	*ret_taken = taken;
	*ret_len = CONTROL_RECORD_HEADER_LEN + taken + NOISE_TAG_LEN;
	return 0;
}

void
control_reader_init(struct control_reader *r, const uint8_t key[static NOISE_KEY_LEN])
{
	*r = (struct control_reader){};
	memcpy(r->key, key, sizeof(r->key));
}

void
control_reader_fini(struct control_reader *r)
{
	secret_wipe(r, sizeof(*r));
}

// Bytes of ciphertext that the header promises, or ERR_BAD_FORMAT.
static int
ciphertext_len(const uint8_t header[static CONTROL_RECORD_HEADER_LEN])
{
	int len = load_be16(header + 1);

	if (len < NOISE_TAG_LEN || len > CONTROL_RECORD_MAX_LEN - CONTROL_RECORD_HEADER_LEN)
		return ERR_BAD_FORMAT;
	return len;
}

// Fill `record` up to `end` from data; returns the number of bytes taken.
static size_t
fill(struct control_reader *r, size_t end, const uint8_t *data, size_t len)
{
	size_t missing = end > r->len ? end - r->len : 0;
	size_t taken = len < missing ? len : missing;

	if (taken > 0)
		memcpy(r->record + r->len, data, taken);
	r->len += taken;
	return taken;
}

// A whole record is there.
static int
open_record(struct control_reader *r)
{
	uint8_t *body = r->record + CONTROL_RECORD_HEADER_LEN;
	size_t len = r->len - CONTROL_RECORD_HEADER_LEN;
	int err;

	if (r->counter == LAST_COUNTER)
		return -EOVERFLOW;
	err = aead_open_one(body, body, len, NULL, 0, nonce_of(r->counter), r->key);
	if (err < 0)
		return err;
	r->counter++;
	r->plaintext_at = CONTROL_RECORD_HEADER_LEN;
	r->plaintext_end = r->len - NOISE_TAG_LEN;
	r->len = 0;
	return 0;
}

// One step: header or body, as far as data goes.  Returns 0 with nothing taken when all is used up.
static int
push_some(struct control_reader *r, const uint8_t *data, size_t len, size_t *ret_taken)
{
	int body_len;

	*ret_taken = fill(r, CONTROL_RECORD_HEADER_LEN, data, len);
	if (r->len > 0 && r->record[0] != TYPE_RECORD)
		return ERR_BAD_FORMAT;
	if (r->len < CONTROL_RECORD_HEADER_LEN)
		return 0;
	body_len = ciphertext_len(r->record);
	if (body_len < 0)
		return body_len;
	*ret_taken += fill(r, CONTROL_RECORD_HEADER_LEN + (size_t)body_len, data + *ret_taken,
		len - *ret_taken);
	if (r->len < CONTROL_RECORD_HEADER_LEN + (size_t)body_len)
		return 0;
	return open_record(r);
}

int
control_reader_push(struct control_reader *r, const uint8_t *data, size_t len, size_t *ret_taken)
{
	*ret_taken = 0;
	// Empty records are passed over: the loop ends with plaintext, or without data.
	while (r->err == 0 && r->plaintext_at == r->plaintext_end && *ret_taken < len) {
		size_t taken;

		r->err = push_some(r, data + *ret_taken, len - *ret_taken, &taken);
		*ret_taken += taken;
	}
	return r->err;
}

const uint8_t *
control_reader_plaintext(const struct control_reader *r, size_t *ret_len)
{
	*ret_len = r->plaintext_end - r->plaintext_at;
	return r->record + r->plaintext_at;
}

void
control_reader_consume(struct control_reader *r, size_t len)
{
	assert(len <= r->plaintext_end - r->plaintext_at);
	r->plaintext_at += len;
}
