/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/peer.h"

#include <errno.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/hash.h"
#include "lib/wg/limits.h"

int
tunnel_peer_init(struct tunnel_peer *p,
	uint32_t number,
	const struct secret_key *key,
	const struct public_key *device_key,
	const struct secret_key *preshared_key,
	struct wg_replay *replay,
	uint32_t random)
{
	*p = (struct tunnel_peer){ .number = number, .generation = random, .pending = -1 };
	wg_identity_init(&p->identity, key);
	for (unsigned i = 0; i < TUNNEL_SESSIONS; i++)
		p->session[i].replay = &replay[i];
	return wg_remote_init(&p->remote, &p->identity, device_key, preshared_key);
}

void
tunnel_peer_fini(struct tunnel_peer *p)
{
	wg_identity_fini(&p->identity);
	wg_remote_fini(&p->remote);
	wg_handshake_fini(&p->handshake);
	secret_wipe(p, sizeof(*p));
}

void
tunnel_peer_key(const struct secret_key *first, uint32_t n, struct secret_key *ret_key)
{
	static const char label[] = "sluice-bench peer";
	uint8_t input[sizeof(label) + 4];

	*ret_key = *first;
	if (n == 0)
		return;
	memcpy(input, label, sizeof(label));
	store_le32(input + sizeof(label), n);
	hmac_blake2s(ret_key->bytes, first->bytes, KEY_LEN, input, sizeof(input));
	ret_key->bytes[0] &= 248; // RFC 7748 section 5
	ret_key->bytes[31] = (uint8_t)((ret_key->bytes[31] & 127) | 64);
}

/* ---- sessions ---- */

// A place that neither receives nor sends now; there is always one.
static int
free_place(struct tunnel_peer *p)
{
	struct tunnel_session *current = tunnel_peer_current(p);

	for (int i = 0; i < TUNNEL_SESSIONS; i++) {
		struct tunnel_session *s = &p->session[i];

		if (s != current && s != p->previous && s != p->next && i != p->pending)
			return i;
	}
	// All four are in use only with a pending initiation: that one is given up.
	return p->pending;
}

static uint32_t
fresh_index(struct tunnel_peer *p, int place)
{
	return ++p->generation << TUNNEL_INDEX_BITS |
	       (p->number * TUNNEL_SESSIONS + (uint32_t)place);
}

static void
forget(struct tunnel_session *s)
{
	if (s == NULL)
		return;
	s->is_used = false;
	secret_wipe(s->send_key, KEY_LEN);
	secret_wipe(s->receive_key, KEY_LEN);
}

static struct tunnel_session *
install(struct tunnel_peer *p, int place, const struct wg_session_keys *keys, struct mono now)
{
	struct tunnel_session *s = &p->session[place];

	memcpy(s->send_key, keys->send, KEY_LEN);
	memcpy(s->receive_key, keys->receive, KEY_LEN);
	s->local_index = keys->local_index;
	s->remote_index = keys->remote_index;
	s->is_initiator = keys->initiator;
	s->birth = now;
	atomic_store_explicit(&s->counter, 0, memory_order_relaxed);
	memset(s->replay, 0, sizeof(*s->replay));
	s->is_used = true;
	return s;
}

static void
become_current(struct tunnel_peer *p, struct tunnel_session *s)
{
	struct tunnel_session *before = tunnel_peer_current(p);

	if (p->previous != before)
		forget(p->previous);
	p->previous = before;
	if (p->next != NULL && p->next != s)
		forget(p->next);
	p->next = NULL;
	p->counter_at_scan = 0;
	atomic_store_explicit(&p->current, s, memory_order_release);
}

struct tunnel_session *
tunnel_peer_find(struct tunnel_peer *p, uint32_t index, struct mono now)
{
	struct tunnel_session *s = &p->session[index % TUNNEL_SESSIONS];

	if (!s->is_used || s->local_index != index ||
		mono_diff_ns(now, s->birth) >= WG_REJECT_AFTER_TIME_NS)
		return NULL;
	return s;
}

void
tunnel_peer_received(struct tunnel_peer *p, struct tunnel_session *s, bool is_data, struct mono now)
{
	if (s == p->next)
		become_current(p, s);
	if (is_data && mono_is_never(p->owing))
		p->owing = now;
}

bool
tunnel_peer_is_young(struct tunnel_peer *p, struct mono now, int64_t max_age_ns)
{
	const struct tunnel_session *s = tunnel_peer_current(p);

	return s != NULL && mono_diff_ns(now, s->birth) <= max_age_ns;
}

/* ---- handshakes ---- */

