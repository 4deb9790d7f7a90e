/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/tunnel_end.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/harness/run.h"
#include "bench/tunnel/line_open.h"
#include "bench/tunnel/peer.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypto/aead.h"
#include "lib/net/headers.h"

#define IN_FLIGHT 64 /* handshakes begun by us at a time */
#define SCAN_NS   (500 * NS_PER_MS)

struct tunnel_end {
	struct tunnel_config config;
	struct line *line;
	struct tunnel_peer *peers;
	struct wg_replay *replays;
	struct tunnel_counters counters; // of the receiving thread
	_Atomic uint64_t sealed;         // of the sending thread
	_Atomic bool is_held;
	struct mono scanned;
	uint32_t answered;     // the peer that an initiation was for, last time
	bool is_psk_suspected; // a response came that could not be opened
	struct aead_job jobs[TUNNEL_BURST];
	struct {
		struct tunnel_peer *peer;
		struct tunnel_session *session;
	} opening[TUNNEL_BURST];
	struct aead_job sealing[TUNNEL_BURST]; // of the sending thread
};

struct addr
tunnel_address(const struct addr *first, uint32_t n)
{
	struct addr a = *first;
	uint64_t carry = n;

	for (int i = (a.family == ADDR_V4 ? 4 : 16) - 1; i >= 0 && carry > 0; i--) {
		carry += a.bytes[i];
		a.bytes[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return a;
}

/* ---- opening ---- */

static int
open_line(struct tunnel_end *e)
{
	const struct line_socket_config config = {
		.netns = e->config.netns,
		.local = { .port = e->config.listen },
		.remote = e->config.device,
		.has_no_offload = e->config.has_no_offload,
		.interface = e->config.interface,
	};

	if (e->config.line != NULL) {
		e->line = e->config.line;
		return 0;
	}
	return line_open(&config, &e->line);
}

static int
make_peers(struct tunnel_end *e)
{
	const struct tunnel_config *c = &e->config;
	struct secret_key key;
	uint32_t random;
	int err = 0;

	random_bytes(&random, sizeof(random));
	for (uint32_t n = 0; n < c->n_peers && err == 0; n++) {
		tunnel_peer_key(&c->key, n, &key);
		err = tunnel_peer_init(&e->peers[n], n, &key, &c->device_key,
			c->has_preshared_key ? &c->preshared_key : NULL,
			&e->replays[(size_t)n * TUNNEL_SESSIONS], random);
	}
	secret_wipe(&key, sizeof(key));
	if (err < 0)
		bench_error("no shared secret can be made with it",
			"give the key that the device shows as its public key",
			"--device-key is not a usable key");
	return err;
}

static void *
map_zeros(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

struct tunnel_end *
tunnel_end_open(const struct tunnel_config *config)
{
	struct tunnel_end *e = calloc(1, sizeof(*e));

	if (e != NULL) {
		e->config = *config;
		// Mapped: windows of sessions that never receive take no memory.
		e->peers = map_zeros(config->n_peers * sizeof(*e->peers));
		e->replays =
			map_zeros((size_t)config->n_peers * TUNNEL_SESSIONS * sizeof(*e->replays));
	}
	if (e == NULL || e->peers == NULL || e->replays == NULL) {
		bench_error("not enough memory", "ask for fewer --peers", "cannot make %u peers",
			config->n_peers);
		tunnel_end_close(e);
		return NULL;
	}
	if (open_line(e) < 0 || make_peers(e) < 0) {
		tunnel_end_close(e);
		return NULL;
	}
	return e;
}

void
tunnel_end_close(struct tunnel_end *e)
{
	if (e == NULL)
		return;
	line_close(e->line);
	if (e->peers != NULL) {
		for (uint32_t n = 0; n < e->config.n_peers; n++)
			tunnel_peer_fini(&e->peers[n]);
		munmap(e->peers, e->config.n_peers * sizeof(*e->peers));
	}
	if (e->replays != NULL)
		munmap(e->replays,
			(size_t)e->config.n_peers * TUNNEL_SESSIONS * sizeof(*e->replays));
	secret_wipe(&e->config, sizeof(e->config));
	free(e);
}

/* ---- handshakes ---- */

static void
send_message(struct tunnel_end *e, const uint8_t *message, size_t len)
{
	// What cannot be sent is lost like anything on the way: it is repeated, or noticed.
	(void)!line_send_one(e->line, message, len, NULL);
}

static void
send_keepalive(struct tunnel_end *e, struct tunnel_peer *p, struct mono now)
{
	uint8_t message[WG_TRANSPORT_MIN_LEN];

	(void)now;
	if (!tunnel_peer_keepalive(p, message))
		return;
	send_message(e, message, sizeof(message));
	p->owing = (struct mono){};
	e->counters.keepalives_sent++;
}

static void
initiate(struct tunnel_end *e, struct tunnel_peer *p, struct mono now)
{
	uint8_t message[WG_INITIATION_LEN];
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	tunnel_peer_initiate(p, now, (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec, message);
	send_message(e, message, sizeof(message));
	e->counters.initiations_sent++;
}

static bool
answer_as(struct tunnel_end *e, uint32_t n, const uint8_t *message, struct mono now)
{
	struct tunnel_peer *p = &e->peers[n];
	uint8_t response[WG_RESPONSE_LEN];
	struct wg_claim claim;
	int err;

	if (!wg_mac1_is_valid(&p->identity, message, WG_INITIATION_LEN))
		return false;
	e->answered = n;
	err = wg_initiation_open(&p->identity, message, &claim);
	if (err == 0) {
		err = tunnel_peer_on_initiation(p, &claim, message, now, response);
		wg_claim_fini(&claim);
	}
	if (err == 0) {
		send_message(e, response, sizeof(response));
		e->counters.initiations_received++;
	} else {
		e->counters.not_authentic++;
	}
	return true;
}

// Only mac1 tells which of us is meant.  A device goes through its peers in some order, so the one
// after the last is tried first.
static void
on_initiation(struct tunnel_end *e, const uint8_t *message, struct mono now)
{
	for (uint32_t i = 1; i <= e->config.n_peers; i++) {
		if (answer_as(e, (e->answered + i) % e->config.n_peers, message, now))
			return;
	}
	e->counters.not_authentic++;
}

static struct tunnel_peer *
peer_of_index(struct tunnel_end *e, uint32_t index)
{
	uint32_t n = tunnel_index_peer(index);

	return n < e->config.n_peers ? &e->peers[n] : NULL;
}

static void
on_response(struct tunnel_end *e, const uint8_t *message, struct mono now)
{
	struct tunnel_peer *p = peer_of_index(e, wg_message_receiver_index(message));
	int err;

	if (p == NULL || !wg_mac1_is_valid(&p->identity, message, WG_RESPONSE_LEN)) {
		e->counters.not_authentic++;
		return;
	}
	err = tunnel_peer_on_response(p, message, now);
	if (err == ERR_BAD_MAC)
		e->is_psk_suspected = true;
	if (err < 0) {
		e->counters.not_authentic++;
		return;
	}
	e->counters.handshakes++;
	send_keepalive(e, p, now); // so that the device may use the session
}

static void
on_cookie_reply(struct tunnel_end *e, const uint8_t *message, struct mono now)
{
	struct tunnel_peer *p = peer_of_index(e, wg_message_receiver_index(message));

	if (p == NULL || tunnel_peer_on_cookie_reply(p, message, now) < 0)
		e->counters.not_authentic++;
	else
		e->counters.cookie_replies++;
}

/* ---- receiving ---- */

// Bytes of the inner packet, without padding; 0: it is none.
static size_t
inner_len(const uint8_t *packet, size_t len)
{
	struct ip_view view;

	return ip_parse(packet, (uint32_t)len, &view) ? view.total_len : 0;
}

static void
take_opened(struct tunnel_end *e, size_t i, struct mono now, tunnel_take take, void *context)
{
	const struct aead_job *job = &e->jobs[i];
	struct tunnel_peer *p = e->opening[i].peer;
	struct tunnel_session *s = e->opening[i].session;
	bool was_next = s == p->next;

	if (!job->ok) {
		e->counters.auth_failed++;
		return;
	}
	e->counters.opened++;
	tunnel_peer_received(p, s, job->len > 0, now);
	if (was_next)
		e->counters.handshakes++;
	// A repeated one goes on: a bench reports what the line did, it does not protect anybody.
	if (!wg_replay_accept_block(
		    s->replay, job->counter >> 5, UINT32_C(1) << (job->counter & 31), true))
		e->counters.repeated++;
	if (job->len == 0)
		e->counters.keepalives_received++;
	else if (take != NULL)
		take(context, p->number, job->data, inner_len(job->data, job->len));
}

static void
open_all(struct tunnel_end *e, size_t n, struct mono now, tunnel_take take, void *context)
{
	aead_open(e->jobs, n);
	for (size_t i = 0; i < n; i++)
		take_opened(e, i, now, take, context);
}

// Prepare the opening of a datagram.  False: there is nothing to open.
static bool
prepare(struct tunnel_end *e, const struct line_packet *packet, size_t i, struct mono now)
{
	uint32_t index = wg_message_receiver_index(packet->data);
	struct tunnel_peer *p = peer_of_index(e, index);
	struct tunnel_session *s = p != NULL ? tunnel_peer_find(p, index, now) : NULL;

	if (s == NULL) {
		e->counters.unknown_index++;
		return false;
	}
	e->opening[i].peer = p;
	e->opening[i].session = s;
	e->jobs[i] = (struct aead_job){
		.data = packet->data + WG_TRANSPORT_HEADER_LEN,
		.key = s->receive_key,
		.counter = wg_message_counter(packet->data),
		.len = packet->len - WG_TRANSPORT_MIN_LEN,
	};
	return true;
}

static void
on_handshake_message(struct tunnel_end *e, const struct line_packet *packet, struct mono now)
{
	switch (wg_message_type(packet->data, packet->len)) {
	case WG_MESSAGE_INITIATION:
		on_initiation(e, packet->data, now);
		break;
	case WG_MESSAGE_RESPONSE:
		on_response(e, packet->data, now);
		break;
	case WG_MESSAGE_COOKIE_REPLY:
		on_cookie_reply(e, packet->data, now);
		break;
	case WG_MESSAGE_TRANSPORT_DATA:
	case WG_MESSAGE_INVALID:
		e->counters.malformed++;
		break;
	}
}

size_t
tunnel_end_receive(struct tunnel_end *e, struct mono now, tunnel_take take, void *context)
{
	const struct line_packet *packets = NULL;
	size_t n = (size_t)line_receive(e->line, &packets), n_jobs = 0;

	for (size_t i = 0; i < n; i++) {
		if (wg_message_type(packets[i].data, packets[i].len) == WG_MESSAGE_TRANSPORT_DATA) {
			n_jobs += prepare(e, &packets[i], n_jobs, now);
			if (n_jobs < TUNNEL_BURST)
				continue;
		}
		// In the order of arrival: a handshake message may change what follows.
		open_all(e, n_jobs, now, take, context);
		if (n_jobs < TUNNEL_BURST)
			on_handshake_message(e, &packets[i], now);
		n_jobs = 0;
	}
	open_all(e, n_jobs, now, take, context);
	return n;
}

void
tunnel_end_hold(struct tunnel_end *e, bool is_held)
{
	atomic_store_explicit(&e->is_held, is_held, memory_order_relaxed);
}

void
tunnel_end_tick(struct tunnel_end *e, struct mono now)
{
	if (mono_diff_ns(now, e->scanned) < SCAN_NS)
		return;
	e->scanned = now;
	for (uint32_t n = 0; n < e->config.n_peers; n++) {
		unsigned needs = tunnel_peer_scan(&e->peers[n], now);

		if (needs == 0 || atomic_load_explicit(&e->is_held, memory_order_relaxed))
			continue;
		if ((needs & TUNNEL_NEED_KEEPALIVE) != 0)
			send_keepalive(e, &e->peers[n], now);
		if ((needs & TUNNEL_NEED_INITIATION) != 0)
			initiate(e, &e->peers[n], now);
	}
}

/* ---- establishing ---- */

static void
say_no_answer(struct tunnel_end *e, uint32_t n_missing)
{
	char device[ADDR_TEXT_LEN], key[KEY_TEXT_LEN];
	struct line_counters c;
	const struct tunnel_config *config = &e->config;

	endpoint_format(&config->device, device);
	public_key_format(&e->peers[0].identity.static_public, key);
	line_counters(e->line, &c);
	if (e->is_psk_suspected)
		bench_error("its answer does not fit our keys: the preshared keys differ",
			"give the same --preshared-key as the device has for this peer",
			"no handshake with the device at %s", device);
	else if (c.last_refusal != 0)
		bench_error(err_str(-c.last_refusal),
			"see that the device runs and listens on that address and port, and that "
			"there is a way to it (--tunnel-netns)",
			"the device at %s cannot be reached", device);
	else if (config->waits)
		bench_error("no handshake came from it",
			"the device needs our address and port (--listen) as this peer's endpoint "
			"and something to send, a keepalive perhaps",
			"waited in vain for the device at %s", device);
	else
		bench_error("wrong --device-key, or the device does not know our key, or "
			    "something between drops UDP",
			"compare --device-key with the device's public key; add us there as a "
			"peer (--print-peers shows how)",
			"the device at %s does not answer handshakes (%u of %u peers; ours is %s)",
			device, n_missing, config->n_peers, key);
}

// Send what is to be sent of the handshakes now; returns how many peers lack a young session.
static uint32_t
advance(struct tunnel_end *e, int64_t max_age_ns, struct mono now)
{
	uint32_t n_missing = 0;

	for (uint32_t n = 0; n < e->config.n_peers; n++) {
		struct tunnel_peer *p = &e->peers[n];

		if (tunnel_peer_is_young(p, now, max_age_ns))
			continue;
		if (++n_missing > IN_FLIGHT || e->config.waits)
			continue;
		if (mono_is_never(p->initiation_sent) ||
			mono_diff_ns(now, p->initiation_sent) >= TUNNEL_RETRY_NS)
			initiate(e, p, now);
	}
	return n_missing;
}

int
tunnel_end_establish(struct tunnel_end *e,
	int64_t max_age_ns,
	double wait_s,
	bool (*is_stopped)(void *context),
	void *context)
{
	struct mono progressed = mono_now();
	uint32_t n_missing, least = UINT32_MAX;

	e->is_psk_suspected = false;
	for (;;) {
		struct mono now = mono_now();
		struct pollfd fd = { .fd = e->line->fd, .events = POLLIN };

		while (tunnel_end_receive(e, now, NULL, NULL) > 0)
			;
		n_missing = advance(e, max_age_ns, now);
		if (n_missing == 0)
			return 0;
		if (n_missing < least) {
			least = n_missing;
			progressed = now;
		}
		if (is_stopped != NULL && is_stopped(context))
			return -EINTR;
		if ((double)mono_diff_ns(now, progressed) > wait_s * 1e9)
			break;
		(void)poll(&fd, 1, 20);
	}
	say_no_answer(e, n_missing);
	return -ETIMEDOUT;
}

/* ---- sending ---- */

void
tunnel_end_seal(struct tunnel_end *e, struct tunnel_packet *packets, size_t n)
{
	static const uint8_t no_key[KEY_LEN];

	for (size_t i = 0; i < n; i++) {
		struct tunnel_packet *t = &packets[i];
		struct tunnel_session *s = tunnel_peer_current(&e->peers[t->peer]);
		uint32_t padded = wg_padded_len(t->inner_len, e->config.mtu);
		uint8_t *inner = t->message + WG_TRANSPORT_HEADER_LEN;
		uint64_t counter = t->counter;

		if (!t->has_counter)
			counter = s != NULL ? tunnel_session_take(s, 1) : 0;
		memset(inner + t->inner_len, 0, padded - t->inner_len);
		wg_transport_header_write(t->message, s != NULL ? s->remote_index : 0, counter);
		e->sealing[i] = (struct aead_job){
			.data = inner,
			.key = s != NULL ? s->send_key : no_key,
			.counter = counter,
			.len = padded,
		};
		t->message_len = padded + WG_TRANSPORT_MIN_LEN;
	}
	aead_seal(e->sealing, n);
	atomic_fetch_add_explicit(&e->sealed, n, memory_order_relaxed);
}

uint64_t
tunnel_end_reserve(struct tunnel_end *e, uint32_t peer, uint64_t n)
{
	struct tunnel_session *s = tunnel_peer_current(&e->peers[peer]);

	return s != NULL ? tunnel_session_take(s, n) : 0;
}

struct line *
tunnel_end_line(const struct tunnel_end *e)
{
	return e->line;
}

void
tunnel_end_counters(const struct tunnel_end *e, struct tunnel_counters *ret)
{
	*ret = e->counters;
	ret->sealed = atomic_load_explicit(&e->sealed, memory_order_relaxed);
}

uint32_t
tunnel_end_peers(const struct tunnel_end *e)
{
	return e->config.n_peers;
}

int64_t
tunnel_end_age_ns(struct tunnel_end *e, struct mono now)
{
	int64_t oldest = 0;

	for (uint32_t n = 0; n < e->config.n_peers; n++) {
		const struct tunnel_session *s = tunnel_peer_current(&e->peers[n]);

		if (s != NULL && mono_diff_ns(now, s->birth) > oldest)
			oldest = mono_diff_ns(now, s->birth);
	}
	return oldest;
}
