/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Streams of the reference's frames (argv[1]: tests/vectors/derp.json) in pieces of any size,
 * against a naive twin that has the whole stream; then bounds.
 */

#include "lib/derp/frame.h"

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/traversal/vector.h"

#define STREAM_MAX (1024 * 1024)

static uint8_t stream[STREAM_MAX];
static size_t stream_len;

static uint64_t seed = 3;

static size_t
next_random(size_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(seed >> 33) % below;
}

// The receive buffer of a caller, as small as it may be.
struct connection {
	struct derp_reader reader;
	uint8_t *buffer;
	size_t len;
};

static void
drop(struct connection *c, size_t used)
{
	c->len -= used;
	memmove(c->buffer, c->buffer + used, c->len);
}

// What the twin thinks of a type.
static bool
is_known(uint8_t type)
{
	static const uint8_t known[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0a, 0x10, 0x11, 0x12, 0x13,
		0x14, 0x15 };

	return memchr(known, type, sizeof(known)) != NULL;
}

// The twin: the next frame of the whole stream that is not skipped; false at its end.
static bool
twin_next(size_t *at, struct derp_frame *ret)
{
	while (stream_len - *at >= DERP_HEADER_LEN) {
		const uint8_t *frame = stream + *at;
		uint32_t len = load_be32(frame + 1);

		*at += DERP_HEADER_LEN + len;
		if (is_known(frame[0]) && len <= DERP_PAYLOAD_MAX_LEN) {
			*ret = (struct derp_frame){ frame[0], len, frame + DERP_HEADER_LEN };
			return true;
		}
	}
	return false;
}

static bool
is_same(const struct derp_frame *a, const struct derp_frame *b)
{
	return a->type == b->type && a->len == b->len &&
	       memcmp(a->payload, b->payload, a->len) == 0;
}

// Frames that came right out of what arrived so far; -1 at the first that did not.
static long
take_frames(struct connection *c, size_t *twin_at)
{
	long n = 0;

	for (;;) {
		struct derp_frame got, wanted;
		size_t used;

		if (derp_reader_next(&c->reader, c->buffer, c->len, &used, &got) != 0)
			return -1;
		if (got.type == DERP_NONE) {
			drop(c, used);
			return n;
		}
		if (got.payload < c->buffer || got.payload + got.len != c->buffer + used ||
			!twin_next(twin_at, &wanted) || !is_same(&got, &wanted))
			return -1;
		drop(c, used);
		n++;
	}
}

// The stream in pieces of up to `piece` bytes.  The number of frames, or -1.
static long
run(size_t piece)
{
	struct connection c = { .buffer = malloc(DERP_FRAME_MAX_LEN) };
	size_t at = 0, twin_at = 0;
	struct derp_frame more;
	long n = 0;

	while (at < stream_len && n >= 0) {
		size_t take = 1 + next_random(piece), room = DERP_FRAME_MAX_LEN - c.len;
		long taken;

		take = take < room ? take : room;
		take = take < stream_len - at ? take : stream_len - at;
		if (take == 0) { // a full buffer must have given something
			n = -1;
			break;
		}
		memcpy(c.buffer + c.len, stream + at, take);
		c.len += take;
		at += take;
		taken = take_frames(&c, &twin_at);
		n = taken < 0 ? -1 : n + taken;
	}
	if (c.len != 0 || c.reader.skip != 0 || twin_next(&twin_at, &more))
		n = -1;
	free(c.buffer);
	return n;
}

static void
add_frame(uint8_t type, uint32_t len)
{
	stream[stream_len] = type;
	store_be32(stream + stream_len + 1, len);
	for (uint32_t i = 0; i < len; i++)
		stream[stream_len + DERP_HEADER_LEN + i] = (uint8_t)next_random(256);
	stream_len += DERP_HEADER_LEN + len;
}

