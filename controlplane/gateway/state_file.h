/* SPDX-License-Identifier: BSD-3-Clause
 *
 * STATE_DIR/timestamps: per peer, the latest timestamp that we accepted and the latest that we
 * sent, so that a cold start still refuses old initiations and never sends one that looks old.
 *
 *     sluice-timestamps 1
 *     PUBLIC-KEY RX-HEX TX-HEX
 *
 * Owner:  coord.  Peers that left the configuration stay in the file, up to a limit.
 */
#ifndef CONTROLPLANE_GATEWAY_STATE_FILE_H
#define CONTROLPLANE_GATEWAY_STATE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/crypto/key.h"
#include "lib/wg/tai64n.h"

#define STATE_FILE_NAME "timestamps"
#define STATE_FILE_MAX  131072 /* peers */

struct peer_stamps {
	struct public_key key;
	struct wg_tai64n rx;
	struct wg_tai64n tx;
};

struct state_file {                /* starts zeroed */
	struct peer_stamps *items; /* sorted by key */
	size_t n;
};

/*
 * Read what is there.  A file that is missing is empty; lines that are not understood are skipped
 * (ret_skipped counts them).  0, -ENOMEM, -errno.
 */
[[nodiscard]] int state_file_load(struct state_file *file, const char *path, size_t *ret_skipped);
/*
 * Write it: mode 0600, under another name first, then renamed, each step stored.  0 or -errno.
 */
[[nodiscard]] int state_file_save(const struct state_file *file, const char *path);

/* Take newer stamps over; older ones change nothing.  True: something is to be saved. */
bool state_file_merge(struct state_file *file, const struct peer_stamps *stamps, size_t n);
/* Borrowed, or NULL. */
const struct peer_stamps *state_file_find(const struct state_file *file,
	const struct public_key *key);
void state_file_fini(struct state_file *file);

#endif
