/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/map_response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/tailnet/json_span.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MAX_ITEMS (1u << 20) /* of a list that is not of nodes */

// ---------- lists ----------

// A list to be read; `free_item` may be NULL.
struct list_kind {
	size_t item_bytes, max;
	json_decoder *read;
	void (*free_item)(void *item);
};

static void
list_fini(const struct list_kind *kind, void *items_at, size_t *n)
{
	void **items = items_at;

	for (size_t i = 0; i < *n && kind->free_item != NULL; i++)
		kind->free_item((char *)*items + i * kind->item_bytes);
	free(*items);
	*items = NULL;
	*n = 0;
}

static int
count_elements(const struct json_span *span, size_t max, size_t *ret_n)
{
	struct json_span name, value;
	struct json_walk w;
	size_t n = 0;
	int more = json_walk_begin(&w, span);

	if (more < 0 || w.is_object)
		return ERR_BAD_FORMAT;
	for (more = json_walk_next(&w, &name, &value); more == 1;
		more = json_walk_next(&w, &name, &value))
		if (++n > max)
			return -E2BIG;
	*ret_n = n;
	return more;
}

// One element by a tree of its own; null is passed over.
static int
read_element(const struct list_kind *kind,
	const struct json_span *span,
	char *items,
	size_t *n,
	struct json_budget *budget)
{
	json_t *value;
	int err = json_span_load(span, &value);

	if (err < 0)
		return err;
	if (!json_is_null(value))
		err = kind->read(value, items + (*n)++ * kind->item_bytes, budget);
	json_decref(value);
	return err;
}

static int
read_list(const struct list_kind *kind,
	const struct json_span *span,
	void *items_at,
	size_t *n,
	struct json_budget *budget)
{
	void **items = items_at;
	struct json_span name, value;
	struct json_walk w;
	size_t count;
	int err;

	list_fini(kind, items_at, n);
	if (json_span_is_null(span))
		return 0;
	err = count_elements(span, kind->max, &count);
	if (err == 0)
		err = json_allocate(count, kind->item_bytes, budget, items_at);
	if (err == 0)
		err = json_walk_begin(&w, span);
	if (err < 0)
		return err;
	while (err == 0 && json_walk_next(&w, &name, &value) == 1)
		err = read_element(kind, &value, *items, n, budget);
	return err;
}

// ---------- items ----------

static void
free_node(void *item)
{
	node_destroy(*(struct node **)item);
}

void
peer_patch_fini(struct peer_patch *patch)
{
	octets_fini(&patch->key_signature);
	endpoints_fini(&patch->endpoints);
	capabilities_fini(&patch->capabilities);
}

static void
free_patch(void *item)
{
	peer_patch_fini(item);
}

static const struct {
	struct json_member member;
	uint32_t flag;
} patch_members[] = {
	{ { "NodeID", json_decode_int64, offsetof(struct peer_patch, id) }, 0 },
	{ { "DERPRegion", json_decode_int32, offsetof(struct peer_patch, home_region) },
		NODE_HOME_REGION },
	{ { "Cap", json_decode_int32, offsetof(struct peer_patch, capver) }, NODE_CAPVER },
	{ { "CapMap", json_decode_capabilities, offsetof(struct peer_patch, capabilities) },
		NODE_CAPABILITIES },
	{ { "Endpoints", json_decode_endpoints, offsetof(struct peer_patch, endpoints) },
		NODE_ENDPOINTS },
	{ { "Key", json_decode_node_key, offsetof(struct peer_patch, key) }, NODE_KEY },
	{ { "KeySignature", json_decode_octets, offsetof(struct peer_patch, key_signature) },
		NODE_KEY_SIGNATURE },
	{ { "DiscoKey", json_decode_disco_key, offsetof(struct peer_patch, disco_key) },
		NODE_DISCO_KEY },
	{ { "Online", json_decode_tri, offsetof(struct peer_patch, online) }, NODE_ONLINE },
	{ { "LastSeen", json_decode_instant, offsetof(struct peer_patch, last_seen) },
		NODE_LAST_SEEN },
	{ { "KeyExpiry", json_decode_instant, offsetof(struct peer_patch, key_expiry) },
		NODE_KEY_EXPIRY },
};

