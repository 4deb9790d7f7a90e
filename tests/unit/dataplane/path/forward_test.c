/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What goes through the tunnel: packet in, packet out, and what a router owes the sender when it
 * cannot go on.
 */

#include <stdio.h>
#include <string.h>

#include "dataplane/io/io_memory.h"
#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "lib/net/ecn.h"
#include "lib/wg/message.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct gateways g;
static uint8_t inner[65536];

static const struct packet_make v4 = { .src = "10.1.0.5", .dst = "10.2.0.5" };
static const struct packet_make v6 = { .src = "fd01::5", .dst = "fd02::5" };

// --- through one tunnel ------------------------------------------------------------------------

static bool
is_padded_right(const struct message *msg, size_t len)
{
	size_t padded = (len + 15) / 16 * 16;
	struct message copy = *msg;
	struct aead_job job = {
		.data = copy.data + 16,
		.len = (uint32_t)msg->len - 32,
		.key = g.far->keys->rx[FAR_SLOT].key,
		.counter = load_le64(msg->data + 8),
	};
	bool zeros = true;

	if (padded > IN_MEMORY_MTU)
		padded = IN_MEMORY_MTU;
	aead_open(&job, 1);
	for (size_t i = len; i < padded; i++)
		zeros &= job.data[i] == 0;
	return job.ok && zeros && msg->len == padded + 32;
}

static void
all_lengths(const struct packet_make *what, size_t shortest, const char *family)
{
	unsigned wrong = 0, wrongly_padded = 0;
	struct message msg, out;

	gateways_create(&g, true);
	for (size_t len = shortest; len <= IN_MEMORY_MTU; len++) {
		packet_make(inner, len, what);
		wrong += !gateway_seal(g.near, inner, len, &msg);
		wrongly_padded += !is_padded_right(&msg, len);
		wrong += !gateway_open(g.far, &msg, &out) || out.len != len ||
		         memcmp(out.data, inner, len) != 0;
	}
	tap_int(wrong, 0, family);
	tap_int(wrongly_padded, 0, "padded by zeros to 16, not beyond the MTU");
	tap_int((long long)g.near->state->counters[0][0].tx_packets,
		(long long)(IN_MEMORY_MTU - shortest + 2),
		"all counted as sent, and the keepalive");
	tap_int((long long)g.far->state->counters[0][0].rx_packets,
		(long long)(IN_MEMORY_MTU - shortest + 2), "and as received");
	tap_int((long long)g.far->state->counters[0][0].rx_bytes,
		(long long)g.near->state->counters[0][0].tx_bytes, "bytes too");
	gateways_destroy(&g);
}

static void
host_padding_is_cut(void)
{
	struct message msg, out;

	gateways_create(&g, true);
	packet_make(inner, 60, &v4);
	memset(inner + 60, 0xee, 40);
	tap_ok(gateway_seal(g.near, inner, 100, &msg) && is_padded_right(&msg, 60),
		"bytes behind the packet do not enter the tunnel");
	tap_ok(gateway_open(g.far, &msg, &out) && out.len == 60, "the packet does");
	gateways_destroy(&g);
}

static void
message_is_well_formed(void)
{
	struct pkt_outer path = in_memory_outer("192.0.2.2:51820", NULL);
	struct message msg;

	gateways_create(&g, true);
	packet_make(inner, 100, &v4);
	(void)gateway_seal(g.near, inner, 100, &msg);
	tap_ok(load_le32(msg.data) == 4 && load_le32(msg.data + 4) == FAR_INDEX &&
			load_le64(msg.data + 8) == 1,
		"type, the peer's index, the counter after the keepalive's");
	tap_ok(memcmp(&msg.outer, &path, sizeof(path)) == 0, "to the peer's path");
	gateways_destroy(&g);
}

