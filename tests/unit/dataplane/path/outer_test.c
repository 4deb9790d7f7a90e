/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sealed messages over link ports: their outer headers, when the kernel's socket sends instead, and
 * what counts as a message when it comes in.  And that nothing leaves in clear, whatever is
 * missing.
 */

#include <string.h>

#include "dataplane/stage/outer.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "lib/wg/message.h"
#include "tests/lib/gateways.h"
#include "tests/lib/link_world.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct link_world w;
static uint8_t packet[2048], outer[2048];

#define TO_THE_CLIENT .src = "192.168.77.5", .dst = "100.64.0.2"
#define TO_THE_HOST   .src = "100.64.0.2", .dst = "192.168.77.5"

// A packet of the LAN for the client.
static bool
send(size_t len, struct output *ret)
{
	packet_make(packet, len, &(struct packet_make){ TO_THE_CLIENT });
	link_world_from(&w, LAN, 5, packet, len);
	return link_world_out(&w, ret);
}

static bool
is_addr(const uint8_t *bytes, const char *text)
{
	struct addr a;

	return addr_parse(text, &a) == 0 && memcmp(bytes, a.bytes, 16) == 0;
}

// ---- out ----

static void
test_headers(void)
{
	struct output out;

	tap_ok(send(100, &out) && out.place == TO_CLIENT && out.to_mac == LINK_WORLD_CLIENT,
		"a message leaves by the link port, to the peer's station");
	tap_ok(is_addr(out.outer.local, "192.0.2.2") && is_addr(out.outer.remote, "192.0.2.9") &&
			out.outer.remote_port == 41641,
		"... with the right addresses and port");
	tap_int(out.outer_len, 20 + 8 + 16 + 112 + 16, "... as long as it should be");

	link_world_endpoint(&w, "[2001:db8::9]:41641", NULL);
	tap_ok(send(100, &out) && out.place == TO_CLIENT && out.outer.family == ADDR_V6 &&
			is_addr(out.outer.local, "2001:db8::2") &&
			is_addr(out.outer.remote, "2001:db8::9") && out.to_mac == LINK_WORLD_CLIENT,
		"the same over IPv6, with a right UDP checksum");
	link_world_endpoint(&w, "192.0.2.9:41641", NULL);
}

static void
test_odd_lengths(void)
{
	struct output out;
	bool fine = true;

	for (size_t len = 28; len <= LINK_WORLD_MTU; len += 11)
		fine &= send(len, &out) && out.place == TO_CLIENT && out.len == len;
	link_world_endpoint(&w, "[2001:db8::9]:41641", NULL);
	for (size_t len = 28; len <= LINK_WORLD_MTU; len += 11)
		fine &= send(len, &out) && out.place == TO_CLIENT && out.len == len;
	link_world_endpoint(&w, "192.0.2.9:41641", NULL);
	tap_ok(fine, "messages of all lengths have right checksums");
}

static void
test_gateway(void)
{
	struct output out;

	link_world_endpoint(&w, "203.0.113.7:1234", NULL);
	tap_ok(send(100, &out) && out.place == TO_CLIENT && out.to_mac == LINK_WORLD_GATEWAY &&
			is_addr(out.outer.remote, "203.0.113.7") && out.outer.remote_port == 1234,
		"a peer far away is reached by the default route's gateway");
	link_world_endpoint(&w, "192.0.2.9:41641", NULL);
}

static void
test_source(void)
{
	struct output out;

	link_world_endpoint(&w, "192.0.2.9:41641", "192.168.77.1");
	tap_ok(send(100, &out) && is_addr(out.outer.local, "192.168.77.1"),
		"the source is the address that the peer wrote to");
	link_world_endpoint(&w, "192.0.2.9:41641", "192.0.2.77");
	tap_ok(send(100, &out) && is_addr(out.outer.local, "192.0.2.2"),
		"... unless it is ours no more: then what the route says");
	link_world_endpoint(&w, "192.0.2.9:41641", NULL);
}

