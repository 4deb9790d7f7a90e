/* SPDX-License-Identifier: BSD-3-Clause */

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "bench/micro/subject.h"
#include "lib/base/bytes.h"

#define NONCE_LEN 12

static EVP_CIPHER_CTX *contexts[2][SUBJECT_KEYS]; // open, seal

static EVP_CIPHER_CTX *
context_of(const struct aead_job *job, bool is_seal)
{
	return contexts[is_seal][(size_t)(job->key - subject_keys[0]) / AEAD_KEY_LEN];
}

static bool
set_nonce(EVP_CIPHER_CTX *context, uint64_t counter, bool is_seal)
{
	uint8_t nonce[NONCE_LEN] = {};

	store_le64(nonce + 4, counter);
	return EVP_CipherInit_ex(context, NULL, NULL, NULL, nonce, is_seal) == 1;
}

static bool
seal_one(const struct aead_job *job)
{
	EVP_CIPHER_CTX *context = context_of(job, true);
	int n;

	return set_nonce(context, job->counter, true) &&
	       EVP_EncryptUpdate(context, job->data, &n, job->data, (int)job->len) == 1 &&
	       EVP_EncryptFinal_ex(context, job->data + job->len, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(
		       context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, job->data + job->len) == 1;
}

static bool
open_one(const struct aead_job *job)
{
	EVP_CIPHER_CTX *context = context_of(job, false);
	int n;

	return set_nonce(context, job->counter, false) &&
	       EVP_CIPHER_CTX_ctrl(
		       context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, job->data + job->len) == 1 &&
	       EVP_DecryptUpdate(context, job->data, &n, job->data, (int)job->len) == 1 &&
	       EVP_DecryptFinal_ex(context, job->data + job->len, &n) == 1;
}

static void
seal(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		jobs[i].ok = seal_one(&jobs[i]);
}

static void
open(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		jobs[i].ok = open_one(&jobs[i]);
}

static bool
make_contexts(const EVP_CIPHER *cipher)
{
	for (size_t i = 0; i < 2 * SUBJECT_KEYS; i++) {
		bool is_seal = i / SUBJECT_KEYS;
		EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

		contexts[is_seal][i % SUBJECT_KEYS] = context;
		if (context == NULL || EVP_CipherInit_ex(context, cipher, NULL,
					       subject_keys[i % SUBJECT_KEYS], NULL, is_seal) != 1)
			return false;
	}
	return true;
}

bool
subject_openssl_init(struct subject *ret)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	bool is_ready = cipher != NULL && make_contexts(cipher);

	EVP_CIPHER_free(cipher); // each context holds it
	if (is_ready)
		*ret = (struct subject){ "openssl", true, seal, open };
	else
		subject_openssl_fini();
	return is_ready;
}

void
subject_openssl_fini(void)
{
	for (size_t i = 0; i < 2 * SUBJECT_KEYS; i++) {
		EVP_CIPHER_CTX **context = &contexts[i / SUBJECT_KEYS][i % SUBJECT_KEYS];

		EVP_CIPHER_CTX_free(*context);
		*context = NULL;
	}
}
