/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/control_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zstd.h>

#include "lib/base/bytes.h"
#include "lib/noise/control_early.h"
#include "lib/noise/control_handshake.h"
#include "lib/noise/control_record.h"
#include "lib/tailnet/tailkey.h"

#define MAX_PEERS   64
#define MAX_STREAMS 64
#define FRAME_MAX   16384
#define PREFACE_LEN 24

enum {
	DATA = 0,
	HEADERS = 1,
	SETTINGS = 4,
	PING = 6,
	GOAWAY = 7,
	WINDOW_UPDATE = 8
};
enum {
	END_STREAM = 1,
	END_HEADERS = 4,
	ACK = 1
};

struct incoming { // a request under way
	uint32_t stream;
	char *body;
	size_t len;
	int64_t window;
	bool done;
};

struct control_peer {
	struct control_server *server;
	pthread_t thread;
	int fd;
	bool over, finished;
	struct control_reader reader;
	struct control_writer writer;
	uint8_t raw[65536]; // that came, and was not opened yet
	size_t raw_len;
	uint8_t in[1 << 20]; // plaintext
	size_t in_len, preface;
	int64_t window, stream_window;
	struct incoming streams[MAX_STREAMS];
};

struct control_server {
	struct control_server_setup setup;
	struct secret_key key;
	int fd;
	uint16_t port;
	unsigned connections;
	bool stopping;
	pthread_t thread;
	pthread_mutex_t lock, answering;
	struct control_peer *peers[MAX_PEERS];
};

/* --- bytes --- */

void
control_peer_bytes(struct control_peer *p, const void *data, size_t len)
{
	size_t piece = p->server->setup.piece != 0 ? p->server->setup.piece : len;
	const uint8_t *at = data;

	while (len > 0 && !p->over) {
		ssize_t n = send(p->fd, at, len < piece ? len : piece, MSG_NOSIGNAL);

		if (n <= 0) {
			p->over = true;
			return;
		}
		at += n;
		len -= (size_t)n;
	}
}

void
control_peer_plaintext(struct control_peer *p, const void *data, size_t len)
{
	size_t most = p->server->setup.record != 0 ? p->server->setup.record : len;
	uint8_t record[CONTROL_RECORD_MAX_LEN];
	const uint8_t *at = data;

	while (len > 0 && !p->over) {
		size_t taken, record_len;

		if (control_writer_seal(&p->writer, at, len < most ? len : most, record, &taken,
			    &record_len) < 0)
			p->over = true;
		control_peer_bytes(p, record, record_len);
		at += taken;
		len -= taken;
	}
}

void
control_peer_close(struct control_peer *p)
{
	p->over = true;
	shutdown(p->fd, SHUT_RDWR);
}

static bool
receive(struct control_peer *p)
{
	ssize_t n;

	if (p->raw_len == sizeof(p->raw))
		return false;
	n = recv(p->fd, p->raw + p->raw_len, sizeof(p->raw) - p->raw_len, 0);
	if (n <= 0)
		p->over = true;
	else
		p->raw_len += (size_t)n;
	return n > 0;
}

static void
used(struct control_peer *p, size_t len)
{
	memmove(p->raw, p->raw + len, p->raw_len - len);
	p->raw_len -= len;
}

/* --- HTTP/2 --- */

static void
send_frame(struct control_peer *p,
	uint8_t type,
	uint8_t flags,
	uint32_t stream,
	const void *data,
	size_t len)
{
	uint8_t frame[9 + FRAME_MAX];

	store_be32(frame, (uint32_t)len << 8);
	frame[3] = type;
	frame[4] = flags;
	store_be32(frame + 5, stream);
	memcpy(frame + 9, data, len);
	control_peer_plaintext(p, frame, 9 + len);
}

static struct incoming *
find(struct control_peer *p, uint32_t stream, bool make)
{
	for (size_t i = 0; i < MAX_STREAMS; i++)
		if (p->streams[i].stream == stream)
			return &p->streams[i];
	for (size_t i = 0; make && i < MAX_STREAMS; i++)
		if (p->streams[i].stream == 0 || p->streams[i].done) {
			free(p->streams[i].body);
			p->streams[i] =
				(struct incoming){ .stream = stream, .window = p->stream_window };
			return &p->streams[i];
		}
	return NULL;
}

