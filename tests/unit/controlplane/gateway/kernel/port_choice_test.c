/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which interfaces become ports: a table of hosts and wishes.
 */

#include "controlplane/gateway/kernel/port_choice.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/kernel/network_make.h"
#include "tests/lib/tap.h"

#define MAX_ADVERTISED 4

enum {
	LO = 1,
	WAN,
	LAN,
	LAN2,
	PPP,
	TUN,
	N_LINKS = TUN
};

static const struct choice_link links[N_LINKS] = {
	{ { .ifindex = LO, .name = "lo", .up = true }, false },
	{ { .ifindex = WAN,
		  .name = "eth0",
		  .is_ethernet = true,
		  .mtu = 1500,
		  .up = true,
		  .carrier = true,
		  .n_rx_queues = 4 },
		true },
	{ { .ifindex = LAN, .name = "lan0", .is_ethernet = true, .kind = "veth" }, false },
	{ { .ifindex = LAN2, .name = "lan1", .is_ethernet = true }, false },
	{ { .ifindex = PPP, .name = "ppp0" }, false },
	{ { .ifindex = TUN, .name = "sluice0", .is_tun = true }, false },
};

static const struct {
	const char *prefix;
	uint8_t kind;
	uint32_t ifindex;
} routes[] = {
	{ "0.0.0.0/0", SHM_ROUTE_GATEWAY, WAN },
	{ "10.9.0.0/16", SHM_ROUTE_GATEWAY, PPP },
	{ "10.20.0.0/16", SHM_ROUTE_REFUSE, 0 },
	{ "10.30.0.0/16", SHM_ROUTE_KERNEL, 0 },
	{ "192.0.2.0/24", SHM_ROUTE_CONNECTED, WAN },
	{ "192.168.77.0/24", SHM_ROUTE_CONNECTED, LAN },
	{ "192.168.77.1/32", SHM_ROUTE_LOCAL, LAN },
	{ "192.168.78.0/24", SHM_ROUTE_GATEWAY, LAN2 },
};

/* What is wanted, and what comes of it: "eth0 lan0", "*" behind what is wanted. */
static const struct {
	const char *what;
	enum config_driver driver;
	bool is_resting;
	char names[2][CONFIG_INTERFACE_LEN];
	const char *advertised[MAX_ADVERTISED];
	const char *ports;
	const char *reached; /* for each advertised: 1 or 0 */
	const char *note;    /* a part of one, or NULL: none at all */
	bool has_others;
} cases[] = {
	{ "nobody to route for: the WAN is a candidate and stays with the kernel",
		CONFIG_DRIVER_AUTO, false, { "" }, { NULL }, "eth0", "", NULL, false },
	{ "a connected LAN", CONFIG_DRIVER_AUTO, false, { "" }, { "192.168.77.0/24" },
		"eth0* lan0*", "1", NULL, false },
	{ "a subnet behind a router, and a part of a LAN", CONFIG_DRIVER_AUTO, false, { "" },
		{ "192.168.78.0/24", "192.168.77.128/25" }, "eth0* lan1* lan0*", "11", NULL,
		false },
	{ "one-armed: WAN and LAN are one", CONFIG_DRIVER_AUTO, false, { "" }, { "192.0.2.0/24" },
		"eth0*", "1", NULL, false },
	{ "a wide prefix over two LANs", CONFIG_DRIVER_AUTO, false, { "" }, { "192.168.0.0/16" },
		"eth0* lan0* lan1*", "1", NULL, false },
	{ "only the default route leads there", CONFIG_DRIVER_AUTO, false, { "" },
		{ "172.16.0.0/12" }, "eth0*", "0", "172.16.0.0/12 is not reached", false },
	{ "the host refuses it", CONFIG_DRIVER_AUTO, false, { "" }, { "10.20.1.0/24" }, "eth0*",
		"0", "10.20.1.0/24 is unreachable", false },
	{ "by several ways, which only the kernel knows", CONFIG_DRIVER_AUTO, false, { "" },
		{ "10.30.0.0/16" }, "eth0*", "1", NULL, true },
	{ "by a link without Ethernet", CONFIG_DRIVER_AUTO, false, { "" }, { "10.9.0.0/16" },
		"eth0*", "1", NULL, false },
	{ "the box itself", CONFIG_DRIVER_AUTO, false, { "" }, { "192.168.77.1/32" }, "eth0*", "1",
		NULL, false },
	{ "the driver is kernel", CONFIG_DRIVER_KERNEL, false, { "" }, { "192.168.77.0/24" },
		"eth0 lan0", "1", NULL, false },
	{ "the driver is af_xdp, nobody to route for", CONFIG_DRIVER_AF_XDP, false, { "" },
		{ NULL }, "eth0*", "", NULL, false },
	{ "the gateway is down", CONFIG_DRIVER_AF_XDP, true, { "" }, { NULL }, "eth0", "", NULL,
		false },
	{ "named ones, and no others", CONFIG_DRIVER_AUTO, false, { "lan1" }, { "192.168.77.0/24" },
		"lan1*", "1", NULL, false },
	{ "a name that is not there", CONFIG_DRIVER_AUTO, false, { "lan0", "lan9" }, { NULL },
		"lan0*", "", "lan9, but there is no such interface", false },
	{ "a name that cannot be one", CONFIG_DRIVER_AUTO, false, { "ppp0", "lan0" }, { NULL },
		"lan0*", "", "ppp0, which does not carry Ethernet", false },
};