static void
keepalive(void)
{
	struct shm_command cmd = { .kind = SHM_CMD_KEEPALIVE };
	struct shm_peer_counters *near, *far;
	struct message msg, out;

	gateways_create(&g, true);
	near = &g.near->state->counters[0][0];
	far = &g.far->state->counters[0][0];
	in_memory_command(g.near, &cmd);
	in_memory_round(g.near);
	tap_ok(gateway_take_wire(g.near, &msg) && msg.len == 32, "a keepalive is 32 bytes");
	tap_ok(!gateway_open(g.far, &msg, &out), "nothing of it goes on");
	tap_int((long long)in_memory_drops(g.far, DROP_KEEPALIVE), 3,
		"it is counted as a keepalive, as those that confirmed two sessions");
	tap_ok(far->rx_packets == 2 && far->rx_bytes == 64, "and as received");
	tap_ok(far->last_rx_ns != 0 && far->last_rx_data_ns == 0, "but not as data");
	tap_ok(near->last_tx_ns != 0 && near->last_tx_data_ns == 0, "nor as data sent");
	cmd.one.peer = 7;
	in_memory_command(g.near, &cmd);
	in_memory_round(g.near);
	tap_ok(!gateway_take_wire(g.near, &msg), "to a peer that does not exist: nothing");
	gateways_destroy(&g);

	gateways_create(&g, false);
	cmd.one.peer = 0;
	in_memory_command(g.near, &cmd);
	in_memory_round(g.near);
	tap_ok(!gateway_take_wire(g.near, &msg) && g.near->workers[0]->w.n_waiting == 0,
		"without a session: nothing, and nothing waits");
	gateways_destroy(&g);
}

static void
ecn_combinations(void)
{
	static const int wanted[4][4] = {
		// RFC 6040 figure 4: [inner][outer], -1: dropped
		[ECN_NOT_ECT] = { 0, 0, 0, -1 },
		[ECN_ECT_1] = { 1, 1, 1, 3 },
		[ECN_ECT_0] = { 2, 1, 2, 3 },
		[ECN_CE] = { 3, 3, 3, 3 },
	};

	gateways_create(&g, true);
	for (unsigned family = 4; family <= 6; family += 2)
		for (uint8_t in = 0; in < 4; in++)
			for (uint8_t outer = 0; outer < 4; outer++) {
				struct packet_make what = family == 4 ? v4 : v6;
				struct message msg, out;
				bool passed;
				int got = -1;

				what.ecn = in;
				packet_make(inner, 80, &what);
				(void)gateway_seal(g.near, inner, 80, &msg);
				tap_int(msg.ecn, in, "the outer header takes the inner one's mark");
				msg.ecn = outer;
				passed = gateway_open(g.far, &msg, &out);
				if (passed)
					got = family == 4 ? out.data[1] & 3 : out.data[1] >> 4 & 3;
				tap_ok(got == wanted[in][outer] &&
						(!passed || packet_is_sound(out.data, out.len)),
					"IPv%u: inner %u, outer %u becomes %d", family, in, outer,
					got);
			}
	tap_int((long long)in_memory_drops(g.far, DROP_ECN), 2, "drops are counted");
	gateways_destroy(&g);
}

static uint16_t
mss_of(const uint8_t *p)
{
	return load_be16(p + (p[0] >> 4 == 4 ? 20 : 40) + 22);
}

static const struct {
	const char *what;
	const char *src, *dst;
	uint16_t mss, wanted;
} mss_rows[] = {
	{ "IPv4", "10.1.0.5", "10.2.0.5", 1460, 1380 },
	{ "IPv4, just right", "10.1.0.5", "10.2.0.5", 1380, 1380 },
	{ "IPv4, small", "10.1.0.5", "10.2.0.5", 536, 536 },
	{ "IPv6", "fd01::5", "fd02::5", 1440, 1360 },
	{ "IPv6, small", "fd01::5", "fd02::5", 1220, 1220 },
};

static void
mss_is_clamped(void)
{
	gateways_create(&g, true);
	for (size_t i = 0; i < sizeof(mss_rows) / sizeof(mss_rows[0]); i++) {
		const struct packet_make syn = {
			.src = mss_rows[i].src, .dst = mss_rows[i].dst, .mss = mss_rows[i].mss
		};
		struct message msg, out;
		size_t len = packet_make(inner, i < 3 ? 44 : 64, &syn);

		(void)gateway_seal(g.near, inner, len, &msg);
		tap_ok(gateway_open(g.far, &msg, &out) && mss_of(out.data) == mss_rows[i].wanted &&
				packet_is_sound(out.data, out.len),
			"a SYN from the host: %s, %u becomes %u", mss_rows[i].what, mss_rows[i].mss,
			mss_rows[i].wanted);
		// The same packet from a peer that does not clamp.
		gateway_seal_raw(g.far, 1000 + i, inner, len, &msg);
		tap_ok(gateway_open(g.far, &msg, &out) && mss_of(out.data) == mss_rows[i].wanted &&
				packet_is_sound(out.data, out.len),
			"a SYN from a peer: %s", mss_rows[i].what);
	}
	gateways_destroy(&g);
}

