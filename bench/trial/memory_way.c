/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/trial/memory_way.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/io_memory.h"
#include "dataplane/path/burst.h"
#include "lib/wg/message.h"

#define SEND_BURST       32
#define SOURCE_PORT      30000
#define DESTINATION_PORT 20000

// A message in a store, its bytes behind it.
struct record {
	uint64_t arrived_ns; // outbound
	uint32_t len;
	uint32_t flow; // inbound
};

#define RECORD_ALIGN 16
static_assert(sizeof(struct record) % RECORD_ALIGN == 0, "records follow each other");

struct memory_way {
	struct memory_world *world;
	struct memory_way_config config;
	struct port *in, *out;
	struct flow_plan plan;
	struct pace pace;
	struct tally *tally;
	uint8_t *store;
	size_t store_len;
	size_t filled, taken; // bytes of it
	uint64_t sealed;      // inbound: number of the first packet that is not in the store
	uint64_t round_end;   // number of the first packet that is not of this round
	uint64_t arrived;
};

static uint32_t
message_len(const struct memory_world *world, uint32_t len)
{
	return WG_TRANSPORT_HEADER_LEN + wg_padded_len(len, world->mtu) + WG_TAG_LEN;
}

static size_t
record_len(uint32_t len)
{
	return sizeof(struct record) + ((len + RECORD_ALIGN - 1) & ~(RECORD_ALIGN - 1));
}

static size_t
period_len(const struct memory_world *world, const struct sizes *sizes)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < sizes->n; i++)
		sum += record_len(message_len(world, sizes->order[i]));
	return sum;
}

size_t
memory_way_store_len(const struct memory_world *world, const struct memory_way_config *config)
{
	double packets = config->rate_pps > 0 ? config->rate_pps * config->seconds
	                                      : (double)config->most_packets;
	double periods = packets / config->sizes->n + 2;
	double len = periods * (double)period_len(world, config->sizes);

	// Whole cache lines: stores of two directions lie side by side.
	return len < 0x1p62 ? ((size_t)len + 63) & ~(size_t)63 : (size_t)1 << 62;
}

static struct flow_plan
plan_of(const struct memory_world *world, const struct memory_way_config *config)
{
	struct flow_plan plan = {
		.run = config->run,
		.n_flows = config->n_flows,
		.source = memory_world_host_addr(world),
		.destination = memory_world_peer_addr(world),
		.n_destinations = world->n_peers,
		.source_port = SOURCE_PORT,
		.destination_port = DESTINATION_PORT,
		.packet_ns = config->rate_pps > 0 ? 1e9 / config->rate_pps : 0,
	};

	if (config->is_inbound) {
		plan.source = memory_world_peer_addr(world);
		plan.destination = memory_world_host_addr(world);
		plan.n_sources = world->n_peers;
		plan.n_destinations = 1;
	}
	return plan;
}

int
memory_way_create(struct memory_world *world,
	const struct memory_way_config *config,
	uint8_t *store,
	size_t store_len,
	struct memory_way **ret_way)
{
	struct memory_way *way = calloc(1, sizeof(*way));
	int err;

	if (way == NULL)
		return -ENOMEM;
	way->world = world;
	way->config = *config;
	way->in = config->is_inbound ? world->m->wire : world->m->host;
	way->out = config->is_inbound ? world->m->host : world->m->wire;
	way->plan = plan_of(world, config);
	way->store = store;
	way->store_len = store_len;
	pace_init(&way->pace, config->rate_pps, config->seconds, SEND_BURST);
	if (way->pace.end > config->most_packets)
		way->pace.end = config->most_packets;
	err = tally_create(&way->plan, way->pace.end / config->n_flows + 1, &way->tally);
	if (err < 0) {
		free(way);
		return err;
	}
	*ret_way = way;
	return 0;
}

void
memory_way_destroy(struct memory_way *way)
{
	if (way == NULL)
		return;
	tally_destroy(way->tally);
	free(way);
}

// --- sealing -----------------------------------------------------------------------------------

