/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packet filter's table as part of a generation: whole or not at all, and kept by whoever comes
 * next.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/crypto/aead.h"
#include "lib/policy/acl_verdict.h"
#include "tests/lib/acl.h"
#include "tests/lib/gateways.h"
#include "tests/lib/tap.h"

#define LOCAL "10.2.0.0/16"
#define PORT(n)                                                    \
	"[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"10.2.0.5\"," \
	"\"Ports\":{\"First\":" #n ",\"Last\":" #n "}}]}]"

static struct in_memory *m;
static struct acl_table *port80, *port81;

static void
start(void)
{
	const struct in_memory_config config = { .n_workers = 1, .n_frames = 512 };

	if (aead_init(NULL) < 0 || in_memory_create(&config, &m) < 0)
		abort();
	port80 = acl_make(PORT(80), LOCAL);
	port81 = acl_make(PORT(81), LOCAL);
}

static void
end(void)
{
	in_memory_destroy(m);
	free(port80);
	free(port81);
}

static void
begin(bool full)
{
	const struct shm_settings settings = { .mtu = IN_MEMORY_MTU,
		.filter = SHM_FILTER_ENFORCED };

	in_memory_begin(m, full);
	in_memory_all_settings(m, &settings);
}

static const struct acl_table *
applied(void)
{
	return atomic_load(&m->tables)->acl;
}

// The port that is open by the rules applied: 80, 81, or 0.
static int
open_port(void)
{
	struct acl_packet k = { .src = { 0, 0x0a010005 },
		.dst = { 0, 0x0a020005 },
		.family = ADDR_V4,
		.protocol = IP_PROTOCOL_TCP,
		.kind = ACL_KIND_WHOLE,
		.opens_tcp = true };

	for (k.dst_port = 80; k.dst_port < 82 && applied() != NULL; k.dst_port++)
		if (acl_accepts(acl_verdict_inbound(applied(), &k, false)))
			return k.dst_port;
	return 0;
}

static uint32_t
commit_with(bool full, const struct acl_table *table)
{
	begin(full);
	if (table != NULL)
		in_memory_filter(m, table);
	return in_memory_commit(m);
}

static void
test_kept(void)
{
	start();
	tap_ok(applied() == NULL, "at first there is none");
	tap_int(commit_with(true, port80), 0, "a whole generation with a table is applied");
	tap_int(open_port(), 80, "it is looked up");
	tap_int(commit_with(false, NULL), 0, "a difference without one");
	tap_int(open_port(), 80, "keeps it");
	tap_int(commit_with(false, port81), 0, "a difference with another one");
	tap_int(open_port(), 81, "replaces it");
	tap_int(commit_with(false, NULL), 0, "again nothing");
	tap_int(open_port(), 81, "again kept");
	begin(false);
	in_memory_filter(m, NULL);
	tap_int(in_memory_commit(m), 0, "a difference that takes it away");
	tap_ok(applied() == NULL, "does so");
	tap_int(commit_with(false, port80), 0, "and back");
	tap_int(commit_with(true, NULL), 0, "a whole generation without one");
	tap_ok(applied() == NULL, "has none");
	end();
}

static void
say_part(uint32_t offset, uint32_t total, const void *bytes)
{
	struct shm_command cmd = { .kind = SHM_CMD_FILTER, .generation = m->generation };

	cmd.filter.offset = offset;
	cmd.filter.total = total;
	memcpy(cmd.filter.bytes, bytes, SHM_FILTER_PART);
	in_memory_command(m, &cmd);
}

// Parts of a table as long as port81, from `first` on, up to `last` bytes.
static void
say_parts_of(const void *table, uint32_t first, uint32_t last)
{
	uint8_t part[SHM_FILTER_PART];

	for (uint32_t at = first; at < last; at += SHM_FILTER_PART) {
		uint32_t left = port81->size_bytes - at;

		memset(part, 0, sizeof(part));
		memcpy(part, (const uint8_t *)table + at,
			left < sizeof(part) ? left : sizeof(part));
		say_part(at, port81->size_bytes, part);
	}
}

static void
say_parts(uint32_t first, uint32_t last)
{
	say_parts_of(port81, first, last);
}

static void
check_refused(const char *what)
{
	tap_int(in_memory_commit(m), SHM_REFUSED_FILTER, what);
	tap_int(open_port(), 80, "what was applied stays");
}

