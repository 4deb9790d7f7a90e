/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/noise/control_handshake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#define PROTOCOL        "Noise_IK_25519_ChaChaPoly_BLAKE2s"
#define PROLOGUE_FORMAT "Tailscale Control Protocol v%u"
#define PROLOGUE_SIZE   sizeof("Tailscale Control Protocol v65535")

enum message_type {
	TYPE_INITIATION = 1,
	TYPE_RESPONSE = 2,
	TYPE_ERROR = 3,
};

// On the wire; only bytes, so no padding and no alignment.
struct initiation_message {
	uint8_t version[2];
	uint8_t type;
	uint8_t payload_len[2];
	uint8_t ephemeral[KEY_LEN];
	uint8_t encrypted_machine[KEY_LEN + NOISE_TAG_LEN];
	uint8_t encrypted_nothing[NOISE_TAG_LEN];
};

struct response_message {
	uint8_t type;
	uint8_t payload_len[2];
	uint8_t ephemeral[KEY_LEN];
	uint8_t encrypted_nothing[NOISE_TAG_LEN];
};

static_assert(sizeof(struct initiation_message) == CONTROL_INITIATION_LEN, "wire format");
static_assert(sizeof(struct response_message) == CONTROL_RESPONSE_LEN, "wire format");

#define INITIATION_PAYLOAD_LEN (CONTROL_INITIATION_LEN - 5)
#define RESPONSE_PAYLOAD_LEN   (CONTROL_RESPONSE_LEN - CONTROL_REPLY_HEADER_LEN)

static struct public_key
public_key_at(const uint8_t bytes[static KEY_LEN])
{
	struct public_key key;

	memcpy(key.bytes, bytes, sizeof(key.bytes));
	return key;
}

static void
mix_public(struct noise_symmetric *noise, const struct public_key *key)
{
	noise_mix_hash(noise, key->bytes, sizeof(key->bytes));
}

// The state before the first token: prologue, then the responder's static key.
static void
start(struct noise_symmetric *noise, uint16_t version, const struct public_key *control)
{
	char prologue[PROLOGUE_SIZE];
	int len = snprintf(prologue, sizeof(prologue), PROLOGUE_FORMAT, (unsigned)version);

	noise_init(noise, PROTOCOL, prologue, (size_t)len);
	mix_public(noise, control);
}

// Tokens "e, es, s, ss" and an empty payload, as the initiator.
static int
write_initiation(struct noise_symmetric *noise,
	const struct secret_key *machine,
	const struct public_key *control,
	const struct secret_key *ephemeral,
	struct initiation_message *out)
{
	struct public_key public;
	uint8_t key[NOISE_KEY_LEN];
	int err;

	key_public(&public, ephemeral);
	memcpy(out->ephemeral, public.bytes, sizeof(out->ephemeral));
	mix_public(noise, &public);
	err = noise_mix_dh(noise, ephemeral, control, key);
	if (err < 0)
		return err;
	key_public(&public, machine);
	noise_encrypt_and_hash(noise, key, out->encrypted_machine, public.bytes, KEY_LEN);
	err = noise_mix_dh(noise, machine, control, key);
	if (err == 0)
		noise_encrypt_and_hash(noise, key, out->encrypted_nothing, NULL, 0);
	secret_wipe(key, sizeof(key));
	return err;
}

int
control_initiation_create(uint16_t version,
	const struct secret_key *machine,
	const struct public_key *control,
	const struct secret_key *ephemeral,
	uint8_t msg[static CONTROL_INITIATION_LEN],
	struct control_handshake *ret_handshake)
{
	struct initiation_message out = { .type = TYPE_INITIATION };
	struct noise_symmetric noise;
	int err;

	store_be16(out.version, version);
	store_be16(out.payload_len, INITIATION_PAYLOAD_LEN);
	start(&noise, version, control);
	err = write_initiation(&noise, machine, control, ephemeral, &out);
	if (err == 0) {
		memcpy(msg, &out, sizeof(out));
		*ret_handshake = (struct control_handshake){
			.ephemeral = *ephemeral,
			.noise = noise,
		};
	}
	noise_wipe(&noise);
	return err;
}

int
control_reply_find(const uint8_t *data, size_t len, struct control_reply *ret_reply)
{
	size_t payload_len;

	if (len > 0 && data[0] != TYPE_RESPONSE && data[0] != TYPE_ERROR)
		return ERR_BAD_FORMAT;
	if (len < CONTROL_REPLY_HEADER_LEN)
		return -EAGAIN;
	payload_len = load_be16(data + 1);
	if (data[0] == TYPE_RESPONSE && payload_len != RESPONSE_PAYLOAD_LEN)
		return ERR_BAD_FORMAT;
	if (payload_len > CONTROL_ERROR_TEXT_MAX)
		payload_len = CONTROL_ERROR_TEXT_MAX;
	if (len - CONTROL_REPLY_HEADER_LEN < payload_len)
		return -EAGAIN;
	*ret_reply = (struct control_reply){
		.kind = CONTROL_REPLY_RESPONSE,
		.len = CONTROL_REPLY_HEADER_LEN + payload_len,
	};
	if (data[0] == TYPE_ERROR) {
		ret_reply->kind = CONTROL_REPLY_ERROR;
		ret_reply->text = (const char *)data + CONTROL_REPLY_HEADER_LEN;
		ret_reply->text_len = payload_len;
	}
	return 0;
}

