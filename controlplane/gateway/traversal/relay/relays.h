/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Connections with relays (DERP), one for each region in use: the home region's is always open,
 * others while something is sent to them.  What arrives and what leaves are whole packets; what is
 * in them is the caller's affair, but that disco messages and handshakes go before data.
 *
 * Source: ../shared/protocol/peer.md 4.1 to 4.5 and 4.7; the reference's derp/derphttp and
 *         wgengine/magicsock/derp.go for times and for what servers get away with.
 * Owner:  one, made by traversal; it owns its streams, and must be destroyed before their set.
 * Thread: that of the stream set (wire).
 *
 * Time is given.  relays_tick() is due in every round of the thread's loop, after
 * stream_set_dispatch().
 *
 * A relay is hostile: it can drop, delay, repeat and invent packets and senders, which whoever gets
 * them must authenticate.  Memory per connection is bounded.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_RELAYS_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_RELAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"
#include "lib/tailnet/derp_map.h"

#define RELAYS_MAX_CONNECTIONS 64
#define RELAYS_MAX_PACKET_LEN  65536
#define RELAYS_TEXT_LEN        160 /* of a reason or a server's complaint, with its zero */
#define RELAYS_HOST_LEN        254

struct relays;
struct stream_set;

enum relay_state {
	RELAY_CLOSED,     /* not wanted (any more) */
	RELAY_WAITING,    /* to be tried (again) a little later */
	RELAY_CONNECTING, /* packets are taken already */
	RELAY_CONNECTED,  /* the server has proven its key */
};

/*
 * packet() and peer_gone() come from stream_set_dispatch() and may call everything here but
 * relays_tick() and relays_destroy(); state() may call nothing here.
 */
struct relays_calls {
	/* A packet as it came, which may be changed until the call returns.  `from` is what the
	 * relay says. */
	void (*packet)(void *context,
		uint16_t region,
		const struct public_key *from,
		uint8_t *data,
		size_t len);
	/* What was sent to `peer` there does not arrive.  reason: enum derp_gone_reason or another;
	 * the peer need not be offline. */
	void (*peer_gone)(void *context,
		uint16_t region,
		const struct public_key *peer,
		uint8_t reason);
	/* A connection is in another state.  why: for people, or NULL; borrowed. */
	void (*state)(void *context, uint16_t region, enum relay_state state, const char *why);
	void *context;
};

/* set: borrowed.  calls: copied.  0 or -ENOMEM. */
[[nodiscard]] int
relays_create(struct stream_set *set, const struct relays_calls *calls, struct relays **ret_relays);
/* Closes all, without calls.  NULL is allowed. */
void relays_destroy(struct relays *r);

/* For tests and for looking for faults: no TLS, port 3340 where the map names none. */
void relays_set_plain_http(struct relays *r, bool plain);

/*
 * Our node key, copied; NULL: none.  Another one than before ends every connection, and those
 * that are wanted are opened again.  Without key and map nothing is connected.
 */
void relays_set_key(struct relays *r, const struct secret_key *node_key, struct mono now);
/*
 * The relays, copied; NULL: none.  Connections with nodes that are no longer in it, or changed,
 * end.  0, or -ENOMEM: the old map stays.
 */
[[nodiscard]] int relays_set_map(struct relays *r, const struct derp_map *map, struct mono now);
/* The region that others find us in: connected to and kept so.  0: none. */
void relays_set_home(struct relays *r, uint16_t region, struct mono now);

/*
 * Hand a packet to the relay of a region, for the node `to`.  It is copied, and leaves at the
 * latest with relays_flush().
 *
 * If there is no connection with the region, but `to` was last heard through another one that still
 * stands, that is taken; else one is opened and the packet waits for it.  A queue that is full
 * drops the oldest data first; disco messages and handshakes go before data.
 *
 * False: there is no such region, no key, or no room for another connection; the packet is dropped.
 */
bool relays_send(struct relays *r,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now);
/* The end of a round of relays_send(): what is gathered goes out, many packets in a TLS record. */
void relays_flush(struct relays *r);

/*
 * The host's addresses or routes have changed: ask each connected relay for a pong, and end those
 * connections that have none within 3 s; try at once what waits.
 */
void relays_network_changed(struct relays *r, struct mono now);

/* Do what is due: open, give up, ping, close idle ones.  Returns when to come again, or never. */
struct mono relays_tick(struct relays *r, struct mono now);

struct relay_facts {
	uint16_t region;
	enum relay_state state;
	bool is_home;
	bool is_fast_start; /* no answer to the HTTP request was waited for */
	bool is_ideal;      /* connected with the region's first node */
	bool has_server_key;
	struct public_key server_key;
	char host[RELAYS_HOST_LEN];   /* of the node in use, or tried last; "": none yet */
	struct mono since;            /* in this state */
	struct mono retry_at;         /* RELAY_WAITING */
	struct mono last_rx, last_tx; /* a frame that came; a packet that left; or never */
	int64_t ping_ns;              /* the last pong's round trip; 0: none yet */
	uint32_t n_failures;          /* in a row; 0: connected */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; /* all connections with this region */
	uint64_t n_dropped; /* packets that the queue had no room for, or were too old */
	size_t queued_bytes;
	char why[RELAYS_TEXT_LEN];    /* it failed or ended the last time; "": never */
	char health[RELAYS_TEXT_LEN]; /* what the server complains of; "": nothing */
};

/* The i-th region that has or had a connection lately, ascending; false: there are fewer. */
bool relays_facts(const struct relays *r, size_t i, struct relay_facts *ret_facts);

/* A word for people: "connected" and so on. */
const char *relay_state_name(enum relay_state state);

#endif
