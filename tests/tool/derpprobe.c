/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two clients of relays, by the code of the gateway, that exchange numbered packets:
 *
 *     derpprobe [options] MAP            MAP: a relay map as the server sends it (JSON)
 *
 *     --home-a REGION, --home-b REGION   where each is at home (the first of the map)
 *     --count N                          packets each way (1000)
 *     --seconds N                        one packet each way every 50 ms, for so long, instead
 *     --flood N                          as much data as the relay takes from a to b, for so many
 *                                        seconds, and disco messages between, whose delay counts
 *     --ca FILE                          believe these certificates too
 *     --plain                            without TLS
 *     --timeout N                        seconds after which it gives up (20)
 *
 * Then it asks for one who is not there, and the second client leaves, which the first is to hear
 * (if both are at home in one region).  What happens is printed as it does, one JSON object a line;
 * the last has the sums.  Status 0: everything as it should be.  With --seconds packets may be
 * lost, and status 0 says that some came in the end.
 */

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "controlplane/gateway/stream/stream.h"
#include "controlplane/gateway/traversal/relay/relays.h"
#include "lib/base/bytes.h"
#include "lib/base/log.h"
#include "lib/derp/message.h"

#define WINDOW     8 /* packets on the way in each direction: a server's queue has 32 */
#define PACKET_MAX 1400
#define LARGE_LEN  60000
#define LARGE_EACH 100 /* of so many packets one is large */

struct client {
	const char *name;
	struct relays *relays;
	struct public_key public;
	uint16_t home;
	struct client *other;
	bool is_connected;
	uint32_t n_sent, n_received, n_wrong, n_connects, n_failures;
	bool heard_not_here, heard_gone;
	struct mono next_send;
	uint32_t n_disco;
	int64_t disco_longest_ns, disco_sum_ns;
};

struct options {
	const char *map, *ca;
	long home_a, home_b, count, seconds, flood, timeout;
	bool plain;
};

static struct public_key nobody;

// ---------- packets ----------

static size_t
packet_len(uint32_t number)
{
	return number % LARGE_EACH == LARGE_EACH - 1 ? LARGE_LEN
	                                             : 16 + number * 7 % (PACKET_MAX - 16);
}

static size_t
make_packet(uint8_t *out, uint32_t number)
{
	size_t len = packet_len(number);

	memset(out, 0, 16);
	out[0] = 4; // as WireGuard's data
	store_le32(out + 8, number);
	for (size_t i = 16; i < len; i++)
		out[i] = (uint8_t)(number + i);
	return len;
}

static bool
is_packet(const uint8_t *data, size_t len, uint32_t *ret_number)
{
	if (len < 16)
		return false;
	*ret_number = load_le32(data + 8);
	if (len != packet_len(*ret_number))
		return false;
	for (size_t i = 16; i < len; i++)
		if (data[i] != (uint8_t)(*ret_number + i))
			return false;
	return true;
}

// A disco message, for those who look at no more than its beginning, with the time in it.
static size_t
make_disco(uint8_t out[static 120])
{
	uint64_t now = mono_now().ns;

	memset(out, 0, 120);
	memcpy(out, "TS\xf0\x9f\x92\xac", 6);
	memcpy(out + 64, &now, sizeof(now));
	return 120;
}

static void
take_disco(struct client *c, const uint8_t *data)
{
	struct mono sent;
	int64_t ns;

	memcpy(&sent.ns, data + 64, sizeof(sent.ns));
	ns = mono_diff_ns(mono_now(), sent);
	c->n_disco++;
	c->disco_sum_ns += ns;
	if (ns > c->disco_longest_ns)
		c->disco_longest_ns = ns;
}

// ---------- calls ----------

static void
on_packet(void *context, uint16_t, const struct public_key *from, uint8_t *data, size_t len)
{
	struct client *c = context;
	uint32_t number;

	if (len == 120 && memcmp(data, "TS", 2) == 0)
		take_disco(c, data);
	else if (memcmp(from, &c->other->public, sizeof(*from)) != 0 ||
		 !is_packet(data, len, &number))
		c->n_wrong++;
	else
		c->n_received++;
}

static void
on_gone(void *context, uint16_t, const struct public_key *peer, uint8_t reason)
{
	struct client *c = context;

	c->heard_not_here |=
		reason == DERP_GONE_NOT_HERE && memcmp(peer, &nobody, sizeof(nobody)) == 0;
	c->heard_gone |= reason == DERP_GONE_DISCONNECTED &&
	                 memcmp(peer, &c->other->public, sizeof(*peer)) == 0;
}

static void
on_state(void *context, uint16_t region, enum relay_state state, const char *why)
{
	struct client *c = context;

	if (region == c->home) {
		c->is_connected = state == RELAY_CONNECTED;
		c->n_connects += c->is_connected;
		c->n_failures += state == RELAY_WAITING && why != NULL;
	}
	printf("{\"client\":\"%s\",\"region\":%u,\"state\":\"%s\",\"why\":\"%s\"}\n", c->name,
		region, relay_state_name(state), why != NULL ? why : "");
	fflush(stdout);
}

