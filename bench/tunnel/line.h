/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A way for datagrams to leave this machine and to come in: one end's UDP socket, or whatever takes
 * its place (AF_XDP, an impaired line in tests).
 *
 * Owner:  whoever opened it.
 * Thread: send for one thread, receive for one thread (they may differ), send_one and counters for
 *         any.
 */
#ifndef BENCH_TUNNEL_LINE_H
#define BENCH_TUNNEL_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

#define LINE_BURST 64 /* datagrams in one send */

struct line_packet { /* one datagram: UDP payload */
	uint8_t *data;
	uint32_t len;
	/* Sending: where to; NULL: the other end that the line was opened with.  Equal places are
	 * found by pointer.  Receiving: not set. */
	const struct endpoint *to;
};

struct line_counters {    /* since the line was opened */
	uint64_t dropped; /* came, and found our own queue full: no device's fault */
	uint64_t blocked; /* times that our own queue had no room for sending */
	uint64_t refused; /* ICMP errors, and datagrams that the kernel would not send */
	int last_refusal; /* errno of the last of those, 0: none */
	uint64_t datagrams_sent, datagrams_received;
	uint64_t calls_sent, calls_received; /* system calls that did it */
};

struct line;

struct line_kind {
	const char *name;
	int (*send)(struct line *l, const struct line_packet *packets, size_t n);
	int (*send_one)(struct line *l, const uint8_t *data, size_t len, const struct endpoint *to);
	int (*receive)(struct line *l, const struct line_packet **ret_packets);
	void (*counters)(const struct line *l, struct line_counters *ret);
	void (*close)(struct line *l);
};

struct line { /* first member of what each kind has */
	const struct line_kind *kind;
	int fd; /* to poll() for POLLIN */
};

/*
 * Send up to LINE_BURST datagrams in their order.  Those of one length and place that follow each
 * other may leave as one system call's super-packet.
 *
 * Returns how many were taken: fewer than n when there was no room, and then the rest may be tried
 * again.  A datagram that the kernel refuses for good (no route, too long) counts as taken, and as
 * refused: it is lost like any other.
 */
static inline int
line_send(struct line *l, const struct line_packet *packets, size_t n)
{
	return l->kind->send(l, packets, n);
}

/* One datagram beside the bursts: handshakes, keepalives.  0 or -errno. */
[[nodiscard]] static inline int
line_send_one(struct line *l, const uint8_t *data, size_t len, const struct endpoint *to)
{
	return l->kind->send_one(l, data, len, to);
}

/*
 * What has come, without waiting.  The packets and their bytes, which may be written to, are valid
 * until the next call.  Returns how many.
 */
static inline int
line_receive(struct line *l, const struct line_packet **ret_packets)
{
	return l->kind->receive(l, ret_packets);
}

static inline void
line_counters(const struct line *l, struct line_counters *ret)
{
	l->kind->counters(l, ret);
}

static inline void
line_close(struct line *l)
{
	if (l != NULL)
		l->kind->close(l);
}

#endif
