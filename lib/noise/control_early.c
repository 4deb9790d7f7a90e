/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/noise/control_early.h"

#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

static const uint8_t magic[] = { 0xff, 0xff, 0xff, 'T', 'S' };

void
control_early_create(uint32_t json_len, uint8_t ret_header[static CONTROL_EARLY_HEADER_LEN])
{
	memcpy(ret_header, magic, sizeof(magic));
	store_be32(ret_header + sizeof(magic), json_len);
}

static int
push_header(struct control_early *e, const uint8_t *data, size_t len, size_t *ret_taken)
{
	size_t missing = sizeof(e->header) - e->header_len;
	size_t taken = len < missing ? len : missing;

	memcpy(e->header + e->header_len, data, taken);
	e->header_len += taken;
	*ret_taken = taken;
	if (e->header_len < sizeof(e->header))
		return 0;
	if (memcmp(e->header, magic, sizeof(magic)) != 0) {
		e->state = CONTROL_EARLY_ABSENT;
		return 0;
	}
	e->json_len = load_be32(e->header + sizeof(magic));
	if (e->json_len == 0 || e->json_len > CONTROL_EARLY_MAX_LEN)
		return ERR_BAD_FORMAT;
	e->state = CONTROL_EARLY_JSON;
	return 0;
}

static size_t
push_json(struct control_early *e, const uint8_t *data, size_t len)
{
	size_t missing = e->json_len - e->json_at;
	size_t taken = len < missing ? len : missing;
	size_t room = e->json_at < sizeof(e->json) ? sizeof(e->json) - e->json_at : 0;

	if (room > 0)
		memcpy(e->json + e->json_at, data, taken < room ? taken : room);
	e->json_at += (uint32_t)taken;
	if (e->json_at == e->json_len)
		e->state = CONTROL_EARLY_FOUND;
	return taken;
}

int
control_early_push(struct control_early *e, const uint8_t *data, size_t len, size_t *ret_taken)
{
	size_t taken = 0;
	int err = 0;

	if (e->state == CONTROL_EARLY_HEADER && len > 0)
		err = push_header(e, data, len, &taken);
	if (err == 0 && e->state == CONTROL_EARLY_JSON && taken < len)
		taken += push_json(e, data + taken, len - taken);
	*ret_taken = taken;
	return err;
}
