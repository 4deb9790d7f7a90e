/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Core cycles per packet of the whole inbound and outbound path, in one thread and without a
 * kernel: rounds of a real worker between two memory ports.
 *
 *        bench --> near gateway --seals--> far gateway --opens--> bench
 *                  (outbound)              (inbound, or peer to peer)
 *
 * Each packet is really sealed by one gateway and opened by the other.  The ticks inside
 * aead_seal() and aead_open() are taken per burst in the same run and subtracted.  A sample is one
 * volley of packets; ticks become core cycles by a clock that is calibrated again and again.
 * --shared: as if there were other workers, with the locked instructions that a lone one leaves
 * out.
 *
 *     bench-path [--json] [--shared] [--in-flight PACKETS] [--ms PER_ROW]
 *                [--only PATH] [--bytes 64|1420] [--peers 1|1000]
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "bench/harness/clock.h"
#include "bench/harness/samples.h"
#include "dataplane/in_memory.h"
#include "dataplane/io/io_memory.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"
#include "lib/net/checksum.h"

#define N_ORDER   65536 // peers in the order in which packets come
#define IP_HEADER 20

// As the packets have it: source 10.1.x.y and destination 10.2.x.y belong to peer 256 x + y.
#define SOURCE      0x0a010000u
#define DESTINATION 0x0a020000u

enum path {
	OUTBOUND,
	INBOUND,
	PEER_TO_PEER,
	N_PATHS,
};

static const char *const path_names[] = { "outbound", "inbound", "peer_to_peer" };

static struct options {
	bool json;
	bool is_shared;
	uint32_t in_flight;
	unsigned ms_per_row;
	const char *only;
	uint32_t len, peers; // 0: all
} options = { .in_flight = 256, .ms_per_row = 1500 };

struct bench {
	struct in_memory *near, *far;
	struct path_ticks near_ticks, far_ticks;
	uint64_t near_aead, far_aead; // ticks
	uint32_t n_peers;
	uint32_t len;
	uint32_t next;
	uint16_t order[N_ORDER];
	struct samples path[2], aead[2]; // ticks per packet; near, far
};

struct row {
	enum path path;
	uint32_t n_peers;
	uint32_t len;
	double best, median, aead; // cycles per packet
	double core_ghz;
	size_t n;
};

#define MAX_ROWS 16

static struct row rows[MAX_ROWS];
static unsigned n_rows;

static struct bench_clock bench_clock;

// --- setting up --------------------------------------------------------------------------------

static void
drain_events(struct in_memory *m)
{
	struct shm_event event;

	while (in_memory_event(m, &event))
		;
}

static void
add_prefix(struct in_memory *m, uint32_t base, uint32_t n, uint32_t to)
{
	char text[32];

	snprintf(text, sizeof(text), "10.%u.%u.%u/32", base >> 16 & 0xff, n >> 8, n & 0xff);
	in_memory_prefix(m, text, to);
}

// Receiver indices of peer n: on the near side slot n + 1, on the far side one with other high
// bits.
static void
add_sessions(struct bench *b, uint32_t n)
{
	struct in_memory_session near = {
		.peer = n,
		.receiver_index = 0x12300000u + n + 1,
		.sender_index = 0x45600000u + n + 1,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 0x11,
		.key_send = 0x22,
	};
	struct in_memory_session far = near;

	far.receiver_index = near.sender_index;
	far.sender_index = near.receiver_index;
	far.key_receive = near.key_send;
	far.key_send = near.key_receive;
	in_memory_path(b->near, n, IN_MEMORY_REMOTE, NULL);
	in_memory_path(b->far, n, IN_MEMORY_REMOTE, NULL);
	in_memory_install(b->near, &near);
	in_memory_install(b->far, &far);
	drain_events(b->near);
	drain_events(b->far);
}

static void
must(int err, const char *what)
{
	if (err == 0)
		return;
	fprintf(stderr, "bench-path: %s: %s\n", what, err_str(err));
	exit(1);
}

static void
set_up(struct bench *b, bool between_peers)
{
	const struct in_memory_config config = {
		.n_workers = 1, .n_frames = 8192, .is_shared = options.is_shared
	};

	must(in_memory_create(&config, &b->near), "gateway");
	must(in_memory_create(&config, &b->far), "gateway");
	b->near->workers[0]->w.ticks = &b->near_ticks;
	b->far->workers[0]->w.ticks = &b->far_ticks;

	in_memory_begin(b->near, true);
	in_memory_begin(b->far, true);
	in_memory_settings(b->near, IN_MEMORY_MTU, NULL, NULL);
	in_memory_settings(b->far, IN_MEMORY_MTU, NULL, NULL);
	if (!between_peers)
		in_memory_prefix(b->far, "10.2.0.0/16", SHM_TO_HOST);
	for (uint32_t i = 0; i < b->n_peers; i++) {
		in_memory_peer(b->near, i);
		in_memory_peer(b->far, i);
		add_prefix(b->near, DESTINATION, i, i);
		add_prefix(b->far, SOURCE, i, i);
		if (between_peers) // to somebody else, far from the peer it came from
			add_prefix(b->far, DESTINATION, i, (i * 7 + 1) % b->n_peers);
	}
	if (in_memory_commit(b->near) != 0 || in_memory_commit(b->far) != 0)
		must(ERR_FULL, "prefixes");
	for (uint32_t i = 0; i < b->n_peers; i++)
		add_sessions(b, i);
	for (uint32_t i = 0; i < N_ORDER; i++)
		b->order[i] = (uint16_t)((uint32_t)rand() % b->n_peers);
}

