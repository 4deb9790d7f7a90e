/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Configuration files as tables: bad/x.yaml must give exactly the errors of bad/x.expected,
 * good/x.yaml must load with the warnings of good/x.expected (none: no such file), and so must the
 * shipped examples, without any.  Whatever loads is printed, and what was printed must load to the
 * same and print the same.
 *
 * Arguments: the folder of this file, and that of the examples.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/gateway.h"
#include "config/print.h"
#include "tests/lib/tap.h"

static char *
read_file(const char *folder, const char *name, size_t *ret_len)
{
	char path[PATH_MAX], *text = calloc(1, 1 << 20);
	FILE *f;

	*ret_len = 0;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (f == NULL)
		return text;
	*ret_len = fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

static char *
print(const struct config_gateway *config)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (config_print(out, config) < 0)
		fputs("not printed", out);
	fclose(out);
	return text;
}

static bool
same_peer(const struct config_peer *a, const struct config_peer *b)
{
	return strcmp(a->name, b->name) == 0 && a->has_name == b->has_name &&
	       memcmp(&a->public_key, &b->public_key, sizeof(a->public_key)) == 0 &&
	       a->has_preshared_key == b->has_preshared_key &&
	       (!a->has_preshared_key ||
		       strcmp(a->preshared_key_file, b->preshared_key_file) == 0) &&
	       strcmp(a->endpoint_host, b->endpoint_host) == 0 &&
	       a->endpoint_port == b->endpoint_port &&
	       a->persistent_keepalive_s == b->persistent_keepalive_s &&
	       a->n_allowed_ips == b->n_allowed_ips &&
	       (a->n_allowed_ips == 0 ||
		       memcmp(a->allowed_ips, b->allowed_ips,
			       a->n_allowed_ips * sizeof(a->allowed_ips[0])) == 0);
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

// Also what was given: the rest is for the command line.  Only the port is printed in any case.
static bool
same_lines(const struct config_tailnet *a, const struct config_tailnet *b)
{
	for (int i = 0; i < CONFIG_TAILNET_N_OPTIONS; i++)
		if (i != CONFIG_TAILNET_LISTEN_PORT &&
			config_tailnet_has(a, i) != config_tailnet_has(b, i))
			return false;
	return true;
}

static bool
same_tailnet(const struct config_tailnet *a, const struct config_tailnet *b)
{
	return same_lines(a, b) && strcmp(a->login_server, b->login_server) == 0 &&
	       same_text(a->auth_key_file, b->auth_key_file) &&
	       strcmp(a->hostname, b->hostname) == 0 && a->accept_routes == b->accept_routes &&
	       a->accept_dns == b->accept_dns && a->shields_up == b->shields_up &&
	       a->snat_subnet_routes == b->snat_subnet_routes &&
	       a->n_advertise_routes == b->n_advertise_routes &&
	       (a->n_advertise_routes == 0 ||
		       memcmp(a->advertise_routes, b->advertise_routes,
			       a->n_advertise_routes * sizeof(a->advertise_routes[0])) == 0) &&
	       a->n_advertise_tags == b->n_advertise_tags &&
	       (a->n_advertise_tags == 0 ||
		       memcmp(a->advertise_tags, b->advertise_tags,
			       a->n_advertise_tags * sizeof(a->advertise_tags[0])) == 0) &&
	       same_text(a->ca_file, b->ca_file);
}

static bool
same_config(const struct config_gateway *a, const struct config_gateway *b)
{
	if (a->workers_auto != b->workers_auto || a->n_worker_cores != b->n_worker_cores ||
		memcmp(a->worker_cores, b->worker_cores, sizeof(a->worker_cores)) != 0 ||
		a->driver != b->driver || strcmp(a->interface, b->interface) != 0 ||
		a->routing_table != b->routing_table || a->listen_port != b->listen_port ||
		!same_text(a->private_key_file, b->private_key_file) || a->mtu != b->mtu ||
		a->is_tailnet != b->is_tailnet || !same_tailnet(&a->tailnet, &b->tailnet) ||
		a->n_addresses != b->n_addresses ||
		memcmp(a->addresses, b->addresses, sizeof(a->addresses)) != 0 ||
		a->n_peers != b->n_peers)
		return false;
	for (size_t i = 0; i < a->n_peers; i++)
		if (!same_peer(&a->peers[i], &b->peers[i]))
			return false;
	return true;
}

static void
check_round_trip(const char *name, const struct config_gateway *config)
{
	struct config_gateway *again = NULL;
	char *first = print(config), *second = NULL, *errors = NULL;

	if (!tap_ok(config_parse("printed", first, strlen(first), false, &again, &errors) == 0,
		    "%s: what was printed loads", name))
		printf("# %s%s\n", first, errors);
	if (again != NULL) {
		second = print(again);
		tap_ok(same_config(config, again), "%s: it loads to the same", name);
		tap_text(second, first, "and prints the same");
	}
	config_free(again);
	free(first);
	free(second);
	free(errors);
}

// After a deliberate change of texts: WRITE_EXPECTED=1, and then read the difference.
static void
write_expected(const char *folder, const char *name, const char *errors)
{
	char path[PATH_MAX];
	FILE *f;

	if (getenv("WRITE_EXPECTED") == NULL || errors == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "wb");
	if (f == NULL)
		return;
	fputs(errors, f);
	fclose(f);
}

// Parse one file, compare result and messages.  The caller frees the configuration.
static struct config_gateway *
check_yaml(const char *folder, const char *name, int wanted)
{
	char expected_name[NAME_MAX], *expected, *text, *errors = NULL;
	struct config_gateway *config = NULL;
	size_t len, expected_len;

	snprintf(
		expected_name, sizeof(expected_name), "%.*s.expected", (int)strlen(name) - 5, name);
	text = read_file(folder, name, &len);
	expected = read_file(folder, expected_name, &expected_len);
	tap_int(config_parse(name, text, len, false, &config, &errors), wanted, name);
	tap_text(errors != NULL ? errors : "", expected, expected_name);
	write_expected(folder, expected_name, errors);
	free(text);
	free(expected);
	free(errors);
	return config;
}

static void
check_bad(const char *folder, const char *name)
{
	config_free(check_yaml(folder, name, -EINVAL));
}

static void
check_good(const char *folder, const char *name)
{
	struct config_gateway *config = check_yaml(folder, name, 0);

	if (config != NULL)
		check_round_trip(name, config);
	config_free(config);
}

static int
is_yaml(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static void
for_each_yaml(const char *base,
	const char *sub,
	void (*check)(const char *, const char *),
	int least)
{
	struct dirent **entries;
	char folder[PATH_MAX];
	int n;

	snprintf(folder, sizeof(folder), "%s/%s", base, sub);
	n = scandir(folder, &entries, is_yaml, alphasort);
	tap_ok(n >= least, "there are %d files in %s", n, sub);
	for (int i = 0; i < n; i++) {
		check(folder, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

static struct config_gateway *
load(const char *text)
{
	struct config_gateway *config = NULL;
	char *errors = NULL;

	if (config_parse("text", text, strlen(text), false, &config, &errors) < 0)
		printf("# %s", errors);
	free(errors);
	return config;
}

static const char minimal[] = "version: 1\n"
			      "wireguard:\n"
			      "  private_key_file: wg.key\n"
			      "  addresses: [10.99.0.1/24]\n";

static void
check_defaults(void)
{
	struct config_gateway *config = load(minimal);

	if (!tap_ok(config != NULL, "the shortest file loads"))
		return;
	tap_ok(config->workers_auto && config->n_worker_cores == 0, "workers are auto");
	tap_int(config->driver, CONFIG_DRIVER_AUTO, "driver is auto");
	tap_int((long long)config->n_ports, 0, "ports are found");
	tap_ok(config->nat_ports.first == 61000 && config->nat_ports.last == 65535, "NAT ports");
	tap_text(config->interface, "sluice0", "the interface has its name");
	tap_int(config->routing_table, CONFIG_DEFAULT_TABLE, "routing table");
	tap_int(config->listen_port, 51820, "listen port");
	tap_int(config->mtu, CONFIG_DEFAULT_MTU, "MTU");
	tap_int((long long)config->n_peers, 0, "no peers");
	config_free(config);
}

static const char every_option[] =
	"version: 1\n"
	"dataplane:\n"
	"  workers: [3, 1]\n"
	"  driver: af_xdp\n"
	"  interface: wan-0\n"
	"  routing_table: 77\n"
	"  ports: [lan0, \"eth0.7\"]\n"
	"  nat_ports: 2000-2999\n"
	"wireguard:\n"
	"  private_key_file: wg.key\n"
	"  listen_port: 1\n"
	"  addresses: [10.99.0.1/24, \"fd99::1/64\"]\n"
	"  mtu: 1500\n"
	"  peers:\n"
	"    - name: branch\n"
	"      public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
	"      preshared_key_file: branch.psk\n"
	"      endpoint: \"[fd00::7]:5000\"\n"
	"      allowed_ips: [10.7.1.1/16, \"fd99::2/128\"]\n"
	"      persistent_keepalive: 25\n"
	"    - public_key: TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=\n"
	"      allowed_ips: []\n";

static void
check_values(void)
{
	struct config_gateway *config = load(every_option);
	const struct config_peer *peer;
	char text[ADDR_TEXT_LEN];

	if (!tap_ok(config != NULL, "a file with every option loads"))
		return;
	tap_ok(!config->workers_auto && config->n_worker_cores == 2 &&
			config->worker_cores[0] == 3 && config->worker_cores[1] == 1,
		"workers are the cores in the order given");
	tap_int(config->driver, CONFIG_DRIVER_AF_XDP, "driver");
	tap_int((long long)config->n_ports, 2, "two ports");
	tap_text(config->ports[0], "lan0", "the first");
	tap_text(config->ports[1], "eth0.7", "the second");
	tap_ok(config->nat_ports.first == 2000 && config->nat_ports.last == 2999, "NAT ports");
	tap_text(config->interface, "wan-0", "interface");
	tap_int(config->routing_table, 77, "routing table");
	tap_text(config->private_key_file, "wg.key", "private key file");
	tap_int(config->listen_port, 1, "listen port");
	tap_int((long long)config->n_addresses, 2, "two addresses");
	tap_text(prefix_format(&config->addresses[0], text), "10.99.0.1/24", "host bits stay");
	tap_text(prefix_format(&config->addresses[1], text), "fd99::1/64", "the IPv6 address");
	tap_int(config->mtu, 1500, "MTU");
	tap_int((long long)config->n_peers, 2, "two peers");
	peer = &config->peers[0];
	tap_text(peer->name, "branch", "name");
	tap_int(peer->public_key.bytes[0], 0xc5, "public key, first byte");
	tap_int(peer->public_key.bytes[31], 0x38, "public key, last byte");
	tap_ok(peer->has_preshared_key, "preshared key");
	tap_text(peer->endpoint_host, "fd00::7", "endpoint without brackets");
	tap_int(peer->endpoint_port, 5000, "its port");
	tap_int(peer->persistent_keepalive_s, 25, "keepalive");
	tap_int((long long)peer->n_allowed_ips, 2, "two prefixes");
	tap_text(prefix_format(&peer->allowed_ips[0], text), "10.7.0.0/16", "masked");
	tap_int(peer->line, 15, "the peer's line");
	peer++;
	tap_text(peer->name, "TrMvSoP4", "without a name the key's first characters");
	tap_ok(!peer->has_name && !peer->has_preshared_key && peer->endpoint_port == 0 &&
			peer->persistent_keepalive_s == 0 && peer->n_allowed_ips == 0,
		"the second peer has nothing else");
	config_free(config);
}

static const char every_tailnet_option[] = "version: 1\n"
					   "tailnet:\n"
					   "  login_server: https://hs.example/\n"
					   "  auth_key_file: auth.key\n"
					   "  hostname: gateway-1\n"
					   "  accept_routes: true\n"
					   "  accept_dns: false\n"
					   "  advertise_routes: [10.7.0.0/16]\n"
					   "  advertise_tags: [\"tag:a\", tag:b]\n"
					   "  shields_up: true\n"
					   "  snat_subnet_routes: false\n"
					   "  ca_file: ca.pem\n"
					   "  port: 7\n";

static void
check_tailnet_values(void)
{
	struct config_gateway *config = load(every_tailnet_option);
	const struct config_tailnet *t;
	char text[ADDR_TEXT_LEN];

	if (!tap_ok(config != NULL, "a file with every option of a tailnet loads"))
		return;
	t = &config->tailnet;
	tap_ok(config->is_tailnet && !config->is_embedded, "it is for a tailnet");
	for (int i = 0; i < CONFIG_TAILNET_N_OPTIONS; i++)
		tap_ok(config_tailnet_has(t, i), "%s is given in line %d", config_tailnet_name(i),
			t->lines[i]);
	tap_int(t->lines[CONFIG_TAILNET_LOGIN_SERVER], 3, "the first in line 3");
	tap_text(t->login_server, "https://hs.example", "the server without the last slash");
	tap_text(t->auth_key_file, "auth.key", "auth key file");
	tap_text(t->hostname, "gateway-1", "name");
	tap_ok(t->accept_routes && !t->accept_dns && t->shields_up && !t->snat_subnet_routes,
		"all that is yes or no");
	tap_int((long long)t->n_advertise_routes, 1, "one route");
	tap_text(prefix_format(&t->advertise_routes[0], text), "10.7.0.0/16", "this one");
	tap_int((long long)t->n_advertise_tags, 2, "two tags");
	tap_text(t->advertise_tags[1], "tag:b", "the second");
	tap_text(t->ca_file, "ca.pem", "certificates");
	tap_text(t->ca_path, "ca.pem", "beside the configuration");
	tap_int(config->listen_port, 7, "port");
	tap_int(config->mtu, CONFIG_TAILNET_MTU, "the MTU of every tailnet");
	config_free(config);
}

static void
check_embedded(void)
{
	struct config_gateway *config = NULL, *empty = load("version: 1\ntailnet:\n");

	tap_int(config_default(&config), 0, "without a file there is the embedded default");
	tap_ok(config->is_embedded && config->is_tailnet, "a member of a tailnet");
	tap_ok(same_config(config, empty), "the same as an empty tailnet:");
	tap_int(config->listen_port, CONFIG_TAILNET_PORT, "on upstream's port");
	tap_ok(config->tailnet.accept_dns && config->tailnet.snat_subnet_routes &&
			!config->tailnet.accept_routes && !config->tailnet.shields_up,
		"with upstream's defaults");
	for (int i = 0; i < CONFIG_TAILNET_N_OPTIONS; i++)
		tap_ok(!config_tailnet_has(&config->tailnet, i), "%s is not given",
			config_tailnet_name(i));
	config_free(config);
	config_free(empty);
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

// A file with so many peers; with `same_prefix` all have the same prefix.
static char *
many_peers(int count, bool same_prefix)
{
	char *text = NULL, key_text[KEY_TEXT_LEN];
	struct public_key key = {};
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out, "%s  peers:\n", minimal);
	for (int i = 0; i < count; i++) {
		int p = same_prefix ? 0 : i;

		key.bytes[0] = 1;
		key.bytes[20] = (uint8_t)(i >> 8);
		key.bytes[21] = (uint8_t)i;
		public_key_format(&key, key_text);
		fprintf(out,
			"    - name: peer%d\n      public_key: %s\n      endpoint: 192.0.2.1:%d\n"
			"      allowed_ips: [10.%d.%d.1/32, \"fd99:1::%x/128\"]\n",
			i, key_text, 1 + i, 100 + p / 256, p % 256, p);
	}
	fclose(out);
	return text;
}

static void
check_many_peers(void)
{
	char *text = many_peers(10000, false), *errors = NULL;
	struct config_gateway *config = NULL;
	double start = seconds(), took;

	tap_int(config_parse("many", text, strlen(text), false, &config, &errors), 0,
		"10,000 peers load");
	took = seconds() - start;
	printf("# %.3f s\n", took);
	// Quadratic checks would take tens of seconds; a sanitizer and a busy machine do not.
	tap_ok(took < 5, "in well under a second without sanitizers");
	tap_int(config != NULL ? (long long)config->n_peers : 0, 10000, "all of them");
	config_free(config);
	free(text);
	free(errors);

	text = many_peers(10000, true);
	errors = NULL;
	config = NULL;
	start = seconds();
	tap_int(config_parse("many", text, strlen(text), false, &config, &errors), -EINVAL,
		"10,000 peers with the same prefix are refused");
	tap_ok(seconds() - start < 5, "as quickly");
	tap_ok(strstr(errors, "more errors; only 50 are listed") != NULL, "with 50 errors");
	free(text);
	free(errors);
}

// One line made into an attack on quadratic code.
static void
check_long_lists(void)
{
	size_t n = 300000, at;
	char *text = malloc(n * 4 + 64), *errors = NULL;
	struct config_gateway *config = NULL;
	double start = seconds();

	at = (size_t)sprintf(text, "version: 1\nwireguard:\n  addresses: [");
	for (size_t i = 0; i < n; i++)
		at += (size_t)sprintf(text + at, "a, ");
	sprintf(text + at, "]\n");
	tap_int(config_parse("long", text, strlen(text), false, &config, &errors), -EINVAL,
		"300,000 addresses are refused");
	free(errors);

	at = 0;
	for (size_t i = 0; i < n / 4; i++)
		at += (size_t)sprintf(text + at, "a%zu:\n", i);
	errors = NULL;
	tap_int(config_parse("long", text, strlen(text), false, &config, &errors), -EINVAL,
		"75,000 unknown options are refused");
	tap_ok(seconds() - start < 5, "quickly");
	free(errors);
	free(text);
}

static void
check_file(const char *base)
{
	struct config_gateway *config = NULL;
	char *errors = NULL, path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/no-such-file.yaml", base);
	tap_int(config_load(path, &config, &errors), -ENOENT, "a file that is not there");
	tap_ok(errors != NULL &&
			strstr(errors, "yaml:1:1: the file cannot be read; No such file") != NULL,
		"is named in the error");
	free(errors);
	errors = NULL;
	tap_int(config_load(base, &config, &errors), -EISDIR, "a folder is no file");
	free(errors);
}

int
main(int argc, char **argv)
{
	if (argc != 3 || crypto_init() < 0)
		return 2;
	for_each_yaml(argv[1], "bad", check_bad, 100);
	for_each_yaml(argv[1], "good", check_good, 20);
	for_each_yaml(argv[2], ".", check_good, 4);
	check_defaults();
	check_values();
	check_tailnet_values();
	check_embedded();
	check_many_peers();
	check_long_lists();
	check_file(argv[1]);
	return tap_done();
}
