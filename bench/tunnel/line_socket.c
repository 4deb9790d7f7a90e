/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/line_socket.h"

#include <errno.h>
#include <time.h> // what the next one forgets

#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/tunnel/netns.h"

#define BUFFER_BYTES  (64 << 20) /* what is asked for, each way */
#define RX_MESSAGES   16         /* in one system call */
#define RX_BYTES      65536      /* what merging makes at most */
#define RX_SEGMENTS   128        /* of one merged message */
#define TX_SEGMENTS   64         /* UDP_MAX_SEGMENTS of older kernels */
#define TX_BYTES      65000      /* of one super-packet: an IP packet without its headers */
#define CONTROL_BYTES 64
#define MAX_ERRORS    8 /* of others that a send may come across before it gives up */

struct line_socket {
	struct line line; // first
	enum addr_family family;
	_Atomic bool may_merge; // the path takes super-packets; cleared by the sender

	// Written by one thread each, read by whoever reports.
	_Atomic uint64_t blocked, refused, sent, received, calls_sent, calls_received;
	_Atomic int last_refusal;

	struct { // the sender's
		struct mmsghdr messages[LINE_BURST];
		struct iovec iov[LINE_BURST];
		struct sockaddr_storage names[LINE_BURST];
		unsigned n_packets[LINE_BURST]; // of each message
		_Alignas(struct cmsghdr) uint8_t control[LINE_BURST][CONTROL_BYTES];
	} tx;

	struct { // the receiver's
		struct mmsghdr messages[RX_MESSAGES];
		struct iovec iov[RX_MESSAGES];
		struct line_packet packets[RX_MESSAGES * RX_SEGMENTS];
		_Alignas(struct cmsghdr) uint8_t control[RX_MESSAGES][CONTROL_BYTES];
		_Alignas(64) uint8_t data[RX_MESSAGES][RX_BYTES];
	} rx;
};

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- addresses ---- */

static socklen_t
name_of(const struct endpoint *e, enum addr_family family, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	if (family == ADDR_V4) {
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(e->port) };
		memcpy(&v4->sin_addr, e->addr.bytes, 4);
		return sizeof(*v4);
	}
	*v6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_port = htons(e->port), .sin6_scope_id = e->scope_id
	};
	memcpy(&v6->sin6_addr, e->addr.bytes, 16);
	return sizeof(*v6);
}

struct endpoint
line_socket_local(const struct line *line)
{
	struct sockaddr_storage name = {};
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&name;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&name;
	socklen_t len = sizeof(name);
	struct endpoint e = {};

	if (getsockname(line->fd, (struct sockaddr *)&name, &len) < 0)
		return e;
	if (name.ss_family == AF_INET) {
		e.addr.family = ADDR_V4;
		memcpy(e.addr.bytes, &v4->sin_addr, 4);
		e.port = ntohs(v4->sin_port);
	} else {
		e.addr.family = ADDR_V6;
		memcpy(e.addr.bytes, &v6->sin6_addr, 16);
		e.port = ntohs(v6->sin6_port);
	}
	return e;
}

/* ---- errors ---- */

static void
note_refusal(struct line_socket *s, int error, uint64_t n)
{
	add(&s->refused, n);
	atomic_store_explicit(&s->last_refusal, error, memory_order_relaxed);
}

// ICMP errors wait in a queue of their own, and poll() would not sleep before it is empty.
static void
drain_errors(struct line_socket *s)
{
	for (;;) {
		uint8_t control[512] = {}, byte;
		struct iovec iov = { &byte, 1 };
		struct msghdr msg = { .msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };

		if (recvmsg(s->line.fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
			struct sock_extended_err e;

			if ((c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR) &&
				(c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR))
				continue;
			memcpy(&e, CMSG_DATA(c), sizeof(e));
			note_refusal(s, (int)e.ee_errno, 1);
		}
	}
}

// Errors that an earlier datagram brought back, and that say nothing about this one.
static bool
is_of_earlier(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
	       error == EHOSTDOWN || error == EPROTO || error == ENOPROTOOPT || error == EINTR;
}

/* ---- sending ---- */

static void
add_segment_len(struct msghdr *msg, uint8_t *control, uint32_t len)
{
	uint16_t segment_len = (uint16_t)len;
	struct cmsghdr *c = (struct cmsghdr *)control;

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment_len));
	memcpy(CMSG_DATA(c), &segment_len, sizeof(segment_len));
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(sizeof(segment_len));
}

// How many of the packets can leave as one: one length and place, and a shorter one at the end.
static unsigned
count_mergeable(const struct line_packet *p, size_t n)
{
	uint32_t len = p[0].len, bytes = len;
	unsigned count = 1;

	while (count < n && count < TX_SEGMENTS && p[count].to == p[0].to && p[count].len <= len &&
		bytes + p[count].len <= TX_BYTES) {
		bytes += p[count].len;
		if (p[count++].len < len)
			break;
	}
	return count;
}

