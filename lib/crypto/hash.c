/* SPDX-License-Identifier: BSD-3-Clause
 *
 * BLAKE2s by OpenSSL.  What is slow there, finding the algorithm by name and making contexts, is
 * done once per process and once per thread.
 */

#include "lib/crypto/hash.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include "lib/base/secret.h"

#define BLOCK_LEN 64 /* RFC 7693 section 2.1: bb of BLAKE2s */

// A library context of our own: what the machine's openssl.cnf says (FIPS only, say) is not for us.
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t contexts_key; // frees a thread's contexts at its end
static EVP_MD *md;
static EVP_MAC *mac;

struct contexts {
	EVP_MD_CTX *hash;
	EVP_MAC_CTX *mac; // keeps its last key until the next one, or until the thread ends
};

static _Thread_local struct contexts *contexts;

static void
must(bool worked)
{
	if (!worked)
		abort(); // a hash has no other answer; hash.h says so
}

static void
contexts_free(void *arg)
{
	struct contexts *c = arg;

	EVP_MD_CTX_free(c->hash);
	EVP_MAC_CTX_free(c->mac);
	free(c);
}

static void
load(void)
{
	OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();

	must(library != NULL && OSSL_PROVIDER_load(library, "default") != NULL);
	md = EVP_MD_fetch(library, "BLAKE2S-256", NULL);
	mac = EVP_MAC_fetch(library, "BLAKE2SMAC", NULL);
	must(md != NULL && mac != NULL);
	must(pthread_key_create(&contexts_key, contexts_free) == 0);
}

static struct contexts *
contexts_create(void)
{
	struct contexts *c = calloc(1, sizeof(*c));
	size_t mac_len = MAC_LEN;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &mac_len),
		OSSL_PARAM_construct_end(),
	};

	must(c != NULL && pthread_once(&once, load) == 0);
	c->hash = EVP_MD_CTX_new();
	c->mac = EVP_MAC_CTX_new(mac);
	must(c->hash != NULL && c->mac != NULL);
	must(EVP_DigestInit_ex2(c->hash, md, NULL) == 1);
	must(EVP_MAC_CTX_set_params(c->mac, params) == 1);
	must(pthread_setspecific(contexts_key, c) == 0);
	return c;
}

static struct contexts *
contexts_get(void)
{
	if (contexts == NULL)
		contexts = contexts_create();
	return contexts;
}

void
hash_blake2s(uint8_t out[static HASH_LEN], const struct bytes_ref *pieces, size_t n)
{
	EVP_MD_CTX *ctx = contexts_get()->hash;

	must(EVP_DigestInit_ex2(ctx, NULL, NULL) == 1);
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].len > 0)
			must(EVP_DigestUpdate(ctx, pieces[i].data, pieces[i].len) == 1);
	}
	must(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

void
mac_blake2s(uint8_t out[static MAC_LEN],
	const uint8_t *key,
	size_t key_len,
	const void *data,
	size_t len)
{
	EVP_MAC_CTX *ctx = contexts_get()->mac;
	size_t out_len;

	must(EVP_MAC_init(ctx, key, key_len, NULL) == 1);
	if (len > 0)
		must(EVP_MAC_update(ctx, data, len) == 1);
	must(EVP_MAC_final(ctx, out, &out_len, MAC_LEN) == 1 && out_len == MAC_LEN);
}

/* RFC 2104 section 2, over two pieces of data. */
static void
hmac(uint8_t out[static HASH_LEN],
	const uint8_t *key,
	size_t key_len,
	const struct bytes_ref data[static 2])
{
	uint8_t pad[BLOCK_LEN] = { 0 };
	uint8_t inner[HASH_LEN];
	struct bytes_ref first[] = { { pad, sizeof(pad) }, data[0], data[1] };
	struct bytes_ref second[] = { { pad, sizeof(pad) }, { inner, sizeof(inner) } };
	struct bytes_ref long_key = { key, key_len };

	if (key_len > sizeof(pad))
		hash_blake2s(pad, &long_key, 1);
	else if (key_len > 0)
		memcpy(pad, key, key_len);

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	hash_blake2s(inner, first, 3);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_blake2s(out, second, 2);

	secret_wipe(pad, sizeof(pad));
	secret_wipe(inner, sizeof(inner));
}

void
hmac_blake2s(uint8_t out[static HASH_LEN],
	const uint8_t *key,
	size_t key_len,
	const void *data,
	size_t len)
{
	hmac(out, key, key_len, (struct bytes_ref[2]){ { data, len }, { NULL, 0 } });
}

void
kdf_blake2s(uint8_t *out1,
	uint8_t *out2,
	uint8_t *out3,
	int count,
	const uint8_t key[static HASH_LEN],
	const void *input,
	size_t len)
{
	uint8_t *outs[] = { out1, out2, out3 };
	uint8_t prk[HASH_LEN], t[HASH_LEN];

	assert(count >= 1 && count <= 3);
	// Everything that is read is read before the first output, which may lie in the same
	// memory.
	hmac_blake2s(prk, key, HASH_LEN, input, len);
	for (int i = 0; i < count; i++) {
		uint8_t number = (uint8_t)(i + 1);

		hmac(t, prk, sizeof(prk),
			(struct bytes_ref[2]){ { t, i == 0 ? 0 : sizeof(t) }, { &number, 1 } });
		memcpy(outs[i], t, sizeof(t));
	}
	secret_wipe(prk, sizeof(prk));
	secret_wipe(t, sizeof(t));
}
