/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any datagrams during a look at the network.  The first byte of each piece says how long it is and
 * how much time passes; its transaction id becomes that of a probe if its last byte is even.
 * Whatever comes, only addresses that can be ours are told, and looks end.
 */

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/netcheck/own_endpoints.h"
#include "tests/lib/fake_stream.h"

struct site {
	struct own_endpoints *own;
	uint8_t txids[64][12]; /* of probes that left */
	size_t n_sent, n_done;
	struct mono now;
};

static void
must(bool right)
{
	if (!right)
		abort();
}

int
lookup_start(struct stream_set *set,
	const char *host,
	lookup_done done,
	void *context,
	struct lookup **ret_lookup)
{
	(void)set, (void)host, (void)done, (void)context, (void)ret_lookup;
	return -1;
}

void
lookup_cancel(struct lookup *lookup)
{
	(void)lookup;
}

static bool
on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len)
{
	struct site *s = context;

	must(len == 40 && to->port != 0);
	memcpy(s->txids[s->n_sent++ % 64], data + 8, 12);
	return true;
}

static void
on_changed(void *context, bool is_changed)
{
	struct site *s = context;
	const struct own_endpoint *list;
	bool is_fresh;
	size_t n = own_endpoints_get(s->own, s->now, &list, &is_fresh);

	(void)is_changed;
	must(n <= OWN_ENDPOINTS_MAX);
	for (size_t i = 0; i < n; i++)
		must(list[i].endpoint.port != 0 && !addr_is_of_tailnet(&list[i].endpoint.addr) &&
			list[i].endpoint.addr.bytes[0] != 127);
}

static void
on_report(void *context, const struct netcheck_report *report)
{
	struct site *s = context;
	json_t *o = netcheck_report_json(report, NULL);

	s->n_done++;
	must(o != NULL && report->n_regions <= 3);
	json_decref(o);
}

static size_t
on_local(void *context, struct local_address *ret, size_t max)
{
	static const struct local_address host[2] = {
		{ .prefix = { { ADDR_V4, { 192, 168, 1, 2 } }, 24 },
			.interface = "a",
			.is_up = true },
		{ .prefix = { { ADDR_V6, { 0x20, 1, 13 } }, 64 }, .interface = "a", .is_up = true },
	};

	(void)context;
	must(max >= 2);
	memcpy(ret, host, sizeof(host));
	return 2;
}

static void
on_random(void *context, void *out, size_t len)
{
	static uint32_t state = 1;

	(void)context;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)((state = state * 1664525u + 1013904223u) >> 24);
}

static void
set_map(struct site *s)
{
	struct derp_node nodes[3] = { { .host_name = (char *)"a",
					      .ipv4 = (char *)"198.51.100.1",
					      .ipv6 = (char *)"2001:db8::1" },
		{ .host_name = (char *)"b",
			.ipv4 = (char *)"198.51.100.2",
			.ipv6 = (char *)"none" },
		{ .host_name = (char *)"c" } };
	struct derp_region regions[3] = { { .id = 1, .nodes = &nodes[0], .n_nodes = 1 },
		{ .id = 2, .nodes = &nodes[1], .n_nodes = 1 },
		{ .id = 3, .nodes = &nodes[2], .n_nodes = 1 } };
	struct derp_map map = { .regions = regions, .n_regions = 3, .regions_digest = 1 };

	must(own_endpoints_set_map(s->own, &map, s->now) == 0);
}

static void
push(struct site *s, const uint8_t *data, size_t len)
{
	struct endpoint from = {};
	uint8_t copy[256];

	memcpy(copy, data, len);
	if (len >= 20 && s->n_sent > 0 && copy[len - 1] % 2 == 0)
		memcpy(copy + 8, s->txids[copy[len - 1] / 2 % (s->n_sent < 64 ? s->n_sent : 64)],
			12);
	(void)own_endpoints_datagram(s->own, copy, len, &from, s->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct site s = { .now = { 1000 * NS_PER_S } };
	struct stream_set *set = fake_set_create(s.now);
	const struct own_endpoints_calls calls = { .send = on_send,
		.changed = on_changed,
		.report = on_report,
		.local_addresses = on_local,
		.random = on_random,
		.context = &s };

	must(own_endpoints_create(set, &calls, &s.own) == 0);
	set_map(&s);
	own_endpoints_start(s.own, 41641, s.now);
	while (len > 1) {
		size_t piece = data[0] & 63;

		(void)own_endpoints_tick(s.own, s.now);
		s.now.ns += (uint64_t)(data[0] >> 6) * 50 * (uint64_t)NS_PER_MS;
		piece = piece < len - 1 ? piece : len - 1;
		push(&s, data + 1, piece);
		data += piece + 1;
		len -= piece + 1;
	}
	for (unsigned i = 0; i < 20; i++) {
		s.now.ns += (uint64_t)NS_PER_S;
		set->now = s.now;
		(void)own_endpoints_tick(s.own, s.now);
	}
	must(s.n_done > 0);
	own_endpoints_destroy(s.own);
	fake_set_destroy(set);
	return 0;
}
