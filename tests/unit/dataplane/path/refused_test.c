/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What comes from the wire and must not go on: each row a message, the reason it is dropped for,
 * and afterwards an unchanged state.
 */

#include <string.h>
#include <sys/mman.h>

#include "lib/base/bytes.h"
#include "lib/wg/message.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct gateways g;
static uint8_t inner[IN_MEMORY_MTU];
static struct message good; // a message for far that was not delivered yet

static size_t
make_inner(size_t len)
{
	return packet_make(
		inner, len, &(struct packet_make){ .src = "10.1.0.5", .dst = "10.2.0.5" });
}

static void
seal_good(void)
{
	if (!gateway_seal(g.near, inner, make_inner(100), &good))
		tap_ok(false, "a good message could be made");
}

// Deliver; true if the only thing that happened is this drop.
static bool
is_refused(const struct message *msg, enum drop_reason reason)
{
	const struct shm_peer_counters *counters = &g.far->state->counters[0][0];
	struct shm_peer_counters before = *counters;
	uint64_t drops = in_memory_drops(g.far, reason);
	struct message out;
	struct shm_packet punted;

	gateway_receive(g.far, msg);
	return in_memory_drops(g.far, reason) == drops + 1 && !gateway_take_host(g.far, &out) &&
	       !gateway_take_wire(g.far, &out) && !in_memory_punted(g.far, &punted) &&
	       memcmp(&before, counters, sizeof(before)) == 0;
}

static bool
good_still_passes(void)
{
	struct message out;

	return gateway_open(g.far, &good, &out) && out.len == 100 &&
	       memcmp(out.data, inner, 100) == 0;
}

enum damage {
	CUT,        // to `at` bytes
	FLIP,       // byte `at` ^= value
	INDEX,      // := value
	COUNTER_TOP // counter := all ones
};

static const struct {
	const char *what;
	enum damage damage;
	uint32_t at;
	uint32_t value;
	enum drop_reason reason;
} rows[] = {
	{ "nothing at all", CUT, 0, 0, DROP_WIRE_SHORT },
	{ "one byte", CUT, 1, 0, DROP_WIRE_SHORT },
	{ "less than a header and a tag", CUT, 31, 0, DROP_WIRE_SHORT },
	{ "the last byte is missing", CUT, 143, 0, DROP_AUTH },
	{ "a keepalive's length, but not its tag", CUT, 32, 0, DROP_AUTH },
	{ "type 5", FLIP, 0, 1, DROP_WIRE_TYPE },
	{ "type 0", FLIP, 0, 4, DROP_WIRE_TYPE },
	{ "an initiation of another length", FLIP, 0, 5, DROP_WIRE_TYPE },
	{ "the first reserved byte", FLIP, 1, 1, DROP_WIRE_TYPE },
	{ "the last reserved byte", FLIP, 3, 0x80, DROP_WIRE_TYPE },
	{ "index 0", INDEX, 0, 0, DROP_NO_SESSION },
	{ "slot 0 with a generation", INDEX, 0, 0x7ff00000, DROP_NO_SESSION },
	{ "another generation of the slot", INDEX, 0, FAR_INDEX ^ 0x00100000, DROP_NO_SESSION },
	{ "a slot never used", INDEX, 0, FAR_INDEX + 100, DROP_NO_SESSION },
	{ "the last slot", INDEX, 0, SHM_MAX_SESSIONS - 1, DROP_NO_SESSION },
	{ "a slot beyond the last", INDEX, 0, SHM_MAX_SESSIONS, DROP_NO_SESSION },
	{ "the largest slot that can be said", INDEX, 0, UINT32_MAX, DROP_NO_SESSION },
	{ "another peer's session", INDEX, 0, FAR_THIRD_INDEX, DROP_AUTH },
	{ "a counter beyond the last", COUNTER_TOP, 0, 0, DROP_REPLAY },
	{ "another counter", FLIP, 9, 1, DROP_AUTH },
	{ "a ciphertext byte", FLIP, 40, 1, DROP_AUTH },
	{ "the tag's last byte", FLIP, 143, 0x80, DROP_AUTH },
};

static void
damaged_messages(void)
{
	gateways_create(&g, true);
	seal_good();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message msg = good;

		if (rows[i].damage == CUT)
			msg.len = rows[i].at;
		else if (rows[i].damage == FLIP)
			msg.data[rows[i].at] ^= (uint8_t)rows[i].value;
		else if (rows[i].damage == INDEX)
			store_le32(msg.data + 4, rows[i].value);
		else
			memset(msg.data + 8, 0xff, 8);
		tap_ok(is_refused(&msg, rows[i].reason), "%s: %s", rows[i].what,
			drop_name(rows[i].reason));
	}
	tap_ok(good_still_passes(), "the message that they were made of passes");
	tap_ok(is_refused(&good, DROP_REPLAY), "but not twice");
	gateways_destroy(&g);
}

