/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/control.h"

#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bench/traffic/flow.h"
#include "lib/base/bytes.h"
#include "lib/crypto/hash.h"

static_assert(CONTROL_MAC_LEN == MAC_LEN, "written by mac_blake2s()");

static const uint8_t magic[8] = { 'S', 'L', 'U', 'B', 'E', 'N', 'C', 'H' };
static const char mac_key[] = "sluice-bench control";

static void
store_double(uint8_t *p, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	store_le64(p, bits);
}

static double
load_double(const uint8_t *p)
{
	uint64_t bits = load_le64(p);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

size_t
control_write(uint8_t payload[static CONTROL_MAX_LEN], const struct control *c)
{
	uint32_t count = c->kind == CONTROL_GOODBYE ? c->count : 0;
	size_t len = CONTROL_HEAD_LEN + (size_t)count * 8;

	memset(payload, 0, len);
	memcpy(payload, magic, sizeof(magic));
	payload[8] = (uint8_t)c->kind;
	payload[9] = c->way;
	store_le32(payload + 12, c->run);
	store_le32(payload + 16, c->n_flows);
	store_le32(payload + 20, c->first_flow);
	store_le32(payload + 24, count);
	store_double(payload + 32, c->packet_ns);
	store_double(payload + 40, c->seconds);
	store_le64(payload + 48, c->planned);
	store_le64(payload + 56, c->start_ns);
	store_le64(payload + 64, c->late);
	memcpy(payload + 72, c->clock, CONTROL_CLOCK_LEN);
	for (uint32_t i = 0; i < count; i++)
		store_le64(payload + CONTROL_HEAD_LEN + i * 8, c->sent[i]);
	mac_blake2s(payload + len, (const uint8_t *)mac_key, sizeof(mac_key), payload, len);
	return len + CONTROL_MAC_LEN;
}

static bool
is_sensible(const struct control *c, size_t len)
{
	if (c->kind != CONTROL_HELLO && c->kind != CONTROL_GOODBYE)
		return false;
	if (c->way > 1 || c->n_flows == 0 || c->n_flows > FLOW_MAX)
		return false;
	if (c->count > CONTROL_FLOWS || c->first_flow > c->n_flows ||
		c->count > c->n_flows - c->first_flow)
		return false;
	if (len != CONTROL_HEAD_LEN + (size_t)c->count * 8 + CONTROL_MAC_LEN)
		return false;
	return isfinite(c->packet_ns) && c->packet_ns >= 0 && isfinite(c->seconds) &&
	       c->seconds >= 0;
}

bool
control_read(const uint8_t *payload, size_t len, struct control *ret)
{
	uint8_t mac[MAC_LEN];
	struct control c;

	if (len < CONTROL_HEAD_LEN + CONTROL_MAC_LEN || len > CONTROL_MAX_LEN ||
		memcmp(payload, magic, sizeof(magic)) != 0)
		return false;
	c = (struct control){
		.kind = (enum control_kind)payload[8],
		.way = payload[9],
		.run = load_le32(payload + 12),
		.n_flows = load_le32(payload + 16),
		.first_flow = load_le32(payload + 20),
		.count = load_le32(payload + 24),
		.packet_ns = load_double(payload + 32),
		.seconds = load_double(payload + 40),
		.planned = load_le64(payload + 48),
		.start_ns = load_le64(payload + 56),
		.late = load_le64(payload + 64),
	};
	if (!is_sensible(&c, len))
		return false;
	mac_blake2s(mac, (const uint8_t *)mac_key, sizeof(mac_key), payload, len - CONTROL_MAC_LEN);
	if (memcmp(mac, payload + len - CONTROL_MAC_LEN, CONTROL_MAC_LEN) != 0)
		return false;
	memcpy(c.clock, payload + 72, CONTROL_CLOCK_LEN);
	for (uint32_t i = 0; i < c.count; i++)
		c.sent[i] = load_le64(payload + CONTROL_HEAD_LEN + i * 8);
	*ret = c;
	return true;
}

void
control_clock(uint8_t ret[static CONTROL_CLOCK_LEN])
{
	uint8_t hash[HASH_LEN];
	char text[64] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;

	if (fd >= 0)
		close(fd);
	hash_blake2s(hash, &(struct bytes_ref){ text, n > 0 ? (size_t)n : 0 }, 1);
	memcpy(ret, hash, CONTROL_CLOCK_LEN);
}
