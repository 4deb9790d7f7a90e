/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any packets through a gateway that remembers flows, and through one that does not: both do the
 * same.  The unit test flow_difference_test.c goes the same way with packets that it makes itself.
 *
 * Input: records of a kind, a length (16 bits, little-endian) and that many bytes.  The kind's
 * lower bits say where a packet arrives, or what changes; bit 4: the packet arrives again, in a
 * burst of its own; bit 6: the checksum of an IPv4 header is made right; bit 7: a round.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/net/checksum.h"
#include "tests/unit/dataplane/path/twins.h"

#define MAX_PACKETS 60u // between two rounds: of one port they make one burst

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct twins t;
static uint32_t n_pushed;

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
round_and_check(void)
{
	twins_run(&t);
	must(twins_agree(&t));
	twins_advance(&t, NS_PER_MS);
	n_pushed = 0;
}

// All flows are over, and the network is what it was at first.
static void
reset(void)
{
	t.net->nat = 0;
	twins_say(&t);
	twins_neighbour(&t, 0, "192.168.77.5", 5, SHM_NEIGHBOUR_REACHABLE);
	for (uint32_t peer = 0; peer < TWINS_PEERS; peer++)
		twins_rekey(&t, peer);
	twins_advance(&t, 8000 * NS_PER_S);
	round_and_check();
}

static void
change(const uint8_t *data, size_t len)
{
	if (len == 0)
		return;
	round_and_check();
	switch (data[0] & 3) {
	case 0:
		t.net->nat = data[0] >> 2 & 3;
		twins_say(&t);
		break;
	case 1:
		twins_neighbour(&t, 0, "192.168.77.5", data[0],
			(enum shm_neighbour_state)(data[0] >> 2 & 3));
		break;
	case 2:
		twins_advance(&t, 5 * NS_PER_S);
		break;
	case 3:
		twins_advance(&t, NS_PER_MS * (data[0] >> 2));
		break;
	}
}

static void
push(uint8_t kind, const uint8_t *data, size_t len)
{
	if (n_pushed++ == MAX_PACKETS)
		round_and_check();
	if ((kind & 7) < TWINS_PEERS)
		twins_from_peer(&t, kind & 7, data, (uint32_t)len, kind >> 5 & 1 ? 3 : 0);
	else
		twins_from_link(&t, (kind & 7) != 3, data, (uint32_t)len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t copy[1500];
	size_t at = 0;

	if (t.net == NULL)
		twins_create(&t);
	reset();
	while (at + 3 <= len) {
		uint8_t kind = data[at];
		size_t n = (size_t)(data[at + 1] | data[at + 2] << 8) % sizeof(copy);

		at += 3;
		if (n > len - at)
			n = len - at;
		memcpy(copy, data + at, n);
		at += n;
		if ((kind & 0x40) != 0 && n >= 20 && copy[0] == 0x45)
			checksum_fill_ipv4(copy, 20);
		if ((kind & 7) > 4) {
			change(copy, n);
			continue;
		}
		push(kind, copy, n);
		if ((kind & 0x10) != 0) {
			round_and_check();
			push(kind, copy, n);
		}
		if ((kind & 0x80) != 0)
			round_and_check();
	}
	round_and_check();
	return 0;
}
