/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Copies of packets: what is decrypted, what will be encrypted, what is dropped; written by a
 * worker, read by what the control plane reads with.
 */

#include <stdlib.h>
#include <string.h>

#include "dataplane/path/capture.h"
#include "lib/base/bytes.h"
#include "lib/shm/capture_reader.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct gateways g;
static struct capture capture;
static struct shm_capture_reader reader;
static struct shm_captured got;
static uint8_t inner[IN_MEMORY_MTU];

static void
begin(struct in_memory *m, const struct shm_cmd_capture *cmd)
{
	// Zero pages that nobody touches are not there.
	capture = (struct capture){ .memory = calloc(1, sizeof(*capture.memory)) };
	m->workers[0]->w.capture = &capture;
	capture_set(&capture, cmd);
	shm_capture_reader_init(&reader, capture.memory);
}

static void
end(struct in_memory *m)
{
	m->workers[0]->w.capture = NULL;
	free(capture.memory);
}

#define EVERYTHING \
	(&(struct shm_cmd_capture){ .on = 1, .snap_len = 65535, .peer = SHM_NO_PEER, .port = 0 })

static void
seal(size_t len, struct message *ret_msg)
{
	(void)packet_make(
		inner, len, &(struct packet_make){ .src = "10.1.0.5", .dst = "10.2.0.5" });
	if (!gateway_seal(g.near, inner, len, ret_msg))
		tap_ok(false, "a message could be made");
}

static unsigned
count_records(void)
{
	unsigned n = 0;

	while (shm_capture_reader_take(&reader, &got))
		n++;
	return n;
}

static void
test_both_ways(void)
{
	struct message msg, out;

	gateways_create(&g, true);
	begin(g.near, EVERYTHING);
	seal(100, &msg);
	tap_ok(shm_capture_reader_take(&reader, &got), "a packet for the tunnel is copied");
	tap_int(got.where, SHM_CAPTURE_TO_TUNNEL, "as such");
	tap_int(got.peer, 0, "with its peer");
	tap_int(got.cap_len, 100, "whole");
	tap_int(got.kind, 0, "an IP packet");
	tap_bytes(got.data, inner, 100, "in clear");
	tap_int(count_records(), 0, "once");
	end(g.near);

	begin(g.far, EVERYTHING);
	tap_ok(gateway_open(g.far, &msg, &out), "it arrives");
	tap_ok(shm_capture_reader_take(&reader, &got), "a packet from the tunnel is copied");
	tap_int(got.where, SHM_CAPTURE_FROM_TUNNEL, "as such");
	tap_bytes(got.data, inner, 100, "decrypted");
	gateway_receive(g.far, &msg);
	tap_ok(shm_capture_reader_take(&reader, &got) && got.where == SHM_CAPTURE_DROPPED &&
			got.reason == DROP_REPLAY,
		"a second time it is a dropped one, with the reason");
	tap_ok(got.len == 28 + msg.len && got.data[0] == 0x45 && got.data[9] == 17,
		"as the datagram that it was");
	tap_bytes(got.data + 12, "\xc0\x00\x02\x01", 4, "from its sender");
	end(g.far);
	gateways_destroy(&g);
}

static void
test_drops(void)
{
	struct message msg, bad;

	gateways_create(&g, true);
	begin(g.far, EVERYTHING);
	seal(100, &msg);
	bad = msg;
	store_le32(bad.data + 4, FAR_INDEX + 100);
	gateway_receive(g.far, &bad);
	tap_ok(shm_capture_reader_take(&reader, &got) && got.reason == DROP_NO_SESSION &&
			got.peer == SHM_NO_PEER,
		"nobody knows whose it is");
	tap_bytes(got.data + 28, bad.data, 32, "its bytes");
	bad = msg;
	bad.data[50] ^= 1;
	gateway_receive(g.far, &bad);
	tap_ok(shm_capture_reader_take(&reader, &got) && got.reason == DROP_AUTH && got.peer == 0,
		"a wrong tag, and whose session it names");
	gateway_seal_raw(g.far, 77, inner, 0, &msg);
	gateway_receive(g.far, &msg);
	tap_int(count_records(), 0, "keepalives are not shown");
	end(g.far);

	begin(g.near, EVERYTHING);
	(void)packet_make(inner, 60, &(struct packet_make){ .src = "10.1.0.5", .dst = "10.9.9.9" });
	(void)gateway_seal(g.near, inner, 60, &msg);
	tap_ok(shm_capture_reader_take(&reader, &got) && got.reason == DROP_NO_PEER &&
			got.peer == SHM_NO_PEER && got.kind == 0 && got.len == 60,
		"a packet for nobody");
	end(g.near);
	while (gateway_take_host(g.near, &msg))
		;
	gateways_destroy(&g);
}

