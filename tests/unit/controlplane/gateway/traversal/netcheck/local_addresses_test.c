/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which of the host's addresses are told: rows of interfaces, and what comes out.
 */

#include "controlplane/gateway/traversal/netcheck/local_addresses.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/tap.h"

static size_t
parse(const char *text, struct local_address *ret)
{
	char copy[512], *save = NULL;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, " ", &save); word != NULL;
		word = strtok_r(NULL, " ", &save)) {
		char *equal = strchr(word, '=');

		*equal = '\0';
		ret[n] = (struct local_address){ .is_up = word[0] != '-' };
		snprintf(ret[n].interface, sizeof(ret[n].interface), "%.15s",
			word + (word[0] == '-'));
		ret[n].is_loopback = strcmp(ret[n].interface, "lo") == 0;
		n += prefix_parse(equal + 1, &ret[n].prefix) == 0;
	}
	return n;
}

static void
test_rows(void)
{
	static const struct {
		const char *what, *from, *wanted;
	} rows[] = {
		{ "sorted, each once", "eth1=10.0.0.2/8 eth0=192.0.2.1/24 eth2=10.0.0.2/16",
			"10.0.0.2 192.0.2.1 " },
		{ "not what is down", "-eth0=192.0.2.1/24 eth1=10.0.0.2/8", "10.0.0.2 " },
		{ "not loopback", "lo=127.0.0.1/8 lo=::1/128 eth1=10.0.0.2/8", "10.0.0.2 " },
		{ "not our tunnel", "sluice0=10.9.9.9/24 eth1=10.0.0.2/8", "10.0.0.2 " },
		{ "not other overlays", "zt1234=10.9.9.9/24 wt0=10.8.8.8/24 eth1=10.0.0.2/8",
			"10.0.0.2 " },
		{ "not a tailnet's",
			"tailscale0=100.64.0.1/32 tailscale0=fd7a:115c:a1e0::7/128 eth1=10.0.0.2/8",
			"10.0.0.2 " },
		{ "but ChromeOS's", "vm=100.115.92.4/30", "100.115.92.4 " },
		{ "no IPv6 link-local", "eth0=fe80::1/64 eth0=2001:db8::1/64", "2001:db8::1 " },
		{ "local addresses only when alone", "eth0=169.254.1.1/16 eth0=fd00::1/64",
			"169.254.1.1 fd00::1 " },
		{ "not beside others", "eth0=169.254.1.1/16 eth0=fd00::1/64 eth0=10.0.0.2/8",
			"10.0.0.2 " },
		{ "two of a network's IPv6 at most",
			"eth0=2001:db8::1/64 eth0=2001:db8::2/64 eth0=2001:db8::3/64 "
			"eth0=2001:db8:1::1/64",
			"2001:db8::1 2001:db8::2 2001:db8:1::1 " },
		{ "loopback if there is nothing else", "lo=127.0.0.1/8 sluice0=10.9.9.9/24",
			"127.0.0.1 " },
		{ "nothing", "", "" },
		{ "no group's, no zero", "eth0=224.0.0.1/4 eth0=0.0.0.0/8 eth0=ff02::1/64", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct local_address addresses[16];
		struct addr chosen[16];
		char text[512] = "", one[ADDR_TEXT_LEN];
		size_t n = parse(rows[i].from, addresses);

		n = local_addresses_choose(addresses, n, "sluice0", chosen, 16);
		for (size_t j = 0; j < n; j++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ",
				addr_format(&chosen[j], one));
		tap_text(text, rows[i].wanted, rows[i].what);
	}
}

static void
test_have(void)
{
	struct local_address a[8];
	size_t n =
		parse("lo=127.0.0.1/8 sluice0=10.9.9.9/24 eth0=fe80::1/64 wwan0=100.70.1.1/30", a);

	tap_ok(local_addresses_have(a, n, "sluice0", ADDR_V4), "a provider may use the same range");
	tap_ok(!local_addresses_have(a, n, "sluice0", ADDR_V6), "link-local is no IPv6");
	tap_ok(!local_addresses_have(a, 3, "sluice0", ADDR_V4), "the tunnel is no IPv4");
}

static void
test_this_host(void)
{
	struct local_address a[LOCAL_ADDRESSES_MAX];
	size_t n = local_addresses_read(a, LOCAL_ADDRESSES_MAX);
	bool right = true;

	for (size_t i = 0; i < n; i++)
		right &= a[i].prefix.len <= addr_bits((enum addr_family)a[i].prefix.addr.family) &&
		         a[i].interface[0] != '\0';
	tap_ok(right, "the kernel's addresses are read (%zu)", n);
	tap_ok(local_addresses_read(a, 1) <= 1, "no more than asked for");
}

int
main(void)
{
	test_rows();
	test_have();
	test_this_host();
	return tap_done();
}
