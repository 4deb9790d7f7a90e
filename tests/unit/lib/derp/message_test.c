/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Against the reference (argv[1]: tests/vectors/derp.json): what its client says of each frame, and
 * its own frames written again byte for byte.
 */

#include "lib/derp/message.h"

#include "lib/base/err.h"
#include "lib/crypto/box.h"
#include "lib/derp/info.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/traversal/vector.h"

static const json_t *keys;

#define TEXT_LEN 4096

static void
put_hex(char *out, size_t room, const void *bytes, size_t len)
{
	sodium_bin2hex(out, room, bytes, len);
}

// A duration as Go prints it: only what the vectors need.
static void
put_ms(char *out, size_t room, uint32_t ms)
{
	if (ms >= 60000)
		snprintf(out, room, "%um%us", ms / 60000, ms % 60000 / 1000);
	else
		snprintf(out, room, "%us", ms / 1000);
}

static void
put_server_info(const struct derp_message *m, char text[static TEXT_LEN])
{
	struct secret_key secret;
	struct public_key server, client;
	struct derp_server_info info;
	struct box_key key;

	vector_pair(json_object_get(keys, "a"), &secret, &client);
	server = vector_public(vector_text(json_object_get(keys, "server"), "public"));
	if (box_key_init(&key, &secret, &server) != 0 ||
		derp_server_info_open(m->data, m->data_len, &key, &info) != 0)
		snprintf(text, TEXT_LEN, "error");
	else
		snprintf(text, TEXT_LEN, "ServerInfo rate=%lld burst=%lld",
			(long long)info.bytes_per_second, (long long)info.bytes_burst);
}

// In the words of the vectors, as a client after its greeting reports it.
static void
describe(const struct derp_message *m, char text[static TEXT_LEN])
{
	char key[2 * KEY_LEN + 1], data[TEXT_LEN / 2] = "", addr[ADDR_TEXT_LEN] = "", a[32], b[32];

	put_hex(key, sizeof(key), m->key.bytes, KEY_LEN);
	if (m->data_len > 0 && m->data_len < sizeof(data) / 2)
		put_hex(data, sizeof(data), m->data, m->data_len);
	switch (m->type) {
	case DERP_RECV_PACKET:
		snprintf(text, TEXT_LEN, "RecvPacket from=%s data=%s", key, data);
		break;
	case DERP_KEEP_ALIVE:
		snprintf(text, TEXT_LEN, "KeepAlive");
		break;
	case DERP_PEER_GONE:
		snprintf(text, TEXT_LEN, "PeerGone peer=%s reason=%u", key, m->gone_reason);
		break;
	case DERP_PEER_PRESENT:
		if (m->present.endpoint.addr.family == ADDR_NONE)
			snprintf(addr, sizeof(addr), "invalid AddrPort");
		else
			endpoint_format(&m->present.endpoint, addr);
		snprintf(text, TEXT_LEN, "PeerPresent peer=%s addr=%s flags=%u", key, addr,
			m->present.flags);
		break;
	case DERP_PING:
	case DERP_PONG:
		put_hex(data, sizeof(data), m->ping, DERP_PING_LEN);
		snprintf(text, TEXT_LEN, "%s %s", m->type == DERP_PING ? "Ping" : "Pong", data);
		break;
	case DERP_HEALTH:
		snprintf(
			text, TEXT_LEN, "Health \"%.*s\"", (int)m->data_len, (const char *)m->data);
		break;
	case DERP_RESTARTING:
		put_ms(a, sizeof(a), m->restarting.reconnect_ms);
		put_ms(b, sizeof(b), m->restarting.try_for_ms);
		snprintf(text, TEXT_LEN, "Restarting reconnect=%s try=%s", a, b);
		break;
	case DERP_SERVER_INFO:
		put_server_info(m, text);
		break;
	default: // not for a client, or not any more
		snprintf(text, TEXT_LEN, "skipped");
	}
}

static void
parse(const uint8_t *data, size_t len, char text[static TEXT_LEN])
{
	struct derp_reader reader = {};
	struct derp_frame frame;
	struct derp_message m;
	size_t used;
	int err = derp_reader_next(&reader, data, len, &used, &frame);

	snprintf(text, TEXT_LEN, "skipped");
	if (err == 0 && frame.type != DERP_NONE)
		err = derp_message_read(&frame, &m);
	if (err == 0 && frame.type != DERP_NONE)
		describe(&m, text);
	else if (err < 0 && err != ERR_TRUNCATED)
		snprintf(text, TEXT_LEN, "error");
}

