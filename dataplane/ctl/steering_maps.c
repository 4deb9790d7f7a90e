/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/steering_maps.h"

#include <errno.h>
#include <string.h>

static struct addr
address(uint8_t family, const uint8_t *bytes)
{
	struct addr a = { .family = family };

	memcpy(a.bytes, bytes, family == ADDR_V4 ? 4 : 16);
	return a;
}

static int
put_prefix(void *context, uint8_t family, const uint8_t *bytes, uint8_t len, bool redirect)
{
	const struct steering_maps *m = context;
	const struct prefix prefix = { .addr = address(family, bytes), .len = len };

	return steer_put_prefix(
		&m->maps, &prefix, redirect ? STEER_PREFIX_REDIRECT : STEER_PREFIX_PASS);
}

static int
delete_prefix(void *context, uint8_t family, const uint8_t *bytes, uint8_t len)
{
	const struct steering_maps *m = context;
	const struct prefix prefix = { .addr = address(family, bytes), .len = len };

	return steer_delete_prefix(&m->maps, &prefix);
}

static int
put_address(void *context, uint8_t family, const uint8_t *bytes, bool is_local, bool is_nat)
{
	const struct steering_maps *m = context;
	const struct addr a = address(family, bytes);

	return steer_put_address(&m->maps, &a,
		(is_local ? STEER_ADDRESS_LOCAL : 0) | (is_nat ? STEER_ADDRESS_NAT : 0));
}

static int
delete_address(void *context, uint8_t family, const uint8_t *bytes)
{
	const struct steering_maps *m = context;
	const struct addr a = address(family, bytes);

	return steer_delete_address(&m->maps, &a);
}

static int
put_source(void *context, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	const struct steering_maps *m = context;
	const struct addr a = address(family, bytes);

	return steer_put_known_source(&m->maps, &a, port);
}

static int
delete_source(void *context, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	const struct steering_maps *m = context;
	const struct addr a = address(family, bytes);

	return steer_delete_known_source(&m->maps, &a, port);
}

static int
put_device(void *context, uint32_t ifindex, const uint8_t *mac)
{
	const struct steering_maps *m = context;
	int err = steer_put_device(&m->maps, ifindex, mac);

	return err == -ENODEV ? 0 : err; // it is being closed
}

static int
put_settings(void *context, uint16_t nat_first, uint16_t nat_last)
{
	const struct steering_maps *m = context;
	struct steer_settings settings = steer_default_settings();

	settings.listen_port = m->listen_port;
	settings.nat_first = nat_first;
	settings.nat_last = nat_last;
	return steer_put_settings(&m->maps, &settings);
}

static int
sweep(void *context)
{
	const struct steering_maps *m = context;

	return steer_sweep(&m->maps);
}

struct steering_sink
steering_sink_of(struct steering_maps *maps)
{
	return (struct steering_sink){
		.put_prefix = put_prefix,
		.delete_prefix = delete_prefix,
		.put_address = put_address,
		.delete_address = delete_address,
		.put_source = put_source,
		.delete_source = delete_source,
		.put_device = put_device,
		.put_settings = put_settings,
		.sweep = sweep,
		.context = maps,
	};
}
