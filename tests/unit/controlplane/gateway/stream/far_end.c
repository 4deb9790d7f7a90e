/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/controlplane/gateway/stream/far_end.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static X509 *
make_certificate(EVP_PKEY *key,
	const char *common_name,
	const char *names,
	int from_days,
	int to_days,
	const struct far_ca *ca)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 2);
	X509_gmtime_adj(X509_getm_notBefore(x), from_days * 86400L);
	X509_gmtime_adj(X509_getm_notAfter(x), to_days * 86400L);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
	X509_set_issuer_name(x, ca != NULL ? X509_get_subject_name(ca->certificate) : name);
	X509_set_pubkey(x, key);
	if (names != NULL) {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	if (ca == NULL && names == NULL) {
		X509_EXTENSION *e =
			X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	X509_sign(x, ca != NULL ? ca->key : key, EVP_sha256());
	return x;
}

void
far_ca_create(struct far_ca *ca)
{
	ca->key = EVP_EC_gen("P-256");
	ca->certificate = make_certificate(ca->key, "test authority", NULL, -1, 30, NULL);
}

void
far_ca_write(const struct far_ca *ca, const char *path)
{
	FILE *f = fopen(path, "w");

	assert(f != NULL);
	PEM_write_X509(f, ca->certificate);
	fclose(f);
}

static SSL_CTX *
make_context(struct far_end *f, const struct far_certificate *c)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *leaf = make_certificate(key, "leaf", c->names, c->from_days, c->to_days, c->ca);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	X509_digest(leaf, EVP_sha256(), digest, &len);
	for (unsigned i = 0; i < len; i++)
		snprintf(f->digest + 2 * i, 3, "%02x", digest[i]);
	SSL_CTX_use_certificate(context, leaf);
	SSL_CTX_use_PrivateKey(context, key);
	if (c->extra_name != NULL)
		SSL_CTX_add_extra_chain_cert(
			context, make_certificate(key, c->extra_name, NULL, -1, 1, NULL));
	X509_free(leaf);
	EVP_PKEY_free(key);
	return context;
}

long
far_read(int fd, SSL *ssl, void *data, size_t size)
{
	return ssl != NULL ? SSL_read(ssl, data, (int)size) : recv(fd, data, size, 0);
}

long
far_write(int fd, SSL *ssl, const void *data, size_t len)
{
	return ssl != NULL ? SSL_write(ssl, data, (int)len) : send(fd, data, len, MSG_NOSIGNAL);
}

void
far_serve_echo(struct far_end *f, int fd, SSL *ssl)
{
	char data[65536];
	long n;

	(void)f;
	while ((n = far_read(fd, ssl, data, sizeof(data))) > 0)
		for (long at = 0, sent; at < n; at += sent)
			if ((sent = far_write(fd, ssl, data + at, (size_t)(n - at))) <= 0)
				return;
}

void
far_serve_says(struct far_end *f, int fd, SSL *ssl)
{
	(void)far_write(fd, ssl, f->says, strlen(f->says));
}

void
far_serve_mute(struct far_end *f, int fd, SSL *ssl)
{
	while (far_read(fd, ssl, f->heard, sizeof(f->heard)) > 0)
		;
}

static void
pump(int a, int b)
{
	struct pollfd p[2] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };
	char data[16384];

	while (poll(p, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (p[i].revents == 0)
				continue;
			n = recv(p[i].fd, data, sizeof(data), 0);
			if (n <= 0 || send(p[1 - i].fd, data, (size_t)n, MSG_NOSIGNAL) != n)
				return;
		}
}

void
far_serve_proxy(struct far_end *f, int fd, SSL *ssl)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(f->target),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int out = socket(AF_INET, SOCK_STREAM, 0);
	size_t len = 0;
	ssize_t n;

	(void)ssl;
	memset(f->heard, 0, sizeof(f->heard));
	while (strstr(f->heard, "\r\n\r\n") == NULL) {
		n = recv(fd, f->heard + len, sizeof(f->heard) - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	// In two pieces, so that the head is not there at once.
	(void)far_write(fd, NULL, f->says, 5);
	usleep(20000);
	(void)far_write(fd, NULL, f->says + 5, strlen(f->says + 5));
	if (strstr(f->says, " 200 ") != NULL && connect(out, (struct sockaddr *)&a, sizeof(a)) == 0)
		pump(fd, out);
	close(out);
}

static void
serve_one(struct far_end *f, int fd)
{
	SSL *ssl = NULL;

	f->connections++;
	if (f->context != NULL) {
		ssl = SSL_new(f->context);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1) {
			f->serve(f, fd, ssl);
			SSL_shutdown(ssl);
		}
		SSL_free(ssl);
	} else {
		f->serve(f, fd, NULL);
	}
	close(fd);
}

static void *
run(void *context)
{
	struct far_end *f = context;
	int fd;

	while ((fd = accept(f->fd, NULL, NULL)) >= 0)
		serve_one(f, fd);
	return NULL;
}

void
far_start(struct far_end *f, const struct far_certificate *certificate, far_serve serve)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	pthread_t thread;
	int err;

	*f = (struct far_end){ .serve = serve, .says = f->says, .target = f->target };
	if (certificate != NULL)
		f->context = make_context(f, certificate);
	f->fd = socket(AF_INET, SOCK_STREAM, 0);
	err = bind(f->fd, (struct sockaddr *)&a, sizeof(a));
	err |= listen(f->fd, 8);
	err |= getsockname(f->fd, (struct sockaddr *)&a, &len);
	assert(err == 0);
	f->port = ntohs(a.sin_port);
	pthread_create(&thread, NULL, run, f);
	f->thread = thread;
}

void
far_stop(struct far_end *f)
{
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->fd);
	SSL_CTX_free(f->context);
}
