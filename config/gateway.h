/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a gateway's configuration file says, checked and with defaults filled in.  A gateway is
 * either a member of a tailnet (`tailnet:`, or neither section) or has its peers in the file
 * (`wireguard:`); never both.
 *
 * Owner: config_load() fills one on the heap; config_free() wipes the keys in it and frees it.
 */
#ifndef CONFIG_GATEWAY_H
#define CONFIG_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/key.h"
#include "lib/net/addr.h"

#define CONFIG_MAX_WORKERS    16
#define CONFIG_MAX_ADDRESSES  16
#define CONFIG_MAX_PEERS      131072
#define CONFIG_MAX_PREFIXES   262144     /* allowed_ips of all peers together */
#define CONFIG_NAME_LEN       64         /* bytes of a peer's name, with its zero */
#define CONFIG_HOST_LEN       256        /* bytes of an endpoint's host name, with its zero */
#define CONFIG_INTERFACE_LEN  16         /* IFNAMSIZ */
#define CONFIG_MAX_FILE_BYTES (64 << 20) /* of a configuration file */
#define CONFIG_MAX_PORTS      6          /* interfaces in dataplane.ports: SHM_MAX_PORTS less two */
#define CONFIG_MAX_CORE       1023       /* highest core number of a worker */
#define CONFIG_DEFAULT_MTU    1420
#define CONFIG_DEFAULT_TABLE  52100     /* routing table of ours */
#define CONFIG_OUTER_MARK     0x53c0000 /* default SO_MARK of outer packets */

/* Where programs look that were told no other place.  No file there: config_default(). */
#define CONFIG_DEFAULT_PATH "/etc/sluice/sluice.yaml"

#define CONFIG_TAILNET_MTU   1280  /* peer.md section 3.3: the same for every member */
#define CONFIG_TAILNET_PORT  41641 /* default of tailnet.port, as upstream's */
#define CONFIG_URL_LEN       512   /* bytes of a login server's URL, with its zero */
#define CONFIG_HOSTNAME_LEN  64    /* of the name in the tailnet, a DNS label, with its zero */
#define CONFIG_AUTH_KEY_LEN  256   /* of an auth key, with its zero */
#define CONFIG_TAG_LEN       128   /* "tag:name", with its zero */
#define CONFIG_MAX_TAGS      64
#define CONFIG_MAX_ADVERTISE 256 /* advertised routes; with all else in a question of the API */

enum config_driver {
	CONFIG_DRIVER_AUTO,   /* AF_XDP as soon as we route for others, where it works */
	CONFIG_DRIVER_KERNEL, /* UDP sockets and the kernel's forwarding, always */
	CONFIG_DRIVER_AF_XDP, /* AF_XDP; a port that cannot have it is an error to be seen */
};

/* Both ends included; 1 <= first <= last. */
struct config_port_range {
	uint16_t first, last;
};

struct config_peer {
	char name[CONFIG_NAME_LEN]; /* never empty: without one, the first characters of the key */
	bool has_name;              /* the file gives one */
	struct public_key public_key;
	bool has_preshared_key;
	char *preshared_key_file; /* as the file gives it, or NULL */
	struct secret_key preshared_key;
	char endpoint_host[CONFIG_HOST_LEN]; /* address or name to resolve; empty: none configured
	                                      */
	uint16_t endpoint_port;
	uint16_t persistent_keepalive_s; /* 0: off */
	struct prefix *allowed_ips;      /* masked; n_allowed_ips of them */
	size_t n_allowed_ips;
	int line; /* where the file mentions it */
};

/* The options below `tailnet:`.  The names of those of a preference are the preference's. */
enum config_tailnet_option {
	CONFIG_TAILNET_LOGIN_SERVER,
	CONFIG_TAILNET_AUTH_KEY_FILE,
	CONFIG_TAILNET_HOSTNAME,
	CONFIG_TAILNET_ACCEPT_ROUTES,
	CONFIG_TAILNET_ACCEPT_DNS,
	CONFIG_TAILNET_ADVERTISE_ROUTES,
	CONFIG_TAILNET_ADVERTISE_TAGS,
	CONFIG_TAILNET_SHIELDS_UP,
	CONFIG_TAILNET_SNAT_SUBNET_ROUTES,
	CONFIG_TAILNET_CA_FILE,
	CONFIG_TAILNET_LISTEN_PORT, /* "port"; the value is config_gateway.listen_port */
	CONFIG_TAILNET_N_OPTIONS,
};

/* Only what the file says: the rest is for `sluice up` and `sluice set`, or is upstream's default
 */
