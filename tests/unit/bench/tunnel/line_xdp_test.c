/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Datagrams as single frames over AF_XDP, between two namespaces: what goes in comes out, by the
 * rings and not by the sockets beside them.
 */

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/tunnel/line_open.h"
#include "tests/lib/tap.h"

#define PACKETS 3000
#define LEN_MAX 1400
#define PORT    4321

static uint8_t buffer[LINE_BURST][LEN_MAX];

static bool
sh(const char *line)
{
	return system(line) == 0;
}

static struct endpoint
endpoint(const char *text)
{
	struct endpoint e = {};

	(void)!endpoint_parse(text, &e);
	return e;
}

static uint32_t
fill(uint8_t *p, unsigned i)
{
	static const uint32_t lens[] = { 4, 5, 64, 1200, 1399, 1400, 33 };
	uint32_t len = lens[i % 7];

	memset(p, (int)(i * 7 & 0xff), len);
	memcpy(p, &i, sizeof(i));
	return len;
}

static bool
is_filled(const struct line_packet *p)
{
	uint8_t wanted[LEN_MAX];
	unsigned i;

	if (p->len < sizeof(i))
		return false;
	memcpy(&i, p->data, sizeof(i));
	return fill(wanted, i) == p->len && memcmp(p->data, wanted, p->len) == 0;
}

// How many came as they were; waits for a second after the last.
static unsigned
take(struct line *l, unsigned wanted)
{
	struct pollfd fd = { .fd = l->fd, .events = POLLIN };
	const struct line_packet *packets;
	unsigned n = 0;

	while (n < wanted && poll(&fd, 1, 5000) > 0) {
		int got = line_receive(l, &packets);

		for (int i = 0; i < got; i++)
			n += is_filled(&packets[i]);
	}
	return n;
}

static void
test_way(struct line *from, const struct endpoint *to, struct line *into, const char *what)
{
	struct line_counters sent, received;
	unsigned n = 0, arrived = 0;

	while (n < PACKETS) {
		struct line_packet packets[LINE_BURST];
		unsigned k, taken;

		for (k = 0; k < LINE_BURST && n + k < PACKETS; k++)
			packets[k] = (struct line_packet){
				.data = buffer[k], .len = fill(buffer[k], n + k), .to = to
			};
		taken = (unsigned)line_send(from, packets, k);
		arrived += take(into, taken);
		n += taken;
	}
	tap_int(arrived, PACKETS, what);
	line_counters(from, &sent);
	line_counters(into, &received);
	tap_int((long long)sent.datagrams_sent, PACKETS, "the sender counts them");
	tap_int((long long)received.datagrams_received, PACKETS, "and so does the receiver");
	tap_int((long long)(sent.refused + received.dropped), 0, "none was refused or dropped");
}

// A process whose namespace is the other end's.
static pid_t
start_other(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

static const char *
make_net(pid_t other)
{
	char line[512];

	snprintf(line, sizeof(line),
		"ip link add here0 type veth peer name there0 && ip link set there0 netns %d && "
		"ip addr add 10.5.0.1/24 dev here0 && ip link set here0 up && "
		"nsenter -t %d -n sh -c 'ip addr add 10.5.0.2/24 dev there0; ip link set there0 "
		"up'",
		(int)other, (int)other);
	return sh(line) ? NULL : "no veth";
}

int
main(void)
{
	const struct endpoint here = endpoint("10.5.0.1:1234");
	struct line_socket_config config = { .local = here };
	const char *why = geteuid() != 0 || unshare(CLONE_NEWNET) < 0 ? "it takes root" : NULL;
	struct line *a = NULL, *b = NULL;
	char netns[64];
	pid_t other = -1;

	if (why == NULL) {
		other = start_other();
		why = other < 0 ? "a second namespace cannot be made" : make_net(other);
	}
	if (why != NULL) {
		tap_skip("lines over AF_XDP", why);
		return tap_done();
	}
	config.remote = endpoint("10.5.0.2:4321");
	config.interface = "here0";
	if (line_open(&config, &a) < 0) {
		tap_skip("lines over AF_XDP", "AF_XDP on veth is not possible here");
		return tap_done();
	}
	snprintf(netns, sizeof(netns), "/proc/%d/ns/net", (int)other);
	config = (struct line_socket_config){
		.netns = netns,
		.local = endpoint("10.5.0.2:4321"),
		.interface = "there0",
		.towards = here.addr,
	};
	tap_int(line_open(&config, &b), 0, "a line that is not connected, in the other namespace");
	if (b != NULL) {
		test_way(a, NULL, b, "a connected line sends");
		test_way(b, &here, a, "one that is not sends");
		tap_int(line_send_one(a, buffer[0], fill(buffer[0], 1), NULL), 0,
			"one beside the bursts");
		tap_int(take(b, 1), 1, "arrives too");
	}
	line_close(b);
	line_close(a);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	return tap_done();
}
