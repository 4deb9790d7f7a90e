/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The filter's decision over an acl table, as inline functions without state, so that workers and
 * tests run the same lines.
 *
 * Source: ../shared/protocol/peer.md sections 9.3 to 9.5.  rule_walk.h is the same, plain.
 */
#ifndef LIB_POLICY_ACL_VERDICT_H
#define LIB_POLICY_ACL_VERDICT_H

#include "lib/policy/acl_reason.h"
#include "lib/policy/acl_table.h"

/* What a rule that names source and destination has to say besides. */
enum acl_need {
	ACL_NEED_PORT,      /* the protocol and the port */
	ACL_NEED_NOTHING,   /* ICMP: where any port is open one may ping */
	ACL_NEED_ALL_PORTS, /* the protocol, and no port left out */
};

static inline bool
acl_is_multicast(const struct acl_packet *k)
{
	if (k->family == ADDR_V4)
		return k->dst.low >> 28 == 0xe;
	// Also IPv4's in ::ffff:0:0/96, which Go's net/netip unwraps for this question.
	return k->dst.high >> 56 == 0xff || (k->dst.high == 0 && k->dst.low >> 28 == 0xffffe);
}

/* But the address at which clouds keep their name server. */
static inline bool
acl_is_link_local(const struct acl_packet *k)
{
	if (k->family == ADDR_V4)
		return k->dst.low >> 16 == 0xa9fe && k->dst.low != 0xa9fea9fe;
	return k->dst.high >> 54 == 0x3fa || (k->dst.high == 0 && k->dst.low >> 16 == 0xffffa9fe);
}

/* True: *ret_reason is the verdict, whichever way the packet goes. */
static inline bool
acl_precheck(const struct acl_packet *k, enum acl_reason *ret_reason)
{
	if (k->kind == ACL_KIND_EMPTY)
		*ret_reason = ACL_KEEPALIVE;
	else if (k->kind == ACL_KIND_SHORT)
		*ret_reason = ACL_TOO_SHORT;
	else if (k->kind == ACL_KIND_UNKNOWN)
		*ret_reason = ACL_UNKNOWN_PROTOCOL;
	else if (acl_is_multicast(k))
		*ret_reason = ACL_MULTICAST;
	else if (acl_is_link_local(k))
		*ret_reason = ACL_LINK_LOCAL;
	else if (k->kind == ACL_KIND_FRAGMENT)
		*ret_reason = ACL_FRAGMENT;
	else
		return false;
	return true;
}

static inline bool
acl_is_icmp(const struct acl_packet *k)
{
	return k->protocol == (k->family == ADDR_V4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_IPV6_ICMP);
}

/* The class of an address: of the last interval that does not begin behind it. */
static inline const struct acl_class *
acl_class_of(const struct acl_table *t, const struct acl_side *s, const struct acl_addr *a)
{
	const struct acl_addr *bounds = acl_table_at(t, s->bounds_at);
	const uint32_t *classes = acl_table_at(t, s->classes_at);
	const struct acl_class *rows = acl_table_at(t, s->rows_at);
	uint32_t base = 0, n = s->n_intervals;

	while (n > 1) {
		uint32_t half = n / 2;

		base += acl_addr_less(a, &bounds[base + half]) ? 0 : half;
		n -= half;
	}
	return &rows[classes[base]];
}

static inline bool
acl_rule_has_protocol(const struct acl_table *t,
	const struct acl_family *f,
	uint32_t rule,
	uint8_t protocol)
{
	const uint64_t *protocols = acl_table_at(t, f->protocols_at);

	return (protocols[4 * (size_t)rule + protocol / 64] >> protocol % 64 & 1) != 0;
}

/* Whether a rule that names both ends lets the packet in. */
static inline bool
acl_rule_accepts(const struct acl_table *t,
	const struct acl_family *f,
	uint32_t src_entry,
	const struct acl_dst *dst,
	const struct acl_packet *k,
	enum acl_need need)
{
	// A capability of the source counts where ports do; for the others see acl_matches().
	if (need != ACL_NEED_PORT && (src_entry & ACL_BY_ADDRESS) == 0)
		return false;
	if (need == ACL_NEED_NOTHING)
		return true;
	if (!acl_rule_has_protocol(t, f, dst->rule, k->protocol))
		return false;
	if (need == ACL_NEED_ALL_PORTS)
		return dst->first_port == 0 && dst->last_port == UINT16_MAX;
	return dst->first_port <= k->dst_port && k->dst_port <= dst->last_port;
}

