/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/crypto/box.h"

#include <assert.h>

#include <sodium.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"

static_assert(KEY_LEN == crypto_box_BEFORENMBYTES);
static_assert(KEY_LEN == crypto_core_hsalsa20_OUTPUTBYTES);
static_assert(BOX_NONCE_LEN == crypto_box_NONCEBYTES);
static_assert(BOX_TAG_LEN == crypto_box_MACBYTES);

// Not crypto_box_beforenm(), which leaves the raw shared secret on the stack.
int
box_key_init(struct box_key *ret_key,
	const struct secret_key *mine,
	const struct public_key *theirs)
{
	static const uint8_t zeros[crypto_core_hsalsa20_INPUTBYTES];
	uint8_t shared[KEY_LEN];
	int err = key_exchange(shared, mine, theirs);

	if (err < 0)
		return err;
	crypto_core_hsalsa20(ret_key->bytes, zeros, shared, NULL);
	secret_wipe(shared, sizeof(shared));
	return 0;
}

void
box_seal(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t nonce[static BOX_NONCE_LEN],
	const struct box_key *key)
{
	// Fails only for lengths that no memory has.
	(void)!crypto_box_easy_afternm(dst, src, len, nonce, key->bytes);
}

int
box_open(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t nonce[static BOX_NONCE_LEN],
	const struct box_key *key)
{
	if (len < BOX_TAG_LEN)
		return ERR_TRUNCATED;
	// Compares the tag before it writes.
	if (crypto_box_open_easy_afternm(dst, src, len, nonce, key->bytes) != 0)
		return ERR_BAD_MAC;
	return 0;
}
