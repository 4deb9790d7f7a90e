/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/filter_rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

// An address text and its ranges; NULL: none.
static const struct {
	const char *text, *first, *last;
} texts[] = {
	{ "10.0.0.1", "10.0.0.1", "10.0.0.1" },
	{ "fd7a::1", "fd7a::1", "fd7a::1" },
	{ "10.0.0.0/8", "10.0.0.0", "10.255.255.255" },
	{ "10.0.0.1/32", "10.0.0.1", "10.0.0.1" },
	{ "0.0.0.0/0", "0.0.0.0", "255.255.255.255" },
	{ "::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	{ "fd7a::/127", "fd7a::", "fd7a::1" },
	{ "10.0.0.9-10.0.1.3", "10.0.0.9", "10.0.1.3" },
	{ "fd7a::1-fd7a::1", "fd7a::1", "fd7a::1" },
	// zones are cut off
	{ "fe80::1%eth0", "fe80::1", "fe80::1" },
	{ "fe80::1%a-b", NULL, NULL }, // one dash: read as a range
	{ "fe80::1%a-b-c", "fe80::1", "fe80::1" },
	{ "fe80::1%x-fe80::2%x", "fe80::1", "fe80::2" },
	{ "fe80::1%x-fe80::2%y", NULL, NULL },
	{ "fe80::1%x-fe80::2", NULL, NULL },
	{ "fe80::1%", NULL, NULL },
	{ "10.0.0.1%eth0", NULL, NULL },
	{ "fe80::%eth0/64", NULL, NULL },
	// what is nothing
	{ "", NULL, NULL },
	{ "banana", NULL, NULL },
	{ "**", NULL, NULL },
	{ "10.0.0.1/8", NULL, NULL },
	{ "1.2.3.4/33", NULL, NULL },
	{ "1.2.3.4/", NULL, NULL },
	{ "1.2.3.4/08", NULL, NULL },
	{ "::/129", NULL, NULL },
	{ "300.1.2.3", NULL, NULL },
	{ "01.2.3.4", NULL, NULL },
	{ "10.0.0.9-10.0.0.1", NULL, NULL },
	{ "10.0.0.1-fd7a::1", NULL, NULL },
	{ "10.0.0.1-", NULL, NULL },
	{ "-10.0.0.1", NULL, NULL },
	{ "-", NULL, NULL },
	{ "10.0.0.1-10.0.0.2-10.0.0.3", NULL, NULL },
	{ "100.64.0.1:80", NULL, NULL },
	{ " 10.0.0.1", NULL, NULL },
	{ "cap:red", NULL, NULL },
};

static void
address_texts(void)
{
	struct filter_range r[2];

	for (size_t i = 0; i < COUNT(texts); i++) {
		char first[ADDR_TEXT_LEN], last[ADDR_TEXT_LEN];
		int n = filter_range_parse(texts[i].text, r);

		if (texts[i].first == NULL) {
			tap_ok(n == ERR_BAD_FORMAT, "\"%s\" is nothing", texts[i].text);
			continue;
		}
		tap_ok(n == 1 && strcmp(addr_format(&r[0].first, first), texts[i].first) == 0 &&
				strcmp(addr_format(&r[0].last, last), texts[i].last) == 0,
			"\"%s\" is %s to %s", texts[i].text, texts[i].first, texts[i].last);
	}
	tap_int(filter_range_parse("*", r), 2, "* is two ranges");
	tap_ok(r[0].first.family == ADDR_V4 && r[1].first.family == ADDR_V6, "one of each family");
}

// A list, what parsing returns, and what is left of it in all its rules.
static const struct {
	const char *what, *json;
	int result;
	size_t rules, srcs, src_caps, dsts, skipped;
	bool rejected;
} lists[] = {
	{ "null", "null", 0, 0, 0, 0, 0, 0, false },
	{ "nothing", "[]", 0, 0, 0, 0, 0, 0, false },
	{ "a null rule", "[null]", 0, 1, 0, 0, 0, 0, false },
	{ "an object", "{}", ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
	{ "a number for a rule", "[1]", ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
	{ "a whole rule",
		"[{\"SrcIPs\":[\"*\",\"cap:x\"],\"DstPorts\":[{\"IP\":\"10.0.0.1\",\"Ports\":"
		"{\"First\":1,\"Last\":2}}]}]",
		0, 1, 2, 1, 1, 0, false },
	{ "nulls inside",
		"[{\"SrcIPs\":null,\"DstPorts\":null,\"IPProto\":null,\"CapGrant\":null,"
		"\"SrcBits\":null}]",
		0, 1, 0, 0, 0, 0, false },
	{ "no ports are port 0", "[{\"DstPorts\":[{\"IP\":\"10.0.0.1\"}]}]", 0, 1, 0, 0, 1, 0,
		false },
	{ "Bits null is none", "[{\"DstPorts\":[{\"IP\":\"10.0.0.1\",\"Bits\":null}]}]", 0, 1, 0, 0,
		1, 0, false },
	{ "bad entries are skipped",
		"[{\"SrcIPs\":[\"x\",\"10.0.0.1\",\"\",null],\"DstPorts\":[{\"IP\":\"cap:x\"},"
		"{\"IP\":\"*\"},null]}]",
		0, 1, 1, 0, 2, 5, false },
	{ "a nameless capability is none", "[{\"SrcIPs\":[\"cap:\"]}]", 0, 1, 0, 0, 0, 0, false },
	{ "SrcBits empties the list",
		"[{\"SrcIPs\":[\"*\"]},{\"SrcIPs\":[\"*\"],\"SrcBits\":[32]}]", 0, 0, 0, 0, 0, 0,
		true },
	{ "empty SrcBits does not", "[{\"SrcIPs\":[\"*\"],\"SrcBits\":[]}]", 0, 1, 2, 0, 0, 0,
		false },
	{ "Bits empties the list", "[{\"DstPorts\":[{\"IP\":\"*\",\"Bits\":0}]}]", 0, 0, 0, 0, 0, 0,
		true },
	{ "a port beyond 65535",
		"[{\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65536}}]}]",
		ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
	{ "a port below 0", "[{\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":-1}}]}]",
		ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
	{ "a port as text", "[{\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":\"1\"}}]}]",
		ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
	{ "ports as a list", "[{\"DstPorts\":[{\"IP\":\"*\",\"Ports\":[]}]}]", ERR_BAD_FORMAT, 0, 0,
		0, 0, 0, false },
	{ "a source that is a number", "[{\"SrcIPs\":[1]}]", ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
	{ "a protocol as text", "[{\"IPProto\":[\"6\"]}]", ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
	{ "a protocol with a fraction", "[{\"IPProto\":[6.0]}]", ERR_BAD_FORMAT, 0, 0, 0, 0, 0,
		false },
	{ "a bad prefix of a grant", "[{\"CapGrant\":[{\"Dsts\":[\"x\"]}]}]", ERR_BAD_FORMAT, 0, 0,
		0, 0, 0, false },
	{ "an address as prefix of a grant", "[{\"CapGrant\":[{\"Dsts\":[\"10.0.0.1\"]}]}]",
		ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
	{ "values that are no list", "[{\"CapGrant\":[{\"CapMap\":{\"a\":{}}}]}]", ERR_BAD_FORMAT,
		0, 0, 0, 0, 0, false },
	{ "no JSON", "[", ERR_BAD_FORMAT, 0, 0, 0, 0, 0, false },
};

static void
json_lists(void)
{
	for (size_t i = 0; i < COUNT(lists); i++) {
		struct filter_rules r = {};
		size_t srcs = 0, src_caps = 0, dsts = 0;
		int result = filter_rules_parse_text(lists[i].json, strlen(lists[i].json), &r);

		for (size_t k = 0; k < r.n; k++) {
			srcs += r.rules[k].n_srcs;
			src_caps += r.rules[k].n_src_caps;
			dsts += r.rules[k].n_dsts;
		}
		tap_ok(result == lists[i].result && r.n == lists[i].rules &&
				srcs == lists[i].srcs && src_caps == lists[i].src_caps &&
				dsts == lists[i].dsts && r.n_skipped == lists[i].skipped &&
				r.is_rejected == lists[i].rejected,
			"%s", lists[i].what);
		filter_rules_fini(&r);
	}
}

static size_t
count_protocols(const struct filter_rule *r)
{
	size_t n = 0;

	for (unsigned p = 0; p < 256; p++)
		n += filter_rule_has_protocol(r, (uint8_t)p);
	return n;
}

static void
protocols(void)
{
	static const char json[] = "[{},{\"IPProto\":[]},{\"IPProto\":[132,0,255,256,-1]},"
				   "{\"IPProto\":[300]}]";
	struct filter_rules r;

	if (filter_rules_parse_text(json, strlen(json), &r) < 0)
		abort();
	for (int i = 0; i < 2; i++)
		tap_ok(count_protocols(&r.rules[i]) == 4 &&
				filter_rule_has_protocol(&r.rules[i], 6) &&
				filter_rule_has_protocol(&r.rules[i], 17) &&
				filter_rule_has_protocol(&r.rules[i], 1) &&
				filter_rule_has_protocol(&r.rules[i], 58),
			"no list of protocols: TCP, UDP, ICMP of both families");
	tap_ok(count_protocols(&r.rules[2]) == 3 && filter_rule_has_protocol(&r.rules[2], 132) &&
			filter_rule_has_protocol(&r.rules[2], 255),
		"what is beyond 0 to 255 is left out");
	tap_int(count_protocols(&r.rules[3]), 0, "and if nothing is left, it is nothing");
	filter_rules_fini(&r);
}

static void
grants(void)
{
	static const char json[] = "[{\"SrcIPs\":[\"*\"],\"CapGrant\":[{\"Dsts\":[\"10.0.0.9/"
				   "8\",\"\"],\"Caps\":[\"c\"],"
				   "\"CapMap\":{\"a\":[{\"x\": 1},2],\"b\":null}}]}]";
	struct filter_rules r;
	const struct filter_grant *g;

	if (filter_rules_parse_text(json, strlen(json), &r) < 0)
		abort();
	g = &r.rules[0].grants[0];
	tap_ok(g->n_dsts == 1 && g->dsts[0].len == 8, "host bits are allowed, nothing is nothing");
	tap_int(g->n_caps, 3, "Caps and CapMap together");
	tap_text(g->caps[0].name, "c", "the old form");
	tap_text(g->caps[1].name, "a", "the form with values");
	tap_text(g->caps[1].values[0], "{\"x\":1}", "values are JSON texts");
	tap_int(g->caps[1].n_values, 2, "all of them");
	tap_int(g->caps[2].n_values, 0, "null is no values");
	filter_rules_fini(&r);
}

// `n` times `element`, between `begin` and `end`.
static int
parse_repeated(const char *begin, const char *element, const char *end, size_t n)
{
	size_t len = strlen(element), at = strlen(begin);
	char *text = malloc(at + n * (len + 1) + strlen(end) + 1);
	struct filter_rules r = {};
	int result;

	if (text == NULL)
		abort();
	memcpy(text, begin, at);
	for (size_t i = 0; i < n; i++) {
		memcpy(text + at, element, len);
		at += len;
		text[at++] = i + 1 < n ? ',' : ' ';
	}
	strcpy(text + at, end);
	result = filter_rules_parse_text(text, strlen(text), &r);
	filter_rules_fini(&r);
	free(text);
	return result;
}

static void
limits(void)
{
	size_t most = FILTER_MAX_ENTRIES - 1; // the rule itself is one

	tap_int(parse_repeated("[", "{}", "]", FILTER_MAX_RULES), 0, "65,536 rules");
	tap_int(parse_repeated("[", "{}", "]", FILTER_MAX_RULES + 1), -E2BIG, "one more");
	tap_int(parse_repeated("[{\"SrcIPs\":[", "\"*\"", "]}]", most), 0, "2^20 entries");
	tap_int(parse_repeated("[{\"SrcIPs\":[", "\"*\"", "]}]", most + 1), -E2BIG, "one more");
	tap_int(parse_repeated("[{\"CapGrant\":[{\"CapMap\":{\"a\":[", "1", "]}}]}]", most), -E2BIG,
		"values count too");
}

int
main(void)
{
	address_texts();
	json_lists();
	protocols();
	grants();
	limits();
	return tap_done();
}
