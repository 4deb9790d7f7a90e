/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Attaching the steer program to devices, and replacing it under traffic.
 *
 *     v0 (program) <---- veth ---- v1 (this test sends raw frames)
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/steer_kernel.h"
#include "tests/lib/steer_rows.h"
#include "tests/lib/tap.h"

#define N_FRAMES  20000
#define N_UPDATES 20

static struct steer *steer;
static char why[256];

static int
attach(struct steer *to, const char *name, bool generic, int *ret_link)
{
	int xskmap, err;

	why[0] = 0;
	err = steer_attach(
		to, steer_kernel_ifindex(name), generic, 1, ret_link, &xskmap, why, sizeof(why));
	if (err == 0)
		close(xskmap);
	return err;
}

static void
detach(struct steer *from, const char *name, int link)
{
	close(link);
	steer_release(from, steer_kernel_ifindex(name));
}

static void
test_modes(void)
{
	struct steer *other;
	int link, second;

	tap_int(attach(steer, "plain0", false, &link), -EOPNOTSUPP, "a driver without native XDP");
	tap_ok(strstr(why, "native") != NULL, "says so: %s", why);
	tap_int(attach(steer, "plain0", true, &link), 0, "generic mode works everywhere");
	detach(steer, "plain0", link);
	tap_int(attach(steer, "plain0", true, &link), 0, "again, after the link was closed");
	detach(steer, "plain0", link);

	tap_int(attach(steer, "v0", false, &link), 0, "native mode on veth");
	tap_int(steer_load(&other, why, sizeof(why)), 0, "another gateway loads its program");
	tap_int(attach(other, "v0", false, &second), -EBUSY, "the device is taken");
	tap_ok(strstr(why, "steer") != NULL, "by a program with a name: %s", why);
	tap_int(attach(other, "v0", true, &second), -EBUSY, "in generic mode too");
	tap_ok(strstr(why, "steer") != NULL, "by the same: %s", why);
	detach(steer, "v0", link);
	tap_int(attach(other, "v0", false, &second), 0, "free once its link is closed");
	detach(other, "v0", second);
	steer_unload(other);

	(void)steer_kernel_ip("link add w0 numrxqueues 1 numtxqueues 1 type veth peer name w1 "
			      "numrxqueues 2 numtxqueues 2");
	(void)steer_kernel_ip("link set w0 up");
	(void)steer_kernel_ip("link set w1 up");
	tap_int(attach(steer, "w0", false, &link), -ENOSPC, "a peer that sends by more queues");
	tap_ok(strstr(why, "queues") != NULL, "says so: %s", why);
	(void)steer_kernel_ip("link del w0");

	(void)steer_kernel_ip("link set v1 mtu 9000");
	tap_int(attach(steer, "v0", false, &link), -ERANGE, "a peer that sends jumbo frames");
	tap_ok(strstr(why, "MTU") != NULL, "says so: %s", why);
	(void)steer_kernel_ip("link set v1 mtu 1500");
	tap_int(attach(steer, "v0", false, &link), 0, "fine when it does not");
	detach(steer, "v0", link);
}

static void
test_many(void)
{
	int links[STEER_MAX_DEVICES + 1];
	unsigned n = 0;
	char name[16];

	for (unsigned i = 0; i <= STEER_MAX_DEVICES; i++) {
		snprintf(name, sizeof(name), "many%u", i);
		(void)steer_kernel_ip("link add %s type bridge", name);
		if (attach(steer, name, true, &links[i]) < 0)
			break;
		n++;
	}
	tap_int(n, STEER_MAX_DEVICES, "as many devices as there are places");
	tap_ok(strstr(why, "8") != NULL, "and then: %s", why);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "many%u", i);
		detach(steer, name, links[i]);
		(void)steer_kernel_ip("link del %s", name);
	}
	tap_int(attach(steer, "v0", false, &links[0]), 0, "places are free again");
	detach(steer, "v0", links[0]);
}

/* --- replaced under traffic --------------------------------------------------------------------
 */

static uint64_t
sum(const struct steer_maps *maps, uint32_t ifindex, unsigned first)
{
	struct steer_counts counts = {};
	uint64_t n = 0;

	if (steer_read_counters(maps, ifindex, &counts) < 0)
		return 0;
	for (unsigned v = first; v < STEER_N_VERDICTS; v++)
		n += counts.packets[v];
	return n;
}

static bool
send_frames(int fd, const uint8_t *frame, size_t len, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		while (send(fd, frame, len, 0) < 0) {
			if (errno != ENOBUFS && errno != EAGAIN)
				return false;
			usleep(100);
		}
	}
	return true;
}

static void
test_update(void)
{
	static const uint8_t mac[6] = STEER_ROW_MAC;
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct prefix member = {};
	uint8_t frame[STEER_FRAME];
	uint32_t ifindex = steer_kernel_ifindex("v0");
	int link, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	unsigned updated = 0;
	bool sent = true;
	size_t len;

	len = steer_row_frame(
		&(struct steer_row_case){
			.ip = { .src = "198.51.100.9", .dst = "100.64.0.5", .protocol = 6 } },
		frame);
	to.sll_ifindex = (int)steer_kernel_ifindex("v1");
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
		prefix_parse("100.64.0.0/10", &member) < 0 ||
		steer_put_prefix(steer_maps(steer), &member, STEER_PREFIX_REDIRECT) < 0 ||
		attach(steer, "v0", false, &link) < 0) {
		tap_ok(false, "traffic is prepared: %s", strerror(errno));
		return;
	}
	memcpy(frame, mac, 6);
	tap_int(steer_update(steer, 9999, link, why, sizeof(why)), -ENODEV, "no such device");
	for (unsigned i = 0; i < N_UPDATES; i++) {
		sent &= send_frames(fd, frame, len, N_FRAMES / N_UPDATES);
		updated += steer_update(steer, ifindex, link, why, sizeof(why)) == 0;
	}
	// The device's own thread takes them in: wait for it, not for a time.
	for (unsigned i = 0; i < 2000 && sum(steer_maps(steer), ifindex, STEER_WIRE) < N_FRAMES;
		i++)
		usleep(5000);
	tap_ok(sent, "%u frames are sent", N_FRAMES);
	tap_int(updated, N_UPDATES, "the program was replaced between them");
	tap_int((long long)sum(steer_maps(steer), ifindex, STEER_DROP_CLOSED), N_FRAMES,
		"each was dropped by the one or the other: none passed in clear");
	close(fd);
	detach(steer, "v0", link);
}

int
main(void)
{
	static const uint8_t mac[6] = STEER_ROW_MAC;
	char reason[256];

	if (!steer_kernel_enter(reason, sizeof(reason))) {
		tap_skip("attaching the steer program", reason);
		return tap_done();
	}
	if (!steer_kernel_ip("link add v0 address %02x:00:00:00:00:%02x type veth peer name v1",
		    mac[0], mac[5]) ||
		!steer_kernel_ip("link add plain0 type bridge") ||
		!steer_kernel_ip("link set v0 up") || !steer_kernel_ip("link set v1 up")) {
		tap_skip("attaching the steer program", "this kernel has no veth or no bridges");
		return tap_done();
	}
	tap_int(steer_load(&steer, why, sizeof(why)), 0, "the program is loaded");
	test_modes();
	test_many();
	test_update();
	steer_unload(steer);
	return tap_done();
}
