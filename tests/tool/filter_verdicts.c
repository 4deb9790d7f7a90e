/* SPDX-License-Identifier: BSD-3-Clause
 *
 * filter-verdicts [--judge stage|burst|plain] [--burst N] FILE...
 *
 * Puts the packets of recorded verdicts (../shared/vectors/filter) before our packet filter, flow
 * memory included, and prints every difference.  Exits 0 if there is none, 1 if there is one, 2 if
 * a file cannot be read or the usage is wrong.
 *
 *     stage   the stages that workers run: whether a packet goes on
 *     burst   the functions that they call: also why, in the reference's words
 *     plain   the evaluator that is obviously right
 *
 * Without --judge: stage, and then burst for the reasons.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/lib/filter_case.h"
#include "tests/lib/filter_stage.h"

struct judge_kind {
	const char *name;
	struct filter_judge (*create)(size_t burst);
	void (*free)(struct filter_judge *judge);
	bool is_default;
};

struct options {
	const char *judge; /* NULL: those that are default */
	size_t burst;
	int first_file;
};

static struct filter_judge
create_plain(size_t burst)
{
	(void)burst; // one packet at a time
	return filter_judge_plain();
}

static const struct judge_kind kinds[] = {
	{ "stage", filter_judge_stage, filter_judge_stage_free, true },
	{ "burst", filter_judge_burst, filter_judge_burst_free, true },
	{ "plain", create_plain, filter_judge_plain_free, false },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool
is_judge(const char *name)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return true;
	return false;
}

static bool
read_options(int argc, char **argv, struct options *ret)
{
	struct options o = { .burst = 64 };
	int i = 1;

	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		if (strcmp(argv[i], "--judge") == 0 && is_judge(argv[i + 1]))
			o.judge = argv[i + 1];
		else if (strcmp(argv[i], "--burst") == 0 && atoi(argv[i + 1]) > 0)
			o.burst = (size_t)atoi(argv[i + 1]);
		else
			return false;
	}
	o.first_file = i;
	*ret = o;
	return i < argc && argv[i][0] != '-';
}

static bool
is_chosen(const struct judge_kind *kind, const struct options *o)
{
	return o->judge == NULL ? kind->is_default : strcmp(o->judge, kind->name) == 0;
}

// Each file begins with nothing remembered.
static int
run_file(const char *path,
	const struct judge_kind *kind,
	const struct options *o,
	struct filter_tally *tally)
{
	struct filter_judge judge = kind->create(o->burst);
	int err = filter_case_run(path, &judge, tally, stdout);

	kind->free(&judge);
	return err;
}

// The number of files that could not be read.
static int
run_judge(const struct judge_kind *kind,
	const struct options *o,
	int argc,
	char **argv,
	size_t *differences)
{
	struct filter_tally tally = {};
	int unread = 0;

	for (int i = o->first_file; i < argc; i++)
		unread += run_file(argv[i], kind, o, &tally) < 0;
	printf("filter-verdicts: %s: %zu packets, %zu differences, "
	       "%zu with a short IPv4 header dropped here on purpose\n",
		kind->name, tally.packets, tally.differences, tally.short_headers);
	*differences += tally.differences;
	return unread;
}

int
main(int argc, char **argv)
{
	struct options o;
	size_t differences = 0;
	int unread = 0;

	if (!read_options(argc, argv, &o)) {
		fprintf(stderr, "usage: filter-verdicts [--judge stage|burst|plain] [--burst N] "
				"FILE...\n");
		return 2;
	}
	for (size_t i = 0; i < N_KINDS; i++)
		if (is_chosen(&kinds[i], &o))
			unread += run_judge(&kinds[i], &o, argc, argv, &differences);
	if (unread > 0)
		return 2;
	return differences > 0;
}
