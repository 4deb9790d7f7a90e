/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The host in a namespace of its own: a LAN with a default route, a TUN, and an operator who
 * changes things behind our back.
 *
 *     lan0 192.0.2.1/24, 2001:db8:1::1/64, default by 192.0.2.254 and 2001:db8:1::fe
 *     sluice0 10.99.0.1/24, fd99::1/64
 */

#include "controlplane/gateway/kernel/host.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controlplane/gateway/kernel/undo.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/kernel/private_net.h"

#define MARK     0x53c0000
#define MARKED   " mark 0x53c0000"
#define TABLE    "ip route show table 52100"
#define TABLE6   "ip -6 route show table 52100"
#define MAX      16
#define MANY     10000
#define QUIET_MS 400 /* longer than events are gathered */
#define AT_ONCE  3   /* seconds, generously: this machine may be busy */

static char dir[] = "/tmp/sluice-host-test-XXXXXX";
static char path[128];
static struct journal *journal;
static int tun_fd;
static int n_changed;

static void
count_change(void *context)
{
	++*(int *)context;
}

static struct host *
open_host(const char *interface, uint32_t table)
{
	struct host_options options = {
		.interface = interface,
		.table = table,
		.mark = MARK,
		.journal = journal,
		.changed = count_change,
		.context = &n_changed,
	};
	struct host *h = NULL;

	tap_int(host_open(&options, &h), 0, "host opens");
	return h;
}

// Dispatch until nothing comes any more.
static void
settle(struct host *h)
{
	struct pollfd p = { .fd = host_fd(h), .events = POLLIN };

	while (poll(&p, 1, QUIET_MS) > 0) {
		int err = host_dispatch(h);

		if (err < 0)
			printf("# dispatch: %s\n", err_str(err));
	}
}

/* A desired state from texts; lists end with NULL. */
struct wish {
	const char *addresses[MAX];
	const char *prefixes[MAX];
	bool forward;
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
	struct prefix addresses[MAX], prefixes[MAX];
	struct host_desired d = {
		.addresses = addresses,
		.n_addresses = parse_list(w->addresses, addresses),
		.mtu = 1420,
		.prefixes = prefixes,
		.n_prefixes = parse_list(w->prefixes, prefixes),
		.forward_v4 = w->forward,
		.forward_v6 = w->forward,
	};

	return host_apply(h, &d);
}

static const struct wish small = {
	.addresses = { "10.99.0.1/24", "fd99::1/64" },
	.prefixes = { "10.99.0.2/32", "fd99::2/128", "10.7.0.0/16", "fd07::/48" },
	.forward = true,
};

static const struct wish whole = {
	.addresses = { "10.99.0.1/24", "fd99::1/64" },
	.prefixes = { "10.99.0.2/32", "fd99::2/128", "10.7.0.0/16", "0.0.0.0/0", "::/0",
		"10.7.0.0/16" },
	.forward = true,
};

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

static void
print_notes(const struct host *h)
{
	struct host_facts facts;

	host_facts(h, &facts);
	for (size_t i = 0; i < facts.notes->n; i++)
		printf("# note: %s\n", facts.notes->text[i]);
}

static bool
has_exception(const struct host *h, const char *text)
{
	struct prefix wanted;
	uint64_t generation;
	size_t n;
	const struct prefix *list = host_exceptions(h, &n, &generation);

	if (prefix_parse(text, &wanted) < 0)
		abort();
	for (size_t i = 0; i < n; i++)
		if (prefix_equal(&list[i], &wanted))
			return true;
	return false;
}

static uint64_t
generation_of(const struct host *h)
{
	uint64_t generation;
	size_t n;

	host_exceptions(h, &n, &generation);
	return generation;
}

static struct host_facts
facts_of(const struct host *h)
{
	struct host_facts facts;

	host_facts(h, &facts);
	return facts;
}

