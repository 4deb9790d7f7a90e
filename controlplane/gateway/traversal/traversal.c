/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "traversal"

#include "controlplane/gateway/traversal/traversal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "config/gateway.h"
#include "controlplane/gateway/stream/stream.h"
#include "controlplane/gateway/stream/trust.h"
#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "controlplane/gateway/traversal/netcheck/own_endpoints.h"
#include "controlplane/gateway/traversal/port_mapping/port_mapping.h"
#include "controlplane/gateway/traversal/relay/relays.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/tailnet/derp_map.h"
#include "lib/traversal/datagram.h"

/* How packets that came through a relay show their origin; peer.md 0.1. */
static const struct addr relay_addr = { ADDR_V4, { 127, 3, 3, 40 } };

#define FACTS_PAUSE_NS  (100 * NS_PER_MS) /* changes that come together are told together */
#define ACTIVE_PAUSE_NS (500 * NS_PER_MS)

struct relayed_peer { /* whom the data plane's packets for a relay are for */
	struct public_key key;
	uint16_t region;  /* the last one chosen; packets under way may come after another choice */
	struct mono told; /* paths were told that packets leave */
};

struct traversal {
	struct traversal_calls calls;
	struct mono now;
	int epoll;
	bool is_member;
	struct trust *trust;
	struct stream_set *streams;
	struct paths *paths;
	struct relays *relays;
	struct own_endpoints *endpoints;
	struct port_mapping *port_mapping;
	struct derp_map *map; /* what is in force */
	uint64_t map_serial;
	uint16_t home_region;
	struct relayed_peer *relayed; /* by peer number */
	uint32_t n_relayed;
	struct mono facts_due; /* never: nothing has changed */
};

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (!mono_is_never(candidate) && (mono_is_never(*at) || candidate.ns < at->ns))
		*at = candidate;
}

/* --- calls of paths --- */

static bool
send_udp(void *context,
	const struct endpoint *to,
	const struct addr *local,
	const uint8_t *data,
	size_t len)
{
	struct traversal *t = context;

	return t->calls.send_udp(t->calls.context, to, local, data, len);
}

static bool
send_relay(void *context,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len)
{
	struct traversal *t = context;

	return relays_send(t->relays, region, to, data, len, t->now);
}

static void
on_chosen(void *context, uint32_t peer, const struct paths_choice *choice)
{
	struct traversal *t = context;

	if (choice->relay && peer < t->n_relayed)
		t->relayed[peer].region = choice->region;
	t->calls.set_path(t->calls.context, peer, &choice->direct, &choice->local, choice->relay);
}

static size_t
tell_endpoints(void *context, struct endpoint *ret, size_t max, bool *ret_is_fresh)
{
	struct traversal *t = context;
	const struct own_endpoint *own;
	size_t n = own_endpoints_get(t->endpoints, t->now, &own, ret_is_fresh);

	if (n > max)
		n = max;
	for (size_t i = 0; i < n; i++)
		ret[i] = own[i].endpoint;
	return n;
}

static void
on_session_reset(void *context, uint32_t peer)
{
	struct traversal *t = context;

	t->calls.reset_sessions(t->calls.context, peer);
}

static void
on_pong(void *context, uint64_t token, const struct paths_pong *pong)
{
	struct traversal *t = context;

	t->calls.pong(t->calls.context, token, pong);
}

static void
fill_random(void *context, void *out, size_t len)
{
	(void)context;
	random_bytes(out, len);
}

/* --- calls of relays --- */

static void
on_relayed(void *context, uint16_t region, const struct public_key *from, uint8_t *data, size_t len)
{
	struct traversal *t = context;
	struct traversal_source source = { .remote = { .addr = relay_addr, .port = region },
		.relayed_from = from };
	struct paths_source disco = { .region = region, .relay_key = *from };

	if (datagram_kind_of_relay(data, len) == DATAGRAM_DISCO)
		paths_receive(t->paths, &disco, data, len, t->now);
	else
		t->calls.relayed(t->calls.context, &source, data, len);
}

static void
facts_changed(struct traversal *t)
{
	if (mono_is_never(t->facts_due))
		t->facts_due = mono_add_ns(t->now, FACTS_PAUSE_NS);
}

static void
on_relay_state(void *context, uint16_t region, enum relay_state state, const char *why)
{
	struct traversal *t = context;

	if (why != NULL)
		log_info("relay region=%u %s: %s", region, relay_state_name(state), why);
	facts_changed(t);
}

/* --- calls of own_endpoints and port_mapping --- */

static void
on_endpoints(void *context, bool is_changed)
{
	struct traversal *t = context;

	if (is_changed)
		facts_changed(t);
	paths_endpoints_fresh(t->paths, t->now);
}

