/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/schema.h"
#include "config/value.h"

#define PATH_LEN  128
#define INDENT    2 // spaces
#define PEERS_MAP "wireguard.peers[]"

// The value of an option as text; empty: not set.
static int
format_value(const struct config_option *o, const void *base, char **ret_text)
{
	size_t len;
	FILE *text;

	text = open_memstream(ret_text, &len);
	if (text == NULL)
		return -ENOMEM;
	o->type->print(text, o, base);
	if (fclose(text) == 0)
		return 0;
	free(*ret_text);
	return -ENOMEM;
}

// Whether the file gave it.  What is a preference and was not given is for the command line.
static bool
is_given(const struct config_option *o, const void *base)
{
	int line;

	if (!o->is_preference)
		return true;
	memcpy(&line, (const char *)base + o->line_offset, sizeof(line));
	return line != 0;
}

// `*lead` is what stands before the first option of a list's item; later ones get spaces.
static int
print_value(FILE *out,
	const struct config_option *o,
	const void *base,
	bool with_defaults,
	int indent,
	const char **lead)
{
	char *text = NULL;
	bool is_default;
	int err;

	err = format_value(o, base, &text);
	if (err < 0)
		return err;
	is_default = o->default_text != NULL && strcmp(text, o->default_text) == 0;
	if (text[0] != '\0' && (with_defaults || !is_default)) {
		fprintf(out, "%*s%s%s: %s\n", indent, "", *lead, schema_name(o), text);
		*lead = *lead[0] != '\0' ? "  " : "";
	}
	free(text);
	return 0;
}

static int
print_peer(FILE *out, const struct config_peer *peer, int indent)
{
	const struct config_option *options;
	const char *lead = "- ";
	size_t count;
	int err = 0;

	options = schema_options(&count);
	for (size_t i = 0; i < count && err == 0; i++) {
		if (!schema_is_child(&options[i], PEERS_MAP))
			continue;
		if (strcmp(schema_name(&options[i]), "name") == 0 && !peer->has_name)
			continue; // made from the key, and made again by the reader
		err = print_value(out, &options[i], peer, false, indent, &lead);
	}
	return err;
}

static int
print_peers(FILE *out, const struct config_gateway *config, int indent)
{
	int err = 0;

	fprintf(out, "%*speers:%s\n", indent, "", config->n_peers == 0 ? " []" : "");
	for (size_t i = 0; i < config->n_peers && err == 0; i++)
		err = print_peer(out, &config->peers[i], indent + INDENT);
	return err;
}

static int
print_map(FILE *out, const char *parent, const struct config_gateway *config, int indent)
{
	const struct config_option *options;
	const char *no_lead = "";
	size_t count;
	int err = 0;

	options = schema_options(&count);
	for (size_t i = 0; i < count && err == 0; i++) {
		const struct config_option *o = &options[i];

		if (!schema_is_child(o, parent) || !is_given(o, config))
			continue;
		if (strcmp(o->path, config->is_tailnet ? "wireguard" : "tailnet") == 0)
			continue; // the other kind of gateway
		if (o->type == &value_map) {
			fprintf(out, "%*s%s:\n", indent, "", schema_name(o));
			err = print_map(out, o->path, config, indent + INDENT);
		} else if (o->type == &value_peers) {
			err = print_peers(out, config, indent);
		} else if (o->type->print != NULL) {
			err = print_value(out, o, config, true, indent, &no_lead);
		}
	}
	return err;
}

int
config_print(FILE *out, const struct config_gateway *config)
{
	int err;

	err = print_map(out, "", config, 0);
	if (err < 0)
		return err;
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}

static void
print_option(FILE *out, const struct config_option *o)
{
	fprintf(out, "%s: %s%s\n", o->path, o->type->name, o->required ? ", required" : "");
	fprintf(out, "    %s\n", o->help);
	if (o->unit != NULL)
		fprintf(out, "    from %" PRId64 " to %" PRId64 " (%s)\n", o->min, o->max, o->unit);
	if (o->default_text != NULL)
		fprintf(out, "    default: %s\n", o->default_text);
	if (o->example != NULL)
		fprintf(out, "    example: `%s: %s`\n", schema_name(o), o->example);
}

int
config_print_options(FILE *out)
{
	const struct config_option *options;
	size_t count;

	options = schema_options(&count);
	for (size_t i = 0; i < count; i++)
		print_option(out, &options[i]);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
