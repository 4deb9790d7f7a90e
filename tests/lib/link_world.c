/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/link_world.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypto/aead.h"
#include "lib/net/checksum.h"
#include "lib/wg/message.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

#define CLIENT_INDEX  0x00100001u
#define GATEWAY_INDEX 0x7ff00001u

static void
must(bool right)
{
	if (!right)
		abort();
}

static struct shm_addr
addr_of(const char *text)
{
	struct shm_addr out = {};
	struct addr addr;

	if (text == NULL)
		return out;
	must(addr_parse(text, &addr) == 0);
	memcpy(out.bytes, addr.bytes, sizeof(out.bytes));
	return out;
}

struct shm_net_route *
link_world_route(struct link_world *w,
	const char *prefix,
	enum shm_route_kind kind,
	unsigned link,
	const char *gateway,
	const char *source)
{
	struct shm_net_route *r = &w->net->routes[w->net->n_routes++];
	struct prefix parsed;

	must(prefix_parse(prefix, &parsed) == 0);
	*r = (struct shm_net_route){
		.gateway = addr_of(gateway),
		.source = addr_of(source),
		.ifindex = IN_MEMORY_IFINDEX(link),
		.family = parsed.addr.family,
		.len = parsed.len,
		.kind = (uint8_t)kind,
	};
	memcpy(r->addr.bytes, parsed.addr.bytes, sizeof(r->addr.bytes));
	return r;
}

void
link_world_say(struct link_world *w)
{
	must(in_memory_net(w->gateway, w->net) == 0);
}

static void
describe(struct link_world *w)
{
	w->net->n_ports = 2;
	for (unsigned i = 0; i < 2; i++)
		w->net->ports[i] = (struct shm_net_port){
			.ifindex = IN_MEMORY_IFINDEX(i),
			.mtu = 1500,
			.flags = SHM_PORT_UP,
			.mac = IN_MEMORY_MAC(i),
		};
	link_world_route(w, "192.0.2.2/32", SHM_ROUTE_LOCAL, WAN, NULL, NULL);
	link_world_route(w, "2001:db8::2/128", SHM_ROUTE_LOCAL, WAN, NULL, NULL);
	link_world_route(w, "192.168.77.1/32", SHM_ROUTE_LOCAL, LAN, NULL, NULL);
	link_world_route(w, "fd77::1/128", SHM_ROUTE_LOCAL, LAN, NULL, NULL);
	link_world_route(w, "100.64.0.1/32", SHM_ROUTE_LOCAL, 9, NULL, NULL);
	link_world_route(w, "127.0.0.0/8", SHM_ROUTE_LOCAL, 9, NULL, NULL);
	link_world_route(w, "192.0.2.0/24", SHM_ROUTE_CONNECTED, WAN, NULL, "192.0.2.2");
	link_world_route(w, "2001:db8::/64", SHM_ROUTE_CONNECTED, WAN, NULL, "2001:db8::2");
	link_world_route(w, "192.168.77.0/24", SHM_ROUTE_CONNECTED, LAN, NULL, "192.168.77.1");
	link_world_route(w, "fd77::/64", SHM_ROUTE_CONNECTED, LAN, NULL, "fd77::1");
	link_world_route(
		w, "192.168.78.0/24", SHM_ROUTE_GATEWAY, LAN, "192.168.77.254", "192.168.77.1");
	link_world_route(
		w, "192.168.79.0/24", SHM_ROUTE_GATEWAY, LAN, "192.168.77.254", "192.168.77.1")
		->mtu = 1000;
	link_world_route(w, "0.0.0.0/0", SHM_ROUTE_GATEWAY, WAN, "192.0.2.254", "192.0.2.2");
	link_world_route(w, "172.16.0.0/12", SHM_ROUTE_KERNEL, 9, NULL, NULL);
	link_world_route(w, "198.51.100.0/24", SHM_ROUTE_REFUSE, 9, NULL, NULL);
	link_world_say(w);
	in_memory_neighbour(
		w->gateway, WAN, "192.0.2.9", LINK_WORLD_CLIENT, SHM_NEIGHBOUR_REACHABLE);
	in_memory_neighbour(
		w->gateway, WAN, "2001:db8::9", LINK_WORLD_CLIENT, SHM_NEIGHBOUR_REACHABLE);
	in_memory_neighbour(
		w->gateway, WAN, "192.0.2.254", LINK_WORLD_GATEWAY, SHM_NEIGHBOUR_REACHABLE);
	in_memory_neighbour(
		w->gateway, LAN, "192.168.77.254", LINK_WORLD_ROUTER, SHM_NEIGHBOUR_REACHABLE);
	in_memory_neighbour(
		w->gateway, LAN, "192.168.77.5", LINK_WORLD_HOST, SHM_NEIGHBOUR_REACHABLE);
	in_memory_neighbour(w->gateway, LAN, "fd77::5", LINK_WORLD_HOST, SHM_NEIGHBOUR_REACHABLE);
}

