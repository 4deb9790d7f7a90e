/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Against the reference's requests and answers (argv[1]: tests/vectors/derp.json, "http"); then
 * hosts and heads from strangers.
 */

#include "lib/derp/upgrade.h"

#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/traversal/vector.h"

static void
test_request(const json_t *v, bool fast_start)
{
	struct derp_upgrade_request request = { .host = "derp.example", .fast_start = fast_start };
	const char *wanted = vector_text(v, "request");
	char got[DERP_REQUEST_MAX_LEN];
	size_t len = 0;

	tap_int(derp_upgrade_request_write(got, &request, &len), 0, vector_text(v, "name"));
	tap_int((long long)len, (long long)strlen(wanted), "length of the request");
	tap_bytes(got, wanted, len, "the request");
}

static unsigned
status_of(const char *head)
{
	return (unsigned)strtoul(strchr(head, ' '), NULL, 10);
}

// Byte by byte until the head is whole, with what follows behind it.
static void
test_response(const json_t *v)
{
	const char *head = vector_text(v, "response_head");
	size_t head_len = strlen(head), got_len = 0, early = 0;
	unsigned status = 0;
	char stream[2048];

	if (head_len == 0)
		return;
	snprintf(stream, sizeof(stream), "%sbehind", head);
	for (size_t len = 0; len < head_len; len++) {
		char *exact = memcpy(malloc(len + 1), stream, len);

		early += derp_upgrade_response_read(exact, len, &status, &got_len) != ERR_TRUNCATED;
		free(exact);
	}
	tap_int((long long)early, 0, "no answer before the head is whole");
	tap_int(derp_upgrade_response_read(stream, head_len, &status, &got_len), 0,
		"then it is read");
	tap_int((long long)got_len, (long long)head_len, "its length");
	tap_int(status, status_of(head), "its status");
	tap_int(derp_upgrade_response_read(stream, strlen(stream), &status, &got_len), 0,
		"frames may follow in the same read");
	tap_int((long long)got_len, (long long)head_len, "they are not of the head");
}

static void
test_server_answer(const json_t *v, const json_t *keys)
{
	struct public_key server =
		vector_public(vector_text(json_object_get(keys, "server"), "public"));
	const char *wanted = vector_text(v, "response_head");
	char got[DERP_RESPONSE_LEN];

	tap_int((long long)derp_upgrade_response_write(got, &server), (long long)strlen(wanted),
		"length of the server's answer");
	tap_bytes(got, wanted, strlen(wanted), "the server's answer");
}

// The common name as it lies in the certificate's DER: a string of 71 bytes.
static void
test_meta_certificate(const json_t *root)
{
	struct public_key server = vector_public(
		vector_text(json_object_get(json_object_get(root, "keys"), "server"), "public"));
	struct public_key key = {};
	size_t len;
	uint8_t *der = vector_hex(root, "meta_certificate", &len);
	const char *name = memmem(der, len, "derpkey", 7);

	tap_int(name[-1], DERP_META_NAME_LEN, "length of the name in the certificate");
	tap_int(derp_meta_name_read(name, DERP_META_NAME_LEN, &key), 0, "the meta certificate");
	tap_bytes(&key, &server, sizeof(key), "has the server's key");
	free(der);
}

static void
test_meta_names(void)
{
	char name[DERP_META_NAME_LEN + 2] = "derpkey";
	struct public_key key;

	memset(name + 7, '0', 65);
	tap_int(derp_meta_name_read(name, DERP_META_NAME_LEN, &key), 0, "64 digits");
	tap_int(derp_meta_name_read(name, DERP_META_NAME_LEN - 1, &key), ERR_BAD_FORMAT, "63");
	tap_int(derp_meta_name_read(name, DERP_META_NAME_LEN + 1, &key), ERR_BAD_FORMAT, "65");
	name[70] = 'g';
	tap_int(derp_meta_name_read(name, DERP_META_NAME_LEN, &key), ERR_BAD_FORMAT, "no digit");
	name[70] = '0';
	name[0] = 'D';
	tap_int(derp_meta_name_read(name, DERP_META_NAME_LEN, &key), ERR_BAD_FORMAT,
		"another name");
	tap_int(derp_meta_name_read("derp.example", 12, &key), ERR_BAD_FORMAT,
		"a host's certificate");
}

static char long_name[512];

static const char *
name_of_len(size_t len)
{
	memset(long_name, 'x', len);
	long_name[len] = '\0';
	return long_name;
}

static int
write_request(const char *host, const char *ideal_node)
{
	struct derp_upgrade_request request = { .host = host, .ideal_node = ideal_node };
	char text[DERP_REQUEST_MAX_LEN];
	size_t len;

	return derp_upgrade_request_write(text, &request, &len);
}

