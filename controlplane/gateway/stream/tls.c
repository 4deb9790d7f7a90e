/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/stream/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/err.h"

#define PIN_PREFIX "sha256-raw:"
#define PIN_LEN    32
#define TEXT_LEN   200
#define NAME_LEN   128

struct tls {
	SSL *ssl;
	BIO *in, *out; // the SSL's: what the network said, what it is to be told
	bool pinned;
	uint8_t pin[PIN_LEN];
	int64_t valid_from_s, valid_to_s; // of the certificate that was refused
	char text[TEXT_LEN];              // why it failed
	char last_name[NAME_LEN];
};

static int
parse_pin(const char *hex, uint8_t pin[static PIN_LEN])
{
	if (strlen(hex) != 2 * PIN_LEN || strspn(hex, "0123456789abcdefABCDEF") != 2 * PIN_LEN)
		return -EINVAL;
	for (size_t i = 0; i < PIN_LEN; i++) {
		const char digits[] = { hex[2 * i], hex[2 * i + 1], '\0' };

		pin[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return 0;
}

// Nothing but the fingerprint counts: the certificate is in the handshake's own hands.
static int
verify_pin(X509_STORE_CTX *store, const struct tls *tls)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (leaf != NULL && X509_digest(leaf, EVP_sha256(), digest, &len) == 1 && len == PIN_LEN &&
		memcmp(digest, tls->pin, PIN_LEN) == 0)
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

static int64_t
unix_time(const ASN1_TIME *t)
{
	struct tm tm;

	return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

// The handshake throws a refused certificate away, so what is to be told of it is taken here.
static int
verify_either(X509_STORE_CTX *store, void *context)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
	const X509 *refused;
	int ok;

	(void)context;
	if (tls != NULL && tls->pinned)
		return verify_pin(store, tls);
	ok = X509_verify_cert(store);
	refused = ok == 1 ? NULL : X509_STORE_CTX_get_current_cert(store);
	if (tls != NULL && refused != NULL) {
		tls->valid_from_s = unix_time(X509_get0_notBefore(refused));
		tls->valid_to_s = unix_time(X509_get0_notAfter(refused));
	}
	return ok;
}

static int
expect_name(SSL *ssl, const char *name)
{
	struct addr address;

	if (addr_parse(name, &address) == 0)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 ? 0 : -EINVAL;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 ? 0 : -ENOMEM;
}

static int
set_names(struct tls *tls, const char *host, const char *cert_name)
{
	const char *name = cert_name != NULL ? cert_name : host;
	struct addr address;
	int err = 0;

	if (strncmp(name, PIN_PREFIX, sizeof(PIN_PREFIX) - 1) == 0) {
		tls->pinned = true;
		err = parse_pin(name + sizeof(PIN_PREFIX) - 1, tls->pin);
		name = host;
	} else {
		err = expect_name(tls->ssl, name);
	}
	if (err == 0 && addr_parse(name, &address) != 0 &&
		SSL_set_tlsext_host_name(tls->ssl, name) != 1)
		err = -ENOMEM;
	return err;
}

int
tls_create(const struct trust *trust,
	const char *host,
	const char *cert_name,
	enum stream_verify verify,
	struct tls **ret_tls)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	int err = -ENOMEM;

	if (tls == NULL)
		return -ENOMEM;
	tls->ssl = SSL_new(trust_context(trust));
	if (tls->ssl == NULL)
		goto fail;
	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	if (tls->in == NULL || tls->out == NULL) {
		BIO_free(tls->in);
		BIO_free(tls->out);
		goto fail;
	}
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	SSL_set_app_data(tls->ssl, tls);
	err = set_names(tls, host, cert_name);
	if (err < 0)
		goto fail;
	SSL_set_verify(
		tls->ssl, verify == STREAM_VERIFY_FULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_set_connect_state(tls->ssl);
	*ret_tls = tls;
	return 0;

fail:
	tls_destroy(tls);
	ERR_clear_error();
	return err;
}

void
tls_destroy(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl); // and both BIOs
	free(tls);
}

int
tls_push(struct tls *tls, const uint8_t *data, size_t len)
{
	assert(len <= INT32_MAX);
	return BIO_write(tls->in, data, (int)len) == (int)len ? 0 : -ENOMEM;
}

size_t
tls_pull(struct tls *tls, uint8_t *out, size_t size)
{
	int n = BIO_read(tls->out, out, size < INT32_MAX ? (int)size : INT32_MAX);

	return n > 0 ? (size_t)n : 0;
}

// The first thing on OpenSSL's list of complaints.
static int
failed(struct tls *tls)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	// OpenSSL reads the first letters of "HTTP/1.1 400" as a version.
	if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
		reason = "what answers does not speak TLS";
	snprintf(tls->text, sizeof(tls->text), "%s", reason != NULL ? reason : "TLS failed");
	ERR_clear_error();
	return -EPROTO;
}

