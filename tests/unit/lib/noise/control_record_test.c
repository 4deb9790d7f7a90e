/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Records and the early payload against the reference's (argv[1]:
 * tests/vectors/control-noise.json), in pieces of every size.
 */

#include "lib/noise/control_record.h"

#include <errno.h>

#include "lib/base/err.h"
#include "lib/noise/control_early.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/noise/vector.h"

static uint8_t stream[VECTOR_MAX_LEN], wanted[VECTOR_MAX_LEN], got[VECTOR_MAX_LEN];

// The frames of one write call, or of one stream, one behind the other.
static size_t
join_frames(const json_t *frames, uint8_t *out)
{
	size_t len = 0;

	for (size_t i = 0; i < json_array_size(frames); i++)
		len += vector_decode(json_array_get(frames, i), out + len, VECTOR_MAX_LEN - len);
	return len;
}

static void
check_write(const json_t *row, struct control_writer *w)
{
	size_t wanted_len = join_frames(json_object_get(row, "frames"), wanted);
	size_t len = vector_decode(json_object_get(row, "plaintext"), stream, sizeof(stream));
	size_t at = 0, got_len = 0, taken, record_len;

	do {
		int err = control_writer_seal(
			w, stream + at, len - at, got + got_len, &taken, &record_len);

		if (err < 0) {
			tap_int(err, -EOVERFLOW, "the writer has no more numbers");
			tap_ok(json_object_get(row, "write_error") != NULL,
				"nor has the reference");
			return;
		}
		at += taken;
		got_len += record_len;
	} while (at < len);
	tap_int((long long)got_len, (long long)wanted_len, "bytes of the frames");
	tap_bytes(got, wanted, wanted_len, "frames");
	tap_ok(json_object_get(row, "write_error") == NULL, "the reference writes it too");
}

// Push a stream in pieces of `step` bytes (0: all at once); returns the plaintext's length.
static size_t
read_all(struct control_reader *r, const uint8_t *data, size_t len, size_t step, int *ret_err)
{
	size_t at = 0, got_len = 0, idle = 0;

	*ret_err = 0;
	while (at < len && *ret_err == 0 && idle < 2) {
		size_t piece = step == 0 || step > len - at ? len - at : step;
		size_t taken, plain_len;
		const uint8_t *plain;

		*ret_err = control_reader_push(r, data + at, piece, &taken);
		at += taken;
		plain = control_reader_plaintext(r, &plain_len);
		idle = taken == 0 && plain_len == 0 ? idle + 1 : 0;
		memcpy(got + got_len, plain, plain_len);
		got_len += plain_len;
		control_reader_consume(r, plain_len);
	}
	return got_len;
}

static void
check_read(const json_t *row, struct control_reader *r)
{
	size_t stream_len = join_frames(json_object_get(row, "frames"), stream);
	size_t len = vector_decode(json_object_get(row, "plaintext"), wanted, sizeof(wanted));
	int err = 0;

	tap_int((long long)read_all(r, stream, stream_len, 0, &err), (long long)len, "plaintext");
	tap_int(err, 0, "without error");
	tap_bytes(got, wanted, len, "its bytes");
}

// Each record of a handshake: what a writer makes of it, what a reader finds in it.
static void
test_records(const json_t *handshake)
{
	const json_t *records = json_object_get(handshake, "records");
	uint8_t keys[2][NOISE_KEY_LEN];

	vector_bytes(handshake, "key_client_to_server", keys[0], NOISE_KEY_LEN);
	vector_bytes(handshake, "key_server_to_client", keys[1], NOISE_KEY_LEN);
	for (size_t i = 0; i < json_array_size(records); i++) {
		const json_t *row = json_array_get(records, i);
		const json_t *first = json_object_get(row, "first_counter");
		bool from_server = strcmp(vector_text(row, "dir"), "s2c") == 0;
		struct control_writer w;
		struct control_reader r;

		control_writer_init(&w, keys[from_server]);
		control_reader_init(&r, keys[from_server]);
		// Counters beyond 2^63 are texts: see vector_load().
		w.counter = json_is_integer(first)
		                    ? (uint64_t)json_integer_value(first)
		                    : strtoull(vector_text(row, "first_counter"), NULL, 10);
		r.counter = w.counter;
		check_write(row, &w);
		if (json_object_get(row, "write_error") == NULL)
			check_read(row, &r);
		control_writer_fini(&w);
		control_reader_fini(&r);
	}
}

