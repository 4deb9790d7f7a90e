/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netprobe: the gateway's netcheck and port mapping alone, over sockets of its own, to be judged by
 * real STUN servers and routers.  Says what it finds, a JSON object in each line:
 *
 *     {"report":{...}}  {"endpoints":[["1.2.3.4:5",kind],...]}  {"mapped":"1.2.3.4:5"|null,"by":N}
 *     {"protocols":{"upnp","pmp","pcp"}}  (0 unknown, 1 no, 2 yes)
 *
 *     netprobe --map FILE [--port N] [--seconds N] [--ca FILE] [--secret WORD] [--changed-at N]
 *
 * --map: a DERP map as JSON; without it only the port is mapped.  --secret: for PCP's nonce.
 * --changed-at: after N seconds the network is said to have changed.
 * SIGTERM ends it in order: the mapping is given back.  SIGKILL does not.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/gateway/stream/stream.h"
#include "controlplane/gateway/traversal/netcheck/own_endpoints.h"
#include "controlplane/gateway/traversal/port_mapping/port_mapping.h"
#include "lib/crypto/key.h"

struct options {
	const char *map, *ca, *secret;
	uint16_t port;
	int seconds, changed_at;
};

struct probe {
	int sock4, sock6;
	struct stream_set *set;
	struct own_endpoints *own;
	struct port_mapping *mapping;
	struct mono now;
};

static volatile sig_atomic_t is_ending;

static void
on_signal(int number)
{
	(void)number;
	is_ending = 1;
}

__attribute__((noreturn)) static void
fail(const char *why)
{
	fprintf(stderr, "netprobe: %s\n", why);
	exit(2);
}

/* --- sockets --- */

static int
open_socket(int family, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int sock = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (sock >= 0 && family == AF_INET6)
		(void)setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (sock < 0 || (family == AF_INET ? bind(sock, (void *)&v4, sizeof(v4))
					   : bind(sock, (void *)&v6, sizeof(v6))) < 0) {
		if (family == AF_INET)
			fail("no socket");
		return -1;
	}
	return sock;
}

static bool
on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len)
{
	struct probe *p = context;
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(to->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(to->port) };

	if (to->addr.family == ADDR_V6) {
		memcpy(&v6.sin6_addr, to->addr.bytes, 16);
		return sendto(p->sock6, data, len, 0, (void *)&v6, sizeof(v6)) >= 0;
	}
	memcpy(&v4.sin_addr, to->addr.bytes, 4);
	return sendto(p->sock4, data, len, 0, (void *)&v4, sizeof(v4)) >= 0;
}

static void
receive(struct probe *p, int sock)
{
	static const struct endpoint from; // STUN's answers are known by their id
	uint8_t data[2048];
	ssize_t n;

	while (sock >= 0 && (n = recv(sock, data, sizeof(data), 0)) >= 0)
		(void)own_endpoints_datagram(p->own, data, (size_t)n, &from, p->now);
}

/* --- what is found --- */

static void
say(json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);

	puts(text);
	fflush(stdout);
	free(text);
	json_decref(o);
}

static void
on_changed(void *context, bool is_changed)
{
	struct probe *p = context;
	const struct own_endpoint *list;
	json_t *array = json_array();
	char text[ADDR_TEXT_LEN];
	bool is_fresh;
	size_t n = own_endpoints_get(p->own, p->now, &list, &is_fresh);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			array, json_pack("[s, i]", endpoint_format(&list[i].endpoint, text),
				       (int)list[i].kind));
	say(json_pack("{s:o, s:b}", "endpoints", array, "changed", is_changed));
}

static void
on_report(void *context, const struct netcheck_report *report)
{
	(void)context;
	say(json_pack("{s:o}", "report", netcheck_report_json(report, NULL)));
}

static void
on_mapped(void *context, const struct endpoint *external)
{
	struct probe *p = context;
	struct port_mapping_facts facts = {};
	char text[ADDR_TEXT_LEN];

	if (p->mapping != NULL)
		port_mapping_facts(p->mapping, &facts);
	say(json_pack("{s:s?, s:i}", "mapped",
		external != NULL ? endpoint_format(external, text) : NULL, "by", (int)facts.by));
	if (p->own != NULL)
		own_endpoints_set_mapped(p->own, external, p->now);
}

static void
on_protocols(void *context, enum tri upnp, enum tri pmp, enum tri pcp)
{
	struct probe *p = context;

	say(json_pack("{s:{s:i, s:i, s:i}}", "protocols", "upnp", (int)upnp, "pmp", (int)pmp, "pcp",
		(int)pcp));
	own_endpoints_set_protocols(p->own, upnp, pmp, pcp);
}

static void
on_random(void *context, void *out, size_t len)
{
	(void)context;
	random_bytes(out, len);
}