// Both kinds of route for each of these prefixes.
static bool
has_routes_of_whole(void)
{
	return shows(TABLE, "default dev sluice0") && shows(TABLE, "10.7.0.0/16 dev sluice0") &&
	       shows(TABLE, "10.99.0.0/24 dev sluice0") && shows(TABLE, "10.99.0.2 dev sluice0") &&
	       shows(TABLE, "unreachable default") && shows(TABLE, "unreachable 10.99.0.0/24") &&
	       shows(TABLE6, "default dev sluice0") && shows(TABLE6, "fd99::/64 dev sluice0") &&
	       shows(TABLE6, "unreachable fd99::/64");
}

static void
make_lan(void)
{
	sh("ip link set lo up");
	sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
	sh("echo 0 > /proc/sys/net/ipv6/conf/all/accept_redirects");
	sh("echo 0 > /proc/sys/net/ipv4/conf/all/accept_redirects");
	sh("echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter");
	sh("ip link add lan0 type veth peer name far0 && ip link set far0 up");
	sh("echo 0 > /proc/sys/net/ipv6/conf/lan0/accept_dad");
	sh("ip addr add 192.0.2.1/24 dev lan0");
	sh("ip addr add 2001:db8:1::1/64 dev lan0 nodad");
	sh("ip link set lan0 up");
	sh("ip route add default via 192.0.2.254");
	sh("ip -6 route add default via 2001:db8:1::fe proto ra");
	sh("echo 1 > /proc/sys/net/ipv4/conf/lan0/forwarding");
	sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
}

static void
test_refusals(void)
{
	struct host_options bad[] = {
		{ .mark = 0 },
		{ .mark = 1, .interface = "" },
		{ .mark = 1, .interface = "sixteen-letters.." },
		{ .mark = 1, .table = 254 },
		{ .mark = 1, .rule_priority = 32766 },
	};
	struct host *h = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_int(host_open(&bad[i], &h), -EINVAL, "bad options are refused");
	host_close(NULL);

	h = open_host("lan0", 0);
	tap_int(apply(h, &(struct wish){ .addresses = { "10.1.1.1/24" } }), -EMEDIUMTYPE,
		"an interface that is no TUN is refused");
	tap_ok(shows("ip addr show lan0", "192.0.2.1") && lacks("ip addr show lan0", "10.1.1.1"),
		"and left as it is");
	host_close(h);
	sh("ip rule del priority 5200; ip -6 rule del priority 5200; ip route flush table 52100");
}

static void
test_missing_interface(struct host *h)
{
	tap_int(apply(h, &small), -ENODEV, "without an interface: ENODEV");
	tap_ok(shows(TABLE, "unreachable 10.7.0.0/16"), "packets for peers are refused meanwhile");
	tap_ok(shows("ip route get 10.7.1.1", "No route to host"), "by the rule");
	tap_ok(has_note(h, "does not exist"), "a note says why");

	if (journal_append_tun(journal, "sluice0") < 0)
		abort();
	tun_fd = make_tun("sluice0");
	settle(h);
	tap_ok(shows("ip route get 10.7.1.1", "dev sluice0"), "the rest follows as it appears");
}

