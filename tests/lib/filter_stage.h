/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The stages acl_inbound and acl_outbound of a gateway in memory as a judge of recorded verdicts:
 * rules cross as a generation, packets go through a worker's own tables, cache and flows.
 */
#ifndef TESTS_LIB_FILTER_STAGE_H
#define TESTS_LIB_FILTER_STAGE_H

#include "tests/lib/filter_case.h"

/* In bursts of up to `burst`, and never more than a worker's. */
struct filter_judge filter_judge_stage(size_t burst);
void filter_judge_stage_free(struct filter_judge *judge);

#endif
