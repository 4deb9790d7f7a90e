/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/loading.h"

// A whole decimal number.  Leading zeros are refused: YAML versions disagree about what 010 is.
static bool
parse_decimal(const char *text, int64_t *ret_number)
{
	bool is_negative = *text == '-';
	const char *digits = text + is_negative;
	size_t len = strlen(digits);
	int64_t number = 0;

	if (len == 0 || len > 18 || (digits[0] == '0' && len > 1))
		return false;
	for (const char *c = digits; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return false;
		number = number * 10 + (*c - '0');
	}
	*ret_number = is_negative ? -number : number;
	return true;
}

static void
store_number(const struct config_option *o, void *base, int64_t number)
{
	void *field = (char *)base + o->offset;
	uint16_t u16 = (uint16_t)number;
	uint32_t u32 = (uint32_t)number;

	if (o->size == sizeof(u16))
		memcpy(field, &u16, sizeof(u16));
	else
		memcpy(field, &u32, sizeof(u32));
}

static uint32_t
stored_number(const struct config_option *o, const void *base)
{
	const void *field = (const char *)base + o->offset;
	uint16_t u16;
	uint32_t u32;

	if (o->size == sizeof(u16)) {
		memcpy(&u16, field, sizeof(u16));
		return u16;
	}
	memcpy(&u32, field, sizeof(u32));
	return u32;
}

static void
check_field(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	const char *complaint;

	if (o->check == NULL)
		return;
	complaint = o->check((const char *)base + o->offset);
	if (complaint != NULL)
		loading_error(l, node, "%s is \"%s\"; %s", schema_name(o), shown(node->text).text,
			complaint);
}

static void
number_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	const char *name = schema_name(o);
	int64_t number;

	if (!loading_wants_scalar(l, o, node))
		return;
	if (o->zero_word != NULL && strcmp(node->text, o->zero_word) == 0) {
		store_number(o, base, 0);
		return;
	}
	if (node->is_quoted) {
		loading_error(l, node,
			"%s is a text in quotes; it takes a number; remove the quotes", name);
		return;
	}
	if (!parse_decimal(node->text, &number)) {
		loading_error(l, node,
			"%s is \"%s\"; it takes a whole number from %" PRId64 " to %" PRId64
			" (%s); write for example `%s: %s`",
			name, shown(node->text).text, o->min, o->max, o->unit, name, o->example);
		return;
	}
	if (number < o->min || number > o->max) {
		loading_error(l, node,
			"%s is %" PRId64 "; it goes from %" PRId64 " to %" PRId64
			" (%s); choose a number in that range",
			name, number, o->min, o->max, o->unit);
		return;
	}
	store_number(o, base, number);
	check_field(l, o, node, base);
}

static void
number_print(FILE *out, const struct config_option *o, const void *base)
{
	uint32_t number = stored_number(o, base);

	if (number == 0 && o->zero_word != NULL)
		fputs(o->zero_word, out);
	else
		fprintf(out, "%" PRIu32, number);
}

const struct value_type value_number = { "a number", number_parse, number_print };

// Not stored: there is only one version that we read.
static void
version_parse(struct loading *l, const struct config_option *o, const struct node *node, void *)
{
	if (!loading_wants_scalar(l, o, node))
		return;
	if (node->is_quoted)
		loading_error(l, node,
			"version is a text in quotes; it takes a number; remove the quotes");
	else if (strcmp(node->text, "1") != 0)
		loading_error(l, node,
			"version is \"%s\"; this Sluice reads version 1 of the format; write "
			"`version: 1`, or use the Sluice that the file was made for",
			shown(node->text).text);
}

static void
version_print(FILE *out, const struct config_option *, const void *)
{
	fputs("1", out);
}

const struct value_type value_version = { "a number", version_parse, version_print };

static void
list_choices(const struct config_option *o, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; o->choices[i] != NULL && at < size; i++)
		at += (size_t)snprintf(
			text + at, size - at, "%s%s", i == 0 ? "" : " or ", o->choices[i]);
}

static void
choice_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	char choices[128];

	if (!loading_wants_scalar(l, o, node))
		return;
	for (size_t i = 0; o->choices[i] != NULL; i++) {
		if (strcmp(o->choices[i], node->text) == 0) {
			store_number(o, base, (int64_t)i);
			return;
		}
	}
	list_choices(o, choices, sizeof(choices));
	loading_error(l, node, "%s is \"%s\"; this version knows %s; write one of them",
		schema_name(o), shown(node->text).text, choices);
}

