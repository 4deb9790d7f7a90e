/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/api/flows_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/nat/nat.h"
#include "lib/net/addr.h"
#include "lib/shm/region.h"

struct list {
	json_t *flows;
	size_t n_left_out;
};

static void
put(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value); // out of memory: a key that is missing
}

static json_t *
protocol(uint8_t number)
{
	char text[16];

	switch (number) {
	case 1:
		return json_string("icmp");
	case 6:
		return json_string("tcp");
	case 17:
		return json_string("udp");
	case 58:
		return json_string("icmp6");
	default:
		snprintf(text, sizeof(text), "%u", number);
		return json_string(text);
	}
}

static json_t *
place(const struct addr *a, uint16_t port)
{
	struct endpoint e = { .addr = *a, .port = port };
	char text[ADDR_TEXT_LEN];

	return a->family == ADDR_V4 || a->family == ADDR_V6 ? json_string(endpoint_format(&e, text))
	                                                    : json_null();
}

static json_t *
seconds(int64_t ns)
{
	return json_integer(ns > 0 ? ns / NS_PER_S : 0);
}

static bool
take(void *context, const struct nat_flow_view *flow)
{
	struct list *list = context;
	json_t *o;

	if (json_array_size(list->flows) == FLOWS_MAX_TOLD) {
		list->n_left_out++;
		return true;
	}
	o = json_object();
	put(o, "protocol", protocol(flow->protocol));
	put(o, "state", json_string(flow->state));
	put(o, "inside", place(&flow->inside, flow->inside_port));
	put(o, "outside",
		flow->is_translated ? place(&flow->outside, flow->outside_port) : json_null());
	put(o, "remote", place(&flow->remote, flow->remote_port));
	put(o, "age_s", seconds(flow->age_ns));
	put(o, "idle_s", seconds(flow->idle_ns));
	json_array_append_new(list->flows, o);
	return true;
}

// Its size is sealed, so reading it cannot fail half way.
static int
read_region(int fd, struct mono now, struct list *list)
{
	struct stat st;
	void *map;
	int err;

	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return ERR_TRUNCATED;
	err = shm_region_map(fd, (size_t)st.st_size, false, &map);
	if (err < 0)
		return err;
	err = nat_foreach(map, (size_t)st.st_size, now, take, list);
	munmap(map, (size_t)st.st_size);
	return err < 0 ? err : 0;
}

json_t *
flows_json(int fd, struct mono now, const char **ret_why)
{
	struct list list = { .flows = json_array() };
	int err = fd >= 0 ? read_region(fd, now, &list) : 0;

	if (err < 0) {
		json_decref(list.flows);
		*ret_why = err_str(err);
		return NULL;
	}
	return json_pack("{s:b, s:o, s:I}", "ok", 1, "flows", list.flows, "flows_left_out",
		(json_int_t)list.n_left_out);
}
