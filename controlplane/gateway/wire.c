/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "wire"

#include "controlplane/gateway/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/gateway/handshake/engine.h"
#include "controlplane/gateway/publish/attach.h"
#include "controlplane/gateway/publish/dataplane.h"
#include "controlplane/gateway/publish/publisher.h"
#include "controlplane/gateway/publish/shm_address.h"
#include "controlplane/gateway/snapshot.h"
#include "controlplane/gateway/traversal/traversal.h"
#include "controlplane/gateway/udp.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/crypto/key.h"
#include "lib/traversal/tsmp.h"

#define EVENTS_PER_ROUND  1024
#define BATCHES_PER_ROUND 4 /* of datagrams, per socket */
#define SNAPSHOT_SLICE    1024
#define MAX_PATH_VIEWS    256
#define STAMPS_EVERY_NS   (5 * NS_PER_S)
#define MEMBERS_SLICE     1024            /* peers that the traversal is told about in one round */
#define RING_RETRY_NS     (2 * NS_PER_MS) /* while something waits for room in the command ring */

enum source {
	SOURCE_INBOX,
	SOURCE_KEEPER,
	SOURCE_BELL,
	SOURCE_WIRE4,
	SOURCE_WIRE6,
	SOURCE_TRAVERSAL,
};

#define MAX_INSIDE 16
struct inside_ping {     /* by TSMP */
	uint64_t number; /* 0: free */
	uint8_t token[TSMP_TOKEN_LEN];
	struct mono sent;
};

struct wire {
	struct mailbox *inbox, *outbox;
	int epoll;
	bool stopping;
	struct attach attach;
	struct dataplane dp;
	struct publisher publisher;
	struct engine engine;
	struct udp *udp;
	struct traversal *traversal; /* of members of a tailnet */
	struct mono now;             /* of this round */

	struct desired *desired;  /* newest; NULL: none yet */
	struct desired *previous; /* in force until the newest is applied; NULL: none */
	uint64_t number;          /* of `desired` */
	uint64_t settled;         /* last number that coord was told about */
	bool have_exceptions;
	struct prefix *exceptions;
	size_t n_exceptions;
	bool everything_applied;
	bool wire_open; /* datagrams are read */
	bool adopted;   /* the data plane knew peers when we came */

	size_t next_member;            /* of `desired`: whom the traversal is told about next */
	bool members_due, publish_due; /* what of `desired` is left for the next rounds */

	struct inside_ping inside[MAX_INSIDE];
	struct snapshot *snapshot; /* under way */
	struct mono stamps_sent;
};

/* --- calls of the engine --- */

static bool
send_udp(void *context,
	const struct endpoint *remote,
	const struct addr *local,
	const uint8_t *data,
	size_t len)
{
	struct wire *w = context;
	char text[ADDR_TEXT_LEN];
	int err =
		udp_send(w->attach.wire[remote->addr.family == ADDR_V6], remote, local, data, len);

	if (err < 0) // timers repeat it
		log_debug(
			"datagram not sent to=%s: %s", endpoint_format(remote, text), err_str(err));
	return err == 0;
}

static void
send_datagram(void *context,
	const struct endpoint *remote,
	const struct addr *local,
	const struct public_key *relayed_to,
	const uint8_t *data,
	size_t len)
{
	struct wire *w = context;

	if (relayed_to != NULL)
		traversal_send_relayed(w->traversal, remote->port, relayed_to, data, len, w->now);
	else
		(void)send_udp(w, remote, local, data, len);
}

static void
send_to_member(void *context, uint32_t peer, const uint8_t *data, size_t len)
{
	struct wire *w = context;

	traversal_send(w->traversal, peer, data, len, w->now);
}

static void
member_active(void *context, uint32_t peer, struct mono last_tx)
{
	struct wire *w = context;

	traversal_active(w->traversal, peer, last_tx, w->now);
}

static void
want_resolved(void *context, const struct public_key *key)
{
	struct wire *w = context;
	struct letter *letter = letter_create(LETTER_RESOLVE);

	letter->key = *key;
	mailbox_post(w->outbox, letter);
}

