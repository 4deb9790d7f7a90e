/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/port_mapping/default_router.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLAG_UP      1u
#define FLAG_GATEWAY 2u
#define LINE_LEN     256

struct route {
	uint32_t destination, next_hop, mask; /* as they lie in memory: network order */
	unsigned flags;
	long metric;
};

static bool
parse_line(const char *line, struct route *r)
{
	char interface[64];
	unsigned destination, next_hop, mask;

	if (sscanf(line, "%63s %x %x %x %*d %*u %ld %x", interface, &destination, &next_hop,
		    &r->flags, &r->metric, &mask) != 6)
		return false;
	r->destination = destination;
	r->next_hop = next_hop;
	r->mask = mask;
	return true;
}

static bool
is_private(const struct addr *a)
{
	const uint8_t *b = a->bytes;

	return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168);
}

static bool
is_default(const struct route *r)
{
	return r->destination == 0 && r->mask == 0 &&
	       (r->flags & (FLAG_UP | FLAG_GATEWAY)) == (FLAG_UP | FLAG_GATEWAY);
}

// The next line of the text, cut to what fits.
static size_t
take_line(const char *text, size_t len, char line[static LINE_LEN])
{
	const char *end = memchr(text, '\n', len);
	size_t n = end != NULL ? (size_t)(end - text) : len;
	size_t kept = n < LINE_LEN - 1 ? n : LINE_LEN - 1;

	memcpy(line, text, kept);
	line[kept] = '\0';
	return end != NULL ? n + 1 : n;
}

bool
default_router_parse(const char *text, size_t len, struct addr *ret_router)
{
	struct route best = {}, r;
	char line[LINE_LEN];
	bool found = false;
	struct addr router = { .family = ADDR_V4 };

	while (len > 0) {
		size_t n = take_line(text, len, line);

		if (parse_line(line, &r) && is_default(&r) && (!found || r.metric < best.metric)) {
			best = r;
			found = true;
		}
		text += n;
		len -= n;
	}
	memcpy(router.bytes, &best.next_hop, 4);
	if (!found || !is_private(&router))
		return false;
	*ret_router = router;
	return true;
}

bool
default_router_find(struct addr *ret_router)
{
	int fd = open("/proc/net/route", O_RDONLY | O_CLOEXEC);
	char *text = malloc(DEFAULT_ROUTER_MAX_TEXT);
	size_t len = 0;
	ssize_t n = 1;
	bool found;

	while (fd >= 0 && text != NULL && n > 0 && len < DEFAULT_ROUTER_MAX_TEXT) {
		n = read(fd, text + len, DEFAULT_ROUTER_MAX_TEXT - len);
		len += n > 0 ? (size_t)n : 0;
	}
	found = text != NULL && default_router_parse(text, len, ret_router);
	free(text);
	if (fd >= 0)
		close(fd);
	return found;
}
