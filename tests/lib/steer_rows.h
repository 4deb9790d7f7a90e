/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of the steering decision, for the plain code and for the program in the kernel: frame in,
 * verdict out.  In order, because a first fragment decides for those that come later.
 */
#ifndef TESTS_LIB_STEER_ROWS_H
#define TESTS_LIB_STEER_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"
#include "lib/net/steer.h"

#define STEER_ROW_MAC               \
	{                           \
		0x02, 0, 0, 0, 0, 1 \
	} /* the device's */
#define STEER_ROW_PORT 41641
#define STEER_FRAME    1514

/* An IP packet with its transport header; twice in a frame where one quotes another. */
struct steer_ip_row {
	const char *src, *dst; /* texts; one family */
	uint8_t protocol;
	uint16_t sport, dport;  /* ICMP: sport is the type, dport the echo identifier */
	uint8_t options;        /* IPv4: words of options */
	uint8_t extensions[10]; /* IPv6: next header values to go through first; 0: the end, 255:
	                           hop-by-hop options */
	uint16_t fragment;      /* offset in units of eight bytes */
	bool more;
	uint32_t id;
	int lie; /* added to the length field */
};

struct steer_row_case {
	const char *what;
	enum steer_verdict wanted;
	struct steer_ip_row ip;
	uint32_t word; /* first four bytes behind the UDP header, in network order */
	uint32_t word2;
	uint16_t payload; /* bytes behind the UDP or ICMP header, words included */
	bool other_mac;
	uint16_t ethertype;                /* 0: by family */
	const struct steer_ip_row *quoted; /* behind the ICMP header */
	uint16_t cut;                      /* bytes taken off the end of the frame */
	uint16_t padding;                  /* zero bytes behind it */
};

extern const struct steer_row_case steer_rows[];
extern const size_t n_steer_rows;

/* Write the frame of a row; its length. */
size_t steer_row_frame(const struct steer_row_case *row, uint8_t frame[static STEER_FRAME]);

/* A datagram of `len` bytes that begins with `word`, to our port; its length. */
size_t steer_wire_frame(const char *src,
	uint16_t sport,
	const char *dst,
	uint32_t word,
	uint16_t len,
	uint8_t frame[static STEER_FRAME]);

/* What the rows take for granted. */
struct steer_row_address {
	const char *text;
	uint32_t flags; /* STEER_ADDRESS_LOCAL, STEER_ADDRESS_NAT */
};
struct steer_row_prefix {
	const char *text;
	enum steer_prefix_action action;
};
extern const struct steer_row_address steer_row_addresses[];
extern const size_t n_steer_row_addresses;
extern const struct steer_row_prefix steer_row_prefixes[];
extern const size_t n_steer_row_prefixes;

/* Port, NAT range 61000 to 65535, and limits as given. */
struct steer_settings steer_row_settings(struct steer_limit source, struct steer_limit total);

#endif