// ---------- the loop ----------

static void
fail(const char *what)
{
	fprintf(stderr, "derpprobe: %s\n", what);
	exit(2);
}

static void
make_client(struct client *c, struct stream_set *set, const struct derp_map *map, bool plain)
{
	struct relays_calls calls = {
		.packet = on_packet, .peer_gone = on_gone, .state = on_state, .context = c
	};
	struct secret_key key;
	struct mono now = mono_now();

	if (relays_create(set, &calls, &c->relays) < 0)
		fail("out of memory");
	key_generate(&key);
	key_public(&c->public, &key);
	relays_set_plain_http(c->relays, plain);
	relays_set_key(c->relays, &key, now);
	if (relays_set_map(c->relays, map, now) < 0)
		fail("out of memory");
	relays_set_home(c->relays, c->home, now);
}

static int
until(struct mono a, struct mono b, struct mono now, int most_ms)
{
	struct mono t = mono_is_never(a) || (!mono_is_never(b) && b.ns < a.ns) ? b : a;
	int64_t ms = mono_is_never(t) ? most_ms : mono_diff_ns(t, now) / NS_PER_MS + 1;

	return ms < 0 ? 0 : ms > most_ms ? most_ms : (int)ms;
}

// One round: what came, what is due, and waiting.
static void
turn(struct stream_set *set, struct client *a, struct client *b, int most_ms)
{
	struct mono now = mono_now(), next = stream_set_dispatch(set, now), tick = {};
	struct pollfd p = { .fd = stream_set_fd(set), .events = POLLIN };

	tick = relays_tick(a->relays, now);
	if (b->relays != NULL)
		(void)relays_tick(b->relays, now);
	(void)poll(&p, 1, until(next, tick, now, most_ms));
}

static void
send_number(struct client *c, uint32_t number)
{
	static uint8_t packet[RELAYS_MAX_PACKET_LEN];
	size_t len = make_packet(packet, number);

	c->n_sent +=
		relays_send(c->relays, c->other->home, &c->other->public, packet, len, mono_now());
}

// Only so many are on the way that no server has to drop one.
static void
send_window(struct client *c, uint32_t count)
{
	while (c->n_sent < count && c->n_sent - c->other->n_received < WINDOW)
		send_number(c, c->n_sent);
	relays_flush(c->relays);
}

static void
send_in_time(struct client *c, struct mono now)
{
	if (mono_diff_ns(now, c->next_send) < 0)
		return;
	c->next_send = mono_add_ns(now, 50 * NS_PER_MS);
	send_number(c, c->n_sent % LARGE_EACH);
	relays_flush(c->relays);
}

// A burst as the data plane makes them, and disco every 20 ms.
static void
send_flood(struct client *c, struct mono now)
{
	uint8_t disco[120];

	for (int i = 0; i < 64; i++)
		send_number(c, c->n_sent % (LARGE_EACH - 1));
	if (mono_diff_ns(now, c->next_send) >= 0) {
		c->next_send = mono_add_ns(now, 20 * NS_PER_MS);
		(void)relays_send(c->relays, c->other->home, &c->other->public, disco,
			make_disco(disco), now);
	}
	relays_flush(c->relays);
}

static void
ask_for_nobody(struct client *c)
{
	uint8_t disco[120];

	random_bytes(nobody.bytes, sizeof(nobody.bytes));
	(void)relays_send(c->relays, c->home, &nobody, disco, make_disco(disco), mono_now());
	relays_flush(c->relays);
}

static bool
exchange(struct stream_set *set,
	struct client *a,
	struct client *b,
	const struct options *o,
	struct mono end)
{
	uint32_t count = (uint32_t)o->count;
	struct mono stop = mono_add_ns(mono_now(), o->seconds * NS_PER_S);

	while (o->seconds > 0 && mono_diff_ns(stop, mono_now()) > 0) {
		send_in_time(a, mono_now());
		send_in_time(b, mono_now());
		turn(set, a, b, 50);
	}
	stop = mono_add_ns(mono_now(), o->flood * NS_PER_S);
	while (o->flood > 0 && mono_diff_ns(stop, mono_now()) > 0) {
		send_flood(a, mono_now());
		turn(set, a, b, 1);
	}
	if (o->seconds > 0 || o->flood > 0)
		return b->n_received > 0 && a->n_wrong + b->n_wrong == 0;
	while (a->n_received < count || b->n_received < count) {
		if (mono_diff_ns(end, mono_now()) < 0)
			return false;
		send_window(a, count);
		send_window(b, count);
		turn(set, a, b, 50);
	}
	return a->n_wrong + b->n_wrong == 0;
}

