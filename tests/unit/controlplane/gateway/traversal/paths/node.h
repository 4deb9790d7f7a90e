/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A member of a tailnet at the end of a line: the paths to its peers and WireGuard's handshakes as
 * a control plane drives them, a data plane that sends packets where it was told, and STUN.  All
 * other nodes are its peers; a node's number is its host's on the line.
 *
 * The control plane can be taken away and started anew, while the data plane goes on.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_NODE_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_NODE_H

#include "controlplane/gateway/traversal/paths/paths.h"
#include "lib/wg/handshake.h"
#include "lib/wg/mac.h"
#include "lib/wg/timers.h"
#include "tests/unit/controlplane/gateway/traversal/paths/line.h"

#define NODE_MAX_WAITING  64
#define NODE_OLD_SESSIONS 4
#define NODE_MAX_DATA     4096 /* packets from one node to another in one case */

struct node_session {
	uint32_t mine, theirs; /* receiver indices; 0: none */
	bool initiator;
	struct mono birth;
};

struct node_data { /* what became of a packet */
	struct mono sent;
	bool arrived, directly, by_relay; /* the last two: how it was sent */
};

struct node_peer {
	/* data plane */
	struct paths_choice choice;
	/* Of old ones more than a gateway keeps: initiations that cross are another test's. */
	struct node_session old[NODE_OLD_SESSIONS], current, next;
	unsigned n_old;
	struct wg_activity activity;
	uint32_t waiting[NODE_MAX_WAITING];
	unsigned n_waiting;
	struct node_data data[NODE_MAX_DATA]; /* sent by us */
	uint32_t n_data;
	/* control plane */
	struct wg_remote remote;
	struct wg_timers timers;
	struct wg_handshake handshake;
	struct wg_latest latest;
	struct wg_tai64n last_timestamp;
	struct mono told, deadline;
	/* what happened */
	unsigned n_chosen, n_reset, n_initiations;
	struct mono last_pong;  /* of disco, over UDP */
	struct paths_pong pong; /* the last answer to a ping that was asked for */
};

struct node {
	int number;
	struct line *line;
	struct node *nodes; /* all of them */
	struct paths *paths;
	struct wg_identity identity;
	struct secret_key disco_secret;
	struct public_key disco_key;
	uint16_t home;
	struct endpoint own[2];
	size_t n_own;
	struct mono last_stun, stun_due; /* never: none is under way */
	struct mono next_scan;
	struct mono next_data[LINE_MAX_HOSTS];
	int64_t data_every_ns[LINE_MAX_HOSTS]; /* 0: sends none */
	struct mono map_due;                   /* the others learn then who and where it is */
	struct node_peer peers[LINE_MAX_HOSTS];
	uint32_t next_index;
};

/* Keys and control plane; line, nodes, number, home are set. */
void node_open(struct node *n);
/* All nodes are open: they learn of each other. */
void node_meet(struct node *n);
void node_close(struct node *n);

struct mono node_next(const struct node *n);
void node_run(struct node *n); /* what is due */
void node_receive(struct node *n, const struct line_datagram *d);

/* Only the control plane starts anew: it adopts what the data plane uses. */
void node_restart_control(struct node *n);
/* All of it starts anew, with another disco key. */
void node_restart(struct node *n);
/* The machine is in another place.  noticed: it knows so at once. */
void node_move(struct node *n, bool another_address, bool noticed);
void node_set_home(struct node *n, uint16_t home);

/* --- between node.c and sessions.c --- */

/* The peer after this one, the first after -1; -1: no more. */
int node_next_peer(const struct node *n, int after);
void node_send_data(struct node *n, int to);
void node_forget_sessions(struct node_peer *p);
/* Ask WireGuard's timers now, and do what they say. */
void node_step(struct node *n, int peer);
void node_receive_wireguard(struct node *n, const struct line_datagram *d);
/* A new private key, by the line's random numbers. */
void node_secret(struct node *n, struct secret_key *ret_key);

#endif