static void
test_conditions(void)
{
	struct shm_cmd_capture cmd = *EVERYTHING;
	struct message msg;

	gateways_create(&g, true);
	cmd.port = 9;
	begin(g.near, &cmd);
	seal(100, &msg);
	tap_int(count_records(), 1, "a port of the packet");
	cmd.port = 10;
	capture_set(&capture, &cmd);
	seal(100, &msg);
	tap_int(count_records(), 0, "another one");
	cmd.port = 0;
	cmd.peer = 1;
	capture_set(&capture, &cmd);
	seal(100, &msg);
	tap_int(count_records(), 0, "another peer");
	cmd.peer = 0;
	cmd.snap_len = 40;
	capture_set(&capture, &cmd);
	seal(100, &msg);
	tap_ok(shm_capture_reader_take(&reader, &got) && got.cap_len == 40 && got.len == 100,
		"the beginning of a packet");
	cmd.on = 0;
	capture_set(&capture, &cmd);
	seal(100, &msg);
	tap_int(count_records(), 0, "off");
	end(g.near);
	gateways_destroy(&g);
}

/* What is not read in time is lost, and counted; what is being written is not believed. */
static void
test_reader(void)
{
	struct shm_capture_record *record;
	struct message msg;

	gateways_create(&g, true);
	begin(g.near, EVERYTHING);
	for (unsigned i = 0; i < SHM_CAPTURE_SLOTS + 100; i++)
		seal(60, &msg);
	tap_int(count_records(), SHM_CAPTURE_SLOTS, "as many as the ring holds");
	tap_int((long long)reader.n_lost, 100, "the others are counted");

	seal(60, &msg);
	seal(60, &msg);
	record = &capture.memory->records[0][(SHM_CAPTURE_SLOTS + 100) % SHM_CAPTURE_SLOTS];
	atomic_store(&record->seq, 0);
	tap_int(count_records(), 1, "a record that is being written is left out");

	seal(60, &msg);
	record = &capture.memory->records[0][(SHM_CAPTURE_SLOTS + 102) % SHM_CAPTURE_SLOTS];
	record->cap_len = SHM_CAPTURE_SNAP + 1;
	record->len = UINT32_MAX;
	tap_int(count_records(), 0, "one that says more than it holds too");
	seal(60, &msg);
	record = &capture.memory->records[0][(SHM_CAPTURE_SLOTS + 103) % SHM_CAPTURE_SLOTS];
	record->cap_len = record->len + 1;
	tap_int(count_records(), 0, "or more than the packet was");
	atomic_store(&capture.memory->heads[0].count, UINT64_MAX);
	atomic_store(&capture.memory->heads[5].count, UINT64_MAX - 7);
	tap_int(count_records(), 0, "counts that lie have an end");
	atomic_store(&capture.memory->heads[0].count, 3);
	tap_int(count_records(), 0, "also those that go back");
	end(g.near);
	gateways_destroy(&g);
}

/* Two workers' records come in the order of their times. */
static void
test_order(void)
{
	struct shm_capture *memory = calloc(1, sizeof(*memory));
	static const struct {
		unsigned worker;
		uint64_t time_ns;
	} rows[] = { { 0, 10 }, { 1, 5 }, { 1, 12 }, { 0, 11 }, { 2, 7 } };
	uint64_t last = 0;
	unsigned n = 0;

	shm_capture_reader_init(&reader, memory);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t count = atomic_fetch_add(&memory->heads[rows[i].worker].count, 1);
		struct shm_capture_record *r = &memory->records[rows[i].worker][count];

		r->time_ns = rows[i].time_ns;
		r->where = SHM_CAPTURE_TO_TUNNEL;
		atomic_store(&r->seq, count + 1);
	}
	while (shm_capture_reader_take(&reader, &got)) {
		n += got.time_ns > last;
		last = got.time_ns;
	}
	tap_int(n, 5, "five records of three workers, the oldest first");
	free(memory);
}

int
main(void)
{
	test_both_ways();
	test_drops();
	test_conditions();
	test_reader();
	test_order();
	return tap_done();
}
