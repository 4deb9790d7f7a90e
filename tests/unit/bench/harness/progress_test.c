/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/progress.h"

#include "tests/lib/tap.h"

static const struct {
	double seconds;
	const char *text;
} times[] = {
	{ 0.2, "0 s" },
	{ 59.6, "60 s" },
	{ 99, "99 s" },
	{ 100, "2 min" },
	{ 3540, "59 min" },
	{ 5999, "100 min" },
	{ 6000, "1 h 40 min" },
	{ 86400, "24 h 0 min" },
};

static struct progress
after(size_t n_found, size_t n_done, int64_t seconds)
{
	struct progress p;

	progress_init(&p, 10, 3, true);
	p.n_found = n_found;
	p.n_done = n_done;
	p.last_done = mono_add_ns(p.began, seconds * NS_PER_S);
	return p;
}

static void
test_left(void)
{
	struct progress p = after(0, 0, 0);

	tap_int((int)progress_left(&p, p.began), 30, "at first the guess counts");
	tap_int((int)progress_left(&p, mono_add_ns(p.began, 2 * NS_PER_S)), 28,
		"of which time passes");
	p = after(0, 5, 50);
	tap_int((int)progress_left(&p, p.last_done), 50, "half is done, half is left");
	tap_int((int)progress_left(&p, mono_add_ns(p.last_done, 20 * NS_PER_S)), 30,
		"the trial under way counts");
	tap_int((int)progress_left(&p, mono_add_ns(p.last_done, 600 * NS_PER_S)), 0,
		"one that takes long does not make time negative");
	p = after(5, 1, 10);
	tap_int((int)progress_left(&p, p.last_done), 40,
		"what an earlier run did is done, and says nothing of the speed");
	p = after(0, 10, 50);
	tap_ok(progress_left(&p, p.last_done) < 0, "when all is done there is nothing to say");
	p.n_total = 0;
	tap_ok(progress_left(&p, p.last_done) < 0, "nor if nobody knows how many there are");
}

int
main(void)
{
	char text[32];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		progress_format_time(text, sizeof(text), times[i].seconds);
		tap_text(text, times[i].text, times[i].text);
	}
	test_left();
	return tap_done();
}
