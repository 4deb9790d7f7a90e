/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/wg/identity.h"

#include <string.h>

#include "lib/base/secret.h"

#define PROTOCOL "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
#define PROLOGUE "WireGuard v1 zx2c4 Jason@zx2c4.com"

// HASH(label || S), the form of the keys of mac1 and of cookies; the label is 8 characters.
static void
labelled_key(uint8_t out[static HASH_LEN], const char *label, const struct public_key *key)
{
	const struct bytes_ref pieces[] = {
		{ label, 8 },
		{ key->bytes, sizeof(key->bytes) },
	};

	hash_blake2s(out, pieces, 2);
}

// Noise up to the pre-message "<- s": the responder's static key.
static void
noise_start(struct noise_symmetric *s, const struct public_key *responder)
{
	noise_init(s, PROTOCOL, PROLOGUE, strlen(PROLOGUE));
	noise_mix_hash(s, responder->bytes, sizeof(responder->bytes));
}

void
wg_identity_init(struct wg_identity *identity, const struct secret_key *static_secret)
{
	identity->static_secret = *static_secret;
	key_public(&identity->static_public, static_secret);
	labelled_key(identity->mac1_key, "mac1----", &identity->static_public);
	labelled_key(identity->cookie_key, "cookie--", &identity->static_public);
	noise_start(&identity->start, &identity->static_public);
}

void
wg_identity_fini(struct wg_identity *identity)
{
	secret_wipe(identity, sizeof(*identity));
}

void
wg_remote_set_preshared_key(struct wg_remote *remote, const struct secret_key *preshared_key)
{
	if (preshared_key != NULL)
		remote->preshared_key = *preshared_key;
	else
		secret_wipe(&remote->preshared_key, sizeof(remote->preshared_key));
}

int
wg_remote_init(struct wg_remote *remote,
	const struct wg_identity *identity,
	const struct public_key *static_public,
	const struct secret_key *preshared_key)
{
	uint8_t shared[KEY_LEN];
	int err;

	memset(remote, 0, sizeof(*remote));
	err = key_exchange(shared, &identity->static_secret, static_public);
	if (err < 0)
		return err;
	memcpy(remote->static_static, shared, sizeof(remote->static_static));
	secret_wipe(shared, sizeof(shared));
	remote->static_public = *static_public;
	wg_remote_set_preshared_key(remote, preshared_key);
	labelled_key(remote->mac1_key, "mac1----", static_public);
	labelled_key(remote->cookie_key, "cookie--", static_public);
	noise_start(&remote->start, static_public);
	return 0;
}

void
wg_remote_fini(struct wg_remote *remote)
{
	secret_wipe(remote, sizeof(*remote));
}
