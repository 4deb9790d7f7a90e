/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/machine.h"

#include <cpuid.h>
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LINE_LEN 16384 // the flags of a large CPU are some 2,000 bytes

// --- files -------------------------------------------------------------------------------------

static FILE *
open_below(const char *root, const char *path)
{
	char whole[PATH_MAX];

	if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= (int)sizeof(whole))
		return NULL;
	return fopen(whole, "re");
}

static void
strip_end(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
}

// The first line of a file, or null.
static json_t *
line_of(const char *root, const char *path)
{
	FILE *f = open_below(root, path);
	json_t *text = NULL;
	char line[1024];

	if (f == NULL)
		return json_null();
	if (fgets(line, sizeof(line), f) != NULL) {
		strip_end(line);
		text = json_string(line);
	}
	fclose(f);
	return text != NULL ? text : json_null();
}

// The value behind "name :" in files like /proc/cpuinfo, in line[LINE_LEN]; NULL: not there.
static const char *
value_of(const char *root, const char *path, const char *name, char *line)
{
	FILE *f = open_below(root, path);
	const char *value = NULL;
	size_t len = strlen(name);

	if (f == NULL)
		return NULL;
	while (value == NULL && fgets(line, LINE_LEN, f) != NULL) {
		size_t end = len + strspn(line + (strncmp(line, name, len) == 0 ? len : 0), " \t");

		if (strncmp(line, name, len) != 0 || line[end] != ':')
			continue;
		strip_end(line);
		value = line + end + 1 + strspn(line + end + 1, " \t");
	}
	fclose(f);
	return value;
}

static json_t *
cpu_text(const char *root, const char *name)
{
	char line[LINE_LEN];
	const char *value = value_of(root, "/proc/cpuinfo", name, line);

	return value != NULL ? json_string(value) : json_null();
}

static json_t *
cpu_number(const char *root, const char *name)
{
	char line[LINE_LEN];
	const char *value = value_of(root, "/proc/cpuinfo", name, line);

	return value != NULL ? json_integer(strtoll(value, NULL, 10)) : json_null();
}

// Of /proc/meminfo: a plain number, or one in kB as bytes.
static json_t *
memory_number(const char *root, const char *name)
{
	char line[LINE_LEN], *end;
	const char *value = value_of(root, "/proc/meminfo", name, line);
	long long n;

	if (value == NULL)
		return json_null();
	n = strtoll(value, &end, 10);
	return json_integer(strcmp(end, " kB") == 0 ? n * 1024 : n);
}

// --- what is put together ----------------------------------------------------------------------

static bool
has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = words; (p = strstr(p, word)) != NULL; p += len)
		if ((p == words || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
			return true;
	return false;
}

static json_t *
flags_of(const char *words)
{
	static const char *const matter[] = { "ssse3", "avx", "avx2", "bmi1", "bmi2", "adx", "aes",
		"vaes", "vpclmulqdq", "gfni", "sha_ni", "avx512f", "avx512bw", "avx512dq",
		"avx512vl", "avx512ifma", "avx512vbmi", "avx512_vbmi2", "avx_vnni", "amx_tile",
		"clflushopt", "cldemote", "constant_tsc", "nonstop_tsc", "tsc_known_freq",
		"hypervisor" };
	json_t *list;

	if (words == NULL)
		return json_null();
	list = json_array();
	for (size_t i = 0; i < sizeof(matter) / sizeof(matter[0]); i++)
		if (has_word(words, matter[i]))
			json_array_append_new(list, json_string(matter[i]));
	return list;
}

// The columns of the tables: one's figures say little about another's.
static json_t *
class_of(const char *words)
{
	if (words == NULL)
		return json_null();
	if (has_word(words, "avx512f") && has_word(words, "avx512vl") &&
		has_word(words, "avx512ifma"))
		return json_string("avx512");
	return json_string(has_word(words, "avx2") ? "avx2" : "baseline");
}

static json_t *
hypervisor_of(const char *words)
{
	uint32_t eax, name[4] = {};

	if (words == NULL)
		return json_null();
	if (!has_word(words, "hypervisor"))
		return json_false();
	__cpuid(0x40000000, eax, name[0], name[1], name[2]);
	return json_string(name[0] != 0 && eax != 0 ? (const char *)name : "unnamed");
}

static json_t *
mitigations_of(const char *root)
{
	static const char folder[] = "/sys/devices/system/cpu/vulnerabilities";
	char path[PATH_MAX];
	struct dirent **entries;
	json_t *all;
	int n;

	if (snprintf(path, sizeof(path), "%s%s", root, folder) >= (int)sizeof(path))
		return json_null();
	n = scandir(path, &entries, NULL, alphasort);
	if (n < 0)
		return json_null();
	all = json_object();
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.' && snprintf(path, sizeof(path), "%s/%s", folder,
							    entries[i]->d_name) < (int)sizeof(path))
			json_object_set_new(all, entries[i]->d_name, line_of(root, path));
		free(entries[i]);
	}
	free(entries);
	return all;
}

