/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The commands of `sluice`.  A command is one function in one file and one row in commands.c.
 *
 * argv[0] is the command's name, the rest its arguments; argv[argc] is NULL.  getopt_long() may be
 * used at once.  Every command takes --run-dir, also those that have no use for it: several
 * gateways live on one machine, and scripts may add it everywhere.
 */
#ifndef CONTROLPLANE_CLI_COMMAND_H
#define CONTROLPLANE_CLI_COMMAND_H

#define COMMAND_DEFAULT_RUN_DIR "/run/sluice"

enum command_exit {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1, /* "no", or it did not work */
	COMMAND_USAGE = 2,  /* wrong arguments */
};

int cmd_up(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_login(int argc, char **argv);
int cmd_logout(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_ping(int argc, char **argv);
int cmd_netcheck(int argc, char **argv);
int cmd_ip(int argc, char **argv);
int cmd_whois(int argc, char **argv);
int cmd_routes(int argc, char **argv);
int cmd_capture(int argc, char **argv);
int cmd_debug(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_genkey(int argc, char **argv);
int cmd_pubkey(int argc, char **argv);
int cmd_genpsk(int argc, char **argv);

/*
 * Say on stderr what is wrong with the arguments, and how the command is called.  `format` is a
 * sentence fragment; NULL when getopt_long() has spoken already.  Returns COMMAND_USAGE.
 */
int command_usage_error(const char *name, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Print how the command is called, its options and what it does on stdout.  Returns COMMAND_OK. */
int command_help(const char *name);

#endif
