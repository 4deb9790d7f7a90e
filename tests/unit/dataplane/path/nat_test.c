/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source NAT on the packet's way (lib/nat has the rows of the RFCs): that it stands where it must
 * between routes, ICMP errors and fragments.
 */

#include <string.h>

#include "dataplane/table/nat_worker.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "tests/lib/link_world.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

#define PORT 61007

static struct link_world w;
static uint8_t packet[2048];

struct family {
	const char *name, *client, *host, *own;
	uint32_t header_len;
	uint32_t src_at, dst_at, addr_len;
};

static const struct family families[2] = {
	{ "IPv4", "100.64.0.2", "192.168.77.5", "192.168.77.1", 20, 12, 16, 4 },
	{ "IPv6", "fd7a::2", "fd77::5", "fd77::1", 40, 8, 24, 16 },
};

static bool
is_addr(const uint8_t *bytes, const char *text)
{
	struct addr a;

	return addr_parse(text, &a) == 0 &&
	       memcmp(bytes, a.bytes, a.family == ADDR_V4 ? 4 : 16) == 0;
}

// UDP with ports of the test's choice.
static void
make(const char *src, const char *dst, uint16_t from, uint16_t to, size_t len, bool dont_fragment)
{
	struct ip_view v;
	uint32_t l4;

	packet_make(packet, len,
		&(struct packet_make){ .src = src, .dst = dst, .dont_fragment = dont_fragment });
	l4 = packet[0] >> 4 == 4 ? 20 : 40;
	store_be16(packet + l4, from);
	store_be16(packet + l4 + 2, to);
	if (ip_parse(packet, (uint32_t)len, &v))
		(void)checksum_fill_packet(packet, &v);
}

static void
test_both_ways(const struct family *f)
{
	struct output out;

	make(f->client, f->host, PORT, 9, 200, false);
	link_world_from_client(&w, packet, 200, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN &&
			is_addr(out.data + f->src_at, f->own) &&
			packet_is_sound(out.data, out.len) &&
			load_be16(out.data + f->header_len) == PORT,
		"%s: out of the tunnel, from our address", f->name);
	make(f->host, f->own, 9, PORT, 300, false);
	link_world_from(&w, LAN, LINK_WORLD_HOST, packet, 300);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT &&
			is_addr(out.data + f->dst_at, f->client) &&
			is_addr(out.data + f->src_at, f->host) &&
			packet_is_sound(out.data, out.len),
		"%s: the answer gets its own destination back", f->name);
}

// What the host is told quotes what the host has sent.
static void
test_too_big(const struct family *f)
{
	const uint8_t *quoted;
	struct output out;

	w.gateway->workers[0]->w.icmp_limit.empty_until_ns = 0;
	make(f->host, f->own, 9, PORT, 1400, true);
	link_world_from(&w, LAN, LINK_WORLD_HOST, packet, 1400);
	quoted = out.data + f->header_len + 8;
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN && out.to_mac == LINK_WORLD_HOST &&
			out.data[f->header_len] == (f->addr_len == 4 ? 3 : 2) &&
			load_be32(out.data + f->header_len + 4) == LINK_WORLD_MTU &&
			memcmp(quoted, packet, 100) == 0,
		"%s: too big an answer: the host is told in its own words", f->name);
}

static void
test_answer_is_cut(void)
{
	struct output out;
	unsigned n = 0;
	bool fine = true;

	make("192.168.77.5", "192.168.77.1", 9, PORT, 1400, false);
	link_world_from(&w, LAN, LINK_WORLD_HOST, packet, 1400);
	for (; link_world_out(&w, &out); n++)
		fine &= out.place == TO_CLIENT && is_addr(out.data + 16, "100.64.0.2") &&
		        checksum_is_valid_ipv4(out.data, 20);
	tap_ok(fine && n == 2, "an answer that may be cut is, after its destination was restored");
}

// The LAN begins: answers keep the client's address.
static void
test_lan_begins(const struct family *f)
{
	struct output out;

	make(f->host, f->client, 5000, 6000, 100, false);
	link_world_from(&w, LAN, LINK_WORLD_HOST, packet, 100);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT, "%s: the LAN begins", f->name);
	make(f->client, f->host, 6000, 5000, 100, false);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == BY_LAN &&
			is_addr(out.data + f->src_at, f->client),
		"%s: the client's answer keeps its address", f->name);
}

