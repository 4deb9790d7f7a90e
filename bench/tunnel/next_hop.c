/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/next_hop.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TRIES    100
#define PAUSE_NS 10000000
#define IS_KNOWN 2 /* ATF_COM */

// The address that has to be asked for: a gateway, or the destination itself.  Network order.
static bool
find_route(uint32_t to, uint32_t *ret_hop)
{
	FILE *f = fopen("/proc/thread-self/net/route", "r");
	char line[256], name[32];
	unsigned destination, gateway, flags, mask, best = 0;
	bool is_found = false;

	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%31s %x %x %x %*s %*s %*s %x", name, &destination, &gateway,
			    &flags, &mask) != 5 ||
			(to & mask) != destination || (is_found && ntohl(mask) <= best))
			continue;
		is_found = true;
		best = ntohl(mask);
		*ret_hop = gateway != 0 ? gateway : to;
	}
	fclose(f);
	return is_found;
}

static bool
find_neighbour(uint32_t hop, uint8_t ret_mac[6])
{
	FILE *f = fopen("/proc/thread-self/net/arp", "r");
	char line[256];
	bool is_found = false;

	if (f == NULL)
		return false;
	while (!is_found && fgets(line, sizeof(line), f) != NULL) {
		unsigned a[4], flags, m[6];

		if (sscanf(line, "%u.%u.%u.%u %*s %x %x:%x:%x:%x:%x:%x", &a[0], &a[1], &a[2], &a[3],
			    &flags, &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 11 ||
			htonl(a[0] << 24 | a[1] << 16 | a[2] << 8 | a[3]) != hop ||
			(flags & IS_KNOWN) == 0)
			continue;
		for (unsigned i = 0; i < 6; i++)
			ret_mac[i] = (uint8_t)m[i];
		is_found = true;
	}
	fclose(f);
	return is_found;
}

// A datagram to the discard port makes the kernel ask.
static void
knock(uint32_t hop)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = hop
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	(void)!sendto(fd, "", 1, 0, (const struct sockaddr *)&to, sizeof(to));
	close(fd);
}

int
next_hop_find(const struct addr *to, uint8_t ret_mac[6])
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	uint32_t address, hop;

	if (to->family != ADDR_V4)
		return -EAFNOSUPPORT;
	memcpy(&address, to->bytes, sizeof(address));
	if (!find_route(address, &hop))
		return -ENETUNREACH;
	for (unsigned i = 0; i < TRIES; i++) {
		if (find_neighbour(hop, ret_mac))
			return 0;
		if (i % 20 == 0)
			knock(hop);
		nanosleep(&pause, NULL);
	}
	return -EHOSTUNREACH;
}
