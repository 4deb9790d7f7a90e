/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The parts of struct steering, for its own files.
 */
#ifndef DATAPLANE_CTL_STEERING_STATE_H
#define DATAPLANE_CTL_STEERING_STATE_H

#include "dataplane/ctl/source_counts.h"
#include "dataplane/ctl/steering.h"

struct steering_prefix {
	uint8_t bytes[16]; /* an IPv4 address in the first four, the rest zero */
	uint8_t family;
	uint8_t len;
	bool redirect;
};

struct steering_address {
	uint8_t bytes[16];
	uint8_t family;
	bool is_local;
	bool is_nat;
};

/* Where a peer writes from. */
struct steering_endpoint {
	uint8_t bytes[16];
	uint8_t family; /* 0: nobody knows */
	uint16_t port;
};

/* Rows that are in a map, sorted, and those that shall be. */
struct steering_prefixes {
	struct steering_prefix *rows, *next;
	size_t n, n_next;
	bool is_pending; /* between _before and _after */
};

struct steering_addresses {
	struct steering_address *rows, *next;
	size_t n, n_next;
	uint16_t nat_first, nat_last;
	bool has_settings; /* they were written by this process */
	bool is_pending;
};

struct steering {
	struct steering_sink sink;
	struct steering_prefixes prefixes;
	struct steering_addresses addresses;
	struct source_counts sources;        /* endpoints that are in the map */
	struct steering_endpoint *endpoints; /* by peer number */
	uint64_t n_failed;
	int last_err;
};

/* Remember a failure, if it is one. */
void steering_result(struct steering *s, int err);

#endif
