/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Mappings by NAT-PMP and PCP with routers of several kinds, and what years of them come to: a fake
 * clock, answers made from RFC 6886 section 3 and RFC 6887 section 11.
 */

#include "controlplane/gateway/traversal/port_mapping/router_client.h"

#include <string.h>

#include "tests/lib/tap.h"

struct router {
	struct router_client client;
	struct mono now, booted;
	bool has_pmp, has_pcp; /* speaks it */
	bool complains;        /* of versions that it does not speak */
	bool is_dead, is_off;  /* silent; mapping is switched off */
	uint32_t life_s;       /* granted; 0: as asked for */
	uint8_t external[4];
	size_t n_maps, n_deletes, n_sent;
	uint8_t nonce[PCP_NONCE_LEN];
	bool has_nonce;
};

static void
be16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
be32(uint8_t *p, uint32_t v)
{
	be16(p, v >> 16);
	be16(p + 2, v & 0xffff);
}

static uint32_t
read32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t
epoch(const struct router *r)
{
	return (uint32_t)(mono_diff_ns(r->now, r->booted) / NS_PER_S);
}

static uint32_t
granted(struct router *r, uint32_t asked)
{
	if (asked == 0)
		r->n_deletes++;
	else
		r->n_maps++;
	return asked == 0 || r->life_s == 0 ? asked : r->life_s;
}

static void
answer_pmp(struct router *r, const uint8_t *data)
{
	uint8_t out[16] = { 0, (uint8_t)(data[1] | 0x80) };

	be32(out + 4, epoch(r));
	if (data[1] == 0) {
		memcpy(out + 8, r->external, 4);
		router_receive(&r->client, out, 12, r->now);
		return;
	}
	be16(out + 2, r->is_off ? 2 : 0);
	memcpy(out + 8, data + 4, 2);
	be16(out + 10, r->is_off ? 0 : 6000);
	be32(out + 12, r->is_off ? 0 : granted(r, read32(data + 8)));
	router_receive(&r->client, out, 16, r->now);
}

static void
answer_pcp(struct router *r, const uint8_t *data, size_t len)
{
	uint8_t out[60] = { 2, (uint8_t)(data[1] | 0x80) };

	be32(out + 8, epoch(r));
	if (len == 60) {
		bool stranger = r->has_nonce && memcmp(r->nonce, data + 24, PCP_NONCE_LEN) != 0;

		out[3] = r->is_off || stranger ? 2 : 0;
		be32(out + 4, out[3] != 0 ? 0 : granted(r, read32(data + 4)));
		memcpy(out + 24, data + 24, 18);
		memcpy(r->nonce, data + 24, PCP_NONCE_LEN);
		be16(out + 42, 7000);
		memset(out + 54, 0xff, 2);
		memcpy(out + 56, r->external, 4);
	}
	router_receive(&r->client, out, len, r->now);
}

static void
on_send(void *context, const uint8_t *data, size_t len)
{
	struct router *r = context;
	uint8_t complaint[24] = { 0, 0x80, 0, 1 };

	r->n_sent++;
	if (r->is_dead)
		return;
	if (data[0] == 0 && r->has_pmp)
		answer_pmp(r, data);
	else if (data[0] == 2 && r->has_pcp)
		answer_pcp(r, data, len);
	else if (r->complains && data[0] == 2)
		router_receive(&r->client, complaint, 8, r->now);
	else if (r->complains) {
		complaint[0] = 2;
		complaint[2] = 0;
		complaint[3] = 1;
		router_receive(&r->client, complaint, 24, r->now);
	}
}

static void
on_random(void *context, void *out, size_t len)
{
	(void)context;
	memset(out, 0x5a, len);
}

static void
begin(struct router *r)
{
	static const struct addr self = { ADDR_V4, { 192, 168, 1, 10 } };
	static const uint8_t external[4] = { 203, 0, 113, 7 };
	const struct router_client_calls calls = {
		.send = on_send, .random = on_random, .context = r
	};

	r->now = (struct mono){ 100000 * NS_PER_S };
	r->booted = (struct mono){ 90000 * NS_PER_S };
	memcpy(r->external, external, 4);
	router_start(&r->client, &calls, &self, 41641, r->now);
}

static void
run(struct router *r, int64_t seconds)
{
	struct mono end = mono_add_ns(r->now, seconds * NS_PER_S);

	for (unsigned turns = 0; turns < 100000; turns++) {
		struct mono next = router_tick(&r->client, r->now);

		if (mono_is_never(next) || next.ns > end.ns)
			break;
		if (next.ns > r->now.ns)
			r->now = next;
		else
			r->now.ns += NS_PER_MS;
	}
	r->now = end;
}

static void
mapping_is(struct router *r, const char *what, const char *wanted)
{
	const struct endpoint *e = router_mapping(&r->client);
	char text[ADDR_TEXT_LEN] = "none";

	if (e != NULL)
		endpoint_format(e, text);
	tap_text(text, wanted, what);
}

