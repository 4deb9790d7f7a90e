/* SPDX-License-Identifier: BSD-3-Clause
 *
 * By rows, then against jansson as a twin: what one accepts the other does, on texts made of random
 * pieces.  RFC 8259.
 */

#include "lib/derp/flat_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

// What was given out, as one text: "name=kind:value;" per member.
struct seen {
	char text[512];
	size_t len;
};

static int
note(void *context, const char *name, size_t name_len, const struct flat_json_value *v)
{
	struct seen *s = context;
	char *at = s->text + s->len;
	size_t room = sizeof(s->text) - s->len;
	int n = 0;

	switch (v->kind) {
	case FLAT_JSON_NULL:
		n = snprintf(at, room, "%.*s=null;", (int)name_len, name);
		break;
	case FLAT_JSON_BOOL:
		n = snprintf(at, room, "%.*s=%s;", (int)name_len, name, v->boolean ? "yes" : "no");
		break;
	case FLAT_JSON_INTEGER:
		n = snprintf(at, room, "%.*s=%lld;", (int)name_len, name, (long long)v->integer);
		break;
	case FLAT_JSON_STRING:
		n = snprintf(at, room, "%.*s='%.*s';", (int)name_len, name, (int)v->len, v->text);
		break;
	case FLAT_JSON_OTHER:
		n = snprintf(at, room, "%.*s=other;", (int)name_len, name);
		break;
	}
	s->len += (size_t)n;
	return 0;
}

// The text in memory of exactly its length: a sanitizer sees what is read behind.
static int
read_exact(const char *text, size_t len, flat_json_member member, void *context)
{
	char *exact = memcpy(malloc(len > 0 ? len : 1), text, len);
	int err = flat_json_read(exact, len, member, context);

	free(exact);
	return err;
}

static const struct {
	const char *text;
	const char *seen; /* NULL: refused */
} rows[] = {
	{ "{}", "" },
	{ " \t\r\n{ } ", "" },
	{ "null", "" },
	{ "", NULL },
	{ " ", NULL },
	{ "[]", NULL },
	{ "true", NULL },
	{ "1", NULL },
	{ "\"a\"", NULL },
	{ "nul", NULL },
	{ "null null", NULL },
	{ "{}{}", NULL },
	{ "{\"a\":1}", "a=1;" },
	{ "{ \"a\" : 1 , \"b\" : true, \"c\":false,\"d\":null }", "a=1;b=yes;c=no;d=null;" },
	{ "{\"a\":\"\",\"b\":\"x y\"}", "a='';b='x y';" },
	{ "{\"a\":1,\"a\":2}", "a=1;a=2;" },
	{ "{\"a\":1,}", NULL },
	{ "{,}", NULL },
	{ "{\"a\"}", NULL },
	{ "{\"a\":}", NULL },
	{ "{\"a\" 1}", NULL },
	{ "{\"a\":1 \"b\":2}", NULL },
	{ "{a:1}", NULL },
	{ "{\"a\":1", NULL },
	{ "{\"a\":tru}", NULL },
	{ "{\"a\":truely}", NULL },
	{ "{\"a\":0,\"b\":-0,\"c\":-1}", "a=0;b=0;c=-1;" },
	{ "{\"a\":9223372036854775807,\"b\":-9223372036854775808}",
		"a=9223372036854775807;b=-9223372036854775808;" },
	{ "{\"a\":9223372036854775808,\"b\":-9223372036854775809}", "a=other;b=other;" },
	{ "{\"a\":100000000000000000000000000000000000000000}", "a=other;" },
	{ "{\"a\":1.0,\"b\":1e2,\"c\":1E+2,\"d\":1.5e-3}", "a=other;b=other;c=other;d=other;" },
	{ "{\"a\":01}", NULL },
	{ "{\"a\":-}", NULL },
	{ "{\"a\":+1}", NULL },
	{ "{\"a\":.5}", NULL },
	{ "{\"a\":1.}", NULL },
	{ "{\"a\":1e}", NULL },
	{ "{\"a\":1e+-1}", NULL },
	{ "{\"a\":[],\"b\":[1,2],\"c\":{},\"d\":{\"x\":[{\"y\":null}]}}",
		"a=other;b=other;c=other;d=other;" },
	{ "{\"a\":[1,]}", NULL },
	{ "{\"a\":[,1]}", NULL },
	{ "{\"a\":[1 2]}", NULL },
	{ "{\"a\":[}", NULL },
	{ "{\"a\":{\"b\":1]}", NULL },
	{ "{\"a\":{\"b\"}}", NULL },
	{ "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"}",
		"a='\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041';" },
	{ "{\"a\":\"\\x\"}", NULL },
	{ "{\"a\":\"\\u004\"}", NULL },
	{ "{\"a\":\"\\u004g\"}", NULL },
	{ "{\"a\":\"\\", NULL },
	{ "{\"a\":\"\\u00", NULL },
	{ "{\"a\":\"b", NULL },
	{ "{\"a\":\"b\nc\"}", NULL },
	{ "{\"a\":\"\x7f\xc3\xa9\"}", "a='\x7f\xc3\xa9';" },
};