// --- from peer to peer -------------------------------------------------------------------------

static void
peer_to_peer(void)
{
	static const struct packet_make rows[] = {
		{ .src = "10.1.0.5", .dst = "10.3.0.5", .ttl = 64 },
		{ .src = "10.1.0.5", .dst = "10.3.0.5", .ttl = 2 },
		{ .src = "fd01::5", .dst = "fd03::5", .ttl = 64 },
		{ .src = "fd01::5", .dst = "fd03::5", .ttl = 2 },
	};

	gateways_create(&g, true);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned ttl_at = i < 2 ? 8 : 7;
		struct message msg, out;

		packet_make(inner, 200, &rows[i]);
		(void)gateway_seal(g.near, inner, 200, &msg);
		gateway_receive(g.far, &msg);
		tap_ok(!gateway_take_host(g.far, &out), "nothing for the host between");
		tap_int(gateway_carry(g.far, g.third), 1, "one message goes on to the other peer");
		tap_ok(gateway_take_host(g.third, &out) && out.len == 200 &&
				out.data[ttl_at] == rows[i].ttl - 1 &&
				packet_is_sound(out.data, out.len),
			"TTL %u arrives as %u, with right checksums", rows[i].ttl, rows[i].ttl - 1);
	}
	gateways_destroy(&g);
}

static bool
is_icmp(const struct message *m, int type, int code, const char *src, const char *dst)
{
	struct addr s, d;
	unsigned at = m->data[0] >> 4 == 4 ? 20 : 40;
	unsigned bytes = at == 20 ? 4 : 16;

	if (addr_parse(src, &s) < 0 || addr_parse(dst, &d) < 0)
		return false;
	return packet_is_sound(m->data, m->len) && m->data[at] == type && m->data[at + 1] == code &&
	       memcmp(m->data + at - 2 * bytes, s.bytes, bytes) == 0 &&
	       memcmp(m->data + at - bytes, d.bytes, bytes) == 0;
}

static void
ttl_ends_between_peers(void)
{
	struct message msg, out;

	gateways_create(&g, true);
	for (unsigned family = 4; family <= 6; family += 2)
		for (uint8_t ttl = 0; ttl <= 1; ttl++) {
			struct packet_make what = family == 4 ? v4 : v6;

			what.dst = family == 4 ? "10.3.0.5" : "fd03::5";
			packet_make(inner, 200, &what);
			inner[family == 4 ? 8 : 7] = ttl;
			(void)gateway_seal(g.near, inner, 200, &msg);
			gateway_receive(g.far, &msg);
			tap_int(gateway_carry(g.far, g.near), 1, "one answer");
			tap_ok(gateway_take_host(g.near, &out) &&
					(family == 4 ? is_icmp(&out, 11, 0, "10.2.0.1", "10.1.0.5")
						     : is_icmp(&out, 3, 0, "fd02::1", "fd01::5")),
				"IPv%u, TTL %u: time exceeded goes back through the tunnel", family,
				ttl);
		}
	tap_int((long long)in_memory_drops(g.far, DROP_TTL), 4, "each is counted");
	gateways_destroy(&g);
}

