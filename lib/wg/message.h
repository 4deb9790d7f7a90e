/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The four messages as they are on the wire.  Structures of bytes: no alignment is needed, so a
 * datagram of the right type (wg_message_type()) may be read through a pointer to one.
 *
 * Source: WireGuard whitepaper section 5.4; ../shared/protocol/peer.md 3.5.  Integers are
 *         little-endian.
 */
#ifndef LIB_WG_MESSAGE_H
#define LIB_WG_MESSAGE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/bytes.h"

enum wg_message_type {
	WG_MESSAGE_INVALID = 0,
	WG_MESSAGE_INITIATION = 1,
	WG_MESSAGE_RESPONSE = 2,
	WG_MESSAGE_COOKIE_REPLY = 3,
	WG_MESSAGE_TRANSPORT_DATA = 4,
};

#define WG_TAG_LEN    16 /* of ChaCha20-Poly1305 */
#define WG_MAC_LEN    16
#define WG_COOKIE_LEN 16
#define WG_NONCE_LEN  24 /* of a cookie reply */
#define WG_TAI64N_LEN 12

#define WG_INITIATION_LEN       148
#define WG_RESPONSE_LEN         92
#define WG_COOKIE_REPLY_LEN     64
#define WG_TRANSPORT_HEADER_LEN 16
#define WG_TRANSPORT_MIN_LEN    (WG_TRANSPORT_HEADER_LEN + WG_TAG_LEN) /* a keepalive */
#define WG_MACS_LEN             (2 * WG_MAC_LEN)

struct wg_message_initiation {
	uint8_t type[4];
	uint8_t sender_index[4];
	uint8_t ephemeral[32];
	uint8_t encrypted_static[32 + WG_TAG_LEN];
	uint8_t encrypted_timestamp[WG_TAI64N_LEN + WG_TAG_LEN];
	uint8_t mac1[WG_MAC_LEN];
	uint8_t mac2[WG_MAC_LEN];
};

struct wg_message_response {
	uint8_t type[4];
	uint8_t sender_index[4];
	uint8_t receiver_index[4];
	uint8_t ephemeral[32];
	uint8_t encrypted_nothing[WG_TAG_LEN];
	uint8_t mac1[WG_MAC_LEN];
	uint8_t mac2[WG_MAC_LEN];
};

struct wg_message_cookie_reply {
	uint8_t type[4];
	uint8_t receiver_index[4];
	uint8_t nonce[WG_NONCE_LEN];
	uint8_t encrypted_cookie[WG_COOKIE_LEN + WG_TAG_LEN];
};

struct wg_message_transport_data { /* the sealed packet and its tag follow */
	uint8_t type[4];
	uint8_t receiver_index[4];
	uint8_t counter[8];
};

static_assert(sizeof(struct wg_message_initiation) == WG_INITIATION_LEN, "wire format");
static_assert(offsetof(struct wg_message_initiation, mac1) == 116, "wire format");
static_assert(sizeof(struct wg_message_response) == WG_RESPONSE_LEN, "wire format");
static_assert(offsetof(struct wg_message_response, mac1) == 60, "wire format");
static_assert(sizeof(struct wg_message_cookie_reply) == WG_COOKIE_REPLY_LEN, "wire format");
static_assert(sizeof(struct wg_message_transport_data) == WG_TRANSPORT_HEADER_LEN, "wire format");

/*
 * What a UDP payload is.  The type is compared as a 32-bit word, so reserved bytes must be zero;
 * types 1 to 3 must have exactly their length, type 4 at least WG_TRANSPORT_MIN_LEN.  p may be NULL
 * when len is 0.
 */
static inline enum wg_message_type
wg_message_type(const uint8_t *p, size_t len)
{
	if (len < sizeof(struct wg_message_transport_data))
		return WG_MESSAGE_INVALID;
	switch (load_le32(p)) {
	case WG_MESSAGE_INITIATION:
		return len == WG_INITIATION_LEN ? WG_MESSAGE_INITIATION : WG_MESSAGE_INVALID;
	case WG_MESSAGE_RESPONSE:
		return len == WG_RESPONSE_LEN ? WG_MESSAGE_RESPONSE : WG_MESSAGE_INVALID;
	case WG_MESSAGE_COOKIE_REPLY:
		return len == WG_COOKIE_REPLY_LEN ? WG_MESSAGE_COOKIE_REPLY : WG_MESSAGE_INVALID;
	case WG_MESSAGE_TRANSPORT_DATA:
		return len >= WG_TRANSPORT_MIN_LEN ? WG_MESSAGE_TRANSPORT_DATA : WG_MESSAGE_INVALID;
	default:
		return WG_MESSAGE_INVALID;
	}
}

/* The sender's index of an initiation or a response. */
static inline uint32_t
wg_message_sender_index(const uint8_t *p)
{
	return load_le32(p + 4);
}

/* Our own index, in a response, a cookie reply or transport data. */
static inline uint32_t
wg_message_receiver_index(const uint8_t *p)
{
	return load_le32(load_le32(p) == WG_MESSAGE_RESPONSE ? p + 8 : p + 4);
}

static inline uint64_t
wg_message_counter(const uint8_t *p)
{
	return load_le64(p + 8);
}

static inline void
wg_transport_header_write(uint8_t *p, uint32_t receiver_index, uint64_t counter)
{
	store_le32(p, WG_MESSAGE_TRANSPORT_DATA);
	store_le32(p + 4, receiver_index);
	store_le64(p + 8, counter);
}

/*
 * Bytes of plaintext to seal for a packet of len bytes: the next multiple of 16, but not beyond the
 * tunnel's MTU.  Never less than len, and 0 (a keepalive) stays 0.
 */
static inline uint32_t
wg_padded_len(uint32_t len, uint32_t mtu)
{
	uint32_t padded = (len + 15) & ~UINT32_C(15);

	if (padded > mtu)
		return len > mtu ? len : mtu;
	return padded;
}

#endif
