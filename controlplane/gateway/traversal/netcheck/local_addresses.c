/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/local_addresses.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MAX_V6_PER_SUBNET 2

enum use {
	USE_NEVER,
	USE_ALWAYS,
	USE_IF_ALONE, /* when there is nothing better of any family */
};

/* --- from the kernel --- */

static uint8_t
mask_len(const void *mask, size_t n)
{
	const uint8_t *bytes = mask;
	unsigned len = 0;

	for (size_t i = 0; i < n; i++)
		len += (unsigned)__builtin_popcount(bytes[i]);
	return (uint8_t)len;
}

static bool
take_address(const struct ifaddrs *from, struct local_address *ret)
{
	if (from->ifa_addr == NULL || from->ifa_name == NULL)
		return false;
	*ret = (struct local_address){
		.is_up = (from->ifa_flags & IFF_UP) != 0,
		.is_loopback = (from->ifa_flags & IFF_LOOPBACK) != 0,
	};
	strncpy(ret->interface, from->ifa_name, sizeof(ret->interface) - 1);
	if (from->ifa_addr->sa_family == AF_INET) {
		const struct sockaddr_in *sa = (const void *)from->ifa_addr;
		const struct sockaddr_in *mask = (const void *)from->ifa_netmask;

		ret->prefix.addr.family = ADDR_V4;
		memcpy(ret->prefix.addr.bytes, &sa->sin_addr, 4);
		ret->prefix.len = mask != NULL ? mask_len(&mask->sin_addr, 4) : 32;
		return true;
	}
	if (from->ifa_addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *sa = (const void *)from->ifa_addr;
		const struct sockaddr_in6 *mask = (const void *)from->ifa_netmask;

		ret->prefix.addr.family = ADDR_V6;
		memcpy(ret->prefix.addr.bytes, &sa->sin6_addr, 16);
		ret->prefix.len = mask != NULL ? mask_len(&mask->sin6_addr, 16) : 128;
		return true;
	}
	return false;
}

size_t
local_addresses_read(struct local_address *ret_addresses, size_t max)
{
	struct ifaddrs *list;
	size_t n = 0;

	if (getifaddrs(&list) < 0)
		return 0;
	for (const struct ifaddrs *i = list; i != NULL && n < max; i = i->ifa_next)
		n += take_address(i, &ret_addresses[n]);
	freeifaddrs(list);
	return n;
}

/* --- which of them --- */

static bool
is_in(const struct addr *addr, const struct addr *net, uint8_t len)
{
	const struct prefix p = { *net, len };

	return prefix_contains(&p, addr);
}

bool
addr_is_of_tailnet(const struct addr *addr)
{
	static const struct addr cgnat = { ADDR_V4, { 100, 64 } };
	static const struct addr chromeos = { ADDR_V4, { 100, 115, 92 } };
	static const struct addr ula = { ADDR_V6, { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 } };

	return (is_in(addr, &cgnat, 10) && !is_in(addr, &chromeos, 23)) || is_in(addr, &ula, 48);
}

static bool
is_link_local(const struct addr *addr)
{
	static const struct addr v4 = { ADDR_V4, { 169, 254 } };
	static const struct addr v6 = { ADDR_V6, { 0xfe, 0x80 } };

	return is_in(addr, &v4, 16) || is_in(addr, &v6, 10);
}

static bool
is_private_v6(const struct addr *addr)
{
	static const struct addr ula = { ADDR_V6, { 0xfc } };

	return is_in(addr, &ula, 7);
}

// No address of one machine: unspecified, multicast, and IPv4 inside IPv6.
static bool
is_no_host(const struct addr *addr)
{
	static const struct addr any = { ADDR_V6, {} };
	static const struct addr multicast4 = { ADDR_V4, { 224 } }, zero4 = { ADDR_V4, {} };

	if (addr->family == ADDR_V6)
		return addr->bytes[0] == 0xff || is_in(addr, &any, 80);
	return addr->family != ADDR_V4 || is_in(addr, &zero4, 8) || is_in(addr, &multicast4, 3);
}