void
tunnel_peer_initiate(struct tunnel_peer *p,
	struct mono now,
	uint64_t unix_ns,
	uint8_t message[static WG_INITIATION_LEN])
{
	struct wg_tai64n clock = wg_tai64n_from_unix(
		unix_ns / (uint64_t)NS_PER_S, (uint32_t)(unix_ns % (uint64_t)NS_PER_S));
	struct secret_key ephemeral;
	int err;

	p->pending = p->pending >= 0 ? p->pending : free_place(p);
	p->timestamp = wg_tai64n_after(&p->timestamp, &clock);
	key_generate(&ephemeral);
	err = wg_initiation_create(&p->identity, &p->remote, fresh_index(p, p->pending),
		&p->timestamp, &ephemeral, message, &p->handshake);
	assert(err == 0); // cannot happen with a remote that wg_remote_init() took
	(void)err;
	secret_wipe(&ephemeral, sizeof(ephemeral));
	wg_mac2_add(&p->cookie, message, WG_INITIATION_LEN, now);
	p->initiation_sent = now;
	p->attempts++;
}

int
tunnel_peer_on_response(struct tunnel_peer *p,
	const uint8_t message[static WG_RESPONSE_LEN],
	struct mono now)
{
	struct wg_session_keys keys;
	int err;

	if (p->pending < 0)
		return ERR_REPLAY;
	err = wg_response_consume(&p->handshake, &p->identity, &p->remote, message, &keys);
	if (err < 0)
		return err;
	become_current(p, install(p, p->pending, &keys, now));
	wg_session_keys_fini(&keys);
	p->pending = -1;
	p->attempts = 0;
	return 0;
}

int
tunnel_peer_on_initiation(struct tunnel_peer *p,
	const struct wg_claim *claim,
	const uint8_t message[static WG_INITIATION_LEN],
	struct mono now,
	uint8_t response[static WG_RESPONSE_LEN])
{
	struct wg_initiation initiation;
	struct wg_session_keys keys;
	struct secret_key ephemeral;
	int err, place;

	err = wg_initiation_verify(claim, &p->remote, message, &initiation);
	if (err < 0)
		return err;
	err = wg_latest_check(&p->latest, &initiation.timestamp, now);
	if (err < 0)
		goto forget_initiation;
	place = p->next != NULL ? (int)(p->next - p->session) : free_place(p);
	if (place == p->pending) {
		wg_handshake_fini(&p->handshake);
		p->pending = -1;
	}
	key_generate(&ephemeral);
	err = wg_response_create(
		&initiation, &p->remote, fresh_index(p, place), &ephemeral, response, &keys);
	secret_wipe(&ephemeral, sizeof(ephemeral));
	if (err < 0)
		goto forget_initiation;
	wg_latest_accept(&p->latest, &initiation.timestamp, now);
	wg_mac2_add(&p->cookie, response, WG_RESPONSE_LEN, now);
	p->next = install(p, place, &keys, now);
	wg_session_keys_fini(&keys);
forget_initiation:
	wg_initiation_fini(&initiation);
	return err;
}

int
tunnel_peer_on_cookie_reply(struct tunnel_peer *p,
	const uint8_t message[static WG_COOKIE_REPLY_LEN],
	struct mono now)
{
	return wg_cookie_reply_consume(&p->cookie, &p->remote, message, now);
}

/* ---- signs of life ---- */

// Whether anything was sent since the last look; the sender's counter tells.
static bool
has_sent(struct tunnel_peer *p, struct tunnel_session *s)
{
	uint64_t counter = atomic_load_explicit(&s->counter, memory_order_relaxed);
	bool sent = counter != p->counter_at_scan;

	p->counter_at_scan = counter;
	return sent;
}

unsigned
tunnel_peer_scan(struct tunnel_peer *p, struct mono now)
{
	struct tunnel_session *s = tunnel_peer_current(p);
	int64_t renew_ns;
	unsigned needs = 0;

	if (s == NULL)
		return 0;
	if (has_sent(p, s))
		p->owing = (struct mono){};
	if (!mono_is_never(p->owing) && mono_diff_ns(now, p->owing) >= WG_KEEPALIVE_TIMEOUT_NS)
		needs |= TUNNEL_NEED_KEEPALIVE;
	renew_ns = s->is_initiator ? WG_REKEY_AFTER_TIME_NS : WG_REKEY_BY_RESPONDER_NS;
	if (mono_diff_ns(now, s->birth) >= renew_ns &&
		(mono_is_never(p->initiation_sent) ||
			mono_diff_ns(now, p->initiation_sent) >= TUNNEL_RETRY_NS))
		needs |= TUNNEL_NEED_INITIATION;
	return needs;
}

bool
tunnel_peer_keepalive(struct tunnel_peer *p, uint8_t message[static WG_TRANSPORT_MIN_LEN])
{
	struct tunnel_session *s = tunnel_peer_current(p);
	struct aead_job job;

	if (s == NULL)
		return false;
	job = (struct aead_job){ .data = message + WG_TRANSPORT_HEADER_LEN,
		.key = s->send_key,
		.counter = tunnel_session_take(s, 1) };
	wg_transport_header_write(message, s->remote_index, job.counter);
	aead_seal(&job, 1);
	return true;
}