static void
test_small(struct host *h)
{
	struct host_facts facts;

	tap_int(apply(h, &small), 0, "apply");
	print_notes(h);
	tap_ok(shows("ip -o link show sluice0", "mtu 1420") &&
			shows("ip -o link show sluice0", ",UP"),
		"the interface is up with its MTU");
	tap_ok(shows("ip -o addr show sluice0", "10.99.0.1/24"), "IPv4 address");
	tap_ok(shows("ip -o addr show sluice0", "fd99::1/64"),
		"IPv6 address, on a host without IPv6");
	tap_ok(lacks("ip -o addr show sluice0", "fe80"), "no link-local address is made");
	tap_ok(shows(TABLE, "10.7.0.0/16 dev sluice0") && shows(TABLE, "10.99.0.2 dev sluice0") &&
			shows(TABLE, "10.99.0.0/24 dev sluice0"),
		"routes of peers and of the interface's network");
	tap_ok(shows(TABLE, "unreachable 10.7.0.0/16"), "each with one that refuses");
	tap_ok(shows(TABLE6, "fd07::/48 dev sluice0") && shows(TABLE6, "unreachable fd07::/48") &&
			shows(TABLE6, "fd99::2 dev sluice0"),
		"the same for IPv6");
	tap_ok(lacks(TABLE, "throw"), "no exceptions are needed");
	tap_ok(lacks("ip route show", "sluice0") && lacks("ip -6 route show", "sluice0"),
		"nothing in the main table");
	tap_ok(shows("ip rule", "5200:\tnot from all fwmark 0x53c0000/0x53c0000 lookup 52100"),
		"IPv4 rule");
	tap_ok(shows("ip -6 rule", "5200:\tnot from all fwmark 0x53c0000/0x53c0000 lookup 52100"),
		"IPv6 rule");
	tap_ok(shows("ip route get 10.7.1.1", "dev sluice0") &&
			shows("ip route get 10.7.1.1" MARKED, "dev lan0"),
		"a marked packet does not see the tunnel");
	tap_ok(shows("ip -6 route get fd07::1", "dev sluice0") &&
			shows("ip -6 route get fd07::1" MARKED, "dev lan0"),
		"nor in IPv6");
	tap_ok(shows("cat /proc/sys/net/ipv4/conf/sluice0/rp_filter", "2"), "rp_filter is loose");

	facts = facts_of(h);
	tap_ok(facts.forwarding_v4 == HOST_FORWARDING_BY_US &&
			facts.forwarding_v6 == HOST_FORWARDING_BY_US,
		"forwarding is on, by us");
	tap_ok(shows("cat /proc/sys/net/ipv4/conf/all/forwarding", "1") &&
			shows("cat /proc/sys/net/ipv6/conf/all/forwarding", "1"),
		"really");
	tap_ok(shows("cat /proc/sys/net/ipv6/conf/lan0/accept_ra", "2"),
		"the LAN goes on listening to router advertisements");
	tap_ok(facts.up && facts.running && facts.rule_v4 && facts.rule_v6 && facts.mtu == 1420 &&
			facts.n_throws == 0 && facts.n_prefixes == 6,
		"facts");
	tap_ok(has_exception(h, "192.0.2.1/32") && has_exception(h, "10.99.0.1/32") &&
			has_exception(h, "2001:db8:1::1/128") && has_exception(h, "fd99::1/128"),
		"the host's own addresses are exceptions");
	tap_ok(!has_exception(h, "192.0.2.0/24"), "a LAN that no peer's prefix contains is none");
}

static void
test_whole(struct host *h)
{
	uint64_t before = generation_of(h);

	tap_int(apply(h, &whole), 0, "a peer gets everything");
	tap_ok(shows(TABLE, "throw 192.0.2.0/24") && shows(TABLE6, "throw 2001:db8:1::/64") &&
			shows(TABLE6, "throw fe80::/64"),
		"connected networks are thrown back to the host");
	tap_ok(shows("ip route get 192.0.2.77", "dev lan0"), "the LAN stays the LAN");
	tap_ok(shows("ip -6 route get 2001:db8:1::77", "dev lan0"), "also IPv6");
	tap_ok(shows("ip route get 198.51.100.1", "dev sluice0"), "the rest goes into the tunnel");
	tap_ok(shows("ip -6 route get 2001:db8:2::1", "dev sluice0"), "also IPv6");
	tap_ok(shows("ip route get 198.51.100.1" MARKED, "dev lan0"),
		"outer packets do not: no loop");
	tap_ok(has_exception(h, "192.0.2.0/24") && generation_of(h) != before,
		"the LAN is an exception now");
	tap_ok(lacks(TABLE6, "fd07::"), "a prefix that is desired no more has gone");
}

