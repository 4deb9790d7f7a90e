/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Against the reference's client and server (argv[1]: tests/vectors/stun.json), and the responses
 * of RFC 5769 sections 2.2 and 2.3.
 */

#include "lib/traversal/stun.h"

#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/traversal/vector.h"

static void
test_request(const json_t *v)
{
	uint8_t wanted[STUN_REQUEST_LEN], got[STUN_REQUEST_LEN];
	struct stun_txid txid, read;

	vector_bytes(v, "packet", wanted, sizeof(wanted));
	vector_bytes(v, "txid", txid.bytes, STUN_TXID_LEN);
	stun_request_write(got, &txid);
	tap_bytes(got, wanted, sizeof(got), "a request is written");
	tap_int(stun_request_read(got, sizeof(got), &read), 0, "and read");
	tap_bytes(&read, &txid, sizeof(read), "with its transaction id");
}

static void
test_server_parse(const json_t *v)
{
	const char *what = vector_text(v, "name");
	const char *error = json_string_value(json_object_get(v, "error"));
	struct stun_txid wanted, txid = {}, untouched = {};
	size_t len;
	uint8_t *data = vector_hex(v, "packet", &len);
	int err = stun_request_read(data, len, &txid);

	if (error == NULL) {
		vector_bytes(v, "txid", wanted.bytes, STUN_TXID_LEN);
		tap_int(err, 0, what);
		tap_bytes(&txid, &wanted, sizeof(txid), what);
	} else {
		tap_int(err, strstr(error, "bogus") != NULL ? ERR_BAD_MAC : ERR_BAD_FORMAT, what);
		tap_bytes(&txid, &untouched, sizeof(txid), what);
	}
	free(data);
}

static bool
is_mapped(const struct endpoint *e)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return e->addr.family == ADDR_V6 && memcmp(e->addr.bytes, mapped, sizeof(mapped)) == 0;
}

// What the reference's server code made, we make too; but IPv4-mapped addresses become IPv4, which
// 5.1 of peer.md asks of new servers.
static void
test_response_write(const json_t *v,
	const uint8_t *wanted,
	size_t len,
	const struct stun_txid *txid)
{
	struct endpoint source = vector_endpoint(vector_text(v, "addr")), read;
	uint8_t got[STUN_RESPONSE_MAX_LEN];
	size_t got_len = stun_response_write(got, txid, &source);
	struct stun_txid read_txid;

	if (is_mapped(&source)) {
		tap_int((long long)got_len, 32, "a mapped source is answered as IPv4");
	} else {
		tap_int((long long)got_len, (long long)len, "length of the response");
		tap_bytes(got, wanted, len, "the response is written");
	}
	tap_int(stun_response_read(got, got_len, &read_txid, &read), 0, "our own is read");
	source = vector_endpoint(vector_text(v, "parsed_addr"));
	tap_ok(endpoint_equal(&read, &source), "to the address that the reference reads");
}

static void
test_response(const json_t *v, const struct stun_txid *txid)
{
	const char *what = vector_text(v, "name");
	const char *addr = json_string_value(json_object_get(v, "parsed_addr"));
	struct endpoint mapped = {}, wanted = {};
	struct stun_txid read = {};
	size_t len;
	uint8_t *data = vector_hex(v, "packet", &len);
	int err = stun_response_read(data, len, &read, &mapped);

	if (addr != NULL) {
		wanted = vector_endpoint(addr);
		tap_int(err, 0, what);
		tap_bytes(&read, txid, sizeof(read), what);
	} else {
		tap_int(err, ERR_BAD_FORMAT, what);
	}
	tap_ok(endpoint_equal(&mapped, &wanted), "%s: address", what);
	if (strcmp(what, "made by the server code") == 0)
		test_response_write(v, data, len, txid);
	free(data);
}

// RFC 5769: software "test vector", a MESSAGE-INTEGRITY that is not looked at.
static void
test_rfc5769(void)
{
	static const struct {
		const char *packet, *addr;
	} rows[] = {
		{ "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200008"
		  "0001"
		  "a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
			"192.0.2.1:32853" },
		{ "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200014"
		  "0002"
		  "a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3"
		  "ed41"
		  "80280004c8fb0b4c",
			"[2001:db8:1234:5678:11:2233:4455:6677]:32853" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct endpoint mapped = {}, wanted = vector_endpoint(rows[i].addr);
		struct stun_txid txid;
		uint8_t packet[256];
		size_t len = 0;

		sodium_hex2bin(packet, sizeof(packet), rows[i].packet, strlen(rows[i].packet), NULL,
			&len, NULL);
		tap_int(stun_response_read(packet, len, &txid, &mapped), 0, rows[i].addr);
		tap_ok(endpoint_equal(&mapped, &wanted), "RFC 5769: %s", rows[i].addr);
		tap_int(stun_request_read(packet, len, &txid), ERR_BAD_FORMAT, "no request");
	}
}

// Every prefix of a good message is refused, or read without what is missing.
static void
test_cut(void)
{
	const struct stun_txid txid = { { 1, 2, 3 } };
	const struct endpoint source = { .addr = { ADDR_V6, { 0x20, 1 } }, .port = 7 };
	uint8_t request[STUN_REQUEST_LEN], response[STUN_RESPONSE_MAX_LEN];
	struct endpoint mapped;
	struct stun_txid read;

	stun_request_write(request, &txid);
	for (size_t len = 0; len < sizeof(request); len++)
		tap_ok(stun_request_read(request, len, &read) < 0, "a request cut to %zu bytes",
			len);
	for (size_t len = 0; len < stun_response_write(response, &txid, &source); len++)
		tap_ok(stun_response_read(response, len, &read, &mapped) < 0,
			"a response cut to %zu bytes", len);
}

// A request of the longest length that is looked at, and one of four bytes more.
static void
test_long(void)
{
	static uint8_t request[STUN_REQUEST_MAX_LEN + 4];
	const struct stun_txid txid = {};
	struct stun_txid read;

	for (size_t more = 0; more <= 4; more += 4) {
		size_t len = STUN_REQUEST_MAX_LEN + more, filler = len - STUN_REQUEST_LEN - 4;

		stun_request_write(request, &txid);
		memmove(request + 24 + filler, request + 20, STUN_REQUEST_LEN - 20);
		memset(request + 20, 0, 4 + filler);
		request[22] = (uint8_t)(filler >> 8);
		request[23] = (uint8_t)filler;
		tap_int(stun_request_read(request, len, &read),
			more == 0 ? ERR_BAD_MAC : ERR_BAD_FORMAT,
			more == 0 ? "a long request has its fingerprint compared"
				  : "a longer one is not looked at");
	}
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv), *v;
	struct stun_txid txid;
	size_t i;

	vector_bytes(root, "response_txid", txid.bytes, STUN_TXID_LEN);
	json_array_foreach(json_object_get(root, "requests"), i, v) test_request(v);
	json_array_foreach(json_object_get(root, "server_parse"), i, v) test_server_parse(v);
	json_array_foreach(json_object_get(root, "responses"), i, v) test_response(v, &txid);
	json_array_foreach(json_object_get(root, "server_live"), i, v) test_response(v, &txid);
	test_rfc5769();
	test_cut();
	test_long();
	json_decref(root);
	return tap_done();
}
