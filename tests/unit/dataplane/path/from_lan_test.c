/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What link ports bring: frames of a LAN towards the tunnel, and frames that are none of ours.
 */

#include <string.h>

#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "tests/lib/link_world.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct link_world w;
static uint8_t packet[2048];

struct row {
	const char *what;
	struct packet_make make;
	size_t len;
	enum place place;
	enum drop_reason reason; /* or DROP_NONE */
	int type, code; /* of the ICMP error that the sender gets, by the port it sent to */
	uint32_t mtu;   /* that it says */
};

#define HOST4 .src = "192.168.77.5"
#define HOST6 .src = "fd77::5"
#define TO4   HOST4, .dst = "100.64.0.2"
#define TO6   HOST6, .dst = "fd7a::2"

static const struct row rows[] = {
	{ "IPv4 to the client", { TO4 }, 100, .place = TO_CLIENT },
	{ "IPv6 to the client", { TO6 }, 100, .place = TO_CLIENT },
	{ "from behind a router of the LAN", { .src = "192.168.78.7", .dst = "100.64.0.2" }, 100,
		.place = TO_CLIENT },
	{ "to an address of the box", { HOST4, .dst = "192.168.77.1" }, 100, .place = TO_HOST },
	{ "to the box's address in the tailnet", { HOST4, .dst = "100.64.0.1" }, 100,
		.place = TO_HOST },
	{ "to what the tables say is the kernel's", { HOST4, .dst = "10.99.1.1" }, 100,
		.place = TO_HOST },
	{ "to nobody of the tailnet", { HOST4, .dst = "100.64.9.9" }, 100, .place = BY_LAN,
		.reason = DROP_NO_PEER, 3, 1 },
	{ "IPv6 to nobody of the tailnet", { HOST6, .dst = "fd7a::9" }, 100, .place = BY_LAN,
		.reason = DROP_NO_PEER, 1, 3 },
	{ "to what no table knows: never on in clear", { HOST4, .dst = "203.0.113.9" }, 100,
		.place = BY_LAN, .reason = DROP_NO_PEER, 3, 0 },
	{ "to another host of the LAN", { HOST4, .dst = "192.168.77.6" }, 100, .place = BY_LAN,
		.reason = DROP_NO_PEER, 3, 0 },
	{ "multicast", { HOST4, .dst = "224.0.0.251" }, 100, .place = NOWHERE,
		.reason = DROP_MULTICAST },
	{ "IPv6 multicast", { HOST6, .dst = "ff02::fb" }, 100, .place = NOWHERE,
		.reason = DROP_MULTICAST },

	{ "a client's address as source", { .src = "100.64.0.2", .dst = "10.3.0.1" }, 100,
		.place = NOWHERE, .reason = DROP_SOURCE_SPOOFED },
	{ "nobody's address in the tailnet as source",
		{ .src = "100.64.0.77", .dst = "100.64.0.2" }, 100, .place = NOWHERE,
		.reason = DROP_SOURCE_SPOOFED },
	{ "another site's address as source", { .src = "10.3.0.5", .dst = "100.64.0.2" }, 100,
		.place = NOWHERE, .reason = DROP_SOURCE_SPOOFED },
	{ "a client's IPv6 address as source", { .src = "fd7a::2", .dst = "fd7a::2" }, 100,
		.place = NOWHERE, .reason = DROP_SOURCE_SPOOFED },
	{ "our own address as source", { .src = "192.168.77.1", .dst = "100.64.0.2" }, 100,
		.place = NOWHERE, .reason = DROP_SOURCE_SPOOFED },
	{ "loopback as source", { .src = "127.0.0.1", .dst = "100.64.0.2" }, 100, .place = NOWHERE,
		.reason = DROP_SOURCE_SPOOFED },
	{ "a group as source", { .src = "224.0.0.1", .dst = "100.64.0.2" }, 100, .place = NOWHERE,
		.reason = DROP_SOURCE_SPOOFED },
	{ "no address as source", { .src = "0.0.0.0", .dst = "100.64.0.2" }, 100, .place = NOWHERE,
		.reason = DROP_SOURCE_SPOOFED },
	{ "no IPv6 address as source", { .src = "::", .dst = "fd7a::2" }, 100, .place = NOWHERE,
		.reason = DROP_SOURCE_SPOOFED },
	{ "a link-local source", { .src = "fe80::5", .dst = "fd7a::2" }, 100, .place = NOWHERE,
		.reason = DROP_LINK_LOCAL },
	{ "a link-local destination", { HOST4, .dst = "169.254.1.1" }, 100, .place = NOWHERE,
		.reason = DROP_LINK_LOCAL },
	{ "a client's address as source, to the box",
		{ .src = "100.64.0.2", .dst = "192.168.77.1" }, 100, .place = NOWHERE,
		.reason = DROP_SOURCE_SPOOFED },

	{ "TTL 2", { TO4, .ttl = 2 }, 100, .place = TO_CLIENT },
	{ "TTL 1: traceroute", { TO4, .ttl = 1 }, 100, .place = BY_LAN, .reason = DROP_TTL, 11, 0 },
	{ "hop limit 1", { TO6, .ttl = 1 }, 100, .place = BY_LAN, .reason = DROP_TTL, 3, 0 },
	{ "TTL 1 to the box itself", { HOST4, .dst = "192.168.77.1", .ttl = 1 }, 100,
		.place = TO_HOST },

	{ "1,280 bytes, not to be cut", { TO4, .dont_fragment = true }, 1280, .place = TO_CLIENT },
	{ "1,281 bytes, not to be cut", { TO4, .dont_fragment = true }, 1281, .place = BY_LAN,
		.reason = DROP_TOO_BIG, 3, 4, 1280 },
	{ "IPv6 of 1,280 bytes", { TO6 }, 1280, .place = TO_CLIENT },
	{ "IPv6 of 1,281 bytes", { TO6 }, 1281, .place = BY_LAN, .reason = DROP_TOO_BIG, 2, 0,
		1280 },
	{ "too big and not ours: the kernel's",
		{ HOST4, .dst = "192.168.77.1", .dont_fragment = true }, 1500, .place = TO_HOST },
};

