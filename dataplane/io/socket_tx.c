/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/socket_tx.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "dataplane/io/socket_error.h"
#include "lib/net/addr.h"
#include "lib/net/flow_hash.h"

#define WAIT_MS      10 // for room, per run; then packets are dropped
#define REFUSAL_NS   (10 * NS_PER_S)
#define OPEN_GROUPS  8 // of different places, that may interleave and still be filled
#define MAX_ATTEMPTS 8 // of a message, while others' errors come between

static const uint8_t no_address[16];

void
socket_tx_init(struct socket_tx *tx, int fd_v4, int fd_v6, struct port_counters *counters)
{
	tx->counters = counters;
	tx->batch[0].fd = fd_v4;
	tx->batch[1].fd = fd_v6;
}

static bool
has_local(const struct pkt_outer *outer)
{
	return memcmp(outer->local, no_address, sizeof(no_address)) != 0;
}

/* ---- messages ---- */

static void
add_option(struct msghdr *msg, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)msg->msg_control + msg->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

static void
address_v4(struct msghdr *msg, const struct socket_tx_group *g, bool with_local)
{
	struct sockaddr_in *to = msg->msg_name;
	struct in_pktinfo info = {};
	int tos = g->ecn;

	*to = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(g->outer.remote_port),
	};
	memcpy(&to->sin_addr, g->outer.remote, IPV4_ADDR_LEN);
	msg->msg_namelen = sizeof(*to);
	if (with_local) {
		memcpy(&info.ipi_spec_dst, g->outer.local, IPV4_ADDR_LEN);
		add_option(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (tos != 0)
		add_option(msg, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
}

static void
address_v6(struct msghdr *msg, const struct socket_tx_group *g, bool with_local)
{
	struct sockaddr_in6 *to = msg->msg_name;
	struct in6_pktinfo info = {};
	int class = g->ecn;

	*to = (struct sockaddr_in6){
		.sin6_family = AF_INET6,
		.sin6_port = htons(g->outer.remote_port),
		.sin6_scope_id = g->outer.ifindex,
	};
	memcpy(&to->sin6_addr, g->outer.remote, IPV6_ADDR_LEN);
	msg->msg_namelen = sizeof(*to);
	if (with_local) {
		memcpy(&info.ipi6_addr, g->outer.local, IPV6_ADDR_LEN);
		info.ipi6_ifindex = g->outer.ifindex;
		add_option(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (class != 0)
		add_option(msg, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof(class));
}

// Everything of a message but what it carries.
static void
address(struct msghdr *msg, const struct socket_tx_group *g, bool with_local)
{
	msg->msg_controllen = 0;
	if (g->outer.family == ADDR_V4)
		address_v4(msg, g, with_local);
	else
		address_v6(msg, g, with_local);
}

static void
build_message(struct socket_tx_batch *b, unsigned i)
{
	struct socket_tx_group *g = &b->groups[i];
	struct msghdr *msg = &b->msgs[i].msg_hdr;
	uint16_t piece_len = (uint16_t)g->piece_len;

	*msg = (struct msghdr){
		.msg_name = &b->parts[i].to,
		.msg_control = b->parts[i].control,
		.msg_iov = &b->iov[b->n_iov],
		.msg_iovlen = g->n,
	};
	for (struct pkt *p = g->first; p != NULL; p = p->next)
		b->iov[b->n_iov++] = (struct iovec){ p->data, p->len };
	address(msg, g, has_local(&g->outer));
	if (g->n > 1)
		add_option(msg, IPPROTO_UDP, UDP_SEGMENT, &piece_len, sizeof(piece_len));
}

/* ---- places where the kernel does not cut ---- */

static uint32_t
place_of(const struct pkt_outer *outer)
{
	struct endpoint e = { .port = outer->remote_port };

	memcpy(e.addr.bytes, outer->remote, sizeof(e.addr.bytes));
	return flow_hash_outer(&e, outer->family) | 1;
}

static void
remember_refusal(struct socket_tx *tx, const struct socket_tx_group *g)
{
	uint32_t place = place_of(&g->outer);

	tx->refusals[place / 2 % SOCKET_TX_REFUSALS] = (struct socket_tx_refusal){
		.place = place,
		.piece_len = g->piece_len,
		.until = mono_add_ns(mono_now(), REFUSAL_NS),
	};
	tx->n_refusals++;
}

// Whether packets of this length must go to this place one by one.
static bool
is_refused(struct socket_tx *tx, const struct pkt_outer *outer, uint32_t len)
{
	struct socket_tx_refusal *r;
	uint32_t place;

	if (tx->n_refusals == 0)
		return false;
	place = place_of(outer);
	r = &tx->refusals[place / 2 % SOCKET_TX_REFUSALS];
	if (r->place != place || len < r->piece_len)
		return false;
	if (mono_diff_ns(r->until, mono_now()) > 0)
		return true;
	r->place = 0; // the path may have changed: try again
	return false;
}

/* ---- sending ---- */

// Wait for room in the socket's buffer, for a bounded time in each run.
static bool
wait_for_room(struct socket_tx *tx, int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
	struct mono before = mono_now();
	int n;

	if (tx->wait_left_ms <= 0)
		return false;
	n = poll(&pollfd, 1, tx->wait_left_ms);
	// A wake-up costs a millisecond of what is left, so that there is an end to it.
	tx->wait_left_ms -= 1 + (int)(mono_diff_ns(mono_now(), before) / NS_PER_MS);
	return n > 0;
}

/*
 * Send one message, in spite of errors that were queued for others.  The first failure may be
 * such an error, and every later one if it left something in the queue.
 * Returns 0 or the negative errno that is this message's own.
 */
static int
send_message(struct socket_tx *tx, int fd, const struct msghdr *msg)
{
	int err = 0;

	for (int i = 0; i < MAX_ATTEMPTS; i++) {
		if (sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
			tx->counters->tx_calls++;
			return 0;
		}
		err = -errno;
		if (err == -ENOBUFS)
			return err; // the device's queue has dropped it: sent is sent
		if (err == -EAGAIN && !wait_for_room(tx, fd))
			return err;
		if (err == -EAGAIN || err == -EINTR)
			continue;
		if (socket_error_drain(fd) == 0 && i > 0)
			return err;
	}
	return err;
}

static void
count(struct socket_tx *tx, uint32_t packets, uint32_t bytes)
{
	tx->counters->tx_packets += packets;
	tx->counters->tx_bytes += bytes;
}

// Whether an error can be about the source address: this machine may have lost it.
static bool
is_about_source(int err)
{
	// By the kernel's version and the family.
	return err == -EINVAL || err == -ENETUNREACH || err == -EADDRNOTAVAIL;
}

// Whether an error can be about UDP_SEGMENT.
static bool
is_about_cutting(int err)
{
	return err == -EINVAL || err == -EIO || err == -EMSGSIZE || err == -EOPNOTSUPP;
}

// Send the packets of a group one by one: the kernel cuts what is too long for the path into
// fragments, but not into segments.
static void
send_singly(struct socket_tx *tx, int fd, const struct socket_tx_group *g)
{
	bool with_local = has_local(&g->outer);
	struct socket_tx_message part;
	struct iovec iov;
	struct msghdr msg = {
		.msg_name = &part.to,
		.msg_control = part.control,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	uint32_t n_refused = 0;
	int one = 0;

	address(&msg, g, with_local);
	for (struct pkt *p = g->first; p != NULL; p = p->next) {
		if (one == -ENETUNREACH) {
			n_refused++; // from any address, and so for all
			continue;
		}
		iov = (struct iovec){ p->data, p->len };
		one = send_message(tx, fd, &msg);
		if (with_local && is_about_source(one)) {
			with_local = false;
			address(&msg, g, false);
			one = send_message(tx, fd, &msg);
		}
		if (one == 0)
			count(tx, 1, p->len);
		else
			n_refused++;
	}
	tx->counters->tx_dropped += n_refused;
	if (g->n > 1 && with_local == has_local(&g->outer) && n_refused == 0)
		remember_refusal(tx, g); // it was the cutting that did not work
}

// Send a message at which sendmmsg() stopped with an error that may have been another's.
static void
send_again(struct socket_tx *tx, struct socket_tx_batch *b, unsigned i)
{
	struct socket_tx_group *g = &b->groups[i];
	int err = send_message(tx, b->fd, &b->msgs[i].msg_hdr);

	if (err == 0)
		count(tx, g->n, g->len);
	else if ((g->n > 1 && is_about_cutting(err)) ||
		 (has_local(&g->outer) && is_about_source(err)))
		send_singly(tx, b->fd, g);
	else
		tx->counters->tx_dropped += g->n;
}

static void
send_batch(struct socket_tx *tx, struct socket_tx_batch *b)
{
	unsigned i = 0;

	for (unsigned k = 0; k < b->n; k++)
		build_message(b, k);
	while (i < b->n) {
		int n = sendmmsg(b->fd, &b->msgs[i], b->n - i, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			tx->counters->tx_calls++;
			for (int k = 0; k < n; k++, i++)
				count(tx, b->groups[i].n, b->groups[i].len);
		} else if (errno == ENOBUFS) {
			tx->counters->tx_dropped += b->groups[i++].n;
		} else {
			send_again(tx, b, i++);
		}
	}
	b->n = 0;
	b->n_iov = 0;
}

/* ---- grouping ---- */

static bool
can_join(const struct socket_tx_group *g, const struct pkt *p)
{
	return g->last->len == g->piece_len && p->len <= g->piece_len && p->len > 0 &&
	       g->ecn == p->outer_ecn && g->n < SOCKET_TX_SEGMENTS &&
	       g->len + p->len <= SOCKET_TX_LEN;
}

// The group of packets to the same place that was opened last, if it is a recent one.
static struct socket_tx_group *
find_group(struct socket_tx_batch *b, const struct pkt_outer *key)
{
	unsigned oldest = b->n > OPEN_GROUPS ? b->n - OPEN_GROUPS : 0;

	for (unsigned i = b->n; i-- > oldest;) {
		if (b->groups[i].key == key)
			return &b->groups[i];
	}
	return NULL;
}

static void
open_group(struct socket_tx_batch *b, struct pkt *p, const struct pkt_outer *outer)
{
	b->groups[b->n++] = (struct socket_tx_group){
		.first = p,
		.last = p,
		.n = 1,
		.len = p->len,
		.piece_len = p->len,
		.key = p->outer,
		.outer = *outer,
		.ecn = p->outer_ecn & 3,
	};
}

// False: this packet cannot be sent.
static bool
add(struct socket_tx *tx, struct pkt *p)
{
	struct socket_tx_group *g;
	struct pkt_outer outer;
	struct socket_tx_batch *b;

	p->next = NULL;
	for (unsigned i = 0; i < 2; i++) {
		g = find_group(&tx->batch[i], p->outer);
		if (g == NULL || !can_join(g, p) || is_refused(tx, &g->outer, g->piece_len))
			continue;
		g->last->next = p;
		g->last = p;
		g->n++;
		g->len += p->len;
		return true;
	}
	// Others may change it: one copy, by which all is decided.
	outer = *p->outer;
	if (outer.family != ADDR_V4 && outer.family != ADDR_V6)
		return false;
	b = &tx->batch[outer.family == ADDR_V6];
	if (b->fd < 0)
		return false;
	open_group(b, p, &outer);
	return true;
}

static void
send_burst(struct socket_tx *tx, struct pkt **pkts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!add(tx, pkts[i]))
			tx->counters->tx_dropped++;
	}
	send_batch(tx, &tx->batch[0]);
	send_batch(tx, &tx->batch[1]);
}

uint32_t
socket_tx_run(struct socket_tx *tx, struct lanes *lanes)
{
	struct pkt *pkts[SOCKET_TX_BURST];
	uint32_t n, total = 0;

	tx->wait_left_ms = WAIT_MS;
	for (unsigned i = 0; i < lanes->n; i++) {
		// A ringful at most: what a worker adds meanwhile is for the next round.
		for (uint32_t taken = 0; taken < PKT_RING_SIZE; taken += n) {
			n = pkt_ring_get(&lanes->lane[i].tx, pkts, SOCKET_TX_BURST);
			if (n == 0)
				break;
			send_burst(tx, pkts, n);
			pool_put(&lanes->cache, pkts, n);
			total += n;
		}
	}
	return total;
}
