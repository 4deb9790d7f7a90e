/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Generator, bad line, receiver: the books say exactly what was done to the packets.
 */

#include "bench/traffic/impair.h"

#include <stdlib.h>
#include <string.h>

#include "bench/traffic/sizes.h"
#include "tests/lib/tap.h"

#define N_FLOWS 5
#define N_EACH  1000

static const struct flow_plan plan4 = {
	.run = 99,
	.n_flows = N_FLOWS,
	.source = { ADDR_V4, { 10, 1, 0, 2 } },
	.destination = { ADDR_V4, { 10, 2, 0, 2 } },
	.source_port = 4000,
	.destination_port = 9,
	.packet_ns = 100,
};

static const struct flow_plan plan6 = {
	.run = 99,
	.n_flows = N_FLOWS,
	.source = { ADDR_V6, { 0xfd, [15] = 1 } },
	.destination = { ADDR_V6, { 0xfd, [15] = 2 } },
	.source_port = 4000,
	.destination_port = 9,
	.packet_ns = 100,
};

struct receiver {
	struct tally *tally;
	const struct flow_plan *plan;
	bool is_socket; // has payloads only
};

static void
receive(void *context, uint32_t flow, const uint8_t *packet, size_t len)
{
	struct receiver *r = context;
	size_t header = flow_header_len(r->plan);

	(void)flow;
	if (r->is_socket)
		tally_payload(r->tally, packet + header, len - header, 0);
	else
		tally_packet(r->tally, packet, len, 0);
}

static bool
is_as_done(const struct tally_sum *got, const struct impair_done *done)
{
	return got->sent == done->packets && got->lost == done->lost + done->corrupted &&
	       got->received == done->packets - done->lost - done->corrupted &&
	       got->corrupted == done->corrupted && got->duplicated == done->duplicated &&
	       got->reordered == done->reordered &&
	       got->reorder_extent_max == done->reorder_extent_max &&
	       memcmp(got->extents, done->extents, sizeof(got->extents)) == 0 &&
	       got->foreign == 0 && got->unexpected == 0 && got->extent_unknown == 0;
}

static bool
run(const struct flow_plan *plan,
	const char *mix,
	const struct impair_config *config,
	bool is_socket,
	struct impair_done *ret_done,
	struct tally_sum *ret_sum)
{
	uint64_t sent[N_FLOWS];
	struct receiver r = { .plan = plan, .is_socket = is_socket };
	struct impair *im;
	struct sizes sizes;
	const char *why;

	if (sizes_parse(mix, 1420, flow_min_len(plan), &sizes, &why) < 0 ||
		tally_create(plan, N_EACH, &r.tally) < 0 ||
		impair_create(config, receive, &r, &im) < 0)
		abort();
	for (uint32_t i = 0; i < N_EACH * N_FLOWS; i++) {
		struct flow_mark mark = { .flow = i % N_FLOWS, .sequence = i / N_FLOWS };
		uint8_t p[1420];

		flow_write(p, sizes_at(&sizes, i), plan, &mark);
		impair_packet(im, mark.flow, p, sizes_at(&sizes, i));
	}
	impair_flush(im);
	for (unsigned i = 0; i < N_FLOWS; i++)
		sent[i] = N_EACH;
	tally_finish(r.tally, sent, ret_sum);
	*ret_done = *impair_done(im);
	impair_destroy(im);
	tally_destroy(r.tally);
	return is_as_done(ret_sum, ret_done);
}

static const struct {
	const char *what;
	double lose, corrupt, reorder, duplicate;
	uint32_t most_extent;
} lines[] = {
	{ "a good line", 0, 0, 0, 0, 0 },
	{ "loss alone", 0.1, 0, 0, 0, 0 },
	{ "corruption alone", 0, 0.1, 0, 0, 0 },
	{ "reordering alone", 0, 0, 0.1, 0, 1 },
	{ "far reordering", 0, 0, 0.05, 0, 100 },
	{ "copies at once or later", 0, 0, 0, 0.1, 9 },
	{ "a little of everything", 0.01, 0.01, 0.01, 0.01, 10 },
	{ "much of everything", 0.2, 0.2, 0.2, 0.2, 30 },
	{ "all is lost", 1, 0, 0, 0, 0 },
	{ "all is damaged", 0, 1, 0, 0, 0 },
};

static void
test_lines(const struct flow_plan *plan, const char *family, const char *mix, unsigned n_seeds)
{
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		unsigned wrong = 0, idle = 0;

		for (uint64_t seed = 1; seed <= n_seeds; seed++) {
			bool is_socket = seed % 2 == 0;
			struct impair_config config = {
				.seed = seed,
				.lose = lines[i].lose,
				.corrupt = lines[i].corrupt,
				.reorder = lines[i].reorder,
				.duplicate = lines[i].duplicate,
				.most_extent = lines[i].most_extent,
				// A socket does not show the headers, and those of IPv6 may differ.
				.keep_len = is_socket || plan->source.family == ADDR_V6
				                    ? flow_header_len(plan)
				                    : 0,
			};
			struct impair_done done;
			struct tally_sum sum;

			wrong += !run(plan, mix, &config, is_socket, &done, &sum);
			idle += (lines[i].lose > 0 && done.lost == 0) ||
			        (lines[i].corrupt > 0 && done.corrupted == 0) ||
			        (lines[i].reorder > 0 && done.reordered == 0) ||
			        (lines[i].duplicate > 0 && done.duplicated == 0) ||
			        (lines[i].most_extent > 5 && lines[i].reorder > 0 &&
					done.reorder_extent_max < 5);
		}
		tap_ok(wrong == 0 && idle == 0, "%s, %s bytes, %s: reported as it was, %u seeds",
			family, mix, lines[i].what, n_seeds);
	}
}

static void
test_list(void)
{
	static const struct impair_step steps[] = {
		{ 0, IMPAIR_LOSE, 0 }, { 10, IMPAIR_REORDER, 3 }, // flow 0
		{ 11, IMPAIR_REORDER, 1 },                        // flow 1
		{ 15, IMPAIR_REORDER, 7 },   // flow 0 again, while one is held: passes
		{ 17, IMPAIR_DUPLICATE, 0 }, // flow 2
		{ 22, IMPAIR_DUPLICATE, 20 }, { 33, IMPAIR_CORRUPT, 0 },
		{ 4999, IMPAIR_REORDER, 1 }, // the last: nothing can overtake it
	};
	struct impair_config config = { .seed = 1, .steps = steps, .n_steps = 8 };
	struct impair_done done;
	struct tally_sum sum;

	tap_ok(run(&plan4, "64", &config, false, &done, &sum), "a list: reported as it was");
	tap_ok(sum.sent == 5000 && sum.received == 4998 && sum.lost == 2 && sum.corrupted == 1 &&
			sum.duplicated == 2 && sum.reordered == 2 && sum.reorder_extent_max == 3 &&
			sum.extents[0] == 1 && sum.extents[2] == 1,
		"and is what the list says");
}

int
main(void)
{
	test_lines(&plan4, "IPv4", "64", 12);
	test_lines(&plan4, "IPv4", "imix", 12);
	test_lines(&plan4, "IPv4", "1420", 4);
	test_lines(&plan6, "IPv6", "60", 12);
	test_lines(&plan6, "IPv6", "imix", 12);
	test_list();
	return tap_done();
}
