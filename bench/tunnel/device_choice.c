/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/device_choice.h"

#include <stdio.h>
#include <string.h>

#include "bench/harness/run.h"
#include "bench/trial/device_memory.h"

void
device_options_print_help(void)
{
	printf("%s%s", load_options_help, end_options_help);
}

int
device_option(struct load_options *load, struct end_options *ends, int value, const char *argument)
{
	int of_load = load_option(load, value, argument);

	return of_load != 0 ? of_load : end_option(ends, value, argument);
}

int
device_request(struct load_options *load,
	const struct end_options *ends,
	struct trial_request *ret_request)
{
	const struct tunnel_config *t = &ends->config.tunnel;
	bool is_v6 = t->inner.family == ADDR_V6 || ends->config.clear.family == ADDR_V6;

	return load_options_read(load, t->mtu, is_v6, t->n_peers, ret_request);
}

static struct device *
choose_memory(const struct end_options *ends, const struct device_watch *watch)
{
	const struct device_socket_config *c = &ends->config;
	const struct device_memory_config config = {
		.family = c->tunnel.inner.family,
		.mtu = c->tunnel.mtu,
		.n_peers = c->tunnel.n_peers,
		.ahead_bytes = c->ahead_bytes,
		.device_core = c->receive_core,
		.generator_core = c->send_core,
		.is_stopped = watch->is_stopped,
		.context = watch->context,
	};
	struct device *d;

	return device_memory_create(&config, &d) == 0 ? d : NULL;
}

struct device *
device_choose(const struct load_options *load,
	struct end_options *ends,
	const struct device_watch *watch)
{
	struct device_socket_config *c = &ends->config;

	if (load->is_in_memory)
		return choose_memory(ends, watch);
	c->is_stopped = watch->is_stopped;
	c->progress = watch->progress;
	c->context = watch->context;
	return device_socket_create(c);
}

json_t *
device_trial_json(const struct device *d, const struct trial_result *result)
{
	json_t *o = trial_json(result);

	if (strcmp(d->name, "socket") == 0)
		json_object_set_new(o, "wire", device_socket_wire(d));
	else if (strcmp(d->name, "memory") == 0)
		json_object_set_new(o, "device", device_memory_json(d));
	return o;
}