static void
every_bit_and_length(void)
{
	unsigned passed = 0;
	struct message out;

	gateways_create(&g, true);
	seal_good();
	for (size_t bit = 0; bit < good.len * 8; bit++) {
		struct shm_peer_counters before = g.far->state->counters[0][0];
		struct message msg = good;

		msg.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		passed += gateway_open(g.far, &msg, &out) ||
		          memcmp(&before, &g.far->state->counters[0][0], sizeof(before)) != 0;
	}
	tap_int(passed, 0, "a message with any one bit flipped is refused, nothing is counted");
	for (size_t len = 0; len < good.len; len++) {
		struct message msg = good;

		msg.len = len;
		passed += gateway_open(g.far, &msg, &out);
	}
	for (size_t more = 1; more < 40; more++) {
		struct message msg = good;

		memset(msg.data + msg.len, 0, more);
		msg.len += more;
		passed += gateway_open(g.far, &msg, &out);
	}
	tap_int(passed, 0, "any other length is refused");
	tap_ok(good_still_passes(), "the message passes after all of that");
	gateways_destroy(&g);
}

static void
expired_session(void)
{
	struct shm_session_rx *rx;

	gateways_create(&g, true);
	rx = &g.far->keys->rx[FAR_SLOT];
	seal_good();
	rx->birth_ns = mono_now().ns - (uint64_t)(180 * NS_PER_S);
	tap_ok(is_refused(&good, DROP_SESSION_EXPIRED), "a session of 180 s is dead");
	rx->birth_ns = mono_now().ns - (uint64_t)(179 * NS_PER_S);
	tap_ok(good_still_passes(), "one of 179 s lives");
	seal_good();
	rx->birth_ns = mono_now().ns + (uint64_t)(10 * NS_PER_MS);
	tap_ok(good_still_passes(), "one born after the round's clock was read lives too");
	gateways_destroy(&g);
}

static void
forged_among_good(void)
{
	struct message msgs[9], out;
	unsigned passed = 0;
	bool in_order = true;

	gateways_create(&g, true);
	for (unsigned i = 0; i < 9; i++) {
		packet_make(inner, 100,
			&(struct packet_make){
				.src = "10.1.0.5", .dst = "10.2.0.5", .id = (uint16_t)i });
		if (!in_memory_push_host(g.near, 0, inner, 100))
			tap_ok(false, "there is room");
	}
	in_memory_round(g.near);
	for (unsigned i = 0; i < 9; i++)
		(void)gateway_take_wire(g.near, &msgs[i]);
	for (unsigned i = 0; i < 9; i++) {
		struct message msg = msgs[i];

		if (i == 4)
			msg.data[msg.len - 1] ^= 1;
		(void)in_memory_push_wire(g.far, 0, msg.data, msg.len, NULL, 0);
	}
	in_memory_round(g.far);
	while (gateway_take_host(g.far, &out)) {
		in_order &= packet_id(out.data, out.len) == (int)(passed < 4 ? passed : passed + 1);
		passed++;
	}
	tap_int(passed, 8, "one forged message in a burst of nine: eight pass");
	tap_ok(in_order, "in order");
	tap_ok(gateway_open(g.far, &msgs[4], &out) && packet_id(out.data, out.len) == 4,
		"the forged one has not used up its counter");
	gateways_destroy(&g);
}

static void
replay_window(void)
{
	struct message msg, out;
	uint8_t packet[64];

	packet_make(packet, 64, &(struct packet_make){ .src = "10.1.0.5", .dst = "10.2.0.5" });
	gateways_create(&g, true);
	gateway_seal_raw(g.far, 9000, packet, 64, &msg);
	tap_ok(gateway_open(g.far, &msg, &out), "a jump by 9,000");
	gateway_seal_raw(g.far, 9000 - 8160, packet, 64, &msg);
	tap_ok(gateway_open(g.far, &msg, &out), "8,160 behind the newest is inside the window");
	tap_ok(is_refused(&msg, DROP_REPLAY), "once");
	gateway_seal_raw(g.far, 805, packet, 64, &msg);
	tap_ok(is_refused(&msg, DROP_REPLAY), "8,195 behind is too old");
	gateway_seal_raw(g.far, WG_REJECT_AFTER_MESSAGES, packet, 64, &msg);
	tap_ok(is_refused(&msg, DROP_REPLAY), "the first forbidden counter");

	// The same message twice in one burst: both are authentic.
	gateway_seal_raw(g.far, 9001, packet, 64, &msg);
	(void)in_memory_push_wire(g.far, 0, msg.data, msg.len, NULL, 0);
	(void)in_memory_push_wire(g.far, 0, msg.data, msg.len, NULL, 0);
	in_memory_round(g.far);
	tap_ok(gateway_take_host(g.far, &out) && !gateway_take_host(g.far, &out),
		"twice in one burst: one passes");
	gateways_destroy(&g);
}

