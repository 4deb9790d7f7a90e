/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The network around the box, in namespaces of its own: what the data plane is told about links,
 * routes and neighbours, what is done about translation and forwarding, and that all of it goes.
 *
 *     eth0 192.0.2.1/24, 2001:db8:1::1/64      default by 192.0.2.254 and 2001:db8:1::fe
 *     lan0 192.168.77.1/24, fd77::1/64         a host 192.168.77.9, fd77::9 answers there
 *     sluice0 100.64.0.1/32, fd7a::1/128
 */

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controlplane/gateway/kernel/device.h"
#include "controlplane/gateway/kernel/host.h"
#include "controlplane/gateway/kernel/undo.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/kernel/private_net.h"

#define MARK     0x53c0000
#define TABLE    "nft list ruleset"
#define NEIGH    "ip -d neigh"
#define RESERVED "cat /proc/sys/net/ipv4/ip_local_reserved_ports"
#define MAX      8
#define WAIT_S   20

static char dir[] = "/tmp/sluice-network-test-XXXXXX";
static char path[128];
static struct journal *journal;
static int tun_fd;
static pid_t far; // holds the namespace at the other end
static int n_networks;

/* What was said of neighbours, the last word of each. */
static struct network_neighbour said[64];
static size_t n_said;
static int n_words;

static void
count_network(void *)
{
	n_networks++;
}

static void
remember(void *, const struct network_neighbour *neighbour)
{
	size_t i = 0;

	n_words++;
	while (i < n_said && (said[i].ifindex != neighbour->ifindex ||
				     !addr_equal(&said[i].addr, &neighbour->addr)))
		i++;
	if (i == 64)
		abort();
	said[i] = *neighbour;
	n_said = i == n_said ? n_said + 1 : n_said;
}

static struct addr
addr_of(const char *text)
{
	struct addr a;

	if (addr_parse(text, &a) < 0)
		abort();
	return a;
}

// SHM_NEIGHBOUR_NONE also where nothing was said.
static const struct network_neighbour *
word_of(const char *text)
{
	static const struct network_neighbour nothing;
	struct addr a = addr_of(text);

	for (size_t i = 0; i < n_said; i++)
		if (addr_equal(&said[i].addr, &a))
			return &said[i];
	return &nothing;
}

static struct host *
open_host(bool without_managed)
{
	struct host_options options = { .mark = MARK,
		.journal = journal,
		.network_changed = count_network,
		.neighbour_changed = remember,
		.without_managed = without_managed };
	struct host *h = NULL;

	tap_int(host_open(&options, &h), 0, "host opens");
	return h;
}

static void
dispatch(struct host *h, int wait_ms)
{
	struct pollfd p = { .fd = host_fd(h), .events = POLLIN };
	int err;

	if (poll(&p, 1, wait_ms) <= 0)
		return;
	err = host_dispatch(h);
	if (err < 0)
		printf("# dispatch: %s\n", err_str(err));
}

// Dispatch until a condition holds.
#define eventually(h, condition)                                               \
	({                                                                     \
		struct mono end_ = mono_add_ns(mono_now(), WAIT_S * NS_PER_S); \
		bool holds_ = (condition);                                     \
		while (!holds_ && mono_diff_ns(mono_now(), end_) < 0) {        \
			dispatch((h), 50);                                     \
			holds_ = (condition);                                  \
		}                                                              \
		holds_;                                                        \
	})

static bool
prints(const char *command, const char *text)
{
	char *output = sh_output("%s", command);
	bool found = strstr(output, text) != NULL;

	free(output);
	return found;
}

/* --- wishes --- */

struct wish {
	const char *advertised[MAX];
	const char *names[MAX];
	enum config_driver driver;
	bool no_nat, is_down;
};

static size_t
parse_list(const char *const texts[static MAX], struct prefix list[static MAX])
{
	size_t n = 0;

	for (; n < MAX && texts[n] != NULL; n++)
		if (prefix_parse(texts[n], &list[n]) < 0)
			abort();
	return n;
}