struct config_tailnet {
	int lines[CONFIG_TAILNET_N_OPTIONS]; /* where the file gives it; 0: it does not */
	char login_server[CONFIG_URL_LEN]; /* "https://hs.example", no slash at its end; or empty */
	char *auth_key_file;               /* as the file gives it, or NULL */
	char auth_key[CONFIG_AUTH_KEY_LEN]; /* secret; empty: none, or the file is gone by now */
	char hostname[CONFIG_HOSTNAME_LEN]; /* empty: the host's own */
	bool accept_routes;                 /* default false */
	bool accept_dns;                    /* default true */
	bool shields_up;                    /* default false */
	bool snat_subnet_routes;            /* default true */
	struct prefix *advertise_routes;    /* masked; n_advertise_routes of them */
	size_t n_advertise_routes;
	char (*advertise_tags)[CONFIG_TAG_LEN]; /* n_advertise_tags of them, "tag:name" */
	size_t n_advertise_tags;
	char *ca_file; /* as the file gives it, or NULL */
	char *ca_path; /* the same for open(): a relative name begins at the configuration's folder
	                */
};

struct config_gateway {
	bool is_embedded; /* no file: config_default() */

	/* dataplane */
	bool workers_auto; /* else the cores below: pinned, never asleep */
	int worker_cores[CONFIG_MAX_WORKERS];
	size_t n_worker_cores;
	enum config_driver driver;
	char interface[CONFIG_INTERFACE_LEN]; /* the host port; default "sluice0" */
	uint32_t routing_table;               /* default CONFIG_DEFAULT_TABLE */
	/* Interfaces that shall carry frames, in place of those found; n_ports 0: found */
	char ports[CONFIG_MAX_PORTS][CONFIG_INTERFACE_LEN];
	size_t n_ports;
	struct config_port_range nat_ports; /* of the workers' NAT; default 61000 to 65535 */

	/* tailnet; for a gateway with `wireguard:` all of it is zero */
	bool is_tailnet;
	struct config_tailnet tailnet;

	/* wireguard; in a tailnet without key, addresses and peers */
	char *private_key_file; /* as the file gives it, or NULL */
	struct secret_key private_key;
	struct public_key public_key; /* of private_key */
	uint16_t listen_port;         /* wireguard.listen_port or tailnet.port */
	struct prefix
		addresses[CONFIG_MAX_ADDRESSES]; /* host bits kept: the gateway's own addresses */
	size_t n_addresses;
	/* 1280 to 9000 (576 when no IPv6 address or prefix is configured); 1280 in a tailnet */
	uint16_t mtu;
	struct config_peer *peers;
	size_t n_peers;
};

/*
 * Read and check a file with everything it refers to (key files).  No file at CONFIG_DEFAULT_PATH
 * is no error when that is the path: config_default().
 *
 * On failure ret_errors holds every error found, one per line, as
 * "file:line:column: what; why; what to do" (the caller frees it); it is also set, on success, to
 * warnings of the same form, or NULL.
 * Returns 0, -EINVAL (the file was understood as wrong), -ENOMEM, or -errno of reading it.
 */
[[nodiscard]] int
config_load(const char *path, struct config_gateway **ret_config, char **ret_errors);

/* The same without opening any key file, for the data plane: keys stay zero. */
[[nodiscard]] int
config_load_without_keys(const char *path, struct config_gateway **ret_config, char **ret_errors);

/*
 * The same for text in memory: `path` is only used in messages and to find relative key files
 * (relative to the folder of `path`).  For tests and the fuzzer: with `read_keys` false, key files
 * are not opened, and private_key, public_key and the preshared keys stay zero (has_preshared_key
 * tells that a file is named).
 */
[[nodiscard]] int config_parse(const char *path,
	const char *text,
	size_t len,
	bool read_keys,
	struct config_gateway **ret_config,
	char **ret_errors);

/* What counts without a file: a member of a tailnet with every default.  Returns 0 or -ENOMEM. */
[[nodiscard]] int config_default(struct config_gateway **ret_config);

/* "login_server" and so on: the name in the file, in preferences, and with '-' of the flag. */
const char *config_tailnet_name(enum config_tailnet_option option);
static inline bool
config_tailnet_has(const struct config_tailnet *tailnet, enum config_tailnet_option option)
{
	return tailnet->lines[option] != 0;
}

/*
 * Checks of single values, the same for the file, the command line and the daemon.  NULL: good;
 * else a constant text "why; what to do".
 */
const char *config_check_login_server(const char *text);
const char *config_check_hostname(const char *text); /* empty is good: the host's own */
const char *config_check_tag(const char *text);
const char *config_check_route(const struct prefix *route);

/* Forget the peers, as a program does that only needs the rest. */
void config_free_peers(struct config_gateway *config);
void config_free(struct config_gateway *config);

#endif
