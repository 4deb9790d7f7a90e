/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "tailnet"

#include "controlplane/gateway/tailnet/member.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "controlplane/gateway/secret_memory.h"
#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"

#define CLOCK_MATTERS_S 60 /* control.md 7.1 */

/* Of a peer, what the data plane, disco or the host has to be told. */
#define PEER_FIELDS                                                                        \
	(NODE_KEY | NODE_DISCO_KEY | NODE_KEY_EXPIRY | NODE_ENDPOINTS | NODE_HOME_REGION | \
		NODE_CAPVER | NODE_ADDRESSES | NODE_ALLOWED_IPS | NODE_PRIMARY_ROUTES |    \
		NODE_WIREGUARD_ONLY | NODE_JAILED | NODE_EXPIRED | NODE_MASQUERADE | NODE_NAME)

/* --- the map --- */

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

static void
judge_own_key(struct member *m)
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
		member_connect(m, true);
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
		judge_own_key(m);
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

/* --- settings --- */

static void
renew_trust(struct member *m)
{
	struct trust *trust;
	const char *file = m->prefs.ca_file[0] != '\0' ? m->prefs.ca_file : NULL;
	int err = trust_create(file, &trust);

	if (err < 0) {
		log_err("the file of authorities cannot be used: %s: %s", file != NULL ? file : "-",
			err_str(err));
		return;
	}
	trust_unref(m->trust);
	m->trust = trust;
	stream_set_trust(m->streams, trust);
	m->wish_due = true;
}

// Tell the server what is new; changed: something that is not in the Hostinfo is.
static void
renew_hostinfo(struct member *m, bool changed)
{
	changed |= own_facts_set_prefs(m->own, &m->prefs);
	changed |= own_facts_set_peer_api(
		m->own, peer_api_port(m->peer_api, ADDR_V4), peer_api_port(m->peer_api, ADDR_V6));
	if (m->facts != NULL && m->facts->has_report)
		changed |= own_facts_set_report(m->own, &m->facts->report, m->facts->home_region);
	if (changed && m->client != NULL)
		coord_client_update(m->client);
}

// Defaults, what was set by commands, and what the file says, which wins.
static int
read_prefs(const struct member *m, struct tailnet_prefs *ret)
{
	struct tailnet_prefs *file = malloc(sizeof(*file));
	struct prefs_error error;
	int err;

	if (file == NULL)
		return -ENOMEM;
	prefs_default(ret);
	prefs_apply(ret, store_prefs(m->store));
	err = prefs_from_config(&m->setup.config->tailnet, file, &error);
	if (err < 0)
		log_err("%s: %s; %s", error.what, error.why, error.what_to_do);
	else
		prefs_apply(ret, file);
	free(file);
	return err;
}

void
member_settings_changed(struct member *m)
{
	struct tailnet_prefs *fresh = malloc(sizeof(*fresh));
	uint32_t differ;

	if (fresh == NULL || read_prefs(m, fresh) < 0) {
		log_err("the settings stay as they were");
		free(fresh);
		return;
	}
	differ = prefs_diff(&m->prefs, fresh);
	m->prefs = *fresh;
	free(fresh);
	if ((differ & PREF(CA_FILE)) != 0)
		renew_trust(m);
	if ((differ & PREF(LOGIN_SERVER)) != 0) { // up connects with the other one
		member_disconnect(m);
		member_forget_map(m);
	}
	m->filter_due = m->wish_due = true;
	renew_hostinfo(m, false);
}

void
member_take_config(struct member *m, const struct config_gateway *config, struct mono now)
{
	m->now = now;
	m->setup.config = config;
	member_settings_changed(m);
	if (m->client == NULL && store_is_wanted(m->store))
		member_connect(m, false);
}

/* --- what others say --- */

