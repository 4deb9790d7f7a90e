/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A message is applied in two steps: prepare() gets everything that can fail, commit() cannot.
 */

#include "lib/tailnet/netmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

struct peer {
	struct node *node;
	size_t at;     // in the map's array
	size_t change; // in the changes of the message being applied, from 1; 0: not in them
	bool is_gone;  // removed by that message; out of the map when it is done
};

// What the message being applied needs.
struct work {
	struct netmap *map;
	struct map_response *response;
	struct instant now;
	struct peer **spares; // for nodes that may be new
	size_t n_spares;
	struct user_profile **new_users;
	struct peer_patch *derived; // from nodes that differ in patchable members only
	size_t n_derived;
	struct filter_chunks fresh_filter;
	struct netmap_changes changes;
	struct peer **changed; // parallel to changes.peers
};

void
netmap_init(struct netmap *m, uint64_t seed)
{
	*m = (struct netmap){ .seed = seed, .is_new_stream = true };
}

void
netmap_begin_stream(struct netmap *m)
{
	m->is_new_stream = true;
}

// ---------- look-ups ----------

static uint64_t
hash_id(const struct netmap *m, int64_t id)
{
	return item_hash(m->seed, &id, sizeof(id));
}

static uint64_t
hash_key(const struct netmap *m, const struct node_key *key)
{
	return item_hash(m->seed, key->bytes, sizeof(key->bytes));
}

static bool
peer_has_id(const void *item, const void *wanted)
{
	return ((const struct peer *)item)->node->id == *(const int64_t *)wanted;
}

static bool
peer_has_key(const void *item, const void *wanted)
{
	return node_key_equal(&((const struct peer *)item)->node->key, wanted);
}

static bool
user_has_id(const void *item, const void *wanted)
{
	return ((const struct user_profile *)item)->id == *(const int64_t *)wanted;
}

// Also one that the message has removed.
static struct peer *
find_any(const struct netmap *m, int64_t id)
{
	return item_table_find(&m->by_id, hash_id(m, id), peer_has_id, &id);
}

static struct peer *
find_present(const struct netmap *m, int64_t id)
{
	struct peer *p = find_any(m, id);

	return p != NULL && !p->is_gone ? p : NULL;
}

size_t
netmap_n_peers(const struct netmap *m)
{
	return m->n_peers;
}

const struct node *
netmap_peer(const struct netmap *m, size_t index)
{
	return m->peers[index]->node;
}

const struct node *
netmap_find_id(const struct netmap *m, int64_t id)
{
	const struct peer *p = find_any(m, id);

	return p != NULL ? p->node : NULL;
}

const struct node *
netmap_find_key(const struct netmap *m, const struct node_key *key)
{
	const struct peer *p = item_table_find(&m->by_key, hash_key(m, key), peer_has_key, key);

	return p != NULL ? p->node : NULL;
}

const struct user_profile *
netmap_find_user(const struct netmap *m, int64_t id)
{
	return item_table_find(&m->users, hash_id(m, id), user_has_id, &id);
}

bool
netmap_is_locked(const struct netmap *m)
{
	return m->lock != NULL && !m->lock->is_disabled;
}

// ---------- preparing ----------

static int
add_spares(struct work *w, struct node **nodes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (find_any(w->map, nodes[i]->id) != NULL)
			continue;
		w->spares[w->n_spares] = calloc(1, sizeof(struct peer));
		if (w->spares[w->n_spares] == NULL)
			return -ENOMEM;
		w->n_spares++;
	}
	return 0;
}

static int
prepare_spares(struct work *w)
{
	struct map_response *r = w->response;
	int err;

	w->spares = calloc(r->n_peers + r->n_peers_changed + 1, sizeof(struct peer *));
	if (w->spares == NULL)
		return -ENOMEM;
	err = add_spares(w, r->peers, r->n_peers);
	return err < 0 ? err : add_spares(w, r->peers_changed, r->n_peers_changed);
}

static bool
is_full_list(const struct work *w)
{
	return w->response->n_peers > 0 || w->map->is_new_stream;
}