static enum control_request_kind
kind_of(const char *body, size_t len)
{
	if (memmem(body, len, "\"NLKey\"", 7) != NULL)
		return CONTROL_REGISTER;
	if (memmem(body, len, "\"Stream\":true", 13) != NULL)
		return CONTROL_MAP_STREAM;
	if (memmem(body, len, "\"OmitPeers\":true", 16) != NULL)
		return CONTROL_MAP_UPDATE;
	return CONTROL_OTHER;
}

static void
give(struct control_peer *p, struct incoming *in)
{
	struct control_request r = { .peer = p, .stream = in->stream };

	in->body = realloc(in->body, in->len + 1);
	in->body[in->len] = '\0';
	r.body = in->body;
	r.len = in->len;
	r.kind = kind_of(in->body, in->len);
	pthread_mutex_lock(&p->server->answering);
	p->server->setup.answer(p->server->setup.context, &r);
	pthread_mutex_unlock(&p->server->answering);
}

static void
take_settings(struct control_peer *p, uint8_t flags, const uint8_t *data, size_t len)
{
	if (flags & ACK)
		return;
	for (size_t at = 0; at + 6 <= len; at += 6)
		if (load_be16(data + at) == 4)
			p->stream_window = load_be32(data + at + 2);
	send_frame(p, SETTINGS, ACK, 0, "", 0);
}

static void
take_frame(struct control_peer *p, const uint8_t *frame, size_t len)
{
	uint32_t stream = load_be32(frame + 5) & 0x7fffffff;
	const uint8_t *data = frame + 9;
	struct incoming *in;

	switch (frame[3]) {
	case SETTINGS:
		take_settings(p, frame[4], data, len);
		return;
	case WINDOW_UPDATE:
		in = find(p, stream, false);
		if (stream == 0)
			p->window += load_be32(data);
		else if (in != NULL)
			in->window += load_be32(data);
		return;
	case PING:
		if ((frame[4] & ACK) == 0)
			send_frame(p, PING, ACK, 0, data, len);
		return;
	case HEADERS:
	case DATA:
		in = find(p, stream, true);
		assert(in != NULL);
		if (frame[3] == DATA) {
			in->body = realloc(in->body, in->len + len + 1);
			memcpy(in->body + in->len, data, len);
			in->len += len;
		}
		if (frame[4] & END_STREAM)
			give(p, in);
		return;
	default:
		return;
	}
}

static void
take_plaintext(struct control_peer *p)
{
	size_t at = 0;

	while (!p->over && p->in_len > 0) {
		size_t skip = PREFACE_LEN - p->preface, len;
		uint8_t frame[9 + FRAME_MAX];

		if (skip > 0) {
			skip = skip < p->in_len ? skip : p->in_len;
			p->preface += skip;
			at = skip;
		} else {
			if (p->in_len < 9)
				return;
			len = load_be32(p->in) >> 8;
			if (p->in_len < 9 + len)
				return;
			assert(len <= FRAME_MAX);
			memcpy(frame, p->in, 9 + len);
			at = 9 + len;
		}
		// Before the frame is looked at: answering it may read more.
		memmove(p->in, p->in + at, p->in_len - at);
		p->in_len -= at;
		if (skip == 0)
			take_frame(p, frame, at - 9);
	}
}

// One round of reading: false when the connection is over.
static bool
read_some(struct control_peer *p)
{
	size_t taken = 0, len, at = 0;

	if (!receive(p))
		return false;
	while (at < p->raw_len) {
		const uint8_t *plain;

		if (control_reader_push(&p->reader, p->raw + at, p->raw_len - at, &taken) < 0) {
			control_peer_close(p);
			return false;
		}
		at += taken;
		plain = control_reader_plaintext(&p->reader, &len);
		assert(p->in_len + len <= sizeof(p->in));
		memcpy(p->in + p->in_len, plain, len);
		p->in_len += len;
		control_reader_consume(&p->reader, len);
	}
	used(p, at);
	take_plaintext(p);
	return !p->over;
}

