/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/gate.h"

#include <string.h>

#include "tests/lib/tap.h"

static const struct gate_place here = { "CPU one", "avx512", "gcc 12.2.0", "avx512", 6, 143 };

static const struct gate_figure figures[] = {
	{ "inbound/64/1", 3.0, 12.0 },
	{ "outbound/64/1", 2.5, 10.0 },
};

static struct gate_figure
slower(double path, double whole)
{
	return (struct gate_figure){ "inbound/64/1", 3.0 * path, 12.0 * whole };
}

static unsigned
judge(const json_t *entry, bool is_own, const char *aead, double path, double whole)
{
	struct gate_figure now = slower(path, whole);
	struct gate_place place = here;

	place.aead = aead;
	return gate_judge(entry, is_own, &place, &now, 1, NULL);
}

static void
test_entry(json_t *baseline)
{
	struct gate_place place = here;
	const json_t *entry;
	bool is_own;

	entry = gate_entry(baseline, &place, &is_own);
	tap_ok(entry != NULL && is_own, "this machine has an entry");
	place.compiler = "gcc 13.1.0";
	gate_entry(baseline, &place, &is_own);
	tap_ok(is_own, "another version of its compiler is the same");
	place.compiler = "clang 14.0.6";
	entry = gate_entry(baseline, &place, &is_own);
	tap_ok(entry != NULL && !is_own, "another compiler is not");
	place = here;
	place.model = 17;
	entry = gate_entry(baseline, &place, &is_own);
	tap_ok(entry != NULL && !is_own, "nor another model");
	place.class = "avx2";
	entry = gate_entry(baseline, &place, &is_own);
	tap_text(json_string_value(json_object_get(entry, "class")), "avx2",
		"which is compared with its own class, if there is one");
	tap_ok(gate_entry(NULL, &place, &is_own) == NULL && !is_own, "an empty baseline has none");
}

static void
test_judge(const json_t *baseline)
{
	bool is_own;
	const json_t *entry = gate_entry(baseline, &here, &is_own);

	tap_int(judge(entry, true, "avx512", 1, 1), 0, "the same is no slower");
	tap_int(judge(entry, true, "avx512", 0.5, 0.5), 0, "nor is what is faster");
	tap_int(judge(entry, true, "avx512", 1.1, 1.1), 0, "10 % is within the bound");
	tap_int(judge(entry, true, "avx512", 1.3, 1), 1, "a path 30 % slower is found");
	tap_int(judge(entry, true, "avx512", 1, 1.3), 1, "and a cipher that makes all 30 % slower");
	tap_int(judge(entry, true, "avx2", 1, 1.3), 0, "but not if the cipher is another one");
	tap_int(judge(entry, true, "avx2", 1.3, 1), 1, "the path still is");
	tap_int(judge(entry, false, "avx512", 1.3, 1), 0,
		"on a foreign machine 30 % may be its own");
	tap_int(judge(entry, false, "avx512", 2.6, 1), 1, "160 % may not");
	tap_int(gate_judge(NULL, true, &here, figures, 2, NULL), 0,
		"nothing to compare with: no verdict");
}

int
main(void)
{
	struct gate_place other = here;
	json_t *one, *two, *three;

	other.class = "avx2";
	other.model = 85;
	one = gate_with_entry(NULL, &here, figures, 2);
	two = gate_with_entry(one, &other, figures, 2);
	tap_int((long long)json_array_size(json_object_get(two, "machines")), 2,
		"a baseline holds several machines");
	three = gate_with_entry(two, &here, figures, 1);
	tap_int((long long)json_array_size(json_object_get(three, "machines")), 2,
		"and new figures replace a machine's old ones");
	test_entry(two);
	test_judge(two);
	json_decref(one);
	json_decref(two);
	json_decref(three);
	return tap_done();
}
