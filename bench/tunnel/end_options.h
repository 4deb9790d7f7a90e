/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The options of generate and sink that say where their ends are, and what follows from them.
 *
 * Owner: the caller; holds secrets, wiped by end_options_fini().  Strings are argv's.
 */
#ifndef BENCH_TUNNEL_END_OPTIONS_H
#define BENCH_TUNNEL_END_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/trial/device_socket.h"

struct end_options {
	/* As given; NULL: not given. */
	const char *device, *key, *device_key, *preshared_key, *inner[2], *tunnel_netns, *listen;
	const char *clear, *clear_netns, *port, *to, *peers, *cores, *mtu, *ahead_memory;
	const char *print_form, *tunnel_xdp, *clear_xdp;
	bool waits, has_no_offload, print_peers;

	/* What end_options_read() makes of them. */
	bool has_tunnel, has_clear, is_yaml;
	struct device_socket_config config; /* complete with both ends */
	struct endpoint far;                /* --to; ADDR_NONE: not given; port 0: as --port */
};

#define END_OPTIONS 2000
#define END_LONG_OPTIONS                                                       \
	{ "device", required_argument, NULL, END_OPTIONS },                    \
		{ "key", required_argument, NULL, END_OPTIONS + 1 },           \
		{ "device-key", required_argument, NULL, END_OPTIONS + 2 },    \
		{ "preshared-key", required_argument, NULL, END_OPTIONS + 3 }, \
		{ "inner", required_argument, NULL, END_OPTIONS + 4 },         \
		{ "tunnel-netns", required_argument, NULL, END_OPTIONS + 5 },  \
		{ "listen", required_argument, NULL, END_OPTIONS + 6 },        \
		{ "clear", required_argument, NULL, END_OPTIONS + 7 },         \
		{ "clear-netns", required_argument, NULL, END_OPTIONS + 8 },   \
		{ "port", required_argument, NULL, END_OPTIONS + 9 },          \
		{ "to", required_argument, NULL, END_OPTIONS + 10 },           \
		{ "peers", required_argument, NULL, END_OPTIONS + 11 },        \
		{ "cores", required_argument, NULL, END_OPTIONS + 12 },        \
		{ "mtu", required_argument, NULL, END_OPTIONS + 13 },          \
		{ "ahead-memory", required_argument, NULL, END_OPTIONS + 14 }, \
		{ "wait-for-device", no_argument, NULL, END_OPTIONS + 15 },    \
		{ "no-offload", no_argument, NULL, END_OPTIONS + 16 },         \
		{ "print-peers", optional_argument, NULL, END_OPTIONS + 17 },  \
		{ "tunnel-xdp", required_argument, NULL, END_OPTIONS + 18 },   \
	{                                                                      \
		"clear-xdp", required_argument, NULL, END_OPTIONS + 19         \
	}

/* True: it was one of them. */
bool end_option(struct end_options *o, int value, const char *argument);
/* Their lines of --help. */
extern const char end_options_help[];

/*
 * Read keys, addresses and numbers.  The inner address is the one of the family of --clear or --to.
 * Returns enum bench_exit: what is wrong has been said.
 */
int end_options_read(struct end_options *o);
void end_options_fini(struct end_options *o);

/* The peers as the device wants them, on stdout.  Returns enum bench_exit. */
int end_options_print_peers(const struct end_options *o);

#endif
