/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whom packets to the Internet go to, by tables as /proc/net/route has them; and which URLs of
 * UPnP devices are that router's.
 */

#include "controlplane/gateway/traversal/port_mapping/default_router.h"

#include <string.h>

#include "controlplane/gateway/traversal/port_mapping/igd.h"
#include "tests/lib/tap.h"

#define HEAD "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define LAN  "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"

static void
test_tables(void)
{
	static const struct {
		const char *what, *text, *wanted;
	} rows[] = {
		{ "a router",
			HEAD LAN "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
			"192.168.1.1" },
		{ "the one with the smaller metric",
			HEAD "wlan0\t00000000\t0200000A\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
			     "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
			"192.168.1.1" },
		{ "the first of two",
			HEAD "eth0\t00000000\t0200000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
			     "eth1\t00000000\t0300000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
			"10.0.0.2" },
		{ "172.16/12 is private",
			HEAD "e\t00000000\t01001FAC\t0003\t0\t0\t0\t00000000\t0\t0\t0",
			"172.31.0.1" },
		{ "a public one is not asked",
			HEAD "eth0\t00000000\t017100CB\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "" },
		{ "no default route", HEAD LAN, "" },
		{ "a way without a router",
			HEAD "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n", "" },
		{ "half of the Internet is not all of it",
			HEAD "tun0\t00000000\t0100000A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n", "" },
		{ "nonsense", "\n\n\t\t\nx y z\n", "" },
		{ "nothing", "", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr router;
		char text[ADDR_TEXT_LEN] = "";

		if (default_router_parse(rows[i].text, strlen(rows[i].text), &router))
			addr_format(&router, text);
		tap_text(text, rows[i].wanted, rows[i].what);
	}
}

static void
test_urls(void)
{
	static const struct addr router = { ADDR_V4, { 192, 168, 1, 1 } };
	static const struct {
		const char *url;
		bool is_of_router;
	} rows[] = {
		{ "http://192.168.1.1:5000/rootDesc.xml", true },
		{ "http://192.168.1.1/x", true },
		{ "http://192.168.1.1", true },
		{ "http://192.168.1.10:5000/x", false },
		{ "http://192.168.1.1.evil.example/x", false },
		{ "http://user@192.168.1.1/x", false },
		{ "https://192.168.1.1/x", false },
		{ "http://127.0.0.1/x", false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_ok(igd_url_is_of(rows[i].url, &router) == rows[i].is_of_router, "URL \"%s\"",
			rows[i].url);
	tap_ok(!igd_url_is_of(NULL, &router), "no URL");
}

int
main(void)
{
	test_tables();
	test_urls();
	return tap_done();
}
