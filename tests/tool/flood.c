/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sends what a flooder would: WireGuard initiations, or junk, from one source or from many, at a
 * rate.  Needs CAP_NET_RAW; meant for a network namespace of a test.
 *
 *     flood KIND TO PORT SOURCE N_SOURCES RATE SECONDS      KIND: handshakes, junk
 *
 * Sources are N_SOURCES IPv4 addresses from SOURCE on, each with a port of its own.  Prints one
 * JSON object: {"sent": packets, "seconds": how long it took}.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/base/bytes.h"
#include "lib/net/checksum.h"

#define HEADERS        28
#define INITIATION_LEN 148
#define MAX_JUNK       400
#define MAX_SECONDS    600
#define NS_PER_S       1000000000ull

struct flood {
	bool is_junk;
	struct sockaddr_in to;
	uint32_t source, n_sources;
	double rate, seconds;
	uint64_t random; // xorshift: the same packets each time
	uint8_t packet[HEADERS + MAX_JUNK];
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint32_t
next_random(struct flood *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return (uint32_t)(f->random >> 16);
}

// Junk is of any length, half of it with a WireGuard message's first byte.
static size_t
make_packet(struct flood *f)
{
	size_t len = f->is_junk ? 1 + next_random(f) % MAX_JUNK : INITIATION_LEN;
	uint8_t *p = f->packet, *payload = p + HEADERS;

	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)next_random(f);
	if (!f->is_junk || (len >= 4 && next_random(f) % 2 == 0)) {
		memset(payload, 0, 4);
		payload[0] = f->is_junk ? (uint8_t)(1 + next_random(f) % 5) : 1;
	}
	memset(p, 0, HEADERS);
	p[0] = 0x45;
	store_be16(p + 2, (uint16_t)(HEADERS + len));
	p[8] = 64;
	p[9] = IPPROTO_UDP;
	store_be32(p + 12, f->source + next_random(f) % f->n_sources);
	memcpy(p + 16, &f->to.sin_addr, 4);
	checksum_fill_ipv4(p, 20);
	store_be16(p + 20, (uint16_t)(1024 + next_random(f) % 60000));
	store_be16(p + 22, ntohs(f->to.sin_port));
	store_be16(p + 24, (uint16_t)(8 + len));
	return HEADERS + len;
}

static int
run(struct flood *f)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	uint64_t began = now_ns(), end = began + (uint64_t)(f->seconds * 1e9), now, sent = 0;

	if (fd < 0)
		return -errno;
	while ((now = now_ns()) < end) {
		uint64_t due = (uint64_t)((double)(now - began) * f->rate / 1e9);

		for (unsigned i = 0; sent < due && i < 256; i++) {
			size_t len = make_packet(f);

			if (sendto(fd, f->packet, len, 0, (struct sockaddr *)&f->to,
				    sizeof(f->to)) < 0 &&
				errno != ENOBUFS && errno != EPERM)
				return -errno;
			sent++;
		}
		if (sent >= due)
			nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
	}
	printf("{\"sent\": %llu, \"seconds\": %.3f}\n", (unsigned long long)sent,
		(double)(now_ns() - began) / 1e9);
	return 0;
}

int
main(int argc, char **argv)
{
	struct flood f = { .to = { .sin_family = AF_INET }, .random = 88172645463325252ull };
	struct in_addr source;
	int err;

	if (argc != 8 || inet_pton(AF_INET, argv[2], &f.to.sin_addr) != 1 ||
		inet_pton(AF_INET, argv[4], &source) != 1) {
		fprintf(stderr,
			"usage: flood handshakes|junk TO PORT SOURCE N_SOURCES RATE SECONDS\n");
		return 2;
	}
	f.is_junk = strcmp(argv[1], "junk") == 0;
	f.to.sin_port = htons((uint16_t)atoi(argv[3]));
	f.source = ntohl(source.s_addr);
	f.n_sources = (uint32_t)strtoul(argv[5], NULL, 10);
	f.rate = strtod(argv[6], NULL);
	f.seconds = strtod(argv[7], NULL);
	if (f.n_sources == 0 || f.rate <= 0 || f.seconds <= 0 || f.seconds > MAX_SECONDS) {
		fprintf(stderr, "flood: sources, rate or seconds make no sense\n");
		return 2;
	}
	err = run(&f);
	if (err < 0)
		fprintf(stderr, "flood: %s\n", strerror(-err));
	return err < 0;
}
