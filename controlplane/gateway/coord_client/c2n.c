/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/coord_client/c2n.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_ROOM 128

// "POST /echo HTTP/1.1", any method, perhaps with a query.
static bool
is_echo(const char *request, size_t len)
{
	const char *end = memmem(request, len, "\r\n", 2);
	const char *path = end != NULL ? memchr(request, ' ', (size_t)(end - request)) : NULL;
	size_t left;

	if (path == NULL)
		return false;
	path++;
	left = (size_t)(end - path);
	return left > 5 && memcmp(path, "/echo", 5) == 0 && (path[5] == ' ' || path[5] == '?');
}

char *
c2n_answer(const char *request, size_t len, size_t *ret_len)
{
	const char *blank = memmem(request, len, "\r\n\r\n", 4);
	bool echo = blank != NULL && is_echo(request, len);
	const char *body = echo ? blank + 4 : "unknown c2n path\n";
	size_t body_len = echo ? len - (size_t)(body - request) : strlen(body);
	char *answer = malloc(HEAD_ROOM + body_len);
	int head_len;

	if (answer == NULL)
		return NULL;
	head_len = snprintf(answer, HEAD_ROOM,
		"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
		"%zu\r\n\r\n",
		echo ? "200 OK" : "400 Bad Request", body_len);
	memcpy(answer + head_len, body, body_len);
	*ret_len = (size_t)head_len + body_len;
	return answer;
}
