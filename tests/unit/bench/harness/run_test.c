/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A run and its file.  What is said on stderr is part of the contract, so it is looked at.
 */

#include "bench/harness/run.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/command.h"
#include "tests/lib/tap.h"

static char folder[] = "/tmp/sluice-run-test-XXXXXX";
static char path[128], said_path[128];
static char said[8192];

// --- what is written ---------------------------------------------------------------------------

static size_t
slurp(const char *file, char *text, size_t size)
{
	FILE *f = fopen(file, "re");
	size_t n = f != NULL ? fread(text, 1, size - 1, f) : 0;

	text[n] = '\0';
	if (f != NULL)
		fclose(f);
	return n;
}

static void
write_file(const char *mode, const char *text, size_t len)
{
	FILE *f = fopen(path, mode);

	if (f == NULL || fwrite(text, 1, len, f) != len || fclose(f) != 0)
		abort();
}

static off_t
size_of_file(void)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static int stderr_kept;

static void
listen_to_stderr(void)
{
	int fd = open(said_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	fflush(stderr);
	stderr_kept = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

static void
end_listening(void)
{
	fflush(stderr);
	dup2(stderr_kept, STDERR_FILENO);
	close(stderr_kept);
	slurp(said_path, said, sizeof(said));
}

// --- runs --------------------------------------------------------------------------------------

static char name[] = "crypto", option[] = "--only", value[] = "a b";
static char *words[] = { name, option, value, NULL };
static struct bench_run_options options;

static struct bench_run *
begin(bool resume)
{
	struct bench_run *run;

	options = (struct bench_run_options){ .out = path, .resume = resume, .quiet = true };
	listen_to_stderr();
	run = bench_run_begin(&options, "T0", "crypto", 3, words, 4, 0.1);
	end_listening();
	return run;
}

static int
end(struct bench_run *run)
{
	int status;

	listen_to_stderr();
	status = bench_run_end(run);
	end_listening();
	return status;
}

static int
record(struct bench_run *run, const char *key)
{
	return bench_run_record(
		run, key, json_pack("{s:i}", "size", 64), json_pack("{s:f}", "cycles", 123.5));
}

static void
make_file(const char *first, const char *second)
{
	struct bench_run *run;

	unlink(path);
	run = begin(false);
	if (run == NULL || record(run, first) < 0 || (second != NULL && record(run, second) < 0) ||
		end(run) != BENCH_OK)
		abort();
}

// --- tests -------------------------------------------------------------------------------------

static void
test_record(void)
{
	static char line[65536];
	static const char *const members[] = { "schema", "tier", "kind", "key", "at", "command",
		"machine", "build", "axes", "result" };
	struct bench_run *run;
	json_t *trial;

	unlink(path);
	run = begin(false);
	tap_ok(bench_run_wants(run, "a"), "in a new file every trial is wanted");
	tap_int(record(run, "a"), 0, "a trial is taken");
	slurp(path, line, sizeof(line));
	trial = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
	tap_ok(trial != NULL && strchr(line, '\n') == line + strlen(line) - 1,
		"and is one line of the file, before the run ends");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		tap_ok(json_object_get(trial, members[i]) != NULL, "it says: %s", members[i]);
	tap_int(json_object_size(trial), sizeof(members) / sizeof(members[0]), "and no more");
	tap_int(json_array_size(json_object_get(trial, "command")), 4, "the command is whole");
	tap_int(json_array_size(bench_run_trials(run)), 1, "the run has it");
	json_decref(trial);
	tap_int(end(run), BENCH_OK, "the run ended well");
}

static void
test_resume(void)
{
	struct bench_run *run;
	off_t size;

	make_file("a", "b");
	size = size_of_file();
	tap_ok(begin(false) == NULL, "a file that is there is refused");
	tap_ok(strstr(said, "--resume") != NULL, "with the way to go on");
	tap_int(size_of_file(), size, "and left as it was");

	run = begin(true);
	tap_ok(!bench_run_wants(run, "b"), "what is there is not measured again");
	tap_ok(!bench_run_wants(run, "b"), "however often one asks");
	tap_ok(bench_run_wants(run, "c"), "what is not there is");
	tap_int(record(run, "c"), 0, "it is taken");
	tap_int(json_array_size(bench_run_trials(run)), 2,
		"the run has what it asked for, found or measured");
	tap_int(end(run), BENCH_OK, "the run ended well");

	run = begin(true);
	tap_ok(!bench_run_wants(run, "a") && !bench_run_wants(run, "c"),
		"both runs' trials are there");
	end(run);
}

static void
test_kinds(void)
{
	struct bench_run *run;

	make_file("a", NULL);
	options = (struct bench_run_options){ .out = path, .resume = true, .quiet = true };
	run = bench_run_begin(&options, "T1", "path", 3, words, 1, 0.1);
	tap_ok(bench_run_wants(run, "a"), "another kind's trial of this name is another");
	end(run);
}

static void
test_torn(void)
{
	static const char torn[] = "{\"schema\": \"sluice-bench/1\", \"tier\": \"T";
	struct bench_run *run;
	off_t size;

	make_file("a", NULL);
	size = size_of_file();
	write_file("ae", torn, strlen(torn));
	run = begin(true);
	tap_ok(run != NULL && strstr(said, "torn") != NULL, "a torn line is dropped, and said");
	tap_ok(!bench_run_wants(run, "a"), "those before it stay");
	tap_int(size_of_file(), size + (off_t)strlen(torn),
		"nothing is cut as long as nothing is added");
	tap_int(record(run, "b"), 0, "the next takes its place");
	end(run);
	run = begin(true);
	tap_ok(run != NULL && said[0] == '\0' && !bench_run_wants(run, "b"),
		"now all lines are whole");
	end(run);

	make_file("a", NULL);
	write_file("ae", "\0\0\0\0", 4);
	run = begin(true);
	tap_ok(run != NULL && strstr(said, "torn") != NULL,
		"zeros, as a power cut leaves them, too");
	end(run);

	make_file("a", NULL);
	if (truncate(path, size_of_file() - 1) < 0)
		abort();
	run = begin(true);
	tap_ok(run != NULL && said[0] == '\0' && !bench_run_wants(run, "a"),
		"a line that lacks its end alone is whole");
	tap_int(record(run, "b"), 0, "and gets it");
	end(run);
	run = begin(true);
	tap_ok(run != NULL && !bench_run_wants(run, "a") && !bench_run_wants(run, "b"),
		"so the next one stands apart");
	end(run);
}

static void
refused_file(const char *text, const char *what)
{
	off_t size;

	unlink(path);
	write_file("we", text, strlen(text));
	size = size_of_file();
	tap_ok(begin(true) == NULL && strstr(said, "not a trial") != NULL, "%s is refused", what);
	tap_int(size_of_file(), size, "and left as it was");
}

static void
test_torn_and_long(void)
{
	static char torn[1 << 20];
	struct bench_run *run;

	memset(torn, ' ', sizeof(torn));
	memcpy(torn, "{\"schema\": \"sluice-bench/1\"", 27);
	make_file("a", NULL);
	write_file("ae", torn, sizeof(torn));
	run = begin(true);
	tap_int(run != NULL ? record(run, "b") : -1, 0,
		"a trial comes in place of a longer torn line");
	if (run != NULL)
		end(run);
	run = begin(true);
	tap_ok(run != NULL && said[0] == '\0' && !bench_run_wants(run, "b"),
		"of which nothing is left");
	if (run != NULL)
		end(run);
}

static void
test_foreign(void)
{
	static char good[65536], both[2 * 65536];

	refused_file("my notes\n", "a text");
	refused_file("my notes", "a text without an end");
	refused_file("{\"a\": 1}\n", "another JSON");
	refused_file("[]\n", "an array");
	refused_file("\n", "an empty line");
	make_file("a", NULL);
	slurp(path, good, sizeof(good));
	snprintf(both, sizeof(both), "{\"schema\": \"sluice-ben\n%s", good);
	refused_file(both, "a torn line in the middle");
}

// Changes a text of the file in place.
static void
change(const char *from, const char *to)
{
	static char text[65536];
	char *at;

	slurp(path, text, sizeof(text));
	at = strstr(text, from);
	if (at == NULL || strlen(from) != strlen(to))
		abort();
	memcpy(at, to, strlen(to));
	write_file("we", text, strlen(text));
}

static void
test_origin(void)
{
	make_file("a", NULL);
	change("\"family\": ", "\"fbmily\": ");
	tap_ok(begin(true) == NULL && strstr(said, "\"family\" differs") != NULL,
		"another machine's file is refused");
	make_file("a", NULL);
	change("\"compiler\": ", "\"compilex\": ");
	tap_ok(begin(true) == NULL && strstr(said, "\"compiler\" differs") != NULL,
		"another build's file is refused");
}

static void
test_places(void)
{
	char kept[sizeof(path)];
	struct bench_run *first;

	memcpy(kept, path, sizeof(path));
	snprintf(path, sizeof(path), "%s/none/out", folder);
	tap_ok(begin(false) == NULL && strstr(said, "none/out") != NULL,
		"a folder that is not there is named");
	snprintf(path, sizeof(path), "/dev/full");
	tap_ok(begin(false) == NULL && strstr(said, "not a file") != NULL, "a device is no file");
	memcpy(path, folder, sizeof(folder));
	tap_ok(begin(false) == NULL && said[0] != '\0', "nor is a folder");
	memcpy(path, kept, sizeof(path));
	options = (struct bench_run_options){ .resume = true };
	listen_to_stderr();
	first = bench_run_begin(&options, "T0", "crypto", 3, words, 4, 0.1);
	end_listening();
	tap_ok(first == NULL && strstr(said, "--out FILE --resume") != NULL,
		"--resume wants a file");

	unlink(path);
	first = begin(false);
	tap_ok(begin(true) == NULL && strstr(said, "another run") != NULL,
		"two runs do not write one file");
	end(first);
}

static void
test_interrupted(void)
{
	struct bench_run *run;

	unlink(path);
	run = begin(false);
	(void)!record(run, "a");
	tap_ok(!bench_run_is_stopped(run), "it runs");
	raise(SIGINT);
	tap_ok(bench_run_is_stopped(run), "SIGINT stops it");
	tap_ok(!bench_run_wants(run, "b"), "nothing more is wanted");
	tap_int(end(run), BENCH_INTERRUPTED, "it ends as interrupted");
	tap_ok(strstr(said, "sluice-bench crypto --only 'a b' --resume\n") != NULL,
		"and says how to go on, ready for a shell");
	run = begin(true);
	tap_ok(!bench_run_is_stopped(run) && !bench_run_wants(run, "a"), "what was done is kept");
	raise(SIGTERM);
	tap_ok(bench_run_is_stopped(run), "SIGTERM stops it too");
	end(run);
	tap_ok(strstr(said, "--resume --resume") == NULL, "--resume is said once");
}

static void
test_nonsense(void)
{
	struct bench_run *run;

	unlink(path);
	run = begin(false);
	listen_to_stderr();
	// JSON has no infinity, so there is no object.
	tap_ok(bench_run_record(run, "a", json_object(), json_pack("{s:f}", "cycles", HUGE_VAL)) <
			0,
		"a result that is no number is an error");
	end_listening();
	tap_int(end(run), BENCH_FAILED, "also at the end");
	tap_int(size_of_file(), 0, "and is not written");
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/out", folder);
	snprintf(said_path, sizeof(said_path), "%s/said", folder);
	test_record();
	test_resume();
	test_kinds();
	test_torn();
	test_torn_and_long();
	test_foreign();
	test_origin();
	test_places();
	test_interrupted();
	test_nonsense();
	unlink(path);
	unlink(said_path);
	rmdir(folder);
	return tap_done();
}