static void
create_gateway(struct link_world *w)
{
	const struct in_memory_config config = { .n_workers = 1,
		.n_frames = 1024,
		.n_links = 2,
		.is_shared = getenv("GATEWAYS_SHARED") != NULL };
	struct in_memory *m;

	must(in_memory_create(&config, &m) == 0);
	w->gateway = m;
	in_memory_begin(m, true);
	in_memory_settings(m, LINK_WORLD_MTU, "100.64.0.1", "fd7a::1");
	in_memory_prefix(m, "100.64.0.1/32", SHM_TO_HOST);
	in_memory_prefix(m, "fd7a::1/128", SHM_TO_HOST);
	in_memory_prefix(m, "100.64.0.0/10", SHM_TO_NOBODY);
	in_memory_prefix(m, "fd7a::/48", SHM_TO_NOBODY);
	in_memory_prefix(m, "10.99.0.0/16", SHM_TO_HOST);
	in_memory_peer(m, 0);
	in_memory_prefix(m, "100.64.0.2/32", 0);
	in_memory_prefix(m, "fd7a::2/128", 0);
	in_memory_peer(m, 1);
	in_memory_prefix(m, "10.3.0.0/16", 1);
	in_memory_prefix(m, "fd03::/16", 1);
	must(in_memory_commit(m) == 0);
}

static void
create_client(struct link_world *w)
{
	const struct in_memory_config config = { .n_workers = 1, .n_frames = 512 };
	struct in_memory *m;

	must(in_memory_create(&config, &m) == 0);
	w->client = m;
	in_memory_begin(m, true);
	in_memory_settings(m, IN_MEMORY_MTU, "100.64.0.2", "fd7a::2");
	in_memory_prefix(m, "100.64.0.2/32", SHM_TO_HOST);
	in_memory_prefix(m, "fd7a::2/128", SHM_TO_HOST);
	in_memory_prefix(m, "198.18.0.0/15", SHM_TO_HOST);
	in_memory_peer(m, 0);
	in_memory_prefix(m, "0.0.0.0/0", 0);
	in_memory_prefix(m, "::/0", 0);
	must(in_memory_commit(m) == 0);
	in_memory_path(m, 0, "192.0.2.2:51820", NULL);
}

static void
connect(struct link_world *w)
{
	const struct in_memory_session client = {
		.receiver_index = CLIENT_INDEX,
		.sender_index = GATEWAY_INDEX,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 0xfa,
		.key_send = 0xae,
	};
	const struct in_memory_session gateway = {
		.receiver_index = GATEWAY_INDEX,
		.sender_index = CLIENT_INDEX,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 0xae,
		.key_send = 0xfa,
	};
	struct shm_event event;

	in_memory_install(w->client, &client);
	in_memory_install(w->gateway, &gateway);
	while (in_memory_event(w->client, &event) || in_memory_event(w->gateway, &event))
		;
}

void
link_world_endpoint(struct link_world *w, const char *remote, const char *local)
{
	in_memory_path(w->gateway, 0, remote, local);
}

void
link_world_create(struct link_world *w)
{
	must(aead_init(NULL) == 0);
	w->net = calloc(1, sizeof(*w->net));
	must(w->net != NULL);
	create_gateway(w);
	create_client(w);
	describe(w);
	link_world_endpoint(w, "192.0.2.9:41641", NULL);
	in_memory_path(w->gateway, 1, "192.0.2.10:41641", NULL);
	connect(w);
}

void
link_world_destroy(struct link_world *w)
{
	struct output rest;

	while (link_world_out(w, &rest))
		;
	tap_int((long long)in_memory_free_frames(w->gateway) + w->gateway->workers[0]->w.n_waiting,
		pool_frame_count(w->gateway->pool), "the gateway has all its buffers again");
	in_memory_destroy(w->gateway);
	in_memory_destroy(w->client);
	free(w->net);
}

/* ---- in ---- */

size_t
link_world_frame(uint8_t *frame, unsigned link, uint8_t from, const void *packet, size_t len)
{
	const uint8_t to_mac[6] = IN_MEMORY_MAC(link), from_mac[6] = { 2, 0, 0, 0, 0, from };
	const uint8_t *p = packet;

	memcpy(frame, to_mac, sizeof(to_mac));
	memcpy(frame + 6, from_mac, sizeof(from_mac));
	store_be16(frame + 12, len > 0 && p[0] >> 4 == 6 ? 0x86dd : 0x0800);
	memcpy(frame + 14, packet, len);
	return 14 + len;
}

void
link_world_push(struct link_world *w, unsigned link, const void *frame, size_t len)
{
	must(in_memory_push_link(w->gateway, link, 0, frame, len));
	in_memory_round(w->gateway);
}

void
link_world_from(struct link_world *w, unsigned link, uint8_t from, const void *packet, size_t len)
{
	uint8_t frame[2048];

	link_world_push(w, link, frame, link_world_frame(frame, link, from, packet, len));
}