// Other overlays' interfaces: what they carry, peers cannot reach directly.
static bool
is_overlay(const char *interface, const char *tunnel)
{
	return strcmp(interface, tunnel) == 0 || strncmp(interface, "zt", 2) == 0 ||
	       strcmp(interface, "wt0") == 0;
}

// Whether packets can leave from it.
static bool
is_usable(const struct local_address *a, const char *tunnel)
{
	return a->is_up && !a->is_loopback && !is_overlay(a->interface, tunnel) &&
	       !is_no_host(&a->prefix.addr) &&
	       (a->prefix.addr.family == ADDR_V4 || !is_link_local(&a->prefix.addr));
}

// Some providers number their customers from the tailnets' range: such an address is of use, but it
// cannot be told from a tunnel's.
static enum use
use_of(const struct local_address *a, const char *tunnel)
{
	const struct addr *addr = &a->prefix.addr;

	if (!is_usable(a, tunnel) || addr_is_of_tailnet(addr))
		return USE_NEVER;
	if (is_link_local(addr))
		return USE_IF_ALONE;
	return is_private_v6(addr) ? USE_IF_ALONE : USE_ALWAYS;
}

static int
compare(const void *a, const void *b)
{
	return addr_compare(a, b);
}

static size_t
sort_unique(struct addr *addresses, size_t n)
{
	size_t kept = 0;

	qsort(addresses, n, sizeof(addresses[0]), compare);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !addr_equal(&addresses[kept - 1], &addresses[i]))
			addresses[kept++] = addresses[i];
	return kept;
}

// Privacy addresses of one network pile up; peers need no more than two of them.
static bool
is_crowded(const struct local_address *addresses, size_t i, const char *tunnel, enum use use)
{
	struct prefix net = addresses[i].prefix;
	unsigned before = 0;

	if (net.addr.family != ADDR_V6)
		return false;
	if (net.len > 64)
		net.len = 64;
	for (size_t j = 0; j < i; j++)
		before += use_of(&addresses[j], tunnel) == use &&
		          prefix_contains(&net, &addresses[j].prefix.addr);
	return before >= MAX_V6_PER_SUBNET;
}

static size_t
choose(const struct local_address *addresses,
	size_t n,
	const char *tunnel,
	enum use use,
	struct addr *ret,
	size_t max)
{
	size_t n_ret = 0;

	for (size_t i = 0; i < n && n_ret < max; i++)
		if (use_of(&addresses[i], tunnel) == use && !is_crowded(addresses, i, tunnel, use))
			ret[n_ret++] = addresses[i].prefix.addr;
	return n_ret;
}

static size_t
choose_loopback(const struct local_address *addresses, size_t n, struct addr *ret, size_t max)
{
	size_t n_ret = 0;

	for (size_t i = 0; i < n && n_ret < max; i++)
		if (addresses[i].is_up && addresses[i].is_loopback)
			ret[n_ret++] = addresses[i].prefix.addr;
	return n_ret;
}

size_t
local_addresses_choose(const struct local_address *addresses,
	size_t n,
	const char *tunnel,
	struct addr *ret_addresses,
	size_t max)
{
	size_t n_ret = choose(addresses, n, tunnel, USE_ALWAYS, ret_addresses, max);

	if (n_ret == 0)
		n_ret = choose(addresses, n, tunnel, USE_IF_ALONE, ret_addresses, max);
	if (n_ret == 0)
		n_ret = choose_loopback(addresses, n, ret_addresses, max);
	return sort_unique(ret_addresses, n_ret);
}

bool
local_addresses_have(const struct local_address *addresses,
	size_t n,
	const char *tunnel,
	enum addr_family family)
{
	for (size_t i = 0; i < n; i++)
		if (addresses[i].prefix.addr.family == family && is_usable(&addresses[i], tunnel))
			return true;
	return false;
}
