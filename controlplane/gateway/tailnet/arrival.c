/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Messages of the server come into the map, and what of them matters to whom.
 *
 * Source: ../shared/protocol/control.md 5 and 7.1.
 */

#define LOG_TAG "tailnet"

#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define CLOCK_MATTERS_S 60 /* control.md 7.1 */

/* Of a peer, what the data plane, disco or the host has to be told. */
#define PEER_FIELDS                                                                        \
	(NODE_KEY | NODE_DISCO_KEY | NODE_KEY_EXPIRY | NODE_ENDPOINTS | NODE_HOME_REGION | \
		NODE_CAPVER | NODE_ADDRESSES | NODE_ALLOWED_IPS | NODE_PRIMARY_ROUTES |    \
		NODE_WIREGUARD_ONLY | NODE_JAILED | NODE_EXPIRED | NODE_MASQUERADE | NODE_NAME)

/* What the packet filter knows of a peer. */
#define FILTER_FIELDS (NODE_CAPABILITIES | NODE_ADDRESSES | NODE_ALLOWED_IPS | NODE_UNSIGNED)

static bool
peers_matter(const struct netmap_changes *changes, uint32_t fields)
{
	for (size_t i = 0; i < changes->n_peers; i++)
		if (changes->peers[i].fate != PEER_CHANGED ||
			(changes->peers[i].fields & fields) != 0)
			return true;
	return false;
}

static void
take_clock(struct member *m, const struct map_response *response)
{
	struct instant now;
	int64_t offset;

	if (instant_is_unset(response->control_time))
		return;
	m->clock_offset_s = 0;
	now = member_wall(m);
	offset = response->control_time.s - now.s;
	if (offset > CLOCK_MATTERS_S || offset < -CLOCK_MATTERS_S)
		m->clock_offset_s = offset;
}

// Until a map comes that knows a new key, the one at hand speaks of the old.
static bool
is_of_our_key(const struct member *m)
{
	struct node_key key;

	if (m->map.self == NULL || !store_has_node_key(m->store))
		return false;
	key_public_node(store_node_key(m->store), &key);
	return node_key_equal(&m->map.self->key, &key);
}

void
member_judge_own_key(struct member *m)
{
	bool expired = is_of_our_key(m) && node_is_expired(m->map.self, member_wall(m));

	if (expired == m->self_expired)
		return;
	m->self_expired = expired;
	m->wish_due = true;
	if (!expired) {
		log_notice("the key of this machine is good again");
		return;
	}
	log_warning("the key of this machine has expired: log in again, with `sluice up "
		    "--force-reauth`");
	// With a key in the configuration nobody needs to be asked.
	if (m->setup.config->tailnet.auth_key[0] != '\0')
		m->login_due = true;
}

static void
take_changes(struct member *m, const struct netmap_changes *changes)
{
	if ((changes->fields & NETMAP_DERP_MAP) != 0)
		m->derp_map_serial++;
	if ((changes->fields & (NETMAP_FILTER | NETMAP_SELF)) != 0 ||
		peers_matter(changes, FILTER_FIELDS))
		m->filter_due = true;
	if ((changes->fields & (NETMAP_DERP_MAP | NETMAP_SELF)) != 0 ||
		peers_matter(changes, PEER_FIELDS))
		m->wish_due = true;
	if ((changes->fields & NETMAP_SELF) != 0)
		member_judge_own_key(m);
}

int
member_on_map(void *context,
	struct map_response *response,
	bool first,
	const struct coord_map_arrival *a)
{
	struct member *m = context;
	struct netmap_changes changes;
	int err;

	take_clock(m, response);
	if (response->node == NULL &&
		(response->packet_filter != NULL || response->packet_filters != NULL))
		member_policy_arrived(m);
	if (first)
		netmap_begin_stream(&m->map);
	err = netmap_apply(&m->map, response, member_wall(m), &changes);
	if (err < 0) {
		log_err("a message of the server cannot be used: %s", err_str(err));
		return err;
	}
	if (first) {
		m->from_disk = false;
		m->has_failure = false;
		m->filter_due = m->wish_due = true;
		log_notice("the tailnet's map has come peers=%zu", netmap_n_peers(&m->map));
	}
	if (m->map.self != NULL)
		store_set_stable_id(m->store, m->map.self->stable_id);
	take_changes(m, &changes);
	netmap_changes_fini(&changes);
	map_cache_changed(m->cache, m->now);
	m->flush_due |= first;
	if ((m->wish_due || m->filter_due) && mono_is_never(m->map_arrived))
		m->map_arrived = a->last_byte;
	return 0;
}
