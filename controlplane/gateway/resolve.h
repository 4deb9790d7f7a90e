/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Names of endpoints to addresses.  getaddrinfo() blocks, so a thread of its own asks; the answers
 * come as letters (LETTER_RESOLVED).
 *
 * Owner:  coord.  Thread: coord calls, one thread inside works.
 */
#ifndef CONTROLPLANE_GATEWAY_RESOLVE_H
#define CONTROLPLANE_GATEWAY_RESOLVE_H

#include "config/gateway.h"
#include "controlplane/gateway/mailbox.h"
#include "lib/base/clock.h"

#define RESOLVE_MIN_PAUSE_NS (1 * NS_PER_S)
#define RESOLVE_MAX_PAUSE_NS (60 * NS_PER_S)
#define RESOLVE_FRESH_NS     (10 * NS_PER_S) /* an answer this young is not asked for again */

struct resolve;

/* The answers go to `answers`, which is borrowed.  0, -ENOMEM, -errno of the thread. */
[[nodiscard]] int resolve_create(struct mailbox *answers, struct resolve **ret_resolve);
/* Waits for a look-up under way only if it ends at once; else the thread is left to the exit. */
void resolve_destroy(struct resolve *r);

/* The names of a configuration, in place of those before; new ones are looked up at once. */
void resolve_take_config(struct resolve *r, const struct config_gateway *config, struct mono now);
/* Look this peer's name up again, unless that has just been done. */
void resolve_again(struct resolve *r, const struct public_key *key, struct mono now);
/* What LETTER_RESOLVED says: when to try again after a failure. */
void resolve_on_answer(struct resolve *r, const struct letter *letter, struct mono now);
/* Ask for what is due; returns when the next one is, or never. */
struct mono resolve_tick(struct resolve *r, struct mono now);

#endif