static int
error_of(const char *result)
{
	if (strcmp(result, "clean end of stream") == 0)
		return 0;
	return strstr(result, "authentication failed") != NULL ? ERR_BAD_MAC : ERR_BAD_FORMAT;
}

static void
test_stream(const json_t *row, const uint8_t key[static NOISE_KEY_LEN])
{
	size_t len = vector_decode(json_object_get(row, "stream"), stream, sizeof(stream));
	size_t wanted_len = vector_decode(
		json_object_get(row, "plaintext_before_error"), wanted, sizeof(wanted));
	const char *name = vector_text(row, "name");
	int wanted_err = error_of(vector_text(row, "result"));

	// Too short for a tag: to the reference not authentic, to us no record.
	if (strcmp(name, "length field 15") == 0 || strcmp(name, "length field 0") == 0)
		wanted_err = ERR_BAD_FORMAT;
	for (size_t step = 0; step <= 64; step++) {
		struct control_reader r;
		size_t taken;
		int err = 0;

		control_reader_init(&r, key);
		tap_ok(read_all(&r, stream, len, step, &err) == wanted_len && err == wanted_err &&
				memcmp(got, wanted, wanted_len) == 0,
			"%s, in pieces of %zu: err %d", name, step, err);
		if (err < 0)
			tap_ok(control_reader_push(&r, stream, len, &taken) == err && taken == 0,
				"the error stays");
	}
}

// A reader takes nothing while there is plaintext: memory is bounded by one record.
static void
test_bounds(void)
{
	uint8_t key[NOISE_KEY_LEN] = { 1 };
	struct control_writer w;
	struct control_reader r;
	size_t taken, len, record_len, second_len;

	control_writer_init(&w, key);
	control_reader_init(&r, key);
	tap_int(control_writer_seal(&w, wanted, sizeof(wanted), stream, &taken, &record_len), 0,
		"a long write");
	tap_int((long long)taken, CONTROL_RECORD_MAX_PLAINTEXT, "fills one record");
	tap_int((long long)record_len, CONTROL_RECORD_MAX_LEN, "to its limit");
	tap_int(control_writer_seal(&w, wanted, 5, stream + record_len, &taken, &second_len), 0,
		"a second");
	tap_int(control_reader_push(&r, stream, record_len + second_len, &taken), 0, "both pushed");
	tap_int((long long)taken, (long long)record_len, "only the first is taken");
	control_reader_plaintext(&r, &len);
	tap_int((long long)len, CONTROL_RECORD_MAX_PLAINTEXT, "its plaintext");
	control_reader_consume(&r, len - 1);
	tap_int(control_reader_push(&r, stream + record_len, second_len, &taken), 0, "again");
	tap_int((long long)taken, 0, "nothing while one byte is left");
	control_reader_consume(&r, 1);
	tap_int(control_reader_push(&r, stream + record_len, second_len, &taken), 0, "again");
	tap_int((long long)taken, (long long)second_len, "now the second");
	r.counter = UINT64_MAX;
	control_reader_plaintext(&r, &len);
	control_reader_consume(&r, len);
	tap_int(control_reader_push(&r, stream, record_len, &taken), -EOVERFLOW,
		"the last number is never used");
}

