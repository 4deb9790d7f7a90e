/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ports and next hops in the status: what the data plane has, what the host knows of it, and what
 * the kernel does in its place.
 */

#include "controlplane/gateway/api/network_json.h"

#include <string.h>

#include "tests/lib/tap.h"

static struct network network = {
	.n_ports = 3,
	.ports = {
		{ .ifindex = 2,
			.name = "eth0",
			.mtu = 1500,
			.up = true,
			.carrier = true,
			.driver = "veth",
			.is_wan = true,
			.is_wanted = true,
			.why = "the default route leaves by it" },
		{ .ifindex = 3,
			.name = "lan0",
			.mtu = 1500,
			.up = true,
			.is_lan = true,
			.is_wanted = true,
			.n_queues = 1,
			.why = "holds the advertised 192.168.77.0/24" },
		{ .ifindex = 4, .name = "dmz0", .why = "nothing of ours is behind it" },
	},
};
static struct surroundings around = {
	.n_ports = 2,
	.ports = {
		{ .ifindex = 2, .name = "eth0", .is_wanted = true, .is_open = true, .why = "no zero copy" },
		{ .ifindex = 3, .name = "lan0", .is_wanted = true, .why = "another program" },
	},
};
static struct snapshot snapshot = {
	.attached = true,
	.n_ports = 8,
	.ports = {
		{ .name = "wire", .driver = "kernel", .note = "UDP sockets", .rx_packets = 7 },
		{ .name = "sluice0", .driver = "host" },
		{ .name = "eth0",
			.driver = "af_xdp",
			.note = "of the data plane",
			.ifindex = 2,
			.mode = SHM_PORT_COPY,
			.n_queues = 4,
			.rx_packets = UINT64_MAX,
			.steered_out = 5,
			.handed_over = 6 },
	},
	.n_hops = 2,
	.hops = {
		{ .ifindex = 2,
			.addr = { ADDR_V4, { 198, 18, 2, 1 } },
			.mac = { 2, 0, 0, 0, 0xab, 1 },
			.state = SHM_NEIGHBOUR_REACHABLE },
		{ .ifindex = 99, .addr = { ADDR_V6, { 0xfd, 0x77 } }, .state = SHM_NEIGHBOUR_ASKED },
	},
};

static const json_t *
port_of(const json_t *ports, const char *name)
{
	const json_t *port;
	size_t i;

	json_array_foreach(ports, i,
		port) if (strcmp(json_string_value(json_object_get(port, "name")), name) ==
			  0) return port;
	return NULL;
}

static const char *
text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "(none)";
}

static void
test_ports(void)
{
	struct status_here here = { .network = &network, .around = &around };
	json_t *ports = ports_json(&here, &snapshot);
	const json_t *p = port_of(ports, "eth0");

	tap_int((long long)json_array_size(ports), 4,
		"ports of the data plane, and what the kernel serves; no free rows");
	tap_text(text(p, "driver"), "af_xdp", "a port that carries frames has its driver,");
	tap_text(text(p, "mode"), "copy", "its mode,");
	tap_text(text(p, "why"), "the default route leaves by it; no zero copy",
		"why it is one, and why no better one, as the keeper said,");
	tap_text(json_string_value(json_array_get(json_object_get(p, "roles"), 0)), "wan",
		"what it is for,");
	tap_text(text(p, "device"), "veth", "what it is,");
	tap_int(json_integer_value(json_object_get(p, "queues")), 4, "its queues,");
	tap_ok(json_integer_value(json_object_get(p, "rx_packets")) >= 0, "and no negative count");
	tap_int(json_integer_value(json_object_get(p, "steered_out")), 5,
		"what the sieve dropped,");
	tap_int(json_integer_value(json_object_get(p, "handed_over")), 6,
		"what another worker sent");

	p = port_of(ports, "lan0");
	tap_text(text(p, "driver"), "kernel", "one that was refused is the kernel's");
	tap_text(text(p, "why"), "holds the advertised 192.168.77.0/24; another program",
		"with the reason");
	tap_ok(json_is_null(json_object_get(p, "rx_packets")), "and without counts");
	tap_ok(json_is_false(json_object_get(p, "up")), "without a carrier it is not up");
	tap_ok(port_of(ports, "dmz0") == NULL, "an interface that is not ours is not among them");
	p = port_of(ports, "wire");
	tap_ok(json_is_null(json_object_get(p, "mode")) &&
			strcmp(text(p, "why"), "UDP sockets") == 0 &&
			json_array_size(json_object_get(p, "roles")) == 0,
		"sockets have no mode");
	json_decref(ports);
}

static void
test_unwanted(void)
{
	struct status_here here = { .network = &network, .around = &around };
	json_t *ports;

	network.ports[1].is_wanted = around.ports[1].is_wanted = false;
	ports = ports_json(&here, &snapshot);
	tap_text(text(port_of(ports, "lan0"), "why"), "holds the advertised 192.168.77.0/24",
		"what nobody asked for has the host's reason");
	json_decref(ports);

	here = (struct status_here){};
	ports = ports_json(&here, &snapshot);
	tap_int((long long)json_array_size(ports), 3, "before the host has looked");
	tap_text(text(port_of(ports, "eth0"), "why"), "of the data plane",
		"its own words are shown");
	json_decref(ports);
}

static void
test_hops(void)
{
	struct status_here here = { .network = &network };
	json_t *hops = next_hops_json(&here, &snapshot);
	const json_t *h = json_array_get(hops, 0);

	tap_int((long long)json_array_size(hops), 2, "next hops");
	tap_text(text(h, "address"), "198.18.2.1", "have an address,");
	tap_text(text(h, "interface"), "eth0", "an interface,");
	tap_text(text(h, "mac"), "02:00:00:00:ab:01", "one of the link layer,");
	tap_text(text(h, "state"), "reachable", "and a state");
	h = json_array_get(hops, 1);
	tap_text(text(h, "interface"), "99", "an interface that is gone is a number");
	tap_ok(json_is_null(json_object_get(h, "mac")), "who is not resolved has no such address");
	json_decref(hops);
}

int
main(void)
{
	test_ports();
	test_unwanted();
	test_hops();
	return tap_done();
}
