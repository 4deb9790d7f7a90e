/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/acl_reason.h"

#include <stdio.h>

const char *
acl_reason_metric(enum acl_reason reason)
{
	static const char *const metrics[] = {
#define X(id, accepted, metric, words) [id] = metric,
		ACL_REASONS(X)
#undef X
	};

	return reason < N_ACL_REASONS ? metrics[reason] : "";
}

const char *
acl_reason_words(enum acl_reason reason, uint8_t protocol, char text[static ACL_WORDS_LEN])
{
	static const char *const all[] = {
#define X(id, accepted, metric, words) [id] = words,
		ACL_REASONS(X)
#undef X
	};
	const char *words = reason < N_ACL_REASONS ? all[reason] : "unknown";

	if (reason == ACL_OTHER_NO_RULE)
		snprintf(text, ACL_WORDS_LEN, "%s%u", words, protocol);
	else
		snprintf(text, ACL_WORDS_LEN, "%s", words);
	return text;
}
