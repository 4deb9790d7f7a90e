/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/handshake/load.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/crypto/key.h"
#include "lib/wg/limits.h"

#define COST_NS (NS_PER_S / LOAD_PER_SECOND)
#define FULL_NS (COST_NS * LOAD_AT_ONCE)

int
load_init(struct load *load)
{
	uint8_t key[WG_RATELIMIT_KEY_LEN];

	*load = (struct load){ .tokens_ns = FULL_NS };
	load->entries = calloc(WG_RATE_MAX_SOURCES, sizeof(load->entries[0]));
	if (load->entries == NULL)
		return -ENOMEM;
	random_bytes(key, sizeof(key));
	wg_ratelimit_init(&load->limit, load->entries, WG_RATE_MAX_SOURCES, key);
	return 0;
}

void
load_fini(struct load *load)
{
	free(load->entries);
	load->entries = NULL;
}

bool
load_is_high(const struct load *load, struct mono now)
{
	return mono_diff_ns(load->until, now) > 0;
}

bool
load_on_message(struct load *load, struct mono now)
{
	int64_t passed = mono_diff_ns(now, load->updated);

	if (passed > 0) {
		load->tokens_ns =
			passed >= FULL_NS - load->tokens_ns ? FULL_NS : load->tokens_ns + passed;
		load->updated = now;
	}
	if (load->tokens_ns < COST_NS)
		load->until = mono_add_ns(now, LOAD_LINGER_NS);
	else
		load->tokens_ns -= COST_NS;
	return load_is_high(load, now);
}

bool
load_accept(struct load *load, const struct addr *source, struct mono now)
{
	return wg_ratelimit_accept(&load->limit, source, now);
}