static int
reserve_peers(struct work *w)
{
	struct netmap *m = w->map;
	size_t total = m->n_peers + w->n_spares;
	struct peer **bigger;
	int err;

	if (!is_full_list(w) && total > NETMAP_MAX_PEERS)
		return -E2BIG;
	err = item_table_reserve(&m->by_id, w->n_spares);
	// Peers without a key are not in there, but a patch may give them one.
	if (err == 0)
		err = item_table_reserve(&m->by_key, total - m->by_key.n);
	if (err < 0 || total <= m->peers_room)
		return err;
	// Half as many more, so that single peers do not copy the array each time.
	bigger = reallocarray(m->peers, total + total / 2, sizeof(struct peer *));
	if (bigger == NULL)
		return -ENOMEM;
	m->peers = bigger;
	m->peers_room = total + total / 2;
	return 0;
}

// Room for the changes: at most one per peer, at most one per mention.
static int
prepare_changes(struct work *w)
{
	struct map_response *r = w->response;
	size_t mentions = r->n_peers_removed + r->n_patches + r->n_seen_changes +
	                  r->n_online_changes + r->n_peers_changed;
	size_t room = w->map->n_peers + w->n_spares;

	if (!is_full_list(w) && mentions < room)
		room = mentions;
	w->changes.peers = calloc(room + 1, sizeof(struct peer_change));
	w->changed = calloc(room + 1, sizeof(struct peer *));
	w->derived = calloc(r->n_peers_changed + 1, sizeof(struct peer_patch));
	if (w->changes.peers == NULL || w->changed == NULL || w->derived == NULL)
		return -ENOMEM;
	return 0;
}

static int
prepare_users(struct work *w)
{
	size_t n = w->response->n_users;

	if (w->map->users.n + n > 2 * (size_t)NETMAP_MAX_USERS)
		return -E2BIG;
	w->new_users = calloc(n + 1, sizeof(struct user_profile *));
	if (w->new_users == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		w->new_users[i] = calloc(1, sizeof(struct user_profile));
		if (w->new_users[i] == NULL)
			return -ENOMEM;
	}
	return item_table_reserve(&w->map->users, n);
}

static int
prepare_messages(struct work *w)
{
	struct netmap *m = w->map;
	size_t more = w->response->messages != NULL ? w->response->messages->n : 0;
	struct display_message *bigger;

	if (more == 0)
		return 0;
	if (m->n_messages + more > NETMAP_MAX_MESSAGES)
		return -E2BIG;
	bigger = reallocarray(m->messages, m->n_messages + more, sizeof(*bigger));
	if (bigger == NULL)
		return -ENOMEM;
	m->messages = bigger;
	return 0;
}

/*
 * Servers like to repeat a filter word for word; applying the same message twice is applying it
 * once.  On a new stream that holds if the same one message made the whole filter before.
 */
static bool
filter_is_repeated(const struct work *w)
{
	const struct netmap *m = w->map;

	return m->filter.has_any && m->filter_digest == w->response->filter_digest &&
	       (!m->is_new_stream || m->filter_is_of_one);
}

// The last thing that can fail, because it changes the map's own filter where it goes on.
static int
prepare_filter(struct work *w)
{
	struct map_response *r = w->response;

	if ((r->packet_filter == NULL && r->packet_filters == NULL) || filter_is_repeated(w))
		return 0;
	return filter_chunks_apply(w->map->is_new_stream ? &w->fresh_filter : &w->map->filter,
		r->packet_filter, r->packet_filters);
}

static int
prepare(struct work *w)
{
	int err = prepare_spares(w);

	if (err == 0)
		err = reserve_peers(w);
	if (err == 0)
		err = prepare_changes(w);
	if (err == 0)
		err = prepare_users(w);
	if (err == 0)
		err = prepare_messages(w);
	if (err == 0)
		err = prepare_filter(w);
	return err;
}

static void
work_fini(struct work *w)
{
	while (w->n_spares > 0)
		free(w->spares[--w->n_spares]);
	free(w->spares);
	for (size_t i = 0; w->new_users != NULL && i < w->response->n_users; i++)
		free(w->new_users[i]);
	free(w->new_users);
	for (size_t i = 0; i < w->n_derived; i++)
		peer_patch_fini(&w->derived[i]);
	free(w->derived);
	free(w->changed);
	filter_chunks_fini(&w->fresh_filter);
}

// ---------- peers ----------

