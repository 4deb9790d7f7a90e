/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the store's files share: store.c has the values, store_read.c and store_write.c the form on
 * disk.
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_STORE_STATE_H
#define CONTROLPLANE_GATEWAY_TAILNET_STORE_STATE_H

#include "controlplane/gateway/durable_file.h"
#include "controlplane/gateway/tailnet/store.h"
#include "lib/base/secret.h"
#include "lib/crypto/sign.h"

#define STORE_VERSION     1
#define STORE_MAX_UNKNOWN 256 /* members that only another version knows */

struct store_unknown { /* a member to be written back as it was */
	char *name, *text;
};

struct store {
	char path[DURABLE_FILE_PATH_LEN];
	struct secret_key machine_key, disco_key;
	uint8_t lock_private[SIGN_PRIVATE_LEN], lock_public[SIGN_PUBLIC_LEN];
	char log_id[STORE_LOG_ID_LEN];
	struct secret_key node_key, old_node_key; /* zeros: none */
	char login_server[CONFIG_URL_LEN];
	char login_name[STORE_TEXT_LEN], stable_id[STORE_TEXT_LEN];
	bool wanted, logged_out;
	struct tailnet_prefs prefs;
	struct store_unknown unknown[STORE_MAX_UNKNOWN];
	size_t n_unknown;
	int64_t version;
};

static inline bool
store_key_is_zero(const struct secret_key *key)
{
	static const struct secret_key zeros;

	return secret_equal(key->bytes, zeros.bytes, sizeof(zeros.bytes));
}

/*
 * The file into a store with every preference at its default.  0; ERR_BAD_FORMAT, ERR_BAD_KEY or
 * -E2BIG: damaged; ERR_VERSION: `version` is a later one's; -ENOENT, -errno, -ENOMEM.
 */
[[nodiscard]] int store_read(struct store *s);

#endif
