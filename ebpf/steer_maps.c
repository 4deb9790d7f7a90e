/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/steer_maps.h"

#include <assert.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CPUS 1024 // that a counter is read of

#define OF_ADDRESS (STEER_ADDRESS_LOCAL | STEER_ADDRESS_NAT)
#define OF_PREFIX  (STEER_ADDRESS_REDIRECT | STEER_ADDRESS_PASS)

static_assert(sizeof(struct steer_maps) == STEER_N_MAP_FDS * sizeof(int) + 8,
	"the first members are the descriptors");

const struct steer_maps STEER_NO_MAPS = {
	.settings = -1,
	.devices = -1,
	.addresses = -1,
	.prefixes4 = -1,
	.prefixes6 = -1,
	.sources = -1,
	.counters = -1,
};

/* --- bpf(2) ---------------------------------------------------------------------------------- */

static int
map_call(int command, int map, const void *key, void *value)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)map,
		.key = (uint64_t)(uintptr_t)key,
		.value = (uint64_t)(uintptr_t)value,
	};

	if (syscall(SYS_bpf, command, &attr, sizeof(attr)) < 0)
		return -errno;
	return 0;
}

static int
map_get(int map, const void *key, void *ret_value)
{
	return map_call(BPF_MAP_LOOKUP_ELEM, map, key, ret_value);
}

static int
map_put(int map, const void *key, const void *value)
{
	return map < 0 ? 0 : map_call(BPF_MAP_UPDATE_ELEM, map, key, (void *)(uintptr_t)value);
}

static int
map_delete(int map, const void *key)
{
	int err = map < 0 ? 0 : map_call(BPF_MAP_DELETE_ELEM, map, key, NULL);

	return err == -ENOENT ? 0 : err;
}

/* --- settings and devices ----------------------------------------------------------------------
 */

struct steer_settings
steer_default_settings(void)
{
	// First above last: no translation.
	return (struct steer_settings){ .nat_first = 1, STEER_LIMITS };
}

int
steer_put_settings(const struct steer_maps *maps, const struct steer_settings *settings)
{
	uint32_t zero = 0;

	return map_put(maps->settings, &zero, settings);
}

static int
find_device(const struct steer_maps *maps,
	uint32_t ifindex,
	uint32_t *ret_place,
	struct steer_device *ret)
{
	for (uint32_t i = 0; i < STEER_MAX_DEVICES; i++) {
		int err = map_get(maps->devices, &i, ret);

		if (err < 0)
			return err;
		if (ret->ifindex == ifindex) {
			*ret_place = i;
			return 0;
		}
	}
	return -ENODEV;
}

int
steer_put_device(const struct steer_maps *maps, uint32_t ifindex, const uint8_t mac[static 6])
{
	struct steer_device device;
	uint32_t place;
	int err;

	if (maps->devices < 0)
		return 0;
	err = find_device(maps, ifindex, &place, &device);
	if (err < 0)
		return err;
	memcpy(device.mac, mac, sizeof(device.mac));
	return map_put(maps->devices, &place, &device);
}

/* --- addresses and prefixes --------------------------------------------------------------------
 */

static struct steer_addr
key_of(const struct addr *address)
{
	struct steer_addr key = { .family = address->family };

	memcpy(key.bytes, address->bytes, addr_bits(address->family) / 8);
	return key;
}

/*
 * An address has flags of two kinds, of the address itself and as a host prefix, with a stamp each:
 * put those of one kind in the place of what is there of it.  None left: the row goes.
 */
static int
put_flags(const struct steer_maps *maps, const struct addr *address, uint32_t kind, uint32_t flags)
{
	struct steer_addr key = key_of(address);
	struct steer_row row = {};
	int err;

	if (maps->addresses < 0)
		return 0;
	if (address->family != ADDR_V4 && address->family != ADDR_V6)
		return -EAFNOSUPPORT;
	err = map_get(maps->addresses, &key, &row);
	if (err < 0 && err != -ENOENT)
		return err;

	row.what = (row.what & ~kind) | (flags & kind);
	if (row.what == 0)
		return map_delete(maps->addresses, &key);
	if (kind == OF_ADDRESS)
		row.stamp = maps->stamp;
	else
		row.prefix_stamp = maps->stamp;
	return map_put(maps->addresses, &key, &row);
}

int
steer_put_address(const struct steer_maps *maps, const struct addr *address, uint32_t flags)
{
	return put_flags(maps, address, OF_ADDRESS, flags);
}

int
steer_delete_address(const struct steer_maps *maps, const struct addr *address)
{
	return put_flags(maps, address, OF_ADDRESS, 0);
}

int
steer_put_prefix(const struct steer_maps *maps,
	const struct prefix *prefix,
	enum steer_prefix_action action)
{
	const struct prefix p = prefix_mask(*prefix);
	struct steer_row row = { .what = action, .stamp = maps->stamp };
	struct steer_prefix4 key4 = { .len = p.len };
	struct steer_prefix6 key6 = { .len = p.len };

	if (action == STEER_PREFIX_NONE)
		return steer_delete_prefix(maps, prefix);
	if (p.len == addr_bits(p.addr.family))
		return put_flags(maps, &p.addr, OF_PREFIX,
			action == STEER_PREFIX_REDIRECT ? STEER_ADDRESS_REDIRECT
							: STEER_ADDRESS_PASS);
	if (p.addr.family == ADDR_V4) {
		memcpy(key4.bytes, p.addr.bytes, sizeof(key4.bytes));
		return map_put(maps->prefixes4, &key4, &row);
	}
	memcpy(key6.bytes, p.addr.bytes, sizeof(key6.bytes));
	return map_put(maps->prefixes6, &key6, &row);
}