// Lay n packets out as messages; returns how many messages.
static unsigned
lay_out(struct line_socket *s, const struct line_packet *packets, size_t n)
{
	bool may_merge = atomic_load_explicit(&s->may_merge, memory_order_relaxed);
	unsigned n_messages = 0;

	for (size_t i = 0; i < n; n_messages++) {
		struct msghdr *msg = &s->tx.messages[n_messages].msg_hdr;
		unsigned count = may_merge ? count_mergeable(&packets[i], n - i) : 1;

		*msg = (struct msghdr){ .msg_iov = &s->tx.iov[i], .msg_iovlen = count };
		if (packets[i].to != NULL) {
			msg->msg_name = &s->tx.names[n_messages];
			msg->msg_namelen =
				name_of(packets[i].to, s->family, &s->tx.names[n_messages]);
		}
		if (count > 1)
			add_segment_len(msg, s->tx.control[n_messages], packets[i].len);
		for (unsigned k = 0; k < count; k++)
			s->tx.iov[i + k] =
				(struct iovec){ packets[i + k].data, packets[i + k].len };
		s->tx.n_packets[n_messages] = count;
		i += count;
	}
	return n_messages;
}

static unsigned
packets_of(const struct line_socket *s, unsigned from, unsigned to)
{
	unsigned n = 0;

	for (unsigned i = from; i < to; i++)
		n += s->tx.n_packets[i];
	return n;
}

// Where super-packets are not taken: the error of a first message that is one.
static bool
is_merging_refused(const struct line_socket *s, unsigned message, int error)
{
	return s->tx.n_packets[message] > 1 &&
	       (error == EIO || error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP);
}

static int
socket_send(struct line *l, const struct line_packet *packets, size_t n)
{
	struct line_socket *s = (struct line_socket *)l;
	unsigned n_messages, done = 0, taken = 0, errors = 0;
	int error;

	if (n > LINE_BURST)
		n = LINE_BURST;
	n_messages = lay_out(s, packets, n);
	while (done < n_messages) {
		int sent = sendmmsg(l->fd, &s->tx.messages[done], n_messages - done, MSG_DONTWAIT);

		add(&s->calls_sent, 1);
		if (sent > 0) {
			taken += packets_of(s, done, done + (unsigned)sent);
			done += (unsigned)sent;
			continue;
		}
		error = errno;
		if (error == EAGAIN || error == ENOBUFS) {
			add(&s->blocked, 1);
			break;
		}
		if (is_merging_refused(s, done, error)) {
			atomic_store_explicit(&s->may_merge, false, memory_order_relaxed);
			add(&s->sent, taken);
			return (int)taken + socket_send(l, packets + taken, n - taken);
		}
		drain_errors(s);
		if (is_of_earlier(error) && errors++ < MAX_ERRORS)
			continue;
		// This one cannot go; the others perhaps.
		note_refusal(s, error, s->tx.n_packets[done]);
		taken += s->tx.n_packets[done++];
		errors = 0;
	}
	add(&s->sent, taken);
	return (int)taken;
}

static int
socket_send_one(struct line *l, const uint8_t *data, size_t len, const struct endpoint *to)
{
	struct line_socket *s = (struct line_socket *)l;
	struct sockaddr_storage name;
	socklen_t name_len = to != NULL ? name_of(to, s->family, &name) : 0;

	int error = 0;

	for (unsigned i = 0; i <= MAX_ERRORS; i++) {
		if (sendto(l->fd, data, len, 0, to != NULL ? (struct sockaddr *)&name : NULL,
			    name_len) >= 0)
			return 0;
		error = errno;
		drain_errors(s);
		if (!is_of_earlier(error))
			break;
	}
	note_refusal(s, error, 1);
	return -error;
}

/* ---- receiving ---- */

static uint32_t
merged_len(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		int len;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&len, CMSG_DATA(c), sizeof(len));
		return len > 0 ? (uint32_t)len : 0;
	}
	return 0;
}

static unsigned
cut(struct line_socket *s, unsigned message, unsigned n_packets)
{
	struct mmsghdr *m = &s->rx.messages[message];
	uint32_t left = m->msg_len, each = merged_len(&m->msg_hdr);
	uint8_t *data = s->rx.data[message];
	unsigned n = 0;

	if (each == 0)
		each = left;
	// An empty datagram is one too.
	do {
		uint32_t len = left < each ? left : each;

		s->rx.packets[n_packets + n++] = (struct line_packet){ .data = data, .len = len };
		data += len;
		left -= len;
	} while (left > 0 && n < RX_SEGMENTS);
	return n;
}

