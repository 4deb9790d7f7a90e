/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Against the reference's classification and Geneve headers (argv[1]: tests/vectors/disco.json).
 */

#include "lib/traversal/datagram.h"

#include "lib/traversal/disco.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/traversal/vector.h"

static const char *
kind_name(enum datagram_kind kind)
{
	return kind == DATAGRAM_STUN ? "stun" : kind == DATAGRAM_DISCO ? "disco" : "wireguard";
}

static void
test_classify(const json_t *v)
{
	const char *what = vector_text(v, "name");
	bool relayed = json_is_true(json_object_get(v, "geneve"));
	size_t len, stripped = relayed ? GENEVE_LEN : 0;
	uint8_t *data = vector_hex(v, "datagram", &len);
	struct datagram d;

	datagram_classify(data, len, &d);
	tap_text(kind_name(d.kind), vector_text(v, "class"), what);
	tap_int(d.relayed, relayed, what);
	tap_ok(d.payload == data + stripped && d.len == len - stripped, "%s: its payload", what);
	free(data);
}

static void
test_geneve(const json_t *v)
{
	struct geneve read, made = {
		.control = json_is_true(json_object_get(v, "control")),
		.protocol = (uint16_t)json_integer_value(json_object_get(v, "protocol")),
		.vni = (uint32_t)json_integer_value(json_object_get(v, "vni")),
	};
	uint8_t wanted[GENEVE_LEN], got[GENEVE_LEN];

	vector_bytes(v, "header", wanted, sizeof(wanted));
	geneve_write(got, &made);
	tap_bytes(got, wanted, sizeof(got), "a Geneve header is written");
	tap_ok(geneve_read(wanted, sizeof(wanted), &read), "and read");
	tap_int(read.control, made.control, "control bit");
	tap_int(read.protocol, made.protocol, "protocol");
	tap_int(read.vni, made.vni, "VNI");
	for (size_t len = 0; len < GENEVE_LEN; len++)
		tap_ok(!geneve_read(wanted, len, &read), "%zu bytes are no header", len);
}

static void
test_vni_is_cut(void)
{
	struct geneve read, made = { .protocol = GENEVE_DISCO, .vni = 0xff123456 };
	uint8_t header[GENEVE_LEN];

	geneve_write(header, &made);
	tap_ok(geneve_read(header, sizeof(header), &read), "a VNI of 32 bits makes a good header");
	tap_int(read.vni, 0x123456, "with its low 24 bits");
}

// Neither STUN nor Geneve goes through a relay: there they are WireGuard, which refuses them.
static void
test_relay(const json_t *v)
{
	bool disco = strcmp(vector_text(v, "class"), "disco") == 0 &&
	             !json_is_true(json_object_get(v, "geneve"));
	size_t len;
	uint8_t *data = vector_hex(v, "datagram", &len);

	tap_int(datagram_kind_of_relay(data, len), disco ? DATAGRAM_DISCO : DATAGRAM_WIREGUARD,
		vector_text(v, "name"));
	free(data);
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv), *v;
	struct datagram d;
	size_t i;

	json_array_foreach(json_object_get(root, "classify"), i, v)
	{
		test_classify(v);
		test_relay(v);
	}
	json_array_foreach(json_object_get(root, "geneve"), i, v) test_geneve(v);
	test_vni_is_cut();
	datagram_classify(NULL, 0, &d);
	tap_int(d.kind, DATAGRAM_WIREGUARD, "nothing at all");
	json_decref(root);
	return tap_done();
}