static uint64_t
wall_ns(void *context)
{
	struct timespec ts;

	(void)context;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * (uint64_t)NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* --- calls of the traversal --- */

static void
set_member_path(void *context,
	uint32_t peer,
	const struct endpoint *remote,
	const struct addr *local,
	bool relay)
{
	struct wire *w = context;

	engine_set_member_path(&w->engine, peer, remote, local, relay);
}

static void
reset_sessions(void *context, uint32_t peer)
{
	struct wire *w = context;

	engine_reset_sessions(&w->engine, peer, w->now);
}

static void
take_relayed(void *context, const struct traversal_source *source, uint8_t *data, size_t len)
{
	struct wire *w = context;
	struct datagram d = { .remote = source->remote,
		.relayed_from = source->relayed_from,
		.data = data,
		.len = len };

	engine_datagram(&w->engine, &d, w->now);
}

static void
send_facts(void *context, struct traversal_facts *facts)
{
	struct wire *w = context;
	struct letter *letter = letter_create(LETTER_FACTS);

	letter->facts = facts;
	mailbox_post(w->outbox, letter);
}

static void
send_pong(void *context, uint64_t token, const struct paths_pong *pong)
{
	struct wire *w = context;
	struct letter *letter = letter_create(LETTER_PONG);

	letter->number = token;
	letter->pong = *pong;
	mailbox_post(w->outbox, letter);
}

/* --- calls of the publisher --- */

static bool
path_of(void *context, uint32_t peer, struct shm_path *ret_path)
{
	struct wire *w = context;

	return engine_path(&w->engine, peer, ret_path);
}

static void
settle(struct wire *w, uint64_t number, int value)
{
	struct letter *letter;

	if (number <= w->settled)
		return;
	w->settled = number;
	letter = letter_create(LETTER_SETTLED);
	letter->number = number;
	letter->value = value;
	mailbox_post(w->outbox, letter);
}

static void
applied_now(void *context, const struct rows *rows, uint64_t number)
{
	struct wire *w = context;

	engine_published(&w->engine, rows, w->now);
	w->everything_applied = number == w->number;
	if (number == w->number) {
		desired_destroy(w->previous);
		w->previous = NULL;
	}
	if (w->settled < number)
		log_notice("configuration applied generation=%llu peers=%zu prefixes=%zu",
			(unsigned long long)w->publisher.applied_generation, rows->n_peers,
			rows->n_prefixes);
	settle(w, number, 0);
}

static void take_desired(struct wire *w);

// What was in force stays in force: take it up again.
static void
refused(void *context, uint32_t reason, uint64_t number)
{
	struct wire *w = context;

	log_err("the data plane refused the configuration, the one before stays in force reason=%u",
		reason);
	settle(w, number, -EINVAL);
	if (number != w->number || w->previous == NULL)
		return;
	desired_destroy(w->desired);
	w->desired = w->previous;
	w->previous = NULL;
	take_desired(w);
}

/* --- desired state --- */

static void
publish(struct wire *w)
{
	struct rows *rows;

	if (w->desired == NULL || !w->have_exceptions || w->engine.known_boot == 0)
		return; // not complete yet, or peers have no numbers before the first attach
	rows = engine_rows(&w->engine, w->desired, w->exceptions, w->n_exceptions);
	if (rows == NULL) {
		log_err("out of memory, the data plane keeps what it has");
		return;
	}
	w->everything_applied = false;
	publisher_wish(&w->publisher, rows, w->number);
}

static void
take_member(struct wire *w, const struct desired_peer *from)
{
	struct peer *p = from->is_member ? peers_find(&w->engine.peers, &from->public_key) : NULL;

	if (p == NULL)
		return;
	traversal_take_peer(w->traversal, p->number, from,
		w->desired->endpoints + from->first_endpoint, w->now);
	if (p->has_noted_path)
		traversal_adopt_path(
			w->traversal, p->number, &p->endpoint, &p->local, p->relay, w->now);
	p->has_noted_path = false;
}

// The same peers by the same numbers as the engine's.  Those that leave are forgotten at once.
static void
begin_members(struct wire *w)
{
	const struct desired *d = w->desired;

	traversal_take_self(
		w->traversal, d->self.is_member ? &d->self : NULL, &d->private_key, w->now);
	for (struct peer *p = peers_next(&w->engine.peers, 0); p != NULL;
		p = peers_next(&w->engine.peers, p->number + 1))
		if (p->is_member && p->state != PEER_WANTED)
			traversal_drop_peer(w->traversal, p->number);
	w->next_member = 0;
	w->members_due = true;
	w->publish_due = false;
}

/*
 * What is desired, part by part, round by round: ten thousand peers at once would keep pongs
 * waiting.  Few are taken over in the round in which they came.
 */
static void
continue_desired(struct wire *w)
{
	const struct desired *d = w->desired;

	for (size_t i = 0; w->members_due && i < MEMBERS_SLICE && w->next_member < d->n_peers; i++)
		take_member(w, &d->peers[w->next_member++]);
	if (w->members_due && w->next_member == d->n_peers) {
		w->members_due = false;
		w->publish_due = true;
		if (d->n_peers > MEMBERS_SLICE)
			return;
	}
	if (w->publish_due) {
		w->publish_due = false;
		publish(w);
	}
}

static void
take_desired(struct wire *w)
{
	int err;

	if (w->desired == NULL || w->engine.known_boot == 0)
		return;
	w->everything_applied = false;
	err = engine_take_desired(&w->engine, w->desired, w->now);
	if (err < 0)
		log_err("not every peer could be added, some are left out: %s", err_str(err));
	begin_members(w);
	if (w->desired->n_peers <= MEMBERS_SLICE)
		continue_desired(w);
}

static void
on_desired(struct wire *w, struct letter *letter)
{
	// With a `previous`, the present one was never in force: not worth going back to.
	if (w->previous == NULL)
		w->previous = w->desired;
	else
		desired_destroy(w->desired);
	w->desired = letter->desired;
	letter->desired = NULL;
	w->number = letter->number;
	take_desired(w);
}

static void
on_exceptions(struct wire *w, struct letter *letter)
{
	free(w->exceptions);
	w->exceptions = letter->prefixes;
	w->n_exceptions = letter->n;
	letter->prefixes = NULL;
	w->have_exceptions = true;
	publish(w);
}

// Before the first attach there are no peers: it is kept where they will be made from.
static void
on_endpoint(struct wire *w, const struct letter *letter)
{
	if (w->engine.known_boot != 0) {
		engine_endpoint_resolved(&w->engine, &letter->key, &letter->endpoint, w->now);
		return;
	}
	for (size_t i = 0; w->desired != NULL && i < w->desired->n_peers; i++) {
		struct desired_peer *p = &w->desired->peers[i];

		if (memcmp(&p->public_key, &letter->key, sizeof(p->public_key)) == 0)
			p->endpoint = letter->endpoint;
	}
}

/* --- status, stamps --- */

static void
begin_snapshot(struct wire *w, uint64_t number)
{
	if (w->snapshot != NULL)
		return; // coord asks one at a time
	w->snapshot = snapshot_create(&w->engine, w->now);
	if (w->snapshot == NULL)
		return;
	w->snapshot->number = number;
	w->snapshot->generation = w->publisher.applied_generation;
	w->snapshot->settled = w->everything_applied;
}

static void
continue_snapshot(struct wire *w)
{
	struct letter *letter;

	if (w->snapshot == NULL ||
		!snapshot_add_peers(w->snapshot, &w->engine, w->traversal, SNAPSHOT_SLICE))
		return;
	letter = letter_create(LETTER_STATUS);
	letter->number = w->snapshot->number;
	letter->snapshot = w->snapshot;
	w->snapshot = NULL;
	mailbox_post(w->outbox, letter);
}

static void
send_stamps(struct wire *w)
{
	struct letter *letter = letter_create(LETTER_STAMPS);

	letter->stamps = engine_stamps(&w->engine, &letter->n);
	w->stamps_sent = w->now;
	mailbox_post(w->outbox, letter);
}

/* --- letters --- */

static void
ping_member(struct wire *w, const struct letter *letter)
{
	struct peer *p = peers_find(&w->engine.peers, &letter->key);
	struct paths_pong none = {};

	if (p == NULL || !p->is_member || p->state != PEER_WANTED)
		send_pong(w, letter->number, &none);
	else
		traversal_ping(w->traversal, p->number, letter->number, letter->n, w->now);
}

// By TSMP, through the tunnel itself.
static void
ping_inside(struct wire *w, const struct letter *letter)
{
	uint8_t packet[TSMP_PING_MAX_LEN], token[TSMP_TOKEN_LEN];
	const struct addr *from = NULL;
	size_t i = letter->number % MAX_INSIDE;

	for (size_t k = 0; w->desired != NULL && k < w->desired->n_addresses; k++)
		if (w->desired->addresses[k].addr.family == letter->endpoint.addr.family)
			from = &w->desired->addresses[k].addr;
	if (from == NULL)
		return; // coord's patience ends
	random_bytes(token, sizeof(token));
	w->inside[i] = (struct inside_ping){ .number = letter->number, .sent = w->now };
	memcpy(w->inside[i].token, token, sizeof(token));
	dataplane_inject_inner(
		&w->dp, packet, tsmp_ping_write(packet, from, &letter->endpoint.addr, token));
}

// Of members that somebody talks with, or has lately; of others there is nothing to see.
static void
send_paths(struct wire *w, uint64_t number)
{
	struct letter *letter = letter_create(LETTER_PATHS);

	letter->number = number;
	letter->path_views = calloc(MAX_PATH_VIEWS, sizeof(letter->path_views[0]));
	for (struct peer *p = peers_next(&w->engine.peers, 0);
		p != NULL && letter->path_views != NULL && letter->n < MAX_PATH_VIEWS;
		p = peers_next(&w->engine.peers, p->number + 1)) {
		struct path_view *view = &letter->path_views[letter->n];

		if (!p->is_member || !traversal_view(w->traversal, p->number, view))
			continue;
		view->node_key = p->remote.static_public;
		letter->n += view->state.is_active || !mono_is_never(view->state.last_ping_all);
	}
	mailbox_post(w->outbox, letter);
}

static void
read_letter(struct wire *w, struct letter *letter)
{
	switch (letter->kind) {
	case LETTER_DESIRED:
		on_desired(w, letter);
		break;
	case LETTER_EXCEPTIONS:
		on_exceptions(w, letter);
		break;
	case LETTER_ENDPOINT:
		on_endpoint(w, letter);
		break;
	case LETTER_ASK_STATUS:
		begin_snapshot(w, letter->number);
		break;
	case LETTER_PING:
		ping_member(w, letter);
		break;
	case LETTER_PING_INSIDE:
		ping_inside(w, letter);
		break;
	case LETTER_ASK_PATHS:
		send_paths(w, letter->number);
		break;
	case LETTER_NETCHECK:
		traversal_netcheck(w->traversal, w->now);
		break;
	case LETTER_STOP:
		w->stopping = true;
		break;
	default:
		break;
	}
}

static void
read_inbox(struct wire *w)
{
	struct letter *letter;

	while (!w->stopping && (letter = mailbox_take(w->inbox)) != NULL) {
		read_letter(w, letter);
		letter_destroy(letter);
	}
}

/* --- attach --- */

static void
watch(struct wire *w, int fd, enum source source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	if (fd >= 0 && epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST)
		log_err("a descriptor cannot be watched source=%d: %s", source, err_str(-errno));
}

/*
 * A fresh epoll forgets what was watched.  Closing our descriptors would not: the keeper holds the
 * same sockets.
 */
static int
open_epoll(struct wire *w)
{
	if (w->epoll >= 0)
		close(w->epoll);
	w->wire_open = false;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -errno;
	watch(w, w->inbox->bell, SOURCE_INBOX);
	watch(w, traversal_fd(w->traversal), SOURCE_TRAVERSAL);
	return 0;
}

static void
joined(struct wire *w)
{
	uint32_t n_peers, n_prefixes;
	uint64_t generation = 0;
	size_t n_lost;

	watch(w, w->dp.bell_cp, SOURCE_BELL);
	w->adopted = dataplane_applied(&w->dp, &generation, &n_peers, &n_prefixes) != NULL &&
	             generation != 0;
	udp_prepare(w->attach.wire[0], ADDR_V4);
	if (w->attach.wire[1] >= 0)
		udp_prepare(w->attach.wire[1], ADDR_V6);
	publisher_start_over(&w->publisher);
	w->everything_applied = false;
	n_lost = engine_attached(&w->engine, w->now);
	log_notice("attached to the data plane port=%u sessions=%u epoch=%u", w->dp.listen_port,
		w->engine.slots.count, w->dp.epoch);
	if (n_lost > 0)
		log_notice("the data plane is new, sessions are lost and made anew sessions=%zu",
			n_lost);
	take_desired(w);
	traversal_network_changed(w->traversal, w->now);
}

// UDP is read only once peers are known to the data plane: until then datagrams wait in the socket.
static void
open_wire(struct wire *w)
{
	if (w->wire_open || !w->dp.attached || w->desired == NULL ||
		(w->publisher.applied == NULL && !w->adopted))
		return;
	w->wire_open = true;
	watch(w, w->attach.wire[0], SOURCE_WIRE4);
	watch(w, w->attach.wire[1], SOURCE_WIRE6);
}

static void
lost(struct wire *w, const char *why)
{
	log_notice("the connection to the data plane ended, attaching anew: %s", why);
	publisher_detached(&w->publisher);
	w->everything_applied = false;
	if (open_epoll(w) < 0) {
		log_err("no descriptor is left to wait with: %s", err_str(-errno));
		abort(); // whoever started us starts us again
	}
}

static void
read_keeper(struct wire *w)
{
	if (w->attach.sock < 0)
		return;
	switch (attach_read(&w->attach, &w->dp, w->now)) {
	case ATTACH_JOINED:
		joined(w);
		break;
	case ATTACH_LOST:
		lost(w, "the keeper closed it");
		break;
	case ATTACH_NOTHING:
		break;
	}
}

static void
keep_attached(struct wire *w)
{
	if (dataplane_is_violated(&w->dp)) {
		attach_end(&w->attach, &w->dp, w->now);
		lost(w, "a ring holds what cannot be");
	}
	if (w->attach.sock >= 0 || mono_diff_ns(w->now, w->attach.retry_at) < 0)
		return;
	attach_connect(&w->attach, w->now);
	watch(w, w->attach.sock, SOURCE_KEEPER);
}

/* --- rings and sockets --- */

static void
on_event(struct wire *w, const struct shm_event *event)
{
	switch (event->kind) {
	case SHM_EV_APPLIED:
		publisher_on_applied(&w->publisher, event->generation);
		break;
	case SHM_EV_REFUSED:
		publisher_on_refused(&w->publisher, event->generation, event->value);
		break;
	case SHM_EV_RESYNC:
		log_notice("a new forwarder runs, saying everything again");
		publisher_start_over(&w->publisher);
		w->everything_applied = false;
		publish(w);
		break;
	default:
		engine_event(&w->engine, event, w->now);
		break;
	}
}

static void
read_events(struct wire *w)
{
	struct shm_event event;

	for (unsigned i = 0; i < EVENTS_PER_ROUND && w->dp.attached; i++) {
		if (!shm_ring_peek(&w->dp.events, &event))
			return;
		on_event(w, &event);
		shm_ring_advance(&w->dp.events);
	}
}

static void
take_tsmp(struct wire *w, const uint8_t *data, size_t len)
{
	struct tsmp_pong pong;
	struct letter *letter;

	if (!tsmp_pong_read(data, len, &pong))
		return; // refusals and disco keys: of no use to a router
	for (size_t i = 0; i < MAX_INSIDE; i++) {
		struct inside_ping *p = &w->inside[i];

		if (p->number == 0 || memcmp(p->token, pong.token, sizeof(p->token)) != 0)
			continue;
		letter = letter_create(LETTER_PONG);
		letter->number = p->number;
		letter->pong = (struct paths_pong){ .is_answered = true,
			.latency_ns = mono_diff_ns(w->now, p->sent) };
		letter->endpoint.port = pong.peer_api_port;
		mailbox_post(w->outbox, letter);
		p->number = 0;
	}
}

static void
take_datagram(void *context, const struct datagram *d)
{
	struct wire *w = context;
	struct traversal_source source = { .remote = d->remote, .local = d->local };

	if (!traversal_datagram(w->traversal, &source, d->data, d->len, w->now))
		engine_datagram(&w->engine, d, w->now);
}

static void
take_punted(struct wire *w, struct shm_packet *packet)
{
	struct datagram d = { .data = packet->data, .len = packet->len };

	if (packet->len > SHM_PACKET_LEN)
		return;
	if (packet->kind == SHM_PKT_RELAY) {
		traversal_relay_packet(
			w->traversal, packet->peer, packet->data, packet->len, w->now);
		return;
	}
	if (packet->kind == SHM_PKT_TSMP) {
		take_tsmp(w, packet->data, packet->len);
		return;
	}
	if (packet->kind != SHM_PKT_WIRE || !endpoint_of_shm(&packet->path, &d.remote, &d.local))
		return;
	// Data that the data plane punted would come back for ever.
	if (wg_message_type(d.data, d.len) != WG_MESSAGE_TRANSPORT_DATA)
		take_datagram(w, &d);
}

static void
read_punt(struct wire *w)
{
	struct shm_packet packet;

	for (unsigned i = 0; i < SHM_N_PACKETS && w->dp.attached; i++) {
		if (!shm_ring_peek(&w->dp.punt, &packet))
			return;
		shm_ring_advance(&w->dp.punt);
		take_punted(w, &packet);
	}
}

static void
read_wire(struct wire *w, int which, uint32_t events)
{
	int sock = w->attach.wire[which];

	if (sock < 0)
		return;
	if ((events & EPOLLERR) != 0)
		udp_drain_errors(sock);
	for (int i = 0; i < BATCHES_PER_ROUND; i++)
		if (udp_receive(w->udp, sock, which == 0 ? ADDR_V4 : ADDR_V6, take_datagram, w) <
			UDP_BATCH)
			return;
}

static void
silence_bell(const struct wire *w)
{
	uint64_t rung;

	if (w->dp.bell_cp >= 0 && read(w->dp.bell_cp, &rung, sizeof(rung)) < 0)
		return; // somebody was faster: nothing to do
}

/* --- loop --- */

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (candidate.ns < at->ns)
		*at = candidate;
}

