/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/peer_api/request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"

struct span { /* a part of the head */
	const char *p;
	size_t len;
};

// RFC 9110 section 5.6.2.
static bool
is_token(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL)))
			return false;
	}
	return s.len > 0;
}

// No control characters but a tab: RFC 9110 section 5.5.
static bool
is_value(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

static struct span
trim(struct span s)
{
	for (; s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'); s.len--)
		s.p++;
	for (; s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t');)
		s.len--;
	return s;
}

static bool
is_name(struct span s, const char *name)
{
	return s.len == strlen(name) && strncasecmp(s.p, name, s.len) == 0;
}

// Take what comes before `c` off the front, and `c`.  False: it is not there.
static bool
cut(struct span *rest, char c, struct span *ret_before)
{
	const char *at = rest->len > 0 ? memchr(rest->p, c, rest->len) : NULL;

	if (at == NULL)
		return false;
	*ret_before = (struct span){ rest->p, (size_t)(at - rest->p) };
	rest->p = at + 1;
	rest->len -= ret_before->len + 1;
	return true;
}

// A line without its end, which is CRLF or a bare LF (RFC 9112 section 2.2).
static bool
cut_line(struct span *rest, struct span *ret_line)
{
	if (!cut(rest, '\n', ret_line))
		return false;
	if (ret_line->len > 0 && ret_line->p[ret_line->len - 1] == '\r')
		ret_line->len--;
	return true;
}

static int
copy(struct span s, char *out, size_t size)
{
	if (s.len >= size)
		return -E2BIG;
	if (s.len > 0)
		memcpy(out, s.p, s.len);
	out[s.len] = '\0';
	return 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
take_path(struct span s, struct peer_api_request *r)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '%') {
			int high = i + 2 < s.len ? hex_digit(s.p[i + 1]) : -1;
			int low = i + 2 < s.len ? hex_digit(s.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ERR_BAD_FORMAT;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			return ERR_BAD_FORMAT;
		if (n + 1 >= sizeof(r->path))
			return -E2BIG;
		r->path[n++] = c;
	}
	r->path[n] = '\0';
	return 0;
}

// "/path?query", "http://host/path?query", "*", or "host:port" (of CONNECT): RFC 9112 section 3.2.
static int
take_target(struct span s, struct peer_api_request *r)
{
	struct span path = s;
	int err = 0;

	if (s.len == 0 || !is_value(s))
		return ERR_BAD_FORMAT;
	if (s.len >= 7 && strncasecmp(s.p, "http://", 7) == 0) {
		struct span host = { s.p + 7, s.len - 7 };
		size_t n = 0;

		while (n < host.len && host.p[n] != '/' && host.p[n] != '?')
			n++;
		path = (struct span){ host.p + n, host.len - n };
		host.len = n;
		err = copy(host, r->host, sizeof(r->host));
		if (path.len == 0)
			path = (struct span){ "/", 1 };
	}
	for (size_t i = 0; i < path.len; i++)
		if (path.p[i] == '?')
			path.len = i;
	return err == 0 ? take_path(path, r) : err;
}

static int
take_version(struct span s)
{
	if (s.len != 8 || strncmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.')
		return ERR_BAD_FORMAT;
	return s.p[5] == '1' && (s.p[7] == '0' || s.p[7] == '1') ? 0 : ERR_VERSION;
}

static int
take_request_line(struct span line, struct peer_api_request *r)
{
	struct span method, target;
	int err;

	if (!cut(&line, ' ', &method) || !cut(&line, ' ', &target) || !is_token(method))
		return ERR_BAD_FORMAT;
	err = take_version(line);
	if (err == 0)
		err = copy(method, r->method, sizeof(r->method));
	return err == 0 ? take_target(target, r) : err;
}

// As the reference guesses it: browsers name more about themselves than daemons do.
static bool
is_of_browser(struct span name, struct span value)
{
	size_t n_spaces = 0;

	if (is_name(name, "Accept-Language"))
		return true;
	if (is_name(name, "Accept-Encoding"))
		return memmem(value.p, value.len, "deflate", 7) != NULL;
	if (!is_name(name, "User-Agent"))
		return false;
	for (size_t i = 0; i < value.len; i++)
		n_spaces += value.p[i] == ' ';
	return n_spaces > 2 || (value.len >= 8 && strncmp(value.p, "Mozilla/", 8) == 0);
}

static int
take_header(struct span line, bool has_host, struct peer_api_request *r, bool *ret_is_host)
{
	struct span name;

	// A line that begins with a blank would go on with the one before: nobody writes that now.
	if (!cut(&line, ':', &name) || !is_token(name))
		return ERR_BAD_FORMAT;
	line = trim(line);
	if (!is_value(line))
		return ERR_BAD_FORMAT;
	r->has_referer |= is_name(name, "Referer") && line.len > 0;
	r->has_origin |= is_name(name, "Origin") && line.len > 0;
	r->is_browser |= is_of_browser(name, line);
	*ret_is_host = is_name(name, "Host");
	if (!*ret_is_host)
		return 0;
	if (has_host)
		return ERR_BAD_FORMAT; // RFC 9112 section 3.2
	return r->host[0] == '\0' ? copy(line, r->host, sizeof(r->host)) : 0;
}

// Where the head ends, 0: not here.  An empty line, after a line.
static size_t
head_len(const char *data, size_t len)
{
	for (size_t i = 1; i < len; i++)
		if (data[i] == '\n' && (data[i - 1] == '\n' || (i > 1 && data[i - 1] == '\r' &&
								       data[i - 2] == '\n')))
			return i + 1;
	return 0;
}

int
peer_api_request_read(const char *data, size_t len, struct peer_api_request *ret_request)
{
	struct span rest = { data, len }, line;
	struct peer_api_request r = {};
	bool has_host = false;
	int err;

	// RFC 9112 section 2.2: an empty line before the request is passed over.
	if (rest.len >= 2 && rest.p[0] == '\r' && rest.p[1] == '\n')
		rest = (struct span){ data + 2, len - 2 };
	rest.len = head_len(rest.p, rest.len);
	if (rest.len == 0)
		return len >= REQUEST_HEAD_MAX_LEN ? -E2BIG : ERR_TRUNCATED;
	if (rest.len > REQUEST_HEAD_MAX_LEN)
		return -E2BIG;
	if (!cut_line(&rest, &line))
		return ERR_BAD_FORMAT;
	err = take_request_line(line, &r);
	while (err == 0 && cut_line(&rest, &line) && line.len > 0) {
		bool is_host;

		err = take_header(line, has_host, &r, &is_host);
		has_host |= err == 0 && is_host;
	}
	if (err == 0)
		*ret_request = r;
	return err;
}
