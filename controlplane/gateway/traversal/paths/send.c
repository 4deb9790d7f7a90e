/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>

#include "controlplane/gateway/traversal/paths/path_peer.h"

static_assert(DISCO_OVERHEAD + DISCO_TYPE_LEN + PATHS_MAX_OWN_ENDPOINTS * DISCO_ENDPOINT_LEN <=
		      PATHS_MAX_PING_LEN,
	"whatever we say fits");

// Write it into paths->out; its length, or 0: nothing can be said to this peer.
static size_t
seal(struct paths *paths, const struct path_peer *p, const struct disco_message *message)
{
	uint8_t nonce[BOX_NONCE_LEN];
	const struct box_key *box;

	if (!path_peer_speaks_disco(paths, p))
		return 0;
	box = disco_keys_box(&paths->keys, p->disco, paths->self_secret);
	if (box == NULL)
		return 0;
	assert(disco_envelope_len(message) <= sizeof(paths->out));
	paths->calls.random(paths->calls.context, nonce, sizeof(nonce));
	disco_seal(paths->out, message, &paths->self_disco, box, nonce);
	return disco_envelope_len(message);
}

bool
send_disco_udp(struct paths *paths,
	const struct path_peer *p,
	const struct disco_message *message,
	const struct endpoint *to,
	const struct addr *local)
{
	size_t len = seal(paths, p, message);

	return len > 0 && paths->calls.send_udp(paths->calls.context, to, local, paths->out, len);
}

bool
send_disco_relay(struct paths *paths,
	const struct path_peer *p,
	const struct disco_message *message,
	uint16_t region)
{
	size_t len = seal(paths, p, message);

	return len > 0 &&
	       paths->calls.send_relay(paths->calls.context, region, &p->node_key, paths->out, len);
}
