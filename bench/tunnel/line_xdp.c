/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/line_xdp.h"

#include <errno.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/harness/run.h"
#include "bench/tunnel/line_socket.h"
#include "bench/tunnel/netns.h"
#include "bench/tunnel/next_hop.h"
#include "bench/tunnel/xdp_link.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/net/checksum.h"

#define ETHERNET 14u
#define IPV4     20u
#define UDP      8u
#define HEADERS  (ETHERNET + IPV4 + UDP)
#define RX_MAX   256u

struct line_xdp {
	struct line line;    // first
	struct line *socket; // ours
	struct xdp_link *link;
	struct endpoint local, remote; // remote: ADDR_NONE: each packet has its place
	_Atomic uint64_t blocked, refused, sent, received, calls;

	// The sender's: the place of the last packet, and its headers.
	const struct endpoint *to;
	uint8_t headers[HEADERS];
	uint8_t mac[6]; // of ourselves
	uint8_t hop[6]; // of the next hop

	struct line_packet packets[RX_MAX]; // the receiver's
	struct xdp_in in[RX_MAX];
};

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

// --- sending -----------------------------------------------------------------------------------

// Everything that does not depend on a packet's length.
static void
write_headers(struct line_xdp *x, const struct endpoint *to)
{
	uint8_t *h = x->headers, *ip = h + ETHERNET, *udp = ip + IPV4;

	memset(h, 0, HEADERS);
	memcpy(h, x->hop, 6);
	memcpy(h + 6, x->mac, 6);
	store_be16(h + 12, 0x0800);
	ip[0] = 0x45;
	ip[6] = 0x40; // do not fragment
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, x->local.addr.bytes, 4);
	memcpy(ip + 16, to->addr.bytes, 4);
	store_be16(udp, x->local.port);
	store_be16(udp + 2, to->port);
	x->to = to;
}

// The UDP checksum stays zero, "none": a card would have computed and checked it.
static uint32_t
write_frame(const struct line_xdp *x, uint8_t *frame, const struct line_packet *p)
{
	uint8_t *ip = frame + ETHERNET;

	memcpy(frame, x->headers, HEADERS);
	store_be16(ip + 2, (uint16_t)(IPV4 + UDP + p->len));
	checksum_store(ip + 10, checksum_finish(checksum_add(0, ip, IPV4)));
	store_be16(ip + IPV4 + 4, (uint16_t)(UDP + p->len));
	memcpy(frame + HEADERS, p->data, p->len);
	return HEADERS + p->len;
}

static int
xdp_line_send(struct line *l, const struct line_packet *packets, size_t n)
{
	struct line_xdp *x = (struct line_xdp *)l;
	size_t i;

	for (i = 0; i < n; i++) {
		const struct line_packet *p = &packets[i];
		const struct endpoint *to = p->to != NULL ? p->to : &x->remote;
		uint8_t *frame;

		if (p->len > XDP_LINK_ROOM - HEADERS) {
			add(&x->refused, 1);
			continue;
		}
		frame = xdp_link_buffer(x->link);
		if (frame == NULL) {
			add(&x->blocked, 1);
			break;
		}
		if (to != x->to)
			write_headers(x, to);
		xdp_link_queue(x->link, frame, write_frame(x, frame, p));
		add(&x->sent, 1);
	}
	add(&x->calls, xdp_link_flush(x->link));
	return (int)i;
}

static int
xdp_line_send_one(struct line *l, const uint8_t *data, size_t len, const struct endpoint *to)
{
	return line_send_one(((struct line_xdp *)l)->socket, data, len, to);
}

// --- receiving ---------------------------------------------------------------------------------

static int
xdp_line_receive(struct line *l, const struct line_packet **ret_packets)
{
	struct line_xdp *x = (struct line_xdp *)l;
	uint32_t n = xdp_link_receive(x->link, x->in, RX_MAX), n_packets = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_in *in = &x->in[i];
		uint32_t len;

		if (in->len < HEADERS)
			continue; // the program lets none through
		len = load_be16(in->data + ETHERNET + IPV4 + 4);
		if (len < UDP || len > in->len - ETHERNET - IPV4)
			continue;
		x->packets[n_packets++] =
			(struct line_packet){ .data = in->data + HEADERS, .len = len - UDP };
	}
	if (n_packets == 0)
		return line_receive(x->socket, ret_packets);
	add(&x->received, n_packets);
	*ret_packets = x->packets;
	return (int)n_packets;
}

