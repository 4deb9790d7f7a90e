/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/netmap_write.h"

#include <stdio.h>
#include <string.h>

#define CAP_PREFIX     "cap:"
#define NO_PROTOCOL    256 // passed over by whoever reads it; an empty list would mean the usual four
#define RANGE_TEXT_LEN (2 * ADDR_TEXT_LEN)

static const char *
format_range(const struct filter_range *r, char text[static RANGE_TEXT_LEN])
{
	char last[ADDR_TEXT_LEN];

	addr_format(&r->first, text);
	if (addr_equal(&r->first, &r->last))
		return text;
	strcat(text, "-");
	return strcat(text, addr_format(&r->last, last));
}

static void
write_sources(struct json_writer *w, const struct filter_rule *rule)
{
	char text[RANGE_TEXT_LEN];

	json_write_open(w, "SrcIPs", '[');
	for (size_t i = 0; i < rule->n_srcs; i++)
		json_write_text(w, NULL, format_range(&rule->srcs[i], text));
	for (size_t i = 0; i < rule->n_src_caps; i++) {
		char cap[1024];

		// One that does not fit is left out: a source less never opens anything.
		if ((size_t)snprintf(cap, sizeof(cap), CAP_PREFIX "%s", rule->src_caps[i]) <
			sizeof(cap))
			json_write_text(w, NULL, cap);
	}
	json_write_close(w, ']');
}

static void
write_destinations(struct json_writer *w, const struct filter_rule *rule)
{
	char text[RANGE_TEXT_LEN];

	if (rule->n_dsts == 0)
		return;
	json_write_open(w, "DstPorts", '[');
	for (size_t i = 0; i < rule->n_dsts; i++) {
		const struct filter_dst *dst = &rule->dsts[i];

		json_write_open(w, NULL, '{');
		json_write_text(w, "IP", format_range(&dst->addrs, text));
		json_write_open(w, "Ports", '{');
		json_write_int(w, "First", dst->first_port);
		json_write_int(w, "Last", dst->last_port);
		json_write_close(w, '}');
		json_write_close(w, '}');
	}
	json_write_close(w, ']');
}

static void
write_protocols(struct json_writer *w, const struct filter_rule *rule)
{
	json_write_open(w, "IPProto", '[');
	json_write_int(w, NULL, NO_PROTOCOL);
	for (unsigned protocol = 0; protocol <= UINT8_MAX; protocol++)
		if (filter_rule_has_protocol(rule, (uint8_t)protocol))
			json_write_int(w, NULL, protocol);
	json_write_close(w, ']');
}

static void
write_cap(struct json_writer *w, const struct filter_cap *cap)
{
	json_write_open(w, cap->name, '[');
	for (size_t i = 0; i < cap->n_values; i++)
		json_write_raw(w, NULL, cap->values[i]);
	json_write_close(w, ']');
}

// Names may come twice, once without values: then it is one of the list.
static void
write_grant(struct json_writer *w, const struct filter_grant *grant)
{
	char text[ADDR_TEXT_LEN];

	json_write_open(w, NULL, '{');
	json_write_open(w, "Dsts", '[');
	for (size_t i = 0; i < grant->n_dsts; i++)
		json_write_text(w, NULL, prefix_format(&grant->dsts[i], text));
	json_write_close(w, ']');
	json_write_open(w, "Caps", '[');
	for (size_t i = 0; i < grant->n_caps; i++)
		if (grant->caps[i].n_values == 0)
			json_write_text(w, NULL, grant->caps[i].name);
	json_write_close(w, ']');
	json_write_open(w, "CapMap", '{');
	for (size_t i = 0; i < grant->n_caps; i++)
		if (grant->caps[i].n_values > 0)
			write_cap(w, &grant->caps[i]);
	json_write_close(w, '}');
	json_write_close(w, '}');
}

static void
write_rule(struct json_writer *w, const struct filter_rule *rule)
{
	json_write_open(w, NULL, '{');
	write_sources(w, rule);
	write_destinations(w, rule);
	write_protocols(w, rule);
	if (rule->n_grants > 0) {
		json_write_open(w, "CapGrant", '[');
		for (size_t i = 0; i < rule->n_grants; i++)
			write_grant(w, &rule->grants[i]);
		json_write_close(w, ']');
	}
	json_write_close(w, '}');
}

void
filter_rules_write(struct json_writer *w, const char *name, const struct filter_rules *rules)
{
	json_write_open(w, name, '[');
	if (rules->is_rejected) // stays what it was: a filter that lets nothing in
		json_write_raw(w, NULL, "{\"SrcBits\":[0]}");
	for (size_t i = 0; i < rules->n; i++)
		write_rule(w, &rules->rules[i]);
	json_write_close(w, ']');
}
