/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/host_port.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/addr.h"

#define MAX_NAME_LEN  253 // RFC 1035 section 2.3.4, without the length bytes
#define MAX_LABEL_LEN 63
#define MAX_ZONE_LEN  15 // IFNAMSIZ without the zero

static bool
is_one_of(char c, const char *more)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr(more, c) != NULL);
}

static bool
parse_port(const char *text, uint16_t *ret_port)
{
	size_t len = strlen(text);
	unsigned long port;

	if (len == 0 || len > 5 || text[0] == '0' || strspn(text, "0123456789") != len)
		return false;
	port = strtoul(text, NULL, 10);
	if (port > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

// "fd00::1", or "fe80::1%eth0".  Cuts `host` at the zone while it looks.
static bool
is_ipv6(const char *host)
{
	const char *zone = strchr(host, '%');
	size_t len = zone != NULL ? (size_t)(zone - host) : strlen(host);
	char text[ADDR_TEXT_LEN];
	struct addr addr;

	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	if (addr_parse(text, &addr) < 0 || addr.family != ADDR_V6)
		return false;
	if (zone == NULL)
		return true;
	if (zone[1] == '\0' || strlen(zone + 1) > MAX_ZONE_LEN)
		return false;
	for (const char *c = zone + 1; *c != '\0'; c++)
		if (!is_one_of(*c, "_-."))
			return false;
	return true;
}

// Letters, digits and '-' in labels; '_' is used too.
static bool
is_name(const char *host)
{
	size_t label_len = 0;

	if (strlen(host) > MAX_NAME_LEN)
		return false;
	for (const char *c = host; *c != '\0'; c++) {
		if (*c == '.') {
			if (label_len == 0 || c[-1] == '-')
				return false;
			label_len = 0;
			continue;
		}
		if (!is_one_of(*c, label_len == 0 ? "_" : "_-") || ++label_len > MAX_LABEL_LEN)
			return false;
	}
	return host[0] != '\0' && host[strlen(host) - 1] != '-';
}

static const char *
check_plain_host(const char *host)
{
	struct addr addr;

	if (host[0] == '\0')
		return "it has no host; a peer is somewhere; write an address or a name before the "
		       "port";
	if (strchr(host, ':') != NULL)
		return "an IPv6 address with a port needs brackets; write it as "
		       "\"[fd00::1]:51820\", with the quotes";
	if (host[strspn(host, "0123456789.")] == '\0')
		return addr_parse(host, &addr) == 0 ? NULL
		                                    : "that is no IPv4 address; four numbers from "
		                                      "0 to 255 are needed; correct "
		                                      "it, for example 192.0.2.7:51820";
	return is_name(host) ? NULL
	                     : "that is neither an address nor a host name; write for example "
	                       "192.0.2.7:51820, \"[fd00::1]:51820\" or vpn.example.net:51820";
}

const char *
host_port_parse(const char *text, char ret_host[static CONFIG_HOST_LEN], uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	char host[CONFIG_HOST_LEN];
	bool has_brackets = text[0] == '[';
	const char *complaint = NULL;
	uint16_t port;
	size_t len;

	if (colon == NULL || (has_brackets && (colon == text || colon[-1] != ']')))
		return "it has no port; peers listen on a UDP port; add it, for example :51820";
	len = (size_t)(colon - text);
	if (len >= sizeof(host))
		return "its host is too long; a host name has at most 253 characters; correct it";
	if (!parse_port(colon + 1, &port))
		return "its port is no port; a port is a number from 1 to 65535; correct what "
		       "stands behind the last colon";

	memcpy(host, text, len);
	host[len] = '\0';
	if (has_brackets) {
		memmove(host, host + 1, len);
		host[len - 2] = '\0';
		if (!is_ipv6(host))
			complaint = "what stands in brackets is no IPv6 address; only those have "
				    "brackets; write for example \"[fd00::1]:51820\"";
	} else {
		complaint = check_plain_host(host);
	}
	if (complaint != NULL)
		return complaint;
	strcpy(ret_host, host);
	*ret_port = port;
	return NULL;
}

void
host_port_print(FILE *out, const char *host, uint16_t port)
{
	if (strchr(host, ':') != NULL)
		fprintf(out, "\"[%s]:%u\"", host, (unsigned)port);
	else
		fprintf(out, "%s:%u", host, (unsigned)port);
}