static int
read_patch_member(const char *name,
	const json_t *value,
	struct peer_patch *patch,
	struct json_budget *budget)
{
	for (size_t i = 0; i < COUNT(patch_members); i++) {
		const struct json_member *m = &patch_members[i].member;

		if (strcasecmp(name, m->name) != 0)
			continue;
		patch->present |= patch_members[i].flag;
		return m->decode(value, (char *)patch + m->offset, budget);
	}
	return 0;
}

static int
read_patch(const struct json_t *object, void *into, struct json_budget *budget)
{
	json_t *value;
	const char *name;
	int err = 0;

	if (!json_is_object(object))
		return ERR_BAD_FORMAT;
	json_object_foreach((json_t *)object, name, value)
	{
		if (!json_is_null(value))
			err = read_patch_member(name, value, into, budget);
		if (err < 0)
			return err;
	}
	return 0;
}

static const struct json_member user_members[] = {
	{ "ID", json_decode_int64, offsetof(struct user_profile, id) },
	{ "LoginName", json_decode_text, offsetof(struct user_profile, login_name) },
	{ "DisplayName", json_decode_text, offsetof(struct user_profile, display_name) },
};

static int
read_user(const struct json_t *value, void *into, struct json_budget *budget)
{
	return json_decode_members(value, user_members, COUNT(user_members), into, budget);
}

void
user_profile_fini(struct user_profile *user)
{
	free(user->login_name);
	free(user->display_name);
}

static void
free_user(void *item)
{
	user_profile_fini(item);
}

static const struct list_kind nodes = { sizeof(struct node *), MAP_MAX_PEERS, node_decode_new,
	free_node };
static const struct list_kind ids = { sizeof(int64_t), MAX_ITEMS, json_decode_int64, NULL };
static const struct list_kind patches = { sizeof(struct peer_patch), MAX_ITEMS, read_patch,
	free_patch };
static const struct list_kind users = { sizeof(struct user_profile), MAX_ITEMS, read_user,
	free_user };

static int
read_peers(const struct json_span *span, struct map_response *r, struct json_budget *budget)
{
	return read_list(&nodes, span, &r->peers, &r->n_peers, budget);
}

static int
read_peers_changed(const struct json_span *span, struct map_response *r, struct json_budget *budget)
{
	return read_list(&nodes, span, &r->peers_changed, &r->n_peers_changed, budget);
}

static int
read_peers_removed(const struct json_span *span, struct map_response *r, struct json_budget *budget)
{
	return read_list(&ids, span, &r->peers_removed, &r->n_peers_removed, budget);
}

static int
read_patches(const struct json_span *span, struct map_response *r, struct json_budget *budget)
{
	return read_list(&patches, span, &r->patches, &r->n_patches, budget);
}

static int
read_users(const struct json_span *span, struct map_response *r, struct json_budget *budget)
{
	return read_list(&users, span, &r->users, &r->n_users, budget);
}

// ---------- the packet filter, as a tree for filter_chunks_apply() ----------

static int
read_filter(const struct json_span *span, struct map_response *r, json_t **ret_filter)
{
	int err;

	json_decref(*ret_filter);
	*ret_filter = NULL;
	if (json_span_is_null(span))
		return 0;
	err = json_span_load(span, ret_filter);
	r->filter_digest = json_digest(r->filter_digest, span->text, span->len);
	return err;
}

static int
read_packet_filter(const struct json_span *span, struct map_response *r, struct json_budget *)
{
	// Apart from a PacketFilters of the same text.
	r->filter_digest = json_digest(r->filter_digest, "PacketFilter", strlen("PacketFilter"));
	return read_filter(span, r, &r->packet_filter);
}

static int
read_packet_filters(const struct json_span *span, struct map_response *r, struct json_budget *)
{
	return read_filter(span, r, &r->packet_filters);
}

// ---------- everything that is small: one tree per member ----------

static int
read_flags(const json_t *object, struct peer_flag **flags, size_t *n, struct json_budget *budget)
{
	json_t *value;
	const char *name;
	int err;

	free(*flags);
	*n = 0;
	*flags = NULL;
	if (!json_is_object(object))
		return ERR_BAD_FORMAT;
	err = json_allocate(json_object_size(object), sizeof(**flags), budget, flags);
	if (err < 0)
		return err;
	json_object_foreach((json_t *)object, name, value)
	{
		struct peer_flag *flag = &(*flags)[*n];

		err = json_parse_id(name, &flag->id);
		if (err == 0 && !json_is_null(value))
			err = json_decode_bool(value, &flag->is_set, budget);
		if (err < 0)
			return err;
		(*n)++;
	}
	return 0;
}

