/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Are we under load?  Then a handshake message costs its sender a cookie first, and each source
 * gets a few per second.
 *
 * A response to an initiation is about 150 us of X25519.  Up to 2,000 messages a second with a
 * right mac1, and 512 at once, are simply answered: that is what 10,000 peers do after a restart.
 * Beyond that we are under load, and stay so for a second after.
 *
 * Source: ../shared/design/reliability.md 1.1 (512 waiting, 1 s), T-24, T-31.
 * Owner:  embedded in the engine.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_HANDSHAKE_LOAD_H
#define CONTROLPLANE_GATEWAY_HANDSHAKE_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/wg/ratelimit.h"

#define LOAD_PER_SECOND 2000
#define LOAD_AT_ONCE    512
#define LOAD_LINGER_NS  NS_PER_S

struct load {
	int64_t tokens_ns; /* a message costs 1/2000 s */
	struct mono updated;
	struct mono until; /* under load up to then */
	struct wg_ratelimit limit;
	struct wg_ratelimit_entry *entries;
};

[[nodiscard]] int load_init(struct load *load); /* 0 or -ENOMEM */
void load_fini(struct load *load);

/* A handshake message with a right mac1 came.  Returns whether we are under load. */
bool load_on_message(struct load *load, struct mono now);
bool load_is_high(const struct load *load, struct mono now);
/* Under load: may this source, which has proven its address, be served now? */
bool load_accept(struct load *load, const struct addr *source, struct mono now);

#endif
