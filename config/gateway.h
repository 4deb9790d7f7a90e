/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a gateway's configuration file says, checked and with defaults filled in.
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
#define CONFIG_MAX_CORE       1023       /* highest core number of a worker */
#define CONFIG_DEFAULT_MTU    1420
#define CONFIG_DEFAULT_TABLE  52100     /* routing table of ours */
#define CONFIG_OUTER_MARK     0x53c0000 /* default SO_MARK of outer packets */

enum config_driver {
	CONFIG_DRIVER_AUTO,
	CONFIG_DRIVER_KERNEL,
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

struct config_gateway {
	/* dataplane */
	bool workers_auto; /* else the cores below: pinned, never asleep */
	int worker_cores[CONFIG_MAX_WORKERS];
	size_t n_worker_cores;
	enum config_driver driver;
	char interface[CONFIG_INTERFACE_LEN]; /* the host port; default "sluice0" */
	uint32_t routing_table;               /* default CONFIG_DEFAULT_TABLE */

	/* wireguard */
	char *private_key_file; /* as the file gives it */
	struct secret_key private_key;
	struct public_key public_key; /* of private_key */
	uint16_t listen_port;
	struct prefix
		addresses[CONFIG_MAX_ADDRESSES]; /* host bits kept: the gateway's own addresses */
	size_t n_addresses;
	uint16_t mtu; /* 1280 to 9000 (576 when no IPv6 address or prefix is configured) */
	struct config_peer *peers;
	size_t n_peers;
};

/*
 * Read and check a file with everything it refers to (key files).
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

/* Forget the peers, as a program does that only needs the rest. */
void config_free_peers(struct config_gateway *config);
void config_free(struct config_gateway *config);

#endif
