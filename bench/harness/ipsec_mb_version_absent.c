/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/machine.h"

const char *
bench_ipsec_mb_version(void)
{
	return NULL; // this build has no ipsec-mb
}
