/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One region's relay, as the files of this folder share it: relays.c keeps them, relay_life.c opens
 * and ends connections, relay_receive.c reads what comes, relay_send.c writes.
 *
 * Owner:  struct relays.  A relay is freed by relays_tick() and relays_destroy() only, so that it
 *         outlives every call that may close it.
 * Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_RELAY_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_RELAY_H

#include "controlplane/gateway/stream/stream.h"
#include "controlplane/gateway/traversal/relay/relays.h"
#include "controlplane/gateway/traversal/relay/reverse_routes.h"
#include "controlplane/gateway/traversal/relay/send_queue.h"
#include "lib/derp/message.h"

#define RELAY_OPEN_LIMIT_NS  (10 * NS_PER_S) /* for a node to be connected, handshake and all */
#define RELAY_NEXT_NODE_NS   (3 * NS_PER_S)  /* for it if the region has another */
#define RELAY_SILENCE_NS     (120 * NS_PER_S)
#define RELAY_IDLE_NS        (60 * NS_PER_S)
#define RELAY_PROBE_NS       (3 * NS_PER_S)
#define RELAY_STALL_NS       (20 * NS_PER_S) /* nothing that was sent is taken */
#define RELAY_STABLE_NS      (10 * NS_PER_S) /* a connection this old was no failure */
#define RELAY_MAX_BACKOFF_NS (5 * NS_PER_S)
#define RELAY_MAX_RESTART_NS (30 * NS_PER_S) /* that a server may ask for */
#define RELAY_MAX_AGE_NS \
	(3 * NS_PER_S) /* of a packet in a queue, but for one that a new connection is made for */
#define RELAY_PACE      24 /* packets of data at once, and in each RELAY_PACE_NS */
#define RELAY_PACE_NS   (NS_PER_MS / 2)
#define RELAY_BATCH_LEN 16384 /* a full TLS record */
#define RELAY_BATCH_MIN 64

enum relay_phase {
	RELAY_PHASE_NONE,   /* no stream */
	RELAY_PHASE_DIAL,   /* the stream is being opened */
	RELAY_PHASE_HEAD,   /* the answer to the HTTP request is awaited */
	RELAY_PHASE_KEY,    /* SERVER_KEY is */
	RELAY_PHASE_INFO,   /* SERVER_INFO is; packets may be sent */
	RELAY_PHASE_PROVEN, /* the server has its key */
};

struct relay {
	struct relays *all;
	uint16_t region;
	enum relay_state state;
	struct mono since;

	/* The connection. */
	enum relay_phase phase;
	struct stream *stream;
	uint64_t opening;             /* its number: no two have the same, 0: none */
	const struct derp_node *node; /* in all->map: in use or tried last; NULL: not in it */
	size_t node_at;               /* its place in the region */
	bool is_fast_start;
	bool no_fast_start; /* it did not work here */
	struct public_key server_key;
	struct derp_reader reader;
	bool is_noted; /* the server knows us as at home */

	/* What is due. */
	struct mono deadline;  /* DIAL to INFO */
	struct mono retry_at;  /* RELAY_WAITING */
	struct mono wanted_at; /* a packet was sent there, or it ceased to be home */
	struct mono last_rx, last_tx;
	struct mono probe_sent; /* never: no pong is awaited */
	bool is_probe_binding;  /* without that pong the connection ends */
	uint8_t probe[DERP_PING_LEN];
	int64_t ping_ns;
	struct mono moved_at; /* what waits in the stream was seen to be less, or none */
	size_t waiting;       /* as seen then */
	bool is_torn;         /* a part of a frame could not be handed to the stream */
	uint32_t n_failures;
	struct mono restart_until; /* the server said that it would restart */
	int64_t restart_delay_ns;

	/* What is to be sent. */
	struct send_queue urgent, data;
	struct mono paced; /* in so much time what was sent is what may have been sent till then */
	uint8_t *batch;    /* RELAY_BATCH_LEN bytes while there is a stream */
	size_t batch_len;
	int64_t limit_per_s, limit_burst; /* 0: none */
	double tokens;
	struct mono tokens_at;

	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, n_dropped;
	char why[RELAYS_TEXT_LEN], health[RELAYS_TEXT_LEN];
};

struct relays {
	struct stream_set *set;
	struct relays_calls calls;
	bool is_plain;
	struct secret_key *key; /* secret memory */
	bool has_key;
	struct public_key public_key;
	struct derp_map *map; /* NULL: none */
	uint16_t home;
	uint64_t last_opening;
	struct relay *list[RELAYS_MAX_CONNECTIONS]; /* ascending by region */
	size_t n;
	struct reverse_routes routes;
};

/* relay_life.c */
/* Begin with the region's first node. */
void relay_start(struct relay *relay, struct mono now);
/* End the connection: it goes on with the region's next node, or waits and begins again. */
void relay_fail(struct relay *relay, const char *why, struct mono now);
/* End the connection without fault; state RELAY_CLOSED. */
void relay_stop(struct relay *relay, const char *why, struct mono now);
/* SERVER_INFO has been opened. */
void relay_proven(struct relay *relay, struct mono now);
bool relay_is_wanted(const struct relay *relay, struct mono now);
void relay_set_state(struct relay *relay, enum relay_state state, const char *why, struct mono now);
/* Returns when to come again, or never. */
struct mono relay_tick(struct relay *relay, struct mono now);
void relay_network_changed(struct relay *relay, struct mono now);

/* relay_receive.c: stream_calls.received */
size_t relay_received(void *context, uint8_t *data, size_t len);

/* relay_send.c */
/* The stream is open: ask for the upgrade. */
void relay_send_request(struct relay *relay, struct mono now);
/* The server's key is known: say who we are; packets follow.  False: no secret with that key. */
[[nodiscard]] bool relay_send_info(struct relay *relay, struct mono now);
/* Whether packets may be sent. */
bool relay_is_ready(const struct relay *relay);
/* Any frame but a packet. */
void relay_send_frame(struct relay *relay, const struct derp_message *message);
void relay_send_pong(struct relay *relay, const struct derp_message *ping);
void relay_send_ping(struct relay *relay, bool is_binding, struct mono now);
/* Tell the server whether it is home, if it does not know. */
void relay_note_home(struct relay *relay);
void relay_send_packet(struct relay *relay,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now);
/* Drop what has waited for too long. */
void relay_drop_old(struct relay *relay, struct mono now);
/* As much of the queues as the stream has room for, what is urgent first. */
void relay_pump(struct relay *relay, struct mono now);
/* What is gathered goes out. */
void relay_send_batch(struct relay *relay);
/* Whether data is disco or a handshake, which must not wait behind data. */
bool relay_is_urgent(const uint8_t *data, size_t len);

#endif