static void
test_dont_fragment(void)
{
	struct output out;

	// 60 bytes around an inner packet that is padded to 16.
	tap_ok(send(1280, &out) && out.outer_len == 1340 && out.outer_may_be_cut,
		"1,340 bytes outside may be cut on their way");
	in_memory_begin(w.gateway, false);
	in_memory_settings(w.gateway, 1420, "100.64.0.1", "fd7a::1");
	in_memory_commit(w.gateway);
	tap_ok(send(1312, &out) && out.outer_len > OUTER_CUT_MAX && !out.outer_may_be_cut,
		"more than 1,360 bytes must not be");
	in_memory_begin(w.gateway, false);
	in_memory_settings(w.gateway, LINK_WORLD_MTU, "100.64.0.1", "fd7a::1");
	in_memory_commit(w.gateway);
}

static void
test_ecn(void)
{
	struct output out;

	for (uint8_t ecn = 0; ecn < 4; ecn++) {
		packet_make(packet, 100, &(struct packet_make){ TO_THE_CLIENT, .ecn = ecn });
		link_world_from(&w, LAN, 5, packet, 100);
		tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.tos == ecn,
			"ECN %u is copied outside", ecn);
		link_world_endpoint(&w, "[2001:db8::9]:41641", NULL);
		link_world_from(&w, LAN, 5, packet, 100);
		tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && (out.tos & 3) == ecn,
			"... over IPv6 too");
		link_world_endpoint(&w, "192.0.2.9:41641", NULL);
	}
}

// ---- when the kernel's socket sends ----

static void
expect(enum place place, const char *what)
{
	struct output out;

	send(1280, &out);
	tap_int(out.place, place, what);
	tap_ok(!link_world_out(&w, &out), "... once");
}

static void
test_by_socket(void)
{
	struct shm_event event;

	w.net->ports[WAN].mtu = 1339;
	link_world_say(&w);
	expect(BY_SOCKET, "longer than the port's MTU: the kernel cuts");
	w.net->ports[WAN].mtu = 1340;
	link_world_say(&w);
	expect(TO_CLIENT, "just as long: by the port");
	w.net->ports[WAN].mtu = 1500;
	w.net->routes[6].mtu = 1339; // 192.0.2.0/24
	link_world_say(&w);
	expect(BY_SOCKET, "longer than the route's MTU: the kernel cuts");
	w.net->routes[6].mtu = 0;
	w.net->ports[WAN].flags = 0;
	link_world_say(&w);
	expect(BY_SOCKET, "the port is down: the kernel may know another way");
	w.net->ports[WAN].flags = SHM_PORT_UP;
	w.net->routes[6].kind = SHM_ROUTE_KERNEL;
	link_world_say(&w);
	expect(BY_SOCKET, "a route that is the kernel's");
	w.net->routes[6].kind = SHM_ROUTE_REFUSE;
	link_world_say(&w);
	expect(BY_SOCKET, "a route that refuses: the kernel's to say so");
	w.net->routes[6].kind = SHM_ROUTE_CONNECTED;
	memset(&w.net->routes[6].source, 0, 16);
	link_world_say(&w);
	expect(BY_SOCKET, "no source address is known");
	w.net->routes[6].source.bytes[0] = 192;
	memcpy(w.net->routes[6].source.bytes, (uint8_t[]){ 192, 0, 2, 2 }, 4);
	link_world_say(&w);
	expect(TO_CLIENT, "all is well again");

	while (in_memory_event(w.gateway, &event))
		;
	in_memory_neighbour(w.gateway, WAN, "192.0.2.9", 0, SHM_NEIGHBOUR_FAILED);
	expect(BY_SOCKET, "the next hop is not known: the kernel asks for it");
	tap_ok(in_memory_wait_event(w.gateway, SHM_EV_WANT_NEIGHBOUR, &event) &&
			event.path.family == ADDR_V4 &&
			event.path.ifindex == IN_MEMORY_IFINDEX(WAN) &&
			is_addr(event.path.remote.bytes, "192.0.2.9"),
		"... and the control plane is told");
	in_memory_neighbour(w.gateway, WAN, "192.0.2.9", 0x66, SHM_NEIGHBOUR_REACHABLE);
	expect(TO_CLIENT, "it is known");

	in_memory_open_links(w.gateway, 0);
	packet_make(packet, 100, &(struct packet_make){ TO_THE_CLIENT });
	in_memory_push_host(w.gateway, 0, packet, 100);
	in_memory_round(w.gateway);
	{
		struct output out;

		tap_ok(link_world_out(&w, &out) && out.place == BY_SOCKET, "no port is open");
	}
	in_memory_open_links(w.gateway, 2);
	in_memory_neighbour(
		w.gateway, WAN, "192.0.2.9", LINK_WORLD_CLIENT, SHM_NEIGHBOUR_REACHABLE);
}

