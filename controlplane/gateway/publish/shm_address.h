/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses as lib/net has them and as the shared memory has them.  What comes from the shared
 * memory is checked here: a family that does not exist becomes "none".
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_SHM_ADDRESS_H
#define CONTROLPLANE_GATEWAY_PUBLISH_SHM_ADDRESS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/net/addr.h"
#include "lib/shm/shm_abi.h"

static inline struct shm_addr
shm_addr_of(const struct addr *a)
{
	struct shm_addr s = {};

	memcpy(s.bytes, a->bytes, a->family == ADDR_V4 ? 4 : sizeof(s.bytes));
	return s;
}

/* All zero, or of a family that does not exist: none. */
static inline struct addr
addr_of_shm(const struct shm_addr *s, uint8_t family)
{
	static const struct shm_addr zero;
	struct addr a = {};

	if ((family != ADDR_V4 && family != ADDR_V6) || memcmp(s, &zero, sizeof(zero)) == 0)
		return a;
	a.family = family;
	memcpy(a.bytes, s->bytes, family == ADDR_V4 ? 4 : sizeof(a.bytes));
	return a;
}

/* remote with family ADDR_NONE: no path.  local may be ADDR_NONE: as the kernel's routes say. */
static inline struct shm_path
shm_path_of(const struct endpoint *remote, const struct addr *local)
{
	struct shm_path p = {};

	if (remote->addr.family == ADDR_NONE || remote->port == 0)
		return p;
	p.remote = shm_addr_of(&remote->addr);
	p.remote_port = remote->port;
	p.family = remote->addr.family;
	p.ifindex = remote->scope_id;
	if (local->family == remote->addr.family)
		p.local = shm_addr_of(local);
	return p;
}

/* False: there is no path in it. */
static inline bool
endpoint_of_shm(const struct shm_path *p, struct endpoint *ret_remote, struct addr *ret_local)
{
	struct endpoint e = { .addr = addr_of_shm(&p->remote, p->family),
		.port = p->remote_port,
		.scope_id = p->family == ADDR_V6 ? p->ifindex : 0 };

	if (e.addr.family == ADDR_NONE || e.port == 0)
		return false;
	*ret_remote = e;
	*ret_local = addr_of_shm(&p->local, p->family);
	return true;
}

/* An address as the configuration writes it, perhaps with a zone; false: it is a name. */
static inline bool
endpoint_from_host(const char *host, uint16_t port, struct endpoint *ret_endpoint)
{
	char text[300];
	int n = snprintf(text, sizeof(text), strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
		(unsigned)port);

	return n > 0 && (size_t)n < sizeof(text) && endpoint_parse(text, ret_endpoint) == 0;
}

#endif