static void
test_client_parsed(const json_t *v, const char *what)
{
	const char *wanted = json_string_value(json_object_get(v, "client_parsed"));
	char text[TEXT_LEN];
	size_t len;
	uint8_t *frame;

	if (wanted == NULL)
		return;
	frame = vector_hex(v, "frame", &len);
	parse(frame, len, text);
	tap_text(text, strncmp(wanted, "error", 5) == 0 ? "error" : wanted, what);
	free(frame);
}

// Read, then written again: the same bytes, without having been copied.
static void
test_write(const json_t *v, const char *what)
{
	struct derp_reader reader = {};
	uint8_t head[DERP_HEAD_MAX_LEN];
	struct derp_frame frame;
	struct derp_message m;
	size_t len, used, head_len;
	uint8_t *wanted = vector_hex(v, "frame", &len);

	tap_int(derp_reader_next(&reader, wanted, len, &used, &frame), 0, what);
	tap_int(derp_message_read(&frame, &m), 0, what);
	head_len = derp_head_write(head, &m);
	tap_int((long long)(head_len + m.data_len), (long long)len, "written as long as it was");
	tap_bytes(head, wanted, head_len, "with the same head");
	tap_ok(m.data_len == 0 || m.data == wanted + head_len, "and its data where it was");
	free(wanted);
}

static void
test_info_keys(const json_t *transcript)
{
	const json_t *v;
	size_t i;

	json_array_foreach(transcript, i, v)
	{
		if (strcmp(vector_text(v, "name"), "ClientInfo") == 0) {
			size_t len;
			uint8_t *data = vector_hex(v, "frame", &len);
			struct derp_frame frame = { data[0], (uint32_t)len - DERP_HEADER_LEN,
				data + DERP_HEADER_LEN };
			struct derp_message m;
			struct public_key key = vector_public(vector_text(
				json_object_get(keys, vector_text(v, "conn")), "public"));

			tap_int(derp_message_read(&frame, &m), 0, "a client's info");
			tap_bytes(&m.key, &key, sizeof(key), "names its key before it is opened");
			free(data);
		}
	}
}

// --- lengths ---

static const struct {
	enum derp_type type;
	uint32_t min_len;
	int err_below;
} lengths[] = {
	{ DERP_SERVER_KEY, 40, ERR_TRUNCATED },
	{ DERP_CLIENT_INFO, 72, ERR_BAD_FORMAT },
	{ DERP_SERVER_INFO, 40, ERR_BAD_FORMAT },
	{ DERP_SEND_PACKET, 32, ERR_TRUNCATED },
	{ DERP_RECV_PACKET, 32, ERR_TRUNCATED },
	{ DERP_KEEP_ALIVE, 0, 0 },
	{ DERP_NOTE_PREFERRED, 1, ERR_TRUNCATED },
	{ DERP_PEER_GONE, 32, ERR_TRUNCATED },
	{ DERP_PEER_PRESENT, 32, ERR_TRUNCATED },
	{ DERP_FORWARD_PACKET, 64, ERR_TRUNCATED },
	{ DERP_WATCH_CONNS, 0, 0 },
	{ DERP_CLOSE_PEER, 32, ERR_TRUNCATED },
	{ DERP_PING, 8, ERR_TRUNCATED },
	{ DERP_PONG, 8, ERR_TRUNCATED },
	{ DERP_HEALTH, 0, 0 },
	{ DERP_RESTARTING, 8, ERR_TRUNCATED },
};

static int
read_of_len(enum derp_type type, uint32_t len, struct derp_message *m)
{
	static const uint8_t magic[8] = { 'D', 'E', 'R', 'P', 0xf0, 0x9f, 0x94, 0x91 };
	uint8_t *payload = calloc(1, len > 0 ? len : 1);
	struct derp_frame frame = { type, len, payload };
	int err;

	if (type == DERP_SERVER_KEY)
		memcpy(payload, magic, len < sizeof(magic) ? len : sizeof(magic));
	err = derp_message_read(&frame, m);
	free(payload);
	return err;
}

