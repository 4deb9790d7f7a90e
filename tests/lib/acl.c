/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/acl.h"

#include <stdlib.h>
#include <string.h>

#include "lib/policy/acl_build.h"

static void
add_local(struct addr_set *set, const char *text)
{
	char *copy = strdup(text), *rest = copy, *item;
	struct prefix p;

	while ((item = strsep(&rest, " ")) != NULL)
		if (prefix_parse(item, &p) < 0 || addr_set_add_prefix(set, &p) < 0)
			abort();
	free(copy);
}

struct acl_table *
acl_make(const char *rules, const char *local_nets)
{
	struct filter_rules parsed;
	struct addr_set local = {};
	const struct policy policy = { .rules = &parsed, .local_nets = &local };
	struct acl_table *table;

	add_local(&local, local_nets);
	if (filter_rules_parse_text(rules, strlen(rules), &parsed) < 0 ||
		acl_build(&policy, 1, &table) < 0)
		abort();
	filter_rules_fini(&parsed);
	addr_set_fini(&local);
	return table;
}
