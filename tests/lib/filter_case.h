/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Recorded verdicts of the reference client's packet filter, and who is to give the same.
 *
 * Source: ../shared/vectors/filter, described in ../shared/vectors/README.md.
 */
#ifndef TESTS_LIB_FILTER_CASE_H
#define TESTS_LIB_FILTER_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/policy/policy.h"

struct filter_packet {
	uint8_t *bytes; /* a block of its own, so that a sanitizer sees a byte too far */
	uint32_t len;
	bool is_inbound;
	bool accepted;     /* by the reference */
	const char *words; /* its reason */
};

/* Somebody who gives verdicts. */
struct filter_judge {
	const char *name;
	bool tells_fate_only; /* whether a packet goes on, and not why: any reason of that kind */
	void *context;
	/* Other rules.  forget_flows: shields went up.  False: could not be done. */
	bool (*begin)(void *context, const struct policy *p, bool forget_flows);
	/* n packets of one direction, in the order of the file; one enum acl_reason for each. */
	void (*judge)(void *context,
		const struct filter_packet *packets,
		size_t n,
		uint8_t *reasons);
};

struct filter_tally {
	size_t packets;
	size_t differences;
	size_t short_headers; /* IPv4 headers below 20 bytes that the reference reads on, and we
	                         drop */
};

/*
 * Run the phases of one file before a judge, and write each difference to `out`.
 *
 * 0, or -1: the file cannot be read or is not of the format; `out` says why.
 */
[[nodiscard]] int filter_case_run(const char *path,
	const struct filter_judge *judge,
	struct filter_tally *tally,
	FILE *out);

/* The plain evaluator with the reference's memory of flows. */
struct filter_judge filter_judge_plain(void);
/* The table, the verdict cache and the flow table, in bursts of up to `burst`. */
struct filter_judge filter_judge_burst(size_t burst);
void filter_judge_plain_free(struct filter_judge *judge);
void filter_judge_burst_free(struct filter_judge *judge);

#endif