void
control_answer_head(const struct control_request *r,
	unsigned status,
	const char *retry_after,
	bool end)
{
	uint8_t head[128] = { 0x08, 3 }; // :status, literal, by index 8
	size_t len = 2;

	len += (size_t)snprintf((char *)head + len, 8, "%03u", status);
	if (retry_after != NULL) {
		head[len++] = 0x0f; // retry-after, literal, by index 53
		head[len++] = 53 - 15;
		head[len++] = (uint8_t)strlen(retry_after);
		memcpy(head + len, retry_after, strlen(retry_after));
		len += strlen(retry_after);
	}
	send_frame(r->peer, HEADERS, END_HEADERS | (end ? END_STREAM : 0), r->stream, head, len);
	if (end)
		find(r->peer, r->stream, true)->done = true;
}

void
control_answer_body(const struct control_request *r, const void *data, size_t len, bool end)
{
	struct control_peer *p = r->peer;
	struct incoming *in = find(p, r->stream, true);
	const uint8_t *at = data;

	do {
		size_t n = len < FRAME_MAX ? len : FRAME_MAX;

		while (!p->over && n > 0 && ((int64_t)n > in->window || (int64_t)n > p->window))
			(void)read_some(p); // until the client has opened its windows
		if (p->over)
			return;
		in->window -= (int64_t)n;
		p->window -= (int64_t)n;
		send_frame(p, DATA, end && n == len ? END_STREAM : 0, r->stream, at, n);
		at += n;
		len -= n;
	} while (len > 0);
	in->done = end;
}

void
control_answer_text(const struct control_request *r, const char *text)
{
	control_answer_head(r, 200, NULL, false);
	control_answer_body(r, text, strlen(text), true);
}

void
control_answer_map(const struct control_request *r,
	const char *json,
	size_t len,
	int level,
	bool says_size)
{
	size_t room = ZSTD_compressBound(len) + 64;
	uint8_t *message = malloc(4 + room);
	size_t n = len;

	if (level > 0) {
		ZSTD_CCtx *c = ZSTD_createCCtx();

		ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
		ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, says_size);
		n = ZSTD_compress2(c, message + 4, room, json, len);
		assert(!ZSTD_isError(n));
		ZSTD_freeCCtx(c);
	} else {
		memcpy(message + 4, json, len);
	}
	store_le32(message, (uint32_t)n);
	control_answer_body(r, message, 4 + n, false);
	free(message);
}

/* --- the begin of a connection --- */

static void
answer_key(struct control_peer *p)
{
	struct control_server *s = p->server;
	char key[TAILKEY_TEXT_SIZE], json[512], text[1024];
	struct public_key public;
	struct secret_key other;

	key_generate(&other);
	key_public(&public, s->setup.other_key ? &other : &s->key);
	snprintf(json, sizeof(json), "{\"publicKey\":\"%s\"}",
		tailkey_format(TAILKEY_MACHINE, public.bytes, key));
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(json), json);
	if (s->setup.key_answer != NULL)
		snprintf(text, sizeof(text), "%s", s->setup.key_answer);
	control_peer_bytes(p, text, strlen(text));
}

static void
send_early(struct control_peer *p)
{
	const char *json = p->server->setup.early;
	uint8_t header[CONTROL_EARLY_HEADER_LEN];

	if (json == NULL)
		return;
	control_early_create((uint32_t)strlen(json), header);
	control_peer_plaintext(p, header, 5); // as Headscale does: three records
	control_peer_plaintext(p, header + 5, 4);
	control_peer_plaintext(p, json, strlen(json));
}

static bool
shake_hands(struct control_peer *p, const char *header)
{
	static const char switching[] =
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
		"Upgrade: tailscale-control-protocol\r\n\r\n";
	struct control_server *s = p->server;
	uint8_t msg[CONTROL_HEADER_MAX_LEN], response[CONTROL_RESPONSE_LEN];
	struct control_initiation initiation;
	struct control_session_keys keys;
	struct secret_key ephemeral;
	size_t len;

	if (s->setup.upgrade != NULL) {
		control_peer_bytes(p, s->setup.upgrade, strlen(s->setup.upgrade));
		return false;
	}
	control_peer_bytes(p, switching, sizeof(switching) - 1); // before it looks closer
	if (control_initiation_from_header(header, strcspn(header, "\r"), msg, &len) < 0 ||
		control_initiation_open(&s->key, msg, len, &initiation) < 0)
		return false;
	key_generate(&ephemeral);
	if (control_response_create(&initiation, &ephemeral, response, &keys) < 0)
		return false;
	control_peer_bytes(p, response, sizeof(response));
	control_writer_init(&p->writer, keys.send);
	control_reader_init(&p->reader, keys.receive);
	send_early(p);
	send_frame(p, SETTINGS, 0, 0, "", 0);
	return !p->over;
}

