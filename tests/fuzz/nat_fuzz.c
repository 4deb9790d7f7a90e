/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets through the source NAT, both ways, whole and in fragments, with time that passes, sweeps
 * and forwarders that die, and flows read by a control plane out of memory that is anything.
 *
 * Input: records of a kind (8 bits), a length (8 bits) and that many bytes: an IP packet as it is,
 * or with its addresses and ports made few, so that flows meet.
 * Judged: nothing is read or written beyond the packet; what is sent out and answered comes back to
 * who sent it, byte for byte; no outside endpoint belongs to two towards one remote endpoint.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/bytes.h"
#include "lib/nat/nat.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct nat_memory *memory;
static struct nat *nat;
static struct nat_local local;
static struct mono now;
static const uint8_t source4[4] = { 192, 168, 77, 1 };
static const uint8_t source6[16] = { 0xfd, 0x77, [15] = 1 };

// Each input finds empty memory; only pages that were touched cost anything.
static void
begin(void)
{
	const uint64_t key[4] = { 1, 2, 3, 4 };

	if (memory == NULL)
		memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, sizeof(*memory), MADV_DONTNEED) < 0)
		abort();
	memory->head = nat_memory_begin(key);
	now.ns = UINT64_C(1000) * (uint64_t)NS_PER_S;
	memset(&local, 0, sizeof(local));
	if (nat_use(memory, &nat) < 0)
		abort();
	nat_set(nat, 61000, 61007); // few: shared soon
}

// Addresses and ports out of a handful.
static void
make_few(uint8_t *p, const struct ip_view *v, bool from_tunnel)
{
	bool v4 = v->family == ADDR_V4;
	uint8_t *src = p + (v4 ? 12 : 8), *dst = p + (v4 ? 16 : 24);
	uint8_t *inside = from_tunnel ? src : dst, *remote = from_tunnel ? dst : src;
	size_t last = v4 ? 3 : 15;
	uint8_t a = inside[last] & 3, b = remote[last] & 3;
	struct ip_transport t;

	memcpy(inside, v4 ? (const uint8_t[16]){ 100, 64 } : (const uint8_t[16]){ 0xfd, 0x7a },
		last + 1);
	memcpy(remote, v4 ? source4 : source6, last + 1);
	inside[last] = a;
	remote[last] = (uint8_t)(b + 1); // one of them is our own
	if (!from_tunnel && a == 3)
		memcpy(inside, v4 ? source4 : source6, last + 1);
	if (v4)
		checksum_fill_ipv4(p, v->header_len);
	if (ip_find_transport(p, v, &t) < 0 || t.is_later_fragment || v->total_len - t.offset < 8)
		return;
	p[t.offset + 1] &= 3;
	p[t.offset + 3] &= 3;
	if (t.protocol == IP_PROTOCOL_TCP || t.protocol == IP_PROTOCOL_UDP)
		p[t.offset] = p[t.offset + 2] = 0xee; // 60928 ...
	(void)checksum_fill_packet(p, v);
}

static void
swap(uint8_t *a, uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t x = a[i];

		a[i] = b[i];
		b[i] = x;
	}
}

// The packet of TCP or UDP that answers; false: it is another one.
static bool
turn_around(uint8_t *p, const struct ip_view *v)
{
	struct ip_transport t;

	if (ip_find_transport(p, v, &t) < 0 || t.is_fragment ||
		(t.protocol != IP_PROTOCOL_TCP && t.protocol != IP_PROTOCOL_UDP))
		return false;
	if (t.protocol == IP_PROTOCOL_UDP && load_be16(p + t.offset + 6) == 0xffff)
		return false; // the same as 0 for all but us
	if (v->family == ADDR_V4)
		swap(p + 12, p + 16, 4);
	else
		swap(p + 8, p + 24, 16);
	swap(p + t.offset, p + t.offset + 2, 2);
	return true;
}

// Checksums of all ones and of all zeros say the same; an update may turn one into the other.
static bool
is_same(const uint8_t *a, const uint8_t *b, const struct ip_view *v)
{
	struct ip_transport t;
	uint32_t at;

	if (memcmp(a, b, v->total_len) == 0)
		return true;
	if (ip_find_transport(b, v, &t) < 0)
		return false;
	at = t.offset + (t.protocol == IP_PROTOCOL_TCP ? 16 : 6);
	if (v->family == ADDR_V4 && load_be16(b + 10) == 0xffff)
		return true; // a header that came wrong
	return memcmp(a, b, at) == 0 && load_be16(b + at) == 0xffff &&
	       memcmp(a + at + 2, b + at + 2, v->total_len - at - 2) == 0;
}

