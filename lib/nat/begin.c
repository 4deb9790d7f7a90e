/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Flows that begin, and how far they have come.
 */

#include "lib/nat/flow.h"

#define TRIES          8
#define TRIES_SHARED   32                  /* ports tried that others have, too */
#define MAX_UNANSWERED (NAT_MAX_FLOWS / 4) /* of the LAN: it shall not fill the table */

void
nat_track_tcp(struct nat_flow *f, uint8_t flags, bool from_inside)
{
	uint32_t before = atomic_load_explicit(&f->progress, memory_order_relaxed);
	uint32_t set = 0, clear = 0;

	if ((flags & NAT_TCP_RST) != 0)
		set |= NAT_RESET;
	else if ((flags & NAT_TCP_ACK) != 0) // RFC 7857 section 2.2: it was no reset, after all
		clear |= NAT_RESET;
	if ((flags & NAT_TCP_ACK) != 0)
		set |= from_inside ? NAT_FROM_INSIDE : NAT_FROM_OUTSIDE;
	if ((flags & NAT_TCP_FIN) != 0)
		set |= from_inside ? NAT_FIN_INSIDE : NAT_FIN_OUTSIDE;
	// The ports are used for a new connection.
	if ((flags & (NAT_TCP_SYN | NAT_TCP_ACK | NAT_TCP_RST)) == NAT_TCP_SYN)
		clear |= NAT_FROM_INSIDE | NAT_FROM_OUTSIDE | NAT_FIN_INSIDE | NAT_FIN_OUTSIDE |
		         NAT_RESET;
	if ((before & clear) != 0)
		atomic_fetch_and_explicit(&f->progress, ~clear, memory_order_relaxed);
	if ((before & set) != set || (set & clear) != 0)
		atomic_fetch_or_explicit(&f->progress, set, memory_order_relaxed);
}

static uint16_t
shared_port(const struct nat *nat, const struct nat_look *look, int attempt)
{
	uint32_t range = atomic_load_explicit(&nat->range, memory_order_relaxed);
	uint32_t first = range & 0xffff, last = range >> 16;
	uint64_t random = nat_mix(look->hash ^ nat->secret[3], nat->secret[1] + (uint64_t)attempt);

	return (uint16_t)(first + random % (last - first + 1));
}

// Whether the remote endpoint knows somebody else by this port.  Looked at first, because a row
// that is made in vain is used up until the sweep comes.
static bool
is_taken(const struct nat *nat, const struct nat_look *look, uint32_t address, uint16_t port)
{
	uint64_t key[5] = { nat->m->addresses[address].bytes[0],
		nat->m->addresses[address].bytes[1], look->key[2], look->key[3],
		(look->key[4] & ~UINT64_C(0xffff)) | port };

	return nat_find_flow(nat, NAT_OUTSIDE, key, nat_hash(nat->secret, NAT_OUTSIDE, key)) !=
	       NULL;
}

// A translated flow.  NULL: *ret_verdict says why not.
static struct nat_flow *
begin_translated(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	uint32_t address,
	uint32_t stamp,
	enum nat_verdict *ret_verdict)
{
	struct nat_make make = {
		.key = look->key,
		.kind = NAT_KIND_TRANSLATED,
		.address = (uint8_t)address,
		.stamp = stamp,
	};
	bool is_busy = false;
	uint32_t port = nat_make_mapping(nat, local, look, address, stamp, &is_busy);
	bool is_shared = port == 0;
	int tries = 0, tries_shared = 0;

	*ret_verdict = is_busy ? NAT_DROP_BUSY : NAT_DROP_FULL;
	while (!is_busy && tries < TRIES && tries_shared < TRIES_SHARED) {
		struct nat_flow *f = NULL;

		make.port = is_shared ? shared_port(nat, look, tries_shared++) : (uint16_t)port;
		if (is_taken(nat, look, address, make.port)) {
			is_shared = true;
			continue;
		}
		switch (nat_make_flow(nat, local, &make, &f)) {
		case NAT_MADE:
			return f;
		case NAT_MADE_EXISTS:
			f = nat_find_flow(nat, NAT_INSIDE, look->key, look->hash);
			if (f != NULL)
				return f;
			tries++;
			break;
		case NAT_MADE_TAKEN:
			is_shared = true; // the port is ours, but not towards this remote endpoint
			break;
		case NAT_MADE_ABORTED:
			*ret_verdict = NAT_DROP_BUSY;
			tries++;
			break;
		case NAT_MADE_FULL:
			*ret_verdict = NAT_DROP_FULL;
			return NULL;
		}
	}
	return NULL;
}

// A flow that is not translated.
enum nat_verdict
nat_begin_plain(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	bool from_inside,
	uint32_t stamp)
{
	const struct nat_make make = {
		.key = look->key,
		.kind = NAT_KIND_PLAIN,
		.port = (uint16_t)look->key[4],
		.stamp = stamp,
	};

	// Looked at first, because a row that is made in vain is used up until the sweep comes.
	if (nat_find_flow(nat, NAT_INSIDE, look->key,
		    nat_hash(nat->secret, NAT_INSIDE, look->key)) != NULL)
		return NAT_UNTOUCHED; // translated: whoever came first stays
	if (atomic_load_explicit(&nat->n_unanswered, memory_order_relaxed) >= MAX_UNANSWERED)
		return NAT_DROP_FULL;
	for (int i = 0; i < TRIES; i++) {
		struct nat_flow *f;

		switch (nat_make_flow(nat, local, &make, &f)) {
		case NAT_MADE:
			atomic_fetch_add_explicit(&nat->n_unanswered, 1, memory_order_relaxed);
			nat_track(f, look, from_inside, stamp);
			return NAT_UNTOUCHED;
		case NAT_MADE_EXISTS: // as good, or translated: whoever came first stays
		case NAT_MADE_TAKEN:
			return NAT_UNTOUCHED;
		case NAT_MADE_FULL:
			return NAT_DROP_FULL;
		case NAT_MADE_ABORTED:
			break;
		}
	}
	return NAT_DROP_BUSY;
}

struct nat_flow *
nat_begin_from_tunnel(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	const struct ip_view *v,
	const uint8_t *source,
	uint32_t stamp,
	enum nat_verdict *ret_verdict)
{
	uint8_t syn_ack = look->flags & (NAT_TCP_SYN | NAT_TCP_ACK);
	uint64_t bytes[2];
	uint32_t address;

	*ret_verdict = NAT_DROP_NO_FLOW;
	if (nat_is_icmp(look->protocol) && (uint16_t)(look->key[4] >> 16) != 0)
		return NULL; // an answer
	if ((look->flags & NAT_TCP_RST) != 0)
		return NULL;
	nat_load_addr(v->family, source, bytes);
	address = nat_make_address(nat, v->family, bytes);
	*ret_verdict = nat_has_addresses_left(nat) ? NAT_DROP_BUSY : NAT_DROP_FULL;
	if (address == NAT_NONE)
		return NULL;
	// It answers a SYN that a mapping let in, or one to the inside endpoint itself, which
	// should have been recorded.
	if (syn_ack == (NAT_TCP_SYN | NAT_TCP_ACK) &&
		nat_find_mapping(nat, look->key, address) == 0) {
		*ret_verdict = nat_begin_plain(nat, local, look, true, stamp);
		return NULL;
	}
	return begin_translated(nat, local, look, address, stamp, ret_verdict);
}