static void
test_refused(void)
{
	uint8_t zeros[SHM_FILTER_PART] = {};
	uint32_t total;

	start();
	total = port81->size_bytes;
	if (commit_with(true, port80) != 0)
		abort();

	begin(false);
	say_parts(0, total - 1 - SHM_FILTER_PART);
	check_refused("a table whose end is missing is refused");
	begin(false);
	say_parts(0, SHM_FILTER_PART);
	say_parts(2 * SHM_FILTER_PART, total);
	check_refused("one with a gap");
	begin(false);
	say_parts(0, SHM_FILTER_PART);
	say_parts(2 * SHM_FILTER_PART, 3 * SHM_FILTER_PART);
	say_parts(2 * SHM_FILTER_PART, total);
	check_refused("one whose parts are as many bytes, but not the same");
	begin(false);
	say_parts(SHM_FILTER_PART, total);
	check_refused("one without its beginning");
	begin(false);
	say_parts(0, total);
	say_part(total, total + 8, zeros);
	check_refused("one that becomes longer");
	begin(false);
	say_part(0, SHM_MAX_FILTER + 8, zeros);
	check_refused("one that is too long");
	begin(false);
	say_part(UINT32_MAX - 7, UINT32_MAX, zeros);
	check_refused("one at an offset beyond all");
	begin(false);
	say_part(8, 0, zeros);
	check_refused("none, but at an offset");
	begin(false);
	say_part(0, SHM_FILTER_PART, zeros);
	check_refused("one that is no table");
	for (uint32_t at = 0; at < total; at += 8) {
		struct acl_table *bad = malloc(total);

		memcpy(bad, port81, total);
		memset((uint8_t *)bad + at, 0xff, 8);
		begin(false);
		say_parts_of(bad, 0, total);
		(void)in_memory_commit(m); // sound or not: a sanitizer sees a byte too far
		(void)open_port();
		free(bad);
	}
	if (commit_with(false, port80) != 0)
		abort();

	begin(false);
	say_parts(0, 2 * SHM_FILTER_PART);
	say_parts(0, total);
	tap_int(in_memory_commit(m), 0, "the first part begins anew");
	tap_int(open_port(), 81, "so a repeated beginning does no harm");
	end();
}

static void
test_settings(void)
{
	const struct shm_settings wrong = { .mtu = IN_MEMORY_MTU, .filter = 3 };

	start();
	in_memory_begin(m, true);
	in_memory_all_settings(m, &wrong);
	tap_int(in_memory_commit(m), SHM_REFUSED_ROW,
		"a kind of filtering that is none is refused");
	end();
}

static void
test_numbers(void)
{
	struct acl_table *same = acl_make(PORT(81), LOCAL);
	uint64_t first, second;

	start();
	if (commit_with(true, port80) != 0)
		abort();
	first = applied()->generation;
	if (commit_with(false, same) != 0)
		abort();
	second = applied()->generation;
	tap_ok(port80->generation == same->generation && first != second && second != 0,
		"tables have numbers of their own, whatever the control plane says");
	if (commit_with(false, NULL) != 0)
		abort();
	tap_ok(applied()->generation == second, "one that is kept keeps its number");
	free(same);
	end();
}

static struct in_memory *
succeed(void)
{
	const struct in_memory_config config = {
		.n_workers = 1, .n_frames = 512, .state = m->state, .keys = m->keys
	};
	struct in_memory *next;

	if (in_memory_create(&config, &next) < 0)
		abort();
	return next;
}

static void
test_successor(void)
{
	struct in_memory *first, *next;

	start();
	first = m;
	if (commit_with(true, port80) != 0)
		abort();
	begin(false);
	say_parts(0, port81->size_bytes); // and here it dies
	next = succeed();
	m = next;
	tap_int(open_port(), 80, "the next forwarder has the table that was applied");
	tap_int(atomic_load(&m->tables)->filter, SHM_FILTER_ENFORCED, "and enforces it");
	tap_int(commit_with(false, NULL), 0, "a difference on top of it");
	tap_int(open_port(), 80, "keeps it");
	in_memory_destroy(next);

	// Damaged memory: nothing is let in until the control plane has said all again.
	first->state->filters[0].bytes[0] ^= 1;
	first->state->filters[1].bytes[0] ^= 1;
	m = first;
	next = succeed();
	m = next;
	tap_ok(applied() == NULL && atomic_load(&m->tables)->filter == SHM_FILTER_ENFORCED,
		"a damaged table is none");
	in_memory_destroy(next);
	m = first;
	end();
}

int
main(void)
{
	test_kept();
	test_refused();
	test_settings();
	test_numbers();
	test_successor();
	return tap_done();
}