// The peer's entry in the changes; it begins as "changed" in nothing.
static struct peer_change *
touch(struct work *w, struct peer *p)
{
	struct netmap_changes *c = &w->changes;

	if (p->change == 0) {
		c->peers[c->n_peers] = (struct peer_change){
			.fate = PEER_CHANGED,
			.old_key = p->node->key,
		};
		w->changed[c->n_peers++] = p;
		p->change = c->n_peers;
	}
	return &c->peers[p->change - 1];
}

/*
 * A key belongs to one peer.  Where two claim it, which a server must not do, the latest has it.
 */
static void
index_key(struct netmap *m, struct peer *p)
{
	const struct node_key *key = &p->node->key;
	uint64_t hash = hash_key(m, key);
	struct peer *other;

	if (tailkey_is_zero(key->bytes))
		return;
	other = item_table_find(&m->by_key, hash, peer_has_key, key);
	if (other != NULL)
		item_table_remove(&m->by_key, hash, other);
	item_table_insert(&m->by_key, hash, p);
}

static void
unindex_key(struct netmap *m, struct peer *p)
{
	item_table_remove(&m->by_key, hash_key(m, &p->node->key), p);
}

static void
remove_peer(struct work *w, struct peer *p)
{
	if (p->is_gone)
		return;
	touch(w, p)->fate = PEER_REMOVED;
	unindex_key(w->map, p);
	p->is_gone = true;
}

static void
add_peer(struct work *w, struct node *node)
{
	struct netmap *m = w->map;
	struct peer *p = w->spares[--w->n_spares];
	struct peer_change *change;

	p->node = node;
	p->at = m->n_peers;
	m->peers[m->n_peers++] = p;
	item_table_insert(&m->by_id, hash_id(m, node->id), p);
	index_key(m, p);
	change = touch(w, p);
	change->fate = PEER_ADDED;
	change->fields = NODE_ALL;
	change->old_key = (struct node_key){};
}

// Takes over *node.
static void
put_peer(struct work *w, struct node **node)
{
	struct peer *p = find_any(w->map, (*node)->id);
	struct peer_change *change;

	if (p == NULL) {
		add_peer(w, *node);
		*node = NULL;
		return;
	}
	change = touch(w, p);
	if (p->is_gone)
		change->fate = PEER_CHANGED;
	else
		unindex_key(w->map, p);
	change->fields |= node_diff(p->node, *node);
	node_destroy(p->node);
	p->node = *node;
	p->is_gone = false;
	index_key(w->map, p);
	*node = NULL;
}

// The server has an older disco key than what we know: keep ours (control.md 5.8).
static void
keep_newer_disco_key(const struct netmap *m, struct node *node)
{
	const struct peer *p = find_present(m, node->id);
	const struct node *known = p != NULL ? p->node : NULL;

	if (known == NULL || tailkey_is_zero(node->disco_key.bytes) ||
		disco_key_equal(&known->disco_key, &node->disco_key) || node->online == TRI_TRUE ||
		!known->has_last_seen)
		return;
	if (node->has_last_seen && instant_compare(node->last_seen, known->last_seen) > 0)
		return;
	node->disco_key = known->disco_key;
	node->last_seen = known->last_seen;
	node->has_last_seen = true;
}

static void
replace_all_peers(struct work *w)
{
	struct map_response *r = w->response;

	for (size_t i = 0; i < r->n_peers; i++)
		keep_newer_disco_key(w->map, r->peers[i]);
	for (size_t i = 0; i < w->map->n_peers; i++)
		remove_peer(w, w->map->peers[i]);
	for (size_t i = 0; i < r->n_peers; i++)
		put_peer(w, &r->peers[i]);
}

/*
 * A whole node as a light change.  As with the reference, what is not said is no change: neither
 * empty lists nor an unknown Online or LastSeen, nor one of these that was unknown.
 */
