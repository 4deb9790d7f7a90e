/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/handshake/shake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypto/aead.h"
#include "lib/wg/handshake.h"
#include "lib/wg/mac.h"

#define INDEX_MASK (SHAKE_MAX_PEERS - 1) // the upper half of an index counts the tries
#define RETRY_NS   NS_PER_S
#define UNPACED    64 // initiations under way at once, without a rate
#define AT_ONCE    32 // and at most so many after we were held up, with one

struct shake_peer {
	struct wg_identity identity;
	struct wg_remote remote;
	struct wg_handshake handshake;
	struct wg_held_cookie cookie;
	struct wg_tai64n timestamp;
	struct mono sent; // the latest initiation
	uint16_t tries;
	bool is_under_way;
	bool done;
};

// Peers by number, first in first out; each is in one of the two queues at most once.
struct queue {
	uint32_t *item;
	uint32_t head, tail; // free-running
};

struct shake {
	const struct shake_options *options;
	struct bench_run *run;
	struct shake_peer *peers;
	uint32_t n_peers;
	struct queue ready;     // to be sent
	struct queue under_way; // sent, in this order: the first times out first
	uint32_t waiting;       // under way and not done
	struct mono next_send;
	int socket;
	bool is_broken; // it has been said
	struct mono began, last_done;
	struct shake_result *result;
};

static void
fail(struct shake *b, int err, const char *what, const char *advice)
{
	if (!b->is_broken)
		bench_error(err_str(err), advice, "handshakes: %s", what);
	b->is_broken = true;
}

// --- queues ------------------------------------------------------------------------------------

static bool
queue_is_empty(const struct queue *q)
{
	return q->head == q->tail;
}

static void
queue_push(struct queue *q, uint32_t item)
{
	q->item[q->head++ & INDEX_MASK] = item;
}

static uint32_t
queue_first(const struct queue *q)
{
	return q->item[q->tail & INDEX_MASK];
}

// --- keys --------------------------------------------------------------------------------------

// All that needs no message is computed here, before the clock starts.
static void
add_peer(struct shake *b, const char *key_text)
{
	struct shake_peer *p = &b->peers[b->n_peers];
	struct secret_key key;
	int err = secret_key_parse(key_text, &key);

	if (err < 0) {
		fail(b, err, "a private key in --keys",
			"`sluice-bench handshakes --generate N` makes keys.");
		return;
	}
	wg_identity_init(&p->identity, &key);
	secret_wipe(&key, sizeof(key));
	err = wg_remote_init(&p->remote, &p->identity, &b->options->gateway_key, NULL);
	if (err < 0)
		fail(b, err, "--public-key", "It is the gateway's, as `sluice status` shows it.");
	queue_push(&b->ready, b->n_peers++);
}

static int
make_room(struct shake *b)
{
	b->peers = calloc(SHAKE_MAX_PEERS, sizeof(b->peers[0]));
	b->ready.item = calloc(SHAKE_MAX_PEERS, sizeof(uint32_t));
	b->under_way.item = calloc(SHAKE_MAX_PEERS, sizeof(uint32_t));
	if (b->peers != NULL && b->ready.item != NULL && b->under_way.item != NULL)
		return 0;
	fail(b, -ENOMEM, "peers", NULL);
	return -ENOMEM;
}

static void
read_keys(struct shake *b)
{
	FILE *f = fopen(b->options->keys, "re");
	char line[256];

	if (f == NULL) {
		fail(b, -errno, b->options->keys, "Name a file of private keys, one a line.");
		return;
	}
	while (b->n_peers < SHAKE_MAX_PEERS && !b->is_broken &&
		fgets(line, sizeof(line), f) != NULL) {
		if (strcspn(line, " \n") == 0)
			continue;
		line[strcspn(line, " \n")] = '\0';
		add_peer(b, line);
	}
	secret_wipe(line, sizeof(line));
	fclose(f);
	if (b->n_peers == 0 && !b->is_broken)
		fail(b, ERR_TRUNCATED, b->options->keys, "It has no keys: one a line.");
}

// --- sending -----------------------------------------------------------------------------------

