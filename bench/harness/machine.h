/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a figure depends on besides the code: two JSON objects for each trial.
 *
 *   machine: cpu, family, model, stepping, microcode, class ("avx2" | "avx512"), flags (those that
 *            matter here), cores, memory_bytes, kernel, mitigations {name: text}, governor (null
 * where the machine has none), smt, hypervisor, huge_pages, tsc_ghz, core_ghz, core_per_tsc build:
 * version, commit ("-dirty" behind it if it was), compiler, flags, libraries {name: version}
 *
 * What cannot be read is null, never invented.
 */
#ifndef BENCH_HARNESS_MACHINE_H
#define BENCH_HARNESS_MACHINE_H

#include <jansson.h>

#include "bench/harness/clock.h"

json_t *bench_machine(const struct bench_clock *clock);
json_t *bench_build(void);

#endif
