/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/local_nets.h"

#include "lib/base/err.h"

// What an exit node never offers: private networks, the tailnet itself, what is no unicast.
static const struct prefix never_offered[] = {
	{ { ADDR_V4, { 10 } }, 8 },
	{ { ADDR_V4, { 172, 16 } }, 12 },
	{ { ADDR_V4, { 192, 168 } }, 16 },
	{ { ADDR_V4, { 169, 254 } }, 16 },
	{ { ADDR_V4, { 224 } }, 4 },
	{ { ADDR_V4, { 100, 64 } }, 10 },
	{ { ADDR_V6, { 0xfe, 0x80 } }, 10 },
	{ { ADDR_V6, { 0xff } }, 8 },
	{ { ADDR_V6, { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 } }, 48 },
};

static int
add_addr(struct addr_set *s, const struct addr *a)
{
	struct filter_range r = { *a, *a };

	return addr_set_add(s, &r);
}

// Like a guest network: the internet, and of the host's own networks only its own addresses.
static int
add_default_route(struct addr_set *s, const struct local_nets_input *in, uint8_t family)
{
	struct prefix all = { .addr.family = family };
	struct addr_set shrunk = {};
	int err = addr_set_add_prefix(&shrunk, &all);

	for (size_t i = 0; err == 0 && i < in->n_host; i++) {
		struct prefix link = { in->host[i].addr, in->host[i].prefix_len };

		err = addr_set_remove_prefix(&shrunk, &link);
	}
	for (size_t i = 0; err == 0 && i < in->n_host; i++)
		if (in->host[i].addr.family == family)
			err = add_addr(&shrunk, &in->host[i].addr);
	for (size_t i = 0; err == 0 && i < sizeof(never_offered) / sizeof(never_offered[0]); i++)
		err = addr_set_remove_prefix(&shrunk, &never_offered[i]);
	if (err == 0)
		err = addr_set_add_set(s, &shrunk);
	addr_set_fini(&shrunk);
	return err;
}

static int
add_routes(struct addr_set *s, const struct local_nets_input *in)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < in->n_routes; i++)
		err = in->routes[i].len == 0 ? add_default_route(s, in, in->routes[i].addr.family)
		                             : addr_set_add_prefix(s, &in->routes[i]);
	return err;
}

static int
add_everything(struct addr_set *s, const struct local_nets_input *in)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < in->n_own; i++)
		err = addr_set_add_prefix(s, &in->own[i]);
	if (err == 0)
		err = add_routes(s, in);
	for (size_t i = 0; err == 0 && i < in->n_services; i++)
		err = add_addr(s, &in->services[i]);
	// Rules for DNS over the peer API are written for these two.
	if (err == 0 && in->is_app_connector)
		err = add_addr(s, &(struct addr){ .family = ADDR_V4 });
	if (err == 0 && in->is_app_connector)
		err = add_addr(s, &(struct addr){ .family = ADDR_V6 });
	return err;
}

int
local_nets_make(const struct local_nets_input *in, struct addr_set *ret_set)
{
	struct addr_set s = {};
	int err = add_everything(&s, in);

	if (err < 0) {
		addr_set_fini(&s);
		return err;
	}
	*ret_set = s;
	return 0;
}