static void
print_client(const struct client *c)
{
	struct relay_facts f = {};

	for (size_t i = 0; relays_facts(c->relays, i, &f) && f.region != c->home; i++) {
	}
	printf("\"%s\":{\"sent\":%u,\"received\":%u,\"wrong\":%u,\"connects\":%u,\"failures\":%u,"
	       "\"disco\":%u,\"disco_mean_us\":%lld,\"disco_longest_us\":%lld,\"host\":\"%s\","
	       "\"fast_start\":%s,\"ping_us\":%lld,\"dropped\":%llu},",
		c->name, c->n_sent, c->n_received, c->n_wrong, c->n_connects, c->n_failures,
		c->n_disco, (long long)(c->n_disco > 0 ? c->disco_sum_ns / c->n_disco / 1000 : 0),
		(long long)(c->disco_longest_ns / 1000), f.host, f.is_fast_start ? "true" : "false",
		(long long)(f.ping_ns / NS_PER_US), (unsigned long long)f.n_dropped);
}

static bool
run(struct stream_set *set, struct client *a, struct client *b, const struct options *o)
{
	struct mono began = mono_now(), connected,
		    end = mono_add_ns(began, (o->timeout + o->seconds + o->flood) * NS_PER_S);
	bool ok, told, is_told;

	while ((!a->is_connected || !b->is_connected) && mono_diff_ns(end, mono_now()) > 0)
		turn(set, a, b, 50);
	connected = mono_now();
	ok = a->is_connected && b->is_connected && exchange(set, a, b, o, end);
	printf("{");
	print_client(a);
	print_client(b);
	if (ok)
		ask_for_nobody(a);
	while (ok && !a->heard_not_here && mono_diff_ns(end, mono_now()) > 0)
		turn(set, a, b, 50);
	relays_destroy(b->relays);
	b->relays = NULL;
	// Only who got something from b is told, and only by the relay that it came from.
	is_told = a->n_received > 0 && a->home == b->home;
	while (ok && is_told && !a->heard_gone && mono_diff_ns(end, mono_now()) > 0)
		turn(set, a, b, 50);
	told = a->heard_not_here && (a->heard_gone || !is_told);
	printf("\"connect_ms\":%lld,\"exchanged\":%s,\"not_here\":%s,\"gone\":%s}\n",
		(long long)(mono_diff_ns(connected, began) / NS_PER_MS), ok ? "true" : "false",
		a->heard_not_here ? "true" : "false", a->heard_gone ? "true" : "false");
	return ok && told;
}

static struct derp_map *
read_map(const char *path)
{
	struct json_budget budget = { JSON_MESSAGE_BUDGET };
	struct derp_map *map = NULL;
	json_t *tree = json_load_file(path, 0, NULL);

	if (tree == NULL || derp_map_decode_new(tree, &map, &budget) < 0 || map->n_regions == 0)
		fail("the map cannot be read, or has no region");
	json_decref(tree);
	return map;
}

static struct options
parse(int argc, char **argv)
{
	static const struct option known[] = { { "home-a", required_argument, NULL, 'a' },
		{ "home-b", required_argument, NULL, 'b' },
		{ "count", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 's' },
		{ "flood", required_argument, NULL, 'f' }, { "ca", required_argument, NULL, 'C' },
		{ "plain", no_argument, NULL, 'p' }, { "timeout", required_argument, NULL, 't' },
		{} };
	struct options o = { .count = 1000, .timeout = 20 };
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		long *number = c == 'a'   ? &o.home_a
		               : c == 'b' ? &o.home_b
		               : c == 'c' ? &o.count
		               : c == 's' ? &o.seconds
		               : c == 'f' ? &o.flood
		               : c == 't' ? &o.timeout
		                          : NULL;

		if (number != NULL)
			*number = strtol(optarg, NULL, 10);
		else if (c == 'C')
			o.ca = optarg;
		else if (c == 'p')
			o.plain = true;
		else
			exit(2);
	}
	if (optind + 1 != argc)
		fail("one map is wanted; its source's head names the options");
	o.map = argv[optind];
	return o;
}

int
main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct client a = { .name = "a", .other = NULL }, b = { .name = "b", .other = &a };
	struct derp_map *map = read_map(o.map);
	struct trust *trust = NULL;
	struct stream_set *set = NULL;
	bool ok;

	log_init("derpprobe", LOG_LEVEL_WARNING);
	a.other = &b;
	a.home = (uint16_t)(o.home_a != 0 ? o.home_a : map->regions[0].id);
	b.home = (uint16_t)(o.home_b != 0 ? o.home_b : map->regions[0].id);
	if (crypto_init() < 0 || trust_create(o.ca, &trust) < 0 ||
		stream_set_create(trust, 0, &set) < 0)
		fail("cannot begin: cryptography, certificates or memory");
	make_client(&a, set, map, o.plain);
	make_client(&b, set, map, o.plain);
	ok = run(set, &a, &b, &o);
	relays_destroy(a.relays);
	stream_set_destroy(set);
	trust_unref(trust);
	derp_map_destroy(map);
	return ok ? 0 : 1;
}