static void
choice_print(FILE *out, const struct config_option *o, const void *base)
{
	fputs(o->choices[stored_number(o, base)], out);
}

static_assert(sizeof(enum config_driver) == sizeof(uint32_t), "choices are stored as numbers");

const struct value_type value_choice = { "a word", choice_parse, choice_print };

bool
value_is_name(const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		bool is_alnum = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
		                (*c >= '0' && *c <= '9');

		if (!is_alnum && (c == text || strchr("._@-", *c) == NULL))
			return false;
	}
	return text[0] != '\0';
}

static void
name_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	char *field = (char *)base + o->offset;

	if (!loading_wants_scalar(l, o, node))
		return;
	if (!value_is_name(node->text)) {
		loading_error(l, node,
			"%s is \"%s\"; a name has letters, digits, '.', '_', '-' and '@' only and "
			"begins with a letter or digit; choose one like %s",
			schema_name(o), shown(node->text).text, o->example);
		return;
	}
	if (strlen(node->text) >= o->size) {
		loading_error(l, node,
			"%s has %zu characters; %zu are the most; choose a shorter one",
			schema_name(o), strlen(node->text), o->size - 1);
		return;
	}
	strcpy(field, node->text);
	check_field(l, o, node, base);
}

static void
name_print(FILE *out, const struct config_option *o, const void *base)
{
	value_print_text(out, (const char *)base + o->offset);
}

const struct value_type value_name = { "a name", name_parse, name_print };

static void
add_core(struct loading *l, const struct node *node, struct config_gateway *config)
{
	int64_t core;

	if (node->kind != NODE_SCALAR || node->is_quoted || !parse_decimal(node->text, &core) ||
		core < 0 || core > CONFIG_MAX_CORE) {
		loading_error(l, node,
			"workers has an item that is no core; cores are numbers from 0 to %d; "
			"write "
			"for example [1, 2]",
			CONFIG_MAX_CORE);
		return;
	}
	for (size_t i = 0; i < config->n_worker_cores; i++) {
		if (config->worker_cores[i] == core) {
			loading_error(l, node,
				"core %d is listed twice; a core has one worker; remove one of the "
				"two",
				(int)core);
			return;
		}
	}
	if (config->n_worker_cores < CONFIG_MAX_WORKERS)
		config->worker_cores[config->n_worker_cores++] = (int)core;
}

static void
workers_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	struct config_gateway *config = base;

	if (node->kind == NODE_SCALAR && strcmp(node->text, "auto") == 0) {
		config->workers_auto = true;
		return;
	}
	if (node->kind != NODE_LIST || node->n_children == 0) {
		loading_error(l, node,
			"workers is neither auto nor a list of cores; %s; write `workers: auto`, "
			"or "
			"`workers: [1]` to pin one to core 1",
			o->help);
		return;
	}
	if (node->n_children > CONFIG_MAX_WORKERS) {
		loading_error(l, node,
			"workers lists %zu cores; %d are the most; use fewer, they share the "
			"packets evenly",
			node->n_children, CONFIG_MAX_WORKERS);
		return;
	}
	for (const struct node *item = node->first; item != NULL; item = item->next)
		add_core(l, item, config);
}

static void
workers_print(FILE *out, const struct config_option *, const void *base)
{
	const struct config_gateway *config = base;

	if (config->workers_auto) {
		fputs("auto", out);
		return;
	}
	for (size_t i = 0; i < config->n_worker_cores; i++)
		fprintf(out, "%s%d", i == 0 ? "[" : ", ", config->worker_cores[i]);
	fputs("]", out);
}

const struct value_type value_workers = { "auto or a list of cores", workers_parse, workers_print };

static bool
needs_quotes(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "/._@+-";
	static const char *const words[] = { "null", "Null", "NULL" }; // would be no value

	if (text[0] == '\0' || text[0] == '-' || text[0] == '@' ||
		text[strspn(text, plain)] != '\0' || strncmp(text, "...", 3) == 0)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

void
value_print_text(FILE *out, const char *text)
{
	if (!needs_quotes(text)) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			fputc('\\', out);
		fputc(*c, out);
	}
	fputc('"', out);
}
