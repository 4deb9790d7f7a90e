/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/icmp_echo.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/net/checksum.h"

#define HEADER_LEN 8
#define TOKEN_LEN \
	8 /* the first bytes of the data: random, so that answers of others are told apart */

#define ECHO_V4       8
#define ECHO_REPLY_V4 0
#define ECHO_V6       128
#define ECHO_REPLY_V6 129

static int
open_to(const struct addr *to)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	bool is_v4 = to->family == ADDR_V4;
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC,
		is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	memcpy(&v4.sin_addr, to->bytes, 4);
	memcpy(&v6.sin6_addr, to->bytes, 16);
	if (fd < 0)
		return -errno;
	if (connect(fd, is_v4 ? (void *)&v4 : (void *)&v6, is_v4 ? sizeof(v4) : sizeof(v6)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

// Of ICMPv6 the kernel fills in the checksum, of ICMP it does not.
static void
write_request(uint8_t *p, bool is_v4, const uint8_t token[TOKEN_LEN], size_t len)
{
	memset(p, 0, HEADER_LEN + len);
	p[0] = is_v4 ? ECHO_V4 : ECHO_V6;
	memcpy(p + 4, token, 4); // identifier and number
	memcpy(p + HEADER_LEN, token, TOKEN_LEN);
	if (is_v4)
		checksum_store(p + 2, checksum_finish(checksum_add(0, p, HEADER_LEN + len)));
}

static bool
is_answer(const uint8_t *p, size_t len, bool is_v4, const uint8_t token[TOKEN_LEN])
{
	size_t header = is_v4 && len > 0 ? (p[0] & 15u) * 4u : 0; // of IPv4 it comes along

	return len >= header + HEADER_LEN + TOKEN_LEN &&
	       p[header] == (is_v4 ? ECHO_REPLY_V4 : ECHO_REPLY_V6) &&
	       memcmp(p + header + HEADER_LEN, token, TOKEN_LEN) == 0;
}

static int
wait_for_answer(int fd, bool is_v4, const uint8_t token[TOKEN_LEN], struct mono until)
{
	uint8_t answer[ICMP_ECHO_MAX_LEN + 128];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = mono_diff_ns(until, mono_now());
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)(left / NS_PER_MS) + 1) == 0)
			return -ETIMEDOUT;
		n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0 && is_answer(answer, (size_t)n, is_v4, token))
			return 0;
	}
}

int
icmp_echo(const struct addr *to, size_t len, int timeout_ms, int64_t *ret_took_ns)
{
	uint8_t request[HEADER_LEN + ICMP_ECHO_MAX_LEN], token[TOKEN_LEN];
	bool is_v4 = to->family == ADDR_V4;
	int fd = open_to(to), err;
	struct mono start;

	if (fd < 0)
		return fd;
	if (getrandom(token, sizeof(token), 0) != (ssize_t)sizeof(token))
		memset(token, 0x5c, sizeof(token));
	if (len < TOKEN_LEN)
		len = TOKEN_LEN;
	if (len > ICMP_ECHO_MAX_LEN)
		len = ICMP_ECHO_MAX_LEN;
	write_request(request, is_v4, token, len);
	start = mono_now();
	if (send(fd, request, HEADER_LEN + len, 0) < 0)
		err = -errno;
	else
		err = wait_for_answer(fd, is_v4, token, mono_add_ns(start, timeout_ms * NS_PER_MS));
	*ret_took_ns = mono_diff_ns(mono_now(), start);
	close(fd);
	return err;
}