static int
socket_receive(struct line *l, const struct line_packet **ret_packets)
{
	struct line_socket *s = (struct line_socket *)l;
	unsigned n_packets = 0;
	int n;

	for (unsigned i = 0; i < RX_MESSAGES; i++) {
		s->rx.iov[i] = (struct iovec){ s->rx.data[i], RX_BYTES };
		s->rx.messages[i].msg_hdr = (struct msghdr){ .msg_iov = &s->rx.iov[i],
			.msg_iovlen = 1,
			.msg_control = s->rx.control[i],
			.msg_controllen = CONTROL_BYTES };
	}
	n = recvmmsg(l->fd, s->rx.messages, RX_MESSAGES, MSG_DONTWAIT, NULL);
	add(&s->calls_received, 1);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			drain_errors(s);
		return 0;
	}
	for (int i = 0; i < n; i++)
		n_packets += cut(s, (unsigned)i, n_packets);
	add(&s->received, n_packets);
	*ret_packets = s->rx.packets;
	return (int)n_packets;
}

/* ---- the socket ---- */

static void
socket_counters(const struct line *l, struct line_counters *ret)
{
	const struct line_socket *s = (const struct line_socket *)l;
	uint32_t info[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(info);

	if (getsockopt(l->fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		info[SK_MEMINFO_DROPS] = 0;
	*ret = (struct line_counters){
		.dropped = info[SK_MEMINFO_DROPS],
		.blocked = atomic_load_explicit(&s->blocked, memory_order_relaxed),
		.refused = atomic_load_explicit(&s->refused, memory_order_relaxed),
		.last_refusal = atomic_load_explicit(&s->last_refusal, memory_order_relaxed),
		.datagrams_sent = atomic_load_explicit(&s->sent, memory_order_relaxed),
		.datagrams_received = atomic_load_explicit(&s->received, memory_order_relaxed),
		.calls_sent = atomic_load_explicit(&s->calls_sent, memory_order_relaxed),
		.calls_received = atomic_load_explicit(&s->calls_received, memory_order_relaxed),
	};
}

static void
socket_close(struct line *l)
{
	close(l->fd);
	munmap(l, sizeof(struct line_socket));
}

static const struct line_kind kind_socket = {
	.name = "socket",
	.send = socket_send,
	.send_one = socket_send_one,
	.receive = socket_receive,
	.counters = socket_counters,
	.close = socket_close,
};

static void
set(int fd, int level, int option)
{
	int on = 1;

	(void)setsockopt(fd, level, option, &on, sizeof(on));
}

static void
large_buffer(int fd, int forced, int asked)
{
	int size = BUFFER_BYTES;

	// The forced form needs a capability; what the other one gives is the limit there.
	if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, asked, &size, sizeof(size));
}

static enum addr_family
family_of(const struct line_socket_config *c)
{
	if (c->remote.addr.family != ADDR_NONE)
		return c->remote.addr.family;
	return c->local.addr.family != ADDR_NONE ? c->local.addr.family : c->family;
}

static void
prepare(int fd, enum addr_family family, const struct line_socket_config *c)
{
	large_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	large_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	if (!c->has_no_offload)
		set(fd, IPPROTO_UDP, UDP_GRO);
	if (c->is_reused)
		set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (family == ADDR_V4) {
		set(fd, IPPROTO_IP, IP_RECVERR);
	} else {
		set(fd, IPPROTO_IPV6, IPV6_RECVERR);
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	}
}

static int
open_here(const struct line_socket_config *c, enum addr_family family, enum line_step *ret_step)
{
	struct sockaddr_storage name;
	socklen_t len;
	int err, fd = socket(family == ADDR_V4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret_step = LINE_STEP_SOCKET;
	if (fd < 0)
		return -errno;
	prepare(fd, family, c);
	*ret_step = LINE_STEP_BIND;
	len = name_of(&c->local, family, &name);
	if (bind(fd, (struct sockaddr *)&name, len) < 0)
		goto fail;
	*ret_step = LINE_STEP_CONNECT;
	if (c->remote.addr.family != ADDR_NONE) {
		len = name_of(&c->remote, family, &name);
		if (connect(fd, (struct sockaddr *)&name, len) < 0)
			goto fail;
	}
	return fd;
fail:
	err = -errno;
	close(fd);
	return err;
}

int
line_socket_open(const struct line_socket_config *config,
	struct line **ret_line,
	enum line_step *ret_step)
{
	enum addr_family family = family_of(config);
	struct netns_visit visit;
	struct line_socket *s;
	int fd, err;

	*ret_step = LINE_STEP_NETNS;
	err = netns_enter(config->netns, &visit);
	if (err < 0)
		return err;
	fd = open_here(config, family, ret_step);
	err = netns_leave(&visit);
	if (fd < 0 || err < 0) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : err;
	}
	// Mapped: pages of the buffers are touched as far as messages reach.
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	s->line = (struct line){ .kind = &kind_socket, .fd = fd };
	s->family = family;
	s->may_merge = !config->has_no_offload;
	*ret_line = &s->line;
	return 0;
}