static void
derive_patch(struct work *w, const struct node *known, struct node *node, uint32_t fields)
{
	struct peer_patch *patch = &w->derived[w->n_derived++];

	if (known->online == TRI_UNKNOWN || node->online == TRI_UNKNOWN)
		fields &= ~NODE_ONLINE;
	if (!known->has_last_seen || !node->has_last_seen)
		fields &= ~NODE_LAST_SEEN;
	if (node->endpoints.at == NULL)
		fields &= ~NODE_ENDPOINTS;
	if (node->key_signature.at == NULL)
		fields &= ~NODE_KEY_SIGNATURE;
	*patch = (struct peer_patch){
		.id = node->id,
		.present = fields,
		.key = node->key,
		.disco_key = node->disco_key,
		.key_signature = node->key_signature,
		.endpoints = node->endpoints,
		.capabilities = node->capabilities,
		.key_expiry = node->key_expiry,
		.last_seen = node->last_seen,
		.home_region = node->home_region,
		.capver = node->capver,
		.online = node->online,
	};
	node->key_signature = (struct octets){};
	node->endpoints = (struct endpoints){};
	node->capabilities = (struct capabilities){};
}

// Before anything is applied: an entry is compared with what was known when the message came.
static void
derive_patches(struct work *w)
{
	struct map_response *r = w->response;

	for (size_t i = 0; i < r->n_peers_changed; i++) {
		struct node *node = r->peers_changed[i];
		const struct peer *p = find_present(w->map, node->id);
		uint32_t fields = p != NULL ? node_diff(p->node, node) : NODE_ALL;

		if ((fields & ~(uint32_t)NODE_PATCHABLE) != 0)
			continue;
		derive_patch(w, p->node, node, fields);
		node_destroy(node);
		r->peers_changed[i] = NULL;
	}
}

// A disco key from before the peer was last seen is dropped with all that came with it.
static bool
patch_is_stale(const struct netmap *m, const struct peer_patch *patch)
{
	const uint32_t needed = NODE_DISCO_KEY | NODE_ONLINE | NODE_LAST_SEEN;
	const struct peer *p = find_present(m, patch->id);

	return (patch->present & needed) == needed && patch->online == TRI_FALSE && p != NULL &&
	       p->node->has_last_seen && instant_compare(patch->last_seen, p->node->last_seen) <= 0;
}

static void
drop_stale(const struct netmap *m, struct peer_patch *patches, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (patch_is_stale(m, &patches[i]))
			patches[i].present = 0;
}

static void
patch_keys(struct work *w, struct peer *p, struct peer_patch *patch, uint32_t *fields)
{
	struct node *node = p->node;

	if ((patch->present & NODE_KEY) != 0 && !node_key_equal(&node->key, &patch->key)) {
		unindex_key(w->map, p);
		node->key = patch->key;
		index_key(w->map, p);
		*fields |= NODE_KEY;
	}
	if ((patch->present & NODE_DISCO_KEY) != 0 &&
		!disco_key_equal(&node->disco_key, &patch->disco_key)) {
		node->disco_key = patch->disco_key;
		*fields |= NODE_DISCO_KEY;
	}
	if ((patch->present & NODE_KEY_SIGNATURE) != 0 &&
		!octets_equal(&node->key_signature, &patch->key_signature)) {
		octets_fini(&node->key_signature);
		node->key_signature = patch->key_signature;
		patch->key_signature = (struct octets){};
		*fields |= NODE_KEY_SIGNATURE;
	}
	if ((patch->present & NODE_KEY_EXPIRY) != 0 &&
		instant_compare(node->key_expiry, patch->key_expiry) != 0) {
		node->key_expiry = patch->key_expiry;
		*fields |= NODE_KEY_EXPIRY;
	}
}

static void
patch_lists(struct node *node, struct peer_patch *patch, uint32_t *fields)
{
	if ((patch->present & NODE_ENDPOINTS) != 0 &&
		!endpoints_equal(&node->endpoints, &patch->endpoints)) {
		endpoints_fini(&node->endpoints);
		node->endpoints = patch->endpoints;
		patch->endpoints = (struct endpoints){};
		*fields |= NODE_ENDPOINTS;
	}
	if ((patch->present & NODE_CAPABILITIES) != 0 &&
		!capabilities_equal(&node->capabilities, &patch->capabilities)) {
		capabilities_fini(&node->capabilities);
		node->capabilities = patch->capabilities;
		patch->capabilities = (struct capabilities){};
		*fields |= NODE_CAPABILITIES;
	}
}

static void
set_online(struct node *node, enum tri online, uint32_t *fields)
{
	if (node->online != online)
		*fields |= NODE_ONLINE;
	node->online = online;
}