static void
test_host_changes(struct host *h)
{
	uint64_t before = generation_of(h);
	int calls = n_changed;

	sh("ip addr add 10.7.5.1/24 dev lan0");
	settle(h);
	tap_ok(shows(TABLE, "throw 10.7.5.0/24") && shows("ip route get 10.7.5.9", "dev lan0"),
		"a new LAN inside a peer's prefix is the host's");
	tap_ok(has_exception(h, "10.7.5.0/24") && has_exception(h, "10.7.5.1/32") &&
			generation_of(h) != before && n_changed > calls,
		"and is reported");
	sh("ip addr del 10.7.5.1/24 dev lan0");
	settle(h);
	tap_ok(lacks(TABLE, "throw 10.7.5.0/24") && shows("ip route get 10.7.5.9", "dev sluice0"),
		"it goes when the address goes");
	tap_ok(!has_exception(h, "10.7.5.0/24") && !has_exception(h, "10.7.5.1/32"),
		"and is reported");

	sh("ip route add 10.7.128.0/17 via 192.0.2.253");
	settle(h);
	tap_ok(shows("ip route get 10.7.128.9", "via 192.0.2.253"), "a static route of the host");
	sh("ip route add 10.7.0.0/16 via 192.0.2.253");
	settle(h);
	tap_ok(shows("ip route get 10.7.1.9", "via 192.0.2.253") &&
			has_note(h, "10.7.0.0/16 belongs to a peer"),
		"even an equal one, and a note says so");
	sh("ip link add lan1 type veth peer name far1 && ip link set far1 up && ip link set lan1 "
	   "up");
	sh("ip addr add 10.7.9.1/24 dev lan1");
	sh("ip route add 10.7.10.0/24 via 10.7.9.2");
	settle(h);
	tap_ok(shows("ip route get 10.7.10.9", "via 10.7.9.2"), "a route by another interface");
	sh("ip link set lan1 down");
	settle(h);
	tap_ok(lacks(TABLE, "throw 10.7.10.0/24") && lacks(TABLE, "throw 10.7.9.0/24"),
		"routes that vanish with their link, without a notification, are noticed");
	sh("ip link del lan1; ip route del 10.7.0.0/16; ip route del 10.7.128.0/17");
	sh("ip -6 route add fd07:1::/64 via 2001:db8:1::2");
	settle(h);
	tap_ok(shows("ip -6 route get fd07:1::9", "via 2001:db8:1::2"),
		"an IPv6 route of the host");
	sh("ip -6 route del fd07:1::/64");
	settle(h);
	tap_ok(lacks(TABLE6, "throw fd07:1::/64") && lacks(TABLE, "throw 10."), "all gone again");
}

static void
test_other_tables(struct host *h)
{
	sh("ip route add 10.7.21.0/24 dev lan0 table 77; ip rule add from 198.51.100.0/24 lookup "
	   "77 pref 6000");
	sh("ip route add 10.7.22.0/24 dev lan0 table 78; ip rule add lookup 78 pref 6001");
	sh("ip route add 10.7.23.0/24 dev lan0 table 79; ip rule add from 198.51.100.1 lookup 79 "
	   "pref 100");
	sh("ip rule add lookup 80 pref 6002; ip rule add not fwmark 7 lookup 77 pref 6003");
	settle(h);
	tap_ok(shows("ip route get 10.7.22.1", "dev lan0"),
		"a table that every packet sees behind ours takes part");
	tap_ok(shows("ip route get 10.7.21.1", "dev sluice0"),
		"one that only some see does not: the others would leave in clear");
	tap_ok(shows("ip route get 10.7.23.1", "dev sluice0"), "nor one before ours");
	sh("ip rule del pref 6000; ip rule del pref 6001; ip rule del pref 100; ip rule del pref "
	   "6002;"
	   " ip rule del pref 6003");
	sh("ip route flush table 77; ip route flush table 78; ip route flush table 79");
	settle(h);
	tap_ok(lacks(TABLE, "throw 10.7.22.0/24"), "and only while the rule is there");
}