static bool
is_icmp(const struct row *r, const struct output *out)
{
	static const uint8_t own4[4] = { 192, 168, 77, 1 }, own6[16] = { 0xfd, 0x77, [15] = 1 };
	const uint8_t *icmp;
	struct ip_view v;

	if (!ip_parse(out->data, (uint32_t)out->len, &v) || !packet_is_sound(out->data, out->len))
		return false;
	if (memcmp(v.src, v.family == ADDR_V4 ? own4 : own6, v.family == ADDR_V4 ? 4 : 16) != 0)
		return false; // by the address that the LAN knows us by
	icmp = out->data + v.header_len;
	return icmp[0] == r->type && icmp[1] == r->code && load_be32(icmp + 4) == r->mtu &&
	       memcmp(icmp + 8, packet, r->len < 100 ? r->len : 100) == 0;
}

static bool
is_packet(const struct row *r, const struct output *out)
{
	struct ip_view was, is;

	if (out->len != r->len || !packet_is_sound(out->data, out->len) ||
		!ip_parse(packet, (uint32_t)r->len, &was) ||
		!ip_parse(out->data, (uint32_t)out->len, &is))
		return false;
	return is.ttl == was.ttl - (out->place == TO_CLIENT) &&
	       memcmp(out->data + is.header_len, packet + was.header_len,
		       r->len - was.header_len) == 0;
}

static void
forget_limits(void)
{
	w.gateway->workers[0]->w.icmp_limit.empty_until_ns = 0;
}

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		uint64_t drops = in_memory_drops(w.gateway, r->reason);
		struct output out, more;

		forget_limits();
		packet_make(packet, r->len, &r->make);
		link_world_from(&w, LAN, 0x42, packet, r->len);
		link_world_out(&w, &out);
		tap_int(out.place, r->place, r->what);
		tap_ok(!link_world_out(&w, &more), "... and nothing else: %s", r->what);
		if (r->reason != DROP_NONE)
			tap_ok(in_memory_drops(w.gateway, r->reason) == drops + 1,
				"... dropped as %s", drop_name(r->reason));
		if (r->place == NOWHERE)
			continue;
		if (r->type != 0)
			tap_int(out.to_mac, 0x42, "... to the station that sent it");
		tap_ok(r->type != 0 ? is_icmp(r, &out) : is_packet(r, &out), "... %s: %s",
			r->type != 0 ? "the right ICMP error" : "the packet", r->what);
	}
}

// ---- frames ----

enum damage {
	CUT,      // to `at` bytes
	SET,      // byte `at` = value
	PRIORITY, // a tag of VLAN 0
	VLAN,     // a tag of VLAN `value`
	PADDED,   // `at` bytes of something behind it
	TAG_CUT,  // ends inside its tag
};