static void
too_big_between_peers(void)
{
	struct message msg, out;

	gateways_create(&g, true);
	in_memory_begin(g.far, false);
	in_memory_settings(g.far, 1300, "10.2.0.1", "fd02::1");
	tap_int(in_memory_commit(g.far), 0, "far's MTU shrinks");
	for (unsigned family = 4; family <= 6; family += 2) {
		struct packet_make what = family == 4 ? v4 : v6;

		what.dst = family == 4 ? "10.3.0.5" : "fd03::5";
		packet_make(inner, 1301, &what);
		(void)gateway_seal(g.near, inner, 1301, &msg);
		gateway_receive(g.far, &msg);
		tap_int(gateway_carry(g.far, g.near), 1, "one answer");
		tap_ok(gateway_take_host(g.near, &out) &&
				(family == 4 ? is_icmp(&out, 3, 4, "10.2.0.1", "10.1.0.5") &&
							load_be16(out.data + 26) == 1300
					     : is_icmp(&out, 2, 0, "fd02::1", "fd01::5") &&
							load_be32(out.data + 44) == 1300),
			"IPv%u: too big goes back through the tunnel, with the MTU", family);
		packet_make(inner, 1300, &what);
		(void)gateway_seal(g.near, inner, 1300, &msg);
		gateway_receive(g.far, &msg);
		tap_int(gateway_carry(g.far, g.third), 1, "as long as the MTU goes on");
		tap_ok(gateway_take_host(g.third, &out) && out.len == 1300, "and arrives");
	}
	gateways_destroy(&g);
}

// What is ours but nobody's is refused to a peer as well, not handed to the kernel.
static void
nobody_between_peers(void)
{
	struct message msg, out;

	gateways_create(&g, true);
	in_memory_begin(g.far, false);
	in_memory_prefix(g.far, "10.2.200.0/24", SHM_TO_NOBODY);
	tap_int(in_memory_commit(g.far), 0, "a prefix that is ours to refuse");
	packet_make(inner, 100, &(struct packet_make){ .src = "10.1.0.5", .dst = "10.2.200.9" });
	(void)gateway_seal(g.near, inner, 100, &msg);
	tap_ok(!gateway_open(g.far, &msg, &out) && in_memory_drops(g.far, DROP_NO_PEER) == 1,
		"from a peer: dropped");
	tap_int(gateway_carry(g.far, g.near), 1, "and answered");
	tap_ok(gateway_take_host(g.near, &out) && is_icmp(&out, 3, 1, "10.2.0.1", "10.1.0.5"),
		"host unreachable");
	gateways_destroy(&g);
}

// A whole burst from one peer: half of it for another peer, half for the host; order is kept.
static void
mixed_burst(void)
{
	unsigned for_host = 0, for_third = 0;
	bool in_order = true;
	struct message msg;

	gateways_create(&g, true);
	for (unsigned i = 0; i < BURST_MAX; i++) {
		packet_make(inner, 100,
			&(struct packet_make){ .src = "10.1.0.5",
				.dst = i % 2 == 0 ? "10.2.0.5" : "10.3.0.5",
				.id = (uint16_t)i });
		(void)in_memory_push_host(g.near, 0, inner, 100);
	}
	in_memory_round(g.near);
	gateway_carry(g.near, g.far);
	gateway_carry(g.far, g.third);
	for (; gateway_take_host(g.far, &msg); for_host++)
		in_order &= packet_id(msg.data, msg.len) == (int)for_host * 2;
	for (; gateway_take_host(g.third, &msg); for_third++)
		in_order &= packet_id(msg.data, msg.len) == (int)for_third * 2 + 1;
	tap_ok(for_host == BURST_MAX / 2 && for_third == BURST_MAX / 2,
		"all of a mixed burst arrive");
	tap_ok(in_order, "in order");
	gateways_destroy(&g);
}

// --- from the host -----------------------------------------------------------------------------

static void
too_big_from_the_host(void)
{
	struct message msg, out;

	gateways_create(&g, true);
	packet_make(inner, 1421, &v4);
	tap_ok(!gateway_seal(g.near, inner, 1421, &msg), "1,421 bytes of IPv4 do not go");
	tap_ok(gateway_take_host(g.near, &out) && is_icmp(&out, 3, 4, "10.1.0.1", "10.1.0.5") &&
			load_be16(out.data + 26) == 1420,
		"the host is told 1,420");
	packet_make(inner, 1421, &v6);
	tap_ok(!gateway_seal(g.near, inner, 1421, &msg), "nor 1,421 of IPv6");
	tap_ok(gateway_take_host(g.near, &out) && is_icmp(&out, 2, 0, "fd01::1", "fd01::5") &&
			load_be32(out.data + 44) == 1420,
		"the host is told 1,420");
	tap_int((long long)in_memory_drops(g.near, DROP_TOO_BIG), 2, "both are counted");

	in_memory_begin(g.near, false);
	in_memory_settings(g.near, IN_MEMORY_MTU, NULL, NULL);
	(void)in_memory_commit(g.near);
	(void)gateway_seal(g.near, inner, 1421, &msg);
	tap_ok(!gateway_take_host(g.near, &out), "without an address of ours nobody is told");
	gateways_destroy(&g);
}