// `seen` unset with is_known false: not known when.
static void
set_last_seen(struct node *node, bool is_known, struct instant seen, uint32_t *fields)
{
	if (node->has_last_seen != is_known || instant_compare(node->last_seen, seen) != 0)
		*fields |= NODE_LAST_SEEN;
	node->has_last_seen = is_known;
	node->last_seen = seen;
}

static void
patch_values(struct node *node, const struct peer_patch *patch, uint32_t *fields)
{
	if (patch->home_region != 0 && (patch->present & NODE_HOME_REGION) != 0 &&
		node->home_region != patch->home_region) {
		node->home_region = patch->home_region;
		*fields |= NODE_HOME_REGION;
	}
	if (patch->capver != 0 && (patch->present & NODE_CAPVER) != 0 &&
		node->capver != patch->capver) {
		node->capver = patch->capver;
		*fields |= NODE_CAPVER;
	}
	if ((patch->present & NODE_ONLINE) != 0)
		set_online(node, patch->online, fields);
	if ((patch->present & NODE_LAST_SEEN) != 0)
		set_last_seen(node, true, patch->last_seen, fields);
}

static void
apply_patches(struct work *w, struct peer_patch *patches, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct peer *p = find_present(w->map, patches[i].id);
		uint32_t *fields;

		if (p == NULL)
			continue;
		fields = &touch(w, p)->fields;
		patch_keys(w, p, &patches[i], fields);
		patch_lists(p->node, &patches[i], fields);
		patch_values(p->node, &patches[i], fields);
	}
}

static void
apply_flags(struct work *w)
{
	struct map_response *r = w->response;
	struct peer *p;

	for (size_t i = 0; i < r->n_seen_changes; i++) {
		p = find_present(w->map, r->seen_changes[i].id);
		if (p != NULL)
			set_last_seen(p->node, r->seen_changes[i].is_set,
				r->seen_changes[i].is_set ? w->now : (struct instant){},
				&touch(w, p)->fields);
	}
	for (size_t i = 0; i < r->n_online_changes; i++) {
		p = find_present(w->map, r->online_changes[i].id);
		if (p != NULL)
			set_online(p->node, r->online_changes[i].is_set ? TRI_TRUE : TRI_FALSE,
				&touch(w, p)->fields);
	}
}

static void
apply_peer_deltas(struct work *w)
{
	struct map_response *r = w->response;

	derive_patches(w);
	drop_stale(w->map, r->patches, r->n_patches);
	drop_stale(w->map, w->derived, w->n_derived);
	for (size_t i = 0; i < r->n_peers_removed; i++) {
		struct peer *p = find_present(w->map, r->peers_removed[i]);

		if (p != NULL)
			remove_peer(w, p);
	}
	for (size_t i = 0; i < r->n_peers_changed; i++)
		if (r->peers_changed[i] != NULL)
			put_peer(w, &r->peers_changed[i]);
	apply_flags(w);
	apply_patches(w, r->patches, r->n_patches);
	apply_patches(w, w->derived, w->n_derived);
}

static void
apply_peers(struct work *w)
{
	if (w->map->is_new_stream)
		for (size_t i = 0; i < w->map->n_peers; i++)
			remove_peer(w, w->map->peers[i]);
	if (w->response->n_peers > 0)
		replace_all_peers(w);
	else
		apply_peer_deltas(w);
}

// Out of the map; the node is left to the changes.
static void
drop_peer(struct netmap *m, struct peer *p)
{
	struct peer *last = m->peers[--m->n_peers];

	m->peers[p->at] = last;
	last->at = p->at;
	item_table_remove(&m->by_id, hash_id(m, p->node->id), p);
	free(p);
}

// The changes as the caller sees them: removed peers out of the map, unchanged ones out of the
// list.
static void
settle_peers(struct work *w)
{
	struct netmap_changes *c = &w->changes;
	size_t kept = 0;

	for (size_t i = 0; i < c->n_peers; i++) {
		struct peer *p = w->changed[i];
		struct peer_change *change = &c->peers[i];

		change->node = p->node;
		p->change = 0;
		if (p->is_gone)
			drop_peer(w->map, p);
		else if (change->fields == 0)
			continue;
		c->peers[kept++] = *change;
	}
	c->n_peers = kept;
}

// ---------- the rest of the map ----------

