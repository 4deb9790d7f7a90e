/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A stream from a relay, in two pieces that the first byte divides: the frames are the same as in
 * one piece.  Each is read as a message and written again; the data of infos is read as if it had
 * come out of a box; the whole is an HTTP answer too.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/derp/flat_json.h"
#include "lib/derp/info.h"
#include "lib/derp/message.h"
#include "lib/derp/upgrade.h"

static void
must(bool right)
{
	if (!right)
		abort();
}

static int
take_member(void *, const char *name, size_t name_len, const struct flat_json_value *value)
{
	if (value->kind == FLAT_JSON_STRING && value->len > 0)
		must(value->text[value->len - 1] != '"' || value->len > 1);
	(void)flat_json_is_name(name, name_len, "meshKey");
	return 0;
}

// Seal what came as if a peer had: whatever is understood is sealed again.
static void
take_info(const uint8_t *text, size_t len)
{
	static const struct box_key key = { { 1 } };
	static const uint8_t nonce[BOX_NONCE_LEN];
	static uint8_t box[DERP_INFO_OVERHEAD + DERP_INFO_MAX_LEN];
	uint8_t out[DERP_CLIENT_INFO_MAX_LEN];
	struct derp_client_info client;
	struct derp_server_info server;

	(void)!flat_json_read((const char *)text, len, take_member, NULL);
	if (len > DERP_INFO_MAX_LEN)
		return;
	memcpy(box, nonce, BOX_NONCE_LEN);
	box_seal(box + BOX_NONCE_LEN, text, len, nonce, &key);
	if (derp_client_info_open(box, DERP_INFO_OVERHEAD + len, &key, &client) == 0)
		must(derp_client_info_seal(out, &client, &key, nonce) <= DERP_CLIENT_INFO_MAX_LEN);
	if (derp_server_info_open(box, DERP_INFO_OVERHEAD + len, &key, &server) == 0)
		must(derp_server_info_seal(out, &server, &key, nonce) <= DERP_SERVER_INFO_MAX_LEN);
}

static void
take_frame(const struct derp_frame *frame)
{
	uint8_t head[DERP_HEAD_MAX_LEN];
	struct derp_message m;

	if (derp_message_read(frame, &m) != 0)
		return;
	must(m.data_len <= frame->len);
	must(m.data_len == 0 || m.data + m.data_len == frame->payload + frame->len);
	must(derp_head_write(head, &m) <= sizeof(head) && head[0] == frame->type);
	if (m.data_len > 0) // nothing is ignored there: all of the frame comes back
		must(memcmp(head + DERP_HEADER_LEN, frame->payload, frame->len - m.data_len) == 0);
	if (frame->type == DERP_CLIENT_INFO || frame->type == DERP_SERVER_INFO)
		take_info(m.data, m.data_len);
}

struct summary {
	int err;
	size_t frames, bytes, used;
};

// All frames of a piece; returns the bytes used.
static size_t
take_piece(struct derp_reader *reader, const uint8_t *data, size_t len, struct summary *s)
{
	size_t at = 0;

	while (s->err == 0) {
		struct derp_frame frame;
		size_t used = 0;

		s->err = derp_reader_next(reader, data + at, len - at, &used, &frame);
		must(used <= len - at);
		at += used;
		if (s->err < 0 || frame.type == DERP_NONE)
			break;
		take_frame(&frame);
		s->frames++;
		s->bytes += frame.len;
	}
	s->used += at;
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct summary whole = {}, pieces = {};
	struct derp_reader one = {}, two = {};
	size_t cut, head_len;
	unsigned status;

	if (len == 0 || crypto_init() != 0)
		return 0;
	cut = (size_t)data[0] * (len - 1) / 255;
	data++;
	len--;
	take_piece(&one, data, len, &whole);
	cut = take_piece(&two, data, cut, &pieces); // the rest of the first piece is still there
	if (pieces.err == 0)
		take_piece(&two, data + cut, len - cut, &pieces);
	must(whole.err == pieces.err && whole.frames == pieces.frames &&
		whole.bytes == pieces.bytes);
	must(whole.err < 0 || (whole.used == pieces.used && one.skip == two.skip));
	must(one.n_skipped == two.n_skipped);

	take_info(data, len);
	if (derp_upgrade_response_read((const char *)data, len, &status, &head_len) == 0)
		must(head_len <= len && status <= 999);
	return 0;
}
