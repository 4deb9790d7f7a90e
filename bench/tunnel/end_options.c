/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/end_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/harness/number.h"
#include "bench/harness/run.h"
#include "bench/tunnel/peer.h"
#include "config/key_file.h"
#include "lib/base/secret.h"

#define DEFAULT_MTU  1420
#define DEFAULT_PORT 20000
#define MIB          (1024.0 * 1024)

const char end_options_help[] =
	"The tunnel's end: a WireGuard peer of the device\n"
	"  --device ADDR:PORT     the device's WireGuard endpoint\n"
	"  --key FILE             our private key, readable for its owner only\n"
	"  --device-key BASE64    the device's public key\n"
	"  --preshared-key FILE\n"
	"  --inner ADDR           our address inside the tunnel; twice: one of each family\n"
	"  --tunnel-netns NAME    network namespace of that end, a name or a path\n"
	"  --tunnel-xdp IFACE     single frames over AF_XDP by this interface, IPv4\n"
	"  --listen PORT          our UDP port; else any\n"
	"  --wait-for-device      the device begins the handshake, not we\n"
	"  --peers N              N peers, with keys made of ours and addresses counted up\n"
	"  --print-peers[=yaml]   print them for the device's configuration (`wg`'s or Sluice's), "
	"and end\n"
	"  --mtu N                of the tunnel, 1420 unless given: packets are padded up to it\n"
	"The cleartext end: a host behind the device\n"
	"  --clear ADDR           its address, to which the device routes\n"
	"  --clear-netns NAME     network namespace of that end\n"
	"  --clear-xdp IFACE      single frames over AF_XDP by this interface, IPv4\n"
	"Both\n"
	"  --port N               that packets go to, 20000 unless given\n"
	"  --cores A,B            where to send and to receive\n"
	"  --no-offload           no super-packets (UDP_SEGMENT, UDP_GRO)\n"
	"  --ahead-memory MIB     what --ahead may take: half of the free memory, 2048 at most\n";

bool
end_option(struct end_options *o, int value, const char *argument)
{
	const char **const texts[] = { &o->device, &o->key, &o->device_key, &o->preshared_key,
		&o->inner[0], &o->tunnel_netns, &o->listen, &o->clear, &o->clear_netns, &o->port,
		&o->to, &o->peers, &o->cores, &o->mtu, &o->ahead_memory };
	int i = value - END_OPTIONS;

	if (i < 0 || i > 19)
		return false;
	if (i == 4 && o->inner[0] != NULL)
		o->inner[1] = argument;
	else if (i < 15)
		*texts[i] = argument;
	else if (i == 15)
		o->waits = true;
	else if (i == 16)
		o->has_no_offload = true;
	else if (i == 17)
		o->print_peers = true;
	else
		*(i == 18 ? &o->tunnel_xdp : &o->clear_xdp) = argument;
	if (i == 17)
		o->print_form = argument != NULL ? argument : "wg";
	return true;
}

/* ---- reading ---- */

static int
whole_option(const char *name, const char *text, uint32_t least, uint32_t most, uint32_t *ret)
{
	double value;

	if (text == NULL)
		return 0;
	if (number_option(name, text, least, most, &value) < 0)
		return -1;
	*ret = (uint32_t)value;
	return 0;
}

static int
port_option(const char *name, const char *text, uint16_t *ret)
{
	uint32_t value = *ret;

	if (whole_option(name, text, 1, 65535, &value) < 0)
		return -1;
	*ret = (uint16_t)value;
	return 0;
}

static int
address_option(const char *name, const char *text, struct addr *ret)
{
	if (text == NULL)
		return 0;
	if (addr_parse(text, ret) == 0)
		return 0;
	bench_error("no IPv4 or IPv6 address", "names are not looked up: give numbers", "--%s %s",
		name, text);
	return -1;
}