static const struct {
	const char *what;
	enum damage damage;
	uint32_t at;
	uint8_t value;
	enum drop_reason reason; /* or DROP_NONE: the client gets the packet */
} frames[] = {
	{ "a frame of nothing", CUT, 0, 0, DROP_LINK_MALFORMED },
	{ "a header without its last byte", CUT, 13, 0, DROP_LINK_MALFORMED },
	{ "a header alone", CUT, 14, 0, DROP_LINK_MALFORMED },
	{ "a packet that is cut", CUT, 113, 0, DROP_LINK_MALFORMED },
	{ "padding behind the packet", PADDED, 20, 0, DROP_NONE },
	{ "for another station", SET, 5, 77, DROP_LINK_OTHER },
	{ "for a group of stations", SET, 0, 3, DROP_LINK_OTHER },
	{ "ARP", SET, 13, 6, DROP_LINK_MALFORMED },
	{ "IPv6 by its header alone", SET, 14, 0x65, DROP_LINK_MALFORMED },
	{ "a wrong header checksum", SET, 14 + 10, 1, DROP_LINK_MALFORMED },
	{ "a length beyond the frame", SET, 14 + 2, 9, DROP_LINK_MALFORMED },
	{ "a tag that only says a priority", PRIORITY, 0, 0, DROP_NONE },
	{ "a VLAN", VLAN, 0, 7, DROP_VLAN },
	{ "a tag that is cut", TAG_CUT, 0, 0, DROP_LINK_MALFORMED },
};

static size_t
damage(uint8_t *frame, size_t len, enum damage how, uint32_t at, uint8_t value)
{
	switch (how) {
	case CUT:
		return at;
	case SET:
		frame[at] = value;
		return len;
	case PADDED:
		memset(frame + len, 0xaa, at);
		return len + at;
	case PRIORITY:
	case VLAN:
	case TAG_CUT:
		memmove(frame + 16, frame + 12, len - 12);
		store_be16(frame + 12, 0x8100);
		store_be16(frame + 14, (uint16_t)(0xe000 | value));
		return how == TAG_CUT ? 16 : len + 4;
	}
	return len;
}

static void
test_frames(void)
{
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		uint64_t drops = in_memory_drops(w.gateway, frames[i].reason);
		uint8_t frame[2048];
		struct output out;
		size_t len;

		packet_make(packet, 100, &(struct packet_make){ TO4 });
		len = link_world_frame(frame, LAN, 5, packet, 100);
		len = damage(frame, len, frames[i].damage, frames[i].at, frames[i].value);
		link_world_push(&w, LAN, frame, len);
		link_world_out(&w, &out);
		if (frames[i].reason == DROP_NONE)
			tap_ok(out.place == TO_CLIENT && out.len == 100 && out.data[8] == 63,
				"%s: goes on", frames[i].what);
		else
			tap_ok(out.place == NOWHERE &&
					in_memory_drops(w.gateway, frames[i].reason) == drops + 1,
				"%s: %s", frames[i].what, drop_name(frames[i].reason));
	}
}

// Padding does not make a packet longer.
static void
test_padding(void)
{
	uint8_t frame[2048];
	struct output out;
	size_t len;

	packet_make(packet, LINK_WORLD_MTU, &(struct packet_make){ TO4, .dont_fragment = true });
	len = link_world_frame(frame, LAN, 5, packet, LINK_WORLD_MTU);
	link_world_push(&w, LAN, frame, damage(frame, len, PADDED, 20, 0));
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.len == LINK_WORLD_MTU,
		"a packet that just fits does so with padding behind it");
}

// An answer to a tagged frame finds its station.
static void
test_answer_to_priority(void)
{
	uint8_t frame[2048];
	struct output out;
	size_t len;

	forget_limits();
	packet_make(packet, 100, &(struct packet_make){ TO4, .ttl = 1 });
	len = link_world_frame(frame, LAN, 0x42, packet, 100);
	link_world_push(&w, LAN, frame, damage(frame, len, PRIORITY, 0, 0));
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN && out.to_mac == 0x42,
		"an answer to a tagged frame goes to the station that sent it");
	packet_make(packet, 100, &(struct packet_make){ TO4, .ttl = 1 });
	len = link_world_frame(frame, LAN, 0x42, packet, 100);
	frame[6] |= 1;
	link_world_push(&w, LAN, frame, len);
	tap_ok(!link_world_out(&w, &out), "a group that sends gets no answer");
}

// ---- what a router does to packets ----