static void
test_meddling(struct host *h)
{
	sh("ip route del 10.7.0.0/16 dev sluice0 table 52100");
	sh("ip route del unreachable default table 52100 metric 4278198272");
	sh("ip -6 route flush table 52100");
	sh("ip rule del priority 5200; ip -6 rule del priority 5200");
	sh("ip addr del 10.99.0.1/24 dev sluice0; ip addr add 10.98.0.1/24 dev sluice0");
	settle(h);
	settle(h);
	tap_ok(shows("ip route get 10.7.1.1", "dev sluice0") && shows(TABLE, "unreachable default"),
		"routes of ours that were deleted come back");
	tap_ok(shows(TABLE6, "throw 2001:db8:1::/64") && shows(TABLE6, "default dev sluice0"),
		"also IPv6");
	tap_ok(shows("ip rule", "lookup 52100") && shows("ip -6 rule", "lookup 52100"),
		"so do rules");
	tap_ok(shows("ip addr show sluice0", "10.99.0.1/24") &&
			lacks("ip addr show sluice0", "10.98.0.1"),
		"and the addresses are the configured ones");

	sh("ip route add 10.1.2.0/24 dev lan0 table 52100");
	settle(h);
	tap_int(apply(h, &whole), 0, "apply with a foreign route in our table");
	tap_ok(shows(TABLE, "10.1.2.0/24 dev lan0") && has_note(h, "not ours"),
		"it is left alone, and noted");
	sh("ip route del 10.1.2.0/24 table 52100");
	settle(h);
	tap_ok(!has_note(h, "not ours"), "until it goes");
}

static void
test_link(struct host *h)
{
	sh("ip link set sluice0 down");
	settle(h);
	tap_ok(shows("ip route get 198.51.100.1", "No route to host"), "set down: fail closed");
	tap_ok(shows("ip -6 route get 2001:db8:2::1", "No route to host"), "also IPv6");
	tap_ok(shows("ip route get 192.0.2.77", "dev lan0"), "the LAN works");
	tap_ok(has_note(h, "was set down") && !facts_of(h).up, "a note says so");
	sh("ip link set sluice0 up");
	settle(h);
	tap_ok(shows("ip route get 198.51.100.1", "dev sluice0") &&
			shows("ip -6 route get 2001:db8:2::1", "dev sluice0") &&
			shows("ip -6 addr show sluice0", "fd99::1/64"),
		"set up: as before");
	tap_ok(has_routes_of_whole(), "all routes");

	close(tun_fd);
	sh("ip link del sluice0");
	settle(h);
	tap_ok(shows("ip route get 198.51.100.1", "No route to host"), "deleted: fail closed");
	tun_fd = make_tun("sluice0");
	settle(h);
	tap_ok(shows("ip route get 198.51.100.1", "dev sluice0") &&
			shows("ip -6 route get 2001:db8:2::1", "dev sluice0") &&
			shows("ip addr show sluice0", "10.99.0.1/24"),
		"made again: as before");
	tap_ok(has_routes_of_whole(), "all routes");
}

// IPv4 alone is the harder case: its routes go without a notification.
static void
test_link_v4(struct host *h)
{
	struct wish w = { .addresses = { "10.99.0.1/24" }, .prefixes = { "10.7.0.0/16" } };

	tap_int(apply(h, &w), 0, "IPv4 only");
	settle(h);
	sh("ip link set sluice0 down; ip link set sluice0 up");
	settle(h);
	tap_ok(shows("ip route get 10.7.1.1", "dev sluice0"), "a short interruption is noticed");
	tap_int(apply(h, &whole), 0, "back");
}

// A restarted control plane finds everything as it should be.
static void
test_restart(struct host **h)
{
	char *before, *after;

	host_close(*h);
	journal_close(journal);
	before = net_snapshot();
	if (journal_open(path, &journal) < 0)
		abort();
	*h = open_host("sluice0", 0);
	sh("timeout 2 ip -o monitor route address rule link > %s/monitor & sleep 0.3", dir);
	tap_int(apply(*h, &whole), 0, "a restarted control plane applies the same");
	sh("sleep 2.2");
	after = sh_output("cat %s/monitor", dir);
	tap_text(after, "", "nothing is changed by that");
	free(after);
	after = net_snapshot();
	tap_text(after, before, "and nothing is different");
	tap_ok(facts_of(*h).forwarding_v4 == HOST_FORWARDING_BY_US,
		"it knows from the journal who forwards");
	sh("rm %s/monitor", dir);
	free(before);
	free(after);
}

