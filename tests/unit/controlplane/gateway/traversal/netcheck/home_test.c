/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which region is the home: the rules of peer.md 5.3, each at its limits.
 */

#include "controlplane/gateway/traversal/netcheck/home_region.h"

#include "tests/lib/tap.h"

static struct derp_region regions[] = { { .id = 1 }, { .id = 2 }, { .id = 3 },
	{ .id = 4, .is_without_measure = true } };
static struct derp_score scores[] = { { 3, 0.5 } };
static struct derp_map map = { .regions = regions, .n_regions = 4 };

#define NOW 10000

struct site {
	struct home_history history;
	struct netcheck_report report;
	struct home_question q;
};

/* Latencies in ms of regions 1 to 4; 0: no answer. */
static struct netcheck_report
report_of(int at_s, const int ms[4])
{
	struct netcheck_report r = { .at = { (uint64_t)at_s * (uint64_t)NS_PER_S } };

	for (int i = 0; i < 4; i++)
		if (ms[i] > 0)
			r.regions[r.n_regions++] = (struct netcheck_region){ .region_id = i + 1,
				.v4_us = ms[i] * 1000 };
	return r;
}

static struct site *
site_of(int previous, const int ms[4])
{
	static struct site s;

	home_history_clear(&s.history);
	s.report = report_of(NOW, ms);
	home_history_add(&s.history, &s.report);
	s.q = (struct home_question){ .map = &map,
		.report = &s.report,
		.began = { (uint64_t)(NOW - 1) * (uint64_t)NS_PER_S },
		.previous = previous,
		.may_change = true };
	return &s;
}

static int
choose(const struct site *s)
{
	return home_region_choose(&s->history, &s->q);
}

static void
heard(struct site *s, int seconds_ago)
{
	s->q.previous_heard = (struct mono){ (uint64_t)(NOW - seconds_ago) * (uint64_t)NS_PER_S };
}

static void
test_story(void)
{
	static const struct {
		const char *what;
		int previous, ms[4], home;
	} story[] = {
		{ "the nearest", 0, { 30, 20, 40 }, 2 },
		{ "of two as near, the first", 0, { 20, 20, 40 }, 1 },
		{ "not one without measure", 0, { 30, 20, 40, 1 }, 2 },
		{ "9 ms less is no reason to move", 1, { 29, 20, 0 }, 1 },
		{ "nor is a third less, far away", 1, { 290, 200, 0 }, 1 },
		{ "more than a third and 10 ms is", 1, { 31, 20, 0 }, 2 },
		{ "a home that does not answer is left", 1, { 0, 300, 0 }, 2 },
		{ "a home that is not in the map is left", 9, { 30, 20, 0 }, 2 },
		{ "no answer at all: it stays", 1, { 0, 0, 0 }, 1 },
	};

	for (size_t i = 0; i < sizeof(story) / sizeof(story[0]); i++)
		tap_int(choose(site_of(story[i].previous, story[i].ms)), story[i].home,
			story[i].what);
}

static void
test_heard(void)
{
	static const int ms[4] = { 0, 100, 0 };
	struct site *s = site_of(1, ms);

	heard(s, 7);
	tap_int(choose(s), 1, "the relay was heard 7 s ago: it lives");
	heard(s, 9);
	tap_int(choose(s), 2, "9 s ago: it may be dead");
	s->q.began = (struct mono){ (uint64_t)(NOW - 20) * (uint64_t)NS_PER_S };
	tap_int(choose(s), 1, "but that was within the round");
}

static void
test_history(void)
{
	static const int now[4] = { 50, 40, 0 }, before[4] = { 10, 40, 0 };
	struct netcheck_report old = report_of(NOW - 299, before);
	struct site *s = site_of(0, now);

	home_history_add(&s->history, &old);
	tap_int(choose(s), 1, "the best of the last five minutes counts");
	s = site_of(0, now);
	old = report_of(NOW - 301, before);
	home_history_add(&s->history, &old);
	tap_int(choose(s), 2, "not what is older");
	for (int i = 0; i < 2 * HOME_HISTORY_MAX; i++)
		home_history_add(&s->history, &s->report);
	tap_int(choose(s), 2, "many rounds are no trouble");
}

static void
test_settings(void)
{
	static const int ms[4] = { 30, 0, 50 }, none[4] = {};
	struct site *s = site_of(0, ms);
	int first;

	map.scores = scores;
	map.n_scores = 1;
	tap_int(choose(s), 3, "a region's score makes it nearer");
	map.n_scores = 0;
	s = site_of(3, ms);
	s->q.may_change = false;
	tap_int(choose(s), 3, "nobody could be told: it stays");
	s->q.previous = 0;
	tap_int(choose(s), 1, "without a home one is chosen all the same");
	s = site_of(0, none);
	s->q.seed = 12345;
	first = choose(s);
	tap_ok(first >= 1 && first <= 3 && choose(s) == first,
		"nothing known: any, but always that");
	home_history_clear(&s->history);
}

int
main(void)
{
	test_story();
	test_heard();
	test_history();
	test_settings();
	return tap_done();
}
