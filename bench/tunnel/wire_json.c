/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/wire_json.h"

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct field {
	const char *name;
	size_t offset;
};

#define FIELD(structure, member)                            \
	{                                                   \
#member, offsetof(struct structure, member) \
	}

static const struct field tunnel_fields[] = {
	FIELD(tunnel_counters, opened),
	FIELD(tunnel_counters, sealed),
	FIELD(tunnel_counters, auth_failed),
	FIELD(tunnel_counters, repeated),
	FIELD(tunnel_counters, unknown_index),
	FIELD(tunnel_counters, malformed),
	FIELD(tunnel_counters, keepalives_received),
	FIELD(tunnel_counters, keepalives_sent),
	FIELD(tunnel_counters, initiations_sent),
	FIELD(tunnel_counters, initiations_received),
	FIELD(tunnel_counters, cookie_replies),
	FIELD(tunnel_counters, handshakes),
	FIELD(tunnel_counters, not_authentic),
};

static const struct field line_fields[] = {
	FIELD(line_counters, dropped),
	FIELD(line_counters, blocked),
	FIELD(line_counters, refused),
	FIELD(line_counters, datagrams_sent),
	FIELD(line_counters, datagrams_received),
	FIELD(line_counters, calls_sent),
	FIELD(line_counters, calls_received),
};

static json_t *
fields_json(const struct field *fields, size_t n, const void *base)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++) {
		const uint64_t *value = (const uint64_t *)((const char *)base + fields[i].offset);

		json_object_set_new(o, fields[i].name, json_integer((json_int_t)*value));
	}
	return o;
}

static json_t *
line_json(const struct line_counters *c)
{
	json_t *o = fields_json(line_fields, sizeof(line_fields) / sizeof(line_fields[0]), c);

	if (c->last_refusal != 0)
		json_object_set_new(o, "last_refusal", json_string(err_str(-c->last_refusal)));
	return o;
}

json_t *
wire_json(const struct tunnel_end *tunnel, const struct clear_end *clear)
{
	json_t *o = json_object();
	struct line_counters line;
	struct tunnel_counters t;

	if (tunnel != NULL) {
		tunnel_end_counters(tunnel, &t);
		json_object_set_new(o, "tunnel",
			fields_json(tunnel_fields, sizeof(tunnel_fields) / sizeof(tunnel_fields[0]),
				&t));
		line_counters(tunnel_end_line(tunnel), &line);
		json_object_set_new(o, "tunnel_line", line_json(&line));
	}
	if (clear != NULL) {
		clear_end_counters(clear, &line);
		json_object_set_new(o, "clear_line", line_json(&line));
	}
	return o;
}
