/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the threads `wire` and `coord` say to each other: a queue with an eventfd, one per
 * direction.
 *
 * Owner:  main() makes both boxes before the threads start and destroys them after they ended.  A
 *         letter belongs to the box from the moment it is posted, and to whoever takes it after
 * that. Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_MAILBOX_H
#define CONTROLPLANE_GATEWAY_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/paths/paths.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"
#include "lib/shm/shm_abi.h"

struct desired;
struct snapshot;
struct peer_stamps;
struct traversal_facts;
struct path_view;
struct network;
struct network_neighbour;
struct ports_view;

enum letter_kind {
	/* to wire */
	LETTER_DESIRED,    /* desired, number: what shall be; answered by LETTER_SETTLED */
	LETTER_EXCEPTIONS, /* prefixes, n: what belongs to the host although a shorter prefix leads
	                      to a peer */
	LETTER_ENDPOINT,   /* key, endpoint: a name was resolved */
	LETTER_ASK_STATUS, /* number: answered by LETTER_STATUS with the same number */
	LETTER_PING, /* number, key, n (bytes): answered by LETTER_PONG with the same number */
	LETTER_PING_INSIDE, /* number, endpoint (an address of its): the same, by TSMP */
	LETTER_ASK_PATHS,   /* number: answered by LETTER_PATHS with the same number */
	LETTER_NETCHECK,    /* look at the network now: LETTER_FACTS follows */
	LETTER_NETWORK, /* network: what the data plane is told of it, which ports it shall open */
	LETTER_NEIGHBOURS, /* neighbours, n: these have changed */
	LETTER_CAPTURE,    /* capture: copy packets into the capture region, or stop */
	LETTER_STOP,       /* finish; the last letter is LETTER_STAMPS, then LETTER_STOPPED */

	/* to coord */
	LETTER_SETTLED, /* number, value: 0 the data plane has it; else -errno: it refused, and the
	                   old stays */
	LETTER_STATUS,  /* snapshot, number */
	LETTER_STAMPS,  /* stamps, n: handshake timestamps for the state file */
	LETTER_FACTS,   /* facts: our place in the network, as it is now */
	LETTER_PONG,    /* number, pong; endpoint.port: of the peer API, by TSMP */
	LETTER_PATHS,   /* number, path_views, n */
	LETTER_WANT_NEIGHBOURS, /* neighbours, n (ifindex, addr): the data plane misses them */
	LETTER_PORTS,           /* ports, n: which are open, and why not the others */
	LETTER_REGIONS, /* flows_fd, capture_fd: of the data plane just joined; another one ends
	                   what came before */
	LETTER_RESOLVE, /* key: this peer does not answer: look its name up again */
	LETTER_STOPPED,

	/* from the resolver to coord */
	LETTER_RESOLVED, /* key, endpoint (value 0), or value: an error of getaddrinfo() */
};

struct letter {
	struct letter *next;
	enum letter_kind kind;
	int value;
	uint64_t number;
	struct public_key key;
	struct endpoint endpoint;
	struct desired *desired;       /* owned */
	struct prefix *prefixes;       /* owned, malloc */
	struct snapshot *snapshot;     /* owned */
	struct peer_stamps *stamps;    /* owned, malloc */
	struct traversal_facts *facts; /* owned, malloc */
	struct paths_pong pong;
	struct path_view *path_views;         /* owned, malloc */
	struct network *network;              /* a reference */
	struct network_neighbour *neighbours; /* owned, malloc */
	struct ports_view *ports;             /* owned, malloc */
	struct shm_cmd_capture capture;
	int flows_fd, capture_fd; /* owned; -1: none */
	size_t n;
	char text[256];
};

struct mailbox {
	pthread_mutex_t lock;
	struct letter *first, **last;
	int bell; /* eventfd, for epoll */
};

/* 0 or -errno. */
[[nodiscard]] int mailbox_init(struct mailbox *box);
/* Destroys letters that nobody took. */
void mailbox_fini(struct mailbox *box);

/* An empty letter of this kind; ends the program when there is no memory. */
struct letter *letter_create(enum letter_kind kind);
/* With all that it owns. */
void letter_destroy(struct letter *letter);

void mailbox_post(struct mailbox *box, struct letter *letter);
/* The oldest letter, or NULL.  Silences the bell when it was the last. */
struct letter *mailbox_take(struct mailbox *box);

#endif
