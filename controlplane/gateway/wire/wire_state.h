/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of `wire` share among themselves; nobody else includes this.
 *
 *     wire.c         the loop
 *     attachment.c   the data plane joined and lost; descriptors
 *     rings.c        events, punted packets, datagrams
 *     desired.c      what shall be
 *     network.c      what is told of the network around us, which ports are open
 *     letters.c      what coord asks and is told;  ping.c: pings that people ask for
 *     calls.c        what engine and traversal ask of us
 *
 * Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_WIRE_WIRE_STATE_H
#define CONTROLPLANE_GATEWAY_WIRE_WIRE_STATE_H

#include "controlplane/gateway/handshake/engine.h"
#include "controlplane/gateway/mailbox.h"
#include "controlplane/gateway/publish/attach.h"
#include "controlplane/gateway/publish/dataplane.h"
#include "controlplane/gateway/publish/neighbours.h"
#include "controlplane/gateway/publish/net.h"
#include "controlplane/gateway/publish/ports.h"
#include "controlplane/gateway/publish/publisher.h"
#include "controlplane/gateway/snapshot.h"
#include "controlplane/gateway/traversal/traversal.h"
#include "controlplane/gateway/wire/wire.h"
#include "lib/base/clock.h"
#include "lib/traversal/tsmp.h"

struct udp;

enum wire_source {
	WIRE_SOURCE_INBOX,
	WIRE_SOURCE_KEEPER,
	WIRE_SOURCE_BELL,
	WIRE_SOURCE_UDP4,
	WIRE_SOURCE_UDP6,
	WIRE_SOURCE_TRAVERSAL,
};

#define WIRE_MAX_INSIDE 16
struct wire_inside_ping { /* by TSMP */
	uint64_t number;  /* 0: free */
	uint8_t token[TSMP_TOKEN_LEN];
	struct mono sent;
};

struct wire {
	struct mailbox *inbox, *outbox;
	int epoll;
	bool stopping;
	struct attach attach;
	struct dataplane dp;
	struct publisher publisher;
	struct engine engine;
	struct udp *udp;
	struct traversal *traversal; /* of members of a tailnet */
	struct mono now;             /* of this round */

	struct desired *desired;  /* newest; NULL: none yet */
	struct desired *previous; /* in force until the newest is applied; NULL: none */
	uint64_t number;          /* of `desired` */
	uint64_t settled;         /* last number that coord was told about */
	bool have_exceptions;
	struct prefix *exceptions;
	size_t n_exceptions;
	bool everything_applied;
	bool wire_open; /* datagrams are read */
	bool adopted;   /* the data plane knew peers when we came */

	size_t next_member;            /* of `desired`: whom the traversal is told about next */
	bool members_due, publish_due; /* what of `desired` is left for the next rounds */

	struct net_publisher net;
	struct neighbours neighbours;
	struct ports ports;
	bool have_network; /* coord has spoken of it */
	struct mono
		unknown_since; /* neighbours that nobody knows are given up later; never: done */
	struct mono unknown_asked;        /* when the host was last asked for them */
	struct network_neighbour *missed; /* WIRE_MAX_MISSED: for the next LETTER_WANT_NEIGHBOURS */
	size_t n_missed;
	struct mono missed_sent;
	struct shm_cmd_capture capture; /* as coord wants it */

	struct wire_inside_ping inside[WIRE_MAX_INSIDE];
	struct snapshot *snapshot; /* under way */
	struct mono stamps_sent;
};

/* --- calls.c --- */
struct engine_calls wire_engine_calls(struct wire *w);
struct traversal_calls wire_traversal_calls(struct wire *w);

/* --- attachment.c --- */
/*
 * A fresh epoll forgets what was watched.  Closing our descriptors would not: the keeper holds the
 * same sockets.  0 or -errno.
 */
[[nodiscard]] int wire_open_epoll(struct wire *w);
/* Connect when it is time, leave a data plane that breaks the rules. */
void wire_keep_attached(struct wire *w);
/* The keeper's socket has something to say. */
void wire_read_keeper(struct wire *w);
/* Begin to read UDP once the data plane knows peers: until then datagrams wait in the socket. */
void wire_open_udp(struct wire *w);

/* --- rings.c --- */
void wire_read_events(struct wire *w);
void wire_read_punt(struct wire *w);
/* which: 0 IPv4, 1 IPv6; events: of epoll. */
void wire_read_udp(struct wire *w, int which, uint32_t events);

/* --- desired.c --- */
void wire_init_publisher(struct wire *w);
void wire_on_desired(struct wire *w, struct letter *letter);
void wire_on_exceptions(struct wire *w, struct letter *letter);
void wire_on_endpoint(struct wire *w, const struct letter *letter);
/* All of what is desired is to be taken over: there is another data plane, or another wish. */
void wire_take_desired(struct wire *w);
/* The next part of it: ten thousand peers at once would keep pongs waiting. */
void wire_continue_desired(struct wire *w);
/* Say the rows again; nothing while they are not complete. */
void wire_publish(struct wire *w);

/* --- network.c --- */
#define WIRE_MAX_MISSED 256
[[nodiscard]] int wire_init_network(struct wire *w); /* 0 or -ENOMEM */
void wire_fini_network(struct wire *w);
void wire_on_network(struct wire *w, const struct letter *letter);
void wire_on_neighbours(struct wire *w, const struct letter *letter);
void wire_on_capture(struct wire *w, const struct letter *letter);
/* A data plane was joined; its forwarder is a new one; it is gone. */
void wire_network_joined(struct wire *w);
void wire_network_again(struct wire *w);
void wire_network_lost(struct wire *w);
/* True: the event was about the network. */
bool wire_network_event(struct wire *w, const struct shm_event *event);
/* The keeper has answered a question about a port. */
void wire_port_answered(struct wire *w);
/* Say what there is room for, ask what is due. */
void wire_network_pump(struct wire *w);
/* When to come again if nothing happens; never: nothing is due. */
struct mono wire_network_due(const struct wire *w);

/* --- letters.c --- */
void wire_read_inbox(struct wire *w);
void wire_send_stamps(struct wire *w);
/* The next part of a status that somebody waits for. */
void wire_continue_snapshot(struct wire *w);

/* --- ping.c --- */
void wire_ping_member(struct wire *w, const struct letter *letter);
/* By TSMP, through the tunnel itself. */
void wire_ping_inside(struct wire *w, const struct letter *letter);
void wire_send_pong(void *wire, uint64_t token, const struct paths_pong *pong);
/* An inner packet of protocol 99 from a peer. */
void wire_take_tsmp(struct wire *w, const uint8_t *data, size_t len);

#endif