// What the kernel does not take is lost like on the way: a handshake is repeated.
static void
send_out(struct shake *b, const uint8_t *data, size_t len)
{
	if (send(b->socket, data, len, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS &&
		errno != ECONNREFUSED)
		fail(b, -errno, "sending", "Is there a route to the gateway?");
}

static void
initiate(struct shake *b, uint32_t number)
{
	struct shake_peer *p = &b->peers[number];
	uint8_t msg[WG_INITIATION_LEN];
	struct secret_key ephemeral;
	struct wg_tai64n clock;
	struct timespec wall;
	int err;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock = wg_tai64n_from_unix((uint64_t)wall.tv_sec, (uint32_t)wall.tv_nsec);
	p->timestamp = wg_tai64n_after(&p->timestamp, &clock);
	p->tries++;
	key_generate(&ephemeral);
	err = wg_initiation_create(&p->identity, &p->remote, (uint32_t)p->tries << 16 | number,
		&p->timestamp, &ephemeral, msg, &p->handshake);
	secret_wipe(&ephemeral, sizeof(ephemeral));
	if (err < 0) {
		fail(b, err, "an initiation", NULL);
		return;
	}

	p->sent = mono_now();
	wg_mac2_add(&p->cookie, msg, sizeof(msg), p->sent);
	send_out(b, msg, sizeof(msg));
	b->result->initiations++;
	b->waiting++;
	p->is_under_way = true;
	queue_push(&b->under_way, number);
}

static void
confirm(struct shake *b, const struct wg_session_keys *keys)
{
	uint8_t msg[WG_TRANSPORT_MIN_LEN];
	struct aead_job job = {
		.data = msg + WG_TRANSPORT_HEADER_LEN,
		.key = keys->send,
	};

	wg_transport_header_write(msg, keys->remote_index, 0);
	aead_seal(&job, 1);
	send_out(b, msg, sizeof(msg));
}

// --- receiving ---------------------------------------------------------------------------------

static void
take_response(struct shake *b, struct shake_peer *p, const uint8_t *msg, struct mono now)
{
	struct wg_session_keys keys;

	if (wg_response_consume(&p->handshake, &p->identity, &p->remote, msg, &keys) < 0) {
		b->result->strange++;
		return;
	}
	samples_add(&b->result->latency_ms, (double)mono_diff_ns(now, p->sent) / NS_PER_MS);
	confirm(b, &keys);
	wg_session_keys_fini(&keys);
	p->done = true;
	b->result->done++;
	b->waiting -= p->is_under_way; // or it came late, while its repetition was waiting
	p->is_under_way = false;
	b->last_done = now;
}

static void
take_message(struct shake *b, const uint8_t *msg, size_t len, struct mono now)
{
	enum wg_message_type type = wg_message_type(msg, len);
	uint32_t number;

	if (type == WG_MESSAGE_TRANSPORT_DATA) // a keepalive: not what is measured
		return;
	if (type != WG_MESSAGE_RESPONSE && type != WG_MESSAGE_COOKIE_REPLY) {
		b->result->strange++;
		return;
	}
	number = wg_message_receiver_index(msg) & INDEX_MASK;
	if (number >= b->n_peers)
		b->result->strange++;
	else if (type == WG_MESSAGE_RESPONSE)
		take_response(b, &b->peers[number], msg, now);
	else if (wg_cookie_reply_consume(
			 &b->peers[number].cookie, &b->peers[number].remote, msg, now) < 0)
		b->result->strange++;
	else
		b->result->cookies++;
}

static void
receive(struct shake *b)
{
	uint8_t msg[2048];
	ssize_t n;

	for (unsigned i = 0; i < 64; i++) {
		n = recv(b->socket, msg, sizeof(msg), MSG_DONTWAIT);
		if (n < 0)
			return; // an ICMP error from a gateway that is not there: time will tell
		take_message(b, msg, (size_t)n, mono_now());
	}
}

// --- the loop ----------------------------------------------------------------------------------

static void
repeat(struct shake *b, uint32_t number)
{
	struct shake_peer *p = &b->peers[number];

	if (p->tries < b->options->tries) {
		queue_push(&b->ready, number);
		return;
	}
	wg_handshake_fini(&p->handshake); // what comes from here on is too late
	b->result->failed++;
}

static void
time_out(struct shake *b, struct mono now)
{
	while (!queue_is_empty(&b->under_way)) {
		uint32_t number = queue_first(&b->under_way);
		struct shake_peer *p = &b->peers[number];

		if (!p->done) {
			if (mono_diff_ns(now, p->sent) < RETRY_NS)
				return;
			b->waiting--;
			p->is_under_way = false;
			repeat(b, number);
		}
		b->under_way.tail++;
	}
}

static bool
may_send(const struct shake *b, struct mono now)
{
	if (b->options->rate == 0)
		return b->waiting < UNPACED;
	return mono_diff_ns(now, b->next_send) >= 0;
}

// One at a time: an answer that has come is to be taken before the next initiation is computed.
static void
send_next(struct shake *b, struct mono now)
{
	int64_t interval_ns = b->options->rate > 0 ? NS_PER_S / b->options->rate : 0;

	while (!queue_is_empty(&b->ready) && b->peers[queue_first(&b->ready)].done)
		b->ready.tail++;
	if (queue_is_empty(&b->ready) || !may_send(b, now))
		return;
	if (mono_diff_ns(now, b->next_send) > AT_ONCE * interval_ns)
		b->next_send = mono_add_ns(now, -AT_ONCE * interval_ns);
	b->next_send = mono_add_ns(b->next_send, interval_ns);
	initiate(b, queue_first(&b->ready));
	b->ready.tail++;
}

static void
wait_for_something(struct shake *b)
{
	struct pollfd pollfd = { .fd = b->socket, .events = POLLIN };
	struct mono now = mono_now();
	int64_t ns = 50 * NS_PER_MS; // the end, and what timed out

	if (!queue_is_empty(&b->ready)) {
		if (may_send(b, now))
			ns = 0;
		else if (b->options->rate > 0 && mono_diff_ns(b->next_send, now) < ns)
			ns = mono_diff_ns(b->next_send, now);
	}
	(void)ppoll(&pollfd, 1, &(struct timespec){ .tv_nsec = ns }, NULL);
}

static void
show_progress(struct shake *b)
{
	char what[64], rate[32];
	double s = (double)mono_diff_ns(b->last_done, b->began) / NS_PER_S;

	snprintf(what, sizeof(what), "%u of %u handshakes", b->result->done, b->n_peers);
	snprintf(rate, sizeof(rate), "%.0f/s", s > 0 ? b->result->done / s : 0);
	bench_run_progress(b->run, what, rate);
}

static void
shake_hands(struct shake *b)
{
	struct mono now = b->began = b->last_done = b->next_send = mono_now();
	struct mono end = mono_add_ns(now, b->options->seconds * NS_PER_S);

	while (b->result->done + b->result->failed < b->n_peers && mono_diff_ns(end, now) > 0 &&
		!b->is_broken && !bench_run_is_stopped(b->run)) {
		wait_for_something(b);
		receive(b);
		now = mono_now();
		time_out(b, now);
		send_next(b, now);
		show_progress(b);
	}
	b->result->peers = b->n_peers;
	b->result->failed = b->n_peers - b->result->done;
	b->result->seconds = (double)mono_diff_ns(b->last_done, b->began) / NS_PER_S;
}

static socklen_t
to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (e->addr.family == ADDR_V4) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(e->port);
		memcpy(&in4->sin_addr, e->addr.bytes, sizeof(in4->sin_addr));
		return sizeof(*in4);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->port);
	in6->sin6_scope_id = e->scope_id;
	memcpy(&in6->sin6_addr, e->addr.bytes, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

static void
open_socket(struct shake *b)
{
	struct sockaddr_storage to;
	socklen_t len = to_sockaddr(&b->options->gateway, &to);
	int room = 4 << 20;

	b->socket = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (b->socket < 0 || connect(b->socket, (struct sockaddr *)&to, len) < 0)
		fail(b, -errno, "a socket to the gateway", "Is there a route to it?");
	if (setsockopt(b->socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(b->socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
}

static void
release(struct shake *b)
{
	if (b->socket >= 0)
		close(b->socket);
	for (uint32_t i = 0; i < b->n_peers; i++)
		secret_wipe(&b->peers[i], sizeof(b->peers[i]));
	free(b->peers);
	free(b->ready.item);
	free(b->under_way.item);
}

int
shake_all(const struct shake_options *options, struct bench_run *run, struct shake_result *result)
{
	struct shake b = { .options = options, .run = run, .result = result, .socket = -1 };

	if (make_room(&b) == 0)
		read_keys(&b);
	if (!b.is_broken)
		open_socket(&b);
	if (!b.is_broken)
		shake_hands(&b);
	release(&b);
	return b.is_broken ? -EIO : 0;
}
