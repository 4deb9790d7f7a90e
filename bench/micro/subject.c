/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/micro/subject.h"

#include <string.h>

#include "lib/crypto/aead_backend.h"

uint8_t subject_keys[SUBJECT_KEYS][AEAD_KEY_LEN];

static void
fill_keys(void)
{
	for (size_t i = 0; i < SUBJECT_KEYS; i++)
		for (size_t j = 0; j < AEAD_KEY_LEN; j++)
			subject_keys[i][j] = (uint8_t)(i * 151 + j * 29 + 7);
}

static bool
is_library(const char *name)
{
	return strcmp(name, aead_sodium.name) == 0 || strcmp(name, aead_ipsec_mb.name) == 0;
}

size_t
subjects_find(struct subject subjects[static SUBJECTS_MAX])
{
	size_t n_backends, n = 0;
	const char *const *names = aead_backends(&n_backends);

	fill_keys();
	subjects[n++] = (struct subject){ "sluice", false, aead_seal, aead_open };
	for (size_t i = n_backends; i-- > 0;) { // ours stand last in the list
		const struct aead_backend *b = aead_find(names[i]);

		subjects[n++] = (struct subject){ b->name, is_library(b->name), b->seal, b->open };
	}
	if (subject_openssl_init(&subjects[n]))
		n++;
	return n;
}

void
subjects_free(void)
{
	subject_openssl_fini();
}

const struct subject *
subject_oracle(void)
{
	static struct subject oracle;

	oracle = (struct subject){ aead_sodium.name, true, aead_sodium.seal, aead_sodium.open };
	return &oracle;
}