static void
apply_self(struct work *w)
{
	struct netmap *m = w->map;
	struct node *next = w->response->node;

	if (next == NULL)
		return;
	w->response->node = NULL;
	w->changes.self_fields = m->self != NULL ? node_diff(m->self, next) : NODE_ALL;
	if (w->changes.self_fields != 0 || (m->self != NULL && m->self->id != next->id))
		w->changes.fields |= NETMAP_SELF;
	node_destroy(m->self);
	m->self = next;
}

static void
forget_users(struct netmap *m)
{
	for (size_t i = 0; i < m->users.n_slots; i++) {
		struct user_profile *user = m->users.slots[i].item;

		if (user == NULL)
			continue;
		user_profile_fini(user);
		free(user);
		m->users.slots[i] = (struct item_slot){};
	}
	m->users.n = 0;
}

static void
apply_users(struct work *w)
{
	struct netmap *m = w->map;
	struct map_response *r = w->response;

	if (m->is_new_stream && m->users.n > 0) {
		forget_users(m);
		w->changes.fields |= NETMAP_USERS;
	}
	for (size_t i = 0; i < r->n_users; i++) {
		struct user_profile *next = &r->users[i];
		struct user_profile *known =
			item_table_find(&m->users, hash_id(m, next->id), user_has_id, &next->id);

		if (known == NULL) {
			known = w->new_users[i];
			w->new_users[i] = NULL;
			known->id = next->id;
			item_table_insert(&m->users, hash_id(m, next->id), known);
		} else if (text_equal(known->login_name, next->login_name) &&
			   text_equal(known->display_name, next->display_name)) {
			continue;
		}
		user_profile_fini(known);
		*known = *next;
		*next = (struct user_profile){};
		w->changes.fields |= NETMAP_USERS;
	}
}

static void
apply_derp_map(struct work *w)
{
	struct netmap *m = w->map;
	struct derp_map *next = w->response->derp_map;

	if (next == NULL && !m->is_new_stream)
		return;
	w->response->derp_map = NULL;
	if (next != NULL && !m->is_new_stream)
		derp_map_inherit(next, m->derp_map);
	if (!derp_map_equal(next, m->derp_map))
		w->changes.fields |= NETMAP_DERP_MAP;
	derp_map_destroy(m->derp_map);
	m->derp_map = next;
}

static void
apply_dns(struct work *w)
{
	struct netmap *m = w->map;
	struct dns_config *next = w->response->dns;

	if (next == NULL && !m->is_new_stream)
		return;
	w->response->dns = NULL;
	if ((next != NULL ? next->digest : 0) != (m->dns != NULL ? m->dns->digest : 0))
		w->changes.fields |= NETMAP_DNS;
	dns_config_destroy(m->dns);
	m->dns = next;
}

static void
apply_filter(struct work *w)
{
	struct netmap *m = w->map;
	struct map_response *r = w->response;
	bool is_given = r->packet_filter != NULL || r->packet_filters != NULL;

	if (!is_given && !m->is_new_stream)
		return;
	if (is_given && filter_is_repeated(w))
		return;
	if (m->is_new_stream) {
		if (is_given || m->filter.has_any)
			w->changes.fields |= NETMAP_FILTER;
		filter_chunks_fini(&m->filter);
		m->filter = w->fresh_filter;
		w->fresh_filter = (struct filter_chunks){};
	} else {
		w->changes.fields |= NETMAP_FILTER;
	}
	m->filter_is_of_one = m->is_new_stream;
	m->filter_digest = r->filter_digest;
}

static void
apply_domain(struct work *w)
{
	struct netmap *m = w->map;
	char *next = w->response->domain;

	if (text_equal(next, "") && !m->is_new_stream)
		return;
	w->response->domain = NULL;
	if (!text_equal(next, m->domain))
		w->changes.fields |= NETMAP_DOMAIN;
	free(m->domain);
	m->domain = next;
}

static void
apply_collect_services(struct work *w)
{
	enum tri next = w->response->collect_services;

	if (next == TRI_UNKNOWN && !w->map->is_new_stream)
		return;
	if ((next == TRI_TRUE) != w->map->collects_services)
		w->changes.fields |= NETMAP_COLLECT_SERVICES;
	w->map->collects_services = next == TRI_TRUE;
}