// A stream of which every frame is known by heart: sizes at the bounds, known and unknown.
static size_t
make_bounds_stream(void)
{
	add_frame(DERP_KEEP_ALIVE, 0);
	add_frame(0x7f, 0);
	add_frame(DERP_RECV_PACKET, DERP_PAYLOAD_MAX_LEN);
	add_frame(DERP_RECV_PACKET, DERP_PAYLOAD_MAX_LEN + 1);
	add_frame(0x00, 3);
	add_frame(0x0b, 1);
	add_frame(0x0f, 1);
	add_frame(0x16, 200000);
	add_frame(0xff, 1);
	add_frame(DERP_RESTARTING, 8);
	add_frame(DERP_HEALTH, 0);
	return 4;
}

static void
test_bounds_stream(void)
{
	size_t frames = make_bounds_stream();

	for (size_t piece = 1; piece < 1 << 20; piece = piece * 5 + 1)
		tap_int(run(piece), (long long)frames, "frames at their bounds, in pieces");
	stream_len = 0;
}

static void
test_vectors(const json_t *transcript)
{
	const json_t *v;
	long n = 0;
	size_t i, right = 0;

	json_array_foreach(transcript, i, v)
	{
		size_t len;
		uint8_t *frame = vector_hex(v, "frame", &len);

		tap_int(frame[0], json_integer_value(json_object_get(v, "type")),
			vector_text(v, "name"));
		tap_int(load_be32(frame + 1), (long long)len - DERP_HEADER_LEN, "its length");
		memcpy(stream + stream_len, frame, len);
		stream_len += len;
		n++;
		free(frame);
	}
	for (size_t piece = 1; piece < 100; piece++)
		right += run(piece) == n;
	tap_int((long long)right, 99, "the reference's frames in 99 kinds of pieces");
	tap_int(run(1), n, "a byte at a time");
	stream_len = 0;
}

static void
test_random_streams(void)
{
	size_t right = 0, streams = 300;

	for (size_t i = 0; i < streams; i++) {
		stream_len = 0;
		for (size_t frames = next_random(30); frames > 0; frames--)
			add_frame((uint8_t)next_random(0x20),
				(uint32_t)next_random(next_random(20) ? 300 : 70000));
		right += run(next_random(3) ? 40 : 9000) >= 0;
		if (stream_len > STREAM_MAX / 2)
			break;
	}
	tap_ok(right == streams || stream_len > STREAM_MAX / 2, "random streams (%zu)", right);
	stream_len = 0;
}

static void
test_too_long(void)
{
	uint8_t header[DERP_HEADER_LEN];
	struct derp_reader reader = {};
	struct derp_frame frame;
	size_t used;

	derp_header_write(header, 0x7f, DERP_SKIP_MAX_LEN);
	tap_int(derp_reader_next(&reader, header, sizeof(header), &used, &frame), 0,
		"1 MiB of an unknown type");
	tap_int((long long)used, DERP_HEADER_LEN, "begins to be skipped");
	tap_int(reader.skip, DERP_SKIP_MAX_LEN, "and the rest is still to come");
	tap_int((long long)reader.n_skipped, 1, "it is counted");

	reader = (struct derp_reader){};
	derp_header_write(header, 0x7f, DERP_SKIP_MAX_LEN + 1);
	tap_int(derp_reader_next(&reader, header, sizeof(header), &used, &frame), ERR_BAD_FORMAT,
		"a byte more ends the connection");
	derp_header_write(header, DERP_RECV_PACKET, UINT32_MAX);
	tap_int(derp_reader_next(&reader, header, sizeof(header), &used, &frame), ERR_BAD_FORMAT,
		"so do 4 GiB of a known type");
}

static void
test_nothing(void)
{
	struct derp_reader reader = {};
	struct derp_frame frame;
	size_t used = 1;

	tap_int(derp_reader_next(&reader, NULL, 0, &used, &frame), 0, "nothing has come");
	tap_ok(used == 0 && frame.type == DERP_NONE, "nothing is given");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv);

	test_vectors(json_object_get(root, "transcript"));
	test_bounds_stream();
	test_random_streams();
	test_too_long();
	test_nothing();
	json_decref(root);
	return tap_done();
}