static struct flow_mark
mark_of(const struct memory_way *way, uint64_t i)
{
	bool has_due = way->pace.packet_ns > 0;

	return (struct flow_mark){
		.flow = (uint32_t)(i % way->plan.n_flows),
		.sequence = i / way->plan.n_flows,
		.due_ns = has_due ? pace_due_ns(way->pace.packet_ns, i) : FLOW_NO_DUE,
	};
}

static struct memory_peer *
peer_of(const struct memory_way *way, uint32_t flow)
{
	return &way->world->peers[flow % way->world->n_peers];
}

// Write packet i as a message that is still to be sealed by the job.  Returns the message's length.
static uint32_t
write_message(struct memory_way *way, uint64_t i, uint8_t *message, struct aead_job *ret_job)
{
	uint32_t len = sizes_at(way->config.sizes, i);
	uint32_t padded = wg_padded_len(len, way->world->mtu);
	struct flow_mark mark = mark_of(way, i);
	struct memory_peer *peer = peer_of(way, mark.flow);
	uint8_t *data = message + WG_TRANSPORT_HEADER_LEN;

	flow_write(data, len, &way->plan, &mark);
	memset(data + len, 0, padded - len);
	*ret_job = (struct aead_job){
		.data = data, .key = peer->key_to_device, .counter = peer->counter++, .len = padded
	};
	wg_transport_header_write(message, peer->receiver_index, ret_job->counter);
	return WG_TRANSPORT_HEADER_LEN + padded + WG_TAG_LEN;
}

static void
seal_into_store(struct memory_way *way)
{
	struct aead_job jobs[AEAD_BURST];

	way->filled = way->taken = 0;
	while (way->sealed < way->round_end) {
		uint64_t left = way->round_end - way->sealed;
		size_t n = left < AEAD_BURST ? (size_t)left : AEAD_BURST;

		for (size_t k = 0; k < n; k++, way->sealed++) {
			struct record *r = (struct record *)(way->store + way->filled);

			r->flow = (uint32_t)(way->sealed % way->plan.n_flows);
			r->len = write_message(way, way->sealed, (uint8_t *)(r + 1), &jobs[k]);
			way->filled += record_len(r->len);
			assert(way->filled <= way->store_len);
		}
		aead_seal(jobs, n);
	}
}

void
memory_way_prepare(struct memory_way *way)
{
	size_t periods;

	if (way->pace.next < way->round_end)
		return; // the other direction's round was over before: go on
	way->round_end = way->pace.end;
	if (!way->config.is_ahead)
		return;
	periods = way->store_len / period_len(way->world, way->config.sizes);
	if ((way->pace.end - way->pace.next) / way->config.sizes->n >= periods)
		way->round_end = way->pace.next + periods * way->config.sizes->n;
	if (way->config.is_inbound)
		seal_into_store(way);
}

// --- sending -----------------------------------------------------------------------------------

// A burst out of the store; those that have no frame are only skipped.
static void
copy_burst(struct memory_way *way, struct pkt **pkts, uint32_t n, uint32_t n_frames)
{
	for (uint32_t k = 0; k < n; k++) {
		const struct record *r = (const struct record *)(way->store + way->taken);

		way->taken += record_len(r->len);
		if (k >= n_frames)
			continue;
		memcpy(pkts[k]->data, r + 1, r->len);
		pkts[k]->len = r->len;
		pkts[k]->flow_hash = r->flow;
	}
}

static void
seal_burst(struct memory_way *way, struct pkt **pkts, uint32_t n_frames)
{
	struct aead_job jobs[SEND_BURST];

	for (uint32_t k = 0; k < n_frames; k++) {
		pkts[k]->len = write_message(way, way->pace.next + k, pkts[k]->data, &jobs[k]);
		pkts[k]->flow_hash = (uint32_t)((way->pace.next + k) % way->plan.n_flows);
	}
	aead_seal(jobs, n_frames);
}