static void
test_not_ours(void)
{
	struct output out;

	make("192.168.77.5", "192.168.77.1", 9, 22, 100, false);
	link_world_from(&w, LAN, LINK_WORLD_HOST, packet, 100);
	tap_ok(link_world_out(&w, &out) && out.place == TO_HOST, "ssh to the box is the kernel's");
	make("100.64.0.2", "192.168.77.1", 9, 22, 100, false);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == TO_HOST &&
			is_addr(out.data + 12, "100.64.0.2"),
		"... also from the client, untranslated");
	make("100.64.0.2", "172.16.0.9", 9, 9, 100, false);
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == TO_HOST &&
			is_addr(out.data + 12, "100.64.0.2"),
		"what the kernel routes the kernel translates");
}

static void
test_unknown_port(void)
{
	struct output out;

	make("192.168.77.5", "192.168.77.1", 9, 61999, 100, false);
	link_world_from(&w, LAN, LINK_WORLD_HOST, packet, 100);
	tap_ok(!link_world_out(&w, &out) || out.place == TO_HOST,
		"a port of the range without a flow never enters the tunnel");
	tap_ok(!link_world_out(&w, &out), "... nor anything else");
}

// A source that a tunnel owns leaves no trace.
static void
test_spoofed(void)
{
	struct output out;

	make("100.64.0.2", "10.3.0.1", 7000, 7001, 100, false);
	link_world_from(&w, LAN, LINK_WORLD_HOST, packet, 100);
	tap_ok(!link_world_out(&w, &out) && in_memory_drops(w.gateway, DROP_SOURCE_SPOOFED) == 1,
		"a spoofed source is dropped before NAT remembers it");
}

static void
test_ttl(void)
{
	struct output out;

	w.gateway->workers[0]->w.icmp_limit.empty_until_ns = 0;
	packet_make(packet, 100,
		&(struct packet_make){ .src = "100.64.0.2", .dst = "192.168.77.5", .ttl = 1 });
	link_world_from_client(&w, packet, 100, 0);
	tap_ok(link_world_out(&w, &out) && out.place == TO_CLIENT && out.data[20] == 11 &&
			memcmp(out.data + 28, packet, 72) == 0,
		"traceroute from the client: told in its own words");
}

// A datagram in two pieces, the later one first.  False: it was not held, or for too long.
static bool
pass_in_two(uint16_t id)
{
	uint8_t first[2048], later[2048];
	struct output out;

	make("100.64.0.2", "192.168.77.5", PORT, 9, 1220, false);
	store_be16(packet + 4, id);
	memcpy(first, packet, 620);
	store_be16(first + 2, 620);
	store_be16(first + 6, IPV4_MORE_FRAGMENTS);
	checksum_fill_ipv4(first, 20);
	memcpy(later, packet, 20);
	memcpy(later + 20, packet + 620, 600);
	store_be16(later + 2, 620);
	store_be16(later + 6, 75);
	checksum_fill_ipv4(later, 20);
	link_world_from_client(&w, later, 620, 0);
	if (link_world_out(&w, &out))
		return false;
	link_world_from_client(&w, first, 620, 0);
	return link_world_out(&w, &out) && out.place == BY_LAN &&
	       is_addr(out.data + 12, "192.168.77.1") && link_world_out(&w, &out) &&
	       out.place == BY_LAN && out.to_mac == LINK_WORLD_HOST &&
	       is_addr(out.data + 12, "192.168.77.1") &&
	       memcmp(out.data + 20, later + 20, 600) == 0;
}

static void
test_fragments(void)
{
	bool passed = false;

	// It waits half a second, which a busy machine may take: then another one.
	for (uint16_t id = 1; !passed && id < 20; id++)
		passed = pass_in_two(id);
	tap_ok(passed, "a fragment that overtook its first one leaves behind it, from our address");
}

int
main(void)
{
	link_world_create(&w);
	w.net->nat = SHM_NAT_V4 | SHM_NAT_V6;
	w.net->nat_port_first = 61000;
	w.net->nat_port_last = 65535;
	link_world_say(&w);
	for (unsigned i = 0; i < 2; i++) {
		test_both_ways(&families[i]);
		test_too_big(&families[i]);
		test_lan_begins(&families[i]);
	}
	test_answer_is_cut();
	test_not_ours();
	test_unknown_port();
	test_spoofed();
	test_ttl();
	test_fragments();
	link_world_destroy(&w);
	return tap_done();
}
