/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/crypto/sign.h"

#include <assert.h>
#include <stdbool.h>

#include <sodium.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"

static_assert(SIGN_PUBLIC_LEN == crypto_sign_PUBLICKEYBYTES, "Ed25519");
static_assert(SIGN_PRIVATE_LEN == crypto_sign_SECRETKEYBYTES, "libsodium has the same form");

void
sign_generate(uint8_t ret_public[static SIGN_PUBLIC_LEN],
	uint8_t ret_private[static SIGN_PRIVATE_LEN])
{
	crypto_sign_keypair(ret_public, ret_private);
}

int
sign_public(uint8_t ret_public[static SIGN_PUBLIC_LEN],
	const uint8_t private[static SIGN_PRIVATE_LEN])
{
	uint8_t again[SIGN_PRIVATE_LEN];
	bool same;

	crypto_sign_seed_keypair(ret_public, again, private);
	same = secret_equal(again, private, sizeof(again));
	secret_wipe(again, sizeof(again));
	return same ? 0 : ERR_BAD_KEY;
}
