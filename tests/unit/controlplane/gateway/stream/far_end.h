/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Servers on 127.0.0.1 for the tests of streams: plain, TLS with certificates that are right or
 * wrong, a proxy.  Each has a thread that takes one connection after the other.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_STREAM_FAR_END_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_STREAM_FAR_END_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A certificate authority and what it signs. */
struct far_ca {
	EVP_PKEY *key;
	X509 *certificate;
};

struct far_certificate {
	const char *names; /* subjectAltName: "DNS:a.example,IP:127.0.0.1" */
	int from_days, to_days;
	const struct far_ca *ca; /* NULL: it signs itself */
	const char *extra_name;  /* common name of one more certificate behind it; NULL: none */
};

struct far_end;
/* What is done with a connection: bytes may be read and written by far_read(), far_write(). */
typedef void (*far_serve)(struct far_end *f, int fd, SSL *ssl);

struct far_end {
	int fd;
	uint16_t port;
	SSL_CTX *context; /* NULL: no TLS */
	far_serve serve;
	const char *says; /* for serve() */
	uint16_t target;  /* of far_serve_proxy() */
	char heard[4096]; /* first bytes of the last connection */
	char digest[65];  /* SHA-256 of the leaf, hex */
	unsigned long thread;
	_Atomic unsigned connections;
};

void far_ca_create(struct far_ca *ca);
void far_ca_write(const struct far_ca *ca, const char *path);

/* certificate: NULL for no TLS. */
void far_start(struct far_end *f, const struct far_certificate *certificate, far_serve serve);
void far_stop(struct far_end *f);

long far_read(int fd, SSL *ssl, void *data, size_t size);
long far_write(int fd, SSL *ssl, const void *data, size_t len);

void far_serve_echo(struct far_end *f, int fd, SSL *ssl);  /* until the end */
void far_serve_says(struct far_end *f, int fd, SSL *ssl);  /* says it, then ends */
void far_serve_proxy(struct far_end *f, int fd, SSL *ssl); /* answers `says`, then is a pipe */
void far_serve_mute(struct far_end *f, int fd, SSL *ssl);  /* until the end */

#endif
