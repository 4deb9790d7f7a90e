/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Workers that begin the same flows at the same time, with few ports and few remote endpoints, so
 * that they meet.  Made to be run under ThreadSanitizer, too.
 */

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "lib/base/bytes.h"
#include "lib/net/checksum.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/nat/fixture.h"
#include "tests/unit/lib/net/fixture.h"

#define N_WORKERS 4
#define N_INSIDE  12
#define N_REMOTE  6
#define N_ROUNDS  60 /* each with fresh memory, for beginnings are what is tested */
#define N_OPS     160

static struct nat_memory *memory;
static struct nat *nat;
static struct mono now;
static pthread_barrier_t barrier;
static uint8_t source[4] = { 192, 168, 77, 1 };

struct worker {
	pthread_t thread;
	struct rng rng;
	struct nat_local local;
	_Atomic uint64_t rounds; /* quiescent points */
	uint32_t n_wrong, n_translated, n_busy, n_full;
	bool is_strict; /* nothing expires meanwhile */
};

static struct worker workers[N_WORKERS];
static _Atomic bool stop;
static _Atomic uint64_t later_ns; /* what has passed in the second test */

static void
make_packet(uint32_t inside, uint32_t remote, struct fixture_packet *ret)
{
	char text[96];

	// Several inside hosts with one port, and one host with several.
	snprintf(text, sizeof(text), "udp 100.64.0.%u:%u 192.168.77.9:%u", 1 + inside / 2,
		61500 + inside % 2, 50 + remote);
	fixture_packet(text, ret);
}

// The packet that answers another one.
static void
answer(const struct fixture_packet *k, struct fixture_packet *ret)
{
	*ret = *k;
	memcpy(ret->bytes + 12, k->bytes + 16, 4);
	memcpy(ret->bytes + 16, k->bytes + 12, 4);
	memcpy(ret->bytes + 20, k->bytes + 22, 2);
	memcpy(ret->bytes + 22, k->bytes + 20, 2);
	if (!ip_parse(ret->bytes, ret->len, &ret->view))
		abort();
}

// As packet_is_sound(), which is for one thread.
static bool
is_sound(const struct fixture_packet *k)
{
	struct fixture_packet copy = *k;

	if (!ip_parse(copy.bytes, copy.len, &copy.view) ||
		!checksum_fill_packet(copy.bytes, &copy.view))
		return false;
	return checksum_is_valid_ipv4(k->bytes, IPV4_HEADER_LEN) &&
	       memcmp(copy.bytes, k->bytes, k->len) == 0;
}

// Sent, answered by the remote, and received: exactly what would answer the original.
static void
there_and_back(struct worker *w, struct mono at)
{
	struct fixture_packet k, expected, back;
	enum nat_verdict verdict;

	make_packet(rng_below(&w->rng, N_INSIDE), rng_below(&w->rng, N_REMOTE), &k);
	answer(&k, &expected);
	verdict = nat_from_tunnel(nat, &w->local, k.bytes, &k.view, source, at);
	w->n_busy += verdict == NAT_DROP_BUSY;
	w->n_full += verdict == NAT_DROP_FULL;
	if (verdict != NAT_TRANSLATED) {
		w->n_wrong += verdict != NAT_DROP_BUSY && verdict != NAT_DROP_FULL;
		return;
	}
	w->n_translated++;
	w->n_wrong += !is_sound(&k);
	answer(&k, &back);
	verdict = nat_to_tunnel(nat, &w->local, back.bytes, &back.view, at);
	if (w->is_strict)
		w->n_wrong += verdict != NAT_TRANSLATED ||
		              memcmp(back.bytes, expected.bytes, back.len) != 0;
	else
		w->n_wrong += verdict == NAT_TRANSLATED && !is_sound(&back);
}

static void *
run_strict(void *arg)
{
	struct worker *w = arg;

	for (int round = 0; round < N_ROUNDS; round++) {
		pthread_barrier_wait(&barrier); // fresh memory is there
		for (int i = 0; i < N_OPS; i++)
			there_and_back(w, now);
		pthread_barrier_wait(&barrier); // it goes
	}
	return NULL;
}

static void *
run_loose(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&stop)) {
		there_and_back(w, mono_add_ns(now, (int64_t)atomic_load(&later_ns)));
		atomic_fetch_add(&w->rounds, 1);
	}
	return NULL;
}

static void
start(void *(*run)(void *), bool is_strict)
{
	for (unsigned i = 0; i < N_WORKERS; i++) {
		workers[i] = (struct worker){ .rng = { 100 + i }, .is_strict = is_strict };
		if (pthread_create(&workers[i].thread, NULL, run, &workers[i]) != 0)
			abort();
	}
}

