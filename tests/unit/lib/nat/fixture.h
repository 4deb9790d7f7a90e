/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What several tests of lib/nat need: memory as the keeper makes it, and packets in and out by
 * text.
 */
#ifndef TESTS_UNIT_LIB_NAT_FIXTURE_H
#define TESTS_UNIT_LIB_NAT_FIXTURE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/nat/nat.h"
#include "lib/net/addr.h"
#include "lib/net/headers.h"
#include "tests/lib/packet.h"
#include "tests/lib/packet_text.h"

#define FIXTURE_START_NS ((uint64_t)1000 * (uint64_t)NS_PER_S)

/* Shared with children; all zero but for the head. */
static inline struct nat_memory *
fixture_memory(void)
{
	const uint64_t key[4] = { 0x0123456789abcdef, 0x6b8b4567327b23c6, 0x643c986966334873,
		0x74b0dc5119495cff };
	struct nat_memory *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED)
		abort();
	m->head = nat_memory_begin(key);
	return m;
}

static inline void
fixture_memory_free(struct nat_memory *m)
{
	munmap(m, sizeof(*m));
}

static inline struct nat *
fixture_use(struct nat_memory *m)
{
	struct nat *nat;

	if (nat_use(m, &nat) < 0)
		abort();
	return nat;
}

/* A packet of text, with room behind it. */
struct fixture_packet {
	uint8_t bytes[2048];
	uint32_t len;
	struct ip_view view;
};

static inline void
fixture_packet(const char *text, struct fixture_packet *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->len = (uint32_t)packet_text_make(text, ret->bytes, sizeof(ret->bytes));
	if (!ip_parse(ret->bytes, ret->len, &ret->view))
		abort();
}

static inline const char *
fixture_verdict(enum nat_verdict verdict)
{
	static const char *const names[] = { "same", "translated", "hairpin", "held",
		"drop:malformed", "drop:protocol", "drop:no_flow", "drop:full", "drop:busy" };

	return (size_t)verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "?";
}

#endif
