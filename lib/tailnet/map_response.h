/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One message of the map stream, as it was sent: what is absent, null or empty stays apart where
 * that means something.  netmap.h applies it.
 *
 * Source: ../shared/protocol/control.md 5.4 to 5.14.
 * Owner:  the caller; map_response_fini() frees what netmap_apply() has not taken.
 * Bounds: MAP_MAX_LEN of text, JSON_MESSAGE_BUDGET of structures, JSON_MAX_DEPTH, MAP_MAX_PEERS.
 *
 * Not read, because a router does nothing with them: SSHPolicy, DefaultAutoUpdate,
 * DomainDataPlaneAuditLogID, ConnectionHandleForTest.  They may be anything that is JSON.
 */
#ifndef LIB_TAILNET_MAP_RESPONSE_H
#define LIB_TAILNET_MAP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/tailnet/derp_map.h"
#include "lib/tailnet/dns_config.h"
#include "lib/tailnet/instant.h"
#include "lib/tailnet/json_decode.h"
#include "lib/tailnet/lists.h"
#include "lib/tailnet/node.h"

#define MAP_MAX_LEN   (64u << 20) /* bytes of JSON in one message */
#define MAP_MAX_PEERS 100000      /* in one list */

/* {"KeepAlive":true}: what nearly all messages are. */
#define MAP_KEEP_ALIVE "{\"KeepAlive\":true}"

/* A light change of a node.  `present`: NODE_ flags of the members that count. */
struct peer_patch {
	int64_t id;
	uint32_t present;
	struct node_key key;
	struct disco_key disco_key;
	struct octets key_signature;
	struct endpoints endpoints;
	struct capabilities capabilities;
	struct instant key_expiry, last_seen;
	int32_t home_region, capver;
	enum tri online;
};

struct peer_flag { /* of PeerSeenChange, OnlineChange */
	int64_t id;
	bool is_set;
};

struct user_profile {
	int64_t id;
	char *login_name, *display_name;
};

struct display_message {
	char *id;
	char *title, *text, *severity;
	bool impacts_connectivity;
	bool is_removed; /* null: the known one goes */
};

struct display_messages {
	struct display_message *at;
	size_t n;
	bool clears; /* "*": null: all known ones go first */
};

struct ping_request {
	char *url, *types, *ip;
	struct octets payload; /* of a c2n request: HTTP/1.1 */
	bool url_is_noise, log;
};

struct dial_candidate {
	char *ip, *ace_host;
	double start_delay_s, timeout_s;
	int32_t priority;
};

struct dial_plan {
	struct dial_candidate *candidates;
	size_t n_candidates;
};

struct client_version {
	bool is_latest, is_security_update, notify;
	char *latest, *notify_url, *notify_text;
};

struct map_debug {
	double sleep_s;
	enum tri disable_log_tail;
	int32_t exit_code;
	bool has_exit_code; /* the server wants the process to end */
};

struct lock_info { /* tailnet lock */
	char *head;
	bool is_disabled;
};

struct map_response {
	/* Processed at once, of keep-alives too. */
	bool is_keep_alive;
	struct ping_request *ping;             /* NULL: none */
	char *pop_browser_url;                 /* NULL or "": none */
	struct instant control_time;           /* unset: not said */
	struct dial_plan *dial_plan;           /* NULL: none */
	struct client_version *client_version; /* NULL: none */

	struct map_debug *debug; /* before everything else */
	char *session_handle;
	int64_t seq;

	struct node *node; /* ourselves; NULL: unchanged */
	struct node **peers;
	size_t n_peers; /* above 0: the whole list */
	struct node **peers_changed;
	size_t n_peers_changed;
	int64_t *peers_removed;
	size_t n_peers_removed;
	struct peer_patch *patches;
	size_t n_patches;
	struct peer_flag *seen_changes;
	size_t n_seen_changes;
	struct peer_flag *online_changes;
	size_t n_online_changes;

	struct derp_map *derp_map; /* NULL, and likewise below: unchanged */
	struct dns_config *dns;
	char *domain; /* "" too */
	enum tri collect_services;
	struct json_t *packet_filter; /* for filter_chunks_apply() */
	struct json_t *packet_filters;
	uint64_t filter_digest; /* of both, as they were written */
	struct user_profile *users;
	size_t n_users;
	struct texts health;
	bool has_health;
	struct display_messages *messages;
	struct lock_info *lock;
};

/*
 * Read a message of len bytes (not terminated by a zero).
 *
 * Returns 0, ERR_BAD_FORMAT, -E2BIG (a limit) or -ENOMEM.  ret_response is written on success only.
 * An error of any kind ends the poll, as with the reference.
 */
[[nodiscard]] int
map_response_parse(const char *text, size_t len, struct map_response *ret_response);

/* Free what is in it, and leave it empty.  NULL is allowed. */
void map_response_fini(struct map_response *response);

void peer_patch_fini(struct peer_patch *patch);
void user_profile_fini(struct user_profile *user);
void display_message_fini(struct display_message *message);
void lock_info_destroy(struct lock_info *lock); /* NULL is allowed */

#endif
