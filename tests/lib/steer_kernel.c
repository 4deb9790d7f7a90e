/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/steer_kernel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/steer_rows.h"

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

bool
steer_kernel_enter(char *reason, size_t reason_size)
{
	struct steer *steer;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		snprintf(reason, reason_size,
			"needs root, for a network namespace and BPF programs");
		return false;
	}
	if (system("command -v ip >/dev/null") != 0) {
		snprintf(reason, reason_size, "needs `ip` of iproute2");
		return false;
	}
	if (steer_load(&steer, reason, reason_size) < 0)
		return false;
	steer_unload(steer);
	return true;
}

bool
steer_kernel_ip(const char *format, ...)
{
	char command[256] = "ip ";
	va_list args;

	va_start(args, format);
	vsnprintf(command + 3, sizeof(command) - 3, format, args);
	va_end(args);
	return system(command) == 0;
}

uint32_t
steer_kernel_ifindex(const char *name)
{
	uint32_t ifindex = if_nametoindex(name);

	require(ifindex != 0, name);
	return ifindex;
}

int
steer_kernel_program(int link)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);

	require(bpf_obj_get_info_by_fd(link, &info, &len) == 0, "what is behind the link");
	return bpf_prog_get_fd_by_id(info.prog_id);
}

static void
put_rows(struct steer_kernel *k)
{
	struct steer_settings settings =
		steer_row_settings((struct steer_limit){}, (struct steer_limit){});
	struct prefix prefix = {};
	struct addr address = {};
	int err = steer_put_settings(&k->maps, &settings);

	for (size_t i = 0; i < n_steer_row_addresses; i++) {
		err |= addr_parse(steer_row_addresses[i].text, &address);
		err |= steer_put_address(&k->maps, &address, steer_row_addresses[i].flags);
	}
	for (size_t i = 0; i < n_steer_row_prefixes; i++) {
		err |= prefix_parse(steer_row_prefixes[i].text, &prefix);
		err |= steer_put_prefix(&k->maps, &prefix, steer_row_prefixes[i].action);
	}
	require(err == 0, "filling the maps");
}

void
steer_kernel_init(struct steer_kernel *k)
{
	static const uint8_t mac[6] = STEER_ROW_MAC;
	char why[256] = "";

	*k = (struct steer_kernel){ .link = -1, .xskmap = -1, .program = -1 };
	require(steer_kernel_ip("link add steer0 type bridge"), "ip link add");
	require(steer_kernel_ip("link set steer0 address %02x:%02x:%02x:%02x:%02x:%02x up", mac[0],
			mac[1], mac[2], mac[3], mac[4], mac[5]),
		"ip link set");
	k->ifindex = steer_kernel_ifindex("steer0");
	require(steer_load(&k->steer, why, sizeof(why)) == 0, why);
	require(steer_attach(
			k->steer, k->ifindex, true, 1, &k->link, &k->xskmap, why, sizeof(why)) == 0,
		why);
	k->program = steer_kernel_program(k->link);
	require(k->program >= 0, "the program behind the link");
	k->maps = *steer_maps(k->steer);
	k->maps.stamp = 1;
	put_rows(k);
}

void
steer_kernel_fini(struct steer_kernel *k)
{
	close(k->program);
	close(k->link);
	close(k->xskmap);
	steer_unload(k->steer);
	(void)steer_kernel_ip("link del steer0");
}

static uint32_t
run(struct steer_kernel *k, const uint8_t *frame, size_t len, int repeat, uint32_t *ret_ns)
{
	static uint8_t out[4096];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = (uint32_t)len,
		.data_out = out, .data_size_out = sizeof(out), .repeat = repeat);

	require(bpf_prog_test_run_opts(k->program, &options) == 0, "BPF_PROG_TEST_RUN");
	*ret_ns = options.duration;
	return options.retval;
}

enum steer_verdict
steer_kernel_run(struct steer_kernel *k, const uint8_t *frame, size_t len, uint32_t *ret_action)
{
	struct steer_counts before, after;
	enum steer_verdict counted = STEER_N_VERDICTS;
	unsigned n = 0;
	uint32_t ns;

	require(steer_read_counters(&k->maps, k->ifindex, &before) == 0, "reading counters");
	*ret_action = run(k, frame, len, 1, &ns);
	require(steer_read_counters(&k->maps, k->ifindex, &after) == 0, "reading counters");
	for (unsigned v = 0; v < STEER_N_VERDICTS; v++) {
		// The namespace is silent but for what the kernel itself says on a new device.
		if (after.packets[v] != before.packets[v]) {
			counted = v;
			n += (unsigned)(after.packets[v] - before.packets[v]);
		}
	}
	return n == 1 ? counted : STEER_N_VERDICTS;
}

uint32_t
steer_kernel_time(struct steer_kernel *k, const uint8_t *frame, size_t len, int repeat)
{
	uint32_t ns;

	(void)run(k, frame, len, repeat, &ns);
	return ns;
}
