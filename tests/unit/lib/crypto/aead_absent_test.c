/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The AEAD as it is built for other CPUs, without ipsec-mb: libsodium carries everything.
 */

#include <stdlib.h>

#include "lib/crypto/aead.h"
#include "lib/crypto/key.h"
#include "tests/lib/tap.h"

static void
test_only_one(void)
{
	const struct aead_choice *choice = aead_choice();
	const char *refused = NULL;

	tap_int(crypto_init(), 0, "the library works");
	tap_int(aead_init(&refused), 0, "a build without the others");
	tap_ok(refused == NULL, "nothing is refused");
	tap_text(aead_backend(), "libsodium", "libsodium is used");
	tap_int(choice->reason, AEAD_ONLY, "because there is no other");
	tap_int((long long)choice->n_candidates, 4, "all are named");
	for (size_t i = 0; i < choice->n_candidates; i++)
		tap_int(choice->candidates[i].presence, i == 3 ? AEAD_WORKS : AEAD_MISSING,
			choice->candidates[i].name);
	for (size_t size = 0; size < AEAD_SIZE_CLASSES; size++)
		tap_int(choice->in_use[1][3][size], 3, "the last, libsodium, is in use");
}

static void
test_burst(void)
{
	uint8_t data[20][100 + AEAD_TAG_LEN] = { { 1 } }, key[AEAD_KEY_LEN] = { 2 };
	struct aead_job jobs[20];
	int opened = 0;

	for (uint32_t i = 0; i < 20; i++)
		jobs[i] = (struct aead_job){ data[i], key, i, i * 5, false };
	aead_seal(jobs, 20);
	aead_open(jobs, 20);
	for (uint32_t i = 0; i < 20; i++)
		opened += jobs[i].ok;
	tap_int(opened, 20, "a burst is sealed and opened");
}

int
main(void)
{
	unsetenv("SLUICE_AEAD");
	test_only_one();
	test_burst();
	return tap_done();
}
