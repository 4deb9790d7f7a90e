/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/socket_rx.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/io/socket_error.h"
#include "lib/base/bytes.h"
#include "lib/net/flow_hash.h"

#define BUFFER_LEN 65536 // a whole UDP datagram
#define BATCHES    8     // per run and socket, so that sending gets its turn
// With long messages, as few as fit the second-level cache together with the frames.
#define MESSAGES_BULKY 8
#define BULKY_LEN      (4 * 1500)

static uint32_t
overflows(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(info);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}

int
socket_rx_init(struct socket_rx *rx, int fd_v4, int fd_v6)
{
	void *buffers = mmap(NULL, SOCKET_RX_MESSAGES * BUFFER_LEN, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffers == MAP_FAILED)
		return -errno;
	rx->buffers = buffers;
	rx->fd[0] = fd_v4;
	rx->fd[1] = fd_v6;
	for (unsigned i = 0; i < SOCKET_FAMILIES; i++)
		rx->overflows_seen[i] = overflows(rx->fd[i]); // a predecessor's are not ours
	for (unsigned i = 0; i < SOCKET_RX_MESSAGES; i++) {
		rx->iov[i] = (struct iovec){ rx->buffers + (size_t)i * BUFFER_LEN, BUFFER_LEN };
		rx->msgs[i].msg_hdr.msg_iov = &rx->iov[i];
		rx->msgs[i].msg_hdr.msg_iovlen = 1;
		rx->msgs[i].msg_hdr.msg_name = &rx->from[i];
		rx->msgs[i].msg_hdr.msg_control = rx->control[i];
	}
	return 0;
}

void
socket_rx_fini(struct socket_rx *rx)
{
	if (rx->buffers != NULL)
		munmap(rx->buffers, SOCKET_RX_MESSAGES * BUFFER_LEN);
	rx->buffers = NULL;
}

static bool
is_link_local(const uint8_t *address)
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

static void
read_remote(struct pkt_outer *outer, const struct sockaddr_in6 *from)
{
	// The port is at the same place in both families.
	outer->remote_port = ntohs(from->sin6_port);
	if (from->sin6_family == AF_INET) {
		outer->family = ADDR_V4;
		memcpy(outer->remote, &((const struct sockaddr_in *)from)->sin_addr, IPV4_ADDR_LEN);
		return;
	}
	outer->family = ADDR_V6;
	memcpy(outer->remote, &from->sin6_addr, IPV6_ADDR_LEN);
	if (is_link_local(outer->remote))
		outer->ifindex = from->sin6_scope_id;
}

static void
read_option_v4(struct socket_rx_message *m, const struct cmsghdr *c)
{
	struct in_pktinfo info;

	if (c->cmsg_type == IP_PKTINFO) {
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		memcpy(m->outer.local, &info.ipi_spec_dst, IPV4_ADDR_LEN);
	} else if (c->cmsg_type == IP_TOS) {
		m->ecn = *CMSG_DATA(c) & 3; // one byte
	}
}

static void
read_option_v6(struct socket_rx_message *m, const struct cmsghdr *c)
{
	struct in6_pktinfo info;
	int class;

	if (c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		memcpy(m->outer.local, &info.ipi6_addr, IPV6_ADDR_LEN);
	} else if (c->cmsg_type == IPV6_TCLASS) {
		memcpy(&class, CMSG_DATA(c), sizeof(class));
		m->ecn = class & 3;
	}
}

static void
count_overflows(struct socket_rx *rx, struct lanes *lanes, const struct cmsghdr *c)
{
	uint32_t seen;

	memcpy(&seen, CMSG_DATA(c), sizeof(seen));
	lanes->port.counters->rx_dropped += seen - rx->overflows_seen[rx->family];
	rx->overflows_seen[rx->family] = seen;
}

static void
read_options(struct socket_rx *rx, struct lanes *lanes, struct msghdr *msg)
{
	struct socket_rx_message *m = &rx->message;
	int piece_len;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP) {
			read_option_v4(m, c);
		} else if (c->cmsg_level == IPPROTO_IPV6) {
			read_option_v6(m, c);
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&piece_len, CMSG_DATA(c), sizeof(piece_len));
			if (piece_len > 0)
				m->piece_len = (uint32_t)piece_len;
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
			count_overflows(rx, lanes, c);
		}
	}
}

static uint32_t
hash_of(const struct pkt_outer *outer, uint64_t seed)
{
	struct endpoint e = { .addr.family = outer->family, .port = outer->remote_port };

	memcpy(e.addr.bytes, outer->remote, sizeof(e.addr.bytes));
	return flow_hash_outer(&e, seed);
}