static const struct {
	const char *what;
	const char *src, *dst;
	int type; // of the ICMP error; -1: none
	enum drop_reason reason;
} nowhere[] = {
	{ "no peer has it", "10.1.0.5", "172.16.0.1", 3, DROP_NO_PEER },
	{ "no peer has it, IPv6", "fd01::5", "2001:db8::1", 1, DROP_NO_PEER },
	{ "it is the host's own", "10.1.0.5", "10.1.0.9", 3, DROP_NO_PEER },
	{ "it is ours to refuse", "10.1.0.5", "10.5.0.9", 3, DROP_NO_PEER },
	{ "a host's own inside a peer's prefix", "10.1.0.5", "10.2.99.1", 3, DROP_NO_PEER },
	{ "multicast", "10.1.0.5", "224.0.0.251", -1, DROP_MULTICAST },
	{ "broadcast", "10.1.0.5", "255.255.255.255", -1, DROP_MULTICAST },
	{ "multicast, IPv6", "fd01::5", "ff02::fb", -1, DROP_MULTICAST },
	{ "from a multicast source", "224.0.0.1", "172.16.0.1", -1, DROP_NO_PEER },
};

static void
leads_nowhere(void)
{
	gateways_create(&g, true);
	in_memory_begin(g.near, false);
	in_memory_prefix(g.near, "10.2.99.0/24", SHM_TO_HOST);
	in_memory_prefix(g.near, "10.5.0.0/16", SHM_TO_NOBODY);
	(void)in_memory_commit(g.near);
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		uint64_t drops = in_memory_drops(g.near, nowhere[i].reason);
		struct message msg, out;
		bool told;

		packet_make(inner, 100,
			&(struct packet_make){ .src = nowhere[i].src, .dst = nowhere[i].dst });
		tap_ok(!gateway_seal(g.near, inner, 100, &msg) &&
				in_memory_drops(g.near, nowhere[i].reason) == drops + 1,
			"%s: %s", nowhere[i].what, drop_name(nowhere[i].reason));
		told = gateway_take_host(g.near, &out);
		tap_ok(told == (nowhere[i].type >= 0) &&
				(!told || out.data[out.data[0] >> 4 == 4 ? 20 : 40] ==
						  nowhere[i].type),
			"the sender is %s", told ? "told" : "not told");
	}
	memset(inner, 0, 100);
	tap_ok(!gateway_seal(g.near, inner, 100, &(struct message){}) &&
			in_memory_drops(g.near, DROP_HOST_MALFORMED) == 1,
		"what is no IP packet: dropped");
	gateways_destroy(&g);
}

static void
longest_prefix_wins(void)
{
	static const struct {
		const char *dst;
		const char *remote;
	} rows[] = {
		{ "10.2.0.5", "192.0.2.2:51820" },
		{ "10.2.5.5", "192.0.2.3:51820" },
		{ "10.2.5.7", "192.0.2.2:51820" },
	};

	gateways_create(&g, true);
	in_memory_begin(g.near, false);
	in_memory_peer(g.near, 1);
	in_memory_prefix(g.near, "10.2.5.0/24", 1);
	in_memory_prefix(g.near, "10.2.5.7/32", 0);
	in_memory_path(g.near, 1, "192.0.2.3:51820", NULL);
	(void)in_memory_commit(g.near);
	in_memory_install(g.near, &(struct in_memory_session){ .peer = 1,
					  .receiver_index = 0x00500009,
					  .sender_index = 1,
					  .role = SHM_ROLE_INITIATOR });
	for (size_t i = 0; i < 3; i++) {
		struct pkt_outer outer = in_memory_outer(rows[i].remote, NULL);
		struct message msg;

		packet_make(
			inner, 60, &(struct packet_make){ .src = "10.1.0.5", .dst = rows[i].dst });
		tap_ok(gateway_seal(g.near, inner, 60, &msg) &&
				memcmp(&msg.outer, &outer, sizeof(outer)) == 0,
			"%s goes to %s", rows[i].dst, rows[i].remote);
	}
	gateways_destroy(&g);
}

