/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/peer_note.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "controlplane/gateway/publish/shm_address.h"

// FNV-1a over what comes before the check.  Against halves, not against forgers.
static uint32_t
check_of(const struct shm_note *note)
{
	const uint8_t *p = (const uint8_t *)note;
	uint32_t h = UINT32_C(2166136261);

	for (size_t i = 0; i < offsetof(struct shm_note, check); i++)
		h = (h ^ p[i]) * UINT32_C(16777619);
	return h;
}

void
peer_note_write(struct dataplane *dp, const struct peer *peer)
{
	struct shm_note note = {}, *slot;

	if (!dp->attached)
		return;
	memcpy(note.public_key, peer->remote.static_public.bytes, KEY_LEN);
	memcpy(note.rx_timestamp, peer->latest.timestamp.bytes, WG_TAI64N_LEN);
	memcpy(note.tx_timestamp, peer->tx_timestamp.bytes, WG_TAI64N_LEN);
	note.rx_initiation_ns = peer->latest.accepted.ns;
	note.path = shm_path_of(&peer->endpoint, &peer->local);
	note.path.relay = peer->relay;

	slot = &dp->notes->notes[peer->number];
	memcpy(slot, &note, offsetof(struct shm_note, check));
	// A death between the two leaves a check that does not match.
	atomic_signal_fence(memory_order_seq_cst);
	slot->check = check_of(&note);
}

static void
take_later(struct wg_tai64n *have, const uint8_t noted[WG_TAI64N_LEN])
{
	struct wg_tai64n stamp;

	memcpy(stamp.bytes, noted, WG_TAI64N_LEN);
	if (wg_tai64n_compare(&stamp, have) > 0)
		*have = stamp;
}

bool
peer_note_read(const struct dataplane *dp, struct peer *peer)
{
	struct shm_note note;

	if (!dp->attached)
		return false;
	note = dp->notes->notes[peer->number];
	if (note.check != check_of(&note) ||
		memcmp(note.public_key, peer->remote.static_public.bytes, KEY_LEN) != 0)
		return false;
	take_later(&peer->latest.timestamp, note.rx_timestamp);
	take_later(&peer->tx_timestamp, note.tx_timestamp);
	if (note.rx_initiation_ns > peer->latest.accepted.ns)
		peer->latest.accepted.ns = note.rx_initiation_ns;
	return endpoint_of_shm(&note.path, &peer->endpoint, &peer->local);
}

void
cookie_note_write(struct dataplane *dp, const struct wg_cookie_secret *secret)
{
	if (!dp->attached)
		return;
	dp->notes->cookie_birth_ns = 0; // a half-written secret counts as none
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(dp->notes->cookie_secret, secret->bytes, WG_COOKIE_SECRET_LEN);
	atomic_signal_fence(memory_order_seq_cst);
	dp->notes->cookie_birth_ns = secret->birth.ns;
}

void
cookie_note_read(const struct dataplane *dp, struct wg_cookie_secret *ret_secret)
{
	if (!dp->attached || dp->notes->cookie_birth_ns == 0)
		return;
	memcpy(ret_secret->bytes, dp->notes->cookie_secret, WG_COOKIE_SECRET_LEN);
	ret_secret->birth.ns = dp->notes->cookie_birth_ns;
}
