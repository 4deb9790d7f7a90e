/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/desired.h"

#include <errno.h>
#include <string.h>

#include "controlplane/gateway/publish/shm_address.h"
#include "controlplane/gateway/secret_memory.h"

// The first own address of each family is the source of our ICMP errors.
static void
fill_settings(struct shm_settings *s, const struct config_gateway *config)
{
	*s = (struct shm_settings){ .mtu = config->mtu };
	for (size_t i = config->n_addresses; i-- > 0;) {
		const struct addr *a = &config->addresses[i].addr;

		if (a->family == ADDR_V4)
			s->icmp_source4 = shm_addr_of(a);
		else
			s->icmp_source6 = shm_addr_of(a);
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
desired_create(const struct config_gateway *config,
	const struct state_file *state,
	struct desired **ret_desired)
{
	struct desired *d;
	size_t n_prefixes = 0, len;

	for (size_t i = 0; i < config->n_peers; i++)
		n_prefixes += config->peers[i].n_allowed_ips;
	if (config->n_peers > CONFIG_MAX_PEERS || n_prefixes > CONFIG_MAX_PREFIXES)
		return -ENOMEM;
	len = sizeof(*d) + config->n_peers * sizeof(d->peers[0]) +
	      n_prefixes * sizeof(struct prefix);
	d = secret_memory_map(len);
	if (d == NULL)
		return -ENOMEM;

	d->map_len = len;
	d->private_key = config->private_key;
	fill_settings(&d->settings, config);
	d->n_addresses = config->n_addresses;
	memcpy(d->addresses, config->addresses, sizeof(d->addresses));
	d->n_peers = config->n_peers;
	d->prefixes = (struct prefix *)(d->peers + config->n_peers);
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
	if (desired != NULL)
		secret_memory_unmap(desired, desired->map_len);
}
