/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A pair of interfaces for tests of link ports, in a network namespace of this process's own:
 *
 *     near0 (AF_XDP, a program that redirects everything) ==== far0 (a packet socket)
 *
 * The program is written here in instructions, so that the tests need no compiler for BPF.
 */
#ifndef TESTS_UNIT_DATAPLANE_IO_VETH_NET_H
#define TESTS_UNIT_DATAPLANE_IO_VETH_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VETH_NEAR "near0"
#define VETH_FAR  "far0"

static inline int
veth_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* Run a command line; true: it succeeded. */
static inline bool
veth_sh(const char *line)
{
	return system(line) == 0;
}

static inline void
veth_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (f != NULL) {
		fputs(text, f);
		fclose(f);
	}
}

/* Enter a new namespace.  NULL, or why that is not possible. */
static inline const char *
veth_enter(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return "a network namespace takes root";
	veth_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	veth_write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	return NULL;
}

/* Make the pair, with so many queues each way. */
static inline bool
veth_make(unsigned n_rx, unsigned n_tx, unsigned mtu)
{
	char line[320];

	snprintf(line, sizeof(line),
		"ip link add %s mtu %u numrxqueues %u numtxqueues %u type veth peer name %s mtu %u "
		"numrxqueues %u numtxqueues %u && ip link set %s up && ip link set %s up",
		VETH_NEAR, mtu, n_rx, n_tx, VETH_FAR, mtu, n_tx, n_rx, VETH_NEAR, VETH_FAR);
	return veth_sh(line);
}

static inline void
veth_remove(void)
{
	(void)veth_sh("ip link del " VETH_NEAR);
}

/* A packet socket on far0 that sees what comes out of near0.  -1: no. */
static inline int
veth_far_socket(void)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(VETH_FAR),
	};
	const int buffer = 32 << 20, one = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	(void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	return fd;
}

/* What happens to a packet: a redirect to the socket of its queue, else it passes. */
static inline int
veth_load(int xskmap)
{
	const struct bpf_insn program[] = {
		// r2 = ctx->rx_queue_index; r1 = map; r3 = XDP_PASS; return redirect_map()
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = 16 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
			.dst_reg = 1,
			.src_reg = BPF_PSEUDO_MAP_FD,
			.imm = xskmap },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (uintptr_t) "BSD",
	};

	return veth_bpf(BPF_PROG_LOAD, &attr);
}

/* An xdp_attach: see dataplane/io/xdp_open.h. */
static inline int
veth_attach(void *context,
	uint32_t ifindex,
	bool generic,
	unsigned n_queues,
	int *ret_link,
	int *ret_xskmap,
	char *why,
	size_t why_size)
{
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_XSKMAP,
		.key_size = 4,
		.value_size = 4,
		.max_entries = n_queues,
	};
	union bpf_attr link = {};
	int xskmap, program, fd, err;

	(void)context;
	xskmap = veth_bpf(BPF_MAP_CREATE, &map);
	program = xskmap < 0 ? -1 : veth_load(xskmap);
	link.link_create.prog_fd = (uint32_t)program;
	link.link_create.target_ifindex = ifindex;
	link.link_create.attach_type = BPF_XDP;
	link.link_create.flags = generic ? 1u << 1 : 1u << 2; // XDP_FLAGS_SKB_MODE, _DRV_MODE
	fd = program < 0 ? -1 : veth_bpf(BPF_LINK_CREATE, &link);
	err = -errno;
	if (program >= 0)
		close(program);
	if (fd < 0) {
		snprintf(why, why_size, "not attached: %s", strerror(-err));
		if (xskmap >= 0)
			close(xskmap);
		return err;
	}
	*ret_link = fd;
	*ret_xskmap = xskmap;
	return 0;
}

#define VETH_MIN_LEN (ETH_HLEN + 20 + 8 + 8)

/* Write an Ethernet frame of `len` bytes: UDP, with a number and a pattern after it. */
static inline void
veth_frame(uint8_t *f, uint32_t len, uint64_t number)
{
	memset(f, 0, VETH_MIN_LEN);
	memset(f, 0xff, 6);
	f[6] = 2;
	f[12] = 8;
	f[14] = 0x45;
	f[16] = (uint8_t)((len - ETH_HLEN) >> 8);
	f[17] = (uint8_t)(len - ETH_HLEN);
	f[22] = 64;
	f[23] = 17;
	f[26] = 10;
	f[30] = 10;
	f[33] = 1;
	f[34] = (uint8_t)number; // ports: so that the flows lead to all queues
	f[35] = (uint8_t)(number >> 8);
	f[36] = 9;
	f[38] = (uint8_t)((len - ETH_HLEN - 20) >> 8);
	f[39] = (uint8_t)(len - ETH_HLEN - 20);
	memcpy(f + 42, &number, 8);
	for (uint32_t i = VETH_MIN_LEN; i < len; i++)
		f[i] = (uint8_t)(number * 7 + i);
}

/* The number of a frame that veth_frame() wrote and nobody changed; UINT64_MAX: it is none. */
static inline uint64_t
veth_number(const uint8_t *f, size_t len)
{
	uint8_t wanted[4096];
	uint64_t number;

	if (len < VETH_MIN_LEN || len > sizeof(wanted))
		return UINT64_MAX;
	memcpy(&number, f + 42, 8);
	veth_frame(wanted, (uint32_t)len, number);
	return memcmp(f, wanted, len) == 0 ? number : UINT64_MAX;
}

#endif