// A neighbour that becomes known while a path is remembered.
static void
test_remembered(void)
{
	struct output out;

	link_world_endpoint(&w, "192.0.2.33:5", NULL);
	tap_ok(send(100, &out) && out.place == BY_SOCKET, "a new place: by the socket at first");
	in_memory_neighbour(w.gateway, WAN, "192.0.2.33", 33, SHM_NEIGHBOUR_REACHABLE);
	tap_ok(send(100, &out) && out.place == TO_CLIENT && out.to_mac == 33,
		"as soon as its station is known, by the port");
	// Twice, so that the memory of the path is used again.
	link_world_endpoint(&w, "192.0.2.9:41641", NULL);
	link_world_endpoint(&w, "192.0.2.9:9", NULL);
	tap_ok(send(100, &out) && out.to_mac == LINK_WORLD_CLIENT && out.outer.remote_port == 9,
		"a path that has changed twice is looked up anew");
	link_world_endpoint(&w, "192.0.2.9:41641", NULL);
	w.net->ports[WAN].mac[0] = 4;
	link_world_say(&w);
	packet_make(packet, 100, &(struct packet_make){ TO_THE_CLIENT });
	link_world_from(&w, LAN, 5, packet, 100);
	{
		struct pkt *p = in_memory_take_link(w.gateway, WAN, 0);

		tap_ok(p != NULL && p->data[6] == 4, "the port's own new address counts at once");
		if (p != NULL)
			in_memory_put(w.gateway, p);
	}
	w.net->ports[WAN].mac[0] = 2;
	link_world_say(&w);
}

// Packets from the host, and both ways of a peer: direct and by a relay.
static void
test_other_origins(void)
{
	struct shm_packet punted;
	struct output out;

	packet_make(packet, 100, &(struct packet_make){ .src = "100.64.0.1", .dst = "100.64.0.2" });
	in_memory_push_host(w.gateway, 0, packet, 100);
	in_memory_round(w.gateway);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.len == 100 &&
			out.data[8] == 64,
		"the host's packets leave by the port too");
	in_memory_relay_path(w.gateway, 0, "192.0.2.9:41641");
	in_memory_push_host(w.gateway, 0, packet, 100);
	in_memory_round(w.gateway);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT &&
			in_memory_punted(w.gateway, &punted) && punted.kind == SHM_PKT_RELAY,
		"both ways at once: one by the port, one by the relay");
	in_memory_relay_path(w.gateway, 0, NULL);
	in_memory_push_host(w.gateway, 0, packet, 100);
	in_memory_round(w.gateway);
	tap_ok(!link_world_out(&w, &out) && in_memory_punted(w.gateway, &punted),
		"by the relay alone: nothing by the port");
	link_world_endpoint(&w, "192.0.2.9:41641", NULL);
}

// One-armed: the LAN's host lives behind the WAN's port.
static void
test_one_armed(void)
{
	struct output out;

	packet_make(packet, 100, &(struct packet_make){ .src = "192.0.2.50", .dst = "100.64.0.2" });
	link_world_from(&w, WAN, 50, packet, 100);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT &&
			out.to_mac == LINK_WORLD_CLIENT,
		"one port in and out: into the tunnel");
	in_memory_neighbour(w.gateway, WAN, "192.0.2.50", 50, SHM_NEIGHBOUR_REACHABLE);
	packet_make(packet, 100, &(struct packet_make){ .src = "100.64.0.2", .dst = "192.0.2.50" });
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_WAN && out.to_mac == 50,
		"... and out of it");
}

// ---- in ----

