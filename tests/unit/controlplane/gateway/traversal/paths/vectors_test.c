/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Messages that the reference has sealed (argv[1]: tests/vectors/disco.json) come from a peer, over
 * UDP and over its relay: what do we do?
 */

#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/traversal/paths/stage.h"
#include "tests/unit/lib/traversal/vector.h"

#define FROM "203.0.113.9:41641"

static const json_t *vectors;

// The stage plays `to`, and its peer 1 has the disco key of `from`.
static void
open_for(const char *from, const char *to, struct actor *actor)
{
	const json_t *keys = json_object_get(vectors, "keys");
	struct secret_key secret;
	struct public_key public;

	vector_pair(json_object_get(keys, to), &secret, &public);
	stage_open(&secret);
	stage_actor(actor);
	vector_pair(json_object_get(keys, from), &actor->disco_secret, &actor->disco_key);
	if (box_key_init(&actor->box, &actor->disco_secret, &public) != 0)
		exit(1);
	stage.actors[0] = *actor;
	stage_set(1, actor, NULL);
}

static void
receive(const struct actor *actor, const json_t *vector, const char *name, bool relayed)
{
	struct paths_source source = { .region = STAGE_HOME, .relay_key = actor->node_key };
	size_t len;
	uint8_t *data = vector_hex(vector, name, &len);

	if (!relayed)
		source = (struct paths_source){ .endpoint = stage_endpoint(FROM) };
	paths_receive(stage.paths, &source, data, len, stage.now);
	free(data);
}

static bool
is_type(const json_t *vector, const char *type)
{
	const char *plain = vector_text(vector, "plain");

	return strncmp(plain, type, 2) == 0;
}

static bool
has_txid(const json_t *vector, const struct sent *pong)
{
	const json_t *txid = json_object_get(json_object_get(vector, "fields"), "TxID"), *byte;
	size_t i;

	if (pong == NULL || json_array_size(txid) != DISCO_TXID_LEN)
		return false;
	json_array_foreach(txid, i, byte)
	{
		if (json_integer_value(byte) != pong->txid[i])
			return false;
	}
	return true;
}

// Endpoints that can be sent to, each once.
static unsigned
count_usable(const json_t *vector)
{
	const json_t *list = json_object_get(json_object_get(vector, "fields"), "MyNumber"), *text;
	unsigned n = 0;
	size_t i;

	json_array_foreach(list, i, text)
	{
		struct endpoint e = vector_endpoint(json_string_value(text));
		bool link_local = e.addr.family == ADDR_V6 && e.addr.bytes[0] == 0xfe &&
		                  (e.addr.bytes[1] & 0xc0) == 0x80;

		n += e.port != 0 && !link_local;
	}
	return n;
}

static void
run_message(const json_t *vector, bool relayed)
{
	const char *name = vector_text(vector, "name");
	struct paths_counters c;
	struct actor actor;

	open_for(vector_text(vector, "from"), vector_text(vector, "to"), &actor);
	receive(&actor, vector, "envelope", relayed);
	paths_counters(stage.paths, &c);
	tap_ok(c.unknown_key + c.not_authentic == 0, "%s: authentic", name);
	if (is_type(vector, "01"))
		tap_ok(stage.n_sent == 1 && has_txid(vector, stage_find(DISCO_PONG, NULL)) &&
				stage.sent[0].relayed == relayed,
			"%s: answered with its transaction id, the way that it came", name);
	else if (is_type(vector, "03") && relayed)
		tap_int(stage_count(DISCO_PING, NULL), count_usable(vector), name);
	else
		tap_ok(stage.n_sent == 0 && c.ignored == 1, "%s: ignored", name);
	stage_close();
}

static void
run_plain(const json_t *vector, struct actor *actor)
{
	size_t len;
	uint8_t *plain = vector_hex(vector, "plain", &len);
	uint8_t *data = malloc(DISCO_OVERHEAD + len);
	struct paths_source source = { .endpoint = stage_endpoint(FROM) };
	bool is_ping =
		len > 0 && plain[0] == DISCO_PING && json_object_get(vector, "error") == NULL;

	if (data == NULL)
		exit(1);
	for (int relayed = 0; relayed < 2; relayed++) {
		memcpy(data, "TS\xf0\x9f\x92\xac", DISCO_MAGIC_LEN);
		memcpy(data + DISCO_MAGIC_LEN, &actor->disco_key, KEY_LEN);
		memset(data + DISCO_SENDER_END, relayed, BOX_NONCE_LEN);
		box_seal(data + DISCO_HEADER_LEN, plain, len, data + DISCO_SENDER_END, &actor->box);
		if (relayed)
			source = (struct paths_source){ .region = STAGE_HOME,
				.relay_key = actor->node_key };
		paths_receive(stage.paths, &source, data, DISCO_OVERHEAD + len, stage.now);
	}
	tap_ok((stage_count(DISCO_PONG, NULL) > 0) == is_ping, "%s: %s",
		vector_text(vector, "name"), is_ping ? "a ping" : "nothing to answer");
	stage_clear();
	free(data);
	free(plain);
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv);
	const json_t *vector;
	struct actor actor;
	size_t i;

	vectors = root;
	json_array_foreach(json_object_get(root, "messages"), i, vector)
	{
		run_message(vector, false);
		run_message(vector, true);
	}
	json_array_foreach(json_object_get(root, "parse"), i, vector)
	{
		open_for("a", "b", &actor);
		run_plain(vector, &actor);
		stage_close();
	}
	json_decref(root);
	return tap_done();
}