static struct network *
make_network(const char *const advertised[static MAX_ADVERTISED])
{
	struct network *n = network_create();

	n->n_routes = sizeof(routes) / sizeof(routes[0]);
	n->routes = calloc(n->n_routes, sizeof(*n->routes));
	for (size_t i = 0; i < n->n_routes; i++) {
		if (prefix_parse(routes[i].prefix, &n->routes[i].prefix) < 0)
			abort();
		n->routes[i].kind = routes[i].kind;
		n->routes[i].ifindex = routes[i].ifindex;
	}
	qsort(n->routes, n->n_routes, sizeof(*n->routes), network_route_compare);
	n->advertised = calloc(MAX_ADVERTISED, sizeof(*n->advertised));
	for (; n->n_advertised < MAX_ADVERTISED && advertised[n->n_advertised] != NULL;
		n->n_advertised++)
		if (prefix_parse(advertised[n->n_advertised],
			    &n->advertised[n->n_advertised].prefix) < 0)
			abort();
	return n;
}

static void
describe(const struct network *n, char text[static 256])
{
	text[0] = '\0';
	for (size_t i = 0; i < n->n_ports; i++) {
		strcat(text, i > 0 ? " " : "");
		strcat(text, n->ports[i].name);
		strcat(text, n->ports[i].is_wanted ? "*" : "");
	}
}

static bool
has_why(const struct network *n)
{
	for (size_t i = 0; i < n->n_ports; i++)
		if (n->ports[i].why[0] == '\0')
			return false;
	return true;
}

static void
test_case(size_t index)
{
	struct network *n = make_network(cases[index].advertised);
	struct choice choice = { .driver = cases[index].driver,
		.is_resting = cases[index].is_resting,
		.names = cases[index].names,
		.links = links,
		.n_links = N_LINKS,
		.own_ifindex = TUN };
	struct choice_lans lans;
	struct notes notes = {};
	char text[256], reached[MAX_ADVERTISED + 1] = "";

	while (choice.n_names < 2 && cases[index].names[choice.n_names][0] != '\0')
		choice.n_names++;
	port_choice_make(&choice, n, &lans, &notes);
	describe(n, text);
	tap_text(text, cases[index].ports, cases[index].what);
	for (size_t i = 0; i < n->n_advertised; i++)
		reached[i] = n->advertised[i].is_reached ? '1' : '0';
	tap_text(reached, cases[index].reached, "what is reached");
	tap_ok(cases[index].note == NULL ? notes.n == 0
					 : notes.n == 1 && strstr(notes.text[0], cases[index].note),
		"notes: %s", notes.n > 0 ? notes.text[0] : "none");
	tap_ok(lans.has_others == cases[index].has_others && has_why(n), "each port has a reason");
	notes_clear(&notes);
	network_put(n);
}

static void
test_details(void)
{
	static const char *const advertised[MAX_ADVERTISED] = { "192.168.77.0/24" };
	struct network *n = make_network(advertised), *again;
	struct choice choice = { .links = links, .n_links = N_LINKS, .own_ifindex = TUN };
	struct choice_lans lans;
	struct notes notes = {};

	port_choice_make(&choice, n, &lans, &notes);
	tap_ok(n->ports[0].is_wan && !n->ports[0].is_lan && n->ports[1].is_lan &&
			!n->ports[1].is_wan,
		"WAN and LAN");
	tap_ok(n->ports[0].n_queues == 4 && n->ports[1].n_queues == 1, "queues");
	tap_ok(n->ports[0].up && n->ports[0].carrier && n->ports[0].mtu == 1500 && !n->ports[1].up,
		"state");
	tap_ok(!n->ports[0].fills_checksum && n->ports[1].fills_checksum,
		"software links leave checksums out");
	tap_text(n->ports[1].why, "holds the advertised 192.168.77.0/24", "why the LAN");
	tap_text(n->ports[0].why, "has the default route", "why the WAN");
	tap_text(n->advertised[0].name, "lan0", "where the prefix is");
	tap_ok(lans.n == 1 && lans.ifindex[0] == LAN, "the LAN is listed");
	again = network_get(n);
	network_put(n);
	tap_ok(again->n_ports == 2, "the last reference keeps it");
	network_put(again);
	network_put(NULL);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(i);
	test_details();
	return tap_done();
}
