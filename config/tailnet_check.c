/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Single values of a tailnet member's settings: what the file, the command line and the daemon must
 * agree about.
 */

#include <string.h>

#include "config/gateway.h"

static const char *const names[] = {
	[CONFIG_TAILNET_LOGIN_SERVER] = "login_server",
	[CONFIG_TAILNET_AUTH_KEY_FILE] = "auth_key_file",
	[CONFIG_TAILNET_HOSTNAME] = "hostname",
	[CONFIG_TAILNET_ACCEPT_ROUTES] = "accept_routes",
	[CONFIG_TAILNET_ACCEPT_DNS] = "accept_dns",
	[CONFIG_TAILNET_ADVERTISE_ROUTES] = "advertise_routes",
	[CONFIG_TAILNET_ADVERTISE_TAGS] = "advertise_tags",
	[CONFIG_TAILNET_SHIELDS_UP] = "shields_up",
	[CONFIG_TAILNET_SNAT_SUBNET_ROUTES] = "snat_subnet_routes",
	[CONFIG_TAILNET_CA_FILE] = "ca_file",
	[CONFIG_TAILNET_LISTEN_PORT] = "port",
};

const char *
config_tailnet_name(enum config_tailnet_option option)
{
	return names[option];
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

// The end of host and port, a name or address: NULL when there is none.
static const char *
skip_authority(const char *text)
{
	const char *begin = text;

	if (*text == '[') {
		text += strspn(text + 1, "0123456789abcdefABCDEF:.") + 1;
		if (*text++ != ']')
			return NULL;
	} else {
		while (is_letter(*text) || is_digit(*text) || *text == '.' || *text == '-' ||
			*text == '_')
			text++;
	}
	if (text == begin)
		return NULL;
	if (*text == ':') {
		size_t digits = strspn(text + 1, "0123456789");

		if (digits == 0 || digits > 5)
			return NULL;
		text += 1 + digits;
	}
	return text;
}

const char *
config_check_login_server(const char *text)
{
	const char *end;

	if (strlen(text) >= CONFIG_URL_LEN)
		return "it is too long; correct it";
	if (strncmp(text, "https://", 8) == 0)
		end = skip_authority(text + 8);
	else if (strncmp(text, "http://", 7) == 0)
		end = skip_authority(text + 7);
	else
		return "a server's address begins with https:// (or http://, where somebody else "
		       "encrypts); write for example https://hs.example";
	if (end == NULL)
		return "behind :// there must be a host's name or address, perhaps with a port; "
		       "write for example https://hs.example:8443";
	if (end[strspn(end, "/")] != '\0')
		return "behind the host there is more, which the protocol has no use for; write "
		       "for example https://hs.example";
	return NULL;
}

const char *
config_check_hostname(const char *text)
{
	size_t len = strlen(text);

	if (len >= CONFIG_HOSTNAME_LEN)
		return "a name has at most 63 characters; choose a shorter one";
	for (size_t i = 0; i < len; i++)
		if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '-')
			return "a name in a tailnet has letters, digits and '-' only; write for "
			       "example gateway-1";
	if (len > 0 && (text[0] == '-' || text[len - 1] == '-'))
		return "a name begins and ends with a letter or digit; write for example gateway-1";
	return NULL;
}

// The rule of the reference implementation: tailcfg.CheckTag.
const char *
config_check_tag(const char *text)
{
	if (strncmp(text, "tag:", 4) != 0)
		return "a tag begins with tag: ; write for example tag:router";
	if (strlen(text) >= CONFIG_TAG_LEN)
		return "it is too long; choose a shorter tag";
	if (!is_letter(text[4]))
		return "behind tag: there is a letter first; write for example tag:router";
	for (const char *c = text + 5; *c != '\0'; c++)
		if (!is_letter(*c) && !is_digit(*c) && *c != '-')
			return "a tag has letters, digits and '-' only; write for example "
			       "tag:router";
	return NULL;
}

const char *
config_check_route(const struct prefix *route)
{
	struct prefix masked = prefix_mask(*route);

	if (!addr_equal(&masked.addr, &route->addr))
		return "there are bits set behind its length; write the network's own address";
	if (route->len == 0)
		return "a default route would make this gateway an exit node, which it cannot be "
		       "yet; name the networks behind it";
	return NULL;
}
