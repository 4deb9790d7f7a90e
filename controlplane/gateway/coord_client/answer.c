/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/coord_client/client.h"
#include "lib/base/secret.h"
#include "lib/crypto/key.h"

#define MAX_RETRY_AFTER_S 3600

void
answer_begin(struct answer *a, size_t limit)
{
	*a = (struct answer){ .limit = limit };
}

void
answer_status(struct answer *a, unsigned status, const char *retry_after)
{
	a->status = status;
	snprintf(a->retry_after, sizeof(a->retry_after), "%s", retry_after);
}

int
answer_add(struct answer *a, const uint8_t *data, size_t len)
{
	char *grown;

	if (a->status != 200 && a->len + len > COORD_ERROR_BODY)
		len = a->len < COORD_ERROR_BODY ? COORD_ERROR_BODY - a->len : 0;
	if (a->len + len > a->limit)
		return -E2BIG;
	if (len == 0)
		return 0;
	grown = realloc(a->body, a->len + len + 1);
	if (grown == NULL)
		return -ENOMEM;
	memcpy(grown + a->len, data, len);
	a->body = grown;
	a->len += len;
	a->body[a->len] = '\0';
	return 0;
}

void
answer_end(struct answer *a)
{
	free(a->body);
	*a = (struct answer){};
}

static int64_t
retry_after_s(const struct answer *a)
{
	char *end;
	long s = strtol(a->retry_after, &end, 10);
	uint8_t chance;

	if (a->retry_after[0] != '\0' && *end == '\0' && s > 0 && s <= MAX_RETRY_AFTER_S)
		return s;
	random_bytes(&chance, 1);
	return 5 + chance % 6;
}

void
answer_fail(struct coord_client *cc, const struct answer *a)
{
	char why[COORD_TEXT_LEN];
	enum coord_failure_kind kind = COORD_FAILED_SERVER;
	int64_t pause_s;

	snprintf(why, sizeof(why), "it answers %u%s%.*s", a->status, a->len > 0 ? ": " : "",
		(int)strcspn(a->body != NULL ? a->body : "", "\r\n"),
		a->body != NULL ? a->body : "");
	if (a->status == 429)
		kind = COORD_FAILED_RATE_LIMITED;
	else if (a->status == 404)
		kind = COORD_FAILED_UNKNOWN_NODE;
	else if (a->status == 400 && a->body != NULL && strcasestr(a->body, "version") != NULL)
		kind = COORD_FAILED_WE_TOO_OLD;
	pause_s = kind == COORD_FAILED_RATE_LIMITED ? retry_after_s(a) : 0;
	client_fail_with(cc, kind, why);
	if (pause_s > 0)
		cc->retry_at = mono_add_ns(cc->now, pause_s * NS_PER_S);
}
