/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/filter_rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"

#define CAP_PREFIX "cap:"

// What a list may still hold, and what was skipped in it.
struct budget {
	size_t entries;
	size_t n_skipped;
	bool is_rejected;
};

static int
spend(struct budget *b, size_t entries)
{
	if (entries > b->entries)
		return -E2BIG;
	b->entries -= entries;
	return 0;
}

struct filter_range
filter_range_of_prefix(const struct prefix *p)
{
	struct prefix masked = prefix_mask(*p);
	struct filter_range r = { masked.addr, masked.addr };

	for (unsigned bit = masked.len; bit < addr_bits(masked.addr.family); bit++)
		r.last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return r;
}

// An address of text[0, len), with or without a zone; *ret_zone points to what is behind "%".
static int
parse_addr(const char *text, size_t len, struct addr *ret_addr, const char **ret_zone)
{
	const char *percent = memchr(text, '%', len);
	size_t addr_len = percent != NULL ? (size_t)(percent - text) : len;
	char inside[ADDR_TEXT_LEN];
	int err;

	if (addr_len >= sizeof(inside))
		return ERR_BAD_FORMAT;
	memcpy(inside, text, addr_len);
	inside[addr_len] = '\0';
	err = addr_parse(inside, ret_addr);
	if (err < 0)
		return err;
	// Only IPv6 has zones, and an empty one is none.
	if (percent != NULL && (ret_addr->family != ADDR_V6 || addr_len + 1 == len))
		return ERR_BAD_FORMAT;
	*ret_zone = percent != NULL ? percent + 1 : text + len;
	return 0;
}

static int
parse_prefix(const char *text, struct filter_range *ret_range)
{
	struct prefix p, masked;
	int err = prefix_parse(text, &p);

	if (err < 0)
		return err;
	masked = prefix_mask(p);
	if (!addr_equal(&p.addr, &masked.addr))
		return ERR_BAD_FORMAT;
	*ret_range = filter_range_of_prefix(&p);
	return 0;
}

static int
parse_ends(const char *text, const char *dash, struct filter_range *ret_range)
{
	const char *first_zone, *last_zone;
	size_t first_zone_len;
	struct filter_range r;
	int err;

	err = parse_addr(text, (size_t)(dash - text), &r.first, &first_zone);
	if (err < 0)
		return err;
	err = parse_addr(dash + 1, strlen(dash + 1), &r.last, &last_zone);
	if (err < 0)
		return err;
	first_zone_len = (size_t)(dash - first_zone);
	if (first_zone_len != strlen(last_zone) ||
		memcmp(first_zone, last_zone, first_zone_len) != 0)
		return ERR_BAD_FORMAT;
	if (r.first.family != r.last.family || addr_compare(&r.first, &r.last) > 0)
		return ERR_BAD_FORMAT;
	*ret_range = r;
	return 0;
}

static int
parse_single(const char *text, struct filter_range *ret_range)
{
	struct addr a;
	const char *zone;
	int err = parse_addr(text, strlen(text), &a, &zone);

	if (err < 0)
		return err;
	*ret_range = (struct filter_range){ a, a };
	return 0;
}

int
filter_range_parse(const char *text, struct filter_range ret_ranges[static 2])
{
	const char *dash = strchr(text, '-');
	int err;

	if (strcmp(text, "*") == 0) {
		ret_ranges[0] = filter_range_of_prefix(&(struct prefix){ .addr.family = ADDR_V4 });
		ret_ranges[1] = filter_range_of_prefix(&(struct prefix){ .addr.family = ADDR_V6 });
		return 2;
	}
	if (strchr(text, '/') != NULL)
		err = parse_prefix(text, &ret_ranges[0]);
	else if (dash != NULL && strchr(dash + 1, '-') == NULL)
		err = parse_ends(text, dash, &ret_ranges[0]);
	else
		err = parse_single(text, &ret_ranges[0]);
	return err < 0 ? err : 1;
}

