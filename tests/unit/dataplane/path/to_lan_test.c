/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Out of the tunnel, towards networks behind link ports: packet in, packet out.
 */

#include <stdio.h>
#include <string.h>

#include "dataplane/io/io_memory.h"
#include "lib/base/clock.h"
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
	uint8_t mac;             /* of where it goes */
	enum drop_reason reason; /* or DROP_NONE */
	int type, code;          /* not 0: of the ICMP error that the client gets */
	uint32_t mtu;            /* that it says */
};

#define CLIENT4 .src = "100.64.0.2"
#define CLIENT6 .src = "fd7a::2"
#define HOST4   CLIENT4, .dst = "192.168.77.5"
#define HOST6   CLIENT6, .dst = "fd77::5"

static const struct row rows[] = {
	{ "IPv4 to a host of the LAN", { HOST4 }, 100, BY_LAN, .mac = LINK_WORLD_HOST },
	{ "IPv6 to a host of the LAN", { HOST6 }, 100, BY_LAN, .mac = LINK_WORLD_HOST },
	{ "to a network behind a router of the LAN", { CLIENT4, .dst = "192.168.78.9" }, 100,
		BY_LAN, .mac = LINK_WORLD_ROUTER },
	{ "by the default route", { CLIENT4, .dst = "203.0.113.9" }, 100, BY_WAN,
		.mac = LINK_WORLD_GATEWAY },
	{ "to an address of the box", { CLIENT4, .dst = "192.168.77.1" }, 100, .place = TO_HOST },
	{ "to the box's address in the tailnet", { CLIENT4, .dst = "100.64.0.1" }, 100,
		.place = TO_HOST },
	{ "to an IPv6 address of the box", { CLIENT6, .dst = "fd77::1" }, 100, .place = TO_HOST },
	{ "to what the kernel routes", { CLIENT4, .dst = "172.16.1.1" }, 100, .place = TO_HOST },
	{ "IPv6 without a route", { CLIENT6, .dst = "2001:db8:1::1" }, 100, .place = TO_HOST },
	{ "to a network that is refused", { CLIENT4, .dst = "198.51.100.1" }, 100, TO_CLIENT,
		.mac = LINK_WORLD_CLIENT, DROP_NO_ROUTE, 3, 0 },
	{ "to nobody of the tailnet", { CLIENT4, .dst = "100.64.9.9" }, 100, TO_CLIENT,
		.mac = LINK_WORLD_CLIENT, DROP_NO_PEER, 3, 1 },
	{ "to a neighbour that is not known", { CLIENT4, .dst = "192.168.77.6" }, 100, NOWHERE,
		.mac = 0, DROP_NEIGHBOUR_UNKNOWN },
	{ "to an IPv6 neighbour that is not known", { CLIENT6, .dst = "fd77::6" }, 100, NOWHERE,
		.mac = 0, DROP_NEIGHBOUR_UNKNOWN },

	{ "IPv4 with TTL 2", { HOST4, .ttl = 2 }, 100, BY_LAN, .mac = LINK_WORLD_HOST },
	{ "IPv4 with TTL 1: traceroute", { HOST4, .ttl = 1 }, 100, TO_CLIENT,
		.mac = LINK_WORLD_CLIENT, DROP_TTL, 11, 0 },
	{ "IPv6 with hop limit 1", { HOST6, .ttl = 1 }, 100, TO_CLIENT, .mac = LINK_WORLD_CLIENT,
		DROP_TTL, 3, 0 },
	{ "TTL 1 to the box itself", { CLIENT4, .dst = "192.168.77.1", .ttl = 1 }, 100,
		.place = TO_HOST },

	{ "IPv4 of 1,420 bytes by a link of 1,500", { HOST4, .dont_fragment = true }, 1420, BY_LAN,
		.mac = LINK_WORLD_HOST },
	{ "1,000 bytes by a route of 1,000",
		{ CLIENT4, .dst = "192.168.79.9", .dont_fragment = true }, 1000, BY_LAN,
		.mac = LINK_WORLD_ROUTER },
	{ "1,001 bytes by a route of 1,000, not to be cut",
		{ CLIENT4, .dst = "192.168.79.9", .dont_fragment = true }, 1001, TO_CLIENT,
		.mac = LINK_WORLD_CLIENT, DROP_TOO_BIG, 3, 4, 1000 },
	{ "to a link-local address", { CLIENT4, .dst = "169.254.1.1" }, 100, .place = NOWHERE,
		.reason = DROP_LINK_LOCAL },
	{ "TCP to a host", { HOST4, .mss = 1200 }, 44, BY_LAN, .mac = LINK_WORLD_HOST },
	{ "a protocol of no known number", { HOST4, .protocol = 200 }, 60, BY_LAN,
		.mac = LINK_WORLD_HOST },
};

