/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Disco: the messages by which two nodes (or a node and a peer relay) find a path to each other.
 *
 * Source: ../shared/protocol/peer.md 2.1 to 2.3; vectors/disco.json.
 * Owner:  messages borrow: lists of endpoints point into the plaintext that was read.
 * Thread: any; no hidden state.
 *
 * Receiving is two steps, because the second costs a box and anybody can send:
 *
 *     disco_envelope_read    no crypto: who says that he sent it
 *     (look the sender up; unknown: drop.  A peer relay's key counts only during its handshake)
 *     disco_open             opens the box with the key shared with that sender, in place
 *     disco_message_read     what it says
 *
 * Sending is disco_seal().  In what follows "ignored" means: by the reference, after it has opened
 * the box, without an answer.
 */
#ifndef LIB_TRAVERSAL_DISCO_H
#define LIB_TRAVERSAL_DISCO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/box.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"

#define DISCO_MAGIC_LEN     6
#define DISCO_SENDER_END    (DISCO_MAGIC_LEN + KEY_LEN) /* so much is disco rather than WireGuard */
#define DISCO_HEADER_LEN    (DISCO_SENDER_END + BOX_NONCE_LEN)
#define DISCO_TYPE_LEN      2                                /* type and version */
#define DISCO_OVERHEAD      (DISCO_HEADER_LEN + BOX_TAG_LEN) /* envelope less plaintext */
#define DISCO_TXID_LEN      12
#define DISCO_CHALLENGE_LEN 32
#define DISCO_ENDPOINT_LEN  18
#define DISCO_PING_LEN      (DISCO_OVERHEAD + DISCO_TYPE_LEN + DISCO_TXID_LEN + KEY_LEN) /* unpadded */
#define DISCO_PONG_LEN      (DISCO_OVERHEAD + DISCO_TYPE_LEN + DISCO_TXID_LEN + DISCO_ENDPOINT_LEN)

enum disco_type {
	DISCO_PING = 0x01,           /* UDP, Geneve, DERP */
	DISCO_PONG = 0x02,           /* UDP, Geneve, DERP */
	DISCO_CALL_ME_MAYBE = 0x03,  /* DERP only, as all whose transport is not named */
	DISCO_BIND = 0x04,           /* Geneve with the control bit, client to relay */
	DISCO_BIND_CHALLENGE = 0x05, /* the same, relay to client */
	DISCO_BIND_ANSWER = 0x06,    /* the same, client to relay */
	DISCO_CALL_ME_MAYBE_VIA = 0x07,
	DISCO_ALLOCATE_REQUEST = 0x08,
	DISCO_ALLOCATE_RESPONSE = 0x09,
};

struct disco_ping {
	uint8_t txid[DISCO_TXID_LEN];
	struct public_key node_key; /* zeros: the sender did not say */
	size_t padding; /* bytes behind; without node_key, 32 or more would be read as one */
};

struct disco_pong {
	uint8_t txid[DISCO_TXID_LEN]; /* of the ping */
	struct endpoint source; /* where the ping came from; of DERP 127.3.3.40 and the region */
};

struct disco_endpoints { /* n times DISCO_ENDPOINT_LEN bytes as on the wire; borrowed */
	const uint8_t *bytes;
	size_t n;
};

struct disco_bind { /* bind, challenge and answer */
	uint32_t vni;
	uint32_t generation;                    /* the client's; not zero */
	struct public_key remote_key;           /* disco key of the other client */
	uint8_t challenge[DISCO_CHALLENGE_LEN]; /* zeros in a bind, copied into the answer */
};

struct disco_relay_endpoint {
	struct public_key server_disco;
	struct public_key client_disco[2]; /* in ascending order of their bytes */
	uint64_t lamport_id;
	uint32_t vni;
	uint64_t bind_lifetime_ns;
	uint64_t steady_state_lifetime_ns;
	struct disco_endpoints endpoints; /* of the relay: at least one */
};

struct disco_allocate_request {
	struct public_key client_disco[2];
	uint32_t generation;
};

struct disco_allocate_response {
	uint32_t generation; /* of the request */
	struct disco_relay_endpoint relay;
};

struct disco_message {
	enum disco_type type;
	union {
		struct disco_ping ping;
		struct disco_pong pong;
		struct disco_endpoints call_me_maybe; /* none is allowed */
		struct disco_bind bind;               /* types 4, 5 and 6 */
		struct disco_relay_endpoint call_me_maybe_via;
		struct disco_allocate_request allocate_request;
		struct disco_allocate_response allocate_response;
	};
};

struct disco_envelope {                  /* where things are in a datagram; borrowed */
	const struct public_key *sender; /* only what the datagram says, until it is opened */
	const uint8_t *nonce;
	uint8_t *box;
	size_t box_len;
};

/* Whether it has the magic and a sender: the test that tells disco from WireGuard, no more. */
bool disco_is_envelope(const uint8_t *data, size_t len);

/*
 * Find the sender.  0; ERR_BAD_FORMAT if disco_is_envelope() says no; ERR_TRUNCATED if no box with
 * a type in it can follow.
 */
[[nodiscard]] int
disco_envelope_read(uint8_t *data, size_t len, struct disco_envelope *ret_envelope);

/*
 * Open the box in place; its plaintext is written over it.  No one else may write to that memory.
 * key: the one shared with envelope->sender.
 * 0, and the plaintext (borrowed from the datagram); or ERR_BAD_MAC, and the datagram is as it was.
 */
[[nodiscard]] int disco_open(const struct disco_envelope *envelope,
	const struct box_key *key,
	const uint8_t **ret_plain,
	size_t *ret_len);

/*
 * Understand a plaintext.  The message borrows from it.
 * 0; or, where the reference ignores the message,
 *   ERR_TRUNCATED  the body is shorter than its type demands;
 *   ERR_BAD_FORMAT unknown type, or endpoints of a relay that do not add up;
 *   ERR_VERSION    types 7 to 9 of another version (the reference reads zeros there, which its
 *                  handlers ignore).
 * As in the reference, a call_me_maybe of another version or of odd length is one without
 * endpoints, the version of types 1, 2, 4, 5 and 6 is not looked at, and neither are bytes behind
 * the types 1, 2, 4, 5, 6 and 8.
 */
[[nodiscard]] int
disco_message_read(const uint8_t *plain, size_t len, struct disco_message *ret_message);

/* Bytes of the plaintext of a message, and of its envelope. */
size_t disco_plain_len(const struct disco_message *message);
size_t disco_envelope_len(const struct disco_message *message);

/* Write a plaintext: disco_plain_len() bytes. */
void disco_message_write(uint8_t *out, const struct disco_message *message);

/*
 * Write an envelope: disco_envelope_len() bytes.  Endpoints of the message may not lie in `out`.
 * sender: our public disco key; key: shared with the receiver; nonce: random, never used before.
 */
void disco_seal(uint8_t *out,
	const struct disco_message *message,
	const struct public_key *sender,
	const struct box_key *key,
	const uint8_t nonce[static BOX_NONCE_LEN]);

/* One of a list, i < n.  IPv4-mapped addresses come out as IPv4; any address and port may come. */
void
disco_endpoint_at(const struct disco_endpoints *endpoints, size_t i, struct endpoint *ret_endpoint);

/* Write n endpoints as a list: n * DISCO_ENDPOINT_LEN bytes at out, which the result borrows. */
struct disco_endpoints
disco_endpoints_write(uint8_t *out, const struct endpoint *endpoints, size_t n);

/* The order in which client_disco stands: <0, 0, >0. */
int disco_key_compare(const struct public_key *a, const struct public_key *b);

#endif