int
tls_handshake(struct tls *tls)
{
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(tls->ssl);
	if (n == 1)
		return 0;
	switch (SSL_get_error(tls->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	default:
		return failed(tls);
	}
}

int
tls_read(struct tls *tls, uint8_t *out, size_t size, size_t *ret_len)
{
	size_t len = 0, n = 0;
	int ok = 1;

	ERR_clear_error();
	while (len < size && (ok = SSL_read_ex(tls->ssl, out + len, size - len, &n)) == 1)
		len += n;
	*ret_len = len;
	if (ok == 1 || len > 0) // what ends it comes again with the next call
		return 0;
	switch (SSL_get_error(tls->ssl, ok)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	default:
		return failed(tls);
	}
}

int
tls_write(struct tls *tls, const void *data, size_t len)
{
	size_t written;

	assert(len <= TLS_PLAINTEXT_MAX);
	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, data, len, &written) == 1 && written == len)
		return 0;
	return failed(tls);
}

void
tls_shutdown(struct tls *tls)
{
	ERR_clear_error();
	(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

static enum stream_certificate_problem
problem_of(long verdict)
{
	switch (verdict) {
	case X509_V_OK:
		return STREAM_CERTIFICATE_FINE;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return STREAM_CERTIFICATE_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return STREAM_CERTIFICATE_NOT_YET_VALID;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return STREAM_CERTIFICATE_WRONG_NAME;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: // another CA of the same name
		return STREAM_CERTIFICATE_UNKNOWN_CA;
	default:
		return STREAM_CERTIFICATE_OTHER;
	}
}

void
tls_failure(const struct tls *tls, struct stream_failure *failure)
{
	long verdict = SSL_get_verify_result(tls->ssl);

	failure->kind = STREAM_TLS;
	failure->text = tls->text;
	if (verdict == X509_V_OK || SSL_get_verify_mode(tls->ssl) == SSL_VERIFY_NONE)
		return;
	failure->kind = STREAM_TLS_CERTIFICATE;
	failure->certificate = problem_of(verdict);
	failure->text = tls->pinned ? "its certificate has another fingerprint"
	                            : X509_verify_cert_error_string(verdict);
	failure->valid_from_s = tls->valid_from_s;
	failure->valid_to_s = tls->valid_to_s;
}

const char *
tls_doubt(const struct tls *tls)
{
	long verdict = SSL_get_verify_result(tls->ssl);

	return verdict == X509_V_OK ? NULL : X509_verify_cert_error_string(verdict);
}

bool
tls_is_13(const struct tls *tls)
{
	return SSL_version(tls->ssl) == TLS1_3_VERSION;
}

static X509 *
last_certificate(const struct tls *tls)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(tls->ssl);
	int n = chain != NULL ? sk_X509_num(chain) : 0;

	return n > 0 ? sk_X509_value(chain, n - 1) : NULL;
}

const char *
tls_last_common_name(struct tls *tls)
{
	X509 *last = last_certificate(tls);
	int len;

	if (last == NULL)
		return NULL;
	len = X509_NAME_get_text_by_NID(X509_get_subject_name(last), NID_commonName, tls->last_name,
		sizeof(tls->last_name));
	return len > 0 && strlen(tls->last_name) == (size_t)len ? tls->last_name : NULL;
}

int64_t
tls_last_serial(const struct tls *tls)
{
	X509 *last = last_certificate(tls);
	int64_t serial;

	if (last == NULL || ASN1_INTEGER_get_int64(&serial, X509_get0_serialNumber(last)) != 1 ||
		serial < 0) {
		ERR_clear_error();
		return -1;
	}
	return serial;
}

void
tls_set_verifier(SSL_CTX *context)
{
	SSL_CTX_set_cert_verify_callback(context, verify_either, NULL);
}