static void
test_cut(void)
{
	size_t sum = 0, n = 0;
	struct output out;
	bool fine = true;

	packet_make(packet, 1500, &(struct packet_make){ TO4, .id = 4711 });
	link_world_from(&w, LAN, 5, packet, 1500);
	while (link_world_out(&w, &out)) {
		struct ip_view v = {};

		fine &= out.place == TO_CLIENT && out.len <= LINK_WORLD_MTU &&
		        ip_parse(out.data, (uint32_t)out.len, &v) && v.ttl == 63 &&
		        packet_is_sound(out.data, out.len) && load_be16(out.data + 4) == 4711;
		fine &= memcmp(out.data + 20, packet + 20 + ip_fragment_offset(&v), out.len - 20) ==
		        0;
		sum += out.len - 20;
		n++;
	}
	tap_ok(fine && n == 2 && sum == 1480, "IPv4 that may be cut enters as fragments that fit");
}

// More fragments than a burst holds, and their order among others.
static void
test_cut_many(void)
{
	uint8_t frame[2048];
	struct output out;
	unsigned n = 0;
	bool fine = true;
	size_t len;

	for (unsigned i = 0; i < BURST_MAX; i++) {
		packet_make(packet, i % 4 == 0 ? 100 : 1500,
			&(struct packet_make){ TO4, .id = (uint16_t)i });
		len = link_world_frame(frame, LAN, 5, packet, i % 4 == 0 ? 100 : 1500);
		fine &= in_memory_push_link(w.gateway, LAN, 0, frame, len);
	}
	in_memory_round(w.gateway);
	for (unsigned i = 0; i < BURST_MAX; i++)
		for (unsigned part = 0; part < (i % 4 == 0 ? 1 : 2); part++, n++)
			fine &= link_world_out(&w, &out) && out.place == TO_CLIENT &&
			        load_be16(out.data + 4) == i;
	tap_ok(fine && !link_world_out(&w, &out), "a burst of long packets: %u left in order", n);
}

// Fragments of a host pass as they are.
static void
test_fragments(void)
{
	struct output out;

	packet_make(packet, 1000, &(struct packet_make){ TO4 });
	store_be16(packet + 6, IPV4_MORE_FRAGMENTS);
	checksum_fill_ipv4(packet, 20);
	link_world_from(&w, LAN, 5, packet, 1000);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.len == 1000,
		"a first fragment passes");
	store_be16(packet + 6, 122);
	checksum_fill_ipv4(packet, 20);
	link_world_from(&w, LAN, 5, packet, 1000);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.len == 1000 &&
			memcmp(out.data + 20, packet + 20, 980) == 0,
		"a later fragment passes");
}

// Hop-by-hop options in front of UDP.
static void
test_extension_headers(void)
{
	static const uint8_t options[8] = { IP_PROTOCOL_UDP, 0, 1, 4 };
	uint8_t longer[2048];
	struct output out;

	packet_make(packet, 200, &(struct packet_make){ TO6 });
	memcpy(longer, packet, 40);
	memcpy(longer + 40, options, 8);
	memcpy(longer + 48, packet + 40, 160);
	longer[6] = IP_PROTOCOL_HOPOPT;
	store_be16(longer + 4, 168);
	link_world_from(&w, LAN, 5, longer, 208);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.len == 208 &&
			memcmp(out.data + 8, longer + 8, 200) == 0,
		"IPv6 with extension headers passes");
}

static void
test_mss(void)
{
	struct output out;

	packet_make(packet, 44, &(struct packet_make){ TO4, .mss = 1460 });
	link_world_from(&w, LAN, 5, packet, 44);
	tap_ok(link_world_out(&w, &out) && load_be16(out.data + 42) == LINK_WORLD_MTU - 40 &&
			packet_is_sound(out.data, out.len),
		"a SYN into the tunnel says what the tunnel takes");
}

// The sender left the checksum to hardware.
static void
leave_checksum(uint8_t *p, uint8_t family)
{
	uint32_t header_len = family == ADDR_V4 ? 20 : 40;
	struct ip_view v;
	uint64_t sum;

	if (!ip_parse(p, 2048, &v))
		return;
	sum = checksum_add_pseudo(
		0, family, v.src, v.dst, v.protocol, (uint32_t)(v.total_len - header_len));
	checksum_store(
		p + header_len + (v.protocol == IP_PROTOCOL_TCP ? 16 : 6), checksum_fold(sum));
}

