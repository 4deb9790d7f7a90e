/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/script.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/command.h"
#include "bench/harness/run.h"
#include "lib/base/err.h"

#define MAX_WORDS 4096

// This program's own file; empty if the system does not tell.
static void
own_path(char path[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	path[n > 0 ? n : 0] = '\0';
}

static const char *
folder_of_scripts(const char *own)
{
	const char *given = getenv("SLUICE_BENCH_SCRIPTS");
	size_t len = strlen(BUILD_FOLDER);

	if (given != NULL && given[0] != '\0')
		return given;
	if (strncmp(own, BUILD_FOLDER, len) == 0 && own[len] == '/')
		return SCRIPTS_SOURCE;
	return SCRIPTS_INSTALLED;
}

static int
become_python(char *script, int argc, char **argv)
{
	static char python[] = "python3";
	static char *words[MAX_WORDS];
	int n = 0;

	if (argc > MAX_WORDS - 3) {
		bench_error(err_str(-E2BIG), NULL, "%s", argv[0]);
		return BENCH_USAGE;
	}
	words[n++] = python;
	words[n++] = script;
	for (int i = 1; i < argc; i++)
		words[n++] = argv[i];
	words[n] = NULL;
	fflush(stdout);
	execvp(python, words);
	bench_error(errno == ENOENT ? "there is no python3" : strerror(errno),
		"This command is a Python script: install python3.", "%s", argv[0]);
	return BENCH_FAILED;
}

// The prefix or build folder that holds this program: two levels up.
static void
folder_of_programs(const char *own, char folder[static PATH_MAX])
{
	snprintf(folder, PATH_MAX, "%s", own);
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(folder, '/');

		if (slash != NULL)
			*slash = '\0';
	}
}

static int
set_environment(const char *own)
{
	static char folder[PATH_MAX];

	folder_of_programs(own, folder);
	if (setenv("SLUICE_BENCH", own, 1) < 0 || setenv("SLUICE_BIN", folder, 0) < 0)
		return -1;
	// What is imported lies where users may not write, or beside sources.
	return setenv("PYTHONDONTWRITEBYTECODE", "1", 0);
}

int
script_run(const char *path, int argc, char **argv)
{
	static char own[PATH_MAX], script[PATH_MAX];

	own_path(own);
	if (snprintf(script, sizeof(script), "%s/%s", folder_of_scripts(own), path) >=
			(int)sizeof(script) ||
		access(script, R_OK) < 0) {
		bench_error(strerror(errno),
			"Install Sluice completely, or name their folder in "
			"SLUICE_BENCH_SCRIPTS.",
			"the script of %s: %s", argv[0], script);
		return BENCH_FAILED;
	}
	if (set_environment(own) < 0) {
		bench_error(strerror(errno), NULL, "%s", argv[0]);
		return BENCH_FAILED;
	}
	return become_python(script, argc, argv);
}
