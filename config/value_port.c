/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Network interfaces, and ranges of ports.
 */

#include <stdlib.h>
#include <string.h>

#include "config/loading.h"
#include "config/value.h"

#define LOWEST_PORT 1024 // below it are services
#define FEWEST      64   // ports that a translation can do anything with

// What the kernel takes for a name; quotes let YAML have most of it.
static bool
is_interface_name(const char *text)
{
	if (text[0] == '\0' || strlen(text) >= CONFIG_INTERFACE_LEN || strcmp(text, ".") == 0 ||
		strcmp(text, "..") == 0)
		return false;
	for (const char *c = text; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '/' || *c == ':' || *c == '%')
			return false;
	return true;
}

static bool
is_listed(const struct config_gateway *config, const char *name)
{
	for (size_t i = 0; i < config->n_ports; i++)
		if (strcmp(config->ports[i], name) == 0)
			return true;
	return false;
}

// Stored before us: the rows of the schema are read in their order.
static void
add_interface(struct loading *l, const struct node *node, struct config_gateway *config)
{
	if (node->kind != NODE_SCALAR || !is_interface_name(node->text)) {
		loading_error(l, node,
			"ports has an item that is no interface's name; those have up to %d "
			"characters without spaces, '/', ':' and '%%', as `ip link` shows them; "
			"write for example [eth0]",
			CONFIG_INTERFACE_LEN - 1);
		return;
	}
	if (is_listed(config, node->text)) {
		loading_error(l, node,
			"ports lists %s twice; an interface is one port; remove one of the two",
			node->text);
		return;
	}
	if (strcmp(node->text, config->interface) == 0) {
		loading_error(l, node,
			"ports lists %s, which is the gateway's own TUN interface; ports carry "
			"Ethernet frames; remove it",
			node->text);
		return;
	}
	if (config->n_ports < CONFIG_MAX_PORTS)
		strcpy(config->ports[config->n_ports++], node->text);
}

static void
interfaces_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	struct config_gateway *config = base;

	if (!loading_wants_list(l, o, node))
		return;
	if (node->n_children > CONFIG_MAX_PORTS) {
		loading_error(l, node,
			"ports lists %zu interfaces; %d are the most; leave the slower ones to the "
			"kernel",
			node->n_children, CONFIG_MAX_PORTS);
		return;
	}
	for (const struct node *item = node->first; item != NULL; item = item->next)
		add_interface(l, item, config);
	if (config->n_ports > 0 && config->driver == CONFIG_DRIVER_KERNEL)
		loading_warning(l, node,
			"ports has no effect; dataplane.driver is kernel, which uses none; remove "
			"one of the two");
}

static void
interfaces_print(FILE *out, const struct config_option *, const void *base)
{
	const struct config_gateway *config = base;

	for (size_t i = 0; i < config->n_ports; i++) {
		fputs(i == 0 ? "[" : ", ", out);
		value_print_text(out, config->ports[i]);
	}
	if (config->n_ports > 0)
		fputs("]", out);
}

const struct value_type value_interfaces = { "a list of interfaces", interfaces_parse,
	interfaces_print };

static bool
parse_port(const char **text, unsigned *ret_port)
{
	const char *c = *text;
	unsigned port = 0;

	for (; *c >= '0' && *c <= '9' && port <= UINT16_MAX; c++)
		port = port * 10 + (unsigned)(*c - '0');
	if (c == *text || port == 0 || port > UINT16_MAX)
		return false;
	*text = c;
	*ret_port = port;
	return true;
}

static bool
parse_range(const char *text, unsigned *ret_first, unsigned *ret_last)
{
	return parse_port(&text, ret_first) && *text++ == '-' && parse_port(&text, ret_last) &&
	       *text == '\0' && *ret_first <= *ret_last;
}

static void
port_range_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	struct config_port_range *range = (void *)((char *)base + o->offset);
	const char *name = schema_name(o);
	unsigned first, last;

	if (!loading_wants_scalar(l, o, node))
		return;
	if (!parse_range(node->text, &first, &last)) {
		loading_error(l, node,
			"%s is \"%s\"; it takes a range of ports, the first, '-' and the last; "
			"write for example `%s: %s`",
			name, shown(node->text).text, name, o->example);
		return;
	}
	if (first < LOWEST_PORT || last - first + 1 < FEWEST) {
		loading_error(l, node,
			"%s is %u-%u; it must hold at least %d ports, none of them below %d; "
			"choose another range",
			name, first, last, FEWEST, LOWEST_PORT);
		return;
	}
	*range = (struct config_port_range){ (uint16_t)first, (uint16_t)last };
}

static void
port_range_print(FILE *out, const struct config_option *o, const void *base)
{
	const struct config_port_range *range = (const void *)((const char *)base + o->offset);

	if (range->first != 0) // not read from YAML
		fprintf(out, "%u-%u", range->first, range->last);
}

const struct value_type value_port_range = { "a range of ports", port_range_parse,
	port_range_print };
