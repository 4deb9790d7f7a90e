/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of the member share.  Each calls only what stands below it:
 *
 *     member.c     life: start, facts, time
 *     request.c    questions of clients: `sluice up` and so on
 *     ping.c       `sluice ping`
 *     target.c     which node is meant
 *     settings.c   what people have set
 *     login.c      keys and registering
 *     arrival.c    what the server says comes into the map
 *     status.c     the object "tailnet"
 *     wish.c       the map as what shall be: peers, filter, the host
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_MEMBER_STATE_H
#define CONTROLPLANE_GATEWAY_TAILNET_MEMBER_STATE_H

#include "controlplane/gateway/coord_client/coord_client.h"
#include "controlplane/gateway/peer_api/peer_api.h"
#include "controlplane/gateway/publish/acl_block.h"
#include "controlplane/gateway/stream/stream.h"
#include "controlplane/gateway/stream/trust.h"
#include "controlplane/gateway/tailnet/hostinfo.h"
#include "controlplane/gateway/tailnet/map_cache.h"
#include "controlplane/gateway/tailnet/member.h"
#include "controlplane/gateway/tailnet/prefs.h"
#include "controlplane/gateway/tailnet/roster.h"
#include "controlplane/gateway/tailnet/store.h"
#include "lib/tailnet/netmap.h"

#define MEMBER_MAX_PINGS  API_MAX_CLIENTS
#define MEMBER_MAX_ROUTES CONFIG_MAX_PREFIXES

enum member_login {
	LOGIN_NONE,    /* nobody wants to join, or the keys are no longer good */
	LOGIN_TRYING,  /* registering */
	LOGIN_WAITING, /* somebody has to open auth_url */
	LOGIN_DONE,    /* registered: the map is followed */
};

struct member_ping {     /* a client that waits */
	uint32_t client; /* 0: free */
	uint64_t token;
	struct mono until;
	struct node_key node;

	struct member *member; /* by the peer API */
	struct stream *stream;
	struct endpoint peer_api;
	struct mono sent;
};

struct member {
	struct member_setup setup;
	struct mono now;
	int epoll;

	struct trust *trust;
	struct stream_set *streams;        /* around the tunnel */
	struct stream_set *tunnel_streams; /* through it */
	struct peer_api *peer_api;
	struct coord_client *client; /* NULL: not connected to any server */

	struct store *store;
	struct tailnet_prefs prefs; /* in force */
	struct own_facts *own;      /* what we say of ourselves */

	/* login */
	enum member_login login;
	struct secret_key *fresh_key; /* secret memory: the node key that is being registered */
	bool has_fresh_key;
	char *auth_key; /* secret memory, CONFIG_AUTH_KEY_LEN; empty: none */
	char auth_url[COORD_URL_LEN];
	bool is_leaving;  /* a logout waits for the server */
	bool regenerated; /* a fresh key was made because the server had asked for one */

	/* the map */
	struct netmap map;
	struct map_cache *cache;
	bool from_disk;    /* the map is the last one known; the server has not spoken */
	bool self_expired; /* our own key: nothing is sent until somebody logs in */
	struct instant next_expiry;
	uint64_t derp_map_serial;
	uint64_t filter_generation;
	struct acl_block *filter; /* NULL: lets nothing in */
	bool filter_due, wish_due, host_due, flush_due;
	bool login_due; /* our key has expired, and the configuration has one to log in with */
	uint64_t wished, settled; /* numbers of wishes */
	struct mono map_arrived;  /* the earliest that is not in force yet; never: all are */
	int64_t clock_offset_s;   /* the server's clock less ours, if beyond a minute */

	/* see ask_self.c */
	struct mono ask_self_at; /* never: there is no need */
	struct mono self_paid_until;

	/* what the host shall have */
	struct prefix addresses[CONFIG_MAX_ADDRESSES];
	size_t n_addresses;
	struct prefix *routes; /* malloc */
	size_t n_routes;