static void
from_tunnel(uint8_t *p, const struct ip_view *v)
{
	const uint8_t *source = v->family == ADDR_V4 ? source4 : source6;
	uint8_t answer[256], back[256];
	struct ip_view of_back;
	enum nat_verdict verdict;

	memcpy(answer, p, v->total_len);
	if (nat_is_hairpin(nat, p, v) && memcmp(v->dst, source, v->family == ADDR_V4 ? 4 : 16) != 0)
		abort();
	verdict = nat_from_tunnel(nat, &local, p, v, source, now);
	memcpy(back, p, v->total_len);
	if (verdict != NAT_TRANSLATED || !ip_parse(back, v->total_len, &of_back) ||
		!turn_around(back, &of_back))
		return;
	if (nat_to_tunnel(nat, &local, back, &of_back, now) != NAT_TRANSLATED)
		abort();
	if (turn_around(answer, v) && !is_same(back, answer, &of_back))
		abort();
}

static bool
count(void *context, const struct nat_flow_view *flow)
{
	(*(unsigned *)context)++;
	if (flow->state == NULL || flow->idle_ns < 0)
		abort();
	return true;
}

static bool
is_twin(const struct nat_flow *a, const struct nat_flow *b)
{
	return a->state == NAT_LIVE && b->state == NAT_LIVE && a->kind == NAT_KIND_TRANSLATED &&
	       b->kind == NAT_KIND_TRANSLATED && a->protocol == b->protocol &&
	       a->address == b->address && a->outside_port == b->outside_port &&
	       a->remote_port == b->remote_port &&
	       memcmp(a->remote, b->remote, sizeof(a->remote)) == 0;
}

static void
check_twins(void)
{
	uint32_t end = memory->flows_end < 256 ? memory->flows_end : 256;

	for (uint32_t i = 0; i < end; i++)
		for (uint32_t k = i + 1; k < end; k++)
			if (is_twin(&memory->flows[i], &memory->flows[k]))
				abort();
}

static void
pass_time(uint8_t seconds)
{
	now.ns += (uint64_t)seconds * (uint64_t)NS_PER_S;
	for (int i = 0; i < 4; i++)
		if (nat_sweep(nat, now, 2048) > 0)
			nat_release(nat);
}

// Memory that a hostile process writes, to the control plane's eyes.
static void
scribble(const uint8_t *data, uint8_t len)
{
	unsigned n = 0;

	for (uint8_t i = 0; i + 3 < len; i += 4)
		((uint8_t *)memory->flows)[load_be16(data + i)] = data[i + 2];
	memory->flows_end = len < 4 ? 0 : load_be32(data) & 0x0fff;
	nat_foreach(memory, sizeof(*memory), now, count, &n);
}

static void
run_record(uint8_t kind, const uint8_t *data, uint8_t len)
{
	uint8_t *p = malloc(len + 1U); // so that one byte beyond is noticed
	struct ip_view v;

	if (p == NULL)
		abort();
	memcpy(p, data, len);
	if (ip_parse(p, len, &v)) {
		if ((kind & 2) != 0)
			make_few(p, &v, (kind & 1) != 0);
		if ((kind & 1) != 0)
			from_tunnel(p, &v);
		else
			(void)nat_to_tunnel(nat, &local, p, &v, now);
	}
	free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned n = 0;

	begin();
	while (len >= 2 && data[1] <= len - 2) {
		uint8_t kind = data[0], n_bytes = data[1];

		if ((kind & 0xf0) == 0xf0)
			pass_time(n_bytes);
		else if ((kind & 0xf0) == 0xe0) { // a successor
			nat_leave(nat);
			if (nat_use(memory, &nat) < 0)
				abort();
			nat_set(nat, 61000, 61007);
		} else {
			run_record(kind, data + 2, n_bytes);
		}
		data += 2 + n_bytes;
		len -= 2U + n_bytes;
	}
	check_twins();
	if (nat_foreach(memory, sizeof(*memory), now, count, &n) != (int)n)
		abort();
	nat_leave(nat);
	scribble(data, len > 255 ? 255 : (uint8_t)len);
	return 0;
}
