/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bounded reader and writer over bytes that somebody else owns.  An access past the end sets
 * `failed`, yields zeros, and everything after it fails too: parse in one go, ask once at the end.
 */
#ifndef LIB_BASE_BUF_H
#define LIB_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/bytes.h"

struct reader {
	const uint8_t *at;
	size_t left; /* bytes */
	bool failed;
};

struct writer {
	uint8_t *at;
	size_t left; /* bytes */
	bool failed;
};

static inline struct reader
reader_of(const void *data, size_t len)
{
	return (struct reader){ .at = data, .left = len };
}

static inline struct writer
writer_of(void *data, size_t len)
{
	return (struct writer){ .at = data, .left = len };
}

/* Borrow the next len bytes, or NULL (and failed) if there are fewer. */
static inline const uint8_t *
read_bytes(struct reader *r, size_t len)
{
	const uint8_t *p = r->at;

	if (r->failed || r->left < len) {
		r->failed = true;
		return NULL;
	}
	r->at += len;
	r->left -= len;
	return p;
}

static inline uint8_t
read_u8(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 1);

	return p != NULL ? *p : 0;
}

static inline uint16_t
read_be16(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 2);

	return p != NULL ? load_be16(p) : 0;
}

static inline uint32_t
read_be32(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 4);

	return p != NULL ? load_be32(p) : 0;
}

static inline uint32_t
read_le32(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 4);

	return p != NULL ? load_le32(p) : 0;
}

static inline uint64_t
read_le64(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 8);

	return p != NULL ? load_le64(p) : 0;
}

/* Reserve the next len bytes for the caller to fill, or NULL (and failed) if there is no room. */
static inline uint8_t *
write_space(struct writer *w, size_t len)
{
	uint8_t *p = w->at;

	if (w->failed || w->left < len) {
		w->failed = true;
		return NULL;
	}
	w->at += len;
	w->left -= len;
	return p;
}

static inline void
write_bytes(struct writer *w, const void *src, size_t len)
{
	uint8_t *p = write_space(w, len);

	if (p != NULL && len > 0)
		memcpy(p, src, len);
}

#endif
