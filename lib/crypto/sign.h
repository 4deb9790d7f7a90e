/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ed25519 key pairs, of a member's network-lock key.
 *
 * Source: RFC 8032; ../shared/protocol/control.md 1.1 for the form of the private half.
 * Thread: any.
 */
#ifndef LIB_CRYPTO_SIGN_H
#define LIB_CRYPTO_SIGN_H

#include <stdint.h>

#define SIGN_PUBLIC_LEN  32
#define SIGN_PRIVATE_LEN 64 /* the seed, then the public key */

/* A new pair.  `ret_private` is secret: wipe it with secret_wipe(). */
void sign_generate(uint8_t ret_public[static SIGN_PUBLIC_LEN],
	uint8_t ret_private[static SIGN_PRIVATE_LEN]);

/* The public half.  0, or ERR_BAD_KEY: the private one does not contain it. */
[[nodiscard]] int sign_public(uint8_t ret_public[static SIGN_PUBLIC_LEN],
	const uint8_t private[static SIGN_PRIVATE_LEN]);

#endif
