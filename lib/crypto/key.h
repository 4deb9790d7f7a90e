/* SPDX-License-Identifier: BSD-3-Clause
 *
 * X25519 keys, random bytes, and the text form of WireGuard keys (base64, as `wg` prints them).
 *
 * Source: RFC 7748; RFC 4648 section 4.  Thread: any.
 */
#ifndef LIB_CRYPTO_KEY_H
#define LIB_CRYPTO_KEY_H

#include <stddef.h>
#include <stdint.h>

#define KEY_LEN      32
#define KEY_TEXT_LEN 45 /* 44 characters and the terminating zero */

struct public_key {
	uint8_t bytes[KEY_LEN];
};

struct secret_key { /* a private or preshared key: wipe with secret_wipe() */
	uint8_t bytes[KEY_LEN];
};

/* Once per process, before anything else of lib/crypto.  0 or ERR_BAD_MAC (the library is broken).
 */
[[nodiscard]] int crypto_init(void);

/* Bytes of the system's random source.  Cannot fail once crypto_init() has succeeded. */
void random_bytes(void *out, size_t len);

/* A new private key, clamped as RFC 7748 section 5 says. */
void key_generate(struct secret_key *ret_key);
void key_public(struct public_key *ret_public, const struct secret_key *key);

/* Shared secret of X25519: 0, or ERR_BAD_KEY when it is all zeros (a point of small order). */
[[nodiscard]] int key_exchange(uint8_t ret_shared[static KEY_LEN],
	const struct secret_key *mine,
	const struct public_key *theirs);

/*
 * Text forms.  Parsing accepts exactly 44 characters of canonical base64: 0 or ERR_BAD_FORMAT.
 * Secrets are parsed and formatted in constant time.
 */
[[nodiscard]] int public_key_parse(const char *text, struct public_key *ret_key);
[[nodiscard]] int secret_key_parse(const char *text, struct secret_key *ret_key);
void public_key_format(const struct public_key *key, char text[static KEY_TEXT_LEN]);
void secret_key_format(const struct secret_key *key, char text[static KEY_TEXT_LEN]);

#endif
