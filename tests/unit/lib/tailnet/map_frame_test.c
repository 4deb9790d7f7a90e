/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Messages with their length in front, in pieces of every size.
 */

#include "lib/tailnet/map_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"

static const size_t lens[] = { 1, 18, 4096, 4097, 100000, 3 };

#define MESSAGES (sizeof(lens) / sizeof(lens[0]))

// Message k is made of bytes k + 1.
static size_t
make_body(uint8_t *out)
{
	uint8_t *at = out;

	for (size_t k = 0; k < MESSAGES; k++) {
		store_le32(at, (uint32_t)lens[k]);
		memset(at + 4, (int)k + 1, lens[k]);
		at += 4 + lens[k];
	}
	return (size_t)(at - out);
}

static bool
is_message(const uint8_t *message, size_t len, size_t k)
{
	if (k >= MESSAGES || len != lens[k])
		return false;
	for (size_t i = 0; i < len; i++)
		if (message[i] != k + 1)
			return false;
	return true;
}

static void
test_pieces(const uint8_t *body, size_t len, size_t step)
{
	struct map_frame f = {};
	size_t at = 0, seen = 0, wrong = 0, taken, message_len;

	while (at < len) {
		size_t piece = step < len - at ? step : len - at;
		const uint8_t *message;

		if (map_frame_push(&f, body + at, piece, &taken) != 0)
			break;
		at += taken;
		message = map_frame_message(&f, &message_len);
		if (message == NULL)
			continue;
		wrong += !is_message(message, message_len, seen++);
		wrong += map_frame_push(&f, body + at, len - at, &taken) != 0 || taken != 0;
		map_frame_next(&f);
	}
	tap_ok(wrong == 0 && seen == MESSAGES && at == len, "all messages in pieces of %zu", step);
	map_frame_fini(&f);
}

static void
test_limits(void)
{
	uint8_t header[4];
	struct map_frame f = {};
	size_t taken;

	store_le32(header, 0);
	tap_int(map_frame_push(&f, header, 4, &taken), ERR_BAD_FORMAT, "an empty message");
	f = (struct map_frame){};
	store_le32(header, MAP_FRAME_MAX_LEN + 1);
	tap_int(map_frame_push(&f, header, 4, &taken), -E2BIG, "one that is too long");
	f = (struct map_frame){};
	store_le32(header, MAP_FRAME_MAX_LEN);
	tap_int(map_frame_push(&f, header, 4, &taken), 0, "the longest");
	tap_int(map_frame_push(&f, (const uint8_t *)"x", 1, &taken), 0, "its first byte");
	tap_ok(f.room <= 4096, "memory for what has come, not for what was promised");
	map_frame_fini(&f);
}

int
main(void)
{
	static const size_t steps[] = { 1, 2, 3, 5, 7, 100, 4095, 4096, 200000 };
	uint8_t *body = malloc(200000);
	size_t len = make_body(body);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		test_pieces(body, len, steps[i]);
	test_limits();
	free(body);
	return tap_done();
}