static int
apply(struct host *h, const struct wish *w)
{
	static const char *const own[MAX] = { "100.64.0.1/32", "fd7a::1/128" };
	static const char *const peers[MAX] = { "100.64.0.2/32", "fd7a::2/128" };
	struct prefix addresses[MAX], prefixes[MAX], advertised[MAX];
	char names[MAX][CONFIG_INTERFACE_LEN] = {};
	struct host_desired d = { .addresses = addresses,
		.mtu = 1280,
		.prefixes = prefixes,
		.port_names = names,
		.advertised = advertised,
		.driver = w->driver,
		.nat_port_first = 61000,
		.nat_port_last = 65535 };

	if (!w->is_down) {
		d.n_addresses = parse_list(own, addresses);
		d.n_prefixes = parse_list(peers, prefixes);
		d.n_advertised = parse_list(w->advertised, advertised);
		d.forward_v4 = d.forward_v6 = d.n_advertised > 0;
		d.nat = w->no_nat ? 0 : SHM_NAT_V4 | SHM_NAT_V6;
	}
	for (; d.n_port_names < MAX && w->names[d.n_port_names] != NULL; d.n_port_names++)
		snprintf(names[d.n_port_names], CONFIG_INTERFACE_LEN, "%s",
			w->names[d.n_port_names]);
	return host_apply(h, &d);
}

static const struct wish router = { .advertised = { "192.168.77.0/24", "fd77::/64" } };

static const struct network_port *
port(const struct host *h, const char *name)
{
	const struct network *n = host_network(h);

	for (size_t i = 0; n != NULL && i < n->n_ports; i++)
		if (strcmp(n->ports[i].name, name) == 0)
			return &n->ports[i];
	return NULL;
}

static bool
is_wanted(const struct host *h, const char *name)
{
	return port(h, name) != NULL && port(h, name)->is_wanted;
}

static const struct network_route *
route(const struct host *h, const char *to)
{
	struct addr a = addr_of(to);

	return network_route_of(host_network(h), &a);
}

static bool
goes(const struct host *h, const char *to, uint8_t kind, const char *interface)
{
	const struct network_route *r = route(h, to);
	const struct network_port *p = interface != NULL ? port(h, interface) : NULL;

	return r != NULL && r->kind == kind &&
	       (interface == NULL || (p != NULL && r->ifindex == p->ifindex));
}

static bool
has_source(const struct host *h, const char *to, const char *source)
{
	const struct network_route *r = route(h, to);
	struct addr a = addr_of(source);

	return r != NULL && addr_equal(&r->source, &a);
}

static bool
has_note(const struct host *h, const char *text)
{
	struct host_facts facts;

	host_facts(h, &facts);
	for (size_t i = 0; i < facts.notes->n; i++)
		if (strstr(facts.notes->text[i], text) != NULL)
			return true;
	return false;
}

/* --- the place --- */

