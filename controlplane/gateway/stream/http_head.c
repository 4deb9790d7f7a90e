/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/stream/http_head.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base/err.h"

#define LINE_MAX_LEN 1024 /* of a chunk's size and extension, and of all trailers */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

// "HTTP/1.1 101 Switching Protocols", without its end of line.
static int
read_status_line(const char *line, size_t len, struct http_head *h)
{
	if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ')
		return ERR_BAD_FORMAT;
	if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) || line[9] == '0')
		return ERR_BAD_FORMAT;
	if (len > 12 && line[12] != ' ')
		return ERR_BAD_FORMAT;
	h->status = (unsigned)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
	h->reason = len > 13 ? line + 13 : "";
	h->reason_len = len > 13 ? len - 13 : 0;
	return 0;
}

int
http_head_read(const char *data, size_t len, struct http_head *ret_head)
{
	static const char begin[] = "HTTP/1.";
	size_t checked = len < sizeof(begin) - 1 ? len : sizeof(begin) - 1;
	size_t seen = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	const char *end, *line_end;
	struct http_head h = {};
	int err;

	if (memcmp(data, begin, checked) != 0)
		return ERR_BAD_FORMAT; // who does not speak HTTP is not waited for
	end = memmem(data, seen, "\r\n\r\n", 4);
	if (end == NULL)
		return len >= HTTP_HEAD_MAX ? ERR_BAD_FORMAT : ERR_TRUNCATED;
	if (memchr(data, '\0', (size_t)(end - data)) != NULL)
		return ERR_BAD_FORMAT;
	h.len = (size_t)(end - data) + 4;
	line_end = memmem(data, h.len, "\r\n", 2);
	err = read_status_line(data, (size_t)(line_end - data), &h);
	if (err < 0)
		return err;
	h.fields = line_end + 2;
	h.fields_len = h.len - (size_t)(h.fields - data) - 2;
	*ret_head = h;
	return 0;
}

static void
trim(const char **text, size_t *len)
{
	while (*len > 0 && is_space((*text)[0])) {
		(*text)++;
		(*len)--;
	}
	while (*len > 0 && is_space((*text)[*len - 1]))
		(*len)--;
}

// The next line of the fields from *at on; false: none.
static bool
next_field(const struct http_head *h, size_t *at, const char **ret_line, size_t *ret_len)
{
	const char *line = h->fields + *at, *end;

	if (*at >= h->fields_len)
		return false;
	end = memmem(line, h->fields_len - *at, "\r\n", 2);
	*ret_line = line;
	*ret_len = end != NULL ? (size_t)(end - line) : h->fields_len - *at;
	*at += *ret_len + 2;
	return true;
}

static bool
is_field(const char *line, size_t len, const char *name, const char **ret_value, size_t *ret_len)
{
	size_t name_len = strlen(name);

	if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
		return false;
	*ret_value = line + name_len + 1;
	*ret_len = len - name_len - 1;
	trim(ret_value, ret_len);
	return true;
}

bool
http_head_field(const struct http_head *head,
	const char *name,
	const char **ret_value,
	size_t *ret_len)
{
	const char *line;
	size_t at = 0, len;

	while (next_field(head, &at, &line, &len))
		if (is_field(line, len, name, ret_value, ret_len))
			return true;
	return false;
}

static bool
list_has(const char *list, size_t len, const char *token)
{
	size_t token_len = strlen(token);

	while (len > 0) {
		const char *comma = memchr(list, ',', len), *item = list;
		size_t item_len = comma != NULL ? (size_t)(comma - list) : len;
		size_t step = comma != NULL ? item_len + 1 : len;

		trim(&item, &item_len);
		if (item_len == token_len && strncasecmp(item, token, token_len) == 0)
			return true;
		list += step;
		len -= step;
	}
	return false;
}

bool
http_head_has_token(const struct http_head *head, const char *name, const char *token)
{
	const char *line, *value;
	size_t at = 0, len, value_len;

	while (next_field(head, &at, &line, &len))
		if (is_field(line, len, name, &value, &value_len) &&
			list_has(value, value_len, token))
			return true;
	return false;
}

