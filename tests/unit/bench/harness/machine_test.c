/* SPDX-License-Identifier: BSD-3-Clause
 *
 * argv[1]: a folder with files as a Linux has them below / (machine/).
 */

#include "bench/harness/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

static const struct bench_clock a_clock = { .tsc_ghz = 2, .core_ghz = 3 };

// The member, as JSON writes it.
static void
check(const json_t *object, const char *name, const char *wanted)
{
	char *got = json_dumps(json_object_get(object, name), JSON_ENCODE_ANY | JSON_SORT_KEYS);

	tap_text(got, wanted, name);
	free(got);
}

static void
test_read(const char *root)
{
	json_t *m = bench_machine_below(root, &a_clock);

	check(m, "cpu", "\"Example CPU @ 2.00GHz\"");
	check(m, "family", "6");
	check(m, "model", "85");
	check(m, "stepping", "7");
	check(m, "microcode", "\"0x5003604\"");
	check(m, "class", "\"avx2\""); // AVX-512 without IFMA is not what the back end needs
	check(m, "flags",
		"[\"avx\", \"avx2\", \"bmi2\", \"avx512f\", \"avx512vl\", \"constant_tsc\", "
		"\"nonstop_tsc\"]");
	check(m, "memory_bytes", "1073741824");
	check(m, "mitigations", "{\"l1tf\": \"Not affected\", \"meltdown\": \"Mitigation: PTI\"}");
	check(m, "governor", "\"performance\"");
	check(m, "smt", "\"off\"");
	check(m, "hypervisor", "false");
	check(m, "huge_pages",
		"{\"free\": 60, \"size_bytes\": 2097152, \"total\": 64, \"transparent\": "
		"\"madvise\"}");
	check(m, "core_per_tsc", "1.5");
	json_decref(m);
}

static void
test_nothing_to_read(void)
{
	static const char *const names[] = { "cpu", "family", "microcode", "class", "flags",
		"memory_bytes", "mitigations", "governor", "smt", "hypervisor" };
	json_t *m = bench_machine_below("/nonexistent", &a_clock);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check(m, names[i], "null");
	tap_ok(json_number_value(json_object_get(m, "tsc_ghz")) == 2, "the clock is known still");
	json_decref(m);
}

static void
test_same(const char *root)
{
	const struct bench_clock other_clock = { .tsc_ghz = 2.01, .core_ghz = 3.2 };
	json_t *a = bench_machine_below(root, &a_clock),
	       *b = bench_machine_below(root, &other_clock);
	const char *name = "";

	json_object_set_new(json_object_get(b, "huge_pages"), "free", json_integer(0));
	tap_ok(bench_machine_is_same(a, b, &name), "clocks and free pages change, machines do not");
	json_object_set_new(b, "microcode", json_string("0x1"));
	tap_ok(!bench_machine_is_same(a, b, &name), "other microcode is another machine");
	tap_text(name, "microcode", "and is named");
	tap_ok(!bench_machine_is_same(a, NULL, &name), "nothing is no machine");
	json_decref(a);
	json_decref(b);
}

static void
test_build(void)
{
	json_t *a = bench_build(), *b = bench_build();
	const char *name = "";

	tap_ok(json_is_string(json_object_get(a, "commit")), "the build knows its commit");
	tap_ok(strlen(json_string_value(json_object_get(a, "compiler"))) > 4, "and its compiler");
	tap_ok(json_is_string(json_object_get(json_object_get(a, "libraries"), "libsodium")),
		"and the libraries that it runs with");
	tap_ok(bench_build_is_same(a, b, &name), "it is the same as itself");
	json_object_set_new(b, "id", json_string("00"));
	tap_ok(!bench_build_is_same(a, b, &name) && strcmp(name, "id") == 0,
		"the same commit built of other sources is another build");
	json_decref(a);
	json_decref(b);
}

int
main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: machine_test FOLDER\n", stderr);
		return 2;
	}
	test_read(argv[1]);
	test_nothing_to_read();
	test_same(argv[1]);
	test_build();
	return tap_done();
}
