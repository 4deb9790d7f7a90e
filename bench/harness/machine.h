/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a figure depends on besides the code: two JSON objects for each trial.
 *
 *   machine: cpu, family, model, stepping, microcode, class ("avx512" | "avx2" | "baseline"),
 *            flags (those that matter here), cores, memory_bytes, kernel, mitigations {name: text},
 *            governor (null where the machine has none), smt, hypervisor (its signature, or false),
 *            huge_pages {size_bytes, total, free, transparent}, tsc_ghz, core_ghz, core_per_tsc
 *   build:   version, commit ("-dirty" behind it if it was; "unknown" outside of git), id (the
 *            linker's, of this program file), compiler, flags, libraries {name: version}
 *
 * What cannot be read is null, never invented.
 * Owner: the caller, of each object; NULL only without memory.  Thread: any.
 */
#ifndef BENCH_HARNESS_MACHINE_H
#define BENCH_HARNESS_MACHINE_H

#include <jansson.h>
#include <stdbool.h>

#include "bench/harness/clock.h"

json_t *bench_machine(const struct bench_clock *clock);
json_t *bench_build(void);

/* The same, read below a folder that holds copies of proc and sys ("": the real ones). */
json_t *bench_machine_below(const char *root, const struct bench_clock *clock);

/*
 * May figures of the two stand in one file?  What a run itself changes (clocks, free pages) does
 * not count.  If not, *ret_name is the member that differs, borrowed.
 */
bool bench_machine_is_same(const json_t *a, const json_t *b, const char **ret_name);
bool bench_build_is_same(const json_t *a, const json_t *b, const char **ret_name);

/* Of a library that may be missing in this build: NULL then. */
const char *bench_ipsec_mb_version(void);

#endif