static void
errors_are_limited(void)
{
	struct message msg;
	unsigned told = 0;

	gateways_create(&g, true);
	packet_make(inner, 100, &(struct packet_make){ .src = "10.1.0.5", .dst = "172.16.0.1" });
	for (unsigned i = 0; i < 300; i++)
		(void)gateway_seal(g.near, inner, 100, &msg);
	while (gateway_take_host(g.near, &msg))
		told++;
	tap_ok(told >= 50 && told < 200, "of 300 in a row not all are told");
	printf("# %u were told\n", told);
	gateways_destroy(&g);
}

static void
no_path_and_no_room(void)
{
	struct message msg;

	gateways_create(&g, true);
	packet_make(inner, 100, &v4);
	in_memory_path(g.near, 0, NULL, NULL);
	tap_ok(!gateway_seal(g.near, inner, 100, &msg) &&
			in_memory_drops(g.near, DROP_NO_PATH) == 1,
		"a session, but no path: dropped");
	in_memory_path(g.near, 0, "[fe80::1]:9", NULL);
	tap_ok(gateway_seal(g.near, inner, 100, &msg) && msg.outer.family == 6, "a path has come");
	io_memory_limit_tx(g.near->wire, 0, 2);
	for (unsigned i = 0; i < 5; i++)
		(void)in_memory_push_host(g.near, 0, inner, 100);
	in_memory_round(g.near);
	tap_int((long long)in_memory_drops(g.near, DROP_TX_FULL), 3, "a full port: counted");
	io_memory_limit_tx(g.near->wire, 0, UINT32_MAX);
	gateways_destroy(&g);
}

static void
injected(void)
{
	struct shm_packet *slot;
	struct message msg, out;

	gateways_create(&g, true);
	packet_make(inner, 100, &v4);
	(void)gateway_seal(g.near, inner, 100, &msg);
	slot = shm_ring_reserve(&g.far->inject);
	memset(slot, 0, sizeof(*slot));
	slot->kind = SHM_PKT_WIRE;
	slot->len = (uint32_t)msg.len;
	memcpy(slot->data, msg.data, msg.len);
	shm_ring_publish(&g.far->inject);
	in_memory_main_round(g.far);
	in_memory_round(g.far);
	tap_ok(gateway_take_host(g.far, &out) && out.len == 100,
		"a datagram that the control plane gives back goes its way");

	for (unsigned i = 0; i < 4; i++) {
		slot = shm_ring_reserve(&g.near->inject);
		memset(slot, 0, sizeof(*slot));
		slot->kind = i == 0 ? 77 : SHM_PKT_INNER;
		slot->len = i == 1 ? SHM_PACKET_LEN + 1 : i == 2 ? UINT32_MAX : 100;
		memcpy(slot->data, inner, 100);
		shm_ring_publish(&g.near->inject);
	}
	for (unsigned i = 0; i < 4; i++) {
		in_memory_main_round(g.near);
		in_memory_round(g.near);
	}
	tap_ok(gateway_take_wire(g.near, &msg) && !gateway_take_wire(g.near, &out),
		"of injected inner packets only the valid one does");
	gateways_destroy(&g);
}

int
main(void)
{
	all_lengths(&v4, 20, "IPv4 of every length up to the MTU arrives unchanged");
	all_lengths(&v6, 40, "IPv6 of every length up to the MTU arrives unchanged");
	host_padding_is_cut();
	message_is_well_formed();
	keepalive();
	ecn_combinations();
	mss_is_clamped();
	peer_to_peer();
	ttl_ends_between_peers();
	too_big_between_peers();
	nobody_between_peers();
	mixed_burst();
	too_big_from_the_host();
	leads_nowhere();
	longest_prefix_wins();
	errors_are_limited();
	no_path_and_no_room();
	injected();
	return tap_done();
}
