/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Built instead of aead_avx2.c for other CPUs than x86-64.
 */

#include "lib/crypto/aead_backend.h"

static bool
avx2_is_available(void)
{
	return false;
}

const struct aead_backend aead_avx2 = {
	.name = "avx2",
	.is_available = avx2_is_available,
};