// Tokens "e, ee, se" and the empty payload, as the initiator.
static int
read_response(struct noise_symmetric *noise,
	const struct control_handshake *handshake,
	const struct secret_key *machine,
	const struct response_message *in)
{
	struct public_key ephemeral = public_key_at(in->ephemeral);
	uint8_t key[NOISE_KEY_LEN];
	int err;

	mix_public(noise, &ephemeral);
	err = noise_mix_dh(noise, &handshake->ephemeral, &ephemeral, NULL);
	if (err < 0)
		return err;
	err = noise_mix_dh(noise, machine, &ephemeral, key);
	if (err < 0)
		return err;
	err = noise_decrypt_and_hash(
		noise, key, NULL, in->encrypted_nothing, sizeof(in->encrypted_nothing));
	secret_wipe(key, sizeof(key));
	return err;
}

int
control_response_consume(struct control_handshake *handshake,
	const struct secret_key *machine,
	const uint8_t msg[static CONTROL_RESPONSE_LEN],
	struct control_session_keys *ret_keys)
{
	const struct response_message *in = (const void *)msg;
	struct noise_symmetric noise = handshake->noise;
	int err = ERR_BAD_FORMAT;

	if (in->type == TYPE_RESPONSE && load_be16(in->payload_len) == RESPONSE_PAYLOAD_LEN)
		err = read_response(&noise, handshake, machine, in);
	if (err == 0) {
		noise_split(&noise, ret_keys->send, ret_keys->receive);
		memcpy(ret_keys->handshake_hash, noise.h, sizeof(noise.h));
		control_handshake_fini(handshake);
	}
	noise_wipe(&noise);
	return err;
}

// NULL, or what is wrong with the form of an initiation, in the reference server's words.
static const char *
malformed(const uint8_t *msg, size_t len)
{
	const struct initiation_message *in = (const void *)msg;

	if (len != sizeof(*in))
		return "wrong handshake initiation size";
	if (in->type != TYPE_INITIATION)
		return "unexpected handshake message type";
	if (load_be16(in->payload_len) != INITIATION_PAYLOAD_LEN)
		return "wrong handshake initiation length";
	return NULL;
}

size_t
control_error_create(const uint8_t *msg,
	size_t len,
	uint8_t ret_error[static CONTROL_ERROR_MAX_LEN])
{
	const char *text = malformed(msg, len);
	size_t text_len;

	if (text == NULL)
		return 0;
	text_len = strlen(text);
	ret_error[0] = TYPE_ERROR;
	store_be16(ret_error + 1, (uint16_t)text_len);
	memcpy(ret_error + CONTROL_REPLY_HEADER_LEN, text, text_len);
	return CONTROL_REPLY_HEADER_LEN + text_len;
}

// The tokens of the initiation, as the responder.
static int
read_initiation(struct control_initiation *initiation,
	const struct secret_key *control,
	const struct initiation_message *in)
{
	struct noise_symmetric *noise = &initiation->noise;
	uint8_t key[NOISE_KEY_LEN];
	int err;

	mix_public(noise, &initiation->ephemeral);
	err = noise_mix_dh(noise, control, &initiation->ephemeral, key);
	if (err < 0)
		return err;
	err = noise_decrypt_and_hash(noise, key, initiation->machine.bytes, in->encrypted_machine,
		sizeof(in->encrypted_machine));
	if (err == 0)
		err = noise_mix_dh(noise, control, &initiation->machine, key);
	if (err == 0)
		err = noise_decrypt_and_hash(
			noise, key, NULL, in->encrypted_nothing, sizeof(in->encrypted_nothing));
	secret_wipe(key, sizeof(key));
	return err;
}

int
control_initiation_open(const struct secret_key *control,
	const uint8_t *msg,
	size_t len,
	struct control_initiation *ret_initiation)
{
	const struct initiation_message *in = (const void *)msg;
	struct control_initiation initiation = {};
	struct public_key public;
	int err;

	if (malformed(msg, len) != NULL)
		return ERR_BAD_FORMAT;
	initiation.version = load_be16(in->version);
	initiation.ephemeral = public_key_at(in->ephemeral);
	key_public(&public, control);
	start(&initiation.noise, initiation.version, &public);
	err = read_initiation(&initiation, control, in);
	if (err == 0)
		*ret_initiation = initiation;
	control_initiation_fini(&initiation);
	return err;
}