static void
test_names(void)
{
	tap_int(write_request("derp.example:3340", NULL), 0, "a host with a port");
	tap_int(write_request("[2001:db8::1]:443", "1a"), 0, "an address");
	tap_int(write_request("", NULL), ERR_BAD_FORMAT, "no host");
	tap_int(write_request("a b", NULL), ERR_BAD_FORMAT, "a space");
	tap_int(write_request("a\r\nX: y", NULL), ERR_BAD_FORMAT, "another header");
	tap_int(write_request("a", "1\n"), ERR_BAD_FORMAT, "another line in the node's name");
	tap_int(write_request("a", ""), ERR_BAD_FORMAT, "an empty node's name");
	tap_int(write_request("d\xc3\xa9rp.example", NULL), ERR_BAD_FORMAT, "not ASCII");
	tap_int(write_request(name_of_len(259), NULL), 0, "the longest host and port");
	tap_int(write_request(name_of_len(260), NULL), ERR_BAD_FORMAT, "a longer one");
	tap_int(write_request("a", name_of_len(255)), 0, "the longest node's name");
	tap_int(write_request("a", name_of_len(256)), ERR_BAD_FORMAT, "a longer one");
}

static void
test_whole_request(void)
{
	static const char wanted[] = "GET /derp HTTP/1.1\r\nHost: a\r\nUpgrade: DERP\r\n"
				     "Connection: Upgrade\r\nIdeal-Node: 1a\r\n"
				     "Derp-Fast-Start: 1\r\n\r\n";
	struct derp_upgrade_request request = { "a", "1a", true };
	char got[DERP_REQUEST_MAX_LEN];
	size_t len;

	tap_int(derp_upgrade_request_write(got, &request, &len), 0, "with everything");
	tap_int((long long)len, sizeof(wanted) - 1, "its length");
	tap_bytes(got, wanted, len, "its text");
}

static const struct {
	const char *what;
	const char *text;
	int err;
	unsigned status;
} heads[] = {
	{ "no reason, HTTP/1.0", "HTTP/1.0 101\r\n\r\n", 0, 101 },
	{ "not upgraded", "HTTP/1.1 200 OK\r\n\r\n", 0, 200 },
	{ "lines without CR", "HTTP/1.1 101 Switching Protocols\n\n", ERR_TRUNCATED, 0 },
	{ "two digits", "HTTP/1.1 10\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "four digits", "HTTP/1.1 1011\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "no digits", "HTTP/1.1 abc\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "two spaces", "HTTP/1.1  101\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "a version x", "HTTP/1.x 101\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "no status", "HTTP/1.1\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "no version", "HTTP/1.\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "HTTP/2", "HTTP/2", ERR_BAD_FORMAT, 0 },
	{ "another protocol", "SSH-2.0-x", ERR_BAD_FORMAT, 0 },
	{ "the first byte is wrong", "h", ERR_BAD_FORMAT, 0 },
	{ "nothing", "", ERR_TRUNCATED, 0 },
};

static void
test_heads(void)
{
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		size_t len = strlen(heads[i].text), head_len;
		char *exact = memcpy(malloc(len + 1), heads[i].text, len);
		unsigned status = 0;

		tap_int(derp_upgrade_response_read(exact, len, &status, &head_len), heads[i].err,
			heads[i].what);
		tap_int(status, heads[i].status, heads[i].what);
		free(exact);
	}
}

static void
test_head_limit(void)
{
	static char head[DERP_HEAD_LIMIT + 1];
	unsigned status;
	size_t len;

	memset(head, 'x', sizeof(head));
	memcpy(head, "HTTP/1.1 101 ", 13);
	memcpy(head + DERP_HEAD_LIMIT - 4, "\r\n\r\n", 4);
	tap_int(derp_upgrade_response_read(head, DERP_HEAD_LIMIT - 1, &status, &len), ERR_TRUNCATED,
		"almost all of the longest head");
	tap_int(derp_upgrade_response_read(head, DERP_HEAD_LIMIT, &status, &len), 0, "all of it");
	memcpy(head + DERP_HEAD_LIMIT - 4, "x\r\n\r\n", 5);
	tap_int(derp_upgrade_response_read(head, DERP_HEAD_LIMIT + 1, &status, &len),
		ERR_BAD_FORMAT, "a longer one");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv), *v;
	size_t i;

	json_array_foreach(json_object_get(root, "http"), i, v)
	{
		if (strcmp(vector_text(v, "name"), "upgrade") == 0) {
			test_request(v, false);
			test_server_answer(v, json_object_get(root, "keys"));
		}
		if (strcmp(vector_text(v, "name"), "fast start") == 0)
			test_request(v, true);
		test_response(v);
	}
	test_meta_certificate(root);
	test_meta_names();
	test_names();
	test_whole_request();
	test_heads();
	test_head_limit();
	json_decref(root);
	return tap_done();
}