/* --- the loop --- */

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (!mono_is_never(candidate) && candidate.ns < at->ns)
		*at = candidate;
}

static void
turn(struct probe *p, struct mono limit)
{
	struct pollfd fds[] = { { .fd = stream_set_fd(p->set), .events = POLLIN },
		{ .fd = port_mapping_fd(p->mapping), .events = POLLIN },
		{ .fd = p->sock4, .events = POLLIN }, { .fd = p->sock6, .events = POLLIN } };
	struct mono next = limit;
	int64_t ms;

	p->now = mono_now();
	take_earlier(&next, stream_set_dispatch(p->set, p->now));
	take_earlier(&next, port_mapping_dispatch(p->mapping, p->now));
	take_earlier(&next, own_endpoints_tick(p->own, p->now));
	ms = mono_diff_ns(next, mono_now()) / NS_PER_MS + 1;
	(void)poll(fds, 4, ms > 0 ? (int)ms : 0);
	p->now = mono_now();
	receive(p, p->sock4);
	receive(p, p->sock6);
}

static struct derp_map *
read_map(const char *path)
{
	struct json_budget budget = { JSON_MESSAGE_BUDGET };
	struct derp_map *map = NULL;
	json_t *tree = json_load_file(path, 0, NULL);

	if (tree == NULL || derp_map_decode_new(tree, &map, &budget) < 0)
		fail("the map cannot be read");
	json_decref(tree);
	return map;
}

static void
set_up(struct probe *p, const struct options *o)
{
	const struct own_endpoints_calls of_endpoints = { .send = on_send,
		.changed = on_changed,
		.report = on_report,
		.random = on_random,
		.context = p };
	const struct port_mapping_calls of_mapping = {
		.mapped = on_mapped, .protocols = on_protocols, .context = p
	};
	uint8_t secret[PORT_MAPPING_SECRET_LEN] = {};
	struct trust *trust;
	struct derp_map *map;

	p->sock4 = open_socket(AF_INET, o->port);
	p->sock6 = open_socket(AF_INET6, o->port);
	if (crypto_init() < 0 || trust_create(o->ca, &trust) < 0 ||
		stream_set_create(trust, 0, &p->set) < 0 ||
		own_endpoints_create(p->set, &of_endpoints, &p->own) < 0 ||
		port_mapping_create(&of_mapping, 0, &p->mapping) < 0)
		fail("cannot begin");
	trust_unref(trust);
	if (o->secret != NULL) {
		strncpy((char *)secret, o->secret, sizeof(secret) - 1);
		port_mapping_set_secret(p->mapping, secret);
	}
	if (o->map != NULL) {
		map = read_map(o->map);
		if (own_endpoints_set_map(p->own, map, p->now) < 0)
			fail("no memory");
		derp_map_destroy(map);
	}
	own_endpoints_start(p->own, o->port, p->now);
	port_mapping_start(p->mapping, o->port, p->now);
}

static struct options
parse(int argc, char **argv)
{
	static const struct option known[] = { { "map", required_argument, NULL, 'm' },
		{ "port", required_argument, NULL, 'p' },
		{ "seconds", required_argument, NULL, 's' }, { "ca", required_argument, NULL, 'C' },
		{ "secret", required_argument, NULL, 'k' },
		{ "changed-at", required_argument, NULL, 'c' }, {} };
	struct options o = { .port = 41641, .seconds = 10, .changed_at = -1 };
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (c) {
		case 'm':
			o.map = optarg;
			break;
		case 'p':
			o.port = (uint16_t)atoi(optarg);
			break;
		case 's':
			o.seconds = atoi(optarg);
			break;
		case 'C':
			o.ca = optarg;
			break;
		case 'k':
			o.secret = optarg;
			break;
		case 'c':
			o.changed_at = atoi(optarg);
			break;
		default:
			fail("see the head of netprobe.c");
		}
	return o;
}

int
main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct probe p = { .now = mono_now() };
	struct mono end = mono_add_ns(p.now, o.seconds * NS_PER_S);
	struct mono changed = mono_add_ns(p.now, o.changed_at * NS_PER_S);
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	set_up(&p, &o);
	while (!is_ending && mono_diff_ns(end, mono_now()) > 0) {
		turn(&p, o.changed_at >= 0 ? changed : end);
		if (o.changed_at >= 0 && mono_diff_ns(mono_now(), changed) >= 0) {
			o.changed_at = -1;
			own_endpoints_network_changed(p.own, p.now);
			port_mapping_network_changed(p.mapping, p.now);
		}
	}
	port_mapping_stop(p.mapping);
	port_mapping_destroy(p.mapping);
	own_endpoints_destroy(p.own);
	stream_set_destroy(p.set);
	return 0;
}