// Tokens "e, ee, se" and an empty payload, as the responder.
static int
write_response(struct noise_symmetric *noise,
	const struct control_initiation *initiation,
	const struct secret_key *ephemeral,
	struct response_message *out)
{
	struct public_key public;
	uint8_t key[NOISE_KEY_LEN];
	int err;

	key_public(&public, ephemeral);
	memcpy(out->ephemeral, public.bytes, sizeof(out->ephemeral));
	mix_public(noise, &public);
	err = noise_mix_dh(noise, ephemeral, &initiation->ephemeral, NULL);
	if (err < 0)
		return err;
	err = noise_mix_dh(noise, ephemeral, &initiation->machine, key);
	if (err < 0)
		return err;
	noise_encrypt_and_hash(noise, key, out->encrypted_nothing, NULL, 0);
	secret_wipe(key, sizeof(key));
	return 0;
}

int
control_response_create(const struct control_initiation *initiation,
	const struct secret_key *ephemeral,
	uint8_t msg[static CONTROL_RESPONSE_LEN],
	struct control_session_keys *ret_keys)
{
	struct response_message out = { .type = TYPE_RESPONSE };
	struct noise_symmetric noise = initiation->noise;
	int err;

	store_be16(out.payload_len, RESPONSE_PAYLOAD_LEN);
	err = write_response(&noise, initiation, ephemeral, &out);
	if (err == 0) {
		memcpy(msg, &out, sizeof(out));
		noise_split(&noise, ret_keys->receive, ret_keys->send);
		memcpy(ret_keys->handshake_hash, noise.h, sizeof(noise.h));
	}
	noise_wipe(&noise);
	return err;
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Up to three bytes as four characters.
static void
encode_group(const uint8_t *bytes, size_t n, char text[static 4])
{
	uint32_t v = (uint32_t)bytes[0] << 16;

	v |= n > 1 ? (uint32_t)bytes[1] << 8 : 0;
	v |= n > 2 ? bytes[2] : 0;
	text[0] = base64[v >> 18];
	text[1] = base64[v >> 12 & 63];
	text[2] = n > 1 ? base64[v >> 6 & 63] : '=';
	text[3] = n > 2 ? base64[v & 63] : '=';
}

char *
control_initiation_to_header(const uint8_t msg[static CONTROL_INITIATION_LEN],
	char text[static CONTROL_HEADER_VALUE_SIZE])
{
	char *at = text;

	for (size_t i = 0; i < CONTROL_INITIATION_LEN; i += 3, at += 4)
		encode_group(msg + i, CONTROL_INITIATION_LEN - i, at);
	*at = '\0';
	return text;
}

// Four characters as one to three bytes; 0 if they are not what encode_group() writes.
static size_t
decode_group(const char text[static 4], uint8_t ret_bytes[static 3])
{
	size_t n = text[3] != '=' ? 3 : text[2] != '=' ? 2 : 1;
	uint32_t v = 0;
	char canonical[4];

	for (size_t i = 0; i < 4; i++) {
		const char *found = i <= n && text[i] != '\0' ? strchr(base64, text[i]) : base64;

		if (found == NULL || text[i] == '\0')
			return 0;
		v = v << 6 | (uint32_t)(found - base64);
	}
	ret_bytes[0] = (uint8_t)(v >> 16);
	ret_bytes[1] = (uint8_t)(v >> 8);
	ret_bytes[2] = (uint8_t)v;
	encode_group(ret_bytes, n, canonical);
	return memcmp(canonical, text, sizeof(canonical)) == 0 ? n : 0;
}

int
control_initiation_from_header(const char *text,
	size_t text_len,
	uint8_t ret_msg[static CONTROL_HEADER_MAX_LEN],
	size_t *ret_len)
{
	uint8_t msg[CONTROL_HEADER_MAX_LEN];
	size_t len = 0, n = 3;

	if (text_len == 0 || text_len % 4 != 0 || text_len / 4 * 3 > sizeof(msg))
		return ERR_BAD_FORMAT;
	for (size_t i = 0; i < text_len; i += 4, len += n) {
		if (n != 3) // padding in the middle
			return ERR_BAD_FORMAT;
		n = decode_group(text + i, msg + len);
		if (n == 0)
			return ERR_BAD_FORMAT;
	}
	memcpy(ret_msg, msg, len);
	*ret_len = len;
	return 0;
}

void
control_handshake_fini(struct control_handshake *handshake)
{
	secret_wipe(handshake, sizeof(*handshake));
}

void
control_initiation_fini(struct control_initiation *initiation)
{
	secret_wipe(initiation, sizeof(*initiation));
}

void
control_session_keys_fini(struct control_session_keys *keys)
{
	secret_wipe(keys, sizeof(*keys));
}
