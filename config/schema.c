/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/schema.h"

#include <assert.h>
#include <string.h>

#include "config/gateway.h"
#include "config/nearest.h"
#include "config/value.h"

// Linux's names for an interface are freer.  These need no quotes anywhere.
static const char *
check_interface(const void *field)
{
	const char *name = field;
	bool good = name[0] >= 'a' && name[0] <= 'z';

	for (const char *c = name; *c != '\0'; c++)
		good = good && ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_' ||
				       *c == '-');
	return good ? NULL
	            : "an interface's name is a small letter and up to 14 of a-z, 0-9, _ and -; "
	              "choose one like sluice0";
}

static const char *
check_routing_table(const void *field)
{
	uint32_t table;

	memcpy(&table, field, sizeof(table));
	if (table >= 253 && table <= 255) // rt_tables: default, main, local
		return "253 to 255 are the kernel's own tables, and ours must not mix with them; "
		       "choose another number";
	return NULL;
}

static const char *const drivers[] = {
	[CONFIG_DRIVER_AUTO] = "auto",
	[CONFIG_DRIVER_KERNEL] = "kernel",
	[CONFIG_DRIVER_AF_XDP] = "af_xdp",
	NULL,
};

#define STRINGIFY_VALUE(x) #x
#define STRINGIFY(x)       STRINGIFY_VALUE(x)

#define STORED(structure, field)                     \
	.offset = offsetof(struct structure, field), \
	.size = sizeof(((struct structure *)NULL)->field)
