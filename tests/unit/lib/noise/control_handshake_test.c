/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Both roles against the reference's messages (argv[1]: tests/vectors/control-noise.json).
 */

#include "lib/noise/control_handshake.h"

#include <errno.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/noise/vector.h"

struct parties {
	struct secret_key machine, control, e_client, e_server;
	struct public_key machine_public, control_public;
	uint16_t version;
	uint8_t initiation[CONTROL_INITIATION_LEN], response[CONTROL_RESPONSE_LEN];
};

static void
read_parties(const json_t *row, struct parties *p)
{
	p->version = (uint16_t)json_integer_value(json_object_get(row, "protocol_version"));
	vector_bytes(row, "machine_private", p->machine.bytes, KEY_LEN);
	vector_bytes(row, "machine_public", p->machine_public.bytes, KEY_LEN);
	vector_bytes(row, "control_private", p->control.bytes, KEY_LEN);
	vector_bytes(row, "control_public", p->control_public.bytes, KEY_LEN);
	vector_bytes(row, "client_ephemeral_private", p->e_client.bytes, KEY_LEN);
	vector_bytes(row, "server_ephemeral_private", p->e_server.bytes, KEY_LEN);
	vector_bytes(row, "initiation", p->initiation, sizeof(p->initiation));
	vector_bytes(row, "response", p->response, sizeof(p->response));
}

static void
check_keys(const json_t *row, const struct control_session_keys *keys, bool is_client)
{
	uint8_t c2s[NOISE_KEY_LEN], s2c[NOISE_KEY_LEN], hash[NOISE_HASH_LEN];

	vector_bytes(row, "key_client_to_server", c2s, sizeof(c2s));
	vector_bytes(row, "key_server_to_client", s2c, sizeof(s2c));
	vector_bytes(row, "handshake_hash", hash, sizeof(hash));
	tap_bytes(keys->send, is_client ? c2s : s2c, sizeof(c2s), "key to send");
	tap_bytes(keys->receive, is_client ? s2c : c2s, sizeof(c2s), "key to receive");
	tap_bytes(keys->handshake_hash, hash, sizeof(hash), "handshake hash");
}

static void
test_header(const json_t *row, const struct parties *p)
{
	const char *wanted = vector_text(row, "initiation_as_header_value");
	char text[CONTROL_HEADER_VALUE_SIZE];
	uint8_t back[CONTROL_HEADER_MAX_LEN];
	size_t len = 0;

	tap_text(control_initiation_to_header(p->initiation, text), wanted, "header value");
	tap_int(control_initiation_from_header(wanted, strlen(wanted), back, &len), 0,
		"is decoded");
	tap_int((long long)len, CONTROL_INITIATION_LEN, "to an initiation's length");
	tap_bytes(back, p->initiation, CONTROL_INITIATION_LEN, "and its bytes");
}

static void
test_client(const json_t *row, const struct parties *p)
{
	uint8_t msg[CONTROL_INITIATION_LEN];
	struct control_handshake handshake;
	struct control_session_keys keys;
	struct control_reply reply;

	tap_int(control_initiation_create(
			p->version, &p->machine, &p->control_public, &p->e_client, msg, &handshake),
		0, "a node makes an initiation");
	tap_bytes(msg, p->initiation, sizeof(msg), "initiation");
	tap_int(control_reply_find(p->response, sizeof(p->response), &reply), 0, "a reply");
	tap_ok(reply.kind == CONTROL_REPLY_RESPONSE && reply.len == CONTROL_RESPONSE_LEN,
		"which is a response");
	tap_int(control_response_consume(&handshake, &p->machine, p->response, &keys), 0,
		"is consumed");
	check_keys(row, &keys, true);
	tap_ok(sodium_is_zero((const uint8_t *)&handshake, sizeof(handshake)),
		"the handshake is wiped");
	control_session_keys_fini(&keys);
	tap_ok(sodium_is_zero((const uint8_t *)&keys, sizeof(keys)), "and so are its keys");
}

static void
test_server(const json_t *row, const struct parties *p)
{
	uint8_t msg[CONTROL_RESPONSE_LEN], error[CONTROL_ERROR_MAX_LEN];
	struct control_initiation initiation;
	struct control_session_keys keys;

	tap_int((long long)control_error_create(p->initiation, sizeof(p->initiation), error), 0,
		"no error for an initiation of right form");
	tap_int(control_initiation_open(
			&p->control, p->initiation, sizeof(p->initiation), &initiation),
		0, "a server opens it");
	tap_int(initiation.version, p->version, "version");
	tap_bytes(initiation.machine.bytes, p->machine_public.bytes, KEY_LEN, "machine key");
	tap_int(control_response_create(&initiation, &p->e_server, msg, &keys), 0, "and answers");
	tap_bytes(msg, p->response, sizeof(msg), "response");
	check_keys(row, &keys, false);
	control_initiation_fini(&initiation);
	tap_ok(sodium_is_zero((const uint8_t *)&initiation, sizeof(initiation)), "wiped");
}

static void
test_handshake(const json_t *row)
{
	struct parties p;

	read_parties(row, &p);
	test_header(row, &p);
	test_client(row, &p);
	test_server(row, &p);
}