static int
read_seen_changes(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct map_response *r = into;

	return read_flags(value, &r->seen_changes, &r->n_seen_changes, budget);
}

static int
read_online_changes(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct map_response *r = into;

	return read_flags(value, &r->online_changes, &r->n_online_changes, budget);
}

static int
read_health(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct map_response *r = into;

	r->has_health = true;
	return json_decode_texts(value, &r->health, budget);
}

static const struct json_member message_members[] = {
	{ "Title", json_decode_text, offsetof(struct display_message, title) },
	{ "Text", json_decode_text, offsetof(struct display_message, text) },
	{ "Severity", json_decode_text, offsetof(struct display_message, severity) },
	{ "ImpactsConnectivity", json_decode_bool,
		offsetof(struct display_message, impacts_connectivity) },
};

void
display_message_fini(struct display_message *message)
{
	free(message->id);
	free(message->title);
	free(message->text);
	free(message->severity);
}

static void
messages_destroy(struct display_messages *messages)
{
	for (size_t i = 0; messages != NULL && i < messages->n; i++)
		display_message_fini(&messages->at[i]);
	if (messages != NULL)
		free(messages->at);
	free(messages);
}

static int
read_message(const char *id,
	const json_t *value,
	struct display_messages *messages,
	struct json_budget *budget)
{
	struct display_message *message = &messages->at[messages->n];
	int err;

	if (strcmp(id, "*") == 0) {
		messages->clears = json_is_null(value);
		return 0;
	}
	err = json_allocate(strlen(id) + 1, 1, budget, &message->id);
	if (err < 0)
		return err;
	memcpy(message->id, id, strlen(id) + 1);
	message->is_removed = json_is_null(value);
	messages->n++;
	return json_decode_members(value, message_members, COUNT(message_members), message, budget);
}

static int
read_messages(const struct json_t *object, void *into, struct json_budget *budget)
{
	struct display_messages **messages = into;
	json_t *value;
	const char *id;
	int err;

	messages_destroy(*messages);
	err = json_allocate(1, sizeof(**messages), budget, messages);
	if (err < 0)
		return err;
	if (!json_is_object(object))
		return ERR_BAD_FORMAT;
	err = json_allocate(
		json_object_size(object), sizeof(*(*messages)->at), budget, &(*messages)->at);
	if (err < 0)
		return err;
	json_object_foreach((json_t *)object, id, value)
	{
		err = read_message(id, value, *messages, budget);
		if (err < 0)
			return err;
	}
	return 0;
}

static const struct json_member lock_members[] = {
	{ "Head", json_decode_text, offsetof(struct lock_info, head) },
	{ "Disabled", json_decode_bool, offsetof(struct lock_info, is_disabled) },
};

void
lock_info_destroy(struct lock_info *lock)
{
	if (lock != NULL)
		free(lock->head);
	free(lock);
}

static int
read_lock(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct lock_info **lock = into;
	int err;

	lock_info_destroy(*lock);
	err = json_allocate(1, sizeof(**lock), budget, lock);
	return err < 0 ? err
	               : json_decode_members(
				 value, lock_members, COUNT(lock_members), *lock, budget);
}

// ---------- one-shot members ----------

static const struct json_member ping_members[] = {
	{ "URL", json_decode_text, offsetof(struct ping_request, url) },
	{ "URLIsNoise", json_decode_bool, offsetof(struct ping_request, url_is_noise) },
	{ "Log", json_decode_bool, offsetof(struct ping_request, log) },
	{ "Types", json_decode_text, offsetof(struct ping_request, types) },
	{ "IP", json_decode_text, offsetof(struct ping_request, ip) },
	{ "Payload", json_decode_octets, offsetof(struct ping_request, payload) },
};

static void
ping_destroy(struct ping_request *ping)
{
	if (ping == NULL)
		return;
	free(ping->url);
	free(ping->types);
	free(ping->ip);
	octets_fini(&ping->payload);
	free(ping);
}

static int
read_ping(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct ping_request **ping = into;
	int err;

	ping_destroy(*ping);
	err = json_allocate(1, sizeof(**ping), budget, ping);
	return err < 0 ? err
	               : json_decode_members(
				 value, ping_members, COUNT(ping_members), *ping, budget);
}