// Absent and null are the same to the reference: the value of nothing.
static bool
is_absent(const json_t *value)
{
	return value == NULL || json_is_null(value);
}

// Number of elements; absent: 0.  ERR_BAD_FORMAT if it is no array.
static int
count_of(const json_t *array, struct budget *b, size_t *ret_n)
{
	if (!is_absent(array) && !json_is_array(array))
		return ERR_BAD_FORMAT;
	*ret_n = is_absent(array) ? 0 : json_array_size(array);
	return spend(b, *ret_n);
}

// A string of an array or object; null is the empty one.  NULL: something else.
static const char *
text_of(const json_t *value)
{
	return is_absent(value) ? "" : json_string_value(value);
}

static int
parse_protocols(const json_t *array, struct budget *b, struct filter_rule *rule)
{
	static const uint8_t defaults[] = { 6, 17, 1, 58 };
	size_t n;
	int err = count_of(array, b, &n);

	if (err < 0)
		return err;
	if (n == 0)
		for (size_t i = 0; i < sizeof(defaults); i++)
			rule->protocols[defaults[i] / 64] |= UINT64_C(1) << defaults[i] % 64;
	for (size_t i = 0; i < n; i++) {
		const json_t *value = json_array_get(array, i);
		json_int_t number = json_integer_value(value);

		if (!json_is_integer(value) && !is_absent(value))
			return ERR_BAD_FORMAT;
		if (number >= 0 && number <= UINT8_MAX)
			rule->protocols[number / 64] |= UINT64_C(1) << number % 64;
	}
	return 0;
}

static int
add_src(const char *text, struct budget *b, struct filter_rule *rule)
{
	int n;

	if (strncmp(text, CAP_PREFIX, strlen(CAP_PREFIX)) == 0) {
		if (text[strlen(CAP_PREFIX)] == '\0')
			return 0; // the reference keeps no nameless capability
		rule->src_caps[rule->n_src_caps] = strdup(text + strlen(CAP_PREFIX));
		if (rule->src_caps[rule->n_src_caps] == NULL)
			return -ENOMEM;
		rule->n_src_caps++;
		return 0;
	}
	n = filter_range_parse(text, rule->srcs + rule->n_srcs);
	if (n < 0)
		b->n_skipped++;
	else
		rule->n_srcs += (size_t)n;
	return 0;
}

static int
parse_srcs(const json_t *array, struct budget *b, struct filter_rule *rule)
{
	size_t n;
	int err = count_of(array, b, &n);

	if (err < 0 || n == 0)
		return err;
	rule->srcs = calloc(2 * n, sizeof(*rule->srcs));
	rule->src_caps = calloc(n, sizeof(*rule->src_caps));
	if (rule->srcs == NULL || rule->src_caps == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *text = text_of(json_array_get(array, i));

		if (text == NULL)
			return ERR_BAD_FORMAT;
		err = add_src(text, b, rule);
		if (err < 0)
			return err;
	}
	return 0;
}

static int
parse_port(const json_t *ports, const char *name, uint16_t *ret_port)
{
	const json_t *value = json_object_get(ports, name);
	json_int_t number = json_integer_value(value);

	if (!is_absent(value) && !json_is_integer(value))
		return ERR_BAD_FORMAT;
	if (number < 0 || number > UINT16_MAX)
		return ERR_BAD_FORMAT;
	*ret_port = (uint16_t)number;
	return 0;
}

