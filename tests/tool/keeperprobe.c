/* SPDX-License-Identifier: BSD-3-Clause
 *
 *     keeperprobe RUN_DIR
 *
 * Attaches to a data plane as its control plane and does what standard input says, a line each:
 *
 *     open IFNAME [generic]   ask for a port that carries frames; prints the answer
 *     close IFNAME            the same for closing it
 *     raw KIND IFINDEX NAME   a request as it is given
 *     rows                    print state.ports
 *     pids                    print forwarder's process and how many there were
 *     kill                    kill -9 the forwarder; prints after how many microseconds its
 *                             successor was about to begin
 *
 * Every answer is one line that begins with the word of the request.  Ends at the end of input.
 */

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/shm/channel.h"
#include "lib/shm/region.h"

#define ANSWER_MS 20000

static struct shm_state *state;

static void
fail(const char *what)
{
	fprintf(stderr, "keeperprobe: %s\n", what);
	exit(1);
}

static struct shm_attach
receive(int sock, int fds[SHM_N_FDS], size_t *n)
{
	struct pollfd fd = { .fd = sock, .events = POLLIN };
	struct shm_attach msg;

	if (poll(&fd, 1, ANSWER_MS) != 1)
		fail("no answer");
	if (shm_channel_receive(sock, &msg, fds, n) < 0)
		fail("the keeper closed the connection");
	return msg;
}

static int
attach(const char *run_dir)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct shm_attach msg = shm_attach_message(SHM_ATTACH_HELLO);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fds[SHM_N_FDS];
	size_t n;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/" SHM_SOCKET_NAME, run_dir);
	if (sock < 0 || connect(sock, (const struct sockaddr *)&sun, sizeof(sun)) < 0 ||
		shm_channel_send(sock, &msg, NULL, 0) < 0)
		fail("nobody listens in RUN_DIR");
	msg = receive(sock, fds, &n);
	if (msg.kind != SHM_ATTACH_GRANT || n < SHM_FD_STATE + 1)
		fail(msg.text);
	if (shm_region_map(fds[SHM_FD_STATE], sizeof(*state), false, (void **)&state) < 0)
		fail("state cannot be mapped");
	printf("attached epoch %u\n", msg.epoch);
	return sock;
}

static void
ask(int sock, const char *word, unsigned kind, unsigned ifindex, const char *name, bool generic)
{
	struct shm_attach msg = shm_attach_message((enum shm_attach_kind)kind);
	int fds[SHM_N_FDS];
	size_t n;

	msg.ifindex = ifindex;
	msg.listen_port = generic ? 1 : 0;
	snprintf(msg.name, sizeof(msg.name), "%s", name);
	if (shm_channel_send(sock, &msg, NULL, 0) < 0)
		fail("the keeper is gone");
	msg = receive(sock, fds, &n);
	printf("%s ifindex %u mode %u: %s\n", word, msg.ifindex, msg.mode, msg.text);
}

static void
print_rows(void)
{
	printf("rows %u", state->n_ports);
	for (unsigned i = 0; i < state->n_ports && i < SHM_MAX_PORTS; i++) {
		const struct shm_port_counters *p = &state->ports[i];

		printf("; %s %s mode %u queues %u rx %llu tx %llu", p->name, p->driver, p->mode,
			p->n_queues, (unsigned long long)p->rx_packets,
			(unsigned long long)p->tx_packets);
	}
	printf("\n");
}

static void
kill_forwarder(void)
{
	const volatile uint32_t *starts = &state->forwarder_starts;
	struct mono began = mono_now();
	uint32_t before = *starts;

	if (state->forwarder_pid <= 1 || kill((pid_t)state->forwarder_pid, SIGKILL) < 0)
		fail("there is no forwarder");
	while (*starts == before)
		if (mono_diff_ns(mono_now(), began) > ANSWER_MS * NS_PER_MS)
			fail("no other forwarder came");
	printf("kill us %lld\n", (long long)mono_diff_ns(mono_now(), began) / 1000);
}

static void
obey(int sock, const char *line)
{
	char name[64] = "", more[64] = "";
	unsigned kind, ifindex;

	if (sscanf(line, "open %63s %63s", name, more) >= 1)
		ask(sock, "open", SHM_ATTACH_OPEN_PORT, if_nametoindex(name), name,
			strcmp(more, "generic") == 0);
	else if (sscanf(line, "close %63s", name) == 1)
		ask(sock, "close", SHM_ATTACH_CLOSE_PORT, if_nametoindex(name), name, false);
	else if (sscanf(line, "raw %u %u %63s", &kind, &ifindex, name) == 3)
		ask(sock, "raw", kind, ifindex, name, true);
	else if (strncmp(line, "rows", 4) == 0)
		print_rows();
	else if (strncmp(line, "pids", 4) == 0)
		printf("pids forwarder %u starts %u\n", state->forwarder_pid,
			state->forwarder_starts);
	else if (strncmp(line, "kill", 4) == 0)
		kill_forwarder();
	else
		fail("no such command");
}

int
main(int argc, char **argv)
{
	char line[256];
	int sock;

	if (argc != 2)
		fail("usage: keeperprobe RUN_DIR");
	setvbuf(stdout, NULL, _IOLBF, 0);
	sock = attach(argv[1]);
	while (fgets(line, sizeof(line), stdin) != NULL)
		obey(sock, line);
	return 0;
}