static struct worker
join(void)
{
	struct worker sum = {};

	for (unsigned i = 0; i < N_WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		sum.n_wrong += workers[i].n_wrong;
		sum.n_translated += workers[i].n_translated;
		sum.n_busy += workers[i].n_busy;
		sum.n_full += workers[i].n_full;
	}
	return sum;
}

static void
begin_memory(uint16_t first, uint16_t last)
{
	memory = fixture_memory();
	nat = fixture_use(memory);
	nat_set(nat, first, last);
}

static void
end_memory(void)
{
	nat_leave(nat);
	fixture_memory_free(memory);
}

// Live rows must be unique on both sides.
static unsigned
count_twins(void)
{
	uint32_t end = memory->flows_end;
	unsigned n = 0;

	for (uint32_t i = 0; i < end; i++)
		for (uint32_t k = i + 1; k < end; k++) {
			const struct nat_flow *a = &memory->flows[i], *b = &memory->flows[k];

			if (a->state != NAT_LIVE || b->state != NAT_LIVE ||
				memcmp(a->remote, b->remote, sizeof(a->remote)) != 0 ||
				a->remote_port != b->remote_port)
				continue;
			n += a->outside_port == b->outside_port && a->address == b->address;
			n += memcmp(a->inside, b->inside, sizeof(a->inside)) == 0 &&
			     a->inside_port == b->inside_port;
		}
	return n;
}

// A mapping has one port, as long as no port is shared.
static unsigned
count_split(void)
{
	uint32_t end = memory->flows_end;
	unsigned n = 0;

	for (uint32_t i = 0; i < end; i++)
		for (uint32_t k = i + 1; k < end; k++) {
			const struct nat_flow *a = &memory->flows[i], *b = &memory->flows[k];

			n += a->state == NAT_LIVE && b->state == NAT_LIVE &&
			     memcmp(a->inside, b->inside, sizeof(a->inside)) == 0 &&
			     a->inside_port == b->inside_port && a->outside_port != b->outside_port;
		}
	return n;
}

static void
test_beginnings(uint16_t first, uint16_t last, bool is_wide)
{
	unsigned n_twins = 0, n_split = 0;
	struct worker sum;

	pthread_barrier_init(&barrier, NULL, N_WORKERS + 1);
	start(run_strict, true);
	for (int round = 0; round < N_ROUNDS; round++) {
		begin_memory(first, last);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		n_twins += count_twins();
		n_split += count_split();
		end_memory();
	}
	sum = join();
	pthread_barrier_destroy(&barrier);
	printf("# ports %u-%u: %u translated, %u busy, %u full\n", first, last, sum.n_translated,
		sum.n_busy, sum.n_full);
	tap_int(sum.n_wrong, 0, "each answer came back to who had asked");
	tap_int(n_twins, 0, "no key has two live flows");
	if (is_wide)
		tap_int(n_split, 0, "an inside endpoint has one port");
	tap_ok(sum.n_translated > 0, "there was something to translate");
}

static void
wait_for_workers(void)
{
	for (unsigned i = 0; i < N_WORKERS; i++) {
		uint64_t before = atomic_load(&workers[i].rounds);

		while (atomic_load(&workers[i].rounds) == before)
			sched_yield();
	}
}

static void
test_expiry(void)
{
	struct worker sum;

	begin_memory(61500, 61507);
	atomic_store(&stop, false);
	start(run_loose, false);
	for (int i = 0; i < 60; i++) {
		wait_for_workers();
		// Everything is idle for longer than it may be, again and again.
		atomic_fetch_add(&later_ns, 70 * (uint64_t)NS_PER_S);
		for (int k = 0; k < 3; k++)
			if (nat_sweep(nat,
				    mono_add_ns(now, (int64_t)atomic_load(&later_ns) +
							     (i % 8 == 0 ? 400 * NS_PER_S : 0)),
				    8192) > 0) {
				wait_for_workers();
				nat_release(nat);
			}
	}
	atomic_store(&stop, true);
	sum = join();
	printf("# while flows expire: %u translated, %u busy, %u full\n", sum.n_translated,
		sum.n_busy, sum.n_full);
	tap_int(sum.n_wrong, 0, "while flows expire, whatever passes is whole");
	printf("# rows: %u\n", memory->flows_end);
	if (memory->flows_end <= 8192)
		tap_int(count_twins(), 0, "and no key has two live flows");
	end_memory();
}

int
main(void)
{
	now.ns = FIXTURE_START_NS;
	test_beginnings(61000, 65535, true);
	test_beginnings(61500, 61503, false); // fewer than inside endpoints: shared
	test_expiry();
	return tap_done();
}
