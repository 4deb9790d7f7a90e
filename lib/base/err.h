/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Error codes.  A function that can fail returns 0 or a negative code: -1 to -4095 are errno
 * values, ours start at -5000 and exist only where a caller would act differently.
 */
#ifndef LIB_BASE_ERR_H
#define LIB_BASE_ERR_H

enum err {
	ERR_TRUNCATED = -5000,    /* fewer bytes than the format demands */
	ERR_BAD_FORMAT = -5001,   /* the bytes do not follow the format */
	ERR_BAD_MAC = -5002,      /* a mac1 or an authentication tag does not match */
	ERR_VERSION = -5003,      /* made by or for another version */
	ERR_REPLAY = -5004,       /* authentic, but old: a timestamp or counter was seen before */
	ERR_UNKNOWN_PEER = -5006, /* authentic, but nobody we know */
	ERR_BAD_KEY =
		-5007,    /* a public key that gives no shared secret, or a key of wrong length */
	ERR_FULL = -5008, /* a table or ring has no room; nothing was changed */
	ERR_PROTOCOL = -5009, /* the other process broke the rules of the shared memory */
};

/*
 * A lower-case sentence fragment for any code that our functions return ("message is too short",
 * or strerror() of an errno value).  Never NULL; valid until the thread's next call.
 */
const char *err_str(int err);

#endif