static void
write_burst(struct memory_way *way, struct pkt **pkts, uint32_t n_frames)
{
	for (uint32_t k = 0; k < n_frames; k++) {
		uint64_t i = way->pace.next + k;
		struct flow_mark mark = mark_of(way, i);

		pkts[k]->len = sizes_at(way->config.sizes, i);
		pkts[k]->flow_hash = mark.flow;
		flow_write(pkts[k]->data, pkts[k]->len, &way->plan, &mark);
	}
}

void
memory_way_send(struct memory_way *way, uint64_t now_ns)
{
	struct pool_cache *cache = &way->world->m->cache;
	uint32_t n = pace_due(&way->pace, pace_clock(&way->pace, now_ns)), n_frames, n_taken;
	struct pkt *pkts[SEND_BURST];

	if (n > way->round_end - way->pace.next)
		n = (uint32_t)(way->round_end - way->pace.next);
	if (n == 0)
		return;
	n_frames = pool_get(cache, pkts, n);
	if (!way->config.is_inbound) {
		write_burst(way, pkts, n_frames);
	} else {
		if (way->config.is_ahead)
			copy_burst(way, pkts, n, n_frames);
		else
			seal_burst(way, pkts, n_frames);
		for (uint32_t k = 0; k < n_frames; k++) {
			pkts[k]->rx_outer = way->world->outer;
			pkts[k]->outer_ecn = 0;
		}
	}
	n_taken = io_memory_push(way->in, 0, pkts, n_frames);
	pool_put(cache, pkts + n_taken, n_frames - n_taken);
	pace_sent(&way->pace, now_ns, n);
}

// --- receiving ---------------------------------------------------------------------------------

struct opening {
	uint8_t *message;
	uint32_t len;
	uint32_t peer;
	uint64_t arrived_ns;
};

// Whether the inner packet is for the peer that it was sealed for.
static bool
is_for_peer(const struct memory_way *way, const uint8_t *p, uint32_t len, uint32_t peer)
{
	uint32_t at = way->world->family == ADDR_V6 ? 36 : 16; // the address's last word
	uint32_t first =
		load_be32(way->plan.destination.bytes + (way->world->family == ADDR_V6 ? 12 : 0));

	return len >= at + 4 && load_be32(p + at) == first + peer;
}

static void
book_opened(struct memory_way *way, const struct opening *o, const struct aead_job *job)
{
	if (!job->ok)
		tally_corrupted(way->tally);
	else if (!is_for_peer(way, job->data, job->len, o->peer))
		tally_foreign(way->tally);
	else
		tally_packet(way->tally, job->data, job->len, (int64_t)o->arrived_ns);
}

// n: AEAD_BURST at most.
static void
open_messages(struct memory_way *way, const struct opening *openings, uint32_t n)
{
	struct aead_job jobs[AEAD_BURST];

	for (uint32_t k = 0; k < n; k++) {
		const struct opening *o = &openings[k];

		jobs[k] = (struct aead_job){
			.data = o->message + WG_TRANSPORT_HEADER_LEN,
			.key = way->world->peers[o->peer].key_from_device,
			.counter = wg_message_counter(o->message),
			.len = o->len - WG_TRANSPORT_HEADER_LEN - WG_TAG_LEN,
		};
	}
	aead_open(jobs, n);
	for (uint32_t k = 0; k < n; k++)
		book_opened(way, &openings[k], &jobs[k]);
}

// False, and booked, if it is no message for any of our peers.
static bool
can_open(struct memory_way *way, struct opening *o)
{
	if (wg_message_type(o->message, o->len) == WG_MESSAGE_TRANSPORT_DATA) {
		o->peer = memory_world_peer_of(way->world, wg_message_receiver_index(o->message));
		if (o->peer != UINT32_MAX)
			return true;
	}
	tally_foreign(way->tally);
	return false;
}

static void
open_burst(struct memory_way *way, struct pkt **pkts, uint32_t n, uint64_t now_ns)
{
	struct opening openings[BURST_MAX];
	uint32_t kept = 0;

	for (uint32_t k = 0; k < n; k++) {
		openings[kept] = (struct opening){ pkts[k]->data, pkts[k]->len, 0, now_ns };
		kept += can_open(way, &openings[kept]);
	}
	open_messages(way, openings, kept);
}

