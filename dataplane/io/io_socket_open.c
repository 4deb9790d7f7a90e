/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/io/io_socket.h"

#define BUFFER_BYTES  (7 * 1024 * 1024) // ../shared/protocol/peer.md section 1.1
#define PORT_ATTEMPTS 32                // to find one that is free in both families

// Members of a group are numbered in the order in which they joined it.
#define TO_DATA    0
#define TO_CONTROL 1

// The first word of a message: a type, and three zero bytes (WireGuard whitepaper section 5.4).
#define TYPE_INITIATION   0x01000000
#define TYPE_RESPONSE     0x02000000
#define TYPE_COOKIE_REPLY 0x03000000
#define TYPE_TRANSPORT    0x04000000

#define LEN_INITIATION   148
#define LEN_RESPONSE     92
#define LEN_COOKIE_REPLY 64

struct pair {
	int data;
	int control;
};

static int
set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/*
 * Which member of the group gets a datagram.  The program sees the payload from its first byte.
 * The kernel merges datagrams of one flow before it asks, and the first decides for all: so a
 * handshake message goes to the control plane only if nothing is merged behind it, that is, if the
 * length is exact.  A load beyond the end gives 0, the data plane's: datagrams of less than four
 * bytes.
 */
static int
attach_split(int fd)
{
	struct sock_filter code[] = {
		/*  0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		/*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TYPE_TRANSPORT, 10, 0),
		/*  2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TYPE_INITIATION, 3, 0),
		/*  3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TYPE_RESPONSE, 4, 0),
		/*  4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TYPE_COOKIE_REPLY, 5, 0),
		/*  5 */ BPF_STMT(BPF_RET | BPF_K, TO_CONTROL), // disco, STUN
		/*  6 */ BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		/*  7 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LEN_INITIATION, 5, 4),
		/*  8 */ BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		/*  9 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LEN_RESPONSE, 3, 2),
		/* 10 */ BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		/* 11 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LEN_COOKIE_REPLY, 1, 0),
		/* 12 */ BPF_STMT(BPF_RET | BPF_K, TO_DATA),
		/* 13 */ BPF_STMT(BPF_RET | BPF_K, TO_CONTROL),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

static int
set_buffer(int fd, int forced_option, int option)
{
	// The forced variant goes beyond the machine's limit, with CAP_NET_ADMIN.
	if (set_int(fd, SOL_SOCKET, forced_option, BUFFER_BYTES) == 0)
		return 0;
	return set_int(fd, SOL_SOCKET, option, BUFFER_BYTES);
}

static int
set_options_v4(int fd)
{
	int err = set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);

	if (err == 0)
		err = set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
	if (err == 0)
		err = set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	// "Don't fragment" stays clear: a narrow path is then slow, but alive.
	if (err == 0)
		err = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	return err;
}

static int
set_options_v6(int fd)
{
	int err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);

	if (err == 0)
		err = set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (err == 0)
		err = set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	if (err == 0)
		err = set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	if (err == 0)
		err = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	return err;
}

static int
make_socket(int family, uint32_t mark, int *mark_err, int *ret_fd)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = family == AF_INET ? set_options_v4(fd) : set_options_v6(fd);
	// On both sockets of a port: the kernel decides by a hash over the group whether it merges.
	if (err == 0)
		err = set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
	if (err == 0)
		err = set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	if (err == 0)
		err = set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	if (err == 0)
		err = set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	if (err < 0) {
		close(fd);
		return err;
	}
	if (mark != 0)
		*mark_err = set_int(fd, SOL_SOCKET, SO_MARK, (int)mark);
	*ret_fd = fd;
	return 0;
}

static int
bind_wildcard(int fd, int family, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const void *address = family == AF_INET ? (const void *)&v4 : (const void *)&v6;
	socklen_t len = family == AF_INET ? sizeof(v4) : sizeof(v6);

	return bind(fd, address, len) < 0 ? -errno : 0;
}

static int
read_port(int fd, uint16_t *ret_port)
{
	struct sockaddr_in6 address; // long enough for both, the port at the same place
	socklen_t len = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return -errno;
	*ret_port = ntohs(address.sin6_port);
	return 0;
}

/*
 * The first socket is bound without SO_REUSEPORT and only then opens its port to the second: so the
 * port of another gateway, whose sockets have the same owner as ours, is taken, not joined.
 */
static int
bind_pair(const struct pair *pair, int family, uint16_t *port)
{
	int err = bind_wildcard(pair->data, family, *port);

	if (err == 0)
		err = read_port(pair->data, port);
	if (err == 0)
		err = set_int(pair->data, SOL_SOCKET, SO_REUSEPORT, 1);
	if (err == 0)
		err = set_int(pair->control, SOL_SOCKET, SO_REUSEPORT, 1);
	if (err == 0)
		err = bind_wildcard(pair->control, family, *port);
	return err == 0 ? attach_split(pair->data) : err;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int
open_pair(int family, uint16_t *port, uint32_t mark, int *mark_err, struct pair *ret_pair)
{
	struct pair pair = { -1, -1 };
	uint16_t bound = *port;
	int err;

	err = make_socket(family, mark, mark_err, &pair.data);
	if (err == 0)
		err = make_socket(family, mark, mark_err, &pair.control);
	if (err == 0)
		err = bind_pair(&pair, family, &bound);
	if (err < 0) {
		close_fd(&pair.data);
		close_fd(&pair.control);
		return err;
	}
	*port = bound;
	*ret_pair = pair;
	return 0;
}

static uint32_t
buffer_bytes(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 || value < 0)
		return 0;
	return (uint32_t)value;
}

// No such family in this kernel, switched off, or without any address.
static bool
is_without_family(int err)
{
	return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

static int
open_all(uint16_t listen_port, uint32_t mark, struct io_socket_fds *ret)
{
	struct pair v4, v6 = { -1, -1 };
	uint16_t port = listen_port;
	int mark_err = 0, err;

	err = open_pair(AF_INET, &port, mark, &mark_err, &v4);
	if (err < 0)
		return err;
	err = open_pair(AF_INET6, &port, mark, &mark_err, &v6);
	if (err < 0 && !is_without_family(err)) {
		close_fd(&v4.data);
		close_fd(&v4.control);
		return err;
	}
	*ret = (struct io_socket_fds){
		.data_v4 = v4.data,
		.data_v6 = v6.data,
		.control_v4 = v4.control,
		.control_v6 = v6.control,
		.port = port,
		.mark_err = mark_err,
		.rx_buffer_bytes = buffer_bytes(v4.data, SO_RCVBUF),
		.tx_buffer_bytes = buffer_bytes(v4.data, SO_SNDBUF),
	};
	return 0;
}

int
io_socket_open(uint16_t listen_port, uint32_t mark, struct io_socket_fds *ret)
{
	int attempts = listen_port == 0 ? PORT_ATTEMPTS : 1;
	int err;

	// A port that the kernel chose for IPv4 may be taken in IPv6.
	do {
		err = open_all(listen_port, mark, ret);
	} while (err == -EADDRINUSE && --attempts > 0);
	return err;
}

void
io_socket_close(struct io_socket_fds *fds)
{
	close_fd(&fds->data_v4);
	close_fd(&fds->data_v6);
	close_fd(&fds->control_v4);
	close_fd(&fds->control_v6);
}