enum change {
	NONE,
	OTHER_PORT,    // UDP destination
	OTHER_ADDRESS, // one that is not ours
	FRAGMENT,      // the first of a datagram
	HANDSHAKE,     // type 1
	SHORT,         // fewer bytes than a message has
	UDP_LENGTH,    // says more than there is
	OPTIONS,       // IPv4 options in front
	NO_CHECKSUM,   // UDP checksum 0
	BAD_CHECKSUM,  // is not looked at: authentication covers it
};

static const struct {
	const char *what;
	enum change change;
	enum place place;
} arrivals[] = {
	{ "a message", NONE, BY_LAN }, { "a message with IPv4 options", OPTIONS, BY_LAN },
	{ "a message without a UDP checksum", NO_CHECKSUM, BY_LAN },
	{ "a message with a wrong UDP checksum", BAD_CHECKSUM, BY_LAN },
	{ "for another port", OTHER_PORT, TO_HOST }, { "a fragment", FRAGMENT, TO_HOST },
	{ "a handshake", HANDSHAKE, TO_HOST }, { "too short", SHORT, TO_HOST },
	{ "a wrong length", UDP_LENGTH, TO_HOST },
	{ "for an address that is not ours", OTHER_ADDRESS, BY_WAN }, // no_peer, told by ICMP
};

static size_t
change_outer(uint8_t *p, size_t len, enum change change)
{
	switch (change) {
	case OTHER_PORT:
		store_be16(p + 22, 51821);
		break;
	case OTHER_ADDRESS:
		p[19] = 3;
		break;
	case FRAGMENT:
		store_be16(p + 6, IPV4_MORE_FRAGMENTS);
		break;
	case HANDSHAKE:
		p[28] = 1;
		break;
	case SHORT:
		len = 28 + 31;
		store_be16(p + 2, (uint16_t)len);
		store_be16(p + 24, 8 + 31);
		break;
	case UDP_LENGTH:
		store_be16(p + 24, (uint16_t)(len - 20 + 1));
		break;
	case OPTIONS:
		memmove(p + 24, p + 20, len - 20);
		memset(p + 20, 1, 4);
		len += 4;
		p[0] = 0x46;
		store_be16(p + 2, (uint16_t)len);
		break;
	case NO_CHECKSUM:
		store_be16(p + 26, 0);
		break;
	case BAD_CHECKSUM:
		p[26] ^= 0x55;
		break;
	case NONE:
		break;
	}
	checksum_fill_ipv4(p, (uint32_t)(p[0] & 15) * 4);
	return len;
}

static void
test_arrivals(void)
{
	for (size_t i = 0; i < sizeof(arrivals) / sizeof(arrivals[0]); i++) {
		struct output out;
		size_t len;

		w.gateway->workers[0]->w.icmp_limit.empty_until_ns = 0;
		packet_make(packet, 100, &(struct packet_make){ TO_THE_HOST });
		len = link_world_seal(&w, packet, 100, 0, outer);
		len = change_outer(outer, len, arrivals[i].change);
		link_world_from(&w, WAN, LINK_WORLD_CLIENT, outer, len);
		link_world_out(&w, &out);
		tap_int(out.place, arrivals[i].place, arrivals[i].what);
		tap_ok(out.place != TO_HOST ||
				(out.len == len && memcmp(out.data, outer, len) == 0),
			"... as it came, if it is the kernel's");
	}
}

static void
test_arrival_v6(void)
{
	uint8_t *udp = outer + 40;
	struct message msg;
	struct output out;
	size_t len;

	packet_make(packet, 100, &(struct packet_make){ TO_THE_HOST });
	if (!gateway_seal(w.client, packet, 100, &msg))
		tap_ok(false, "sealed");
	len = 48 + msg.len;
	packet_make(
		outer, len, &(struct packet_make){ .src = "2001:db8::9", .dst = "2001:db8::2" });
	store_be16(udp, 41641);
	store_be16(udp + 2, IN_MEMORY_LISTEN_PORT);
	store_be16(udp + 4, (uint16_t)(8 + msg.len));
	memcpy(udp + 8, msg.data, msg.len);
	link_world_from(&w, WAN, LINK_WORLD_CLIENT, outer, len);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN, "a message over IPv6");
}

