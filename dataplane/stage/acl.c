/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packet filter of a tailnet.  Source: ../shared/protocol/peer.md section 9; the verdicts
 * themselves are lib/policy's.  A plain WireGuard gateway has none.
 */

#include <assert.h>

#include "dataplane/stage/stages.h"
#include "lib/policy/acl_burst.h"

static_assert(BURST_MAX <= ACL_BURST_MAX, "one call judges a burst");

static const enum drop_reason drop_of[N_ACL_REASONS] = {
	[ACL_TOO_SHORT] = DROP_UNKNOWN_PROTOCOL,
	[ACL_UNKNOWN_PROTOCOL] = DROP_UNKNOWN_PROTOCOL,
	[ACL_MULTICAST] = DROP_MULTICAST,
	[ACL_LINK_LOCAL] = DROP_LINK_LOCAL,
	[ACL_NO_FILTER] = DROP_NO_FILTER,
	[ACL_NOT_LOCAL] = DROP_ACL,
	[ACL_OTHER_NO_RULE] = DROP_ACL,
	[ACL_NO_RULE] = DROP_ACL,
};

static struct acl_filter
filter_of(const struct worker *w)
{
	return (struct acl_filter){
		.table = w->tables->acl, .flows = w->flows, .cache = w->verdicts
	};
}

static void
read_packet(const struct burst *b, uint32_t i, struct acl_packet *ret)
{
	acl_packet_of_view(b->pkt[i]->data, b->pkt[i]->len, &b->view[i], ret);
}

static bool
is_tsmp(const struct acl_packet *k)
{
	return k->protocol == ACL_PROTOCOL_TSMP && k->kind == ACL_KIND_WHOLE;
}

// The rest of the burst, read.
static void
take_tsmp_out(struct worker *w, struct burst *b, struct acl_packet packets[BURST_MAX])
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct acl_packet *k = &packets[kept];

		read_packet(b, i, k);
		if (__builtin_expect(is_tsmp(k), 0))
			tsmp_receive(w, b->pkt[i], &b->view[i], k);
		else
			burst_keep(b, kept++, i);
	}
	b->n = kept;
}

[[gnu::cold]] static void
refuse_inbound(struct worker *w,
	struct burst *b,
	uint32_t i,
	const struct acl_packet *k,
	uint8_t reason)
{
	// Only IPv4's senders are told, as by the reference.
	if (drop_of[reason] == DROP_ACL && k->opens_tcp && k->family == ADDR_V4)
		tsmp_reject(w, b->pkt[i], &b->view[i]);
	drop(w, b->pkt[i], drop_of[reason]);
}

// Apart, so that a plain gateway does not even make room for it on the stack.
[[gnu::noinline]] static void
filter_inbound(struct worker *w, struct burst *b)
{
	struct acl_packet packets[BURST_MAX];
	uint8_t reasons[BURST_MAX];
	struct acl_filter filter;
	uint32_t kept = 0;

	filter = filter_of(w);
	take_tsmp_out(w, b, packets);
	acl_inbound_burst(&filter, packets, b->n, reasons);
	for (uint32_t i = 0; i < b->n; i++) {
		if (acl_accepts(reasons[i]))
			burst_keep(b, kept++, i);
		else
			refuse_inbound(w, b, i, &packets[i], reasons[i]);
	}
	b->n = kept;
	step_done(w->ticks, STEP_ACL);
}

void
acl_inbound(struct worker *w, struct burst *b)
{
	if (__builtin_expect(w->tables->filter != SHM_FILTER_NONE, 0) && b->n > 0)
		filter_inbound(w, b);
}

// Our own answers, and what the control plane injected, are not judged, but open flows.
static enum drop_reason
judge_outbound(const struct pkt *p, const struct acl_packet *k, uint8_t reason)
{
	if (p->port == PKT_PORT_OWN)
		return DROP_NONE;
	if (is_tsmp(k))
		return DROP_TSMP; // this node's to say, no program's
	return acl_accepts(reason) ? DROP_NONE : drop_of[reason];
}

[[gnu::noinline]] static void
filter_outbound(struct worker *w, struct burst *b)
{
	struct acl_packet packets[BURST_MAX];
	uint8_t reasons[BURST_MAX];
	struct acl_filter filter;
	uint32_t kept = 0;

	filter = filter_of(w);
	for (uint32_t i = 0; i < b->n; i++)
		read_packet(b, i, &packets[i]);
	acl_outbound_burst(&filter, packets, b->n, reasons);
	for (uint32_t i = 0; i < b->n; i++) {
		enum drop_reason reason = judge_outbound(b->pkt[i], &packets[i], reasons[i]);

		if (reason == DROP_NONE)
			burst_keep(b, kept++, i);
		else
			drop(w, b->pkt[i], reason);
	}
	b->n = kept;
	step_done(w->ticks, STEP_ACL);
}

void
acl_outbound(struct worker *w, struct burst *b)
{
	if (__builtin_expect(w->tables->filter != SHM_FILTER_NONE, 0) && b->n > 0)
		filter_outbound(w, b);
}