static bool
begin(struct control_peer *p)
{
	static const char name[] = "X-Tailscale-Handshake: ";
	char *end = NULL, *header, text[4096];
	size_t len;

	while (end == NULL) {
		if (!receive(p) || p->raw_len >= sizeof(text))
			return false;
		end = memmem(p->raw, p->raw_len, "\r\n\r\n", 4);
	}
	len = (size_t)(end + 4 - (char *)p->raw);
	memcpy(text, p->raw, len);
	text[len] = '\0';
	used(p, len);
	header = strstr(text, name);
	if (strncmp(text, "POST /ts2021 ", 13) != 0 || header == NULL) {
		answer_key(p);
		return false;
	}
	__atomic_fetch_add(&p->server->connections, 1, __ATOMIC_RELAXED);
	return shake_hands(p, header + sizeof(name) - 1);
}

static void *
serve(void *context)
{
	struct control_peer *p = context;

	p->window = p->stream_window = 65535;
	if (begin(p)) {
		take_plaintext(p);
		while (!p->over && read_some(p))
			;
	}
	shutdown(p->fd, SHUT_WR);
	while (recv(p->fd, p->raw, sizeof(p->raw), 0) > 0)
		; // so that what was sent is not lost by a reset
	__atomic_store_n(&p->finished, true, __ATOMIC_RELEASE);
	return NULL;
}

static void
end_peer(struct control_server *s, size_t i)
{
	struct control_peer *p = s->peers[i];

	if (p == NULL)
		return;
	control_peer_close(p);
	pthread_join(p->thread, NULL);
	close(p->fd);
	for (size_t k = 0; k < MAX_STREAMS; k++)
		free(p->streams[k].body);
	free(p);
	s->peers[i] = NULL;
}

static void
add_peer(struct control_server *s, int fd)
{
	struct control_peer *p = calloc(1, sizeof(*p));
	size_t at = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < MAX_PEERS; i++)
		if (s->peers[i] != NULL &&
			__atomic_load_n(&s->peers[i]->finished, __ATOMIC_ACQUIRE))
			end_peer(s, i);
	while (at < MAX_PEERS && s->peers[at] != NULL)
		at++;
	assert(at < MAX_PEERS);
	p->server = s;
	p->fd = fd;
	s->peers[at] = p;
	pthread_create(&p->thread, NULL, serve, p);
	pthread_mutex_unlock(&s->lock);
}

static void *
accept_all(void *context)
{
	struct control_server *s = context;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0)
		add_peer(s, fd);
	return NULL;
}

struct control_server *
control_server_start(const struct control_server_setup *setup)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct control_server *s = calloc(1, sizeof(*s));
	socklen_t len = sizeof(a);
	pthread_mutexattr_t again;

	s->setup = *setup;
	key_generate(&s->key);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutexattr_init(&again);
	pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE); // an answer may have to read
	pthread_mutex_init(&s->answering, &again);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(s->fd, 16) < 0 || getsockname(s->fd, (struct sockaddr *)&a, &len) < 0) {
		free(s);
		return NULL;
	}
	s->port = ntohs(a.sin_port);
	pthread_create(&s->thread, NULL, accept_all, s);
	return s;
}

uint16_t
control_server_port(const struct control_server *s)
{
	return s->port;
}

unsigned
control_server_connections(struct control_server *s)
{
	return __atomic_load_n(&s->connections, __ATOMIC_RELAXED);
}

void
control_server_drop(struct control_server *s)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < MAX_PEERS; i++)
		end_peer(s, i);
	pthread_mutex_unlock(&s->lock);
}

void
control_server_stop(struct control_server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	control_server_drop(s);
	free(s);
}
