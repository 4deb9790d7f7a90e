/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Files with one secret key: 44 characters of base64 and perhaps a line break, as `wg genkey`
 * writes them, for the owner's eyes only.  And files with the auth key of a tailnet, one word,
 * under the same rules.
 *
 * Thread: any.
 */
#ifndef CONFIG_KEY_FILE_H
#define CONFIG_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/gateway.h"
#include "lib/crypto/key.h"

#define KEY_FILE_ADVICE_LEN 512

/*
 * Read a key.  `path` may be a symbolic link to a regular file; that must have no permission for
 * group and others.  On failure `advice` says "what; why; what to do", without the path and without
 * anything of the content; *ret_key is untouched.
 * Returns 0, or -errno, -EPERM (others may read it), ERR_BAD_FORMAT (no key in it).
 */
[[nodiscard]] int key_file_read(const char *path,
	struct secret_key *ret_key,
	char advice[static KEY_FILE_ADVICE_LEN]);

/*
 * Read an auth key, likewise.  The caller wipes it.  Returns 0, or -errno, -EPERM, ERR_BAD_FORMAT.
 */
[[nodiscard]] int auth_key_file_read(const char *path,
	char ret_key[static CONFIG_AUTH_KEY_LEN],
	char advice[static KEY_FILE_ADVICE_LEN]);

/* Whether the text, without the white space around it, can be an auth key; then it is copied. */
[[nodiscard]] bool
auth_key_parse(const char *text, size_t len, char ret_key[static CONFIG_AUTH_KEY_LEN]);

/*
 * Write a new file (mode 0600), whole or not at all, also across a loss of power.
 * Returns 0, -EEXIST when there is one and `replace` is false, or -errno.
 */
[[nodiscard]] int key_file_write(const char *path, const struct secret_key *key, bool replace);

#endif