static void
open_message(struct socket_rx *rx, struct lanes *lanes)
{
	struct mmsghdr *msg = &rx->msgs[rx->at];
	struct socket_rx_message *m = &rx->message;

	*m = (struct socket_rx_message){
		.data = rx->buffers + (size_t)rx->at * BUFFER_LEN,
		.len = msg->msg_len,
		.piece_len = msg->msg_len,
	};
	read_remote(&m->outer, &rx->from[rx->at]);
	read_options(rx, lanes, &msg->msg_hdr);
	m->flow_hash = hash_of(&m->outer, lanes->hash_seed);
	m->outer_tag = pkt_outer_tag(&m->outer);
	m->lane = lanes_pick(lanes, m->flow_hash);
	if (m->len == 0)
		lanes->port.counters->malformed++; // there is nothing to hand on
	rx->is_open = true;
}

static void
fill(struct pkt *pkt, const struct socket_rx_message *m, uint32_t len)
{
	memcpy(pkt->data, m->data + m->done_len, len);
	pkt->len = len;
	pkt->kind = PKT_WIRE;
	pkt->flow_hash = m->flow_hash;
	pkt->outer_tag = m->outer_tag;
	pkt->outer_ecn = m->ecn;
	pkt->rx_outer = m->outer;
}

// Hand on what has not been done of the message.  False: held up.
static bool
split(struct socket_rx *rx, struct lanes *lanes)
{
	struct socket_rx_message *m = &rx->message;

	while (m->done_len < m->len) {
		uint32_t len = m->len - m->done_len;
		struct pkt *pkt;

		if (len > m->piece_len)
			len = m->piece_len;
		if (len > lanes->capacity) {
			lanes->port.counters->too_long++;
		} else {
			pkt = lane_frame(lanes, m->lane);
			if (pkt == NULL)
				return false;
			fill(pkt, m, len);
			lane_give(lanes, m->lane, pkt);
		}
		m->done_len += len;
	}
	return true;
}

// Hand on what has not been done of the batch.  False: held up.
static bool
finish_batch(struct socket_rx *rx, struct lanes *lanes)
{
	while (rx->at < rx->n) {
		if (!rx->is_open)
			open_message(rx, lanes);
		if (!split(rx, lanes))
			return false;
		rx->is_open = false;
		rx->at++;
	}
	return true;
}

static bool
has_long_messages(const struct socket_rx *rx)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < rx->n; i++)
		len += rx->msgs[i].msg_len;
	return len > (uint64_t)rx->n * BULKY_LEN;
}

// Returns true if there may be more.
static bool
read_batch(struct socket_rx *rx, struct lanes *lanes)
{
	unsigned max = rx->is_bulky ? MESSAGES_BULKY : SOCKET_RX_MESSAGES;
	int fd = rx->fd[rx->family];
	int n;

	rx->n = rx->at = 0;
	for (unsigned i = 0; i < max; i++) {
		rx->msgs[i].msg_hdr.msg_namelen = sizeof(rx->from[i]);
		rx->msgs[i].msg_hdr.msg_controllen = sizeof(rx->control[i]);
	}
	n = recvmmsg(fd, rx->msgs, max, MSG_DONTWAIT, NULL);
	if (n < 0) {
		if (errno == EAGAIN)
			return false;
		// Not about what waits to be read: it is still there.
		socket_error_drain(fd);
		return true;
	}
	rx->n = (unsigned)n;
	rx->is_bulky = has_long_messages(rx);
	lanes->port.counters->rx_calls++;
	return rx->n == max;
}

static enum io_state
run_family(struct socket_rx *rx, struct lanes *lanes)
{
	for (int i = 0; i < BATCHES; i++) {
		bool has_more = read_batch(rx, lanes);

		if (!finish_batch(rx, lanes))
			return IO_HELD_UP;
		if (!has_more)
			return IO_EMPTY;
	}
	return IO_MORE;
}

enum io_state
socket_rx_run(struct socket_rx *rx, struct lanes *lanes)
{
	enum io_state state = IO_EMPTY;

	if (!finish_batch(rx, lanes))
		return IO_HELD_UP;
	for (unsigned i = 0; i < SOCKET_FAMILIES; i++) {
		enum io_state one;

		// Which one is first changes, or a flood on it could starve the other.
		rx->family = (rx->family + 1) % SOCKET_FAMILIES;
		if (rx->fd[rx->family] < 0)
			continue;
		one = run_family(rx, lanes);
		if (one == IO_HELD_UP)
			return one;
		if (one == IO_MORE)
			state = one;
	}
	return state;
}