static int
key_option(const char *name, const char *path, struct secret_key *ret)
{
	char advice[KEY_FILE_ADVICE_LEN];
	char *why, *what;

	if (key_file_read(path, ret, advice) == 0)
		return 0;
	// "what; why; what to do": the last part is a line of its own.
	why = advice;
	what = strrchr(advice, ';');
	if (what != NULL) {
		*what++ = '\0';
		what += *what == ' ';
	}
	bench_error(why, what, "--%s %s", name, path);
	return -1;
}

static int
missing(const char *name, const char *why)
{
	bench_error(why,
		"`sluice-bench generate --help` and `sluice-bench sink --help` show what "
		"each end needs",
		"--%s is missing", name);
	return -1;
}

static int
read_far(struct end_options *o)
{
	if (o->to == NULL)
		return 0;
	if (endpoint_parse(o->to, &o->far) == 0)
		return 0;
	o->far = (struct endpoint){};
	return address_option("to", o->to, &o->far.addr);
}

// The inner address of the family that the other side has.
static int
choose_inner(struct end_options *o)
{
	struct tunnel_config *t = &o->config.tunnel;
	const struct addr *other = o->clear != NULL ? &o->config.clear : &o->far.addr;
	struct addr inner[2] = {};

	for (unsigned i = 0; i < 2; i++) {
		if (address_option("inner", o->inner[i], &inner[i]) < 0)
			return -1;
	}
	t->inner = inner[0];
	if (other->family == ADDR_NONE || inner[0].family == other->family)
		return 0;
	t->inner = inner[1];
	if (inner[1].family == other->family)
		return 0;
	bench_error("they are of different families",
		"give --inner twice for a tunnel of both families, or another address",
		"--inner and %s", o->clear != NULL ? "--clear" : "--to");
	return -1;
}

static int
read_device(struct end_options *o)
{
	struct tunnel_config *t = &o->config.tunnel;

	if (endpoint_parse(o->device, &t->device) < 0) {
		bench_error("no address with a port",
			"give it as 192.0.2.1:51820 or [2001:db8::1]:51820", "--device %s",
			o->device);
		return -1;
	}
	if (o->device_key == NULL)
		return missing("device-key", "without it no handshake can be made");
	if (public_key_parse(o->device_key, &t->device_key) < 0) {
		bench_error("no key", "a key is 44 characters of base64, as `wg show` prints them",
			"--device-key %s", o->device_key);
		return -1;
	}
	return 0;
}

static int
read_form(struct end_options *o)
{
	if (!o->print_peers)
		return 0;
	o->is_yaml = strcmp(o->print_form, "yaml") == 0;
	if (o->is_yaml || strcmp(o->print_form, "wg") == 0)
		return 0;
	bench_error("no such form", "it is wg (for wg-quick and `wg setconf`) or yaml (for Sluice)",
		"--print-peers=%s", o->print_form);
	return -1;
}

static int
read_tunnel(struct end_options *o)
{
	struct tunnel_config *t = &o->config.tunnel;

	if (read_form(o) < 0)
		return -1;
	t->netns = o->tunnel_netns;
	t->waits = o->waits;
	t->has_no_offload = o->has_no_offload;
	if (o->key == NULL)
		return missing("key", "the tunnel's end needs a private key");
	if (o->inner[0] == NULL)
		return missing("inner", "the tunnel's end needs an address inside the tunnel");
	if (key_option("key", o->key, &t->key) < 0)
		return -1;
	t->has_preshared_key = o->preshared_key != NULL;
	if (o->preshared_key != NULL &&
		key_option("preshared-key", o->preshared_key, &t->preshared_key) < 0)
		return -1;
	if (port_option("listen", o->listen, &t->listen) < 0)
		return -1;
	if (o->device == NULL)
		return o->print_peers ? 0 : missing("device", "the tunnel's end needs a device");
	return read_device(o);
}

