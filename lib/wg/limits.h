/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The protocol's constants.
 *
 * Source: WireGuard whitepaper (Donenfeld, revision of 2020-06) section 6.1; cookies 5.4.7; lengths
 *         ../shared/protocol/peer.md 3.5; rate limits ../shared/design/reliability.md 1.1.
 */
#ifndef LIB_WG_LIMITS_H
#define LIB_WG_LIMITS_H

#include <stdint.h>

#include "lib/base/clock.h"

/* A session asks for its successor after this many messages, and is dead after that many. */
#define WG_REKEY_AFTER_MESSAGES  (UINT64_C(1) << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (UINT64_C(1) << 13)) /* 2^64 - 2^13 - 1 */

#define WG_REKEY_AFTER_TIME_NS   (120 * NS_PER_S) /* only its initiator renews a session */
#define WG_REJECT_AFTER_TIME_NS  (180 * NS_PER_S) /* neither sent with nor accepted any more */
#define WG_REKEY_ATTEMPT_TIME_NS (90 * NS_PER_S)
#define WG_REKEY_TIMEOUT_NS      (5 * NS_PER_S) /* between two initiations to a peer */
#define WG_KEEPALIVE_TIMEOUT_NS  (10 * NS_PER_S)
#define WG_MAX_JITTER_NS         (333 * NS_PER_MS) /* added to WG_REKEY_TIMEOUT_NS */

/* The initiator of a session this old renews it when it merely receives: 165 s. */
#define WG_REKEY_ON_RECEIVE_NS \
	(WG_REJECT_AFTER_TIME_NS - WG_KEEPALIVE_TIMEOUT_NS - WG_REKEY_TIMEOUT_NS)
/*
 * The responder renews a session on which it still receives at this age: 135 s.  Not in the paper.
 * A living initiator that sends has renewed it by then; if none did, both ends may be the
 * responder, which happens when two initiations cross, and at 180 s packets would have to wait.
 */
#define WG_REKEY_BY_RESPONDER_NS (WG_REKEY_AFTER_TIME_NS + WG_UNANSWERED_NS)
/* Data was sent and nothing came back: 15 s. */
#define WG_UNANSWERED_NS  (WG_KEEPALIVE_TIMEOUT_NS + WG_REKEY_TIMEOUT_NS)
#define WG_ZERO_KEYS_NS   (3 * WG_REJECT_AFTER_TIME_NS)
#define WG_COOKIE_LIFE_NS (120 * NS_PER_S) /* of a cookie held, and of the secret behind them */

/* A peer's initiations closer together than this are dropped. */
#define WG_INITIATION_GAP_NS (20 * NS_PER_MS)

/* Handshake messages per source while under load (ratelimit.h). */
#define WG_RATE_PER_SECOND  20
#define WG_RATE_BURST       5
#define WG_RATE_MAX_SOURCES 65536

#define WG_PADDING 16 /* bytes: plaintext is padded to a multiple of it */

#endif