int
steer_delete_prefix(const struct steer_maps *maps, const struct prefix *prefix)
{
	const struct prefix p = prefix_mask(*prefix);
	struct steer_prefix4 key4 = { .len = p.len };
	struct steer_prefix6 key6 = { .len = p.len };

	if (p.len == addr_bits(p.addr.family))
		return put_flags(maps, &p.addr, OF_PREFIX, 0);
	if (p.addr.family == ADDR_V4) {
		memcpy(key4.bytes, p.addr.bytes, sizeof(key4.bytes));
		return map_delete(maps->prefixes4, &key4);
	}
	memcpy(key6.bytes, p.addr.bytes, sizeof(key6.bytes));
	return map_delete(maps->prefixes6, &key6);
}

/* --- known sources -----------------------------------------------------------------------------
 */

static struct steer_source
source_of(const struct addr *address, uint16_t port)
{
	struct steer_source key = { .port = port, .family = address->family };

	memcpy(key.bytes, address->bytes, addr_bits(address->family) / 8);
	return key;
}

int
steer_put_known_source(const struct steer_maps *maps, const struct addr *address, uint16_t port)
{
	struct steer_source key = source_of(address, port);
	struct steer_row row = { .what = 1, .stamp = maps->stamp };

	return map_put(maps->sources, &key, &row);
}

int
steer_delete_known_source(const struct steer_maps *maps, const struct addr *address, uint16_t port)
{
	struct steer_source key = source_of(address, port);

	return map_delete(maps->sources, &key);
}

/* --- sweeping ----------------------------------------------------------------------------------
 */

/* Room for a key of any of these maps. */
union key {
	struct steer_addr address;
	struct steer_source source;
	struct steer_prefix4 prefix4;
	struct steer_prefix6 prefix6;
};

static int
sweep_row(const struct steer_maps *maps, int map, const union key *key)
{
	struct steer_row row;
	int err = map_get(map, key, &row);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (map != maps->addresses)
		return row.stamp == maps->stamp ? 0 : map_delete(map, key);

	if (row.stamp != maps->stamp)
		row.what &= ~OF_ADDRESS;
	if (row.prefix_stamp != maps->stamp)
		row.what &= ~OF_PREFIX;
	return row.what == 0 ? map_delete(map, key) : map_put(map, key, &row);
}

static int
sweep_map(const struct steer_maps *maps, int map)
{
	union key key, next;
	int err;

	if (map < 0)
		return 0;
	// The next key is asked for before this one goes: from a key that is not there, the kernel
	// begins anew.
	err = map_call(BPF_MAP_GET_NEXT_KEY, map, NULL, &next);
	while (err == 0) {
		int swept;

		key = next;
		err = map_call(BPF_MAP_GET_NEXT_KEY, map, &key, &next);
		swept = sweep_row(maps, map, &key);
		if (swept < 0)
			return swept;
	}
	return err == -ENOENT ? 0 : err;
}

int
steer_sweep(const struct steer_maps *maps)
{
	const int swept[] = { maps->addresses, maps->prefixes4, maps->prefixes6, maps->sources };

	for (size_t i = 0; i < sizeof(swept) / sizeof(swept[0]); i++) {
		int err = sweep_map(maps, swept[i]);

		if (err < 0)
			return err;
	}
	return 0;
}

/* --- counters ----------------------------------------------------------------------------------
 */

int
steer_read_counters(const struct steer_maps *maps, uint32_t ifindex, struct steer_counts *ret)
{
	static struct steer_counts cpus[MAX_CPUS]; // too long for the stack; one thread
	struct steer_device device;
	struct steer_counts sum = {};
	uint32_t place;
	int err;

	if (maps->counters < 0 || maps->n_cpus > MAX_CPUS)
		return -ENODEV;
	err = find_device(maps, ifindex, &place, &device);
	if (err == 0)
		err = map_get(maps->counters, &place, cpus);
	if (err < 0)
		return err;

	for (uint32_t cpu = 0; cpu < maps->n_cpus; cpu++) {
		for (unsigned v = 0; v < STEER_N_VERDICTS; v++)
			sum.packets[v] += cpus[cpu].packets[v];
	}
	*ret = sum;
	return 0;
}

uint64_t
steer_dropped(const struct steer_counts *counts)
{
	return counts->packets[STEER_DROP_LENGTH] + counts->packets[STEER_DROP_SOURCE_LIMIT] +
	       counts->packets[STEER_DROP_TOTAL_LIMIT] + counts->packets[STEER_DROP_CLOSED];
}

const char *
steer_verdict_name(unsigned verdict)
{
	static const char *const names[] = {
		[STEER_PASS] = "pass",
		[STEER_PASS_OTHER_MAC] = "pass_other_mac",
		[STEER_PASS_VLAN] = "pass_vlan",
		[STEER_PASS_WIRE] = "pass_wire",
		[STEER_WIRE] = "wire",
		[STEER_INNER] = "inner",
		[STEER_DROP_LENGTH] = "sieve_length",
		[STEER_DROP_SOURCE_LIMIT] = "sieve_source_limit",
		[STEER_DROP_TOTAL_LIMIT] = "sieve_total_limit",
		[STEER_PASS_UNREAD] = "pass_unread",
		[STEER_DROP_CLOSED] = "closed",
	};

	static_assert(sizeof(names) / sizeof(names[0]) == STEER_N_VERDICTS, "a name for each");
	return verdict < STEER_N_VERDICTS ? names[verdict] : "unknown";
}
