/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a coordination server may say: map messages one after the other, as the body of a map answer
 * holds them, applied to one map; and every message as an answer to register, as the server's keys,
 * as an early payload.  Messages are separated by zero bytes, which JSON does not have; one that
 * begins with "!" begins a new stream.  The corpus is tests/vectors/mapsession.json and
 * mapresponse.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/tailnet/map_frame.h"
#include "lib/tailnet/netmap.h"
#include "lib/tailnet/netmap_write.h"
#include "lib/tailnet/register.h"

static void
must(bool right)
{
	if (!right)
		abort();
}

// What holds of every map.
static void
check_map(const struct netmap *m)
{
	must(m->by_id.n == m->n_peers && m->by_key.n <= m->n_peers);
	for (size_t i = 0; i < netmap_n_peers(m); i++) {
		const struct node *node = netmap_peer(m, i);
		const struct node *found = netmap_find_key(m, &node->key);

		must(netmap_find_id(m, node->id) == node);
		must(found == NULL || node_key_equal(&found->key, &node->key));
	}
}

static void
check_changes(const struct netmap *m, const struct netmap_changes *c)
{
	for (size_t i = 0; i < c->n_peers; i++) {
		const struct peer_change *change = &c->peers[i];
		const struct node *known = netmap_find_id(m, change->node->id);

		must(change->fate == PEER_REMOVED ? known == NULL : known == change->node);
		must(change->fate == PEER_REMOVED || change->fields != 0);
	}
}

static void
take_message(struct netmap *m, const char *text, size_t len)
{
	struct netmap_changes changes = {};
	struct map_response r;

	if (map_response_parse(text, len, &r) != 0)
		return;
	if (netmap_apply(m, &r, instant_from_unix(1770000000, 0), &changes) == 0)
		check_changes(m, &changes);
	map_response_fini(&r);
	check_map(m);
	netmap_changes_fini(&changes);
}

struct written {
	char *text;
	size_t len;
};

static int
append(void *context, const char *text, size_t len)
{
	struct written *w = context;
	char *longer = realloc(w->text, w->len + len + 1);

	must(longer != NULL);
	memcpy(longer + w->len, text, len);
	w->text = longer;
	w->len += len;
	return 0;
}

// A map that is written down is read as the same map: it is written the same way again.
static void
check_written(const struct netmap *m)
{
	struct written first = {}, second = {};
	struct netmap_changes changes;
	struct map_response r;
	struct netmap again;

	if (m->self == NULL)
		return;
	must(netmap_write(m, append, &first) == 0);
	must(map_response_parse(first.text, first.len, &r) == 0);
	netmap_init(&again, 2);
	must(netmap_apply(&again, &r, (struct instant){}, &changes) == 0);
	map_response_fini(&r);
	netmap_changes_fini(&changes);
	must(netmap_write(&again, append, &second) == 0);
	must(first.len == second.len && memcmp(first.text, second.text, first.len) == 0);
	netmap_fini(&again);
	free(first.text);
	free(second.text);
}

static void
take_small(const char *text, size_t len)
{
	struct register_response response;
	struct control_keys keys;

	if (register_response_parse(text, len, &response) == 0)
		register_response_fini(&response);
	(void)!control_keys_parse(text, len, &keys);
	(void)!early_payload_check(text, len);
}

// Through the framing, in two pieces.
static void
take_framed(struct netmap *m, struct map_frame *f, const uint8_t *data, size_t len)
{
	uint8_t header[MAP_FRAME_HEADER_LEN];
	size_t at = 0, taken, message_len;
	const uint8_t *message;

	store_le32(header, (uint32_t)len);
	must(map_frame_push(f, header, sizeof(header), &taken) == (len > 0 ? 0 : ERR_BAD_FORMAT));
	if (len == 0) {
		map_frame_next(f);
		return;
	}
	must(map_frame_push(f, data, len / 2, &at) == 0 && at == len / 2);
	must(map_frame_push(f, data + at, len - at, &taken) == 0 && at + taken == len);
	message = map_frame_message(f, &message_len);
	must(message != NULL && message_len == len);
	take_message(m, (const char *)message, message_len);
	map_frame_next(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = data + len;
	struct map_frame f = {};
	struct netmap m;

	netmap_init(&m, 1);
	while (data < end) {
		const uint8_t *zero = memchr(data, 0, (size_t)(end - data));
		const uint8_t *next = zero != NULL ? zero : end;

		if (*data == '!') {
			netmap_begin_stream(&m);
			data++;
		}
		take_small((const char *)data, (size_t)(next - data));
		take_framed(&m, &f, data, (size_t)(next - data));
		data = zero != NULL ? zero + 1 : end;
	}
	check_written(&m);
	map_frame_fini(&f);
	netmap_fini(&m);
	return 0;
}
