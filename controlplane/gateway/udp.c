/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define MESSAGE_LEN 65536 /* what merging makes at most */
#define CONTROL_LEN 256

struct udp { /* mapped: pages are touched as far as messages reach */
	struct mmsghdr messages[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	struct sockaddr_storage names[UDP_BATCH];
	_Alignas(struct cmsghdr) uint8_t control[UDP_BATCH][CONTROL_LEN];
	_Alignas(4096) uint8_t data[UDP_BATCH][MESSAGE_LEN];
};

struct udp *
udp_create(void)
{
	void *p = mmap(NULL, sizeof(struct udp), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

void
udp_destroy(struct udp *udp)
{
	if (udp != NULL)
		munmap(udp, sizeof(*udp));
}

static void
set(int sock, int level, int option)
{
	int on = 1;

	(void)setsockopt(sock, level, option, &on, sizeof(on));
}

void
udp_prepare(int sock, enum addr_family family)
{
	set(sock, IPPROTO_UDP, UDP_GRO);
	if (family == ADDR_V4) {
		set(sock, IPPROTO_IP, IP_PKTINFO);
		set(sock, IPPROTO_IP, IP_RECVERR);
	} else {
		set(sock, IPPROTO_IPV6, IPV6_RECVPKTINFO);
		set(sock, IPPROTO_IPV6, IPV6_RECVERR);
	}
}

static struct endpoint
remote_of(const struct sockaddr_storage *name)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)name;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)name;
	struct endpoint e = {};

	if (name->ss_family == AF_INET) {
		e.addr.family = ADDR_V4;
		memcpy(e.addr.bytes, &v4->sin_addr, 4);
		e.port = ntohs(v4->sin_port);
	} else if (name->ss_family == AF_INET6) {
		e.addr.family = ADDR_V6;
		memcpy(e.addr.bytes, &v6->sin6_addr, 16);
		e.port = ntohs(v6->sin6_port);
		e.scope_id = v6->sin6_scope_id;
	}
	return e;
}

// Which of our addresses it was sent to, and how long merged datagrams are (0: not merged).
static void
read_control(struct msghdr *hdr, struct addr *local, size_t *segment_len)
{
	struct in_pktinfo v4;
	struct in6_pktinfo v6;
	int len;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c != NULL; c = CMSG_NXTHDR(hdr, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&v4, CMSG_DATA(c), sizeof(v4));
			local->family = ADDR_V4;
			memcpy(local->bytes, &v4.ipi_addr, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&v6, CMSG_DATA(c), sizeof(v6));
			local->family = ADDR_V6;
			memcpy(local->bytes, &v6.ipi6_addr, 16);
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&len, CMSG_DATA(c), sizeof(len));
			*segment_len = len > 0 ? (size_t)len : 0;
		}
	}
}

static void
hand_over(struct udp *udp,
	unsigned i,
	void (*take)(void *context, const struct datagram *d),
	void *context)
{
	struct msghdr *hdr = &udp->messages[i].msg_hdr;
	size_t left = udp->messages[i].msg_len, segment_len = 0;
	struct datagram d = { .remote = remote_of(&udp->names[i]), .data = udp->data[i] };

	read_control(hdr, &d.local, &segment_len);
	if ((hdr->msg_flags & MSG_TRUNC) != 0)
		return;
	if (segment_len == 0)
		segment_len = left;
	while (left > 0) {
		d.len = left < segment_len ? left : segment_len;
		take(context, &d);
		d.data += d.len;
		left -= d.len;
	}
}

unsigned
udp_receive(struct udp *udp,
	int sock,
	enum addr_family family,
	void (*take)(void *context, const struct datagram *d),
	void *context)
{
	int n;

	(void)family;
	for (unsigned i = 0; i < UDP_BATCH; i++) {
		udp->iov[i] = (struct iovec){ .iov_base = udp->data[i], .iov_len = MESSAGE_LEN };
		udp->messages[i].msg_hdr = (struct msghdr){ .msg_name = &udp->names[i],
			.msg_namelen = sizeof(udp->names[i]),
			.msg_iov = &udp->iov[i],
			.msg_iovlen = 1,
			.msg_control = udp->control[i],
			.msg_controllen = CONTROL_LEN };
	}
	n = recvmmsg(sock, udp->messages, UDP_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		hand_over(udp, (unsigned)i, take, context);
	return n > 0 ? (unsigned)n : 0;
}

static socklen_t
name_of(const struct endpoint *remote, struct sockaddr_storage *name)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)name;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)name;

	memset(name, 0, sizeof(*name));
	if (remote->addr.family == ADDR_V4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(remote->port);
		memcpy(&v4->sin_addr, remote->addr.bytes, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(remote->port);
	v6->sin6_scope_id = remote->scope_id;
	memcpy(&v6->sin6_addr, remote->addr.bytes, 16);
	return sizeof(*v6);
}

static void
put_control(struct msghdr *hdr,
	uint8_t *control,
	const struct endpoint *remote,
	const struct addr *local)
{
	struct in_pktinfo v4 = {};
	struct in6_pktinfo v6 = {};
	bool is_v4 = local->family == ADDR_V4;
	size_t len = is_v4 ? sizeof(v4) : sizeof(v6);
	struct cmsghdr *c;

	if (local->family == ADDR_NONE || local->family != remote->addr.family)
		return;
	memcpy(&v4.ipi_spec_dst, local->bytes, 4);
	memcpy(&v6.ipi6_addr, local->bytes, 16);
	v6.ipi6_ifindex = remote->scope_id;

	hdr->msg_control = control;
	hdr->msg_controllen = CMSG_SPACE(len);
	c = CMSG_FIRSTHDR(hdr);
	c->cmsg_level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
	c->cmsg_type = is_v4 ? IP_PKTINFO : IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), is_v4 ? (void *)&v4 : (void *)&v6, len);
}

int
udp_send(int sock,
	const struct endpoint *remote,
	const struct addr *local,
	const uint8_t *data,
	size_t len)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_LEN] = {};
	struct sockaddr_storage name;
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr hdr = { .msg_name = &name, .msg_iov = &iov, .msg_iovlen = 1 };

	if (sock < 0)
		return -EAFNOSUPPORT;
	hdr.msg_namelen = name_of(remote, &name);
	put_control(&hdr, control, remote, local);
	// Twice: an ICMP error for something sent earlier is reported by the next call, once.
	for (int try = 0; try < 3; try++) {
		if (sendmsg(sock, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (hdr.msg_control != NULL &&
			(errno == EINVAL || errno == EADDRNOTAVAIL || errno == ENODEV)) {
			hdr.msg_control = NULL;
			hdr.msg_controllen = 0;
		} else if (errno != EINTR && errno != ECONNREFUSED && errno != EHOSTUNREACH &&
			   errno != ENETUNREACH) {
			break;
		}
	}
	return -errno;
}

void
udp_drain_errors(int sock)
{
	uint8_t control[512], data[64];

	for (int i = 0; i < 64; i++) {
		struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
		struct msghdr hdr = { .msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };

		if (recvmsg(sock, &hdr, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
	}
}
