/* SPDX-License-Identifier: BSD-3-Clause
 *
 * filter-verdicts [--judge plain|burst] [--burst N] FILE...
 *
 * Puts the packets of recorded verdicts (../shared/vectors/filter) before our packet filter, flow
 * memory included, and prints every difference.  Exits 0 if there is none, 1 if there is one, 2 if
 * a file cannot be read or the usage is wrong.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/lib/filter_case.h"

struct options {
	bool is_plain;
	size_t burst;
	int first_file;
};

static bool
read_options(int argc, char **argv, struct options *ret)
{
	struct options o = { .burst = 64 };
	int i = 1;

	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		if (strcmp(argv[i], "--judge") == 0 && strcmp(argv[i + 1], "plain") == 0)
			o.is_plain = true;
		else if (strcmp(argv[i], "--judge") == 0 && strcmp(argv[i + 1], "burst") == 0)
			o.is_plain = false;
		else if (strcmp(argv[i], "--burst") == 0 && atoi(argv[i + 1]) > 0)
			o.burst = (size_t)atoi(argv[i + 1]);
		else
			return false;
	}
	o.first_file = i;
	*ret = o;
	return i < argc && argv[i][0] != '-';
}

// Each file begins with nothing remembered.
static int
run_file(const char *path, const struct options *o, struct filter_tally *tally)
{
	struct filter_judge judge =
		o->is_plain ? filter_judge_plain() : filter_judge_burst(o->burst);
	int err = filter_case_run(path, &judge, tally, stdout);

	if (o->is_plain)
		filter_judge_plain_free(&judge);
	else
		filter_judge_burst_free(&judge);
	return err;
}

int
main(int argc, char **argv)
{
	struct filter_tally tally = {};
	struct options o;
	int unread = 0;

	if (!read_options(argc, argv, &o)) {
		fprintf(stderr,
			"usage: filter-verdicts [--judge plain|burst] [--burst N] FILE...\n");
		return 2;
	}
	for (int i = o.first_file; i < argc; i++)
		unread += run_file(argv[i], &o, &tally) < 0;
	printf("filter-verdicts: %zu packets, %zu differences, "
	       "%zu with a short IPv4 header dropped here on purpose\n",
		tally.packets, tally.differences, tally.short_headers);
	if (unread > 0)
		return 2;
	return tally.differences > 0;
}
