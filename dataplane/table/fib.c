/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/fib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct addr
addr_of(const struct shm_addr *a, uint8_t family)
{
	struct addr out = { .family = family };

	memcpy(out.bytes, a->bytes, family == ADDR_V4 ? 4 : 16);
	return out;
}

static struct addr
icmp_source(const struct shm_addr *a, uint8_t family)
{
	static const struct shm_addr none = {};

	if (memcmp(a, &none, sizeof(none)) == 0)
		return (struct addr){};
	return addr_of(a, family);
}

static int
build_fib(struct fib *fib, const struct shm_prefix_row *rows, size_t n, const uint64_t seed[2])
{
	struct exact_item *hosts = malloc((n + 1) * sizeof(*hosts));
	struct prefix_item *subnets = malloc((n + 1) * sizeof(*subnets));
	size_t n_hosts = 0, n_subnets = 0;
	int err = -ENOMEM;

	if (hosts == NULL || subnets == NULL)
		goto out;
	for (size_t i = 0; i < n; i++) {
		const struct shm_prefix_row *row = &rows[i];
		uint32_t to = row->to == SHM_TO_HOST     ? FIB_HOST
		              : row->to == SHM_TO_NOBODY ? FIB_NOBODY
		                                         : row->to;
		struct addr addr = addr_of(&row->addr, row->family);

		if (row->len == addr_bits(row->family))
			hosts[n_hosts++] = (struct exact_item){ addr, to };
		else
			subnets[n_subnets++] = (struct prefix_item){ { addr, row->len }, to };
	}
	err = exact_table_create(hosts, n_hosts, seed, &fib->exact, NULL);
	if (err == 0)
		err = prefix_table_create(subnets, n_subnets, &fib->prefixes, NULL);
out:
	free(subnets);
	free(hosts);
	return err;
}

static uint32_t
peer_of_all(const struct shm_prefix_row *rows, size_t n, uint8_t family)
{
	uint32_t peer = FIB_NONE;

	for (size_t i = 0; i < n; i++)
		if (rows[i].family == family && rows[i].len <= 1 && fib_is_peer(rows[i].to))
			peer = rows[i].to;
	return peer;
}

int
tables_create(const struct shm_prefix_row *rows,
	size_t n,
	const struct shm_settings *settings,
	uint64_t generation,
	const uint64_t seed[2],
	struct tables **ret_tables)
{
	struct tables *tables = calloc(1, sizeof(*tables));
	int err;

	if (tables == NULL)
		return -ENOMEM;
	tables->generation = generation;
	tables->mtu = settings->mtu;
	tables->icmp_source4 = icmp_source(&settings->icmp_source4, ADDR_V4);
	tables->icmp_source6 = icmp_source(&settings->icmp_source6, ADDR_V6);
	tables->filter = settings->filter;
	tables->peer_api_port4 = settings->peer_api_port4;
	tables->peer_api_port6 = settings->peer_api_port6;
	tables->all4 = peer_of_all(rows, n, ADDR_V4);
	tables->all6 = peer_of_all(rows, n, ADDR_V6);
	err = build_fib(&tables->fib, rows, n, seed);
	if (err < 0) {
		tables_destroy(tables);
		return err;
	}
	*ret_tables = tables;
	return 0;
}

void
tables_destroy(struct tables *tables)
{
	if (tables == NULL)
		return;
	exact_table_destroy(tables->fib.exact);
	prefix_table_destroy(tables->fib.prefixes);
	free(tables);
}