static bool
is_icmp(const struct row *r, const struct output *out)
{
	const uint8_t *icmp;
	struct ip_view v;

	if (!ip_parse(out->data, (uint32_t)out->len, &v) || !packet_is_sound(out->data, out->len))
		return false;
	if (v.protocol != (v.family == ADDR_V4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_IPV6_ICMP))
		return false;
	icmp = out->data + v.header_len;
	// It quotes the packet as it came, its TTL included.
	return icmp[0] == r->type && icmp[1] == r->code && load_be32(icmp + 4) == r->mtu &&
	       memcmp(icmp + 8, packet, r->len < 100 ? r->len : 100) == 0;
}

// The packet itself: counted down if we routed it.
static bool
is_packet(const struct row *r, const struct output *out)
{
	bool routed = out->place == BY_LAN || out->place == BY_WAN;
	struct ip_view was, is;

	if (out->len != r->len || !packet_is_sound(out->data, out->len) ||
		!ip_parse(packet, (uint32_t)r->len, &was) ||
		!ip_parse(out->data, (uint32_t)out->len, &is))
		return false;
	return is.ttl == was.ttl - routed &&
	       memcmp(out->data + is.header_len, packet + was.header_len,
		       r->len - was.header_len) == 0;
}

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		uint64_t drops = in_memory_drops(w.gateway, r->reason);
		struct output out, more;

		w.gateway->workers[0]->w.icmp_limit.empty_until_ns = 0;
		packet_make(packet, r->len, &r->make);
		link_world_from_client(&w, packet, r->len, 0);
		link_world_out(&w, &out);
		tap_int(out.place, r->place, r->what);
		tap_ok(!link_world_out(&w, &more), "... and nothing else: %s", r->what);
		if (r->reason != DROP_NONE)
			tap_ok(in_memory_drops(w.gateway, r->reason) == drops + 1,
				"... dropped as %s", drop_name(r->reason));
		if (r->place == NOWHERE)
			continue;
		if (r->mac != 0)
			tap_int(out.to_mac, r->mac, "... to the right station");
		tap_ok(r->type != 0 ? is_icmp(r, &out) : is_packet(r, &out), "... %s: %s",
			r->type != 0 ? "the right ICMP error" : "the packet", r->what);
	}
}

// The client is told by an address of the tailnet.
static void
test_icmp_source(void)
{
	static const uint8_t own[4] = { 100, 64, 0, 1 };
	struct output out;

	packet_make(packet, 100, &(struct packet_make){ HOST4, .ttl = 1 });
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && memcmp(out.data + 12, own, 4) == 0,
		"an ICMP error into the tunnel comes from our address in the tailnet");
	packet_make(
		packet, 60, &(struct packet_make){ HOST4, .ttl = 1, .protocol = IP_PROTOCOL_ICMP });
	packet[20] = 3; // destination unreachable
	link_world_from_client(&w, packet, 60, 0);
	tap_ok(!link_world_out(&w, &out), "an ICMP error is never answered by another");
}

