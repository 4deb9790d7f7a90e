/* SPDX-License-Identifier: BSD-3-Clause
 *
 * IP packets for tests, with right checksums.
 */
#ifndef TESTS_LIB_PACKET_H
#define TESTS_LIB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct packet_make {
	const char *src, *dst; /* address texts of one family */
	uint8_t protocol;      /* 0: UDP */
	uint8_t ttl;           /* 0: 64 */
	uint8_t ecn;
	bool dont_fragment;
	uint16_t mss; /* not 0: a TCP SYN with this option */
	uint16_t id;  /* goes into the payload, to tell packets apart */
};

/*
 * Write a packet of `len` bytes in all: UDP ports 7 and 9, or a SYN; a shorter len cuts its
 * transport header.  Returns len; it is at least the IP header's.
 */
size_t packet_make(uint8_t *buf, size_t len, const struct packet_make *what);

/* Every checksum in it is right (a transport header that is cut does not count). */
bool packet_is_sound(const uint8_t *p, size_t len);

/* The id that packet_make() wrote; -1 if the packet is too short. */
int packet_id(const uint8_t *p, size_t len);

#endif
