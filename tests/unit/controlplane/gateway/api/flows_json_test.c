/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Flows as people see them, out of memory that another process writes.
 */

#include "controlplane/gateway/api/flows_json.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/nat/nat_memory.h"
#include "lib/shm/region.h"
#include "tests/lib/tap.h"

static const struct mono now = { 1000 * NS_PER_S };

static struct nat_flow
flow_of(uint8_t protocol, uint8_t kind, uint16_t port)
{
	struct nat_flow f = { .inside_port = port,
		.remote_port = 80,
		.outside_port = 61000,
		.protocol = protocol,
		.family = 4,
		.kind = kind,
		.state = NAT_LIVE,
		.seen = (uint32_t)((990 * NS_PER_S) >> NAT_STAMP_SHIFT),
		.begun = (uint32_t)((900 * NS_PER_S) >> NAT_STAMP_SHIFT),
		.progress = NAT_FROM_INSIDE | NAT_FROM_OUTSIDE };

	memcpy(f.inside, (uint8_t[]){ 100, 64, 0, 2 }, 4);
	memcpy(f.remote, (uint8_t[]){ 192, 168, 77, 2 }, 4);
	return f;
}

static struct nat_memory *
make_memory(int *ret_fd)
{
	uint64_t key[4] = { 1 };
	void *map;

	*ret_fd = shm_region_create("flows", sizeof(struct nat_memory), false, NULL);
	if (*ret_fd < 0 || shm_region_map(*ret_fd, sizeof(struct nat_memory), true, &map) < 0)
		return NULL;
	((struct nat_memory *)map)->head = nat_memory_begin(key);
	return map;
}

static const char *
text(const json_t *flow, const char *key)
{
	const char *s = json_string_value(json_object_get(flow, key));

	return s != NULL ? s : "(none)";
}

static void
test_views(struct nat_memory *m, int fd)
{
	const char *why = "";
	json_t *answer, *flows, *f;

	memcpy(m->addresses[0].bytes, (uint8_t[]){ 192, 168, 77, 1 }, 4);
	m->flows[0] = flow_of(6, NAT_KIND_TRANSLATED, 5000);
	m->flows[1] = flow_of(17, NAT_KIND_PLAIN, 53);
	m->flows[2] = flow_of(6, NAT_KIND_TRANSLATED, 1);
	m->flows[2].state = NAT_RETIRED;
	m->flows[3] = flow_of(6, NAT_KIND_TRANSLATED, 2);
	m->flows[3].address = 255;
	m->flows_end = 4;
	answer = flows_json(fd, now, &why);
	flows = json_object_get(answer, "flows");
	tap_int((long long)json_array_size(flows), 2, "live flows that make sense");
	f = json_array_get(flows, 0);
	tap_text(text(f, "protocol"), "tcp", "with their protocol,");
	tap_text(text(f, "inside"), "100.64.0.2:5000", "who is inside,");
	tap_text(text(f, "outside"), "192.168.77.1:61000", "as what it is seen,");
	tap_text(text(f, "remote"), "192.168.77.2:80", "with whom it speaks,");
	tap_text(text(f, "state"), "open", "how far they are,");
	tap_ok(json_integer_value(json_object_get(f, "age_s")) >= 99 &&
			json_integer_value(json_object_get(f, "age_s")) <= 101,
		"since when,");
	tap_ok(json_integer_value(json_object_get(f, "idle_s")) >= 9 &&
			json_integer_value(json_object_get(f, "idle_s")) <= 11,
		"and when last");
	f = json_array_get(flows, 1);
	tap_text(text(f, "protocol"), "udp", "one that the other side began");
	tap_ok(json_is_null(json_object_get(f, "outside")), "is not translated");
	json_decref(answer);
}

static void
test_many(struct nat_memory *m, int fd)
{
	const char *why = "";
	json_t *answer;

	for (uint32_t i = 0; i < FLOWS_MAX_TOLD + 50; i++)
		m->flows[i] = flow_of(17, NAT_KIND_TRANSLATED, (uint16_t)i);
	m->flows_end = FLOWS_MAX_TOLD + 50;
	answer = flows_json(fd, now, &why);
	tap_int((long long)json_array_size(json_object_get(answer, "flows")), FLOWS_MAX_TOLD,
		"so many are told");
	tap_int(json_integer_value(json_object_get(answer, "flows_left_out")), 50,
		"the others are counted");
	json_decref(answer);
}

static void
test_nothing(struct nat_memory *m, int fd)
{
	const char *why = "";
	json_t *answer = flows_json(-1, now, &why);
	int other;

	tap_int((long long)json_array_size(json_object_get(answer, "flows")), 0,
		"without a data plane there are none");
	json_decref(answer);
	m->head.version++;
	tap_ok(flows_json(fd, now, &why) == NULL && why[0] != '\0',
		"memory of another version is refused, and why: %s", why);
	other = shm_region_create("small", 4096, false, NULL);
	tap_ok(flows_json(other, now, &why) == NULL, "so is what is too short: %s", why);
	close(other);
}

int
main(void)
{
	int fd;
	struct nat_memory *m = make_memory(&fd);

	if (m == NULL) {
		tap_skip("flows", "there is no room for their memory");
		return tap_done();
	}
	test_views(m, fd);
	test_many(m, fd);
	test_nothing(m, fd);
	munmap(m, sizeof(*m));
	close(fd);
	return tap_done();
}
