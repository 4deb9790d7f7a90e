/* SPDX-License-Identifier: BSD-3-Clause */

#include <intel-ipsec-mb.h>

#include "bench/harness/machine.h"

const char *
bench_ipsec_mb_version(void)
{
	return imb_get_version_str();
}
