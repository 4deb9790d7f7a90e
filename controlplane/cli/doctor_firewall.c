/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Other people's packet filters.  An accept of ours does not undo a drop of theirs, so a chain that
 * drops by default must let in the UDP port and what comes out of the tunnel.
 *
 * The rules are read as `nft -j list ruleset` prints them, which has those of iptables-nft too. How
 * a packet goes through them is not followed rule by rule: a chain that drops, and no rule anywhere
 * that accepts our port or our interface, is what is said.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/doctor_checks.h"
#include "controlplane/cli/show.h"

#define FIX_LEN 192

static json_t *
read_rules(void)
{
	FILE *pipe = popen("PATH=$PATH:/usr/sbin:/sbin nft -j list ruleset 2>/dev/null", "re");
	json_t *rules = NULL;

	if (pipe == NULL)
		return NULL;
	rules = json_loadf(pipe, 0, NULL);
	if (pclose(pipe) != 0) {
		json_decref(rules);
		return NULL;
	}
	return rules;
}

// A port is a number, a range, or in a set of them.
static bool
holds_port(const json_t *right, json_int_t port)
{
	const json_t *range = json_object_get(right, "range"), *set = json_object_get(right, "set");
	const json_t *item;
	size_t i;

	if (json_is_integer(right))
		return json_integer_value(right) == port;
	if (json_is_array(range))
		return json_integer_value(json_array_get(range, 0)) <= port &&
		       json_integer_value(json_array_get(range, 1)) >= port;
	json_array_foreach(set, i, item)
	{
		if (!json_is_object(item) || json_object_get(item, "set") == NULL)
			if (holds_port(item, port))
				return true;
	}
	return false;
}

struct looking {
	const struct doctor *d;
	bool has_port, has_tun, accepts, refuses;
	size_t n_matches;
};

static void
take_match(struct looking *l, const json_t *match)
{
	const json_t *left = json_object_get(match, "left"),
		     *right = json_object_get(match, "right");
	const json_t *payload = json_object_get(left, "payload"),
		     *meta = json_object_get(left, "meta");

	l->n_matches++;
	if (strcmp(show_text(payload, "field", ""), "dport") == 0 &&
		holds_port(right, l->d->listen_port))
		l->has_port = true;
	if (strncmp(show_text(meta, "key", ""), "iif", 3) == 0 && json_is_string(right) &&
		strcmp(json_string_value(right), l->d->tun) == 0)
		l->has_tun = true;
}

static void
take_rule(struct looking *l, const json_t *rule)
{
	const json_t *expression, *match;
	size_t i;

	l->has_port = l->has_tun = l->accepts = l->refuses = false;
	l->n_matches = 0;
	json_array_foreach(json_object_get(rule, "expr"), i, expression)
	{
		match = json_object_get(expression, "match");
		if (match != NULL)
			take_match(l, match);
		l->accepts |= json_object_get(expression, "accept") != NULL;
		l->refuses |= json_object_get(expression, "drop") != NULL ||
		              json_object_get(expression, "reject") != NULL;
	}
}

static bool
is_of_chain(const json_t *rule, const json_t *chain)
{
	return strcmp(show_text(rule, "table", ""), show_text(chain, "table", "")) == 0 &&
	       strcmp(show_text(rule, "family", ""), show_text(chain, "family", "")) == 0 &&
	       strcmp(show_text(rule, "chain", ""), show_text(chain, "name", "")) == 0;
}

// By its policy, or by a rule without a condition.
static bool
drops_the_rest(const struct doctor *d, const json_t *rules, const json_t *chain)
{
	struct looking l = { .d = d };
	const json_t *item, *rule;
	size_t i;

	if (strcmp(show_text(chain, "policy", ""), "drop") == 0)
		return true;
	json_array_foreach(rules, i, item)
	{
		rule = json_object_get(item, "rule");
		if (rule == NULL || !is_of_chain(rule, chain))
			continue;
		take_rule(&l, rule);
		if (l.refuses && l.n_matches == 0)
			return true;
	}
	return false;
}

// Chains that this one jumps to may hold the rule; so any of the table's will do.
static bool
accepts(const struct doctor *d, const json_t *rules, const json_t *chain, bool port)
{
	struct looking l = { .d = d };
	const json_t *item, *rule;
	size_t i;

	json_array_foreach(rules, i, item)
	{
		rule = json_object_get(item, "rule");
		if (rule == NULL ||
			strcmp(show_text(rule, "table", ""), show_text(chain, "table", "")) != 0)
			continue;
		take_rule(&l, rule);
		if (l.accepts && (port ? l.has_port : l.has_tun))
			return true;
	}
	return false;
}

static void
say(struct doctor *d, const json_t *chain, const char *match, const char *what)
{
	const char *family = show_text(chain, "family", ""), *table = show_text(chain, "table", "");
	const char *name = show_text(chain, "name", "");
	char fix[FIX_LEN];

	snprintf(fix, sizeof(fix), "nft insert rule %.16s %.32s %.32s %.64s accept", family, table,
		name, match);
	doctor_find(d, "firewall", true, fix, "the chain %.32s of table %.16s %.32s drops %s", name,
		family, table, what);
}

static void
check_chain(struct doctor *d, const json_t *rules, const json_t *chain)
{
	const char *hook = show_text(chain, "hook", "");
	char match[64], what[96];

	if (strcmp(show_text(chain, "type", ""), "filter") != 0 ||
		strncmp(show_text(chain, "table", ""), "sluice", 6) == 0 ||
		(strcmp(hook, "input") != 0 && strcmp(hook, "forward") != 0) ||
		!drops_the_rest(d, rules, chain))
		return;
	if (strcmp(hook, "input") == 0 && d->listen_port != 0 && !accepts(d, rules, chain, true)) {
		snprintf(match, sizeof(match), "udp dport %u", d->listen_port);
		snprintf(what, sizeof(what),
			"packets for the gateway's UDP port %u: peers reach "
			"it through relays only",
			d->listen_port);
		say(d, chain, match, what);
	}
	if (!accepts(d, rules, chain, false)) {
		snprintf(match, sizeof(match), "iifname %s", d->tun);
		snprintf(what, sizeof(what), "what comes out of the tunnel by %s", d->tun);
		say(d, chain, match, what);
	}
}

void
doctor_check_firewall(struct doctor *d)
{
	json_t *ruleset = read_rules();
	const json_t *rules = json_object_get(ruleset, "nftables"), *item, *chain;
	size_t i;

	d->n_checks++;
	json_array_foreach(rules, i, item)
	{
		chain = json_object_get(item, "chain");
		if (json_object_get(chain, "hook") != NULL)
			check_chain(d, rules, chain);
	}
	json_decref(ruleset);
}
