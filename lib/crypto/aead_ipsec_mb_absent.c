/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Built instead of aead_ipsec_mb.c where the library is missing.
 */

#include "lib/crypto/aead_backend.h"

static bool
ipsec_mb_is_available(void)
{
	return false;
}

const struct aead_backend aead_ipsec_mb = {
	.name = "ipsec-mb",
	.is_available = ipsec_mb_is_available,
};