static void
test_kinds(void)
{
	static const struct {
		const char *what;
		struct router router;
		const char *wanted;
		enum tri pmp, pcp;
	} rows[] = {
		{ "both: NAT-PMP", { .has_pmp = true, .has_pcp = true }, "203.0.113.7:6000",
			TRI_TRUE, TRI_TRUE },
		{ "NAT-PMP alone", { .has_pmp = true }, "203.0.113.7:6000", TRI_TRUE, TRI_UNKNOWN },
		{ "NAT-PMP alone, complaining", { .has_pmp = true, .complains = true },
			"203.0.113.7:6000", TRI_TRUE, TRI_FALSE },
		{ "PCP alone", { .has_pcp = true }, "203.0.113.7:7000", TRI_UNKNOWN, TRI_TRUE },
		{ "PCP alone, complaining", { .has_pcp = true, .complains = true },
			"203.0.113.7:7000", TRI_FALSE, TRI_TRUE },
		{ "neither", {}, "none", TRI_FALSE, TRI_FALSE },
		{ "switched off", { .has_pmp = true, .has_pcp = true, .is_off = true }, "none",
			TRI_TRUE, TRI_TRUE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct router r = rows[i].router;

		begin(&r);
		run(&r, 10);
		mapping_is(&r, rows[i].what, rows[i].wanted);
		tap_ok(r.client.pmp == rows[i].pmp && r.client.pcp == rows[i].pcp,
			"%s: what it speaks is seen", rows[i].what);
		tap_ok((r.client.state == ROUTER_FAILED) == (strcmp(rows[i].wanted, "none") == 0),
			"%s: failed or not", rows[i].what);
		tap_ok(r.n_sent <= 12, "%s: few datagrams (%zu)", rows[i].what, r.n_sent);
	}
}

static void
test_renewal(bool pcp)
{
	struct router r = { .has_pmp = !pcp, .has_pcp = pcp };
	const char *wanted = pcp ? "203.0.113.7:7000" : "203.0.113.7:6000";

	begin(&r);
	run(&r, 3590);
	tap_int((long long)r.n_maps, 1, "nothing is renewed before half of its life");
	run(&r, 20);
	tap_int((long long)r.n_maps, 2, "at half it is");
	r.is_dead = true;
	run(&r, 7100);
	mapping_is(&r, "the router is silent: it is ours until its end", wanted);
	run(&r, 200);
	mapping_is(&r, "and no longer", "none");
	tap_int(r.client.state, ROUTER_FAILED, "state");
}

static void
test_restart(bool pcp)
{
	struct router r = { .has_pmp = !pcp, .has_pcp = pcp };

	begin(&r);
	run(&r, 1000);
	tap_int((long long)r.n_maps, 1, "a router that runs on keeps the mapping");
	r.booted = r.now;
	r.external[3] = 99;
	run(&r, 130);
	tap_int((long long)r.n_maps, 2, "one that was restarted is asked anew");
	mapping_is(&r, "with its new address", pcp ? "203.0.113.99:7000" : "203.0.113.99:6000");
}

static void
test_hostile(void)
{
	struct router r = { .has_pmp = true, .life_s = 1 };
	size_t before;

	begin(&r);
	run(&r, 300);
	tap_ok(r.n_maps < 15, "a life of one second is no reason to ask each (%zu)", r.n_maps);
	mapping_is(&r, "and the mapping stays between", "203.0.113.7:6000");
	before = r.n_sent;
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t forged[12] = { 0, 0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, (uint8_t)i };

		be32(forged + 4, i % 2 ? 0 : UINT32_MAX);
		router_receive(&r.client, forged, 12, r.now);
		(void)router_tick(&r.client, r.now);
	}
	tap_ok(r.n_sent - before <= 2, "forged epochs do not make us talk (%zu)",
		r.n_sent - before);
	mapping_is(&r, "nor believe in another address", "203.0.113.7:6000");
	r.external[0] = 127;
	run(&r, 300);
	mapping_is(&r, "an address of no use is not taken", "203.0.113.7:6000");
}

static void
test_stop(void)
{
	struct router r = { .has_pcp = true, .has_nonce = false };

	begin(&r);
	run(&r, 10);
	router_stop(&r.client);
	tap_int((long long)r.n_deletes, 1, "it is given back");
	mapping_is(&r, "and gone", "none");
	tap_ok(mono_is_never(router_tick(&r.client, r.now)), "nothing is due then");
	router_stop(&r.client);
	tap_int((long long)r.n_deletes, 1, "once");
}

static void
test_stranger(void)
{
	struct router r = { .has_pcp = true, .has_nonce = true };

	begin(&r);
	memset(r.nonce, 1, sizeof(r.nonce));
	run(&r, 10);
	mapping_is(&r, "PCP: the port is somebody else's", "none");
	tap_int(r.client.state, ROUTER_FAILED, "state");
}

int
main(void)
{
	test_kinds();
	test_renewal(false);
	test_renewal(true);
	test_restart(false);
	test_restart(true);
	test_hostile();
	test_stop();
	test_stranger();
	return tap_done();
}