static const struct json_member candidate_members[] = {
	{ "IP", json_decode_text, offsetof(struct dial_candidate, ip) },
	{ "ACEHost", json_decode_text, offsetof(struct dial_candidate, ace_host) },
	{ "DialStartDelaySec", json_decode_double, offsetof(struct dial_candidate, start_delay_s) },
	{ "DialTimeoutSec", json_decode_double, offsetof(struct dial_candidate, timeout_s) },
	{ "Priority", json_decode_int32, offsetof(struct dial_candidate, priority) },
};

static void
dial_candidates_fini(struct dial_plan *plan)
{
	for (size_t i = 0; i < plan->n_candidates; i++) {
		free(plan->candidates[i].ip);
		free(plan->candidates[i].ace_host);
	}
	free(plan->candidates);
	*plan = (struct dial_plan){};
}

static void
dial_plan_destroy(struct dial_plan *plan)
{
	if (plan != NULL)
		dial_candidates_fini(plan);
	free(plan);
}

static int
read_candidates(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct dial_plan *plan = into;
	size_t n = json_array_size(value);
	int err;

	dial_candidates_fini(plan);
	if (!json_is_array(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(n, sizeof(*plan->candidates), budget, &plan->candidates);
	for (size_t i = 0; i < n && err == 0; i++)
		err = json_decode_members(json_array_get(value, i), candidate_members,
			COUNT(candidate_members), &plan->candidates[plan->n_candidates++], budget);
	return err;
}

static const struct json_member dial_plan_members[] = {
	{ "Candidates", read_candidates, 0 },
};

static int
read_dial_plan(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct dial_plan **plan = into;
	int err;

	dial_plan_destroy(*plan);
	err = json_allocate(1, sizeof(**plan), budget, plan);
	return err < 0 ? err
	               : json_decode_members(
				 value, dial_plan_members, COUNT(dial_plan_members), *plan, budget);
}

static const struct json_member version_members[] = {
	{ "RunningLatest", json_decode_bool, offsetof(struct client_version, is_latest) },
	{ "LatestVersion", json_decode_text, offsetof(struct client_version, latest) },
	{ "UrgentSecurityUpdate", json_decode_bool,
		offsetof(struct client_version, is_security_update) },
	{ "Notify", json_decode_bool, offsetof(struct client_version, notify) },
	{ "NotifyURL", json_decode_text, offsetof(struct client_version, notify_url) },
	{ "NotifyText", json_decode_text, offsetof(struct client_version, notify_text) },
};

static void
client_version_destroy(struct client_version *version)
{
	if (version == NULL)
		return;
	free(version->latest);
	free(version->notify_url);
	free(version->notify_text);
	free(version);
}

static int
read_client_version(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct client_version **version = into;
	int err;

	client_version_destroy(*version);
	err = json_allocate(1, sizeof(**version), budget, version);
	return err < 0 ? err
	               : json_decode_members(
				 value, version_members, COUNT(version_members), *version, budget);
}

static int
read_exit_code(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct map_debug *debug = into;

	debug->has_exit_code = true;
	return json_decode_int32(value, &debug->exit_code, budget);
}

static const struct json_member debug_members[] = {
	{ "SleepSeconds", json_decode_double, offsetof(struct map_debug, sleep_s) },
	{ "DisableLogTail", json_decode_tri, offsetof(struct map_debug, disable_log_tail) },
	{ "Exit", read_exit_code, 0 },
};

static int
read_debug(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct map_debug **debug = into;
	int err;

	free(*debug);
	err = json_allocate(1, sizeof(**debug), budget, debug);
	return err < 0 ? err
	               : json_decode_members(
				 value, debug_members, COUNT(debug_members), *debug, budget);
}

// ---------- the message ----------

#define AT(member) offsetof(struct map_response, member)

// Read from a tree of the member.
static const struct json_member members[] = {
	{ "MapSessionHandle", json_decode_text, AT(session_handle) },
	{ "Seq", json_decode_int64, AT(seq) },
	{ "KeepAlive", json_decode_bool, AT(is_keep_alive) },
	{ "PingRequest", read_ping, AT(ping) },
	{ "PopBrowserURL", json_decode_text, AT(pop_browser_url) },
	{ "Node", node_decode_new, AT(node) },
	{ "DERPMap", derp_map_decode_new, AT(derp_map) },
	{ "PeerSeenChange", read_seen_changes, 0 },
	{ "OnlineChange", read_online_changes, 0 },
	{ "DNSConfig", dns_config_decode_new, AT(dns) },
	{ "Domain", json_decode_text, AT(domain) },
	{ "CollectServices", json_decode_tri, AT(collect_services) },
	{ "Health", read_health, 0 },
	{ "DisplayMessages", read_messages, AT(messages) },
	{ "ControlTime", json_decode_instant, AT(control_time) },
	{ "TKAInfo", read_lock, AT(lock) },
	{ "Debug", read_debug, AT(debug) },
	{ "ControlDialPlan", read_dial_plan, AT(dial_plan) },
	{ "ClientVersion", read_client_version, AT(client_version) },
};

// Read from their text, element by element, or kept as trees.
static const struct {
	const char *name;
	int (*read)(const struct json_span *span, struct map_response *r, struct json_budget *b);
} large_members[] = {
	{ "Peers", read_peers },
	{ "PeersChanged", read_peers_changed },
	{ "PeersRemoved", read_peers_removed },
	{ "PeersChangedPatch", read_patches },
	{ "UserProfiles", read_users },
	{ "PacketFilter", read_packet_filter },
	{ "PacketFilters", read_packet_filters },
};

static int
read_small(const char *name,
	const struct json_span *span,
	struct map_response *r,
	struct json_budget *budget)
{
	const struct json_member *m = json_member_find(members, COUNT(members), name);
	json_t *value;
	// What we do not know has to be JSON all the same.
	int err = json_span_load(span, &value);

	if (err < 0)
		return err;
	if (m != NULL && !json_is_null(value))
		err = m->decode(value, (char *)r + m->offset, budget);
	json_decref(value);
	return err;
}

static int
read_member(const struct json_span *name_span,
	const struct json_span *span,
	struct map_response *r,
	struct json_budget *budget)
{
	json_t *value;
	const char *name;
	size_t row = 0;
	int err = json_span_load(name_span, &value);

	if (err < 0)
		return err;
	name = json_string_value(value);
	while (row < COUNT(large_members) && strcasecmp(name, large_members[row].name) != 0)
		row++;
	err = row < COUNT(large_members) ? large_members[row].read(span, r, budget)
	                                 : read_small(name, span, r, budget);
	json_decref(value);
	return err;
}

int
map_response_parse(const char *text, size_t len, struct map_response *ret_response)
{
	struct map_response r = { .filter_digest = JSON_DIGEST_INIT };
	struct json_budget budget = { JSON_MESSAGE_BUDGET };
	struct json_span whole = { text, len }, name, value;
	struct json_walk w;
	int more;

	if (len > MAP_MAX_LEN)
		return -E2BIG;
	more = json_walk_begin(&w, &whole);
	if (more < 0 || !w.is_object)
		return ERR_BAD_FORMAT;
	for (more = json_walk_next(&w, &name, &value); more == 1;
		more = json_walk_next(&w, &name, &value)) {
		int err = read_member(&name, &value, &r, &budget);

		if (err < 0)
			more = err;
		if (err < 0)
			break;
	}
	if (more < 0)
		map_response_fini(&r);
	else
		*ret_response = r;
	return more;
}

void
map_response_fini(struct map_response *r)
{
	if (r == NULL)
		return;
	ping_destroy(r->ping);
	free(r->pop_browser_url);
	dial_plan_destroy(r->dial_plan);
	client_version_destroy(r->client_version);
	free(r->debug);
	free(r->session_handle);
	node_destroy(r->node);
	list_fini(&nodes, &r->peers, &r->n_peers);
	list_fini(&nodes, &r->peers_changed, &r->n_peers_changed);
	list_fini(&ids, &r->peers_removed, &r->n_peers_removed);
	list_fini(&patches, &r->patches, &r->n_patches);
	free(r->seen_changes);
	free(r->online_changes);
	derp_map_destroy(r->derp_map);
	dns_config_destroy(r->dns);
	free(r->domain);
	json_decref(r->packet_filter);
	json_decref(r->packet_filters);
	list_fini(&users, &r->users, &r->n_users);
	texts_fini(&r->health);
	messages_destroy(r->messages);
	lock_info_destroy(r->lock);
	*r = (struct map_response){};
}