#define LINE(option) \
	.line_offset = offsetof(struct config_gateway, tailnet.lines[CONFIG_TAILNET_##option])
#define PREFERENCE(option) LINE(option), .is_preference = true

static const struct config_option options[] = {
	{
		.path = "version",
		.type = &value_version,
		.required = true,
		.help = "the version of this file's format, 1",
		.example = "1",
	},

	{
		.path = "dataplane",
		.type = &value_map,
		.help = "how packets are processed",
	},
	{
		.path = "dataplane.workers",
		.type = &value_workers,
		.default_text = "auto",
		.help = "auto, or a list of cores: one worker is pinned to each and never sleeps",
		.example = "[1]",
	},
	{
		.path = "dataplane.driver",
		.type = &value_choice,
		STORED(config_gateway, driver),
		.choices = drivers,
		.default_text = "auto",
		.help = "how packets get in and out: af_xdp (frames, past the kernel), kernel (its "
			"sockets and its forwarding), or auto: af_xdp where we route for others",
		.example = "kernel",
	},
	{
		.path = "dataplane.interface",
		.type = &value_name,
		STORED(config_gateway, interface),
		.check = check_interface,
		.default_text = "sluice0",
		.help = "name of the TUN interface between the tunnel and this host",
		.example = "sluice0",
	},
	{
		.path = "dataplane.routing_table",
		.type = &value_number,
		STORED(config_gateway, routing_table),
		.min = 1,
		.max = INT32_MAX,
		.unit = "a routing table",
		.check = check_routing_table,
		.default_text = STRINGIFY(CONFIG_DEFAULT_TABLE),
		.help = "number of the kernel routing table that is ours alone",
		.example = STRINGIFY(CONFIG_DEFAULT_TABLE),
	},
	{
		.path = "dataplane.ports",
		.type = &value_interfaces,
		STORED(config_gateway, ports),
		.help = "interfaces that carry frames for us, in place of those found by the "
			"default "
			"route and the advertised subnets",
		.example = "[eth0, lan0]",
	},
	{
		.path = "dataplane.nat_ports",
		.type = &value_port_range,
		STORED(config_gateway, nat_ports),
		.default_text = "61000-65535",
		.help = "ports of this host that subnets see members' connections come from; "
			"nobody else here gets one",
		.example = "61000-65535",
	},

	{
		.path = "tailnet",
		.type = &value_map,
		.help = "membership in a tailnet; also without this line, if there is no "
			"wireguard:",
	},
	{
		.path = "tailnet.login_server",
		.type = &value_login_server,
		STORED(config_gateway, tailnet.login_server),
		PREFERENCE(LOGIN_SERVER),
		.help = "the coordination server's address, a URL",
		.example = "https://hs.example",
	},
	{
		.path = "tailnet.auth_key_file",
		.type = &value_auth_key_file,
		STORED(config_gateway, tailnet.auth_key_file),
		PREFERENCE(AUTH_KEY_FILE),
		.help = "file with the key that lets this gateway in (mode 600)",
		.example = "/etc/sluice/auth.key",
	},
	{
		.path = "tailnet.hostname",
		.type = &value_hostname,
		STORED(config_gateway, tailnet.hostname),
		PREFERENCE(HOSTNAME),
		.help = "our name in the tailnet; without one, the host's",
		.example = "gateway-1",
	},
	{
		.path = "tailnet.accept_routes",
		.type = &value_bool,
		STORED(config_gateway, tailnet.accept_routes),
		PREFERENCE(ACCEPT_ROUTES),
		.default_text = "false",
		.help = "whether to use the subnets that other members offer",
		.example = "true",
	},
	{
		.path = "tailnet.accept_dns",
		.type = &value_bool,
		STORED(config_gateway, tailnet.accept_dns),
		PREFERENCE(ACCEPT_DNS),
		.default_text = "true",
		.help = "whether to use the tailnet's DNS settings; kept for later, no effect yet",
		.example = "false",
	},
	{
		.path = "tailnet.advertise_routes",
		.type = &value_routes,
		STORED(config_gateway, tailnet.advertise_routes),
		PREFERENCE(ADVERTISE_ROUTES),
		.help = "subnets that we offer to the other members",
		.example = "[10.7.0.0/16, \"fd07::/48\"]",
	},
	{
		.path = "tailnet.advertise_tags",
		.type = &value_tags,
		STORED(config_gateway, tailnet.advertise_tags),
		PREFERENCE(ADVERTISE_TAGS),
		.help = "tags that we ask for; the server's policy decides",
		.example = "[\"tag:router\"]",
	},
	{
		.path = "tailnet.shields_up",
		.type = &value_bool,
		STORED(config_gateway, tailnet.shields_up),
		PREFERENCE(SHIELDS_UP),
		.default_text = "false",
		.help = "whether to refuse everything that other members begin",
		.example = "true",
	},
	{
		.path = "tailnet.snat_subnet_routes",
		.type = &value_bool,
		STORED(config_gateway, tailnet.snat_subnet_routes),
		PREFERENCE(SNAT_SUBNET_ROUTES),
		.default_text = "true",
		.help = "whether members reach advertised subnets under our address; no effect yet",
		.example = "false",
	},
	{
		.path = "tailnet.ca_file",
		.type = &value_ca_file,
		STORED(config_gateway, tailnet.ca_file),
		PREFERENCE(CA_FILE),
		.help = "certificates (PEM) that may vouch for the server besides the system's",
		.example = "/etc/sluice/ca.pem",
	},
	{
		.path = "tailnet.port",
		.type = &value_number,
		STORED(config_gateway, listen_port),
		LINE(LISTEN_PORT),
		.min = 1,
		.max = UINT16_MAX,
		.unit = "a UDP port",
		.default_text = STRINGIFY(CONFIG_TAILNET_PORT),
		.help = "UDP port that other members write to",
		.example = STRINGIFY(CONFIG_TAILNET_PORT),
	},

	{
		.path = "wireguard",
		.type = &value_map,
		.help = "a gateway of its own: key, addresses and peers are in this file",
	},
	{
		.path = "wireguard.private_key_file",
		.type = &value_key_file,
		.required = true,
		STORED(config_gateway, private_key_file),
		.secret_offset = offsetof(struct config_gateway, private_key),
		.help = "file with the gateway's private key (mode 600, made by `sluice genkey`)",
		.example = "/etc/sluice/wg.key",
	},
	{
		.path = "wireguard.listen_port",
		.type = &value_number,
		STORED(config_gateway, listen_port),
		.min = 1,
		.max = UINT16_MAX,
		.unit = "a UDP port",
		.default_text = "51820",
		.help = "UDP port that peers write to",
		.example = "51820",
	},
	{
		.path = "wireguard.addresses",
		.type = &value_addresses,
		.required = true,
		STORED(config_gateway, addresses),
		.help = "the gateway's own addresses in the tunnel, each with its prefix length",
		.example = "[10.99.0.1/24, \"fd99::1/64\"]",
	},
	{
		.path = "wireguard.mtu",
		.type = &value_number,
		STORED(config_gateway, mtu),
		.min = 576, // every IPv4 host takes as much (RFC 791 section 3.1)
		.max = 9000,
		.unit = "bytes of a packet inside the tunnel",
		.default_text = STRINGIFY(CONFIG_DEFAULT_MTU),
		.help = "largest packet inside the tunnel, in bytes; 1280 or more with IPv6",
		.example = STRINGIFY(CONFIG_DEFAULT_MTU),
	},
	{
		.path = "wireguard.peers",
		.type = &value_peers,
		.help = "the peers, a list",
	},
	{
		.path = "wireguard.peers[].name",
		.type = &value_name,
		STORED(config_peer, name),
		.help = "name in status and logs; without one, the key's first characters",
		.example = "branch",
	},
	{
		.path = "wireguard.peers[].public_key",
		.type = &value_public_key,
		.required = true,
		STORED(config_peer, public_key),
		.help = "the peer's public key, as `sluice pubkey` or `wg pubkey` prints it",
		.example = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
	},
	{
		.path = "wireguard.peers[].preshared_key_file",
		.type = &value_key_file,
		STORED(config_peer, preshared_key_file),
		.secret_offset = offsetof(struct config_peer, preshared_key),
		.help = "file with a key that only this peer and we have (mode 600, `sluice "
			"genpsk`)",
		.example = "/etc/sluice/branch.psk",
	},
	{
		.path = "wireguard.peers[].endpoint",
		.type = &value_endpoint,
		.help = "where the peer listens, address or name with port; without one, it calls "
			"us",
		.example = "192.0.2.7:51820",
	},
	{
		.path = "wireguard.peers[].allowed_ips",
		.type = &value_allowed_ips,
		.required = true,
		STORED(config_peer, allowed_ips),
		.help = "prefixes that are routed to this peer and accepted from it",
		.example = "[10.99.0.2/32, 10.7.0.0/16]",
	},
	{
		.path = "wireguard.peers[].persistent_keepalive",
		.type = &value_number,
		STORED(config_peer, persistent_keepalive_s),
		.min = 0,
		.max = UINT16_MAX,
		.unit = "seconds, or off",
		.zero_word = "off",
		.default_text = "off",
		.help = "seconds between packets that keep a NAT open, or off",
		.example = "25",
	},
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static_assert(N_OPTIONS <= SCHEMA_MAX_OPTIONS, "readers keep an array by row on the stack");

const struct config_option *
schema_options(size_t *ret_count)
{
	*ret_count = N_OPTIONS;
	return options;
}

const char *
schema_name(const struct config_option *option)
{
	const char *dot = strrchr(option->path, '.');

	return dot != NULL ? dot + 1 : option->path;
}

bool
schema_is_child(const struct config_option *option, const char *parent)
{
	const char *name = schema_name(option);
	size_t parent_len = strlen(parent);

	if (name == option->path)
		return parent_len == 0;
	return (size_t)(name - option->path - 1) == parent_len &&
	       memcmp(option->path, parent, parent_len) == 0;
}

const struct config_option *
schema_find(const char *parent, const char *name)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (schema_is_child(&options[i], parent) &&
			strcmp(schema_name(&options[i]), name) == 0)
			return &options[i];
	return NULL;
}

const struct config_option *
schema_nearest(const char *parent, const char *name)
{
	const struct config_option *best = NULL;
	unsigned best_distance = NEAREST_TOO_FAR;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		unsigned distance = nearest_distance(name, schema_name(&options[i]));

		// A neighbour's typing error is likelier than the right name in the wrong place,
		// if that is not right to the letter.
		if (!schema_is_child(&options[i], parent) && distance > 0)
			continue;
		if (distance < best_distance) {
			best = &options[i];
			best_distance = distance;
		}
	}
	return best;
}
