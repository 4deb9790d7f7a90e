/* SPDX-License-Identifier: BSD-3-Clause
 *
 * TLS of one connection, as a client, between bytes in memory: no sockets here.
 *
 * Source: RFC 8446; RFC 9525; ../shared/protocol/peer.md 4.1 for pinned certificates.
 * Owner:  a stream.  Thread: its.  No application protocol is offered (control.md 2.4).
 */
#ifndef CONTROLPLANE_GATEWAY_STREAM_TLS_H
#define CONTROLPLANE_GATEWAY_STREAM_TLS_H

#include <openssl/types.h>

#include "controlplane/gateway/stream/stream.h"

#define TLS_PLAINTEXT_MAX 16384 /* of one record */

struct tls;

/* The OpenSSL side of a trust. */
SSL_CTX *trust_context(const struct trust *trust);
/* Makes pinned certificates possible; trust_create() calls it. */
void tls_set_verifier(SSL_CTX *context);

/* 0; -ENOMEM; -EINVAL: a cert_name that is none. */
[[nodiscard]] int tls_create(const struct trust *trust,
	const char *host,
	const char *cert_name,
	enum stream_verify verify,
	struct tls **ret_tls);
void tls_destroy(struct tls *tls);

/* Bytes from the network. 0 or -ENOMEM. */
[[nodiscard]] int tls_push(struct tls *tls, const uint8_t *data, size_t len);
/* Bytes for the network, up to size of them; 0: none. */
size_t tls_pull(struct tls *tls, uint8_t *out, size_t size);

/* 0: done; -EAGAIN: pull, send, push; -EPROTO: failed, see tls_failure(). */
[[nodiscard]] int tls_handshake(struct tls *tls);
/* Plaintext, up to size bytes of it: ret_len; 0: push more.  -EPIPE: the server has ended it;
 * -EPROTO. */
[[nodiscard]] int tls_read(struct tls *tls, uint8_t *out, size_t size, size_t *ret_len);
/* At most TLS_PLAINTEXT_MAX bytes.  0 or -EPROTO. */
[[nodiscard]] int tls_write(struct tls *tls, const void *data, size_t len);
void tls_shutdown(struct tls *tls);

/* Why it failed; text: borrowed from tls. */
void tls_failure(const struct tls *tls, struct stream_failure *failure);

/* What is wrong with the server's certificate, as text, after a handshake that did not insist;
 * NULL: nothing. */
const char *tls_doubt(const struct tls *tls);

bool tls_is_13(const struct tls *tls);
const char *tls_last_common_name(struct tls *tls);
int64_t tls_last_serial(const struct tls *tls);

#endif