static void
take_home(struct traversal *t, uint16_t region)
{
	t->home_region = region;
	log_notice("home relay region=%u", region);
	relays_set_home(t->relays, region, t->now);
}

static void
on_report(void *context, const struct netcheck_report *report)
{
	struct traversal *t = context;

	if (report->preferred_region > 0 && report->preferred_region <= UINT16_MAX &&
		report->preferred_region != t->home_region) {
		take_home(t, (uint16_t)report->preferred_region);
	}
	facts_changed(t);
}

static bool
send_stun(void *context, const struct endpoint *to, const uint8_t *data, size_t len)
{
	static const struct addr any;
	struct traversal *t = context;

	return t->calls.send_udp(t->calls.context, to, &any, data, len);
}

static struct mono
relay_heard(void *context, int32_t region_id)
{
	const struct traversal *t = context;
	struct relay_facts facts;

	for (size_t i = 0; relays_facts(t->relays, i, &facts); i++)
		if (facts.region == region_id)
			return facts.last_rx;
	return (struct mono){};
}

static void
on_protocols(void *context, enum tri upnp, enum tri pmp, enum tri pcp)
{
	struct traversal *t = context;

	own_endpoints_set_protocols(t->endpoints, upnp, pmp, pcp);
	facts_changed(t);
}

static void
on_mapped(void *context, const struct endpoint *external)
{
	struct traversal *t = context;

	own_endpoints_set_mapped(t->endpoints, external, t->now);
}

/* --- facts --- */

static void
fill_facts(struct traversal *t, struct traversal_facts *f)
{
	const struct own_endpoint *own;
	const struct netcheck_report *report = own_endpoints_report(t->endpoints);
	struct port_mapping_facts mapping;
	bool is_fresh;

	f->n_endpoints = own_endpoints_get(t->endpoints, t->now, &own, &is_fresh);
	if (f->n_endpoints > FACTS_MAX_ENDPOINTS)
		f->n_endpoints = FACTS_MAX_ENDPOINTS;
	memcpy(f->endpoints, own, f->n_endpoints * sizeof(f->endpoints[0]));
	f->has_report = report != NULL;
	if (report != NULL)
		f->report = *report;
	// Routers take longer to answer than a round of STUN.
	port_mapping_facts(t->port_mapping, &mapping);
	f->report.upnp = mapping.upnp;
	f->report.pmp = mapping.pmp;
	f->report.pcp = mapping.pcp;
	f->report.mapped = mapping.external;
	f->home_region = t->home_region;
	while (f->n_relays < FACTS_MAX_RELAYS &&
		relays_facts(t->relays, f->n_relays, &f->relays[f->n_relays]))
		f->n_relays++;
}

static void
tell_facts(struct traversal *t)
{
	struct traversal_facts *facts = calloc(1, sizeof(*facts));

	t->facts_due = (struct mono){};
	if (facts == NULL)
		return; // the next change tells
	fill_facts(t, facts);
	t->calls.facts(t->calls.context, facts);
}

/* --- who we are --- */

static void
take_map(struct traversal *t, const struct desired_self *self)
{
	struct derp_map *map = NULL;

	if (self->derp_map_serial == t->map_serial)
		return;
	if (self->derp_map != NULL && derp_map_copy(self->derp_map, &map) < 0)
		return; // the next desired state has it again
	if (relays_set_map(t->relays, map, t->now) < 0 ||
		own_endpoints_set_map(t->endpoints, map, t->now) < 0) {
		derp_map_destroy(map);
		return;
	}
	derp_map_destroy(t->map);
	t->map = map;
	t->map_serial = self->derp_map_serial;
}

static void
leave(struct traversal *t)
{
	static const struct public_key none;

	if (!t->is_member)
		return;
	t->is_member = false;
	(void)paths_set_self(t->paths, &none, NULL, t->now);
	relays_set_key(t->relays, NULL, t->now);
	own_endpoints_stop(t->endpoints, t->now);
	port_mapping_stop(t->port_mapping);
	t->home_region = 0;
}

static void
take_trust(struct traversal *t, struct trust *trust)
{
	if (trust == NULL || trust == t->trust)
		return;
	trust_unref(t->trust);
	t->trust = trust_ref(trust);
	stream_set_trust(t->streams, trust);
}