static void
test_addresses(struct host *h)
{
	struct wish w = whole;

	w.addresses[0] = "10.99.0.3/24";
	w.addresses[1] = "10.99.0.4/24";
	w.addresses[2] = "10.99.0.5/24";
	tap_int(apply(h, &w), 0, "three addresses of one network");
	tap_ok(shows("ip addr show sluice0", "10.99.0.3/24") &&
			shows("ip addr show sluice0", "10.99.0.4/24") &&
			lacks("ip addr show sluice0", "10.99.0.1/24") &&
			lacks("ip addr show sluice0", "fd99::1/64"),
		"are there, and the old ones gone");
	w.addresses[0] = "10.99.0.6/24"; // the kernel removes .4 and .5 with .3, their first
	tap_int(apply(h, &w), 0, "the first is replaced");
	tap_ok(shows("ip addr show sluice0", "10.99.0.4/24") &&
			shows("ip addr show sluice0", "10.99.0.5/24") &&
			shows("ip addr show sluice0", "10.99.0.6/24") &&
			lacks("ip addr show sluice0", "10.99.0.3/24"),
		"the others survive it");
	tap_int(apply(h, &whole), 0, "back");
	tap_ok(has_routes_of_whole(), "the routes have survived that");
	sh("ip -4 addr flush dev sluice0");
	tap_int(apply(h, &whole), 0, "the operator removes all addresses");
	settle(h);
	tap_ok(has_routes_of_whole(), "the routes that vanish with them come back");
}