// What the reference server writes for it, and nothing more.
static void
test_bad_initiation(const json_t *row, const struct secret_key *control)
{
	uint8_t msg[CONTROL_INITIATION_LEN + 1], wanted[CONTROL_ERROR_MAX_LEN];
	uint8_t error[CONTROL_ERROR_MAX_LEN];
	size_t len = vector_decode(json_object_get(row, "initiation"), msg, sizeof(msg));
	size_t wanted_len =
		vector_decode(json_object_get(row, "server_writes"), wanted, sizeof(wanted));
	const char *name = vector_text(row, "name");
	struct control_initiation initiation, untouched;
	struct control_reply reply;
	int err;

	memset(&initiation, 0x5a, sizeof(initiation));
	untouched = initiation;
	err = control_initiation_open(control, msg, len, &initiation);
	tap_ok(err < 0 && (err == ERR_BAD_FORMAT) == (wanted_len > 0), "%s: refused, err %d", name,
		err);
	tap_bytes(&initiation, &untouched, sizeof(initiation), "nothing was written");
	tap_int((long long)control_error_create(msg, len, error), (long long)wanted_len, name);
	tap_bytes(error, wanted, wanted_len, name);
	if (wanted_len == 0)
		return;
	tap_int(control_reply_find(wanted, wanted_len, &reply), 0, "the node finds an error");
	tap_ok(reply.kind == CONTROL_REPLY_ERROR && reply.text_len == wanted_len - 3 &&
			memcmp(reply.text, wanted + 3, reply.text_len) == 0,
		"with its text");
	for (size_t cut = 0; cut < wanted_len; cut++)
		if (control_reply_find(wanted, cut, &reply) != -EAGAIN)
			tap_ok(false, "%zu bytes of it are too few", cut);
}

static void
test_replies(void)
{
	uint8_t data[CONTROL_REPLY_HEADER_LEN + 65535] = { 3, 0xff, 0xff };
	struct control_reply reply;

	tap_int(control_reply_find(data, 3 + CONTROL_ERROR_TEXT_MAX - 1, &reply), -EAGAIN,
		"a long error is waited for");
	tap_int(control_reply_find(data, 3 + CONTROL_ERROR_TEXT_MAX, &reply), 0,
		"but not for all of it");
	tap_int((long long)reply.text_len, CONTROL_ERROR_TEXT_MAX, "what there is of its text");
	data[0] = 2;
	tap_int(control_reply_find(data, 3, &reply), ERR_BAD_FORMAT, "a response of wrong length");
	data[0] = 4;
	tap_int(control_reply_find(data, 1, &reply), ERR_BAD_FORMAT, "a record first");
	data[0] = 1;
	tap_int(control_reply_find(data, 1, &reply), ERR_BAD_FORMAT, "an initiation back");
	tap_int(control_reply_find(data, 0, &reply), -EAGAIN, "nothing yet");
}

static void
test_bad_responses(const json_t *row)
{
	uint8_t msg[CONTROL_INITIATION_LEN];
	struct control_handshake start, handshake;
	struct control_session_keys keys;
	struct parties p;
	int accepted = 0, changed = 0;

	read_parties(row, &p);
	tap_int(control_initiation_create(
			p.version, &p.machine, &p.control_public, &p.e_client, msg, &start),
		0, "a node waits");
	for (size_t bit = 0; bit < sizeof(p.response) * 8; bit++) {
		handshake = start;
		p.response[bit / 8] ^= (uint8_t)(1 << bit % 8);
		// The top bit of an X25519 point is not looked at, but hashed.
		accepted +=
			control_response_consume(&handshake, &p.machine, p.response, &keys) == 0;
		changed += memcmp(&handshake, &start, sizeof(start)) != 0;
		p.response[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	tap_int(accepted, 0, "responses with one bit wrong that were accepted");
	tap_int(changed, 0, "refused responses that changed the handshake");
	memset(p.response + 3, 0, KEY_LEN);
	tap_int(control_response_consume(&handshake, &p.machine, p.response, &keys), ERR_BAD_KEY,
		"an ephemeral of small order");
	tap_int(control_initiation_create(
			138, &p.machine, &(struct public_key){}, &p.e_client, msg, &start),
		ERR_BAD_KEY, "a server key of small order");
}

static void
test_bad_headers(void)
{
	static const struct {
		const char *text, *what;
	} rows[] = {
		{ "", "nothing" },
		{ "AAA", "no whole group" },
		{ "AAA=AAAA", "padding in the middle" },
		{ "A===", "three padding characters" },
		{ "AA=A", "padding that ends" },
		{ "AB==", "bits behind the end" },
		{ "AA A", "a space" },
		{ "AA-_", "the other alphabet" },
		{ "AA\xc3\xa4", "no ASCII" },
	};
	uint8_t msg[CONTROL_HEADER_MAX_LEN];
	char text[140];
	size_t len;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_int(control_initiation_from_header(
				rows[i].text, strlen(rows[i].text), msg, &len),
			ERR_BAD_FORMAT, rows[i].what);
	tap_int(control_initiation_from_header("A\0AA", 4, msg, &len), ERR_BAD_FORMAT, "a zero");
	memset(text, 'A', sizeof(text));
	tap_int(control_initiation_from_header(text, 136, msg, &len), 0, "102 bytes");
	tap_int(control_initiation_from_header(text, 140, msg, &len), ERR_BAD_FORMAT, "105 bytes");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv);
	const json_t *handshakes = json_object_get(root, "handshakes");
	const json_t *bad = json_object_get(root, "bad_initiations");
	const json_t *cases = json_object_get(bad, "cases");
	struct secret_key control;

	tap_int((long long)json_array_size(handshakes), 12, "handshakes");
	for (size_t i = 0; i < json_array_size(handshakes); i++)
		test_handshake(json_array_get(handshakes, i));
	tap_int((long long)json_array_size(cases), 8, "bad initiations");
	vector_bytes(bad, "control_private", control.bytes, KEY_LEN);
	for (size_t i = 0; i < json_array_size(cases); i++)
		test_bad_initiation(json_array_get(cases, i), &control);
	test_replies();
	test_bad_responses(json_array_get(handshakes, 0));
	test_bad_headers();
	json_decref(root);
	return tap_done();
}
