/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steer program in this machine's kernel, attached to a device of a network namespace of the
 * test's own, and given frames by BPF_PROG_TEST_RUN.
 */
#ifndef TESTS_LIB_STEER_KERNEL_H
#define TESTS_LIB_STEER_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/loader.h"

struct steer_kernel {
	struct steer *steer;
	struct steer_maps maps;
	uint32_t ifindex;
	int link;
	int xskmap;
	int program;
};

/*
 * Into a network namespace of our own.  False: this machine or user may not, and `reason` says
 * what is missing, for tap_skip().
 */
bool steer_kernel_enter(char *reason, size_t reason_size);

/* Run `ip ...` there; false: it failed. */
[[gnu::format(printf, 1, 2)]] bool steer_kernel_ip(const char *format, ...);
uint32_t steer_kernel_ifindex(const char *name);

/*
 * Load, make a device with the MAC of the rows, attach to it, and put in the maps what the rows
 * take for granted.  Ends the test where that fails.
 */
void steer_kernel_init(struct steer_kernel *k);
void steer_kernel_fini(struct steer_kernel *k);

/* Run the program; the verdict that it counted, and what it answered (XDP_PASS ...). */
enum steer_verdict
steer_kernel_run(struct steer_kernel *k, const uint8_t *frame, size_t len, uint32_t *ret_action);

/* Nanoseconds for a frame, over `repeat` runs. */
uint32_t steer_kernel_time(struct steer_kernel *k, const uint8_t *frame, size_t len, int repeat);

/* The program behind a link. */
int steer_kernel_program(int link);

#endif