void
traversal_take_self(struct traversal *t,
	const struct desired_self *self,
	const struct secret_key *node_key,
	struct mono now)
{
	t->now = now;
	if (self == NULL) {
		leave(t);
		return;
	}
	take_trust(t, self->trust);
	if (paths_set_self(t->paths, &self->node_key, &self->disco_key, now) < 0)
		log_err("out of memory, no direct paths");
	relays_set_key(t->relays, node_key, now);
	take_map(t, self);
	if (t->is_member)
		return;
	t->is_member = true;
	// Where others look for us until the network has been looked at.
	if (self->home_region != 0)
		take_home(t, self->home_region);
	own_endpoints_set_home(t->endpoints, self->home_region);
	own_endpoints_start(t->endpoints, self->listen_port, now);
	port_mapping_start(t->port_mapping, self->listen_port, now);
}

static int
make_room(struct traversal *t, uint32_t number)
{
	uint32_t n = t->n_relayed > 0 ? t->n_relayed : 64;
	struct relayed_peer *more;

	if (number < t->n_relayed)
		return 0;
	while (n <= number)
		n *= 2;
	more = realloc(t->relayed, n * sizeof(more[0]));
	if (more == NULL)
		return -ENOMEM;
	memset(more + t->n_relayed, 0, (n - t->n_relayed) * sizeof(more[0]));
	t->relayed = more;
	t->n_relayed = n;
	return 0;
}

void
traversal_take_peer(struct traversal *t,
	uint32_t number,
	const struct desired_peer *p,
	const struct endpoint *endpoints,
	struct mono now)
{
	struct paths_peer peer = { .node_key = p->public_key,
		.disco_key = p->disco_key,
		.home_region = p->home_region,
		.capver = p->capver > 0 ? (uint32_t)p->capver : 0,
		.endpoints = endpoints,
		.n_endpoints = p->n_endpoints,
		.is_wireguard_only = p->is_wireguard_only };

	t->now = now;
	if (number >= SHM_MAX_PEERS)
		return;
	if (make_room(t, number) == 0)
		t->relayed[number].key = p->public_key;
	if (paths_set_peer(t->paths, number, &peer, now) < 0)
		log_err("out of memory, a peer is not reached peer=%s", p->name);
}

void
traversal_drop_peer(struct traversal *t, uint32_t number)
{
	paths_remove_peer(t->paths, number);
	if (number < t->n_relayed)
		t->relayed[number] = (struct relayed_peer){};
}

void
traversal_adopt_path(struct traversal *t,
	uint32_t number,
	const struct endpoint *remote,
	const struct addr *local,
	bool in_doubt,
	struct mono now)
{
	t->now = now;
	if (in_doubt)
		paths_remember(t->paths, number, remote, local, now);
	else
		paths_adopt(t->paths, number, remote, local, now);
}

/* --- packets --- */

bool
traversal_datagram(struct traversal *t,
	const struct traversal_source *source,
	uint8_t *data,
	size_t len,
	struct mono now)
{
	struct paths_source from = { .endpoint = source->remote, .local = source->local };
	struct datagram d;

	t->now = now;
	if (!t->is_member)
		return false;
	datagram_classify(data, len, &d);
	switch (d.kind) {
	case DATAGRAM_STUN:
		(void)own_endpoints_datagram(t->endpoints, data, len, &source->remote, now);
		return true;
	case DATAGRAM_DISCO:
		if (!d.relayed)
			paths_receive(t->paths, &from, data, len, now);
		return true;
	case DATAGRAM_WIREGUARD:
		break;
	}
	return d.relayed; // through a peer relay, which nobody was told to use
}

void
traversal_send(struct traversal *t,
	uint32_t number,
	const uint8_t *data,
	size_t len,
	struct mono now)
{
	t->now = now;
	(void)paths_send(t->paths, number, data, len, now); // timers repeat it
}

void
traversal_send_relayed(struct traversal *t,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now)
{
	(void)relays_send(t->relays, region, to, data, len, now);
}

void
traversal_relay_packet(struct traversal *t,
	uint32_t number,
	const uint8_t *data,
	size_t len,
	struct mono now)
{
	struct relayed_peer *to = number < t->n_relayed ? &t->relayed[number] : NULL;

	if (to == NULL || to->region == 0)
		return;
	(void)relays_send(t->relays, to->region, &to->key, data, len, now);
	// The counters would tell it within a second: a direct path is looked for sooner.
	if (!mono_is_never(to->told) && mono_diff_ns(now, to->told) < ACTIVE_PAUSE_NS)
		return;
	to->told = now;
	paths_sent(t->paths, number, now, now);
}

void
traversal_active(struct traversal *t, uint32_t number, struct mono last_tx, struct mono now)
{
	t->now = now;
	paths_sent(t->paths, number, last_tx, now);
	if (t->is_member)
		own_endpoints_active(t->endpoints, now);
}

/* --- the network --- */

