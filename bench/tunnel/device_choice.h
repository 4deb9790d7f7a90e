/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The device that the options of generate and search name.
 */
#ifndef BENCH_TUNNEL_DEVICE_CHOICE_H
#define BENCH_TUNNEL_DEVICE_CHOICE_H

#include <jansson.h>
#include <stdbool.h>

#include "bench/trial/device_socket.h"
#include "bench/trial/load_options.h"
#include "bench/tunnel/end_options.h"

/* Their options in a command's getopt_long table, and their lines of its --help. */
#define DEVICE_LONG_OPTIONS LOAD_LONG_OPTIONS, END_LONG_OPTIONS
void device_options_print_help(void);
/* 1: it was one of them; 0: it was not; -1: it was, and what is wrong with it has been said. */
int
device_option(struct load_options *load, struct end_options *ends, int value, const char *argument);
/* What load_options_read() says, with the ends that were read.  Returns enum bench_exit. */
int device_request(struct load_options *load,
	const struct end_options *ends,
	struct trial_request *ret_request);

/* As in device_socket.h; progress is for sockets only. */
struct device_watch {
	bool (*is_stopped)(void *context);
	void (*progress)(void *context, const struct device_socket_progress *now);
	void *context;
};

/*
 * The data plane in memory (--in-memory), or whatever is between the ends.  NULL: said why.
 * Both options were read; they and `watch` are kept until the device is destroyed.
 */
struct device *device_choose(const struct load_options *load,
	struct end_options *ends,
	const struct device_watch *watch);

/* A trial's record of it: trial_json(), and what the device itself tells. */
json_t *device_trial_json(const struct device *d, const struct trial_result *result);

#endif
