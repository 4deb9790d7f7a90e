/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Many WireGuard peers behind one UDP socket: one handshake with a gateway for each key, confirmed
 * by a keepalive, so that afterwards each of them has a session there.
 *
 *     bench-handshakes --generate N                  prints N lines "private-key public-key"
 *     bench-handshakes --gateway ADDR:PORT --public-key KEY --keys FILE
 *                      [--rate PER_SECOND] [--seconds AT_MOST] [--tries EACH] [--json]
 *
 * FILE has a private key at the beginning of each line, at most 65,536; what follows it is not
 * looked at, so the output of --generate will do.  Initiations are paced (--rate, 0: as fast as
 * answers come, 64 at a time) and repeated after a second, with mac2 if the gateway asked for it.
 * The latency is that of the response to the initiation that was answered.
 * Exit status 0: all handshakes were made; 1: some failed; 2: wrong usage.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/harness/samples.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypto/aead.h"
#include "lib/net/addr.h"
#include "lib/wg/handshake.h"
#include "lib/wg/mac.h"

#define MAX_PEERS  65536u
#define INDEX_MASK (MAX_PEERS - 1) // the upper half of an index counts the tries
#define RETRY_NS   NS_PER_S
#define UNPACED    64 // initiations under way at once, without a rate
#define AT_ONCE    32 // and at most so many after we were held up, with one

static struct options {
	struct endpoint gateway;
	struct public_key gateway_key;
	const char *keys;
	unsigned generate;
	unsigned rate;
	unsigned seconds;
	unsigned tries;
	bool json;
	bool has_gateway, has_key;
} options = { .rate = 1000, .seconds = 60, .tries = 5 };

