/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/xdp_match.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HEADERS 42 /* Ethernet, IPv4 without options, UDP */

#define MOVE(to, from)                                                                  \
	{                                                                               \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from) \
	}
#define SET(to, value)                                                               \
	{                                                                            \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (to), .imm = (value) \
	}
#define ADD(to, value)                                                               \
	{                                                                            \
		.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (to), .imm = (value) \
	}
#define LOAD(size, to, of, at)                                                                    \
	{                                                                                         \
		.code = BPF_LDX | BPF_MEM | (size), .dst_reg = (to), .src_reg = (of), .off = (at) \
	}
#define UNLESS(reg, value, skip)                                                                   \
	{                                                                                          \
		.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = (reg), .imm = (value), .off = (skip) \
	}

static int
bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int
load(int xskmap, uint16_t port)
{
	const struct bpf_insn program[] = {
		LOAD(BPF_W, 2, 1, 0), // data
		LOAD(BPF_W, 3, 1, 4), // data_end
		MOVE(4, 2),
		ADD(4, HEADERS),
		{ .code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 4, .src_reg = 3, .off = 14 },
		LOAD(BPF_H, 4, 2, 12),
		UNLESS(4, htons(0x0800), 12),
		LOAD(BPF_B, 4, 2, 14),
		UNLESS(4, 0x45, 10),
		LOAD(BPF_B, 4, 2, 23),
		UNLESS(4, 17, 8),
		LOAD(BPF_H, 4, 2, 36),
		UNLESS(4, htons(port), 6),
		LOAD(BPF_W, 2, 1, 16), // rx_queue_index
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
			.dst_reg = 1,
			.src_reg = BPF_PSEUDO_MAP_FD,
			.imm = xskmap },
		{},
		SET(3, XDP_PASS),
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
		SET(0, XDP_PASS),
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (uintptr_t) "BSD",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

int
xdp_match_attach(void *context,
	uint32_t ifindex,
	bool generic,
	unsigned n_queues,
	int *ret_link,
	int *ret_xskmap,
	char *why,
	size_t why_size)
{
	const uint16_t *port = context;
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_XSKMAP,
		.key_size = 4,
		.value_size = 4,
		.max_entries = n_queues,
	};
	union bpf_attr attr = { .link_create = { .target_ifindex = ifindex,
					.attach_type = BPF_XDP,
					.flags = generic ? XDP_FLAGS_SKB_MODE
		                                         : XDP_FLAGS_DRV_MODE } };
	int xskmap = bpf(BPF_MAP_CREATE, &map), program = -1, link = -1, err;

	if (xskmap >= 0)
		program = load(xskmap, *port);
	if (program >= 0) {
		attr.link_create.prog_fd = (uint32_t)program;
		link = bpf(BPF_LINK_CREATE, &attr);
	}
	err = -errno;
	if (program >= 0)
		close(program);
	if (link < 0) {
		snprintf(why, why_size, "the XDP program cannot be %s: %s",
			program < 0 ? "loaded" : "attached", strerror(-err));
		if (xskmap >= 0)
			close(xskmap);
		return err;
	}
	*ret_link = link;
	*ret_xskmap = xskmap;
	return 0;
}
