/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/stream/trust.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/gateway/stream/tls.h"
#include "lib/base/err.h"

struct trust {
	SSL_CTX *context;
	_Atomic unsigned refs;
};

static int
add_file(SSL_CTX *context, const char *ca_file)
{
	if (access(ca_file, R_OK) < 0)
		return -errno;
	if (SSL_CTX_load_verify_file(context, ca_file) != 1) {
		ERR_clear_error();
		return ERR_BAD_FORMAT;
	}
	return 0;
}

int
trust_create(const char *ca_file, struct trust **ret_trust)
{
	struct trust *trust = calloc(1, sizeof(*trust));
	int err = 0;

	if (trust == NULL)
		return -ENOMEM;
	trust->context = SSL_CTX_new(TLS_client_method());
	if (trust->context == NULL) {
		free(trust);
		return -ENOMEM;
	}
	SSL_CTX_set_min_proto_version(trust->context, TLS1_2_VERSION);
	// Idle connections keep no record buffers; what is unused of a session is not remembered.
	SSL_CTX_set_mode(trust->context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(trust->context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(trust->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	tls_set_verifier(trust->context);
	(void)SSL_CTX_set_default_verify_paths(trust->context);
	ERR_clear_error();
	if (ca_file != NULL)
		err = add_file(trust->context, ca_file);
	if (err < 0) {
		SSL_CTX_free(trust->context);
		free(trust);
		return err;
	}
	atomic_init(&trust->refs, 1);
	*ret_trust = trust;
	return 0;
}

struct trust *
trust_ref(struct trust *trust)
{
	atomic_fetch_add_explicit(&trust->refs, 1, memory_order_relaxed);
	return trust;
}

void
trust_unref(struct trust *trust)
{
	// acq_rel: whoever frees it has seen the others' last use
	if (trust == NULL || atomic_fetch_sub_explicit(&trust->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(trust->context);
	free(trust);
}

SSL_CTX *
trust_context(const struct trust *trust)
{
	return trust->context;
}