static void
test_lengths(void)
{
	struct derp_message m;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t min = lengths[i].min_len;

		tap_int(read_of_len(lengths[i].type, min, &m), 0, "the shortest of its type");
		tap_int(read_of_len(lengths[i].type, min + 13, &m), 0, "a longer one");
		if (min > 0)
			tap_int(read_of_len(lengths[i].type, min - 1, &m), lengths[i].err_below,
				"a byte less is refused");
	}
	tap_int(read_of_len(DERP_NONE, 0, &m), ERR_BAD_FORMAT, "no frame is no message");
}

static void
test_largest(void)
{
	struct derp_message m;

	tap_int(read_of_len(DERP_RECV_PACKET, 32 + DERP_PACKET_MAX_LEN, &m), 0,
		"the largest packet");
	tap_int((long long)m.data_len, DERP_PACKET_MAX_LEN, "all of it");
	tap_int(read_of_len(DERP_RECV_PACKET, 33 + DERP_PACKET_MAX_LEN, &m), ERR_BAD_FORMAT,
		"a byte more");
	tap_int(read_of_len(DERP_FORWARD_PACKET, 64 + DERP_PACKET_MAX_LEN, &m), 0,
		"the largest that is forwarded");
	tap_int(read_of_len(DERP_SERVER_KEY, 1024, &m), 0, "a greeting may be 1,024 bytes long");
	tap_int(read_of_len(DERP_SERVER_KEY, 1025, &m), ERR_BAD_FORMAT, "and no longer");
}

static void
test_magic(void)
{
	uint8_t payload[40] = { 'D', 'E', 'R', 'P', 0xf0, 0x9f, 0x94, 0x92 };
	struct derp_frame frame = { DERP_SERVER_KEY, sizeof(payload), payload };
	struct derp_message m = { .type = DERP_HEALTH };

	tap_int(derp_message_read(&frame, &m), ERR_BAD_FORMAT, "a greeting without the magic");
	tap_int(m.type, DERP_HEALTH, "nothing is written");
}

// A relay turns what A sends to B into what B receives from A: the head changes, the packet stays.
static void
test_relaying(void)
{
	uint8_t in[DERP_HEADER_LEN + KEY_LEN + 5] = { DERP_SEND_PACKET, 0, 0, 0, KEY_LEN + 5, 'B' };
	uint8_t wanted[DERP_HEADER_LEN + KEY_LEN] = { DERP_RECV_PACKET, 0, 0, 0, KEY_LEN + 5, 'A' };
	struct derp_frame frame = { DERP_SEND_PACKET, KEY_LEN + 5, in + DERP_HEADER_LEN };
	uint8_t head[DERP_HEAD_MAX_LEN];
	struct derp_message m;

	tap_int(derp_message_read(&frame, &m), 0, "A sends");
	tap_int(m.key.bytes[0], 'B', "to B");
	m.type = DERP_RECV_PACKET;
	m.key = (struct public_key){ { 'A' } };
	tap_int((long long)derp_head_write(head, &m), sizeof(wanted), "B gets a new head");
	tap_bytes(head, wanted, sizeof(wanted), "from A");
	tap_ok(m.data == in + sizeof(wanted) && m.data_len == 5, "and the packet as it lay");
}

static void
test_present_of_unknown_place(void)
{
	struct derp_message m = { .type = DERP_PEER_PRESENT, .present.flags = 9 };
	uint8_t head[DERP_HEAD_MAX_LEN], zeros[18] = { 0 };

	tap_int((long long)derp_head_write(head, &m), DERP_HEADER_LEN + 51,
		"always of full length");
	tap_bytes(head + DERP_HEADER_LEN + KEY_LEN, zeros, sizeof(zeros), "with no place");
	tap_int(head[DERP_HEADER_LEN + 50], 9, "and its flags");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv), *v;
	const json_t *transcript = json_object_get(root, "transcript");
	size_t i;

	keys = json_object_get(root, "keys");
	json_array_foreach(transcript, i, v)
	{
		if (strcmp(vector_text(v, "name"), "ServerInfo") !=
			0) // those are sealed for others too
			test_client_parsed(v, vector_text(v, "name"));
		test_write(v, vector_text(v, "name"));
	}
	json_array_foreach(json_object_get(json_object_get(root, "client_recv"), "cases"), i, v)
		test_client_parsed(v, vector_text(v, "name"));
	test_info_keys(transcript);
	test_lengths();
	test_largest();
	test_magic();
	test_relaying();
	test_present_of_unknown_place();
	json_decref(root);
	return tap_done();
}