static void
tear_down(struct bench *b)
{
	in_memory_destroy(b->near);
	in_memory_destroy(b->far);
}

// --- packets -----------------------------------------------------------------------------------

// The header changes on the way, so it is written anew each time; the payload is left as it is.
static void
write_inner(struct bench *b, struct pkt *p)
{
	uint32_t peer = b->order[b->next++ % N_ORDER];
	uint8_t *h = p->data;

	memset(h, 0, IP_HEADER);
	h[0] = 0x45;
	store_be16(h + 2, (uint16_t)b->len);
	h[8] = 64;
	h[9] = IP_PROTOCOL_UDP;
	store_be32(h + 12, SOURCE + peer);
	store_be32(h + 16, DESTINATION + peer);
	p->len = b->len;
}

static void
feed(struct bench *b)
{
	struct pkt *pkts[BURST_MAX];

	for (uint32_t left = options.in_flight; left > 0;) {
		uint32_t n = left < BURST_MAX ? left : BURST_MAX;

		if (pool_get(&b->near->cache, pkts, n) < n)
			must(ERR_FULL, "buffers");
		for (uint32_t i = 0; i < n; i++)
			write_inner(b, pkts[i]);
		io_memory_push(b->near->host, 0, pkts, n);
		left -= n;
	}
}

static void
hand_over(struct bench *b)
{
	struct pkt *pkts[BURST_MAX];
	uint32_t n;

	while ((n = io_memory_take(b->near->wire, 0, pkts, BURST_MAX)) > 0) {
		for (uint32_t i = 0; i < n; i++) {
			memcpy(&pkts[i]->rx_outer, pkts[i]->outer, sizeof(pkts[i]->rx_outer));
			pkts[i]->outer = &pkts[i]->rx_outer;
		}
		io_memory_push(b->far->wire, 0, pkts, n);
	}
}

static uint32_t
take_back(struct bench *b, struct port *port)
{
	struct pkt *pkts[BURST_MAX];
	uint32_t n, all = 0;

	while ((n = io_memory_take(port, 0, pkts, BURST_MAX)) > 0) {
		pool_put(&b->near->cache, pkts, n);
		all += n;
	}
	return all;
}

// Rounds until nothing is left; ticks of all and of those inside the cipher.
static void
run_rounds(struct in_memory *m, uint64_t *aead, uint64_t *ret_ticks)
{
	struct path_ticks *t = m->workers[0]->w.ticks;
	uint64_t start;

	memset(t, 0, sizeof(*t));
	start = __rdtsc();
	for (uint32_t left = options.in_flight; left > 0;)
		left -= worker_round(m->workers[0]);
	*ret_ticks = __rdtsc() - start;
	*aead = t->ticks[STEP_AEAD_OPEN] + t->ticks[STEP_AEAD_SEAL];
}

static void
volley(struct bench *b, bool between_peers)
{
	double n = options.in_flight;
	uint64_t near, far;

	feed(b);
	run_rounds(b->near, &b->near_aead, &near);
	hand_over(b);
	run_rounds(b->far, &b->far_aead, &far);
	if (take_back(b, between_peers ? b->far->wire : b->far->host) != options.in_flight)
		must(ERR_PROTOCOL, "packets are missing at the end");

	samples_add(&b->path[0], (double)(near - b->near_aead) / n);
	samples_add(&b->aead[0], (double)b->near_aead / n);
	samples_add(&b->path[1], (double)(far - b->far_aead) / n);
	samples_add(&b->aead[1], (double)b->far_aead / n);
}

// --- results -----------------------------------------------------------------------------------

static void
keep_row(struct bench *b, enum path path)
{
	unsigned side = path == OUTBOUND ? 0 : 1;
	double to_cycles = bench_clock_cycles_per_tick(&bench_clock);

	if (n_rows == MAX_ROWS)
		return;
	rows[n_rows++] = (struct row){
		.path = path,
		.n_peers = b->n_peers,
		.len = b->len,
		.best = samples_best(&b->path[side]) * to_cycles,
		.median = samples_median(&b->path[side]) * to_cycles,
		.aead = samples_median(&b->aead[side]) * to_cycles,
		.core_ghz = bench_clock.core_ghz,
		.n = b->path[side].n,
	};
}

