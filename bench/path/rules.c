/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/rules.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/policy/acl_build.h"

#define RULE_LEN 160 // of one as text, at most

// Groups of peers that may use a service each, and at last everybody everything.
static size_t
write_rules(char *text, uint32_t n)
{
	char *at = text;

	*at++ = '[';
	for (uint32_t i = 0; i + 1 < n; i++)
		at += snprintf(at, RULE_LEN,
			"{\"SrcIPs\":[\"100.%u.%u.0/28\"],\"DstPorts\":[{\"IP\":\"10.9.%u.%u\","
			"\"Ports\":{\"First\":%u,\"Last\":%u}}]},",
			64 + (i >> 8) % 64, i & 255, i >> 8, i & 255, 1000 + i, 1000 + i);
	at += snprintf(at, RULE_LEN,
		"{\"SrcIPs\":[\"100.64.0.0/10\",\"44.0.0.0/8\"],\"DstPorts\":[{\"IP\":\"*\","
		"\"Ports\":{\"First\":0,\"Last\":65535}}]}]");
	return (size_t)(at - text);
}

static struct acl_table *
build(const struct filter_rules *rules)
{
	static const struct prefix nets[] = {
		{ { .family = ADDR_V4, .bytes = { 10 } }, 8 },
		{ { .family = ADDR_V4, .bytes = { 44 } }, 8 },
		{ { .family = ADDR_V4, .bytes = { 100, 64 } }, 10 },
	};
	struct addr_set local = {};
	const struct policy policy = { .rules = rules, .local_nets = &local };
	struct acl_table *table = NULL;
	int err = 0;

	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]) && err == 0; i++)
		err = addr_set_add_prefix(&local, &nets[i]);
	if (err == 0)
		err = acl_build(&policy, 1, &table);
	addr_set_fini(&local);
	return err == 0 ? table : NULL;
}

struct acl_table *
rules_make(uint32_t n)
{
	char *text = malloc((size_t)n * RULE_LEN + RULE_LEN);
	struct acl_table *table = NULL;
	struct filter_rules rules;

	if (text != NULL && filter_rules_parse_text(text, write_rules(text, n), &rules) == 0) {
		table = build(&rules);
		filter_rules_fini(&rules);
	}
	free(text);
	return table;
}
