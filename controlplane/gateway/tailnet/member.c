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

/* --- what others say --- */

void
member_take_config(struct member *m, const struct config_gateway *config, struct mono now)
{
	m->now = now;
	m->setup.config = config;
	member_settings_changed(m);
	if (m->client == NULL && store_is_wanted(m->store))
		member_connect(m, false);
}

void
member_take_facts(struct member *m, struct traversal_facts *facts, struct mono now)
{
	m->now = now;
	free(m->facts);
	m->facts = facts;
	m->facts_at = now;
	member_tell_hostinfo(m, true);
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

void
member_take_network(struct member *m, struct network *network, struct mono now)
{
	m->now = now;
	network_put(m->network);
	m->network = network_get(network);
	// At once: packets of a network of ours must not be on their way to a peer meanwhile.
	if (member_renew_own_nets(m) && m->prefs.accept_routes && m->wished != 0)
		member_wish(m);
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
	member_tell_hostinfo(m, false);
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
	member_judge_own_key(m);
}

static struct mono
do_due(struct member *m)
{
	struct mono at = mono_add_ns(m->now, NS_PER_S);

	expire_keys(m);
	if (m->login_due) {
		m->login_due = false;
		member_connect(m, true);
	}
	if (m->client != NULL)
		take_earlier(&at, coord_client_tick(m->client, m->now));
	take_earlier(&at, member_requests_due(m));
	take_earlier(&at, member_ask_self_due(m));
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
		member_judge_own_key(m);
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
	network_put(m->network);
	free(m->own_nets);
	free(m->facts);
	if (m->epoll >= 0)
		close(m->epoll);
	free(m);
}