static void
test_cut(void)
{
	struct output out;
	size_t sum = 0;
	unsigned n = 0;
	bool fine = true;

	packet_make(packet, 1400, &(struct packet_make){ CLIENT4, .dst = "192.168.79.9" });
	link_world_from_client(&w, packet, 1400, 0);
	while (link_world_out(&w, &out)) {
		struct ip_view v = {};

		fine &= out.place == BY_LAN && out.to_mac == LINK_WORLD_ROUTER && out.len <= 1000 &&
		        ip_parse(out.data, (uint32_t)out.len, &v) && v.ttl == 63 &&
		        packet_is_sound(out.data, out.len);
		fine &= memcmp(out.data + 20, packet + 20 + ip_fragment_offset(&v), out.len - 20) ==
		        0;
		sum += out.len - 20;
		n++;
	}
	tap_ok(fine && n == 2 && sum == 1380,
		"a longer packet that may be cut leaves as fragments that fit");
}

static void
test_failed_neighbour(void)
{
	struct output out;

	in_memory_neighbour(w.gateway, LAN, "192.168.77.7", 0, SHM_NEIGHBOUR_FAILED);
	packet_make(packet, 100, &(struct packet_make){ CLIENT4, .dst = "192.168.77.7" });
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.data[20] == 3 &&
			out.data[21] == 1,
		"a host that does not answer is unreachable, and the client is told");
}

static unsigned
count_wants(const char *addr, uint32_t ifindex)
{
	struct addr parsed;
	struct shm_event event;
	unsigned n = 0;

	if (addr_parse(addr, &parsed) < 0)
		return 99;
	while (in_memory_wait_event(w.gateway, SHM_EV_WANT_NEIGHBOUR, &event))
		n += event.path.family == parsed.family && event.path.ifindex == ifindex &&
		     memcmp(event.path.remote.bytes, parsed.bytes, 16) == 0;
	return n;
}

static void
test_resolving(void)
{
	struct output out;
	unsigned n;

	(void)count_wants("::", 0);
	packet_make(packet, 100, &(struct packet_make){ CLIENT4, .dst = "192.168.77.8" });
	for (unsigned i = 0; i < 20; i++)
		link_world_from_client(&w, packet, 100, 0);
	n = count_wants("192.168.77.8", IN_MEMORY_IFINDEX(LAN));
	tap_ok(n >= 1 && n < 20, "a neighbour is asked for, not once for each packet");
	in_memory_neighbour(w.gateway, LAN, "192.168.77.8", 0, SHM_NEIGHBOUR_ASKED);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(!link_world_out(&w, &out), "while it is asked for packets are dropped");
	in_memory_neighbour(w.gateway, LAN, "192.168.77.8", 8, SHM_NEIGHBOUR_REACHABLE);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN && out.to_mac == 8,
		"when it answers they leave");
	in_memory_neighbour(w.gateway, LAN, "192.168.77.8", 88, SHM_NEIGHBOUR_REACHABLE);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.to_mac == 88,
		"another address of the link layer counts at once");
	in_memory_neighbour(w.gateway, LAN, "192.168.77.8", 0, SHM_NEIGHBOUR_NONE);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(!link_world_out(&w, &out), "one that was forgotten is not used");
}

static void
test_scan(void)
{
	uint64_t began_ns = mono_now().ns, passed_ns;
	struct shm_event event;
	char text[32];
	unsigned n = 0;

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "fd77::%x", 0x1000 + i);
		packet_make(packet, 60, &(struct packet_make){ CLIENT6, .dst = text });
		link_world_from_client(&w, packet, 60, 0);
		while (in_memory_event(w.gateway, &event))
			n += event.kind == SHM_EV_WANT_NEIGHBOUR;
	}
	passed_ns = mono_now().ns - began_ns;
	tap_ok(n >= 1 && n <= WANT_BURST + 1 + passed_ns * WANT_RATE_PPS / NS_PER_S,
		"a scan of the LAN is no flood of questions (%u)", n);
}

static void
test_port_down(void)
{
	struct output out;

	w.net->ports[LAN].flags = 0;
	link_world_say(&w);
	packet_make(packet, 100, &(struct packet_make){ HOST4 });
	w.gateway->workers[0]->w.icmp_limit.empty_until_ns = 0;
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.data[20] == 3,
		"a port that is down: the client is told");
	tap_ok(in_memory_drops(w.gateway, DROP_PORT_DOWN) == 1, "... dropped as port_down");
	w.net->ports[LAN].flags = SHM_PORT_UP;
	link_world_say(&w);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN, "up again, they leave");
}