static void
apply_health(struct work *w)
{
	struct netmap *m = w->map;

	if (!w->response->has_health && !m->is_new_stream)
		return;
	if (!texts_equal(&m->health, &w->response->health))
		w->changes.fields |= NETMAP_HEALTH;
	texts_fini(&m->health);
	m->health = w->response->health;
	w->response->health = (struct texts){};
}

static void
drop_message(struct netmap *m, size_t at)
{
	display_message_fini(&m->messages[at]);
	m->messages[at] = m->messages[--m->n_messages];
}

static void
put_message(struct netmap *m, struct display_message *next)
{
	size_t at = 0;

	while (at < m->n_messages && !text_equal(m->messages[at].id, next->id))
		at++;
	if (next->is_removed) {
		if (at < m->n_messages)
			drop_message(m, at);
		return;
	}
	if (at == m->n_messages)
		m->messages[m->n_messages++] = (struct display_message){};
	display_message_fini(&m->messages[at]);
	m->messages[at] = *next;
	*next = (struct display_message){};
}

static void
apply_messages(struct work *w)
{
	struct netmap *m = w->map;
	struct display_messages *next = w->response->messages;

	if ((m->is_new_stream || (next != NULL && next->clears)) && m->n_messages > 0) {
		while (m->n_messages > 0)
			drop_message(m, m->n_messages - 1);
		w->changes.fields |= NETMAP_HEALTH;
	}
	if (next == NULL || next->n == 0)
		return;
	for (size_t i = 0; i < next->n; i++)
		put_message(m, &next->at[i]);
	w->changes.fields |= NETMAP_HEALTH;
}

static void
apply_lock(struct work *w)
{
	struct netmap *m = w->map;
	struct lock_info *next = w->response->lock;
	bool was_locked = netmap_is_locked(m);

	if (next == NULL && !m->is_new_stream)
		return;
	w->response->lock = NULL;
	if (!text_equal(m->lock != NULL ? m->lock->head : NULL, next != NULL ? next->head : NULL))
		w->changes.fields |= NETMAP_LOCK;
	lock_info_destroy(m->lock);
	m->lock = next;
	if (was_locked != netmap_is_locked(m))
		w->changes.fields |= NETMAP_LOCK;
}

static void
commit(struct work *w)
{
	apply_peers(w);
	settle_peers(w);
	apply_self(w);
	apply_users(w);
	apply_derp_map(w);
	apply_filter(w);
	apply_dns(w);
	apply_collect_services(w);
	apply_domain(w);
	apply_health(w);
	apply_messages(w);
	apply_lock(w);
	w->map->is_new_stream = false;
}

int
netmap_apply(struct netmap *m,
	struct map_response *response,
	struct instant now,
	struct netmap_changes *ret_changes)
{
	struct work w = { .map = m, .response = response, .now = now };
	int err;

	if (response->is_keep_alive) {
		*ret_changes = (struct netmap_changes){};
		return 0;
	}
	if (m->is_new_stream && response->node == NULL)
		return ERR_BAD_FORMAT;
	err = prepare(&w);
	if (err == 0) {
		commit(&w);
		*ret_changes = w.changes;
	} else {
		free(w.changes.peers);
	}
	work_fini(&w);
	return err;
}

void
netmap_changes_fini(struct netmap_changes *changes)
{
	if (changes == NULL)
		return;
	for (size_t i = 0; i < changes->n_peers; i++)
		if (changes->peers[i].fate == PEER_REMOVED)
			node_destroy((struct node *)changes->peers[i].node);
	free(changes->peers);
	*changes = (struct netmap_changes){};
}

void
netmap_fini(struct netmap *m)
{
	for (size_t i = 0; i < m->n_peers; i++) {
		node_destroy(m->peers[i]->node);
		free(m->peers[i]);
	}
	free(m->peers);
	item_table_fini(&m->by_id);
	item_table_fini(&m->by_key);
	forget_users(m);
	item_table_fini(&m->users);
	node_destroy(m->self);
	derp_map_destroy(m->derp_map);
	dns_config_destroy(m->dns);
	free(m->domain);
	filter_chunks_fini(&m->filter);
	texts_fini(&m->health);
	while (m->n_messages > 0)
		drop_message(m, m->n_messages - 1);
	free(m->messages);
	lock_info_destroy(m->lock);
	*m = (struct netmap){};
}
