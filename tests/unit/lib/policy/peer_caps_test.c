/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/peer_caps.h"

#include <stdio.h>

#include "tests/lib/tap.h"
#include "tests/unit/lib/policy/fixture.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const char rules_text[] =
	"[{\"SrcIPs\":[\"100.64.0.9\"],\"CapGrant\":["
	"  "
	"{\"Dsts\":[\"100.64.0.1/32\",\"100.64.0.0/"
	"30\"],\"Caps\":[\"a\",\"\"],\"CapMap\":{\"b\":[1,2]}},"
	"  {\"Dsts\":[\"100.64.0.3/32\"],\"Caps\":[\"c\"]},"
	"  {\"Dsts\":[\"100.64.0.1/30\"],\"Caps\":[\"https://tailscale.com/cap/ingress\"]}]},"
	" {\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\"}]},"
	" {\"SrcIPs\":[\"cap:x\",\"100.64.0.9-100.64.0.10\"],\"CapGrant\":["
	"  {\"Dsts\":[\"100.64.0.0/10\"],\"CapMap\":{\"b\":[3]}}]}]";

static const struct {
	const char *what, *src, *dst;
	bool is_unsigned;
	const char *caps;
} rows[] = {
	{ "toward one address", "100.64.0.9", "100.64.0.1", false,
		"a b=1 b=2 https://tailscale.com/cap/ingress b=3 " },
	{ "toward another", "100.64.0.9", "100.64.0.3", false,
		"a b=1 b=2 c https://tailscale.com/cap/ingress b=3 " },
	{ "toward one of which only the last rule speaks", "100.64.0.9", "100.64.0.4", false,
		"b=3 " },
	{ "of another source", "100.64.0.10", "100.64.0.1", false, "b=3 " },
	{ "of a source that no rule names", "100.64.0.11", "100.64.0.1", false, "" },
	{ "of IPv6", "fd7a::1", "fd7a::2", false, "" },
	{ "not covered by tailnet lock", "100.64.0.9", "100.64.0.1", true,
		"https://tailscale.com/cap/ingress " },
};

static void
capabilities(void)
{
	struct filter_rules rules;

	if (filter_rules_parse_text(rules_text, strlen(rules_text), &rules) < 0)
		abort();
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer_caps walk = {
			.rules = &rules,
			.src = addr_of_text(rows[i].src),
			.dst = addr_of_text(rows[i].dst),
			.is_unsigned = rows[i].is_unsigned,
		};
		const struct filter_cap *cap;
		char text[256] = "";
		size_t at = 0;

		while ((cap = peer_caps_next(&walk)) != NULL) {
			if (cap->n_values == 0)
				at += (size_t)snprintf(
					text + at, sizeof(text) - at, "%s ", cap->name);
			for (size_t v = 0; v < cap->n_values; v++)
				at += (size_t)snprintf(text + at, sizeof(text) - at, "%s=%s ",
					cap->name, cap->values[v]);
		}
		tap_text(text, rows[i].caps, rows[i].what);
	}
	filter_rules_fini(&rules);
}

static void
unsigned_peers(void)
{
	static const struct {
		const char *what, *json;
		bool open;
	} lists[] = {
		{ "no rule", "[]", false },
		{ "a rule for it", "[{\"SrcIPs\":[\"100.64.0.9\"],\"DstPorts\":[{\"IP\":\"*\"}]}]",
			true },
		{ "a rule for all", "[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\"}]}]", true },
		{ "a rule for others",
			"[{\"SrcIPs\":[\"100.64.0.8\"],\"DstPorts\":[{\"IP\":\"*\"}]}]", false },
		{ "a rule that opens nothing",
			"[{\"SrcIPs\":[\"*\"],\"CapGrant\":[{\"Dsts\":[\"0.0.0.0/0\"]}]}]", false },
		{ "a rule for a range that ends in its route",
			"[{\"SrcIPs\":[\"10.0.0.0-10.1.0.0\"],\"DstPorts\":[{\"IP\":\"*\"}]}]",
			true },
		{ "a rule for a range that ends before it",
			"[{\"SrcIPs\":[\"10.0.0.0-10.0.255.255\"],\"DstPorts\":[{\"IP\":\"*\"}]}]",
			false },
	};
	struct addr_set allowed = {};
	struct prefix p;

	if (prefix_parse("100.64.0.9/32", &p) < 0 || addr_set_add_prefix(&allowed, &p) < 0 ||
		prefix_parse("10.1.0.0/16", &p) < 0 || addr_set_add_prefix(&allowed, &p) < 0)
		abort();
	for (size_t i = 0; i < COUNT(lists); i++) {
		struct filter_rules rules;

		if (filter_rules_parse_text(lists[i].json, strlen(lists[i].json), &rules) < 0)
			abort();
		tap_ok(peer_caps_open_to_unsigned(&rules, &allowed) == lists[i].open, "%s",
			lists[i].what);
		filter_rules_fini(&rules);
	}
	addr_set_fini(&allowed);
}

int
main(void)
{
	capabilities();
	unsigned_peers();
	return tap_done();
}