bool
http_head_date(const struct http_head *head, int64_t *ret_unix_s)
{
	char text[64];
	const char *value, *end;
	struct tm tm = {};
	size_t len;

	if (!http_head_field(head, "Date", &value, &len) || len >= sizeof(text))
		return false;
	memcpy(text, value, len);
	text[len] = '\0';
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (end == NULL || *end != '\0')
		return false;
	*ret_unix_s = (int64_t)timegm(&tm);
	return true;
}

static int
read_length(const char *text, size_t len, uint64_t *ret)
{
	uint64_t n = 0;

	if (len == 0 || len > 18)
		return ERR_BAD_FORMAT;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(text[i]))
			return ERR_BAD_FORMAT;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	*ret = n;
	return 0;
}

int
http_body_begin(struct http_body *body, const struct http_head *head)
{
	const char *value;
	size_t len;
	int err;

	*body = (struct http_body){ .state = HTTP_BODY_OPEN };
	if (head->status < 200 || head->status == 204 || head->status == 304) {
		body->state = HTTP_BODY_DONE;
		return 0;
	}
	if (http_head_has_token(head, "Transfer-Encoding", "chunked")) {
		body->state = HTTP_BODY_SIZE;
		return 0;
	}
	if (!http_head_field(head, "Content-Length", &value, &len))
		return 0;
	err = read_length(value, len, &body->left);
	body->state = body->left > 0 ? HTTP_BODY_COUNTED : HTTP_BODY_DONE;
	return err;
}

static int
add_digit(struct http_body *b, char c)
{
	int digit = is_digit(c)            ? c - '0'
	            : c >= 'a' && c <= 'f' ? c - 'a' + 10
	            : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                                   : -1;

	if (digit < 0 || b->line_len > 15)
		return ERR_BAD_FORMAT;
	b->left = b->left * 16 + (uint64_t)digit;
	return 0;
}

// A character of the line "1a;extension CR LF".
static int
push_size(struct http_body *b, char c)
{
	if (c == '\n') {
		if (b->line_len == 0)
			return ERR_BAD_FORMAT;
		b->state = b->left > 0 ? HTTP_BODY_CHUNK : HTTP_BODY_TRAILER;
		b->line_len = 0;
		b->in_extension = false;
		return 0;
	}
	if (c == ';' || c == '\r' || is_space(c))
		b->in_extension = true;
	else if (!b->in_extension && add_digit(b, c) < 0)
		return ERR_BAD_FORMAT;
	return ++b->line_len > LINE_MAX_LEN ? ERR_BAD_FORMAT : 0;
}

static int
push_trailer(struct http_body *b, char c)
{
	if (c == '\n' && !b->in_extension) {
		b->state = HTTP_BODY_DONE;
		return 0;
	}
	// in_extension: the line under way is not empty
	b->in_extension = c != '\n' && (b->in_extension || c != '\r');
	return ++b->line_len > LINE_MAX_LEN ? ERR_BAD_FORMAT : 0;
}

static int
push_character(struct http_body *b, char c)
{
	switch (b->state) {
	case HTTP_BODY_SIZE:
		return push_size(b, c);
	case HTTP_BODY_TRAILER:
		return push_trailer(b, c);
	default: // CHUNK_END
		if (c == '\r')
			return 0;
		b->state = HTTP_BODY_SIZE;
		return c == '\n' ? 0 : ERR_BAD_FORMAT;
	}
}

static size_t
take_piece(struct http_body *b, size_t len)
{
	if (b->state == HTTP_BODY_OPEN)
		return len;
	if (len > b->left)
		len = (size_t)b->left;
	b->left -= len;
	if (b->left == 0)
		b->state = b->state == HTTP_BODY_COUNTED ? HTTP_BODY_DONE : HTTP_BODY_CHUNK_END;
	return len;
}

int
http_body_push(struct http_body *body,
	const char *data,
	size_t len,
	size_t *ret_taken,
	const char **ret_piece,
	size_t *ret_piece_len)
{
	size_t at = 0;
	int err;

	*ret_piece_len = 0;
	*ret_piece = data;
	while (at < len && body->state != HTTP_BODY_DONE) {
		if (body->state == HTTP_BODY_COUNTED || body->state == HTTP_BODY_CHUNK ||
			body->state == HTTP_BODY_OPEN) {
			*ret_piece = data + at;
			*ret_piece_len = take_piece(body, len - at);
			at += *ret_piece_len;
			break;
		}
		err = push_character(body, data[at++]);
		if (err < 0)
			return err;
	}
	*ret_taken = at;
	return 0;
}