void
traversal_network_changed(struct traversal *t, struct mono now)
{
	t->now = now;
	if (!t->is_member)
		return;
	paths_network_changed(t->paths, now);
	relays_network_changed(t->relays, now);
	own_endpoints_network_changed(t->endpoints, now);
	port_mapping_network_changed(t->port_mapping, now);
}

void
traversal_ping(struct traversal *t, uint32_t number, uint64_t token, size_t size, struct mono now)
{
	t->now = now;
	paths_ping(t->paths, number, token, size, now);
}

void
traversal_netcheck(struct traversal *t, struct mono now)
{
	t->now = now;
	if (t->is_member)
		own_endpoints_check(t->endpoints, now);
	facts_changed(t);
}

bool
traversal_view(const struct traversal *t, uint32_t number, struct path_view *ret)
{
	if (!paths_state(t->paths, number, t->now, &ret->state))
		return false;
	ret->taken = t->now;
	ret->n_candidates =
		paths_candidates(t->paths, number, ret->candidates, PATH_VIEW_MAX_CANDIDATES);
	return true;
}

bool
traversal_path(const struct traversal *t, uint32_t number, struct paths_state *ret_state)
{
	return paths_state(t->paths, number, t->now, ret_state);
}

/* --- time --- */

struct mono
traversal_dispatch(struct traversal *t, struct mono now)
{
	struct mono at;

	t->now = now;
	at = stream_set_dispatch(t->streams, now);
	// Paths may want our endpoints looked at.
	take_earlier(&at, paths_tick(t->paths, now));
	take_earlier(&at, own_endpoints_tick(t->endpoints, now));
	take_earlier(&at, port_mapping_dispatch(t->port_mapping, now));
	take_earlier(&at, relays_tick(t->relays, now));
	if (!mono_is_never(t->facts_due) && mono_diff_ns(now, t->facts_due) >= 0)
		tell_facts(t);
	take_earlier(&at, t->facts_due);
	return mono_is_never(at) ? mono_add_ns(now, 60 * NS_PER_S) : at;
}

void
traversal_flush(struct traversal *t)
{
	relays_flush(t->relays);
}

int
traversal_fd(const struct traversal *t)
{
	return t->epoll;
}

/* --- start and end --- */

static int
watch(struct traversal *t, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int
create_parts(struct traversal *t)
{
	const struct paths_calls of_paths = { .send_udp = send_udp,
		.send_relay = send_relay,
		.chosen = on_chosen,
		.own_endpoints = tell_endpoints,
		.session_reset = on_session_reset,
		.pong = on_pong,
		.random = fill_random,
		.context = t };
	const struct relays_calls of_relays = {
		.packet = on_relayed, .state = on_relay_state, .context = t
	};
	const struct own_endpoints_calls of_endpoints = { .send = send_stun,
		.changed = on_endpoints,
		.report = on_report,
		.relay_heard = relay_heard,
		.random = fill_random,
		.context = t };
	const struct port_mapping_calls of_mapping = {
		.mapped = on_mapped, .protocols = on_protocols, .context = t
	};
	int err = trust_create(NULL, &t->trust);

	if (err == 0)
		err = stream_set_create(t->trust, CONFIG_OUTER_MARK, &t->streams);
	if (err == 0)
		err = paths_create(&of_paths, &t->paths);
	if (err == 0)
		err = relays_create(t->streams, &of_relays, &t->relays);
	if (err == 0)
		err = own_endpoints_create(t->streams, &of_endpoints, &t->endpoints);
	if (err == 0)
		err = port_mapping_create(&of_mapping, CONFIG_OUTER_MARK, &t->port_mapping);
	if (err == 0)
		err = watch(t, stream_set_fd(t->streams));
	if (err == 0)
		err = watch(t, port_mapping_fd(t->port_mapping));
	return err;
}

int
traversal_create(const struct traversal_calls *calls, struct traversal **ret_traversal)
{
	struct traversal *t = calloc(1, sizeof(*t));
	int err;

	if (t == NULL)
		return -ENOMEM;
	t->calls = *calls;
	t->now = mono_now();
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = t->epoll >= 0 ? create_parts(t) : -errno;
	if (err < 0) {
		traversal_destroy(t);
		return err;
	}
	*ret_traversal = t;
	return 0;
}

void
traversal_destroy(struct traversal *t)
{
	if (t == NULL)
		return;
	port_mapping_destroy(t->port_mapping);
	own_endpoints_destroy(t->endpoints);
	relays_destroy(t->relays);
	paths_destroy(t->paths);
	stream_set_destroy(t->streams);
	trust_unref(t->trust);
	derp_map_destroy(t->map);
	free(t->relayed);
	if (t->epoll >= 0)
		close(t->epoll);
	free(t);
}
