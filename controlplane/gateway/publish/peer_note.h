/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What we write down about a peer for the control plane that comes after us.  A note is written
 * before the effect that it protects; one that a death left half written does not match its check.
 *
 * Source: docs/shm-abi.md, region "notes".
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_PEER_NOTE_H
#define CONTROLPLANE_GATEWAY_PUBLISH_PEER_NOTE_H

#include <stdbool.h>

#include "controlplane/gateway/peers.h"
#include "controlplane/gateway/publish/dataplane.h"

/* Write the peer's timestamps and path.  Nothing happens while no data plane is attached. */
void peer_note_write(struct dataplane *dp, const struct peer *peer);

/*
 * Take over what the note of this number says, if it is whole and about this key: timestamps that
 * are later than the peer's, and the path.  True: the note has a path.
 */
bool peer_note_read(const struct dataplane *dp, struct peer *peer);

/* The cookie secret; a stale or missing one is renewed by its user. */
void cookie_note_write(struct dataplane *dp, const struct wg_cookie_secret *secret);
void cookie_note_read(const struct dataplane *dp, struct wg_cookie_secret *ret_secret);

#endif