static void
test_closed(void)
{
	struct output out;
	uint8_t outer[2048];
	size_t len;

	packet_make(packet, 100, &(struct packet_make){ HOST4 });
	in_memory_open_links(w.gateway, 1);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == TO_HOST,
		"without a port of ours in that direction the kernel routes");
	in_memory_open_links(w.gateway, 2);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN, "with it again, we do");
	len = link_world_seal(&w, packet, 100, 0, outer);
	in_memory_open_links(w.gateway, 0);
	tap_ok(in_memory_push_wire(w.gateway, 0, outer + 28, len - 28, NULL, 0), "pushed");
	in_memory_round(w.gateway);
	tap_ok(link_world_out(&w, &out) && out.place == TO_HOST,
		"without any port everything is as it was");
	in_memory_open_links(w.gateway, 2);
}

// What came by the kernel's socket takes the same way.
static void
test_from_socket(void)
{
	uint8_t outer[2048];
	size_t len;
	struct output out;

	packet_make(packet, 100, &(struct packet_make){ HOST4 });
	len = link_world_seal(&w, packet, 100, 0, outer);
	tap_ok(in_memory_push_wire(w.gateway, 0, outer + 28, len - 28, NULL, 0), "pushed");
	in_memory_round(w.gateway);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN && out.to_mac == LINK_WORLD_HOST,
		"what came by the kernel's socket leaves by the link port");
}

static void
test_mss(void)
{
	struct output out;

	packet_make(packet, 44, &(struct packet_make){ HOST4, .mss = 1460 });
	link_world_from_client(&w, packet, 44, 0);
	tap_ok(link_world_out(&w, &out) && load_be16(out.data + 42) == LINK_WORLD_MTU - 40 &&
			packet_is_sound(out.data, out.len),
		"a SYN out of the tunnel says what the tunnel takes");
}

static void
test_ecn(void)
{
	struct output out;

	packet_make(packet, 100, &(struct packet_make){ HOST4, .ecn = 2 });
	link_world_from_client(&w, packet, 100, 3);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN && (out.data[1] & 3) == 3 &&
			packet_is_sound(out.data, out.len),
		"congestion met outside is carried inside");
}

// More routes, changed routes: the newest block counts.
static void
test_change(void)
{
	struct output out;

	packet_make(packet, 100, &(struct packet_make){ CLIENT4, .dst = "192.168.80.9" });
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_WAN, "by the default route at first");
	link_world_route(&w, "192.168.80.0/24", SHM_ROUTE_GATEWAY, LAN, "192.168.77.254", NULL);
	link_world_say(&w);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN && out.to_mac == LINK_WORLD_ROUTER,
		"by a new, longer prefix then");
	w.net->n_routes--;
	link_world_say(&w);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_WAN, "and back");
}

static void
test_full(void)
{
	struct output out;
	uint64_t drops = in_memory_drops(w.gateway, DROP_TX_FULL);

	io_memory_limit_tx(w.gateway->links[LAN], 0, 1);
	packet_make(packet, 100, &(struct packet_make){ HOST4 });
	link_world_from_client(&w, packet, 100, 0);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && !link_world_out(&w, &out) &&
			in_memory_drops(w.gateway, DROP_TX_FULL) == drops + 1,
		"a full port: what it does not take is dropped as tx_full");
	io_memory_limit_tx(w.gateway->links[LAN], 0, UINT32_MAX);
}

int
main(void)
{
	link_world_create(&w);
	test_rows();
	test_icmp_source();
	test_cut();
	test_failed_neighbour();
	test_resolving();
	test_port_down();
	test_closed();
	test_from_socket();
	test_mss();
	test_ecn();
	test_change();
	test_full();
	test_scan();
	link_world_destroy(&w);
	return tap_done();
}
