/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/desired.h"

#include <errno.h>
#include <string.h>

#include "controlplane/gateway/publish/acl_block.h"
#include "controlplane/gateway/publish/shm_address.h"
#include "controlplane/gateway/secret_memory.h"
#include "controlplane/gateway/stream/trust.h"
#include "lib/tailnet/derp_map.h"

void
desired_set_icmp_sources(struct desired *d)
{
	for (size_t i = d->n_addresses; i-- > 0;) {
		const struct addr *a = &d->addresses[i].addr;

		if (a->family == ADDR_V4)
			d->settings.icmp_source4 = shm_addr_of(a);
		else
			d->settings.icmp_source6 = shm_addr_of(a);
	}
}

static void
fill_peer(struct desired_peer *p, const struct config_peer *from, const struct state_file *state)
{
	const struct peer_stamps *stamps;

	p->public_key = from->public_key;
	if (from->has_preshared_key)
		p->preshared_key = from->preshared_key;
	memcpy(p->name, from->name, sizeof(p->name));
	p->keepalive_s = from->persistent_keepalive_s;
	if (from->endpoint_host[0] != '\0')
		p->endpoint_is_name =
			!endpoint_from_host(from->endpoint_host, from->endpoint_port, &p->endpoint);
	stamps = state != NULL ? state_file_find(state, &from->public_key) : NULL;
	if (stamps != NULL) {
		p->rx_timestamp = stamps->rx;
		p->tx_timestamp = stamps->tx;
	}
}

int
desired_alloc(size_t max_peers,
	size_t max_prefixes,
	size_t max_endpoints,
	struct desired **ret_desired)
{
	struct desired *d;
	size_t len;

	if (max_peers > CONFIG_MAX_PEERS || max_prefixes > CONFIG_MAX_PREFIXES ||
		max_endpoints > DESIRED_MAX_ENDPOINTS)
		return -E2BIG;
	len = sizeof(*d) + max_peers * sizeof(d->peers[0]) + max_prefixes * sizeof(struct prefix) +
	      max_endpoints * sizeof(struct endpoint);
	d = secret_memory_map(len);
	if (d == NULL)
		return -ENOMEM;
	d->map_len = len;
	d->endpoints = (struct endpoint *)(d->peers + max_peers);
	d->prefixes = (struct prefix *)(d->endpoints + max_endpoints);
	*ret_desired = d;
	return 0;
}

int
desired_create(const struct config_gateway *config,
	const struct state_file *state,
	struct desired **ret_desired)
{
	struct desired *d;
	size_t n_prefixes = 0;
	int err;

	for (size_t i = 0; i < config->n_peers; i++)
		n_prefixes += config->peers[i].n_allowed_ips;
	err = desired_alloc(config->n_peers, n_prefixes, 0, &d);
	if (err < 0)
		return err;
	d->private_key = config->private_key;
	d->settings.mtu = config->mtu;
	d->n_addresses = config->n_addresses;
	memcpy(d->addresses, config->addresses, sizeof(d->addresses));
	desired_set_icmp_sources(d);
	d->n_peers = config->n_peers;
	for (size_t i = 0; i < config->n_peers; i++) {
		const struct config_peer *from = &config->peers[i];

		fill_peer(&d->peers[i], from, state);
		d->peers[i].first_prefix = (uint32_t)d->n_prefixes;
		d->peers[i].n_prefixes = (uint32_t)from->n_allowed_ips;
		for (size_t k = 0; k < from->n_allowed_ips; k++)
			d->prefixes[d->n_prefixes++] = prefix_mask(from->allowed_ips[k]);
	}
	*ret_desired = d;
	return 0;
}

void
desired_destroy(struct desired *desired)
{
	if (desired == NULL)
		return;
	derp_map_destroy(desired->self.derp_map);
	trust_unref(desired->self.trust);
	acl_block_unref(desired->filter);
	secret_memory_unmap(desired, desired->map_len);
}