size_t
link_world_seal(struct link_world *w,
	const void *packet,
	size_t len,
	uint8_t outer_ecn,
	uint8_t *ret)
{
	uint8_t *udp = ret + IPV4_HEADER_LEN;
	struct message msg;
	size_t total;

	must(gateway_seal(w->client, packet, len, &msg));
	total = IPV4_HEADER_LEN + UDP_HEADER_LEN + msg.len;
	packet_make(ret, total,
		&(struct packet_make){ .src = "192.0.2.9", .dst = "192.0.2.2", .ecn = outer_ecn });
	store_be16(udp, 41641);
	store_be16(udp + 2, IN_MEMORY_LISTEN_PORT);
	store_be16(udp + 4, (uint16_t)(UDP_HEADER_LEN + msg.len));
	memcpy(udp + UDP_HEADER_LEN, msg.data, msg.len);
	return total;
}

void
link_world_from_client(struct link_world *w, const void *packet, size_t len, uint8_t outer_ecn)
{
	uint8_t outer[2048];

	link_world_from(w, WAN, LINK_WORLD_CLIENT, outer,
		link_world_seal(w, packet, len, outer_ecn, outer));
}

/* ---- out ---- */

// What the client gets out of a message.
static void
open_message(struct link_world *w, struct output *ret, const uint8_t *data, size_t len)
{
	struct message msg = { .len = len, .ecn = ret->tos & 3 }, inner;

	memcpy(msg.data, data, len);
	must(gateway_open(w->client, &msg, &inner));
	ret->len = inner.len;
	memcpy(ret->data, inner.data, inner.len);
}

static bool
is_sealed(const uint8_t *p, const struct ip_view *v)
{
	return v->protocol == IP_PROTOCOL_UDP &&
	       load_be16(p + v->header_len) == IN_MEMORY_LISTEN_PORT &&
	       wg_message_type(p + v->header_len + UDP_HEADER_LEN,
		       v->total_len - v->header_len - UDP_HEADER_LEN) == WG_MESSAGE_TRANSPORT_DATA;
}

static void
read_outer(struct output *ret, const uint8_t *p, const struct ip_view *v)
{
	struct addr src = ip_src(v), dst = ip_dst(v);

	ret->tos = v->family == ADDR_V4 ? p[1] : (uint8_t)(load_be16(p) >> 4);
	ret->outer = (struct pkt_outer){
		.family = v->family,
		.remote_port = load_be16(p + v->header_len + 2),
	};
	memcpy(ret->outer.local, src.bytes, sizeof(src.bytes));
	memcpy(ret->outer.remote, dst.bytes, sizeof(dst.bytes));
	ret->outer_len = v->total_len;
	ret->outer_may_be_cut = v->family == ADDR_V4 && !ip_dont_fragment(v);
}

static void
read_frame(struct link_world *w, unsigned link, const struct pkt *p, struct output *ret)
{
	const uint8_t own[6] = IN_MEMORY_MAC(link), *packet = p->data + 14;
	struct ip_view v;

	must(p->len > 14 && memcmp(p->data + 6, own, sizeof(own)) == 0);
	must(ip_parse(packet, p->len - 14, &v) && v.total_len == p->len - 14);
	must(load_be16(p->data + 12) == (v.family == ADDR_V4 ? 0x0800 : 0x86dd));
	ret->to_mac = p->data[5];
	ret->place = link == LAN ? BY_LAN : BY_WAN;
	if (is_sealed(packet, &v)) {
		ret->place = TO_CLIENT;
		must(link == WAN && packet_is_sound(packet, v.total_len));
		read_outer(ret, packet, &v);
		open_message(w, ret, packet + v.header_len + UDP_HEADER_LEN,
			v.total_len - v.header_len - UDP_HEADER_LEN);
		return;
	}
	ret->len = v.total_len;
	memcpy(ret->data, packet, v.total_len);
}

static bool
take_frame(struct link_world *w, unsigned link, struct output *ret)
{
	struct pkt *p = in_memory_take_link(w->gateway, link, 0);

	if (p == NULL)
		return false;
	read_frame(w, link, p, ret);
	in_memory_put(w->gateway, p);
	return true;
}

bool
link_world_out(struct link_world *w, struct output *ret)
{
	struct message msg;

	memset(ret, 0, sizeof(*ret));
	if (take_frame(w, LAN, ret) || take_frame(w, WAN, ret))
		return true;
	if (gateway_take_host(w->gateway, &msg)) {
		ret->place = TO_HOST;
		ret->len = msg.len;
		memcpy(ret->data, msg.data, msg.len);
		return true;
	}
	if (!gateway_take_wire(w->gateway, &msg))
		return false;
	ret->place = BY_SOCKET;
	ret->outer = msg.outer;
	ret->tos = msg.ecn;
	open_message(w, ret, msg.data, msg.len);
	return true;
}
