/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/paths/pings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/traversal/path.h"

void
pings_fini(struct pings *p)
{
	free(p->items);
	*p = (struct pings){};
}

int
pings_add(struct pings *p, const struct ping *ping)
{
	if (p->n >= PINGS_MAX)
		return ERR_FULL;
	if (p->n == p->room) {
		uint16_t room = p->room == 0 ? 8 : 2 * p->room;
		struct ping *items = realloc(p->items, room * sizeof(items[0]));

		if (items == NULL)
			return -ENOMEM;
		p->items = items;
		p->room = room;
	}
	p->items[p->n++] = *ping;
	return 0;
}

static void
take_at(struct pings *p, uint16_t i, struct ping *ret_ping)
{
	*ret_ping = p->items[i];
	p->n--;
	memmove(&p->items[i], &p->items[i + 1], (size_t)(p->n - i) * sizeof(p->items[0]));
	if (p->n == 0)
		pings_fini(p);
}

void
pings_drop_last(struct pings *p)
{
	p->n--;
	if (p->n == 0)
		pings_fini(p);
}

bool
pings_take(struct pings *p, const uint8_t txid[static DISCO_TXID_LEN], struct ping *ret_ping)
{
	for (uint16_t i = 0; i < p->n; i++)
		if (memcmp(p->items[i].txid, txid, DISCO_TXID_LEN) == 0) {
			take_at(p, i, ret_ping);
			return true;
		}
	return false;
}

struct mono
pings_next(const struct pings *p)
{
	if (p->n == 0)
		return (struct mono){};
	return mono_add_ns(p->items[0].sent, PATH_PING_TIMEOUT_NS);
}

bool
pings_take_expired(struct pings *p, struct mono now, struct ping *ret_ping)
{
	if (p->n == 0 || mono_diff_ns(now, pings_next(p)) < 0)
		return false;
	take_at(p, 0, ret_ping);
	return true;
}

bool
pings_is_asked(const struct pings *p, uint64_t token)
{
	for (uint16_t i = 0; i < p->n; i++)
		if (p->items[i].is_asked && p->items[i].token == token)
			return true;
	return false;
}

void
pings_forget_token(struct pings *p, uint64_t token)
{
	for (uint16_t i = 0; i < p->n; i++)
		if (p->items[i].token == token)
			p->items[i].is_asked = false;
}