static int
parse_dst(const json_t *object, struct budget *b, struct filter_rule *rule)
{
	const json_t *ports = json_object_get(object, "Ports");
	const json_t *bits = json_object_get(object, "Bits");
	const char *text = text_of(json_object_get(object, "IP"));
	struct filter_range ranges[2];
	uint16_t first, last;
	int n;

	if (!is_absent(object) && !json_is_object(object))
		return ERR_BAD_FORMAT;
	if (text == NULL || (!is_absent(ports) && !json_is_object(ports)))
		return ERR_BAD_FORMAT;
	if (!is_absent(bits)) {
		if (!json_is_integer(bits))
			return ERR_BAD_FORMAT;
		b->is_rejected = true;
	}
	if (parse_port(ports, "First", &first) < 0 || parse_port(ports, "Last", &last) < 0)
		return ERR_BAD_FORMAT;

	n = filter_range_parse(text, ranges); // "cap:" is no address: skipped here
	if (n < 0)
		b->n_skipped++;
	for (int i = 0; i < n; i++)
		rule->dsts[rule->n_dsts++] = (struct filter_dst){ ranges[i], first, last };
	return 0;
}

static int
parse_dsts(const json_t *array, struct budget *b, struct filter_rule *rule)
{
	size_t n;
	int err = count_of(array, b, &n);

	if (err < 0 || n == 0)
		return err;
	rule->dsts = calloc(2 * n, sizeof(*rule->dsts));
	if (rule->dsts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		err = parse_dst(json_array_get(array, i), b, rule);
		if (err < 0)
			return err;
	}
	return 0;
}

static int
add_values(const json_t *array, struct budget *b, struct filter_cap *cap)
{
	size_t n;
	int err = count_of(array, b, &n);

	if (err < 0 || n == 0)
		return err;
	cap->values = calloc(n, sizeof(*cap->values));
	if (cap->values == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		cap->values[i] = json_dumps(json_array_get(array, i),
			JSON_ENCODE_ANY | JSON_COMPACT | JSON_PRESERVE_ORDER);
		if (cap->values[i] == NULL)
			return -ENOMEM;
		cap->n_values++;
	}
	return 0;
}

static int
add_cap(const char *name, const json_t *values, struct budget *b, struct filter_grant *grant)
{
	struct filter_cap *cap = &grant->caps[grant->n_caps];

	cap->name = strdup(name);
	if (cap->name == NULL)
		return -ENOMEM;
	grant->n_caps++;
	return add_values(values, b, cap);
}

static int
parse_caps(const json_t *object, struct budget *b, struct filter_grant *grant)
{
	const json_t *names = json_object_get(object, "Caps");
	json_t *map = json_object_get(object, "CapMap");
	json_t *values;
	const char *name;
	size_t n, n_mapped;
	int err;

	if (!is_absent(map) && !json_is_object(map))
		return ERR_BAD_FORMAT;
	n_mapped = json_object_size(map);
	err = count_of(names, b, &n);
	if (err == 0)
		err = spend(b, n_mapped);
	if (err < 0 || n + n_mapped == 0)
		return err;
	grant->caps = calloc(n + n_mapped, sizeof(*grant->caps));
	if (grant->caps == NULL)
		return -ENOMEM;

	for (size_t i = 0; i < n; i++) {
		name = text_of(json_array_get(names, i));
		err = name != NULL ? add_cap(name, NULL, b, grant) : ERR_BAD_FORMAT;
		if (err < 0)
			return err;
	}
	json_object_foreach(map, name, values)
	{
		err = add_cap(name, values, b, grant);
		if (err < 0)
			return err;
	}
	return 0;
}

// Prefixes: the empty text is none and contains nothing; host bits are allowed here.
static int
parse_grant_dsts(const json_t *array, struct budget *b, struct filter_grant *grant)
{
	size_t n;
	int err = count_of(array, b, &n);

	if (err < 0 || n == 0)
		return err;
	grant->dsts = calloc(n, sizeof(*grant->dsts));
	if (grant->dsts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *text = text_of(json_array_get(array, i));

		if (text == NULL)
			return ERR_BAD_FORMAT;
		if (text[0] == '\0')
			continue;
		if (strchr(text, '/') == NULL ||
			prefix_parse(text, &grant->dsts[grant->n_dsts]) < 0)
			return ERR_BAD_FORMAT;
		grant->n_dsts++;
	}
	return 0;
}