static void
test_strict(struct host *h)
{
	sh("echo 1 > /proc/sys/net/ipv4/conf/lan0/rp_filter");
	tap_int(apply(h, &whole), 0, "apply beside a strict interface");
	tap_ok(has_note(h, "rp_filter is strict on lan0"), "is noted");
	sh("echo 0 > /proc/sys/net/ipv4/conf/lan0/rp_filter");
	sh("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
	tap_int(apply(h, &whole), 0, "apply with everything strict");
	tap_ok(has_note(h, "rp_filter is strict on lan0"), "is noted");
	tap_int(apply(h, &small), 0, "without a default route");
	tap_ok(!has_note(h, "rp_filter"), "it does not matter");
	sh("echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter");
}

// Two gateways on one machine want the same prefix: whoever wins, nothing may leave in clear.
static void
test_two_gateways(struct host *h)
{
	struct wish w = { .addresses = { "10.98.0.1/24" }, .prefixes = { "10.7.0.0/16" } };
	struct host *other = open_host("sluice1", 52101);
	int fd = make_tun("sluice1");

	tap_int(apply(other, &w), 0, "a second gateway");
	settle(h);
	settle(other);
	settle(h);
	tap_ok(shows("ip route get 10.7.1.1", "dev sluice"),
		"10.7.0.0/16 goes into one of the tunnels");
	tap_ok(shows("ip route get 10.98.0.9", "dev sluice1"),
		"the second's own network into its own");
	close(fd);
	sh("ip link del sluice1");
	settle(h);
	tap_ok(lacks("ip route get 10.7.1.1", "dev lan0") &&
			lacks("ip route get 10.98.0.9", "dev lan0"),
		"without its interface nothing leaves in clear");
	host_close(other);
	sh("ip rule del lookup 52101; ip -6 rule del lookup 52101; ip route flush table 52101");
	settle(h);
}

static int
count_lines(const char *command)
{
	char *text = sh_output("%s", command);
	int n = 0;

	for (const char *c = text; *c != '\0'; c++)
		n += *c == '\n';
	free(text);
	return n;
}

static double
seconds_since(struct mono begun)
{
	return (double)mono_diff_ns(mono_now(), begun) / (double)NS_PER_S;
}

static void
timed_apply(struct host *h, const struct host_desired *d, const char *what)
{
	struct mono begun = mono_now();
	int err = host_apply(h, d);
	double seconds = seconds_since(begun);

	printf("# %s: %.3f s\n", what, seconds);
	tap_ok(err == 0 && seconds < AT_ONCE, "%s", what);
	print_notes(h);
}

static void
test_many(struct host **h)
{
	static struct prefix prefixes[2 * MANY];
	struct prefix address = {};
	struct host_desired d = { .addresses = &address, .n_addresses = 1, .mtu = 1420 };

	if (prefix_parse("10.99.0.1/24", &address) < 0)
		abort();
	d.prefixes = prefixes;
	d.n_prefixes = 2 * MANY;
	for (int i = 0; i < MANY; i++) {
		prefixes[2 * i] =
			(struct prefix){ { ADDR_V4, { 10, 100, (uint8_t)(i >> 8), (uint8_t)i } },
				32 };
		prefixes[2 * i + 1] = (struct prefix){
			{ ADDR_V6, { 0xfd, 0x64, [14] = (uint8_t)(i >> 8), (uint8_t)i } }, 128
		};
	}
	timed_apply(*h, &d, "10,000 peers in two families (40,000 routes) are loaded");
	tap_int(count_lines(TABLE), 2 * (MANY + 1), "IPv4 routes");
	tap_int(count_lines(TABLE6), 2 * MANY, "IPv6 routes");
	timed_apply(*h, &d, "the same again");
	d.n_prefixes -= 2;
	timed_apply(*h, &d, "one peer less");
	settle(*h);

	host_close(*h);
	*h = open_host("sluice0", 0);
	timed_apply(*h, &d, "the same after a restart");
	d.n_prefixes = 0;
	timed_apply(*h, &d, "all peers are removed");
	tap_int(count_lines(TABLE), 2, "IPv4 routes left");
}

// A process without capabilities is told so, and lives.
static void
test_unprivileged(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct host_options options = { .mark = MARK };
		struct host *h = NULL;
		int err;

		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(77); // mapped to nobody in this namespace
		err = host_open(&options, &h);
		if (err == 0)
			err = apply(h,
				&(struct wish){ .addresses = { "10.5.0.1/24" }, .forward = true });
		_exit(err == -EPERM && facts_of(h).notes->n > 0 ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		tap_skip("without capabilities: EPERM and notes", "there is no second user here");
	else
		tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0,
			"without capabilities: EPERM and notes");
}

static void
test_undo(struct host *h, const char *before)
{
	struct notes notes = {};
	char *after;

	tap_int(apply(h, &whole), 0, "everything once more");
	host_close(h);
	journal_close(journal);
	close(tun_fd);
	tap_int(journal_undo(path, &notes), 0, "undo");
	for (size_t i = 0; i < notes.n; i++)
		printf("# %s\n", notes.text[i]);
	after = net_snapshot();
	tap_text(after, before, "the host is as it was before");
	tap_ok(access(path, F_OK) < 0, "the journal has gone");
	tap_int(journal_undo(path, &notes), 0, "undoing twice is fine");
	notes_clear(&notes);
	free(after);
}

int
main(void)
{
	const char *missing = private_net_enter();
	struct host *h;
	char *before;

	if (missing != NULL || mkdtemp(dir) == NULL) {
		tap_skip("the host in a namespace", missing);
		return tap_done();
	}
	snprintf(path, sizeof(path), "%s/journal", dir);
	make_lan();
	test_refusals();
	before = net_snapshot();
	if (journal_open(path, &journal) < 0)
		return 1;
	h = open_host(NULL, 0);
	test_missing_interface(h);
	test_small(h);
	test_whole(h);
	test_host_changes(h);
	test_other_tables(h);
	test_meddling(h);
	test_link(h);
	test_link_v4(h);
	test_restart(&h);
	test_addresses(h);
	test_strict(h);
	test_two_gateways(h);
	test_many(&h);
	test_unprivileged();
	test_undo(h, before);
	free(before);
	rmdir(dir);
	return tap_done();
}
