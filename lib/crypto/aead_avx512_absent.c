/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Built instead of aead_avx512.c for other CPUs than x86-64.
 */

#include "lib/crypto/aead_backend.h"

static bool
avx512_is_available(void)
{
	return false;
}

const struct aead_backend aead_avx512 = {
	.name = "avx512",
	.is_available = avx512_is_available,
};