void
member_take_facts(struct member *m, struct traversal_facts *facts, struct mono now)
{
	m->now = now;
	free(m->facts);
	m->facts = facts;
	m->facts_at = now;
	renew_hostinfo(m, true);
	member_netcheck_arrived(m);
}

void
member_settled(struct member *m, uint64_t number, int value, struct mono now)
{
	m->now = now;
	if (value == 0 && number > m->settled)
		m->settled = number;
	if (m->settled != m->wished || mono_is_never(m->map_arrived))
		return;
	// From its last byte to the workers' tables.
	log_info("the map is in force ms=%.1f peers=%zu",
		(double)mono_diff_ns(now, m->map_arrived) / (double)NS_PER_MS,
		netmap_n_peers(&m->map));
	m->map_arrived = (struct mono){};
}

static void
copy_name(char out[static PEER_API_NAME_LEN], const char *name)
{
	snprintf(out, PEER_API_NAME_LEN, "%s", name != NULL ? name : "");
}

// Who asks our peer API, by the address that the data plane has checked.
static bool
find_caller(void *context, const struct addr *source, struct peer_api_caller *ret)
{
	struct member *m = context;

	for (size_t i = 0; i < netmap_n_peers(&m->map); i++) {
		const struct node *node = netmap_peer(&m->map, i);
		const struct user_profile *user;

		for (size_t k = 0; k < node->addresses.n; k++) {
			if (!addr_equal(&node->addresses.at[k].addr, source))
				continue;
			user = netmap_find_user(&m->map, node->user);
			*ret = (struct peer_api_caller){
				.is_self = m->map.self != NULL && node->user == m->map.self->user
			};
			copy_name(ret->node, node->name);
			copy_name(ret->user, user != NULL ? user->display_name : NULL);
			return true;
		}
	}
	return false;
}

static void
peer_api_changed(void *context)
{
	struct member *m = context;

	m->filter_due = m->wish_due = true;
	renew_hostinfo(m, false);
}

/* --- time --- */

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (!mono_is_never(candidate) && candidate.ns < at->ns)
		*at = candidate;
}

// Keys expire whether or not the server is there to say so.
static void
expire_keys(struct member *m)
{
	struct instant now = member_wall(m);

	if (!instant_is_unset(m->next_expiry) && instant_compare(now, m->next_expiry) >= 0)
		m->wish_due = true;
	judge_own_key(m);
}

static struct mono
do_due(struct member *m)
{
	struct mono at = mono_add_ns(m->now, NS_PER_S);

	expire_keys(m);
	if (m->client != NULL)
		take_earlier(&at, coord_client_tick(m->client, m->now));
	take_earlier(&at, member_requests_due(m));
	take_earlier(&at, map_cache_tick(m->cache, &m->map, m->now));
	return at;
}

struct mono
member_dispatch(struct member *m, struct mono now)
{
	struct mono at;

	m->now = now;
	at = stream_set_dispatch(m->streams, now);
	if (mono_is_never(at))
		at = mono_add_ns(now, NS_PER_S);
	take_earlier(&at, stream_set_dispatch(m->tunnel_streams, now));
	take_earlier(&at, peer_api_dispatch(m->peer_api, now));
	take_earlier(&at, do_due(m));
	if (m->filter_due)
		member_renew_filter(m);
	if (m->wish_due)
		member_wish(m);
	if (m->flush_due) // a successor must not find less than we have made of the host
		map_cache_flush(m->cache, &m->map);
	m->flush_due = false;
	if (m->host_due) {
		m->host_due = false;
		m->setup.calls.host(m->setup.calls.context);
	}
	return at;
}

int
member_fd(const struct member *m)
{
	return m->epoll;
}

/* --- start and end --- */

// Until the server speaks, the last map that it sent.
static void
load_last_map(struct member *m)
{
	struct node_key self;

	if (!member_is_registered(m))
		return;
	key_public_node(store_node_key(m->store), &self);
	if (map_cache_load(m->cache, &self, member_wall(m), &m->map) < 0)
		return;
	m->from_disk = true;
	m->derp_map_serial++;
	m->filter_due = true;
	log_notice("going on with the last map that is known, until the server sends one peers=%zu",
		netmap_n_peers(&m->map));
}

