/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Keys of a tailnet and their text forms: a prefix that names the kind, and hex.
 *
 * Source: ../shared/protocol/control.md 1.1; ../shared/vectors/keys.json.
 * Thread: any; no state.
 *
 * Public keys have a type per kind, so that a disco key cannot be used as a node key.  All zeros
 * are a legal text, and mean "none".
 */
#ifndef LIB_TAILNET_TAILKEY_H
#define LIB_TAILNET_TAILKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TAILKEY_LEN       32
#define TAILKEY_MAX_LEN   64  /* a network-lock private key */
#define TAILKEY_TEXT_SIZE 160 /* room for any text form with its terminating zero */

enum tailkey_kind {
	TAILKEY_MACHINE,      /* mkey: */
	TAILKEY_NODE,         /* nodekey: */
	TAILKEY_DISCO,        /* discokey: */
	TAILKEY_CHALLENGE,    /* chalpub: */
	TAILKEY_NETWORK_LOCK, /* nlpub:, read as tlpub: too */
	TAILKEY_PRIVATE,      /* privkey: of a machine or node; secret */
	TAILKEY_LOCK_PRIVATE, /* nlpriv:, 64 bytes; secret */
};

struct machine_key {
	uint8_t bytes[TAILKEY_LEN];
};

struct node_key {
	uint8_t bytes[TAILKEY_LEN];
};

struct disco_key {
	uint8_t bytes[TAILKEY_LEN];
};

/* Bytes of a key of that kind. */
size_t tailkey_len(enum tailkey_kind kind);

/*
 * Parse exactly text_len characters into tailkey_len(kind) bytes.  Hex of either case, the prefix
 * as it is.  The digits of a secret index no table and are not branched on one by one.
 * 0 or ERR_BAD_FORMAT; ret_bytes is written on success only.
 */
[[nodiscard]] int
tailkey_parse(enum tailkey_kind kind, const char *text, size_t text_len, uint8_t *ret_bytes);

/* Write the text form, and return `text`.  Of a secret: wipe it. */
char *
tailkey_format(enum tailkey_kind kind, const uint8_t *bytes, char text[static TAILKEY_TEXT_SIZE]);

/* As people see it in logs: "[wltWG]" for machine and node keys, "d:bd1293dc8a8df085" for disco. */
#define TAILKEY_SHORT_SIZE 20
char *tailkey_format_short(enum tailkey_kind kind,
	const uint8_t bytes[static TAILKEY_LEN],
	char text[static TAILKEY_SHORT_SIZE]);

/* For public keys only: the time it takes depends on the bytes. */
static inline bool
tailkey_is_zero(const uint8_t bytes[static TAILKEY_LEN])
{
	static const uint8_t zeros[TAILKEY_LEN];

	return memcmp(bytes, zeros, sizeof(zeros)) == 0;
}

static inline bool
node_key_equal(const struct node_key *a, const struct node_key *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool
disco_key_equal(const struct disco_key *a, const struct disco_key *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

#endif