static int
read_cores(struct end_options *o)
{
	struct device_socket_config *c = &o->config;
	char rest;

	c->send_core = c->receive_core = -1;
	if (o->cores == NULL)
		return 0;
	if (sscanf(o->cores, "%d,%d%c", &c->send_core, &c->receive_core, &rest) == 2 &&
		c->send_core >= 0 && c->receive_core >= 0 && c->send_core < 1024 &&
		c->receive_core < 1024)
		return 0;
	bench_error("no pair of cores", "give them as 2,3: to send, to receive", "--cores %s",
		o->cores);
	return -1;
}

int
end_options_read(struct end_options *o)
{
	struct device_socket_config *c = &o->config;
	double mib = 0;

	o->has_tunnel = o->device != NULL || o->print_peers;
	o->has_clear = o->clear != NULL;
	c->port = DEFAULT_PORT;
	c->clear_netns = o->clear_netns;
	c->has_no_offload = o->has_no_offload;
	c->clear_interface = o->clear_xdp;
	c->tunnel.interface = o->tunnel_xdp;
	if (read_cores(o) < 0 || port_option("port", o->port, &c->port) < 0 ||
		address_option("clear", o->clear, &c->clear) < 0 || read_far(o) < 0)
		return BENCH_USAGE;
	if (o->ahead_memory != NULL &&
		number_option("ahead-memory", o->ahead_memory, 1, 1e7, &mib) < 0)
		return BENCH_USAGE;
	c->ahead_bytes = (size_t)(mib * MIB);
	c->tunnel.n_peers = 1;
	c->tunnel.mtu = DEFAULT_MTU;
	if (whole_option("peers", o->peers, 1, TUNNEL_PEERS_MAX, &c->tunnel.n_peers) < 0 ||
		whole_option("mtu", o->mtu, 576, 65535, &c->tunnel.mtu) < 0)
		return BENCH_USAGE;
	if (o->has_tunnel && (read_tunnel(o) < 0 || choose_inner(o) < 0))
		return BENCH_USAGE;
	if (o->far.addr.family != ADDR_NONE && o->far.port == 0)
		o->far.port = c->port;
	return BENCH_OK;
}

void
end_options_fini(struct end_options *o)
{
	secret_wipe(&o->config.tunnel, sizeof(o->config.tunnel));
}

/* ---- the device's configuration ---- */

static void
print_peer(const struct end_options *o, uint32_t n)
{
	const struct tunnel_config *t = &o->config.tunnel;
	char public_text[KEY_TEXT_LEN], address[ADDR_TEXT_LEN];
	struct secret_key key;
	struct public_key public;

	tunnel_peer_key(&t->key, n, &key);
	key_public(&public, &key);
	secret_wipe(&key, sizeof(key));
	public_key_format(&public, public_text);
	if (o->is_yaml)
		printf("    - name: bench%u\n      public_key: %s\n", n + 1, public_text);
	else
		printf("[Peer]\nPublicKey = %s\n", public_text);
	if (o->preshared_key != NULL && o->is_yaml)
		printf("      preshared_key_file: %s\n", o->preshared_key);
	else if (o->preshared_key != NULL)
		printf("# PresharedKey = what %s holds\n", o->preshared_key);
	printf(o->is_yaml ? "      allowed_ips: [" : "AllowedIPs = ");
	for (unsigned i = 0; i < 2 && o->inner[i] != NULL; i++) {
		struct addr first = {}, inner;

		if (addr_parse(o->inner[i], &first) < 0)
			continue; // was read before
		inner = tunnel_address(&first, n);
		printf("%s%s%s/%u%s", i > 0 ? ", " : "", o->is_yaml ? "\"" : "",
			addr_format(&inner, address), addr_bits(inner.family),
			o->is_yaml ? "\"" : "");
	}
	fputs(o->is_yaml ? "]\n" : "\n\n", stdout);
}

int
end_options_print_peers(const struct end_options *o)
{
	if (o->is_yaml)
		puts("  peers:");
	for (uint32_t n = 0; n < o->config.tunnel.n_peers; n++)
		print_peer(o, n);
	return ferror(stdout) ? BENCH_FAILED : BENCH_OK;
}