/* Go along both lists, which are sorted by rule. */
static inline bool
acl_matches(const struct acl_table *t,
	const struct acl_class *src_class,
	const struct acl_class *dst_class,
	const struct acl_packet *k,
	enum acl_need need)
{
	const struct acl_family *f = acl_table_family(t, k->family);
	const uint32_t *src = acl_table_at(t, f->src.entries_at);
	const struct acl_dst *dst = acl_table_at(t, f->dst.entries_at);
	const uint32_t *src_end = src + src_class->first + src_class->count;
	const struct acl_dst *dst_end = dst + dst_class->first + dst_class->count;

	// The reference does not ask for the destination here (peer.md 9.4, item 2).
	if (need == ACL_NEED_NOTHING && (src_class->flags & ACL_CLASS_CAP) != 0)
		return true;
	src += src_class->first;
	dst += dst_class->first;
	while (src != src_end && dst != dst_end) {
		uint32_t rule = *src >> 1;

		if (rule < dst->rule)
			src++;
		else if (rule == dst->rule && acl_rule_accepts(t, f, *src, dst, k, need))
			return true;
		else
			dst++;
	}
	return false;
}

static inline bool
acl_is_exempt(const struct acl_table *t, const struct acl_packet *k)
{
	for (uint32_t i = 0; i < t->n_exempt; i++)
		if (t->exempt[i].port == k->dst_port && t->exempt[i].family == k->family &&
			acl_addr_equal(&t->exempt[i].dst, &k->dst))
			return true;
	return false;
}

/* The rules' word on a packet that needs one: no flow is remembered, no answer, no TSMP. */
static inline enum acl_reason
acl_verdict_of_rules(const struct acl_table *t,
	const struct acl_class *dst_class,
	const struct acl_packet *k)
{
	const struct acl_family *f = acl_table_family(t, k->family);
	const struct acl_class *src_class = acl_class_of(t, &f->src, &k->src);

	if (acl_is_icmp(k))
		return acl_matches(t, src_class, dst_class, k, ACL_NEED_NOTHING) ? ACL_ICMP_RULE
		                                                                 : ACL_NO_RULE;
	if (k->protocol == IP_PROTOCOL_TCP) {
		if (acl_matches(t, src_class, dst_class, k, ACL_NEED_PORT))
			return ACL_TCP_RULE;
		return acl_is_exempt(t, k) ? ACL_PEER_API : ACL_NO_RULE;
	}
	if (acl_is_flow_protocol(k->protocol))
		return acl_matches(t, src_class, dst_class, k, ACL_NEED_PORT) ? ACL_RULE
		                                                              : ACL_NO_RULE;
	return acl_matches(t, src_class, dst_class, k, ACL_NEED_ALL_PORTS) ? ACL_OTHER_RULE
	                                                                   : ACL_OTHER_NO_RULE;
}

/* What needs no rule if its destination is local.  False: ask the rules. */
static inline bool
acl_passes_without_rule(const struct acl_packet *k, enum acl_reason *ret_reason)
{
	if (k->protocol == IP_PROTOCOL_TCP && !k->opens_tcp)
		*ret_reason = ACL_TCP_GOES_ON;
	else if (k->is_icmp_answer)
		*ret_reason = ACL_ICMP_ANSWER;
	else if (k->protocol == ACL_PROTOCOL_TSMP)
		*ret_reason = ACL_TSMP;
	else
		return false;
	return true;
}

/*
 * A packet from the tailnet that acl_precheck() had no verdict on.
 *
 * is_open: its flow is remembered (flow_table.h); counts for UDP and SCTP.
 */
static inline enum acl_reason
acl_verdict_inbound(const struct acl_table *t, const struct acl_packet *k, bool is_open)
{
	const struct acl_side *dst = &acl_table_family(t, k->family)->dst;
	const struct acl_class *dst_class = acl_class_of(t, dst, &k->dst);
	enum acl_reason reason;

	if ((dst_class->flags & ACL_CLASS_LOCAL) == 0)
		return ACL_NOT_LOCAL;
	if (acl_passes_without_rule(k, &reason))
		return reason;
	if (is_open && acl_is_flow_protocol(k->protocol))
		return ACL_FLOW;
	return acl_verdict_of_rules(t, dst_class, k);
}

#endif
