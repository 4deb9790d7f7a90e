/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The commands of sluice-bench.  Each is one file X_command.c in the folder of its subject, and one
 * row in main.c.
 */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

/* What a command, and so the program, ends with. */
enum bench_exit {
	BENCH_OK = 0,
	BENCH_FAILED = 1, /* it said why: what, why, what to do */
	BENCH_USAGE = 2,  /* an option was wrong */
	BENCH_INTERRUPTED =
		130, /* finished trials are kept; the same command with --resume goes on */
};

struct bench_command {
	const char *name;
	const char *tier;    /* "T0".. "T3", or "" */
	const char *summary; /* one line, for --help */
	/*
	 * argv[0] is the command's name.  crypto_init() was called, aead_init() was not.  Wrong
	 * options are told on stderr as "sluice-bench NAME: ..."; --help prints on stdout,
	 * BENCH_OK.  Returns enum bench_exit.
	 */
	int (*run)(int argc, char **argv);
};

extern const struct bench_command crypto_command;     /* micro/ */
extern const struct bench_command timing_command;     /* micro/: constant time */
extern const struct bench_command path_command;       /* path/ */
extern const struct bench_command generate_command;   /* tunnel/ */
extern const struct bench_command sink_command;       /* tunnel/ */
extern const struct bench_command search_command;     /* search/ */
extern const struct bench_command handshakes_command; /* handshake/ */
extern const struct bench_command machine_command;    /* machine_command.c */
/* compare, report, size and tailnet are scripts beside the program: main.c starts them (script.h). */

#endif
