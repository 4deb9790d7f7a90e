/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Intel ipsec-mb.  It works on one packet at a time, so a burst is a loop.
 *
 * The job interface without parameter checks is used: on AVX-512 its fused kernel needs 55 to 80 %
 * of the time of the direct init, update, finalize calls, elsewhere both cost the same; the burst
 * interface is no faster and asks for more preparation in later versions.  It decrypts while it
 * computes the tag, so what is refused has to be put back.
 *
 * A manager belongs to one thread.  It is allocated at a thread's first burst (200 KB and a quarter
 * of a millisecond, for the library's self-test), without any file or device, so that this works
 * behind a seccomp filter, and freed when the thread ends.
 */

#include <pthread.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include "lib/base/bytes.h"
#include "lib/base/secret.h"
#include "lib/crypto/aead_backend.h"

#define NONCE_LEN 12

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t manager_key; // frees a thread's manager at its end
static bool has_key;
static _Thread_local IMB_MGR *manager;

static void
manager_free(void *m)
{
	free_mb_mgr(m);
}

static void
make_key(void)
{
	has_key = pthread_key_create(&manager_key, manager_free) == 0;
}

// Returns NULL without memory, or where the library finds itself broken or the CPU too old.
static IMB_MGR *
manager_create(void)
{
	IMB_MGR *m;

	pthread_once(&once, make_key);
	if (!has_key)
		return NULL;
	m = alloc_mb_mgr(0);
	if (m == NULL)
		return NULL;
	init_mb_mgr_auto(m, NULL);
	if (imb_get_errno(m) != 0 || pthread_setspecific(manager_key, m) != 0) {
		free_mb_mgr(m);
		return NULL;
	}
	return m;
}

static IMB_MGR *
manager_get(void)
{
	if (manager == NULL)
		manager = manager_create();
	return manager;
}

static bool
ipsec_mb_is_available(void)
{
	return manager_get() != NULL;
}

/*
 * On CPUs with AVX2 alone, version 1.3 reads 16 bytes beyond the key.  It makes nothing of them,
 * but a page may end there.
 */
#define BEYOND_KEY 32
#define PAGE       4096

static bool
is_at_page_end(const uint8_t *key)
{
	return (uintptr_t)key % PAGE > PAGE - AEAD_KEY_LEN - BEYOND_KEY;
}

static void
run_with_key(IMB_MGR *m,
	const struct aead_job *job,
	const uint8_t *key,
	IMB_CIPHER_DIRECTION direction,
	uint8_t *tag)
{
	uint8_t nonce[NONCE_LEN] = { 0 };
	IMB_JOB *j = IMB_GET_NEXT_JOB(m);

	store_le64(nonce + 4, job->counter);
	j->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	j->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	j->cipher_direction = direction;
	j->chain_order =
		direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	j->enc_keys = key;
	j->dec_keys = key;
	j->key_len_in_bytes = AEAD_KEY_LEN;
	j->iv = nonce;
	j->iv_len_in_bytes = NONCE_LEN;
	j->src = job->data;
	j->dst = job->data;
	j->cipher_start_src_offset_in_bytes = 0;
	j->msg_len_to_cipher_in_bytes = job->len;
	j->hash_start_src_offset_in_bytes = 0;
	j->msg_len_to_hash_in_bytes = job->len;
	j->u.CHACHA20_POLY1305.aad = nonce; // not read: its length is 0
	j->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
	j->auth_tag_output = tag;
	j->auth_tag_output_len_in_bytes = AEAD_TAG_LEN;
	// This cipher is done at once, never queued: the nonce on our stack may go.
	IMB_SUBMIT_JOB_NOCHECK(m);
}

static void
run_job(IMB_MGR *m, const struct aead_job *job, IMB_CIPHER_DIRECTION direction, uint8_t *tag)
{
	uint8_t key[AEAD_KEY_LEN + BEYOND_KEY];

	if (!is_at_page_end(job->key)) {
		run_with_key(m, job, job->key, direction, tag);
		return;
	}
	memset(key + AEAD_KEY_LEN, 0, BEYOND_KEY);
	memcpy(key, job->key, AEAD_KEY_LEN);
	run_with_key(m, job, key, direction, tag);
	secret_wipe(key, sizeof(key));
}

static void
ipsec_mb_seal(struct aead_job *jobs, size_t n)
{
	IMB_MGR *m = manager_get();

	if (m == NULL) { // a thread that got no memory: slower, but the packets go out
		aead_sodium.seal(jobs, n);
		return;
	}
	for (struct aead_job *job = jobs; job < jobs + n; job++)
		run_job(m, job, IMB_DIR_ENCRYPT, job->data + job->len);
}

static void
ipsec_mb_open(struct aead_job *jobs, size_t n)
{
	IMB_MGR *m = manager_get();
	uint8_t tag[AEAD_TAG_LEN];

	if (m == NULL) {
		aead_sodium.open(jobs, n);
		return;
	}
	for (struct aead_job *job = jobs; job < jobs + n; job++) {
		run_job(m, job, IMB_DIR_DECRYPT, tag);
		job->ok = secret_equal(tag, job->data + job->len, AEAD_TAG_LEN);
		// It was decrypted all the same: the cipher once more gives back what came.
		if (!job->ok)
			run_job(m, job, IMB_DIR_ENCRYPT, tag);
	}
	// For a forged packet this was the tag that would have been accepted.
	secret_wipe(tag, sizeof(tag));
}

const struct aead_backend aead_ipsec_mb = {
	.name = "ipsec-mb",
	.is_available = ipsec_mb_is_available,
	.seal = ipsec_mb_seal,
	.open = ipsec_mb_open,
};
