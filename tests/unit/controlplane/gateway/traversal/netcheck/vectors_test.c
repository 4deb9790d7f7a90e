/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The reference's STUN messages through a whole round (argv[1]: tests/vectors/stun.json): what we
 * send is what it sends, and what it understands of an answer we understand.
 */

#include <assert.h>
#include <string.h>

#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "lib/traversal/stun.h"
#include "tests/lib/fake_stream.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/traversal/vector.h"

struct site {
	uint8_t txid[STUN_TXID_LEN];
	uint8_t sent[STUN_REQUEST_LEN];
	size_t n_sent, n_done;
	struct netcheck_report report;
};

static bool
on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len)
{
	struct site *s = context;

	(void)to;
	if (len == sizeof(s->sent))
		memcpy(s->sent, data, len);
	s->n_sent++;
	return true;
}

static void
on_done(void *context, struct netcheck_report *report)
{
	struct site *s = context;

	s->report = *report;
	s->n_done++;
}

static void
on_random(void *context, void *out, size_t len)
{
	struct site *s = context;

	memset(out, 0, len);
	memcpy(out, s->txid, len < sizeof(s->txid) ? len : sizeof(s->txid));
}

/* A round with one server of this family; an answer, if there is any. */
static void
run_round(struct site *s, enum addr_family family, const uint8_t *answer, size_t len)
{
	struct mono now = { 1000 * NS_PER_S };
	struct stream_set *set = fake_set_create(now);
	const struct netcheck_calls calls = {
		.send = on_send, .done = on_done, .random = on_random, .context = s
	};
	struct derp_node node = { .host_name = (char *)"x",
		.is_stun_only = true,
		.ipv4 = (char *)(family == ADDR_V4 ? "198.51.100.1" : "none"),
		.ipv6 = (char *)(family == ADDR_V6 ? "2001:db8::1" : "none") };
	struct derp_region region = { .id = 1, .nodes = &node, .n_nodes = 1 };
	const struct derp_map map = { .regions = &region, .n_regions = 1 };
	const struct netcheck_host host = { true, true };
	const struct endpoint from = {};
	struct netcheck *n;
	int err = netcheck_create(set, &calls, &n);

	assert(err == 0);
	err = netcheck_set_map(n, &map);
	assert(err == 0);
	(void)netcheck_start(n, true, &host, now);
	(void)netcheck_tick(n, now);
	now = mono_add_ns(now, 20 * NS_PER_MS);
	if (answer != NULL)
		(void)netcheck_datagram(n, answer, len, &from, now);
	(void)netcheck_tick(n, now);
	netcheck_destroy(n);
	fake_set_destroy(set);
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

static void
test_request(const json_t *v)
{
	uint8_t wanted[STUN_REQUEST_LEN];
	struct site s = {};

	vector_bytes(v, "packet", wanted, sizeof(wanted));
	vector_bytes(v, "txid", s.txid, sizeof(s.txid));
	run_round(&s, ADDR_V4, NULL, 0);
	tap_bytes(s.sent, wanted, sizeof(wanted), "the request is the reference's");
}

static bool
is_of_host(const struct endpoint *e)
{
	return e->port != 0 && e->addr.bytes[0] != 0 && e->addr.bytes[0] != 255;
}

static void
test_response(const json_t *v, const json_t *vectors)
{
	const char *what = vector_text(v, "name");
	const char *parsed = json_string_value(json_object_get(v, "parsed_addr"));
	struct endpoint wanted = {}, got;
	struct site s = {};
	size_t len;
	uint8_t *data = vector_hex(v, "packet", &len);

	vector_bytes(vectors, "response_txid", s.txid, sizeof(s.txid));
	if (parsed != NULL && endpoint_parse(parsed, &wanted) < 0)
		wanted = (struct endpoint){}; // port 0: nobody's
	run_round(&s, wanted.addr.family == ADDR_V6 ? ADDR_V6 : ADDR_V4, data, len);
	got = wanted.addr.family == ADDR_V6 ? s.report.global_v6 : s.report.global_v4;
	if (parsed == NULL)
		tap_ok(s.n_done == 0, "%s: no answer", what);
	else if (wanted.addr.family != ADDR_NONE && is_of_host(&wanted))
		tap_ok(s.n_done == 1 && endpoint_equal(&got, &wanted), "%s: %s", what, parsed);
	else
		tap_ok(s.n_done == 1 && got.addr.family == ADDR_NONE,
			"%s: %s is an answer, but no address of ours", what, parsed);
	free(data);
}

int
main(int argc, char **argv)
{
	json_t *vectors = argc > 1 ? json_load_file(argv[1], 0, NULL) : NULL;
	const json_t *v;
	size_t i;

	if (!tap_ok(vectors != NULL, "the vectors are read"))
		return tap_done();
	json_array_foreach(json_object_get(vectors, "requests"), i, v) test_request(v);
	json_array_foreach(json_object_get(vectors, "responses"), i, v) test_response(v, vectors);
	json_decref(vectors);
	return tap_done();
}