static int
parse_grants(const json_t *array, struct budget *b, struct filter_rule *rule)
{
	size_t n;
	int err = count_of(array, b, &n);

	if (err < 0 || n == 0)
		return err;
	rule->grants = calloc(n, sizeof(*rule->grants));
	if (rule->grants == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *object = json_array_get(array, i);
		struct filter_grant *grant = &rule->grants[rule->n_grants++];

		if (!is_absent(object) && !json_is_object(object))
			return ERR_BAD_FORMAT;
		err = parse_grant_dsts(json_object_get(object, "Dsts"), b, grant);
		if (err == 0)
			err = parse_caps(object, b, grant);
		if (err < 0)
			return err;
	}
	return 0;
}

static int
parse_rule(const json_t *object, struct budget *b, struct filter_rule *rule)
{
	const json_t *src_bits = json_object_get(object, "SrcBits");
	size_t n_bits;
	int err;

	if (!is_absent(object) && !json_is_object(object))
		return ERR_BAD_FORMAT;
	err = count_of(src_bits, b, &n_bits);
	if (err < 0)
		return err;
	if (n_bits > 0)
		b->is_rejected = true;
	err = parse_protocols(json_object_get(object, "IPProto"), b, rule);
	if (err < 0)
		return err;
	err = parse_srcs(json_object_get(object, "SrcIPs"), b, rule);
	if (err < 0)
		return err;
	err = parse_dsts(json_object_get(object, "DstPorts"), b, rule);
	if (err < 0)
		return err;
	return parse_grants(json_object_get(object, "CapGrant"), b, rule);
}

static void
grant_fini(struct filter_grant *grant)
{
	for (size_t i = 0; i < grant->n_caps; i++) {
		for (size_t k = 0; k < grant->caps[i].n_values; k++)
			free(grant->caps[i].values[k]);
		free(grant->caps[i].values);
		free(grant->caps[i].name);
	}
	free(grant->caps);
	free(grant->dsts);
}

static void
rule_fini(struct filter_rule *rule)
{
	for (size_t i = 0; i < rule->n_src_caps; i++)
		free(rule->src_caps[i]);
	for (size_t i = 0; i < rule->n_grants; i++)
		grant_fini(&rule->grants[i]);
	free(rule->srcs);
	free(rule->src_caps);
	free(rule->dsts);
	free(rule->grants);
}

void
filter_rules_fini(struct filter_rules *rules)
{
	if (rules == NULL)
		return;
	for (size_t i = 0; i < rules->n; i++)
		rule_fini(&rules->rules[i]);
	free(rules->rules);
	*rules = (struct filter_rules){};
}

int
filter_rules_parse(const struct json_t *array, struct filter_rules *ret_rules)
{
	struct budget b = { .entries = FILTER_MAX_ENTRIES };
	struct filter_rules rules = {};
	size_t n;
	int err = count_of(array, &b, &n);

	if (err < 0)
		return err;
	if (n > FILTER_MAX_RULES)
		return -E2BIG;
	rules.rules = calloc(n + 1, sizeof(*rules.rules));
	if (rules.rules == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		err = parse_rule(json_array_get(array, i), &b, &rules.rules[rules.n++]);
		if (err < 0) {
			filter_rules_fini(&rules);
			return err;
		}
	}
	if (b.is_rejected)
		filter_rules_fini(&rules);
	rules.n_skipped = b.n_skipped;
	rules.is_rejected = b.is_rejected;
	*ret_rules = rules;
	return 0;
}

int
filter_rules_parse_text(const char *text, size_t len, struct filter_rules *ret_rules)
{
	json_t *array = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	int err;

	if (array == NULL)
		return ERR_BAD_FORMAT;
	err = filter_rules_parse(array, ret_rules);
	json_decref(array);
	return err;
}