// --- what is inside ----------------------------------------------------------------------------

// Plaintexts are a packet of this family and length, with one 16-bit word overwritten.
static const struct {
	const char *what;
	int family;
	uint32_t len; // of the plaintext
	uint32_t at;  // of the word to overwrite; 0: none
	uint32_t word;
	uint32_t passes_as; // bytes; 0: malformed
} inners[] = {
	{ "IPv4, exactly its length", 4, 64, 0, 0, 64 },
	{ "IPv4 with padding: cut", 4, 64, 2, 52, 52 },
	{ "IPv4, longer by its length field than what came", 4, 64, 2, 65, 0 },
	{ "IPv4, all 65,535 bytes of it", 4, 64, 2, 65535, 0 },
	{ "IPv4, length field of 19", 4, 64, 2, 19, 0 },
	{ "IPv4, length field of 20", 4, 64, 2, 20, 20 },
	{ "IPv4, length field of 0", 4, 64, 2, 0, 0 },
	{ "IPv4, header of 16 bytes", 4, 64, 1, 0x4400, 0 },
	{ "IPv4, header longer than the packet", 4, 24, 1, 0x4700, 0 },
	{ "IPv4, 19 bytes", 4, 19, 0, 0, 0 },
	{ "IPv6, exactly its length", 6, 64, 0, 0, 64 },
	{ "IPv6 with padding: cut", 6, 64, 4, 10, 50 },
	{ "IPv6 without payload", 6, 64, 4, 0, 40 },
	{ "IPv6, one byte more than came", 6, 64, 4, 25, 0 },
	{ "IPv6, 39 bytes", 6, 39, 0, 0, 0 },
	{ "version 0", 4, 64, 1, 0x0500, 0 },
	{ "version 5", 4, 64, 1, 0x5500, 0 },
	{ "version 15", 4, 64, 1, 0xf500, 0 },
	{ "one byte", 4, 1, 0, 0, 0 },
};

static void
malformed_inners(void)
{
	gateways_create(&g, true);
	for (size_t i = 0; i < sizeof(inners) / sizeof(inners[0]); i++) {
		const struct packet_make v4 = { .src = "10.1.0.5", .dst = "10.2.0.5" };
		const struct packet_make v6 = { .src = "fd01::5", .dst = "fd02::5" };
		uint64_t drops = in_memory_drops(g.far, DROP_INNER_MALFORMED);
		struct message msg, out = {};
		uint8_t packet[64];

		packet_make(packet, 64, inners[i].family == 4 ? &v4 : &v6);
		if (inners[i].at == 1) // the word at 0, which stands for "none"
			store_be16(packet, (uint16_t)inners[i].word);
		else if (inners[i].at != 0)
			store_be16(packet + inners[i].at, (uint16_t)inners[i].word);
		gateway_seal_raw(g.far, 100 + i, packet, inners[i].len, &msg);
		if (inners[i].passes_as != 0)
			tap_ok(gateway_open(g.far, &msg, &out) && out.len == inners[i].passes_as,
				"%s", inners[i].what);
		else
			tap_ok(!gateway_open(g.far, &msg, &out) &&
					in_memory_drops(g.far, DROP_INNER_MALFORMED) == drops + 1,
				"%s: malformed", inners[i].what);
	}
	gateways_destroy(&g);
}

static const struct {
	const char *what;
	const char *src, *dst;
	bool passes;
} sources[] = {
	{ "a source of the peer's", "10.1.2.3", "10.2.0.5", true },
	{ "nobody's source", "192.168.0.1", "10.2.0.5", false },
	{ "a source of ours", "10.2.0.9", "10.2.0.5", false },
	{ "another peer's source", "10.3.0.5", "10.2.0.5", false },
	{ "a longer prefix inside the peer's that is another's", "10.1.77.5", "10.2.0.5", false },
	{ "one below that prefix", "10.1.76.255", "10.2.0.5", true },
	{ "the host's own address inside the peer's prefix", "10.1.99.1", "10.2.0.5", false },
	{ "the address beside it", "10.1.99.2", "10.2.0.5", true },
	{ "IPv6 of the peer's", "fd01::1234", "fd02::5", true },
	{ "another peer's IPv6", "fd03::1", "fd02::5", false },
	{ "a longer IPv6 prefix that is another's", "fd01:77::5", "fd02::5", false },
	{ "IPv6 unspecified", "::", "fd02::5", false },
	{ "IPv4 unspecified", "0.0.0.0", "10.2.0.5", false },
	{ "to an address of the host inside another peer's prefix", "10.1.0.5", "10.3.99.1", true },
};

