/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Flows for who only looks.  Another process writes the memory, so every word is read once,
 * checked, and used as a copy.
 */

#include "lib/nat/nat.h"

#include <errno.h>
#include <string.h>

#include "lib/base/err.h"

// A copy of a row that was live before and after; false: it was not.
static bool
copy_flow(const struct nat_flow *f, struct nat_flow *ret)
{
	if (atomic_load_explicit(&f->state, memory_order_acquire) != NAT_LIVE)
		return false;
	memcpy(ret, f, sizeof(*ret));
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&f->state, memory_order_relaxed) == NAT_LIVE;
}

static struct addr
addr_of(uint8_t family, const uint64_t words[static 2])
{
	struct addr a = { .family = family };

	memcpy(a.bytes, words, family == ADDR_V4 ? 4 : 16);
	return a;
}

static bool
is_sound(const struct nat_flow *f)
{
	return (f->family == ADDR_V4 || f->family == ADDR_V6) &&
	       (f->kind == NAT_KIND_TRANSLATED || f->kind == NAT_KIND_PLAIN) &&
	       f->address < NAT_MAX_ADDRESSES;
}

static const char *
state_text(const struct nat_flow *f, uint32_t progress)
{
	const uint32_t both = NAT_FROM_INSIDE | NAT_FROM_OUTSIDE;

	if (f->protocol == IP_PROTOCOL_TCP &&
		((progress & NAT_RESET) != 0 ||
			(progress & (NAT_FIN_INSIDE | NAT_FIN_OUTSIDE)) != 0))
		return "closing";
	return (progress & both) == both ? "open" : "new";
}

static int64_t
age_ns(uint32_t now, uint32_t stamp)
{
	uint32_t age = now - stamp;

	return age > INT32_MAX ? 0 : (int64_t)age << NAT_STAMP_SHIFT;
}

static void
make_view(const struct nat_memory *m,
	const struct nat_flow *f,
	uint32_t now,
	struct nat_flow_view *ret)
{
	bool translated = f->kind == NAT_KIND_TRANSLATED;
	uint64_t outside[2];

	memcpy(outside, m->addresses[f->address].bytes, sizeof(outside));
	*ret = (struct nat_flow_view){
		.inside = addr_of(f->family, f->inside),
		.outside = addr_of(f->family, translated ? outside : f->inside),
		.remote = addr_of(f->family, f->remote),
		.inside_port = f->inside_port,
		.outside_port = translated ? f->outside_port : f->inside_port,
		.remote_port = f->remote_port,
		.protocol = f->protocol,
		.is_translated = translated,
		.state = state_text(f, f->progress),
		.age_ns = age_ns(now, f->begun),
		.idle_ns = age_ns(now, f->seen),
	};
}

int
nat_foreach(const void *map,
	size_t len,
	struct mono now,
	bool (*each)(void *context, const struct nat_flow_view *flow),
	void *context)
{
	const struct nat_memory *m = map;
	struct nat_memory_head head;
	uint32_t end;
	int n = 0;

	if (len < sizeof(*m))
		return ERR_TRUNCATED;
	memcpy(&head, &m->head, sizeof(head));
	if (head.magic != NAT_MAGIC || head.version != NAT_VERSION || head.len != sizeof(*m))
		return ERR_VERSION;
	end = atomic_load_explicit(&m->flows_end, memory_order_relaxed);
	if (end > NAT_MAX_FLOWS)
		end = NAT_MAX_FLOWS;
	for (uint32_t i = 0; i < end; i++) {
		struct nat_flow_view view;
		struct nat_flow f;

		if (!copy_flow(&m->flows[i], &f) || !is_sound(&f))
			continue;
		make_view(m, &f, (uint32_t)(now.ns >> NAT_STAMP_SHIFT), &view);
		n++;
		if (!each(context, &view))
			break;
	}
	return n;
}
