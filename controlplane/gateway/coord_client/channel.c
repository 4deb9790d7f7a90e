/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/coord_client/channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/tailnet/register.h"

#define PROTOCOL "tailscale-control-protocol"

int
channel_begin(struct channel *c,
	uint16_t version,
	const struct secret_key *machine,
	const struct public_key *server,
	const struct secret_key *ephemeral,
	const char *authority,
	char ret_request[static CHANNEL_REQUEST_MAX_LEN],
	size_t *ret_len)
{
	uint8_t initiation[CONTROL_INITIATION_LEN];
	char value[CONTROL_HEADER_VALUE_SIZE];
	int err, len;

	memset(c, 0, sizeof(*c));
	c->machine = *machine;
	err = control_initiation_create(
		version, machine, server, ephemeral, initiation, &c->handshake);
	if (err < 0)
		return err;
	len = snprintf(ret_request, CHANNEL_REQUEST_MAX_LEN,
		"POST /ts2021 HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n"
		"Content-Length: 0\r\nConnection: upgrade\r\nUpgrade: " PROTOCOL "\r\n"
		"X-Tailscale-Handshake: %s\r\n\r\n",
		authority, control_initiation_to_header(initiation, value));
	if (len < 0 || len >= CHANNEL_REQUEST_MAX_LEN)
		return ERR_BAD_FORMAT;
	*ret_len = (size_t)len;
	return 0;
}

// Of a stranger's text only what can be printed.
static void
keep_text(struct channel *c, const char *text, size_t len)
{
	size_t n = len < sizeof(c->text) - 1 ? len : sizeof(c->text) - 1;

	for (size_t i = 0; i < n; i++)
		c->text[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	c->text[n] = '\0';
}

static int
take_answer(struct channel *c, const uint8_t *data, size_t len, size_t *ret_taken)
{
	struct http_head head;
	const char *value;
	size_t value_len;
	int err = http_head_read((const char *)data, len, &head);

	if (err == ERR_TRUNCATED)
		return 0;
	if (err < 0)
		return err;
	c->status = head.status;
	if (head.status != 101) {
		keep_text(c, head.reason, head.reason_len);
		return -ECONNREFUSED;
	}
	if (!http_head_field(&head, "Upgrade", &value, &value_len) ||
		value_len != sizeof(PROTOCOL) - 1 || memcmp(value, PROTOCOL, value_len) != 0 ||
		!http_head_has_token(&head, "Connection", "upgrade"))
		return ERR_BAD_FORMAT;
	*ret_taken = head.len;
	c->state = CHANNEL_REPLY;
	return 0;
}

static int
take_reply(struct channel *c, const uint8_t *data, size_t len, size_t *ret_taken)
{
	struct control_session_keys keys;
	struct control_reply reply;
	int err = control_reply_find(data, len, &reply);

	if (err < 0)
		return err == -EAGAIN ? 0 : err;
	if (reply.kind == CONTROL_REPLY_ERROR) {
		keep_text(c, reply.text, reply.text_len);
		return -ECONNREFUSED;
	}
	err = control_response_consume(&c->handshake, &c->machine, data, &keys);
	if (err < 0)
		return err;
	control_writer_init(&c->writer, keys.send);
	control_reader_init(&c->reader, keys.receive);
	control_session_keys_fini(&keys);
	secret_wipe(&c->machine, sizeof(c->machine));
	*ret_taken = reply.len;
	c->state = CHANNEL_EARLY;
	return 0;
}

// What is in the early payload is of no use, but the reference insists that it is JSON.
static int
end_early(struct channel *c, const struct channel_calls *calls)
{
	struct control_early *e = &c->early;

	c->state = CHANNEL_OPEN;
	if (e->state == CONTROL_EARLY_ABSENT)
		return calls->plaintext(calls->context, e->header, sizeof(e->header));
	if (e->json_len > sizeof(e->json))
		return 0;
	return early_payload_check(e->json, e->json_len);
}

static int
take_plaintext(struct channel *c,
	const uint8_t *plain,
	size_t len,
	const struct channel_calls *calls)
{
	size_t taken;
	int err = 0;

	if (c->state == CHANNEL_EARLY) {
		err = control_early_push(&c->early, plain, len, &taken);
		if (err == 0 && c->early.state >= CONTROL_EARLY_FOUND)
			err = end_early(c, calls);
		if (err < 0)
			return err;
		plain += taken;
		len -= taken;
	}
	return len > 0 ? calls->plaintext(calls->context, plain, len) : 0;
}

static int
take_record(struct channel *c,
	const uint8_t *data,
	size_t len,
	const struct channel_calls *calls,
	size_t *ret_taken)
{
	int err = control_reader_push(&c->reader, data, len, ret_taken);
	const uint8_t *plain;
	size_t plain_len;

	if (err < 0)
		return err;
	plain = control_reader_plaintext(&c->reader, &plain_len);
	if (plain_len > 0)
		err = take_plaintext(c, plain, plain_len, calls);
	control_reader_consume(&c->reader, plain_len);
	return err;
}

int
channel_push(struct channel *c,
	const uint8_t *data,
	size_t len,
	const struct channel_calls *calls,
	size_t *ret_taken)
{
	size_t at = 0, taken;
	int err = 0;

	do {
		enum channel_state before = c->state;

		taken = 0;
		if (c->state == CHANNEL_UPGRADING)
			err = take_answer(c, data + at, len - at, &taken);
		else if (c->state == CHANNEL_REPLY)
			err = take_reply(c, data + at, len - at, &taken);
		else if (at < len)
			err = take_record(c, data + at, len - at, calls, &taken);
		at += taken;
		if (err == 0 && before == CHANNEL_REPLY && c->state == CHANNEL_EARLY &&
			calls->ready != NULL)
			calls->ready(calls->context);
	} while (err == 0 && taken > 0);
	*ret_taken = at;
	return err;
}

int
channel_seal(struct channel *c,
	const uint8_t *data,
	size_t len,
	uint8_t record[static CONTROL_RECORD_MAX_LEN],
	size_t *ret_taken,
	size_t *ret_len)
{
	return control_writer_seal(&c->writer, data, len, record, ret_taken, ret_len);
}

void
channel_fini(struct channel *c)
{
	control_handshake_fini(&c->handshake);
	control_writer_fini(&c->writer);
	control_reader_fini(&c->reader);
	secret_wipe(c, sizeof(*c));
}