static void
print_table(void)
{
	printf("core cycles per packet; %u packets in flight; AEAD by %s; TSC %.2f GHz\n"
	       "                inner             without AEAD    with AEAD (median)   core\n"
	       "path            bytes  peers      best   median        AEAD        all    GHz\n",
		options.in_flight, aead_backend(), bench_clock.tsc_ghz);
	for (const struct row *r = rows; r < rows + n_rows; r++)
		printf("%-13s  %6u %6u  %8.1f %8.1f  %10.1f %10.1f   %4.2f\n", path_names[r->path],
			r->len, r->n_peers, r->best, r->median, r->aead, r->median + r->aead,
			r->core_ghz);
}

static void
print_json(void)
{
	printf("{\n  \"bench\": \"path\", \"aead\": \"%s\", \"in_flight\": %u, \"shared\": %s, "
	       "\"tsc_ghz\": %.3f,\n  \"rows\": [",
		aead_backend(), options.in_flight, options.is_shared ? "true" : "false",
		bench_clock.tsc_ghz);
	for (const struct row *r = rows; r < rows + n_rows; r++)
		printf("%s\n    {\"path\": \"%s\", \"inner_bytes\": %u, \"peers\": %u, "
		       "\"cycles_best\": %.1f, \"cycles_median\": %.1f, \"aead_cycles_median\": "
		       "%.1f, "
		       "\"core_ghz\": %.3f, \"samples\": %zu}",
			r == rows ? "" : ",", path_names[r->path], r->len, r->n_peers, r->best,
			r->median, r->aead, r->core_ghz, r->n);
	printf("\n  ]\n}\n");
}

static bool
is_wanted(enum path path)
{
	return options.only == NULL || strcmp(options.only, path_names[path]) == 0;
}

static void
run_row(uint32_t n_peers, uint32_t len, bool between_peers)
{
	static struct bench bench; // large
	struct bench *b = &bench;
	uint64_t end;

	memset(b, 0, sizeof(*b));
	b->n_peers = n_peers;
	b->len = len;
	set_up(b, between_peers);
	bench_clock.core_ghz = 0; // it changes by the minute: each row has its own
	bench_clock_again(&bench_clock);
	end = __rdtsc() + (uint64_t)(bench_clock.tsc_ghz * 1e6 * options.ms_per_row);
	for (unsigned i = 0; i < 8; i++)
		volley(b, between_peers); // warm up
	b->path[0].n = b->path[1].n = b->aead[0].n = b->aead[1].n = 0;
	for (unsigned i = 0; __rdtsc() < end; i++) {
		volley(b, between_peers);
		if (i % 64 == 0)
			bench_clock_again(&bench_clock);
	}
	tear_down(b);

	if (between_peers) {
		keep_row(b, PEER_TO_PEER);
		return;
	}
	for (enum path p = OUTBOUND; p <= INBOUND; p++)
		if (is_wanted(p))
			keep_row(b, p);
}

static void
run_all(void)
{
	static const uint32_t lens[] = { 64, 1420 }, peers[] = { 1, 1000 };

	for (unsigned l = 0; l < 2; l++)
		for (unsigned p = 0; p < 2; p++) {
			if ((options.len != 0 && options.len != lens[l]) ||
				(options.peers != 0 && options.peers != peers[p]))
				continue;
			if (is_wanted(OUTBOUND) || is_wanted(INBOUND))
				run_row(peers[p], lens[l], false);
			if (is_wanted(PEER_TO_PEER))
				run_row(peers[p] == 1 ? 2 : peers[p], lens[l], true);
		}
}

static void
parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "shared", no_argument, NULL, 's' },
		{ "in-flight", required_argument, NULL, 'f' },
		{ "ms", required_argument, NULL, 'm' },
		{ "only", required_argument, NULL, 'o' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "peers", required_argument, NULL, 'p' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'j')
			options.json = true;
		else if (c == 's')
			options.is_shared = true;
		else if (c == 'f')
			options.in_flight = (uint32_t)atoi(optarg);
		else if (c == 'm')
			options.ms_per_row = (unsigned)atoi(optarg);
		else if (c == 'o')
			options.only = optarg;
		else if (c == 'b')
			options.len = (uint32_t)atoi(optarg);
		else if (c == 'p')
			options.peers = (uint32_t)atoi(optarg);
		else
			exit(2);
	}
	if (options.in_flight == 0 || options.in_flight > IO_MEMORY_QUEUE_LEN) {
		fprintf(stderr, "bench-path: --in-flight is 1 to %u\n", IO_MEMORY_QUEUE_LEN);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	parse_options(argc, argv);
	must(aead_init(NULL), "cipher");
	bench_clock_init(&bench_clock);
	run_all();
	if (options.json)
		print_json();
	else
		print_table();
	return 0;
}