// On one line, as TAP wants it.
static const char *
one_line(const char *text, char line[static 128])
{
	size_t len = 0;

	for (; text[len] != '\0' && len < 127; len++)
		line[len] = (unsigned char)text[len] < ' ' ? ' ' : text[len];
	line[len] = '\0';
	return line;
}

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char line[128];
		const char *what = one_line(rows[i].text, line);
		struct seen seen = {};
		int err = read_exact(rows[i].text, strlen(rows[i].text), note, &seen);

		if (rows[i].seen == NULL) {
			tap_int(err, ERR_BAD_FORMAT, what);
		} else {
			tap_int(err, 0, what);
			tap_text(seen.text, rows[i].seen, what);
		}
	}
}

static void
test_zero_bytes(void)
{
	tap_int(read_exact("{\"a\":\"\\\0\"}", 10, note, &(struct seen){}), ERR_BAD_FORMAT,
		"a zero behind a backslash");
	tap_int(read_exact("{}\0", 3, note, &(struct seen){}), ERR_BAD_FORMAT, "a zero at the end");
}

static void
test_depth(void)
{
	for (unsigned depth = FLAT_JSON_MAX_DEPTH - 1; depth <= FLAT_JSON_MAX_DEPTH + 1; depth++) {
		char text[256] = "{\"a\":";

		for (unsigned i = 0; i < depth; i++)
			strcat(text, "[");
		for (unsigned i = 0; i < depth; i++)
			strcat(text, "]");
		strcat(text, "}");
		tap_int(read_exact(text, strlen(text), note, &(struct seen){}),
			depth <= FLAT_JSON_MAX_DEPTH ? 0 : ERR_BAD_FORMAT, "so deep and no deeper");
	}
}

static int
refuse(void *context, const char *, size_t, const struct flat_json_value *)
{
	++*(int *)context;
	return -E2BIG;
}

static void
test_refusing_member(void)
{
	int calls = 0;

	tap_int(read_exact("{\"a\":1,\"b\":2}", 13, refuse, &calls), -E2BIG,
		"what a member returns");
	tap_int(calls, 1, "ends the reading");
}

static void
test_names(void)
{
	tap_ok(flat_json_is_name("VersioN", 7, "version"), "names match in any case");
	tap_ok(!flat_json_is_name("version", 6, "version"), "but not cut");
	tap_ok(!flat_json_is_name("versions", 8, "version"), "and not with more");
}

static int
accept(void *, const char *, size_t, const struct flat_json_value *)
{
	return 0;
}

// Objects and null, as the twin sees them.  It gives up at numbers beyond its range, and would
// refuse a zero escape and lone surrogates, of which there are none here.
static bool
twin_accepts(const char *text, size_t len, bool *ret_undecided)
{
	json_error_t error = {};
	json_t *root = json_loadb(text, len, JSON_DECODE_ANY, &error);
	bool accepted = json_is_object(root) || json_is_null(root);

	*ret_undecided = root == NULL && json_error_code(&error) == json_error_numeric_overflow;
	json_decref(root);
	return accepted;
}

static uint64_t seed = 7;

static size_t
next_random(size_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(seed >> 33) % below;
}

static void
test_twin(void)
{
	static const char *const pieces[] = { "{", "}", "[", "]", ":", ",", "\"a\"", "\"\\n\"", "1",
		"-0", "1.5", "2e3", "true", "false", "null", " ", "\"a\":1", "\"b\":{}",
		"{\"c\":", "[1,2]", "\\", "0" };
	size_t wrong = 0, accepted = 0;

	for (int i = 0; i < 300000; i++) {
		char text[128] = "{";
		bool ours, twin, undecided;

		if (next_random(16) == 0)
			text[0] = '\0';
		for (size_t n = next_random(7); n > 0; n--)
			strcat(text, pieces[next_random(sizeof(pieces) / sizeof(pieces[0]))]);
		if (next_random(4) != 0)
			strcat(text, "}");
		ours = read_exact(text, strlen(text), accept, NULL) == 0;
		accepted += ours;
		twin = twin_accepts(text, strlen(text), &undecided);
		if (!undecided && ours != twin && wrong++ < 3)
			printf("# ours %d: %s\n", ours, text);
	}
	tap_int((long long)wrong, 0, "jansson agrees on 300,000 texts");
	tap_ok(accepted > 3000, "%zu of which are good", accepted);
}

int
main(void)
{
	test_rows();
	test_zero_bytes();
	test_depth();
	test_refusing_member();
	test_names();
	test_twin();
	return tap_done();
}