struct peer {
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

struct bench {
	struct peer *peers;
	uint32_t n_peers;
	struct queue ready;     // to be sent
	struct queue under_way; // sent, in this order: the first times out first
	uint32_t waiting;       // under way and not done
	struct mono next_send;
	int socket;
	uint32_t done, failed;
	uint64_t initiations, cookies, strange;
	struct mono began, last_done;
	struct samples latency_ms;
};

static void
must(int err, const char *what)
{
	if (err == 0)
		return;
	fprintf(stderr, "bench-handshakes: %s: %s\n", what, err_str(err));
	exit(2);
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

static int
generate(unsigned n)
{
	char private_text[KEY_TEXT_LEN], public_text[KEY_TEXT_LEN];
	struct public_key public;
	struct secret_key key;

	for (unsigned i = 0; i < n; i++) {
		key_generate(&key);
		key_public(&public, &key);
		secret_key_format(&key, private_text);
		public_key_format(&public, public_text);
		printf("%s %s\n", private_text, public_text);
	}
	secret_wipe(&key, sizeof(key));
	secret_wipe(private_text, sizeof(private_text));
	return ferror(stdout) ? 1 : 0;
}

// All that needs no message is computed here, before the clock starts.
static void
add_peer(struct bench *b, const char *key_text)
{
	struct peer *p = &b->peers[b->n_peers];
	struct secret_key key;

	must(secret_key_parse(key_text, &key), "a private key in --keys");
	wg_identity_init(&p->identity, &key);
	secret_wipe(&key, sizeof(key));
	must(wg_remote_init(&p->remote, &p->identity, &options.gateway_key, NULL), "--public-key");
	queue_push(&b->ready, b->n_peers++);
}

static void
read_keys(struct bench *b)
{
	FILE *f = fopen(options.keys, "re");
	char line[256];

	if (f == NULL)
		must(-errno, options.keys);
	b->peers = calloc(MAX_PEERS, sizeof(b->peers[0]));
	b->ready.item = calloc(MAX_PEERS, sizeof(uint32_t));
	b->under_way.item = calloc(MAX_PEERS, sizeof(uint32_t));
	if (b->peers == NULL || b->ready.item == NULL || b->under_way.item == NULL)
		must(-ENOMEM, "peers");
	while (b->n_peers < MAX_PEERS && fgets(line, sizeof(line), f) != NULL) {
		if (strcspn(line, " \n") == 0)
			continue;
		line[strcspn(line, " \n")] = '\0';
		add_peer(b, line);
	}
	secret_wipe(line, sizeof(line));
	fclose(f);
}

// --- sending -----------------------------------------------------------------------------------

// What the kernel does not take is lost like on the way: a handshake is repeated.
static void
send_out(struct bench *b, const uint8_t *data, size_t len)
{
	if (send(b->socket, data, len, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS &&
		errno != ECONNREFUSED)
		must(-errno, "sending");
}

static void
initiate(struct bench *b, uint32_t number)
{
	struct peer *p = &b->peers[number];
	uint8_t msg[WG_INITIATION_LEN];
	struct secret_key ephemeral;
	struct wg_tai64n clock;
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock = wg_tai64n_from_unix((uint64_t)wall.tv_sec, (uint32_t)wall.tv_nsec);
	p->timestamp = wg_tai64n_after(&p->timestamp, &clock);
	p->tries++;
	key_generate(&ephemeral);
	must(wg_initiation_create(&p->identity, &p->remote, (uint32_t)p->tries << 16 | number,
		     &p->timestamp, &ephemeral, msg, &p->handshake),
		"initiation");
	secret_wipe(&ephemeral, sizeof(ephemeral));

	p->sent = mono_now();
	wg_mac2_add(&p->cookie, msg, sizeof(msg), p->sent);
	send_out(b, msg, sizeof(msg));
	b->initiations++;
	b->waiting++;
	p->is_under_way = true;
	queue_push(&b->under_way, number);
}

static void
confirm(struct bench *b, const struct wg_session_keys *keys)
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
take_response(struct bench *b, struct peer *p, const uint8_t *msg, struct mono now)
{
	struct wg_session_keys keys;

	if (wg_response_consume(&p->handshake, &p->identity, &p->remote, msg, &keys) < 0) {
		b->strange++;
		return;
	}
	samples_add(&b->latency_ms, (double)mono_diff_ns(now, p->sent) / NS_PER_MS);
	confirm(b, &keys);
	wg_session_keys_fini(&keys);
	p->done = true;
	b->done++;
	b->waiting -= p->is_under_way; // or it came late, while its repetition was waiting
	p->is_under_way = false;
	b->last_done = now;
}

static void
take_message(struct bench *b, const uint8_t *msg, size_t len, struct mono now)
{
	enum wg_message_type type = wg_message_type(msg, len);
	uint32_t number;

	if (type == WG_MESSAGE_TRANSPORT_DATA) // a keepalive: not what is measured
		return;
	if (type != WG_MESSAGE_RESPONSE && type != WG_MESSAGE_COOKIE_REPLY) {
		b->strange++;
		return;
	}
	number = wg_message_receiver_index(msg) & INDEX_MASK;
	if (number >= b->n_peers)
		b->strange++;
	else if (type == WG_MESSAGE_RESPONSE)
		take_response(b, &b->peers[number], msg, now);
	else if (wg_cookie_reply_consume(
			 &b->peers[number].cookie, &b->peers[number].remote, msg, now) < 0)
		b->strange++;
	else
		b->cookies++;
}

static void
receive(struct bench *b)
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
repeat(struct bench *b, uint32_t number)
{
	struct peer *p = &b->peers[number];

	if (p->tries < options.tries) {
		queue_push(&b->ready, number);
		return;
	}
	wg_handshake_fini(&p->handshake); // what comes from here on is too late
	b->failed++;
}

static void
time_out(struct bench *b, struct mono now)
{
	while (!queue_is_empty(&b->under_way)) {
		uint32_t number = queue_first(&b->under_way);
		struct peer *p = &b->peers[number];

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
may_send(const struct bench *b, struct mono now)
{
	if (options.rate == 0)
		return b->waiting < UNPACED;
	return mono_diff_ns(now, b->next_send) >= 0;
}

// One at a time: an answer that has come is to be taken before the next initiation is computed.
static void
send_next(struct bench *b, struct mono now)
{
	int64_t interval_ns = options.rate > 0 ? NS_PER_S / options.rate : 0;

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
wait_for_something(struct bench *b)
{
	struct pollfd pollfd = { .fd = b->socket, .events = POLLIN };
	struct mono now = mono_now();
	int64_t ns = 50 * NS_PER_MS; // the end, and what timed out

	if (!queue_is_empty(&b->ready)) {
		if (may_send(b, now))
			ns = 0;
		else if (options.rate > 0 && mono_diff_ns(b->next_send, now) < ns)
			ns = mono_diff_ns(b->next_send, now);
	}
	(void)ppoll(&pollfd, 1, &(struct timespec){ .tv_nsec = ns }, NULL);
}

static void
shake_hands(struct bench *b)
{
	struct mono now = b->began = b->last_done = b->next_send = mono_now();
	struct mono end = mono_add_ns(now, options.seconds * NS_PER_S);

	while (b->done + b->failed < b->n_peers && mono_diff_ns(end, now) > 0) {
		wait_for_something(b);
		receive(b);
		now = mono_now();
		time_out(b, now);
		send_next(b, now);
	}
	b->failed = b->n_peers - b->done;
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
open_socket(struct bench *b)
{
	struct sockaddr_storage to;
	socklen_t len = to_sockaddr(&options.gateway, &to);
	int room = 4 << 20;

	b->socket = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (b->socket < 0 || connect(b->socket, (struct sockaddr *)&to, len) < 0)
		must(-errno, "socket");
	if (setsockopt(b->socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(b->socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
}

// --- results -----------------------------------------------------------------------------------

static void
report(struct bench *b)
{
	double seconds = (double)mono_diff_ns(b->last_done, b->began) / NS_PER_S;
	double per_s = seconds > 0 ? b->done / seconds : 0;
	double median = samples_median(&b->latency_ms);
	double p99 = samples_quantile(&b->latency_ms, 0.99);
	const char *form =
		options.json
			? "{\"peers\": %u, \"done\": %u, \"failed\": %u, \"seconds\": %.3f, "
			  "\"per_second\": %.1f, \"latency_ms_median\": %.3f, "
			  "\"latency_ms_p99\": %.3f, \"initiations\": %lu, \"cookies\": %lu, "
			  "\"strange\": %lu}\n"
			: "%u peers: %u handshakes, %u failed, in %.2f s: %.0f/s; response after "
			  "%.2f ms (median), %.2f ms (99 %%); %lu initiations, %lu cookies, %lu "
			  "strange messages\n";

	printf(form, b->n_peers, b->done, b->failed, seconds, per_s, median, p99, b->initiations,
		b->cookies, b->strange);
}

static void
usage(void)
{
	fprintf(stderr, "usage: bench-handshakes --generate N\n"
			"       bench-handshakes --gateway ADDR:PORT --public-key KEY --keys FILE\n"
			"                        [--rate PER_SECOND] [--seconds AT_MOST] [--tries "
			"EACH] [--json]\n");
	exit(2);
}

static unsigned
number(const char *text, unsigned long max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n > max)
		usage();
	return (unsigned)n;
}

static void
parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "generate", required_argument, NULL, 'n' },
		{ "gateway", required_argument, NULL, 'g' },
		{ "public-key", required_argument, NULL, 'p' },
		{ "keys", required_argument, NULL, 'k' },
		{ "rate", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "tries", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'n')
			options.generate = number(optarg, 1000000);
		else if (c == 'g')
			options.has_gateway = endpoint_parse(optarg, &options.gateway) == 0;
		else if (c == 'p')
			options.has_key = public_key_parse(optarg, &options.gateway_key) == 0;
		else if (c == 'k')
			options.keys = optarg;
		else if (c == 'r')
			options.rate = number(optarg, 1000000);
		else if (c == 's')
			options.seconds = number(optarg, 3600);
		else if (c == 't')
			options.tries = number(optarg, 100);
		else if (c == 'j')
			options.json = true;
		else
			usage();
	}
	if (optind != argc || (options.generate == 0 && (!options.has_gateway || !options.has_key ||
								options.keys == NULL)))
		usage();
}

int
main(int argc, char **argv)
{
	static struct bench b; // large

	parse_options(argc, argv);
	must(crypto_init(), "crypto library");
	must(aead_init(NULL), "cipher");
	if (options.generate > 0)
		return generate(options.generate);
	read_keys(&b);
	open_socket(&b);
	shake_hands(&b);
	report(&b);
	close(b.socket);
	return b.failed > 0 ? 1 : 0;
}