static void
test_checksum_fill(void)
{
	static const struct {
		const char *what;
		struct packet_make make;
		size_t len;
		uint8_t family;
	} senders[] = {
		{ "TCP over IPv4", { TO4, .mss = 1460 }, 200, ADDR_V4 },
		{ "UDP over IPv4", { TO4 }, 201, ADDR_V4 },
		{ "TCP over IPv6", { TO6, .mss = 1460 }, 200, ADDR_V6 },
		{ "UDP over IPv6", { TO6 }, 333, ADDR_V6 },
	};
	struct output out;

	for (unsigned i = 0; i < 4; i++) {
		packet_make(packet, senders[i].len, &senders[i].make);
		leave_checksum(packet, senders[i].family);
		link_world_from(&w, LAN, 5, packet, senders[i].len);
		tap_ok(link_world_out(&w, &out) && !packet_is_sound(out.data, out.len),
			"%s: a port that is not marked changes no checksum", senders[i].what);
		w.net->ports[LAN].flags |= SHM_PORT_FILL_CHECKSUM;
		link_world_say(&w);
		packet_make(packet, senders[i].len, &senders[i].make);
		leave_checksum(packet, senders[i].family);
		link_world_from(&w, LAN, 5, packet, senders[i].len);
		tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT &&
				packet_is_sound(out.data, out.len),
			"%s: on a marked port the missing checksum is filled in", senders[i].what);
		packet_make(packet, senders[i].len, &senders[i].make);
		link_world_from(&w, LAN, 5, packet, senders[i].len);
		tap_ok(link_world_out(&w, &out) && packet_is_sound(out.data, out.len),
			"%s: a right one stays", senders[i].what);
		w.net->ports[LAN].flags &= ~SHM_PORT_FILL_CHECKSUM;
		link_world_say(&w);
	}
}

// A peer with all addresses does not make every host of the LAN a liar.
static void
test_peer_of_all(void)
{
	static const struct {
		const char *src;
		enum place place;
	} sources[] = {
		{ "192.168.77.5", TO_CLIENT },
		{ "192.168.78.5", TO_CLIENT },
		{ "100.64.0.2", NOWHERE },
		{ "10.3.0.1", NOWHERE },
		{ "203.0.113.5", NOWHERE },
		{ "192.168.77.1", NOWHERE },
	};
	struct output out;

	in_memory_begin(w.gateway, false);
	in_memory_prefix(w.gateway, "0.0.0.0/0", 0);
	tap_int(in_memory_commit(w.gateway), 0, "the client gets all addresses");
	for (unsigned i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		packet_make(packet, 100,
			&(struct packet_make){ .src = sources[i].src, .dst = "198.18.0.1" });
		link_world_from(&w, LAN, 5, packet, 100);
		link_world_out(&w, &out);
		tap_int(out.place, sources[i].place, sources[i].src);
	}
	packet_make(packet, 100, &(struct packet_make){ HOST4, .dst = "192.168.77.1" });
	link_world_from(&w, LAN, 5, packet, 100);
	tap_ok(link_world_out(&w, &out) && out.place == TO_HOST,
		"the box's own addresses stay its own");
	packet_make(packet, 100, &(struct packet_make){ HOST4, .dst = "198.18.0.1" });
	link_world_from(&w, WAN, 5, packet, 100);
	tap_ok(!link_world_out(&w, &out), "a host of the LAN does not live behind the WAN");
	in_memory_begin(w.gateway, false);
	in_memory_prefix_gone(w.gateway, "0.0.0.0/0");
	tap_int(in_memory_commit(w.gateway), 0, "and gives them back");
}

// No session: it waits, and when none comes the host is told by its port.
static void
test_waiting(void)
{
	const struct shm_command give_up = { .kind = SHM_CMD_UNREACHABLE, .one.peer = 1 };
	struct shm_event event;
	struct output out;

	forget_limits();
	packet_make(packet, 1500, &(struct packet_make){ HOST4, .dst = "10.3.0.9" });
	link_world_from(&w, LAN, 0x42, packet, 1500);
	tap_ok(!link_world_out(&w, &out) &&
			in_memory_wait_event(w.gateway, SHM_EV_WANT_SESSION, &event) &&
			event.peer == 1,
		"without a session packets wait");
	in_memory_command(w.gateway, &give_up);
	in_memory_round(w.gateway);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN && out.to_mac == 0x42 &&
			out.data[20] == 3,
		"in vain: the host is told by the port that it came by");
	while (link_world_out(&w, &out))
		;
	link_world_from(&w, LAN, 0x42, packet, 1500);
	in_memory_open_links(w.gateway, 0);
	in_memory_command(w.gateway, &give_up);
	in_memory_round(w.gateway);
	while (link_world_out(&w, &out))
		tap_ok(out.place != BY_LAN, "... but not by a port that is closed meanwhile");
	in_memory_open_links(w.gateway, 2);
}

int
main(void)
{
	link_world_create(&w);
	test_rows();
	test_frames();
	test_padding();
	test_answer_to_priority();
	test_cut();
	test_cut_many();
	test_fragments();
	test_extension_headers();
	test_mss();
	test_checksum_fill();
	test_peer_of_all();
	test_waiting();
	link_world_destroy(&w);
	return tap_done();
}