void
member_start(struct member *m, struct mono now)
{
	m->now = now;
	if (store_is_wanted(m->store)) {
		load_last_map(m);
		judge_own_key(m);
	}
	// At once, before the host is looked at: what a predecessor left there is what shall be.
	if (m->filter_due)
		member_renew_filter(m);
	member_wish(m);
	// A configuration with a key means: join.
	if (m->setup.config->tailnet.auth_key[0] != '\0' && !store_is_logged_out(m->store))
		store_set_wanted(m->store, true);
	if (store_is_wanted(m->store) && m->prefs.login_server[0] != '\0')
		member_connect(m, false);
}

static int
watch(struct member *m, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int
open_parts(struct member *m)
{
	struct peer_api_calls calls = { find_caller, peer_api_changed, m };
	int err;

	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0)
		return -errno;
	err = store_open(m->setup.state_dir, &m->store);
	if (err < 0)
		return err;
	err = trust_create(NULL, &m->trust);
	if (err == 0)
		err = stream_set_create(m->trust, CONFIG_OUTER_MARK, &m->streams);
	if (err == 0)
		err = stream_set_create(m->trust, 0, &m->tunnel_streams);
	if (err == 0)
		err = peer_api_create(&calls, &m->peer_api);
	if (err == 0)
		err = own_facts_create(store_log_id(m->store), &m->own);
	if (err == 0)
		err = map_cache_create(m->setup.state_dir, &m->cache);
	if (err == 0)
		err = watch(m, stream_set_fd(m->streams));
	if (err == 0)
		err = watch(m, stream_set_fd(m->tunnel_streams));
	if (err == 0)
		err = watch(m, peer_api_fd(m->peer_api));
	return err;
}

int
member_create(const struct member_setup *setup, struct mono now, struct member **ret_member)
{
	struct member *m = calloc(1, sizeof(*m));
	uint64_t seed;
	int err;

	if (m == NULL)
		return -ENOMEM;
	m->setup = *setup;
	m->now = now;
	m->epoll = -1;
	random_bytes(&seed, sizeof(seed));
	netmap_init(&m->map, seed);
	prefs_default(&m->prefs);
	m->fresh_key = secret_memory_map(sizeof(*m->fresh_key));
	m->auth_key = secret_memory_map(CONFIG_AUTH_KEY_LEN);
	err = m->fresh_key != NULL && m->auth_key != NULL ? open_parts(m) : -ENOMEM;
	if (err < 0) {
		log_err("membership of a tailnet cannot be set up in %s: %s", setup->state_dir,
			err_str(err));
		member_destroy(m);
		return err;
	}
	m->prefs.login_server[0] = '\0'; // nothing of it is in force yet
	member_settings_changed(m);
	*ret_member = m;
	return 0;
}

void
member_destroy(struct member *m)
{
	if (m == NULL)
		return;
	coord_client_destroy(m->client);
	if (m->cache != NULL)
		map_cache_flush(m->cache, &m->map);
	map_cache_destroy(m->cache);
	peer_api_destroy(m->peer_api);
	stream_set_destroy(m->streams);
	stream_set_destroy(m->tunnel_streams);
	trust_unref(m->trust);
	own_facts_destroy(m->own);
	netmap_fini(&m->map);
	acl_block_unref(m->filter);
	store_close(m->store);
	secret_memory_unmap(m->fresh_key, sizeof(*m->fresh_key));
	secret_memory_unmap(m->auth_key, CONFIG_AUTH_KEY_LEN);
	free(m->routes);
	free(m->facts);
	if (m->epoll >= 0)
		close(m->epoll);
	free(m);
}
