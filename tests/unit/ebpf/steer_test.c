/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steer program in the kernel: the rows of tests/unit/lib/net/steer_verdict_test.c, its maps,
 * the sieve under a flood, and who may write the maps.
 */

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/steer_kernel.h"
#include "tests/lib/steer_rows.h"
#include "tests/lib/tap.h"

#define NS_PER_S UINT64_C(1000000000)

static struct steer_kernel kernel;

static struct addr
address(const char *text)
{
	struct addr a = {};

	if (addr_parse(text, &a) < 0)
		tap_ok(false, "%s is an address", text);
	return a;
}

static struct prefix
prefix(const char *text)
{
	struct prefix p = {};

	if (prefix_parse(text, &p) < 0)
		tap_ok(false, "%s is a prefix", text);
	return p;
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* --- rows --------------------------------------------------------------------------------------
 */

static void
test_rows(void)
{
	uint8_t frame[STEER_FRAME];

	for (size_t i = 0; i < n_steer_rows; i++) {
		size_t len = steer_row_frame(&steer_rows[i], frame);
		enum steer_verdict wanted = steer_rows[i].wanted, got;
		uint32_t action, wanted_action = XDP_PASS;

		// The kernel runs nothing that is no Ethernet frame.
		if (len < 14)
			continue;
		if (wanted == STEER_WIRE)
			wanted = STEER_PASS_UNREAD;
		if (wanted == STEER_INNER)
			wanted = STEER_DROP_CLOSED;
		if (wanted == STEER_DROP_LENGTH || wanted == STEER_DROP_CLOSED)
			wanted_action = XDP_DROP;
		got = steer_kernel_run(&kernel, frame, len, &action);
		tap_ok(got == wanted && action == wanted_action, "%s: %s", steer_rows[i].what,
			steer_verdict_name(got));
	}
}

static enum steer_verdict
verdict_of(const char *src, const char *dst, uint32_t *ret_action)
{
	struct steer_row_case row = { .ip = { .src = src, .dst = dst, .protocol = 6 } };
	uint8_t frame[STEER_FRAME];

	return steer_kernel_run(&kernel, frame, steer_row_frame(&row, frame), ret_action);
}

static void
test_with_socket(void)
{
	uint8_t frame[STEER_FRAME];
	size_t len = steer_wire_frame("198.51.100.9", 7, "192.0.2.1", 0x04000000, 64, frame);
	int xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	uint32_t action;

	if (xsk < 0) {
		tap_skip("redirects to a socket", "this kernel has no AF_XDP");
		return;
	}
	tap_int(steer_set_socket(kernel.xskmap, 0, xsk), 0, "a worker's socket is set");
	tap_ok(steer_kernel_run(&kernel, frame, len, &action) == STEER_WIRE &&
			action == XDP_REDIRECT,
		"transport data goes to it");
	tap_ok(verdict_of("198.51.100.9", "100.64.0.5", &action) == STEER_INNER &&
			action == XDP_REDIRECT,
		"and what is for the tunnel");
	tap_int(steer_set_socket(kernel.xskmap, 0, -1), 0, "the worker is gone");
	tap_ok(steer_kernel_run(&kernel, frame, len, &action) == STEER_PASS_UNREAD &&
			action == XDP_PASS,
		"transport data passes to the kernel");
	tap_ok(verdict_of("198.51.100.9", "100.64.0.5", &action) == STEER_DROP_CLOSED &&
			action == XDP_DROP,
		"what is for the tunnel is dropped, not forwarded in clear");
	close(xsk);
}

/* --- maps --------------------------------------------------------------------------------------
 */

#define GOES_TO(dst, verdict, what) \
	tap_int(verdict_of("198.51.100.9", dst, &(uint32_t){ 0 }), verdict, what)

static void
test_prefixes(void)
{
	const struct steer_maps *maps = &kernel.maps;
	struct prefix wide = prefix("10.1.2.3/16"), host = prefix("10.1.0.9"), all = prefix("::/0");
	int err = 0;

	GOES_TO("10.1.0.9", STEER_PASS, "a network that nobody knows");
	err |= steer_put_prefix(maps, &wide, STEER_PREFIX_REDIRECT);
	GOES_TO("10.1.0.9", STEER_DROP_CLOSED, "becomes a peer's, host bits or not");
	err |= steer_put_prefix(maps, &host, STEER_PREFIX_PASS);
	GOES_TO("10.1.0.9", STEER_PASS, "but for one host");
	err |= steer_put_address(maps, &host.addr, STEER_ADDRESS_LOCAL);
	err |= steer_put_prefix(maps, &host, STEER_PREFIX_REDIRECT);
	GOES_TO("10.1.0.9", STEER_PASS, "an address of the box is the box's whatever leads there");
	err |= steer_delete_address(maps, &host.addr);
	GOES_TO("10.1.0.9", STEER_DROP_CLOSED, "and is a peer's when the box loses it");
	err |= steer_delete_prefix(maps, &host);
	err |= steer_delete_prefix(maps, &wide);
	err |= steer_delete_prefix(maps, &wide);
	GOES_TO("10.1.0.9", STEER_PASS, "gone, and deleting twice is fine");

	err |= steer_put_prefix(maps, &all, STEER_PREFIX_REDIRECT);
	tap_int(verdict_of("2001:db8::9", "2001:db8:ffff::9", &(uint32_t){ 0 }), STEER_DROP_CLOSED,
		"everything of IPv6 to an exit node");
	err |= steer_delete_prefix(maps, &all);
	tap_int(err, 0, "no call failed");
}

static void
test_sweep(void)
{
	struct steer_maps next = kernel.maps;
	struct prefix old = prefix("10.3.0.0/16"), kept = prefix("10.4.0.0/16"),
		      six = prefix("fd04::/64");
	struct prefix host = prefix("10.5.0.1");
	struct addr both = address("10.5.0.2");
	struct prefix both_host = { both, 32 };
	int err = 0;

	err |= steer_put_prefix(&kernel.maps, &old, STEER_PREFIX_REDIRECT);
	err |= steer_put_prefix(&kernel.maps, &kept, STEER_PREFIX_REDIRECT);
	err |= steer_put_prefix(&kernel.maps, &six, STEER_PREFIX_REDIRECT);
	err |= steer_put_prefix(&kernel.maps, &host, STEER_PREFIX_REDIRECT);
	err |= steer_put_prefix(&kernel.maps, &both_host, STEER_PREFIX_REDIRECT);
	err |= steer_put_address(&kernel.maps, &both, STEER_ADDRESS_LOCAL);

	// A new forwarder: it knows less.
	next.stamp++;
	err |= steer_put_prefix(&next, &kept, STEER_PREFIX_REDIRECT);
	err |= steer_put_prefix(&next, &both_host, STEER_PREFIX_REDIRECT);
	GOES_TO("10.3.0.1", STEER_DROP_CLOSED, "before the sweep, the old rows hold");
	GOES_TO("10.5.0.2", STEER_PASS, "an address too");
	err |= steer_sweep(&next);
	GOES_TO("10.3.0.1", STEER_PASS, "a prefix that was not put again is gone");
	GOES_TO("10.4.0.1", STEER_DROP_CLOSED, "one that was is there");
	GOES_TO("10.5.0.1", STEER_PASS, "a host is gone");
	GOES_TO("10.5.0.2", STEER_DROP_CLOSED, "an address is gone, its prefix is not");
	GOES_TO("100.64.0.5", STEER_PASS, "all others are gone");
	tap_int(verdict_of("2001:db8::9", "fd04::9", &(uint32_t){ 0 }), STEER_PASS, "IPv6 too");
	tap_int(err, 0, "no call failed");
}

static void
test_devices(void)
{
	static const uint8_t other[6] = { 2, 9, 9, 9, 9, 9 };
	static const uint8_t mac[6] = STEER_ROW_MAC;
	struct steer_counts counts;

	tap_int(steer_put_device(&kernel.maps, kernel.ifindex, other), 0,
		"the device's MAC changes");
	GOES_TO("100.64.0.5", STEER_PASS_OTHER_MAC, "frames for the old one are others'");
	tap_int(steer_put_device(&kernel.maps, kernel.ifindex, mac), 0, "and back");
	tap_int(steer_put_device(&kernel.maps, 9999, mac), -ENODEV, "a device without a program");
	tap_int(steer_read_counters(&kernel.maps, 9999, &counts), -ENODEV, "has no counters");
	tap_int(steer_put_settings(&STEER_NO_MAPS, &(struct steer_settings){}), 0,
		"without maps nothing is done");
	tap_int(steer_sweep(&STEER_NO_MAPS), 0, "and nothing swept");
}

/* --- the sieve ---------------------------------------------------------------------------------
 */

static unsigned
passed_of(unsigned n, const char *src, uint16_t port)
{
	uint8_t frame[STEER_FRAME];
	size_t len = steer_wire_frame(src, port, "192.0.2.1", 0x01000000, 148, frame);
	unsigned passed = 0;
	uint32_t action;

	for (unsigned i = 0; i < n; i++)
		passed += steer_kernel_run(&kernel, frame, len, &action) == STEER_PASS_WIRE;
	return passed;
}

/* A second brings at most one more: whatever this machine does meanwhile, that many are right. */
static void
tap_passed(unsigned passed, unsigned burst, uint64_t began, const char *what)
{
	uint64_t more = (now_ns() - began) / NS_PER_S + 1;

	tap_ok(passed >= burst && passed <= burst + more, "%s: %u passed", what, passed);
}

static void
test_limits(void)
{
	struct steer_limit each_second = { (uint32_t)NS_PER_S, 5 },
			   total = { (uint32_t)NS_PER_S, 20 };
	struct steer_settings settings = steer_row_settings(each_second, total);
	struct addr peer = address("198.51.100.77"), us = address("192.0.2.1");
	uint64_t began = now_ns();
	unsigned passed = 0, steered = 0;
	uint8_t frame[STEER_FRAME];
	uint32_t action;
	size_t len;
	int err = 0;

	err |= steer_put_address(&kernel.maps, &us, STEER_ADDRESS_LOCAL | STEER_ADDRESS_NAT);
	err |= steer_put_settings(&kernel.maps, &settings);
	err |= steer_put_known_source(&kernel.maps, &peer, 4001);
	err |= steer_put_known_source(&kernel.maps, &peer, 0);
	tap_int(err, 0, "limits of 5 and 20 and a peer are put");

	tap_passed(passed_of(2000, "203.0.113.1", 1), 5, began, "2,000 initiations of one source");
	for (unsigned i = 0; i < 1000; i++) {
		char src[32];

		snprintf(src, sizeof(src), "203.0.%u.%u", 100 + i / 250, 1 + i % 250);
		passed += passed_of(2, src, 1);
	}
	// One source has taken its share already.
	tap_passed(passed, 15, began, "2,000 of 1,000 sources");
	tap_passed(passed_of(9, "198.51.100.77", 4001), 5, began, "a peer after all that");
	tap_passed(passed_of(9, "198.51.100.77", 4002), 5, began, "a stranger at its address");

	len = steer_wire_frame("198.51.100.77", 4001, "192.0.2.1", 0x04000000, 64, frame);
	for (unsigned i = 0; i < 500; i++)
		steered += steer_kernel_run(&kernel, frame, len, &action) == STEER_PASS_UNREAD;
	tap_int(steered, 500, "its transport data has no limit");

	err = steer_delete_known_source(&kernel.maps, &peer, 4001);
	err |= steer_delete_known_source(&kernel.maps, &peer, 0);
	tap_int(err, 0, "the peer is gone");
	tap_passed(passed_of(50, "198.51.100.77", 4003), 0, began, "and a stranger like others");
}

/* --- who may write -----------------------------------------------------------------------------
 */

/* What a forwarder may do: nothing but use descriptors. */
static int
write_without_capabilities(void)
{
	struct prefix p = prefix("10.9.0.0/16");
	struct steer_maps maps = kernel.maps;
	struct steer_counts counts;
	struct steer *steer;
	char why[256];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		return 1;
	if (steer_load(&steer, why, sizeof(why)) != -EPERM)
		return 2;
	if (steer_put_prefix(&maps, &p, STEER_PREFIX_REDIRECT) < 0)
		return 3;
	maps.stamp = 77;
	if (steer_read_counters(&maps, kernel.ifindex, &counts) < 0)
		return 4;
	if (steer_put_settings(&maps, &(struct steer_settings){ .listen_port = 1, STEER_LIMITS }) <
		0)
		return 5;
	return steer_sweep(&maps) < 0 ? 6 : 0;
}

static void
test_without_capabilities(void)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0)
		_exit(write_without_capabilities());
	waitpid(child, &status, 0);
	tap_int(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0,
		"nobody, without capabilities, writes, reads and sweeps the maps, and loads "
		"nothing");
}

static void
show_cost(void)
{
	uint8_t frame[STEER_FRAME];
	size_t len = steer_wire_frame("198.51.100.9", 7, "192.0.2.1", 0x04000000, 64, frame);

	printf("# %u ns for transport data, ", steer_kernel_time(&kernel, frame, len, 200000));
	len = steer_row_frame(
		&(struct steer_row_case){
			.ip = { .src = "198.51.100.9", .dst = "100.64.0.5", .protocol = 6 } },
		frame);
	printf("%u ns for a member, ", steer_kernel_time(&kernel, frame, len, 200000));
	frame[5] ^= 1;
	printf("%u ns for another station\n", steer_kernel_time(&kernel, frame, len, 200000));
}

int
main(void)
{
	char reason[256];

	if (!steer_kernel_enter(reason, sizeof(reason))) {
		tap_skip("the steer program in the kernel", reason);
		return tap_done();
	}
	steer_kernel_init(&kernel);
	show_cost();
	test_rows();
	test_with_socket();
	test_prefixes();
	test_devices();
	test_sweep();
	test_limits();
	test_without_capabilities();
	steer_kernel_fini(&kernel);
	return tap_done();
}