static json_t *
kernel_name(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		return json_null();
	return json_sprintf("%s %s %s", u.sysname, u.release, u.version);
}

// "always [madvise] never" says madvise.
static json_t *
transparent_of(const char *root)
{
	json_t *whole = line_of(root, "/sys/kernel/mm/transparent_hugepage/enabled"), *choice;
	const char *text = json_string_value(whole), *from, *to;

	from = text != NULL ? strchr(text, '[') : NULL;
	to = from != NULL ? strchr(from, ']') : NULL;
	choice = to != NULL ? json_stringn(from + 1, (size_t)(to - from - 1)) : json_null();
	json_decref(whole);
	return choice;
}

static json_t *
huge_pages_of(const char *root)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "size_bytes", memory_number(root, "Hugepagesize"),
		"total", memory_number(root, "HugePages_Total"), "free",
		memory_number(root, "HugePages_Free"), "transparent", transparent_of(root));
}

json_t *
bench_machine_below(const char *root, const struct bench_clock *clock)
{
	char line[LINE_LEN];
	const char *flags = value_of(root, "/proc/cpuinfo", "flags", line);

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:f, s:f, s:f}",
		"cpu", cpu_text(root, "model name"), "family", cpu_number(root, "cpu family"),
		"model", cpu_number(root, "model"), "stepping", cpu_number(root, "stepping"),
		"microcode", cpu_text(root, "microcode"), "class", class_of(flags), "flags",
		flags_of(flags), "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory_bytes",
		memory_number(root, "MemTotal"), "kernel", kernel_name(), "mitigations",
		mitigations_of(root), "governor",
		line_of(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), "smt",
		line_of(root, "/sys/devices/system/cpu/smt/control"), "hypervisor",
		hypervisor_of(flags), "huge_pages", huge_pages_of(root), "tsc_ghz", clock->tsc_ghz,
		"core_ghz", clock->core_ghz, "core_per_tsc", bench_clock_cycles_per_tick(clock));
}

json_t *
bench_machine(const struct bench_clock *clock)
{
	return bench_machine_below("", clock);
}

// --- comparing ---------------------------------------------------------------------------------

static bool
are_same(const json_t *a,
	const json_t *b,
	const char *const *names,
	size_t n,
	const char **ret_name)
{
	for (size_t i = 0; i < n; i++) {
		const json_t *x = json_object_get(a, names[i]), *y = json_object_get(b, names[i]);

		if (x == y || json_equal(x, y)) // constants like null are one object
			continue;
		*ret_name = names[i];
		return false;
	}
	return true;
}

bool
bench_machine_is_same(const json_t *a, const json_t *b, const char **ret_name)
{
	// Ordered by what a person wants to hear first.
	static const char *const names[] = { "cpu", "family", "model", "stepping", "microcode",
		"class", "flags", "cores", "kernel", "mitigations", "governor", "smt",
		"hypervisor" };

	return are_same(a, b, names, sizeof(names) / sizeof(names[0]), ret_name);
}

bool
bench_build_is_same(const json_t *a, const json_t *b, const char **ret_name)
{
	static const char *const names[] = { "version", "commit", "compiler", "flags", "libraries",
		"id" };

	return are_same(a, b, names, sizeof(names) / sizeof(names[0]), ret_name);
}