static void
keep_burst(struct memory_way *way, struct pkt **pkts, uint32_t n, uint64_t now_ns)
{
	for (uint32_t k = 0; k < n; k++) {
		struct record *r = (struct record *)(way->store + way->filled);

		if (record_len(pkts[k]->len) > way->store_len - way->filled) {
			open_burst(way, &pkts[k], 1, now_ns); // more came than was sent
			continue;
		}
		*r = (struct record){ .arrived_ns = now_ns, .len = pkts[k]->len };
		memcpy(r + 1, pkts[k]->data, r->len);
		way->filled += record_len(r->len);
	}
}

static void
tally_burst(struct memory_way *way, struct pkt **pkts, uint32_t n, uint64_t now_ns)
{
	for (uint32_t k = 0; k < n; k++)
		tally_packet(way->tally, pkts[k]->data, pkts[k]->len, (int64_t)now_ns);
}

uint32_t
memory_way_receive(struct memory_way *way, uint64_t now_ns)
{
	struct pkt *pkts[BURST_MAX];
	uint32_t n = io_memory_take(way->out, 0, pkts, BURST_MAX);

	if (n == 0)
		return 0;
	// The other core has written all of this: ask for it side by side.
	for (uint32_t k = 0; k < n; k++)
		__builtin_prefetch(pkts[k]);
	for (uint32_t k = 0; k < n; k++) {
		__builtin_prefetch(pkts[k]->data);
		__builtin_prefetch(pkts[k]->data + 64);
	}
	if (way->config.is_inbound)
		tally_burst(way, pkts, n, now_ns);
	else if (way->config.is_ahead)
		keep_burst(way, pkts, n, now_ns);
	else
		open_burst(way, pkts, n, now_ns);
	pool_put(&way->world->m->cache, pkts, n);
	way->arrived += n;
	return n;
}

void
memory_way_settle(struct memory_way *way)
{
	struct opening openings[AEAD_BURST];
	uint32_t n = 0;

	if (way->config.is_inbound || !way->config.is_ahead)
		return;
	for (size_t at = 0; at < way->filled;) {
		struct record *r = (struct record *)(way->store + at);

		at += record_len(r->len);
		openings[n] = (struct opening){ (uint8_t *)(r + 1), r->len, 0, r->arrived_ns };
		n += can_open(way, &openings[n]);
		if (n == AEAD_BURST || at == way->filled) {
			open_messages(way, openings, n);
			n = 0;
		}
	}
	way->filled = 0;
}

// --- how far it is -----------------------------------------------------------------------------

uint64_t
memory_way_next_ns(const struct memory_way *way)
{
	return pace_next_ns(&way->pace);
}

bool
memory_way_round_is_done(const struct memory_way *way)
{
	return way->pace.next >= way->round_end;
}

bool
memory_way_is_done(const struct memory_way *way)
{
	return pace_is_done(&way->pace);
}

uint64_t
memory_way_sent(const struct memory_way *way)
{
	return way->pace.next;
}

uint64_t
memory_way_arrived(const struct memory_way *way)
{
	return way->arrived;
}

uint64_t
memory_way_late(const struct memory_way *way)
{
	return way->pace.late;
}

void
memory_way_finish(struct memory_way *way, struct tally_sum *ret_sum)
{
	uint64_t *sent = calloc(way->plan.n_flows, sizeof(*sent));
	uint32_t n = way->plan.n_flows;

	if (sent == NULL)
		abort(); // half a megabyte
	for (uint32_t i = 0; i < n; i++)
		sent[i] = (way->pace.next + n - 1 - i) / n;
	tally_finish(way->tally, sent, ret_sum);
	free(sent);
}

const struct latency *
memory_way_latency(const struct memory_way *way)
{
	return tally_latency(way->tally);
}