// When to come again if nothing happens.
static struct mono
next_round(struct wire *w, struct mono engine_due)
{
	struct mono at = engine_due;

	if (w->attach.sock < 0)
		take_earlier(&at, w->attach.retry_at);
	if (dataplane_is_waiting(&w->dp) || publisher_is_talking(&w->publisher))
		take_earlier(&at, mono_add_ns(w->now, RING_RETRY_NS));
	if (w->snapshot != NULL || w->members_due || w->publish_due)
		at = w->now;
	return at;
}

static int
timeout_ms(const struct wire *w, struct mono at)
{
	int64_t ns = mono_diff_ns(at, w->now);

	if (ns <= 0)
		return 0;
	return ns > 60 * NS_PER_S ? 60000 : (int)((ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void
wait_for_something(struct wire *w, struct mono at)
{
	struct epoll_event events[8];
	bool asleep = true;
	int n;

	// Announce sleep in both rings, then look once more: what came before the announcement is
	// seen.
	if (w->dp.attached)
		asleep = shm_ring_sleep(&w->dp.events) && shm_ring_sleep(&w->dp.punt);
	n = epoll_wait(w->epoll, events, 8, asleep ? timeout_ms(w, at) : 0);
	if (w->dp.attached) {
		shm_ring_wake(&w->dp.events);
		shm_ring_wake(&w->dp.punt);
	}
	w->now = mono_now();
	for (int i = 0; i < n; i++) {
		switch ((enum source)events[i].data.u32) {
		case SOURCE_INBOX:
			read_inbox(w);
			break;
		case SOURCE_KEEPER:
			read_keeper(w);
			break;
		case SOURCE_BELL:
			silence_bell(w);
			break;
		case SOURCE_WIRE4:
			read_wire(w, 0, events[i].events);
			break;
		case SOURCE_WIRE6:
			read_wire(w, 1, events[i].events);
			break;
		case SOURCE_TRAVERSAL:
			break; // below, with its timers
		}
	}
}

static void
run_once(struct wire *w)
{
	struct mono due, ways_due;

	keep_attached(w);
	read_events(w);
	read_punt(w);
	due = engine_tick(&w->engine, w->now);
	ways_due = traversal_dispatch(w->traversal, w->now);
	take_earlier(&due, ways_due);
	traversal_flush(w->traversal);
	publisher_pump(&w->publisher);
	dataplane_flush(&w->dp);
	open_wire(w);
	continue_desired(w);
	continue_snapshot(w);
	if (w->engine.stamps_changed && mono_diff_ns(w->now, w->stamps_sent) >= STAMPS_EVERY_NS)
		send_stamps(w);
	wait_for_something(w, next_round(w, due));
}

void *
wire_run(void *wire)
{
	struct wire *w = wire;

	w->now = mono_now();
	while (!w->stopping)
		run_once(w);
	send_stamps(w);
	mailbox_post(w->outbox, letter_create(LETTER_STOPPED));
	return NULL;
}

int
wire_create(const char *run_dir,
	struct mailbox *inbox,
	struct mailbox *outbox,
	struct wire **ret_wire)
{
	struct wire *w = calloc(1, sizeof(*w));
	struct engine_calls calls = { .send = send_datagram,
		.send_to_member = send_to_member,
		.member_active = member_active,
		.resolve = want_resolved,
		.wall_ns = wall_ns,
		.context = w };
	struct traversal_calls ways = { .send_udp = send_udp,
		.set_path = set_member_path,
		.reset_sessions = reset_sessions,
		.relayed = take_relayed,
		.facts = send_facts,
		.pong = send_pong,
		.context = w };
	int err;

	if (w == NULL)
		return -ENOMEM;
	w->inbox = inbox;
	w->outbox = outbox;
	dataplane_init(&w->dp);
	publisher_init(&w->publisher, &w->dp);
	w->publisher.path = path_of;
	w->publisher.applied_now = applied_now;
	w->publisher.refused = refused;
	w->publisher.context = w;
	w->epoll = -1;
	err = attach_init(&w->attach, run_dir);
	if (err == 0)
		err = engine_init(&w->engine, &w->dp, &calls);
	if (err < 0) {
		free(w);
		return err;
	}
	w->udp = udp_create();
	err = w->udp != NULL ? traversal_create(&ways, &w->traversal) : -ENOMEM;
	if (err == 0)
		err = open_epoll(w);
	if (err < 0) {
		wire_destroy(w);
		return err;
	}
	*ret_wire = w;
	return 0;
}

void
wire_destroy(struct wire *w)
{
	if (w == NULL)
		return;
	snapshot_destroy(w->snapshot);
	attach_fini(&w->attach, &w->dp);
	engine_fini(&w->engine);
	publisher_fini(&w->publisher);
	dataplane_fini(&w->dp);
	desired_destroy(w->desired);
	desired_destroy(w->previous);
	free(w->exceptions);
	traversal_destroy(w->traversal);
	udp_destroy(w->udp);
	if (w->epoll >= 0)
		close(w->epoll);
	free(w);
}
