/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The life of a connection: look-up, dialling, the proxy's consent, TLS, open, gone.
 */

#define LOG_TAG "stream"

#include "controlplane/gateway/stream/stream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "controlplane/gateway/stream/set.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"

static void
clean_up(struct stream *s)
{
	lookup_cancel(s->lookup);
	s->lookup = NULL;
	dial_end(s);
	set_unwatch(&s->watch);
	s->state = STREAM_GONE;
}

void
stream_fail(struct stream *s, enum stream_failure_kind kind, const char *format, ...)
{
	va_list args;

	if (s->failing || s->state == STREAM_GONE)
		return;
	va_start(args, format);
	vsnprintf(s->text, sizeof(s->text), format, args);
	va_end(args);
	s->failure.kind = kind;
	s->failure.text = s->text;
	s->failure.was_opened = s->state == STREAM_OPEN;
	s->failing = true;
	set_wake(s->set);
}

// The call that says that it is over.  What the stream holds stays until the dispatch has ended.
static void
end(struct stream *s)
{
	struct stream_failure failure = s->failure;

	clean_up(s);
	if (s->calls.closed != NULL)
		s->calls.closed(s->calls.context, &failure);
}

static void
opened(struct stream *s)
{
	s->state = STREAM_OPEN;
	s->deadline = (struct mono){};
	if (s->tls != NULL && s->verify == STREAM_VERIFY_LOGGED && tls_doubt(s->tls) != NULL)
		log_info("certificate is not accepted, what is inside is authenticated otherwise "
			 "host=%s: %s",
			s->host, tls_doubt(s->tls));
	if (s->calls.opened != NULL)
		s->calls.opened(s->calls.context);
}

static void
shake_hands(struct stream *s)
{
	int err = tls_handshake(s->tls);
	int sent = send_sealed(s); // an alert, too

	if (err == 0 && sent == 0)
		opened(s);
	else if (err == -EAGAIN && sent == 0)
		return;
	else if (err == 0 || err == -EAGAIN)
		stream_fail(s, STREAM_TLS, "the connection broke during the TLS handshake");
	else {
		struct stream_failure f = {};

		tls_failure(s->tls, &f);
		s->failure = f;
		stream_fail(s, f.kind, "%s", f.text);
	}
}

static void
begin_tls(struct stream *s)
{
	int err = 0;

	if (!s->has_tls) {
		opened(s);
		return;
	}
	s->state = STREAM_SHAKING_HANDS;
	err = tls_create(s->set->trust, s->host, s->cert_name, s->verify, &s->tls);
	if (err < 0)
		stream_fail(s, STREAM_TLS, "%s",
			err == -EINVAL ? "no usable certificate name" : "no memory");
	else
		shake_hands(s);
}

static void
ask_proxy(struct stream *s)
{
	char request[PROXY_REQUEST_MAX_LEN];
	size_t len = proxy_request_write(request, s->proxy, s->host, s->port);

	s->state = STREAM_ASKING_PROXY;
	if (send_bytes(s, (const uint8_t *)request, len) < 0)
		stream_fail(s, STREAM_PROXY, "the connection with the proxy broke");
	secret_wipe(request, sizeof(request));
}

void
stream_connected(struct stream *s, int fd, const struct endpoint *remote)
{
	s->remote = *remote;
	s->watch.fd = fd;
	if (set_watch(s->set, &s->watch, EPOLLIN) < 0) {
		stream_fail(s, STREAM_CONNECT, "no memory");
		return;
	}
	if (s->proxy != NULL)
		ask_proxy(s);
	else
		begin_tls(s);
}

void
stream_looked_up(void *context, const struct addr *addresses, size_t n, const char *text)
{
	struct stream *s = context;
	struct endpoint list[STREAM_MAX_ADDRESSES];

	s->lookup = NULL;
	for (size_t i = 0; i < n; i++)
		list[i] = (struct endpoint){ .addr = addresses[i] };
	if (n == 0)
		stream_fail(s, s->proxy != NULL ? STREAM_PROXY : STREAM_NAME, "%s: %s",
			s->proxy != NULL ? s->proxy->host : s->host, text);
	else if (dial_begin(s, list, n) < 0)
		stream_fail(s, STREAM_CONNECT, "no memory");
}