	/* what is around us; see routes.c */
	struct network *network; /* a reference; NULL: not looked at yet */
	struct prefix *own_nets; /* malloc */
	size_t n_own_nets;

	/* what `wire` has found out */
	struct traversal_facts *facts; /* NULL: nothing yet */
	struct mono facts_at;

	struct member_ping pings[MEMBER_MAX_PINGS];
	uint64_t last_token;
	uint32_t netchecks[API_MAX_CLIENTS]; /* clients that wait for a report; 0: free */
	struct mono netcheck_until;

	/* for people */
	bool has_failure;
	struct coord_failure failure;
	enum coord_phase phase;
};

/* --- wish.c --- */
/* The wall clock, put right by the server's. */
struct instant member_wall(const struct member *m);
/* Say what shall be, from the map as it is; or that there is nothing (stopped, expired). */
void member_wish(struct member *m);
/* Compile the filter of the map again. */
void member_renew_filter(struct member *m);
struct roster_view member_view(const struct member *m);
bool member_is_running(const struct member *m);

/* --- routes.c --- */
/* Our own networks are others, for the network or the settings are; true: it matters. */
bool member_renew_own_nets(struct member *m);
/* Sentences about advertised prefixes that the box does not reach, added to a list of texts. */
void member_warn_unreached(const struct member *m, json_t *warnings);
json_t *member_routes_json(const struct member *m, const struct surroundings *around);
json_t *member_accepted_json(const struct member *m);

/* --- login.c --- */
/* No peers any more: the map is of a tailnet that we are not in. */
void member_forget_map(struct member *m);
/* Whether the server that is wanted now knows our key. */
bool member_is_registered(const struct member *m);
/* Be connected: follow the map if we are registered, else register.  force: with a new key. */
void member_connect(struct member *m, bool force);
/* Stop speaking with the server; tunnels end too. */
void member_disconnect(struct member *m);
/* Expire our key at the server and forget it. */
void member_log_out(struct member *m);
/* Somebody wants to join again: what the server says to the logout is not waited for. */
void member_end_logout(struct member *m);
void member_wipe_auth_key(struct member *m);

/* --- status.c --- */
/* A word: "Running" and so on. */
const char *member_state_name(const struct member *m);
json_t *member_netcheck_json(const struct member *m);
json_t *member_node_json(const struct member *m, const struct node *node);

/* --- request.c --- */
/* What `wire` found out has come: whoever waits for a netcheck gets it. */
void member_netcheck_arrived(struct member *m);
/* End what waits too long; returns when to come again, or never. */
struct mono member_requests_due(struct member *m);

/* --- ping.c --- */
void member_on_ping(struct member *m, uint32_t client, const json_t *request);
/* End those that have waited long enough; returns when to come again, or never. */
struct mono member_pings_due(struct member *m);

/* --- target.c --- */
/* The node that the request's "target" means; NULL: there is none, and the client was told. */
const struct node *member_find_node(struct member *m, uint32_t client, const json_t *request);
void member_refuse(struct member *m,
	uint32_t client,
	const char *what,
	const char *why,
	const char *what_to_do);

/* --- settings.c --- */
/* Settings have changed: those that matter to the server are told, to peers applied. */
void member_settings_changed(struct member *m);
/* Tell the server what is new; changed: something that is not in the Hostinfo is. */
void member_tell_hostinfo(struct member *m, bool changed);

/* --- ask_self.c --- */
/* The server has sent a policy and left our own node out. */
void member_policy_arrived(struct member *m);
/* Ask when it is time; returns when to come again, or never. */
struct mono member_ask_self_due(struct member *m);

/* --- arrival.c --- */
/* Whether our own key has expired by now, and what follows. */
void member_judge_own_key(struct member *m);
/* A message of the server; 0, or an error that ends the stream. */
int member_on_map(void *context,
	struct map_response *response,
	bool first,
	const struct coord_map_arrival *a);

#endif
