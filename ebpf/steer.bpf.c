/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
 *
 * XDP: what is ours to the AF_XDP socket of the queue it came by, the rest to the kernel.
 *
 * Source: ../shared/design/architecture.md, sections 3.1 and 3.2.  The decision is
 *         lib/net/steer_verdict.h; here are its tables and what follows from it.
 *
 * Nothing newer than Linux 6.1, and no BTF of the kernel.  One copy of the program for each device:
 * `steer_device` says which, and only `sockets` is not shared.
 */

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "ebpf/abi.h"
#include "lib/net/steer_verdict.h"

/* The device's place in `devices` and `counters`; set before the program is verified. */
const volatile __u32 steer_device = 0;

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_MAX_DEVICES);
	__type(key, __u32);
	__type(value, struct steer_device);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_MAX_DEVICES);
	__type(key, __u32);
	__type(value, struct steer_counts);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_MAX_ADDRESSES);
	__type(key, struct steer_addr);
	__type(value, struct steer_row);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_MAX_PREFIXES);
	__type(key, struct steer_prefix4);
	__type(value, struct steer_row);
} prefixes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_MAX_PREFIXES);
	__type(key, struct steer_prefix6);
	__type(value, struct steer_row);
} prefixes6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_MAX_SOURCES);
	__type(key, struct steer_source);
	__type(value, struct steer_row);
} sources SEC(".maps");

/* Value: when the first fragment was seen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STEER_MAX_FRAGMENTS);
	__type(key, struct steer_fragment);
	__type(value, __u64);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STEER_MAX_BUCKETS);
	__type(key, struct steer_source);
	__type(value, __u64);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_N_CLASSES);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

/* --- look-ups of the decision ------------------------------------------------------------------
 */

STEER_INLINE __u32
steer_address_flags(void *, const struct steer_addr *a)
{
	const struct steer_row *row = bpf_map_lookup_elem(&addresses, a);

	return row ? row->what : 0;
}

STEER_INLINE __u32
steer_prefix_of(void *, const struct steer_addr *a)
{
	const struct steer_row *row;

	if (a->family == 4) {
		struct steer_prefix4 key = { .len = 32 };

		steer_copy4(key.bytes, a->bytes);
		row = bpf_map_lookup_elem(&prefixes4, &key);
	} else {
		struct steer_prefix6 key = { .len = 128 };

		steer_copy16(key.bytes, a->bytes);
		row = bpf_map_lookup_elem(&prefixes6, &key);
	}
	return row ? row->what : STEER_PREFIX_NONE;
}

STEER_INLINE _Bool
steer_knows_source(void *, const struct steer_source *s)
{
	return bpf_map_lookup_elem(&sources, s) != NULL;
}

/*
 * A function of its own for the verifier: it looks into it once, and what comes back is a number
 * that may be anything.
 */
__attribute__((noinline)) __u64
steer_extensions_of(struct xdp_md *ctx, __u32 offset, __u32 protocol)
{
	const __u8 *frame = (const __u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;

	return steer_walk_extensions(frame, end, offset, protocol);
}

STEER_INLINE __u64
steer_extensions(void *ctx, const __u8 *, const __u8 *, __u32 offset, __u32 protocol)
{
	return steer_extensions_of(ctx, offset, protocol);
}

STEER_INLINE __u64
steer_now_ns(void *)
{
	return bpf_ktime_get_ns();
}

STEER_INLINE _Bool
steer_knows_fragment(void *, const struct steer_fragment *f)
{
	const __u64 *seen = bpf_map_lookup_elem(&fragments, f);

	return seen && bpf_ktime_get_ns() - *seen < STEER_FRAGMENT_AGE_NS;
}

STEER_INLINE void
steer_remember_fragment(void *, const struct steer_fragment *f)
{
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&fragments, f, &now, BPF_ANY);
}

STEER_INLINE __u64 *
steer_source_bucket(void *, const struct steer_source *s)
{
	__u64 *bucket = bpf_map_lookup_elem(&buckets, s);
	__u64 zero = 0;

	if (bucket)
		return bucket;
	bpf_map_update_elem(&buckets, s, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&buckets, s);
}

STEER_INLINE __u64 *
steer_total_bucket(void *, __u32 class)
{
	return bpf_map_lookup_elem(&totals, &class);
}

/* -----------------------------------------------------------------------------------------------
 */

/* Which socket, if any, and what becomes of the frame without one. */
STEER_INLINE int
redirect(struct xdp_md *ctx, enum steer_verdict *verdict)
{
	int fallback = *verdict == STEER_WIRE ? XDP_PASS : XDP_DROP;
	int action = bpf_redirect_map(&sockets, ctx->rx_queue_index, fallback);

	if (action != XDP_REDIRECT)
		*verdict = *verdict == STEER_WIRE ? STEER_PASS_UNREAD : STEER_DROP_CLOSED;
	return action;
}

SEC("xdp")
int
steer(struct xdp_md *ctx)
{
	const __u8 *frame = (const __u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	__u32 zero = 0, device_index = steer_device;
	const struct steer_settings *s = bpf_map_lookup_elem(&settings, &zero);
	const struct steer_device *device = bpf_map_lookup_elem(&devices, &device_index);
	struct steer_counts *counts = bpf_map_lookup_elem(&counters, &device_index);
	enum steer_verdict verdict;
	int action = XDP_PASS;

	if (!s || !device || !counts)
		return XDP_PASS;

	verdict = steer_verdict(s, device->mac, frame, end, ctx);
	if (verdict == STEER_WIRE || verdict == STEER_INNER)
		action = redirect(ctx, &verdict);
	else if (verdict == STEER_DROP_LENGTH || verdict == STEER_DROP_SOURCE_LIMIT ||
		 verdict == STEER_DROP_TOTAL_LIMIT)
		action = XDP_DROP;
	counts->packets[verdict & 15]++;
	return action;
}

char steer_license[] SEC("license") = "Dual BSD/GPL";