static void
sources_allowed(void)
{
	gateways_create(&g, true);
	in_memory_begin(g.far, false);
	in_memory_prefix(g.far, "10.1.77.0/24", 1);
	in_memory_prefix(g.far, "10.1.99.1/32", SHM_TO_HOST);
	in_memory_prefix(g.far, "10.3.99.1/32", SHM_TO_HOST);
	in_memory_prefix(g.far, "fd01:77::/32", 1);
	tap_int(in_memory_commit(g.far), 0, "longer prefixes come by a delta");
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		uint64_t drops = in_memory_drops(g.far, DROP_SOURCE);
		struct message msg, out;
		uint8_t packet[64];
		bool passed;

		packet_make(packet, 64,
			&(struct packet_make){ .src = sources[i].src, .dst = sources[i].dst });
		gateway_seal_raw(g.far, 100 + i, packet, 64, &msg);
		passed = gateway_open(g.far, &msg, &out);
		tap_ok(passed == sources[i].passes &&
				in_memory_drops(g.far, DROP_SOURCE) == drops + !passed,
			"%s: %s", sources[i].what, sources[i].passes ? "passes" : "dropped");
	}
	gateways_destroy(&g);
}

// --- messages of a handshake -------------------------------------------------------------------

static const struct {
	uint8_t type;
	uint32_t len;
	bool is_punted;
} handshakes[] = {
	{ 1, 148, true },
	{ 1, 147, false },
	{ 1, 149, false },
	{ 2, 92, true },
	{ 2, 93, false },
	{ 3, 64, true },
	{ 3, 63, false },
};

static void
handshake_messages(void)
{
	struct pkt_outer from = in_memory_outer("[2001:db8::77]:4242", "2001:db8::2");

	gateways_create(&g, true);
	for (size_t i = 0; i < sizeof(handshakes) / sizeof(handshakes[0]); i++) {
		uint64_t drops = in_memory_drops(g.far, DROP_WIRE_TYPE);
		struct shm_packet punted;
		uint8_t data[256];

		memset(data, 0x5a, sizeof(data));
		store_le32(data, handshakes[i].type);
		(void)in_memory_push_wire(g.far, 0, data, handshakes[i].len, &from, 0);
		in_memory_round(g.far);
		if (handshakes[i].is_punted)
			tap_ok(in_memory_punted(g.far, &punted) &&
					punted.len == handshakes[i].len &&
					punted.kind == SHM_PKT_WIRE &&
					memcmp(punted.data, data, punted.len) == 0 &&
					memcmp(&punted.path, &from, sizeof(from)) == 0,
				"type %u of %u bytes goes to the control plane with its addresses",
				handshakes[i].type, handshakes[i].len);
		else
			tap_ok(!in_memory_punted(g.far, &punted) &&
					in_memory_drops(g.far, DROP_WIRE_TYPE) == drops + 1,
				"type %u of %u bytes does not", handshakes[i].type,
				handshakes[i].len);
	}
	// Nobody reads: the ring fills, then they are dropped, and nothing else suffers.
	for (unsigned i = 0; i < SHM_N_PACKETS + 10; i++) {
		uint8_t data[148] = { 1 };

		(void)in_memory_push_wire(g.far, 0, data, sizeof(data), &from, 0);
		in_memory_round(g.far);
	}
	tap_int((long long)g.far->state->workers[SHM_MAIN_ROW].drops[DROP_PUNT_FULL], 10,
		"what finds no room is counted");
	seal_good();
	tap_ok(good_still_passes(), "data passes meanwhile");
	gateways_destroy(&g);
}

// Memory that nobody used must not come into being because a stranger asks for it.
static void
unknown_indices_touch_nothing(void)
{
	const size_t page = 4096, per_page = page / sizeof(g.far->keys->rx[0]);
	uint8_t resident[SHM_MAX_SESSIONS / 64];
	unsigned n = 0;

	gateways_create(&g, true);
	for (uint32_t slot = 0; slot < SHM_MAX_SESSIONS; slot += (uint32_t)per_page) {
		struct message msg = { .len = 64 };

		store_le32(msg.data, WG_MESSAGE_TRANSPORT_DATA);
		store_le32(msg.data + 4, 0x12300000u + slot);
		gateway_receive(g.far, &msg);
	}
	if (mincore(g.far->keys->rx, sizeof(g.far->keys->rx), resident) < 0)
		tap_ok(false, "mincore");
	for (size_t i = 0; i < SHM_MAX_SESSIONS / per_page; i++)
		n += resident[i] & 1;
	tap_int(n, 1, "of the session table one page is used, whatever indices come");
	gateways_destroy(&g);
}

int
main(void)
{
	damaged_messages();
	every_bit_and_length();
	expired_session();
	forged_among_good();
	replay_window();
	malformed_inners();
	sources_allowed();
	handshake_messages();
	unknown_indices_touch_nothing();
	return tap_done();
}
