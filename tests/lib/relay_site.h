/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The client of relays over fake streams, with relays that the test plays: their side of the
 * handshake, and what the client told its caller.
 */
#ifndef TESTS_LIB_RELAY_SITE_H
#define TESTS_LIB_RELAY_SITE_H

#include "controlplane/gateway/traversal/relay/relays.h"
#include "lib/derp/message.h"
#include "tests/lib/fake_stream.h"

#define RELAY_SITE_EVENTS 256

struct relay_event { /* one call to the caller */
	enum {
		EVENT_PACKET,
		EVENT_GONE,
		EVENT_STATE
	} kind;
	uint16_t region;
	struct public_key key;
	uint8_t data[64]; /* the beginning of a packet */
	size_t len;
	uint8_t reason;
	enum relay_state state;
	char why[RELAYS_TEXT_LEN];
};

struct relay_site {
	struct stream_set *set;
	struct relays *relays;
	struct secret_key client, server;
	struct public_key client_public, server_public;
	struct relay_event events[RELAY_SITE_EVENTS];
	size_t n_events;
	void (*on_packet)(struct relay_site *site); /* called inside packet(); may be NULL */
};

/* With a client's key and regions 1 (nodes a.example, b.example) and 2 (c.example). */
void relay_site_init(struct relay_site *site);
void relay_site_fini(struct relay_site *site);
/* Both from JSON; the map is given to the relays. */
void relay_site_map(struct relay_site *site, const char *json);

/* Time passes, then a tick. */
struct mono relay_site_pass(struct relay_site *site, int64_t ns);
/* The last state that was told of a region. */
enum relay_state relay_site_state(const struct relay_site *site, uint16_t region);
size_t relay_site_count(const struct relay_site *site, int kind);
const struct relay_event *relay_site_last(const struct relay_site *site, int kind);

/* The relay's part. */
void relay_site_answer(struct stream *s, const char *head); /* text */
void relay_site_frame(struct stream *s, enum derp_type type, const void *data, size_t len);
void relay_site_greet(const struct relay_site *site, struct stream *s); /* SERVER_KEY */
/* SERVER_INFO: n bytes a second, burst; 0: no limit. */
void relay_site_info(const struct relay_site *site, struct stream *s, int64_t rate, int64_t burst);
/* All of it, without fast start, for a stream that waits to be opened. */
void relay_site_connect(struct relay_site *site, struct stream *s);
void
relay_site_packet(struct stream *s, const struct public_key *from, const void *data, size_t len);

/* The i-th frame of what the client has sent behind the HTTP request, if any; false: fewer. */
bool relay_site_sent(const struct stream *s, size_t i, struct derp_message *ret_message);
size_t relay_site_sent_count(const struct stream *s, enum derp_type type);

#endif
