/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two passes: the first decides what needs no look-up and has the lines of the others fetched.
 */

#include "lib/policy/acl_burst.h"

#include "lib/policy/acl_verdict.h"

#define UNDECIDED N_ACL_REASONS

// Where the verdict on a packet is looked for.
struct place {
	struct verdict_entry *entry;
	struct flow_id flow; // of UDP and SCTP
};

static void
begin_inbound(const struct acl_filter *f,
	const struct acl_packet *k,
	struct place *place,
	uint8_t *reason)
{
	enum acl_reason found;

	if (f->table == NULL) {
		*reason = ACL_NO_FILTER;
		return;
	}
	if (acl_precheck(k, &found)) {
		*reason = (uint8_t)found;
		return;
	}
	// Of these only the destination counts, and most packets are such.
	if (acl_passes_without_rule(k, &found)) {
		*reason = (uint8_t)acl_verdict_inbound(f->table, k, false);
		return;
	}
	*reason = UNDECIDED;
	place->entry = verdict_cache_place(f->cache, k);
	if (acl_is_flow_protocol(k->protocol))
		place->flow = flow_table_inbound(f->flows, k);
}

// The verdict without regard to flows; it is the same as long as the table is.
static enum acl_reason
cached_verdict(const struct acl_filter *f, const struct acl_packet *k, struct verdict_entry *e)
{
	enum acl_reason reason;

	if (verdict_is_of(e, k, f->table->generation))
		return e->reason;
	reason = acl_verdict_inbound(f->table, k, false);
	verdict_store(e, k, f->table->generation, reason);
	return reason;
}

static enum acl_reason
end_inbound(const struct acl_filter *f, const struct acl_packet *k, const struct place *place)
{
	enum acl_reason reason = cached_verdict(f, k, place->entry);

	if (reason == ACL_NOT_LOCAL || !acl_is_flow_protocol(k->protocol))
		return reason;
	return flow_table_is_open(f->flows, &place->flow) ? ACL_FLOW : reason;
}

static void
inbound(const struct acl_filter *f, const struct acl_packet *packets, size_t n, uint8_t *reasons)
{
	struct place places[ACL_BURST_MAX];

	for (size_t i = 0; i < n; i++)
		begin_inbound(f, &packets[i], &places[i], &reasons[i]);
	for (size_t i = 0; i < n; i++)
		if (reasons[i] == UNDECIDED)
			reasons[i] = (uint8_t)end_inbound(f, &packets[i], &places[i]);
}

static void
outbound(const struct acl_filter *f, const struct acl_packet *packets, size_t n, uint8_t *reasons)
{
	struct flow_id ids[ACL_BURST_MAX];
	bool opens[ACL_BURST_MAX];

	for (size_t i = 0; i < n; i++) {
		enum acl_reason found = ACL_OUTBOUND;

		if (f->table == NULL)
			found = ACL_NO_FILTER;
		else
			(void)acl_precheck(&packets[i], &found);
		reasons[i] = (uint8_t)found;
		opens[i] = found == ACL_OUTBOUND && acl_is_flow_protocol(packets[i].protocol);
		if (opens[i])
			ids[i] = flow_table_outbound(f->flows, &packets[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (opens[i])
			flow_table_open(f->flows, &ids[i]);
}

void
acl_inbound_burst(const struct acl_filter *f,
	const struct acl_packet *packets,
	size_t n,
	uint8_t *reasons)
{
	for (size_t at = 0; at < n; at += ACL_BURST_MAX)
		inbound(f, packets + at, n - at < ACL_BURST_MAX ? n - at : ACL_BURST_MAX,
			reasons + at);
}

void
acl_outbound_burst(const struct acl_filter *f,
	const struct acl_packet *packets,
	size_t n,
	uint8_t *reasons)
{
	for (size_t at = 0; at < n; at += ACL_BURST_MAX)
		outbound(f, packets + at, n - at < ACL_BURST_MAX ? n - at : ACL_BURST_MAX,
			reasons + at);
}
