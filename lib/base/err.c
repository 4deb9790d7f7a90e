/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/base/err.h"

#include <stddef.h>
#include <string.h>

static const struct {
	int err;
	const char *text;
} texts[] = {
	{ ERR_TRUNCATED, "message is too short" },
	{ ERR_BAD_FORMAT, "bytes do not follow the format" },
	{ ERR_BAD_MAC, "authentication failed" },
	{ ERR_VERSION, "made by another version" },
	{ ERR_REPLAY, "seen before" },
	{ ERR_UNKNOWN_PEER, "unknown peer" },
	{ ERR_BAD_KEY, "bad key" },
	{ ERR_FULL, "no room left" },
	{ ERR_PROTOCOL, "the other process broke the protocol" },
};

const char *
err_str(int err)
{
	if (err == 0)
		return "success";
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].err == err)
			return texts[i].text;
	if (err < 0 && err >= -4095)
		return strerror(-err);
	return "unknown error";
}