// What comes out of early payload and HTTP/2 when plaintext comes in pieces of `step`.
static void
read_early(const uint8_t *plain, size_t len, size_t step, const json_t *row)
{
	bool fails = json_object_get(row, "client_error") != NULL &&
	             strstr(vector_text(row, "client_error"), "key hex") == NULL;
	const char *json = vector_text(row, "client_parsed_json");
	struct control_early e = {};
	size_t at = 0, taken, after;
	int err = 0;

	while (err == 0 && at < len && e.state <= CONTROL_EARLY_JSON) {
		err = control_early_push(&e, plain + at, step < len - at ? step : len - at, &taken);
		at += taken;
	}
	tap_int(err, fails ? ERR_BAD_FORMAT : 0, vector_text(row, "name"));
	if (err < 0)
		return;
	after = vector_decode(json_object_get(row, "client_reads_after"), wanted, sizeof(wanted));
	if (e.state == CONTROL_EARLY_ABSENT) {
		tap_bytes(e.header, wanted, sizeof(e.header), "HTTP/2 begins in the header");
		tap_bytes(plain + at, wanted + sizeof(e.header), after - sizeof(e.header),
			"and goes on");
	} else if (json_object_get(row, "client_error") == NULL) {
		tap_int(e.state, CONTROL_EARLY_FOUND, "an early payload");
		tap_int((long long)(len - at), (long long)after, "what follows");
		tap_bytes(plain + at, wanted, after, "is HTTP/2");
		if (strstr(json, "chalpub:0000") == NULL && strcmp(json, "null") != 0)
			tap_ok(e.json_len == strlen(json) && memcmp(e.json, json, e.json_len) == 0,
				"its JSON is kept");
	}
}

static void
test_early(const json_t *row, const uint8_t key[static NOISE_KEY_LEN])
{
	static uint8_t plain[VECTOR_MAX_LEN];
	size_t len = join_frames(json_object_get(row, "frames"), stream), plain_len;
	struct control_reader r;
	int err = 0;

	control_reader_init(&r, key);
	plain_len = read_all(&r, stream, len, 0, &err);
	memcpy(plain, got, plain_len);
	tap_int(err, 0, "the frames open");
	for (size_t step = 1; step <= 20; step++)
		read_early(plain, plain_len, step, row);
	read_early(plain, plain_len, plain_len, row);
}

// JSON beyond what is kept is passed over.
static void
test_long_early(void)
{
	struct control_early e = {};
	uint8_t header[CONTROL_EARLY_HEADER_LEN];
	size_t taken, total = 0;

	control_early_create(100000, header);
	memset(stream, 'x', sizeof(stream));
	tap_int(control_early_push(&e, header, sizeof(header), &taken), 0, "a header");
	while (e.state == CONTROL_EARLY_JSON && taken > 0) {
		if (control_early_push(&e, stream, 999, &taken) != 0)
			break;
		total += taken;
	}
	tap_int(e.state, CONTROL_EARLY_FOUND, "100,000 bytes are passed over");
	tap_int((long long)total, 100000, "exactly");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv);
	const json_t *handshakes = json_object_get(root, "handshakes");
	const json_t *streams = json_object_get(root, "reader_streams");
	const json_t *early = json_object_get(root, "early_streams");
	uint8_t key[NOISE_KEY_LEN];

	for (size_t i = 0; i < json_array_size(handshakes); i++)
		test_records(json_array_get(handshakes, i));
	tap_int((long long)json_array_size(streams), 13, "streams");
	vector_bytes(
		json_object_get(root, "reader_keys"), "key_server_to_client", key, sizeof(key));
	for (size_t i = 0; i < json_array_size(streams); i++)
		test_stream(json_array_get(streams, i), key);
	test_bounds();
	tap_int((long long)json_array_size(early), 10, "early payloads");
	vector_bytes(json_object_get(root, "early_keys"), "key_server_to_client", key, sizeof(key));
	for (size_t i = 0; i < json_array_size(early); i++)
		test_early(json_array_get(early, i), key);
	test_long_early();
	json_decref(root);
	return tap_done();
}
