/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the control connection may receive: a server's reply, records in pieces, an early payload, a
 * node's initiation.  The first byte says which, the second the size of the pieces.  Keys are those
 * of "doc-keys-145" in tests/vectors/control-noise.json, whose messages are the corpus.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/noise/control_early.h"
#include "lib/noise/control_handshake.h"
#include "lib/noise/control_record.h"

static struct secret_key machine, control, ephemeral;
static struct control_handshake pending;

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
set_up(void)
{
	uint8_t msg[CONTROL_INITIATION_LEN];
	struct public_key control_public;

	must(crypto_init() == 0);
	memset(machine.bytes, 0x11, KEY_LEN);
	memset(ephemeral.bytes, 0x22, KEY_LEN);
	memset(control.bytes, 0x33, KEY_LEN);
	key_public(&control_public, &control);
	must(control_initiation_create(145, &machine, &control_public, &ephemeral, msg, &pending) ==
		0);
}

static void
take_reply(const uint8_t *data, size_t len)
{
	struct control_handshake handshake = pending;
	struct control_session_keys keys;
	struct control_reply reply;

	if (control_reply_find(data, len, &reply) != 0)
		return;
	must(reply.len <= len && reply.text_len <= CONTROL_ERROR_TEXT_MAX);
	if (reply.kind == CONTROL_REPLY_RESPONSE &&
		control_response_consume(&handshake, &machine, data, &keys) != 0)
		must(memcmp(&handshake, &pending, sizeof(pending)) == 0);
}

static void
take_initiation(const uint8_t *data, size_t len)
{
	uint8_t error[CONTROL_ERROR_MAX_LEN], response[CONTROL_RESPONSE_LEN];
	struct control_initiation initiation;
	struct control_session_keys keys;

	if (control_error_create(data, len, error) != 0)
		must(control_initiation_open(&control, data, len, &initiation) != 0);
	else if (control_initiation_open(&control, data, len, &initiation) == 0)
		(void)!control_response_create(&initiation, &ephemeral, response, &keys);
}

static void
take_header(const uint8_t *data, size_t len)
{
	uint8_t msg[CONTROL_HEADER_MAX_LEN];
	char text[CONTROL_HEADER_VALUE_SIZE];
	size_t msg_len = 0;

	if (control_initiation_from_header((const char *)data, len, msg, &msg_len) != 0)
		return;
	must(msg_len <= sizeof(msg));
	if (msg_len == CONTROL_INITIATION_LEN)
		must(memcmp(control_initiation_to_header(msg, text), data, len) == 0);
}

// Plaintext of a server's stream, through the early payload's reader.
static void
take_early(struct control_early *e, const uint8_t *data, size_t len)
{
	size_t taken;

	if (e->state > CONTROL_EARLY_JSON || control_early_push(e, data, len, &taken) != 0)
		return;
	must(taken <= len && (taken == len || e->state > CONTROL_EARLY_JSON));
}

static void
take_records(const uint8_t *data, size_t len, size_t step)
{
	// What k2 is there: a corpus of real records opens.
	static const uint8_t key[NOISE_KEY_LEN] = { 0x85, 0x61, 0xe3, 0xfd, 0x45, 0x51, 0xed, 0x82,
		0xee, 0x22, 0x22, 0x09, 0x25, 0xe4, 0x1e, 0x92, 0x3d, 0x64, 0xb1, 0xc0, 0x4b, 0x85,
		0x6f, 0x8e, 0xc1, 0xea, 0xa5, 0x44, 0xa5, 0x11, 0xa4, 0x27 };
	struct control_early early = {};
	struct control_reader r;
	size_t at = 0;

	control_reader_init(&r, key);
	while (at < len) {
		size_t piece = step < len - at ? step : len - at, taken, plain_len;
		int err = control_reader_push(&r, data + at, piece, &taken);
		const uint8_t *plain = control_reader_plaintext(&r, &plain_len);

		must(taken <= piece && plain_len <= CONTROL_RECORD_MAX_PLAINTEXT);
		if (err != 0)
			break;
		take_early(&early, plain, plain_len);
		control_reader_consume(&r, plain_len);
		at += taken;
	}
	control_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct control_early early = {};

	if (memcmp(&machine, &(struct secret_key){}, sizeof(machine)) == 0)
		set_up();
	if (len < 2)
		return 0;
	switch (data[0] % 5) {
	case 0:
		take_reply(data + 2, len - 2);
		break;
	case 1:
		take_initiation(data + 2, len - 2);
		break;
	case 2:
		take_header(data + 2, len - 2);
		break;
	case 3:
		take_records(data + 2, len - 2, data[1] + 1u);
		break;
	default:
		take_early(&early, data + 2, len - 2);
		break;
	}
	return 0;
}