/*
 * The proxy's answer.  It says nothing behind its head before we have, so everything that comes
 * with it is the server's first word.
 */
static void
read_proxy(struct stream *s)
{
	char data[HTTP_HEAD_MAX + 1];
	ssize_t n = recv(s->watch.fd, data, sizeof(data), MSG_DONTWAIT | MSG_PEEK);
	struct http_head head;
	int err;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		stream_fail(s, STREAM_PROXY, "the proxy ended the connection");
		return;
	}
	err = http_head_read(data, (size_t)n, &head);
	if (err == ERR_TRUNCATED) {
		/* What was peeked at stays readable, so the socket is looked at again only when
		 * more has come than this. */
		int mark = (int)n + 1;

		(void)setsockopt(s->watch.fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	} else if (err < 0) {
		stream_fail(s, STREAM_PROXY, "the proxy does not speak HTTP");
	} else if (head.status != 200) {
		stream_fail(s, STREAM_PROXY, "the proxy answers %u %.*s", head.status,
			head.reason_len < 60 ? (int)head.reason_len : 60, head.reason);
	} else {
		int one = 1;

		(void)setsockopt(s->watch.fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
		if (recv(s->watch.fd, data, head.len, MSG_DONTWAIT) != (ssize_t)head.len)
			stream_fail(s, STREAM_PROXY, "the connection with the proxy broke");
		else
			begin_tls(s);
	}
}

static void
read_handshake(struct stream *s)
{
	ssize_t n = recv(s->watch.fd, s->set->wire, SCRATCH_LEN, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		stream_fail(s, STREAM_TLS, "%s during the TLS handshake", strerror(errno));
	else if (n == 0)
		stream_fail(
			s, STREAM_TLS, "the server ended the connection during the TLS handshake");
	else if (tls_push(s->tls, s->set->wire, (size_t)n) < 0)
		stream_fail(s, STREAM_TLS, "no memory");
	else
		shake_hands(s);
	if (s->state == STREAM_OPEN && !s->failing)
		receive_records(s); // that came with the handshake's end
}

void
stream_ready(struct stream *s, struct watch *watch, uint32_t events)
{
	if (s->failing)
		return;
	if (s->state == STREAM_DIALLING) {
		dial_ready(s, watch);
		return;
	}
	if ((events & EPOLLOUT) != 0 && send_queued(s) < 0) {
		stream_fail(s, s->state == STREAM_OPEN ? STREAM_RESET : STREAM_CONNECT,
			"the connection broke");
		return;
	}
	if ((events & ~(uint32_t)EPOLLOUT) == 0 || s->failing)
		return;
	if (s->state == STREAM_ASKING_PROXY)
		read_proxy(s);
	else if (s->state == STREAM_SHAKING_HANDS)
		read_handshake(s);
	else if (s->state == STREAM_OPEN)
		receive_ready(s);
}

static const char *
step_name(const struct stream *s)
{
	switch (s->state) {
	case STREAM_LOOKING_UP:
		return "its name was not looked up";
	case STREAM_ASKING_PROXY:
		return "the proxy gave no answer";
	case STREAM_SHAKING_HANDS:
		return "it did not finish the TLS handshake";
	default:
		return s->proxy != NULL ? "the proxy cannot be reached" : "no answer";
	}
}

static void
time_out(struct stream *s)
{
	char text[ADDR_TEXT_LEN] = "";

	if (s->state == STREAM_DIALLING && s->dial->n > 0)
		endpoint_format(&s->dial->addresses[0], text);
	stream_fail(s, STREAM_TIMEOUT, "%s%s%s within %g s", text, text[0] != '\0' ? ": " : "",
		step_name(s), (double)s->timeout_ns / NS_PER_S);
}

void
stream_tick(struct stream *s)
{
	if (!s->failing && s->state == STREAM_DIALLING)
		dial_tick(s);
	if (!s->failing && !mono_is_never(s->deadline) &&
		mono_diff_ns(s->set->now, s->deadline) >= 0)
		time_out(s);
	if (s->failing && s->state != STREAM_GONE)
		end(s);
}

static const char *
environment(const char *name)
{
	return getenv(name);
}

// 0, or ERR_BAD_FORMAT where the environment names something that is no proxy.
static int
choose_proxy(struct stream *s)
{
	struct proxy proxy = {};
	int err = proxy_choose(environment, s->host, s->has_tls, &proxy);

	if (err == -ENOENT)
		return 0;
	if (err == 0) {
		s->proxy = malloc(sizeof(*s->proxy));
		if (s->proxy == NULL)
			return -ENOMEM;
		*s->proxy = proxy;
	}
	secret_wipe(&proxy, sizeof(proxy));
	return err;
}

static int
begin(struct stream *s, const struct stream_target *t)
{
	const char *host = s->proxy != NULL ? s->proxy->host : s->host;
	struct endpoint literal = {};

	if (t->n_addresses > 0 && s->proxy == NULL)
		return dial_begin(s, t->addresses, t->n_addresses);
	if (addr_parse(host, &literal.addr) == 0)
		return dial_begin(s, &literal, 1);
	return lookup_start(s->set, host, stream_looked_up, s, &s->lookup);
}

static struct stream *
make(struct stream_set *set, const struct stream_target *t, const struct stream_calls *calls)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->set = set;
	s->calls = *calls;
	s->watch = (struct watch){ s, -1 };
	strcpy(s->host, t->host);
	s->port = t->port;
	s->has_tls = t->tls;
	s->verify = t->verify;
	s->family = t->family;
	s->low_delay = t->low_delay;
	s->timeout_ns = t->timeout_ns > 0 ? t->timeout_ns : DEFAULT_TIMEOUT_NS;
	if (t->cert_name != NULL && t->cert_name[0] != '\0') {
		s->cert_name = strdup(t->cert_name);
		if (s->cert_name == NULL) {
			free(s);
			return NULL;
		}
	}
	return s;
}

int
stream_open(struct stream_set *set,
	const struct stream_target *target,
	const struct stream_calls *calls,
	struct mono now,
	struct stream **ret_stream)
{
	struct stream *s;
	int err = 0;

	if (target->host[0] == '\0' || strlen(target->host) >= STREAM_HOST_LEN || target->port == 0)
		return -EINVAL;
	s = make(set, target, calls);
	if (s == NULL)
		return -ENOMEM;
	if (!set->dispatching)
		set->now = now;
	s->deadline = mono_add_ns(now, s->timeout_ns);
	TAILQ_INSERT_TAIL(&set->streams, s, entry);
	if (!target->direct)
		err = choose_proxy(s);
	if (err == ERR_BAD_FORMAT)
		stream_fail(
			s, STREAM_PROXY, "the environment names a proxy that is no http:// proxy");
	else if (err == 0)
		err = begin(s, target);
	if (err < 0 && !s->failing) {
		clean_up(s);
		set_free_stream(s);
		return err;
	}
	set_wake(set); // deadlines are told by the next dispatch
	*ret_stream = s;
	return 0;
}

void
stream_close(struct stream *stream)
{
	if (stream == NULL || stream->state == STREAM_GONE)
		return;
	if (stream->state == STREAM_OPEN && !stream->failing) {
		if (stream->tls != NULL) {
			tls_shutdown(stream->tls);
			(void)send_sealed(stream);
		}
		stream->calls = (struct stream_calls){};
		(void)send_queued(stream);
	}
	stream->calls = (struct stream_calls){};
	clean_up(stream);
	if (!stream->set->dispatching)
		set_free_stream(stream);
}

bool
stream_is_tls13(const struct stream *stream)
{
	return stream->tls != NULL && tls_is_13(stream->tls);
}

const char *
stream_last_common_name(const struct stream *stream)
{
	return stream->tls != NULL ? tls_last_common_name(stream->tls) : NULL;
}

int64_t
stream_last_serial(const struct stream *stream)
{
	return stream->tls != NULL ? tls_last_serial(stream->tls) : -1;
}

const struct endpoint *
stream_remote(const struct stream *stream)
{
	return &stream->remote;
}