// Who sees a peer elsewhere says what a socket would say.
static void
test_seen_from(void)
{
	struct shm_event event;
	struct output out;

	while (in_memory_event(w.gateway, &event))
		;
	link_world_endpoint(&w, "192.0.2.99:41641", NULL);
	w.gateway->workers[0]->w.waiting[0].seen_ns = 0;
	packet_make(packet, 100, &(struct packet_make){ TO_THE_HOST });
	link_world_from_client(&w, packet, 100, 0);
	in_memory_main_round(w.gateway);
	tap_ok(in_memory_wait_event(w.gateway, SHM_EV_SEEN_FROM, &event) && event.peer == 0 &&
			event.path.remote_port == 41641 && event.path.ifindex == 0 &&
			is_addr(event.path.remote.bytes, "192.0.2.9") &&
			is_addr(event.path.local.bytes, "192.0.2.2"),
		"where a peer is seen, with the address of ours that it wrote to");
	(void)link_world_out(&w, &out);
	link_world_endpoint(&w, "192.0.2.9:41641", "192.0.2.2");
	w.gateway->workers[0]->w.waiting[0].seen_ns = 0;
	link_world_from_client(&w, packet, 100, 0);
	in_memory_main_round(w.gateway);
	tap_ok(!in_memory_wait_event(w.gateway, SHM_EV_SEEN_FROM, &event),
		"there it is expected then");
	(void)link_world_out(&w, &out);
	link_world_endpoint(&w, "192.0.2.9:41641", NULL);
}

// ---- whatever is missing ----

// Whether anything left in clear; what the kernel gets it may route on.
static bool
leaks(void)
{
	struct output out;
	bool found = false;

	while (link_world_out(&w, &out)) {
		bool is_clear = out.place == BY_LAN || out.place == BY_WAN || out.place == TO_HOST;

		// An ICMP error to who sent it quotes what that has sent.
		found |= is_clear && out.to_mac != 5 && out.len > 40;
	}
	return found;
}

static void
test_no_leak(void)
{
	const struct shm_command gone = { .kind = SHM_CMD_SESSION_GONE,
		.session_gone = { .peer = 0, .receiver_index = 0x7ff00001u } };
	struct shm_net *whole = w.net;
	static struct shm_net none;

	packet_make(packet, 500, &(struct packet_make){ TO_THE_CLIENT });
	w.net = &none;
	link_world_say(&w);
	link_world_from(&w, LAN, 5, packet, 500);
	tap_ok(!leaks(), "no network is known: nothing for the tunnel leaves in clear");
	w.net = whole;
	link_world_say(&w);
	in_memory_begin(w.gateway, false);
	in_memory_prefix_gone(w.gateway, "100.64.0.2/32");
	in_memory_commit(w.gateway);
	link_world_from(&w, LAN, 5, packet, 500);
	tap_ok(!leaks(), "the peer is gone: the same");
	in_memory_begin(w.gateway, false);
	in_memory_prefix_gone(w.gateway, "100.64.0.0/10");
	in_memory_commit(w.gateway);
	link_world_from(&w, LAN, 5, packet, 500);
	tap_ok(!leaks(), "the whole tailnet is: the same, though there is a default route");
	in_memory_begin(w.gateway, false);
	in_memory_prefix(w.gateway, "100.64.0.2/32", 0);
	in_memory_commit(w.gateway);
	in_memory_path(w.gateway, 0, NULL, NULL);
	link_world_from(&w, LAN, 5, packet, 500);
	tap_ok(!leaks(), "no path: the same");
	in_memory_command(w.gateway, &gone);
	in_memory_main_round(w.gateway);
	link_world_from(&w, LAN, 5, packet, 500);
	tap_ok(!leaks(), "no session: the same");
}

int
main(void)
{
	link_world_create(&w);
	test_headers();
	test_odd_lengths();
	test_gateway();
	test_source();
	test_dont_fragment();
	test_ecn();
	test_by_socket();
	test_remembered();
	test_other_origins();
	test_one_armed();
	test_arrivals();
	test_arrival_v6();
	test_seen_from();
	test_no_leak();
	link_world_destroy(&w);
	return tap_done();
}