// --- the rest ----------------------------------------------------------------------------------

static void
xdp_line_counters(const struct line *l, struct line_counters *ret)
{
	const struct line_xdp *x = (const struct line_xdp *)l;

	line_counters(x->socket, ret);
	ret->dropped += xdp_link_dropped(x->link);
	ret->blocked += x->blocked;
	ret->refused += x->refused;
	ret->datagrams_sent += x->sent;
	ret->datagrams_received += x->received;
	ret->calls_sent += x->calls;
}

static void
xdp_line_close(struct line *l)
{
	struct line_xdp *x = (struct line_xdp *)l;

	line_close(x->socket);
	xdp_link_put(x->link);
	if (l->fd >= 0)
		close(l->fd);
	free(x);
}

static const struct line_kind kind_xdp = {
	.name = "xdp",
	.send = xdp_line_send,
	.send_one = xdp_line_send_one,
	.receive = xdp_line_receive,
	.counters = xdp_line_counters,
	.close = xdp_line_close,
};

static int
read_mac(struct line_xdp *x, const char *interface)
{
	struct ifreq ifr = {};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	if (ioctl(x->socket->fd, SIOCGIFHWADDR, &ifr) < 0)
		return -errno;
	memcpy(x->mac, ifr.ifr_hwaddr.sa_data, 6);
	return 0;
}

static int
watch(struct line_xdp *x)
{
	struct epoll_event event = { .events = EPOLLIN };

	x->line.fd = epoll_create1(EPOLL_CLOEXEC);
	if (x->line.fd < 0 || epoll_ctl(x->line.fd, EPOLL_CTL_ADD, x->socket->fd, &event) < 0)
		return -errno;
	return xdp_link_watch(x->link, x->line.fd);
}

static int
find_hop(struct line_xdp *x, const struct line_socket_config *c)
{
	x->remote = c->remote;
	if (c->remote.addr.family != ADDR_NONE)
		return next_hop_find(&c->remote.addr, x->hop);
	return c->towards.family != ADDR_NONE ? next_hop_find(&c->towards, x->hop) : 0;
}

// In the socket's namespace.
static int
open_here(struct line_xdp *x, const struct line_socket_config *c)
{
	char why[XDP_WHY_LEN];
	int err = read_mac(x, c->interface);

	if (err == 0)
		err = find_hop(x, c);
	if (err < 0) {
		bench_error(err_str(err),
			"IPv4 only; the interface must be there and up, and the way to the other "
			"end lead through it",
			"no frames can be sent by %s", c->interface);
		return err;
	}
	err = xdp_link_get(c->netns, c->interface, x->local.port, &x->link, why);
	if (err < 0) {
		bench_error(why[0] != '\0' ? why : err_str(err),
			"root of the first user namespace is needed; without the option "
			"ordinary sockets are used",
			"%s cannot be opened for AF_XDP", c->interface);
		return err;
	}
	return watch(x);
}

int
line_xdp_open(const struct line_socket_config *config, struct line *socket, struct line **ret_line)
{
	struct line_xdp *x = calloc(1, sizeof(*x));
	struct netns_visit visit;
	int err, back;

	if (x == NULL)
		return -ENOMEM;
	x->line = (struct line){ .kind = &kind_xdp, .fd = -1 };
	x->socket = socket;
	x->local = line_socket_local(socket);
	err = netns_enter(config->netns, &visit);
	if (err == 0) {
		err = open_here(x, config);
		back = netns_leave(&visit);
		err = err < 0 ? err : back;
	}
	if (err < 0) {
		x->socket = NULL; // the caller's still
		xdp_line_close(&x->line);
		return err;
	}
	*ret_line = &x->line;
	return 0;
}