static pid_t
hold_namespace(void)
{
	int ready[2];
	char byte = 1;
	pid_t pid;

	if (pipe(ready) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		abort();
	close(ready[0]);
	return pid;
}

#define FAR "nsenter --target %d --net "

static void
make_place(void)
{
	far = hold_namespace();
	sh("ip link set lo up");
	sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
	sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_ra");
	sh("ip link add eth0 type veth peer name eth1 && ip link set eth1 netns %d", far);
	sh("ip link add lan0 numrxqueues 2 numtxqueues 2 type veth peer name lan1 && "
	   "ip link set lan1 netns %d",
		far);
	sh("ip addr add 192.0.2.1/24 dev eth0; ip addr add 2001:db8:1::1/64 dev eth0 nodad");
	sh("ip addr add 192.168.77.1/24 dev lan0; ip addr add fd77::1/64 dev lan0 nodad");
	sh("ip link set lan0 address 02:00:00:00:00:77");
	sh("ip link set eth0 up; ip link set lan0 up");
	sh(FAR "ip addr add 192.0.2.254/24 dev eth1", far);
	sh(FAR "ip addr add 2001:db8:1::fe/64 dev eth1 nodad", far);
	sh(FAR "ip addr add 192.168.77.9/24 dev lan1", far);
	sh(FAR "ip addr add fd77::9/64 dev lan1 nodad", far);
	sh(FAR "ip link set eth1 up", far);
	sh(FAR "ip link set lan1 address 02:00:00:00:00:09 up", far);
	sh("ip route add default via 192.0.2.254; ip -6 route add default via 2001:db8:1::fe");
}

static bool
forwards(const char *family)
{
	char command[96];

	snprintf(command, sizeof(command), "cat /proc/sys/net/%s/conf/all/forwarding", family);
	return prints(command, "1");
}

/* --- tests --- */

static void
test_ports(struct host *h)
{
	tap_int(apply(h, &(struct wish){}), 0, "a gateway that routes for nobody");
	tap_ok(port(h, "eth0") != NULL && !is_wanted(h, "eth0") && port(h, "lan0") == NULL,
		"wants no port");
	tap_int(apply(h, &router), 0, "it advertises its LAN");
	tap_ok(is_wanted(h, "eth0") && port(h, "eth0")->is_wan, "the WAN is found");
	tap_ok(is_wanted(h, "lan0") && port(h, "lan0")->is_lan, "and the LAN");
	tap_ok(port(h, "lan0")->up && port(h, "lan0")->carrier && port(h, "lan0")->mtu == 1500,
		"up, with a carrier and an MTU");
	tap_int(port(h, "lan0")->n_queues, 2, "queues, by ethtool");
	tap_text(port(h, "lan0")->driver, "veth", "driver");
	tap_ok(port(h, "lan0")->fills_checksum, "whose senders leave checksums out");
	tap_ok(host_network(h)->n_advertised == 2 && host_network(h)->advertised[0].is_reached &&
			host_network(h)->advertised[1].is_reached,
		"both prefixes are reached");
	tap_int(host_network(h)->nat, SHM_NAT_V4 | SHM_NAT_V6, "NAT");
	tap_ok(!forwards("ipv4") && !forwards("ipv6") && !prints(TABLE, "masquerade"),
		"before the data plane could open them, nothing is switched on");
}

static void
test_features(void)
{
	if (system("ethtool --version >/dev/null 2>&1") != 0) {
		tap_skip("a device's features", "ethtool is not installed");
		return;
	}
	sh("ethtool -K lan0 gro on");
	tap_ok(device_has_feature("lan0", "rx-gro"), "a feature that is on");
	sh("ethtool -K lan0 gro off");
	tap_ok(!device_has_feature("lan0", "rx-gro"), "one that is off");
	tap_ok(!device_has_feature("lan0", "no-such-feature") &&
			!device_has_feature("no-such-link", "rx-gro"),
		"what cannot be asked is not on");
}

static void
test_routes(struct host *h)
{
	int before;

	tap_ok(goes(h, "192.168.77.9", SHM_ROUTE_CONNECTED, "lan0") &&
			goes(h, "fd77::9", SHM_ROUTE_CONNECTED, "lan0"),
		"the LAN is connected");
	tap_ok(has_source(h, "192.168.77.9", "192.168.77.1") && has_source(h, "fd77::9", "fd77::1"),
		"with our addresses there");
	tap_ok(goes(h, "192.168.77.1", SHM_ROUTE_LOCAL, NULL) &&
			goes(h, "100.64.0.1", SHM_ROUTE_LOCAL, NULL) &&
			goes(h, "fd77::1", SHM_ROUTE_LOCAL, NULL) &&
			goes(h, "192.168.77.255", SHM_ROUTE_LOCAL, NULL) &&
			goes(h, "127.0.0.5", SHM_ROUTE_LOCAL, NULL),
		"own addresses are the kernel's");
	tap_ok(goes(h, "198.51.100.1", SHM_ROUTE_GATEWAY, "eth0") &&
			goes(h, "2001:db8:9::1", SHM_ROUTE_GATEWAY, "eth0"),
		"the rest is behind the gateway");
	tap_ok(has_source(h, "198.51.100.1", "192.0.2.1") &&
			has_source(h, "2001:db8:9::1", "2001:db8:1::1"),
		"from the WAN's address");
	tap_ok(goes(h, "100.64.0.2", SHM_ROUTE_GATEWAY, "eth0"), "our own table is not in it");

	before = n_networks;
	sh("ip route add 10.1.0.0/16 via 192.168.77.9 src 192.0.2.1 mtu 1400");
	tap_ok(eventually(h, goes(h, "10.1.2.3", SHM_ROUTE_GATEWAY, "lan0")), "a new route");
	tap_ok(has_source(h, "10.1.2.3", "192.0.2.1") && route(h, "10.1.2.3")->mtu == 1400 &&
			n_networks > before,
		"with its own source and MTU");
	sh("ip route replace 10.1.0.0/16 nexthop via 192.168.77.9 nexthop via 192.0.2.254");
	tap_ok(eventually(h, goes(h, "10.1.2.3", SHM_ROUTE_KERNEL, NULL)), "two next hops");
	sh("ip route replace unreachable 10.1.0.0/16");
	tap_ok(eventually(h, goes(h, "10.1.2.3", SHM_ROUTE_REFUSE, NULL)), "unreachable");
	sh("ip route del unreachable 10.1.0.0/16; ip route add 10.1.0.0/16 dev sluice0");
	tap_ok(eventually(h, goes(h, "10.1.2.3", SHM_ROUTE_KERNEL, NULL)),
		"a device without Ethernet is the kernel's");
	sh("ip route del 10.1.0.0/16");
	tap_ok(eventually(h, goes(h, "10.1.2.3", SHM_ROUTE_GATEWAY, "eth0")), "gone");
	sh("ip addr add 10.2.0.1/16 dev lan0");
	tap_ok(eventually(h, goes(h, "10.2.3.4", SHM_ROUTE_CONNECTED, "lan0") &&
				     goes(h, "10.2.0.1", SHM_ROUTE_LOCAL, NULL)),
		"a new address");
	sh("ip addr del 10.2.0.1/16 dev lan0");
	tap_ok(eventually(h, goes(h, "10.2.0.1", SHM_ROUTE_GATEWAY, "eth0")), "and gone");
	sh("ip route add 10.3.0.0/16 dev lan0 table 77; ip rule add lookup 77 pref 6000");
	tap_ok(eventually(h, goes(h, "10.3.1.1", SHM_ROUTE_CONNECTED, "lan0")),
		"a table that every packet sees");
	sh("ip rule del pref 6000; ip route flush table 77");
	tap_ok(eventually(h, goes(h, "10.3.1.1", SHM_ROUTE_GATEWAY, "eth0")), "while it is seen");
	sh("ip link set lan0 mtu 1400");
	tap_ok(eventually(h, port(h, "lan0")->mtu == 1400), "the MTU is followed");
	sh("ip link set lan0 mtu 1500");
}

static bool
is_reachable(const char *address)
{
	return word_of(address)->state == SHM_NEIGHBOUR_REACHABLE;
}

static bool
has_mac(const char *address, uint8_t last)
{
	return is_reachable(address) && word_of(address)->mac[5] == last;
}

static void
test_neighbours(struct host *h)
{
	const uint32_t lan = port(h, "lan0")->ifindex;
	struct addr v4 = addr_of("192.168.77.9"), v6 = addr_of("fd77::9"), a;
	int words;

	tap_ok(eventually(h, is_reachable("192.0.2.254") && is_reachable("2001:db8:1::fe")),
		"gateways are resolved without being asked for");
	tap_ok(shows(NEIGH, "192.0.2.254 dev eth0") && shows(NEIGH, "managed"), "as managed ones");
	tap_int(host_want_neighbour(h, lan, &v4), 0, "a host of the LAN is wanted");
	tap_int(host_want_neighbour(h, lan, &v6), 0, "also in IPv6");
	tap_ok(eventually(h, has_mac("192.168.77.9", 9) && has_mac("fd77::9", 9)), "both resolve");
	words = n_words;
	tap_int(host_want_neighbour(h, lan, &v4), 0, "wanted again");
	tap_int(n_words, words + 1, "it is said again at once");

	a = addr_of("192.168.77.1");
	tap_int(host_want_neighbour(h, lan, &a), -EINVAL, "not an own address");
	a = addr_of("10.9.9.9");
	tap_int(host_want_neighbour(h, lan, &a), -EINVAL, "not one that is not on the link");
	a = addr_of("192.168.77.255");
	tap_int(host_want_neighbour(h, lan, &a), -EINVAL, "not a broadcast");
	tap_int(host_want_neighbour(h, 9999, &v4), -EINVAL, "not on an interface that is no port");
	a = addr_of("192.168.77.200");
	tap_int(host_want_neighbour(h, lan, &a), 0, "one that does not answer");
	tap_ok(eventually(h, word_of("192.168.77.200")->state == SHM_NEIGHBOUR_FAILED),
		"is reported as such");
	tap_ok(eventually(h, word_of("192.168.77.200")->state == SHM_NEIGHBOUR_NONE),
		"and given up");
	tap_ok(lacks(NEIGH, "192.168.77.200"), "in the kernel too");

	sh(FAR "ip link set lan1 address 02:00:00:00:00:0a", far);
	sh(FAR "ping -c 1 -W 1 -I lan1 192.168.77.1 >/dev/null; true", far);
	tap_ok(eventually(h, has_mac("192.168.77.9", 10)), "another MAC is followed");

	sh("ip link set lan0 down");
	tap_ok(eventually(h, !is_reachable("192.168.77.9")), "the link goes down");
	sh("ip link set lan0 up; ip addr replace fd77::1/64 dev lan0 nodad");
	tap_ok(eventually(h, has_mac("192.168.77.9", 10) && has_mac("fd77::9", 10)),
		"and up: they are entered again");
	sh(FAR "ip link set lan1 down", far);
	tap_ok(eventually(h, !is_reachable("192.168.77.9") && !port(h, "lan0")->carrier),
		"the carrier goes");
	sh(FAR "ip link set lan1 up", far);
	sh(FAR "ip addr replace fd77::9/64 dev lan1 nodad", far);
	tap_ok(eventually(h, is_reachable("192.168.77.9") && is_reachable("fd77::9")),
		"and comes: they are entered again");
	sh("ip neigh flush dev lan0; ip neigh del 192.168.77.9 dev lan0 2>/dev/null; true");
	tap_ok(eventually(h, is_reachable("192.168.77.9")), "somebody deletes it: it comes back");
	sh("ip link set lan0 address 02:00:00:00:00:78");
	tap_ok(eventually(h, port(h, "lan0")->mac[5] == 0x78 && is_reachable("192.168.77.9")),
		"our own MAC changes: so it does");
	sh("ip link set lan0 address 02:00:00:00:00:77");
	eventually(h, port(h, "lan0")->mac[5] == 0x77);
	n_said = 0;
	host_tell_neighbours(h);
	tap_ok(eventually(h, is_reachable("192.168.77.9")) && is_reachable("192.0.2.254"),
		"all are told again");
	sh("ip neigh replace 192.168.77.20 lladdr 02:00:00:00:00:20 dev lan0 nud permanent");
	a = addr_of("192.168.77.20");
	tap_int(host_want_neighbour(h, lan, &a), 0, "a static entry");
	tap_ok(has_mac("192.168.77.20", 0x20) && shows("ip neigh", "192.168.77.20 dev lan0 lladdr "
								   "02:00:00:00:00:20 PERMANENT"),
		"is taken as it is");
}

static void
test_serving(struct host *h)
{
	const uint32_t wan = port(h, "eth0")->ifindex, lan = port(h, "lan0")->ifindex;

	tap_int(host_serve_ports(h, NULL, 0), 0, "it serves nothing");
	tap_ok(eventually(h, forwards("ipv4") && forwards("ipv6")), "so the kernel forwards");
	tap_ok(shows(TABLE, "iifname \"sluice0\" oifname \"lan0\" meta nfproto ipv4") &&
			shows(TABLE, "nfproto ipv6 counter packets 0 bytes 0 masquerade"),
		"and translates, both families");
	tap_ok(lacks(TABLE, "eth0") && lacks(RESERVED, "61000"), "for the LAN only");

	sh("echo 8080,62000-62010 > /proc/sys/net/ipv4/ip_local_reserved_ports");
	tap_int(host_serve_ports(h, (uint32_t[]){ wan, lan }, 2), 0, "it serves both ports");
	tap_ok(!forwards("ipv4") && !forwards("ipv6"), "the kernel forwards no more");
	tap_ok(lacks(TABLE, "masquerade") &&
			shows(TABLE, "ip daddr 192.168.77.1 tcp dport 61000-65535") &&
			shows(TABLE, "ip6 daddr fd77::1 ip6 nexthdr udp udp dport 61000-65535"),
		"does not translate, and is silent where the workers do");
	tap_ok(shows(RESERVED, "8080,61000-65535"), "their ports are reserved");
	sh("nft flush ruleset");
	tap_ok(eventually(h, prints(TABLE, "dport 61000-65535")),
		"somebody flushes the packet filter: our table comes back");
	sh("nft add chain inet sluice probe");
	for (int i = 0; i < 20; i++)
		dispatch(h, 50); // reports of our own change
	tap_ok(prints(TABLE, "chain probe"), "once, and not for ever");
	tap_ok(prints("nft --debug=netlink list table inet sluice",
		       "payload load 1b @ network header + 6 => reg 1"),
		"a later fragment of IPv6 has no ports");

	tap_int(host_serve_ports(h, (uint32_t[]){ wan }, 1), 0, "the LAN's port is lost");
	tap_ok(forwards("ipv4") && forwards("ipv6") && prints(TABLE, "masquerade"),
		"the kernel does it");
	tap_int(apply(h, &(struct wish){ .advertised = { "192.168.77.0/24" }, .no_nat = true }), 0,
		"without translation");
	tap_ok(lacks(TABLE, "sluice") && forwards("ipv4"), "there is no table");
	tap_int(host_serve_ports(h, (uint32_t[]){ wan, lan }, 2), 0, "it serves both again");
	tap_int(apply(h, &router), 0, "with translation");
	tap_ok(!forwards("ipv4") && !forwards("ipv6") && prints(TABLE, "dport 61000"), "as before");
}

// What an ICMP error leads to; for IPv4 the kernel shows it only once it has used it.
static void
test_paths(struct host *h)
{
	sh(FAR "ip link add near0 type veth peer name distant0", far);
	sh(FAR "sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; "
	       "ip link set near0 mtu 1300 up; ip link set distant0 up; "
	       "ip addr add 2001:db8:5::1/64 dev near0 nodad'",
		far);
	sh("ping -6 -c 3 -i 0.2 -W 1 -M do -s 1400 2001:db8:5::9 >/dev/null; true");
	tap_ok(eventually(h, goes(h, "2001:db8:5::9", SHM_ROUTE_GATEWAY, "eth0") &&
				     route(h, "2001:db8:5::9")->mtu == 1300),
		"a router says that a path is narrower: so is its route");
	tap_int(route(h, "2001:db8:5::8")->mtu, 0, "others are as they were");
	sh("ip -6 route flush cache");
	tap_ok(eventually(h, route(h, "2001:db8:5::9")->mtu == 0), "until the kernel forgets it");
}

static void
test_wishes(struct host *h)
{
	tap_int(apply(h, &(struct wish){ .advertised = { "172.16.0.0/12" } }), 0,
		"a prefix that is not reached");
	tap_ok(has_note(h, "172.16.0.0/12 is not reached") &&
			!host_network(h)->advertised[0].is_reached,
		"is reported");
	sh("ip route add 172.16.0.0/12 via 192.168.77.9");
	tap_ok(eventually(h, host_network(h)->advertised[0].is_reached) && is_wanted(h, "lan0") &&
			!has_note(h, "is not reached"),
		"until there is a route");
	sh("ip route del 172.16.0.0/12");
	tap_int(apply(h, &(struct wish){ .names = { "lan0", "lan7" } }), 0, "ports by name");
	tap_ok(is_wanted(h, "lan0") && port(h, "eth0") == NULL, "these and no others");
	tap_ok(has_note(h, "names lan7, but there is no such interface"), "one does not exist");
	sh("ip link add lan7 type veth peer name lan8");
	tap_ok(eventually(h, is_wanted(h, "lan7")), "until it appears");
	sh("ip link del lan7");
	tap_ok(eventually(h, port(h, "lan7") == NULL), "or goes");
	tap_int(apply(h, &(struct wish){ .driver = CONFIG_DRIVER_KERNEL,
				 .advertised = { "192.168.77.0/24" } }),
		0, "the driver is kernel");
	tap_ok(!is_wanted(h, "lan0") && forwards("ipv4"), "no port is wanted, the kernel forwards");
	tap_int(apply(h, &router), 0, "back");
}

// What the kernel learns by itself comes and goes.
static char *
snapshot(void)
{
	char *net = net_snapshot(), *text;

	text = sh_output("%s", RESERVED "; " TABLE "; ip -d neigh | grep -E 'managed|proto';"
					" ip neigh show nud permanent");
	net = realloc(net, strlen(net) + strlen(text) + 1);
	strcat(net, text);
	free(text);
	return net;
}

static void
test_down(struct host *h, const char *before)
{
	char *after;

	tap_int(apply(h, &(struct wish){ .is_down = true }), 0, "the gateway goes down");
	sh("ip link set sluice0 down");
	sh("ip link del sluice0");
	eventually(h, !prints("ip link", "sluice0"));
	after = snapshot();
	tap_text(after, before, "all is as it was, but for the interface");
	free(after);
	tap_ok(!is_wanted(h, "lan0") && !is_wanted(h, "eth0"), "no port is wanted");
	close(tun_fd);
	tun_fd = make_tun("sluice0");
	tap_int(apply(h, &router), 0, "and up again");
	tap_ok(eventually(h, is_reachable("192.0.2.254") && prints(TABLE, "dport 61000") &&
				     prints(RESERVED, "61000-65535")),
		"with everything");
}

static void
test_restart(struct host **h)
{
	const uint32_t lan = port(*h, "lan0")->ifindex, wan = port(*h, "eth0")->ifindex;
	struct addr a = addr_of("192.168.77.9");

	tap_int(host_want_neighbour(*h, lan, &a), 0, "a neighbour is wanted");
	tap_ok(eventually(*h, is_reachable("192.168.77.9")), "and there");
	host_close(*h);
	journal_close(journal);
	if (journal_open(path, &journal) < 0)
		abort();
	n_said = 0;
	*h = open_host(false);
	tap_int(apply(*h, &router), 0, "a new control plane");
	tap_ok(is_reachable("192.168.77.9"), "knows the neighbours of the old one");
	tap_ok(prints(TABLE, "dport 61000"), "leaves the table alone until it knows better");
	tap_int(host_serve_ports(*h, (uint32_t[]){ wan, lan }, 2), 0, "and is told what is served");
	tap_ok(prints(TABLE, "dport 61000") && !forwards("ipv4"), "the same as before");
}

static void
test_older_kernel(void)
{
	struct host *h;
	struct addr a = addr_of("192.168.77.9");

	n_said = 0;
	sh("ip neigh flush dev lan0");
	h = open_host(true);
	tap_int(apply(h, &router), 0, "on a kernel without managed neighbours");
	tap_int(host_want_neighbour(h, port(h, "lan0")->ifindex, &a), 0, "one is wanted");
	tap_ok(eventually(h, is_reachable("192.168.77.9")), "and resolved by being used");
	host_close(h);
}

static void
test_undo(const char *before)
{
	struct notes notes = {};
	char *after;

	journal_close(journal);
	close(tun_fd);
	tap_int(journal_undo(path, &notes), 0, "undo, after everything was killed");
	for (size_t i = 0; i < notes.n; i++)
		printf("# %s\n", notes.text[i]);
	after = snapshot();
	tap_text(after, before, "all is as it was");
	free(after);
	tap_ok(shows("ip neigh", "192.0.2.254 dev eth0 lladdr"), "who was known before still is");
	notes_clear(&notes);
}

int
main(void)
{
	const char *missing = private_net_enter();
	char *before;
	struct host *h;

	if (missing == NULL && system("nft list ruleset >/dev/null 2>&1") != 0)
		missing = "nft is not installed, or this kernel has no nf_tables";
	if (missing != NULL || mkdtemp(dir) == NULL) {
		tap_skip("the network in namespaces", missing);
		return tap_done();
	}
	snprintf(path, sizeof(path), "%s/journal", dir);
	make_place();
	sh("ping -c 1 -W 5 192.0.2.254 >/dev/null");
	sh("echo 8080,62000-62010 > /proc/sys/net/ipv4/ip_local_reserved_ports");
	sh("ip neigh replace 192.168.77.20 lladdr 02:00:00:00:00:20 dev lan0 nud permanent");
	before = snapshot();
	if (journal_open(path, &journal) < 0 || journal_append_tun(journal, "sluice0") < 0)
		return 1;
	tun_fd = make_tun("sluice0");
	h = open_host(false);
	test_ports(h);
	test_features();
	test_routes(h);
	test_neighbours(h);
	test_serving(h);
	test_paths(h);
	test_wishes(h);
	test_down(h, before);
	test_restart(&h);
	host_close(h);
	test_older_kernel();
	test_undo(before);
	free(before);
	kill(far, SIGKILL);
	waitpid(far, NULL, 0);
	rmdir(dir);
	return tap_done();
}
