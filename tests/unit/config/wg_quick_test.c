/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wg-quick files as rows: what they say, and what becomes of it.
 *
 * Source of the forms: wg(8), wg-quick(8).
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/print.h"
#include "config/wg_quick.h"
#include "tests/lib/tap.h"

#define KEY "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=" // RFC 7748 section 6.1, Alice
#define OWN "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
#define BOB "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
#define EVE "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

#define INTERFACE  "[Interface]\nPrivateKey = " KEY "\nListenPort = 1234\nAddress = 10.9.0.1/24\n"
#define PEER(more) INTERFACE "[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.2\n" more

static const struct {
	const char *what;
	const char *text;
	const char *printed; // a part of the YAML, or NULL
	const char *notes;   // all of what is said, or NULL
} good[] = {
	{ "the usual file", PEER("Endpoint = 192.0.2.1:51820\nPersistentKeepalive = 25\n"),
		"  listen_port: 1234\n"
		"  addresses: [10.9.0.1/24]\n"
		"  mtu: 1420\n"
		"  peers:\n"
		"    - public_key: " BOB "\n"
		"      endpoint: 192.0.2.1:51820\n"
		"      allowed_ips: [10.9.0.2/32]\n"
		"      persistent_keepalive: 25\n",
		NULL },
	{ "no peers", INTERFACE, "  peers: []\n", NULL },
	{ "case and spaces do not count",
		"[INTERFACE]\n  privatekey=" KEY "\n\tLISTENPORT\t= 1234 \r\naddress=10.9.0.1\n",
		"  addresses: [10.9.0.1/32]\n", NULL },
	{ "a byte order mark", "\xef\xbb\xbf" INTERFACE, "listen_port: 1234", NULL },
	{ "no line break at the end", PEER("Endpoint = a.example:1"), "endpoint: a.example:1\n",
		NULL },
	{ "comments behind values", PEER("PersistentKeepalive = 7 # seconds\n"),
		"persistent_keepalive: 7\n", NULL },
	{ "lists and repetitions",
		INTERFACE "Address = fd99::1/64, 10.10.0.1/16\nMTU = 1300\n[Peer]\nPublicKey = " BOB
			  "\nAllowedIPs = 10.9.0.2/32, fd99::2\nAllowedIPs = 10.7.1.1/16,::/0\n",
		"addresses: [10.9.0.1/24, \"fd99::1/64\", 10.10.0.1/16]\n"
		"  mtu: 1300\n",
		NULL },
	{ "AllowedIPs masked, in the order given", PEER("AllowedIPs = 10.7.1.1/16,::/0\n"),
		"allowed_ips: [10.9.0.2/32, 10.7.0.0/16, \"::/0\"]\n", NULL },
	{ "an IPv6 endpoint", PEER("Endpoint = [2001:db8::1]:5\n"),
		"endpoint: \"[2001:db8::1]:5\"\n", NULL },
	{ "keepalive off", PEER("PersistentKeepalive = off\n"), "allowed_ips: [10.9.0.2/32]\n",
		NULL },
	{ "defaults that need no words",
		INTERFACE "FwMark = off\nTable = auto\nSaveConfig = false\n", "peers: []", NULL },
	{ "a preshared key of zeros is none",
		PEER("PresharedKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"),
		"    - public_key: " BOB "\n      allowed_ips", NULL },
	{ "[Interface] in two parts", PEER("[Interface]\nMTU = 1400\n"), "mtu: 1400\n", NULL },

	{ "a name above [Peer]",
		INTERFACE "# Name = laptop\n[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.2\n",
		"- name: laptop\n", NULL },
	{ "a name below [Peer]",
		INTERFACE "[Peer]\n# friendly_name = laptop-2\nPublicKey = " BOB
			  "\nAllowedIPs = 10.9.0.2\n",
		"- name: laptop-2\n", NULL },
	{ "a word beside [Peer]",
		INTERFACE "[Peer] # laptop\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.2\n",
		"- name: laptop\n", NULL },
	{ "a script's name",
		INTERFACE "### Client laptop\n[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.2\n",
		"- name: laptop\n", NULL },
	{ "several words are no name",
		INTERFACE "# my old laptop\n[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.2\n",
		"- public_key: " BOB "\n", NULL },
	{ "a switched off key is no name",
		INTERFACE "[Peer]\n#Endpoint\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.2\n",
		"- public_key: " BOB "\n", NULL },
	{ "a word elsewhere is no name",
		INTERFACE "# laptop\n\n[Peer]\nPublicKey = " BOB
			  "\nAllowedIPs = 10.9.0.2\n# phone\n",
		"- public_key: " BOB "\n", NULL },
	{ "a name is used once",
		INTERFACE "# a\n[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.2\n"
			  "# a\n[Peer]\nPublicKey = " EVE "\nAllowedIPs = 10.9.0.3\n",
		"    - public_key: " EVE "\n", NULL },

	{ "commands are named", INTERFACE "PostUp = iptables -A FORWARD -i %i # x\nPreDown=true\n",
		"peers: []",
		"wg0.conf:5:10: warning: PostUp has no counterpart; Sluice runs no commands, and "
		"sets addresses, routes and forwarding by itself; put what remains (firewall, NAT) "
		"into the host's own configuration\n"
		"wg0.conf:6:9: warning: PreDown has no counterpart; Sluice runs no commands, and "
		"sets addresses, routes and forwarding by itself; put what remains (firewall, NAT) "
		"into the host's own configuration\n" },
	{ "DNS is named", INTERFACE "DNS = 10.9.0.1, example.net\n", "peers: []",
		"wg0.conf:5:7: warning: DNS has no counterpart; a gateway leaves the host's "
		"resolver "
		"alone; set the name servers in the host's own configuration\n" },
	{ "Table is named", INTERFACE "Table = off\n", "peers: []",
		"wg0.conf:5:9: warning: Table has no counterpart; Sluice keeps its routes in a "
		"table "
		"of its own; change dataplane.routing_table if that number is taken\n" },
	{ "FwMark is named", INTERFACE "FwMark = 0xca6c\n", "peers: []",
		"wg0.conf:5:10: warning: FwMark has no counterpart; Sluice marks its own packets "
		"so "
		"that they cannot loop; adapt firewall rules that match the old mark\n" },
	{ "SaveConfig is named", INTERFACE "SaveConfig = true\n", "peers: []",
		"wg0.conf:5:14: warning: SaveConfig has no counterpart; Sluice never writes its "
		"configuration; edit the YAML file and run `sluice reload`\n" },
	{ "what is missing is named", "[Interface]\nPrivateKey = " KEY "\n[Peer]\nPublicKey = " BOB,
		"allowed_ips: []\n",
		"wg0.conf:1:1: warning: no ListenPort; wg takes any free port, Sluice takes 51820; "
		"change listen_port in the YAML file if peers expect another\n"
		"wg0.conf:1:1: warning: no Address; the gateway itself cannot be reached through "
		"the "
		"tunnel; add addresses to the YAML file\n"
		"wg0.conf:3:1: warning: this peer has no AllowedIPs; no packet is routed to it or "
		"accepted from it; add them to the YAML file\n" },
	{ "the last peer gets a prefix",
		INTERFACE "[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.2, 10.7.0.0/16\n"
			  "[Peer]\nPublicKey = " EVE "\nAllowedIPs = 10.7.0.0/16\n",
		"    - public_key: " BOB "\n      allowed_ips: [10.9.0.2/32]\n"
		"    - public_key: " EVE "\n      allowed_ips: [10.7.0.0/16]\n",
		"wg0.conf:7:24: warning: 10.7.0.0/16 is listed again in line 10; wg gives a prefix "
		"to the last peer that lists it, and so does this; check which of them should have "
		"it\n" },
	{ "the gateway's own address at a peer", PEER("AllowedIPs = 10.9.0.1/32\n"),
		"allowed_ips: [10.9.0.2/32]\n",
		"wg0.conf:8:14: warning: 10.9.0.1 is the gateway's own address and left out; no "
		"peer "
		"can have it; give the peer an address of its own\n" },
};

static const struct {
	const char *what;
	const char *text;
	const char *errors; // all of them
} bad[] = {
	{ "an empty file", "",
		"wg0.conf:1:1: no (good) PrivateKey in [Interface]; a gateway needs one, also "
		"where "
		"PostUp sets it; add the line, with the key of `wg show INTERFACE private-key`\n"
		"wg0.conf:1:1: warning: no ListenPort; wg takes any free port, Sluice takes 51820; "
		"change listen_port in the YAML file if peers expect another\n"
		"wg0.conf:1:1: warning: no Address; the gateway itself cannot be reached through "
		"the "
		"tunnel; add addresses to the YAML file\n" },
	{ "an unknown key", INTERFACE "Colour = blue\n",
		"wg0.conf:5:1: unknown key Colour; neither wg nor wg-quick has it; remove the "
		"line\n" },
	{ "a mistyped key", INTERFACE "Adress = 10.9.0.1\n",
		"wg0.conf:5:1: unknown key Adress; there is one called Address; correct the "
		"line\n" },
	{ "an unknown section", INTERFACE "[Peers]\n",
		"wg0.conf:5:1: unknown section [Peers]; there are [Interface] and [Peer]; correct "
		"the "
		"line\n" },
	{ "a key in the wrong section", INTERFACE "Endpoint = 192.0.2.1:1\n",
		"wg0.conf:5:1: Endpoint is in the wrong section; it belongs to [Peer]; move the "
		"line\n" },
	{ "a key before any section", "MTU = 1400\n" INTERFACE,
		"wg0.conf:1:1: MTU stands before the first section; keys belong to [Interface] or "
		"[Peer]; add the section's line\n" },
	{ "neither section nor key", INTERFACE "hello\n",
		"wg0.conf:5:1: neither a section nor `Key = value`; wg has nothing else; correct "
		"or "
		"remove the line\n" },
	{ "a bad port", INTERFACE "ListenPort = 65536\n",
		"wg0.conf:5:14: ListenPort is \"65536\"; a UDP port is 1 to 65535; correct the "
		"line\n" },
	{ "a bad MTU", INTERFACE "MTU = 100\n",
		"wg0.conf:5:7: MTU is \"100\"; Sluice takes 576 to 9000 bytes; correct the "
		"line\n" },
	{ "a bad address", INTERFACE "Address = 10.9.0.1/24, 10.9.0/24\n",
		"wg0.conf:5:24: Address has \"10.9.0/24\", which is no prefix; it takes an "
		"address, "
		"'/' and a length; correct the line\n" },
	{ "escapes are not repeated", INTERFACE "Address = \x1b[2J\n",
		"wg0.conf:5:11: Address has \"?[2J\", which is no prefix; it takes an address, '/' "
		"and a length; correct the line\n" },
	{ "a bad public key", PEER("PublicKey = abc\n"),
		"wg0.conf:8:13: PublicKey is not a key; a key is 44 characters of base64; correct "
		"the "
		"line\n" },
	{ "a bad preshared key is not shown", PEER("PresharedKey = secret\n"),
		"wg0.conf:8:16: PresharedKey is not a key; a key is 44 characters of base64; "
		"correct "
		"the line\n" },
	{ "a bad prefix", PEER("AllowedIPs = 10.0.0.0/33\n"),
		"wg0.conf:8:14: AllowedIPs has \"10.0.0.0/33\", which is no prefix; it takes an "
		"address, '/' and a length; correct the line\n" },
	{ "a bad endpoint", PEER("Endpoint = 192.0.2.1\n"),
		"wg0.conf:8:12: Endpoint is \"192.0.2.1\"; it has no port; peers listen on a UDP "
		"port; add it, for example :51820\n" },
	{ "a bad keepalive", PEER("PersistentKeepalive = on\n"),
		"wg0.conf:8:23: PersistentKeepalive is \"on\"; it is 0 to 65535 seconds, or off; "
		"correct the line\n" },
	{ "a peer without a key", INTERFACE "[Peer]\nAllowedIPs = 10.9.0.2\n",
		"wg0.conf:5:1: this peer has no (good) PublicKey; a peer is known by its key; add "
		"the "
		"line\n" },
	{ "a key twice", PEER("[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.9.0.3\n"),
		"wg0.conf:8:1: this peer's PublicKey is already in the section of line 5; a key "
		"belongs to one peer; join the two sections\n" },
	{ "the gateway as its own peer", PEER("PublicKey = " OWN "\n"),
		"wg0.conf:5:1: this peer's PublicKey is the gateway's own; a gateway is no peer of "
		"itself; remove the section\n" },
};

// The YAML of it, with names for the key files, as `sluice import` does.
static char *
print(struct config_gateway *config)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	config->private_key_file = strdup("wg.key");
	if (config_print(out, config) < 0)
		fputs("not printed", out);
	fclose(out);
	return text;
}

static void
check_good(size_t i)
{
	struct config_gateway *config = NULL, *again = NULL;
	char *notes = NULL, *yaml;

	tap_int(wg_quick_parse("wg0.conf", good[i].text, strlen(good[i].text), &config, &notes), 0,
		good[i].what);
	tap_text(notes != NULL ? notes : "", good[i].notes != NULL ? good[i].notes : "", "notes");
	free(notes);
	if (config == NULL)
		return;
	yaml = print(config);
	if (!tap_ok(strstr(yaml, good[i].printed) != NULL, "the YAML has it"))
		printf("# %s\n", yaml);
	notes = NULL;
	tap_int(config_parse("yaml", yaml, strlen(yaml), false, &again, &notes), 0, "it loads");
	config_free(again);
	config_free(config);
	free(notes);
	free(yaml);
}

static void
check_bad(size_t i)
{
	struct config_gateway *config = NULL;
	char *errors = NULL;

	tap_int(wg_quick_parse("wg0.conf", bad[i].text, strlen(bad[i].text), &config, &errors),
		-EINVAL, bad[i].what);
	tap_text(errors != NULL ? errors : "", bad[i].errors, "errors");
	free(errors);
}

static void
check_keys(void)
{
	static const char text[] = PEER("PresharedKey = " EVE "\n");
	struct config_gateway *config = NULL;
	char *notes = NULL, key[KEY_TEXT_LEN];

	if (!tap_ok(wg_quick_parse("f", text, sizeof(text) - 1, &config, &notes) == 0, "keys"))
		return;
	secret_key_format(&config->private_key, key);
	tap_text(key, KEY, "the private key is there");
	public_key_format(&config->public_key, key);
	tap_text(key, OWN, "and its public key");
	tap_ok(config->peers[0].has_preshared_key, "the peer has a preshared key");
	secret_key_format(&config->peers[0].preshared_key, key);
	tap_text(key, EVE, "which is the right one");
	config_free(config);
}

static void
check_many(void)
{
	struct timespec before, after;
	struct config_gateway *config = NULL;
	struct public_key key = { { 1 } };
	char *text = NULL, *notes = NULL, key_text[KEY_TEXT_LEN];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs(INTERFACE, out);
	for (int i = 0; i < 10000; i++) {
		key.bytes[1] = (uint8_t)i;
		key.bytes[2] = (uint8_t)(i >> 8);
		public_key_format(&key, key_text);
		fprintf(out, "# peer%d\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.9.0.2, fd::%x\n", i,
			key_text, i);
	}
	fclose(out);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	tap_int(wg_quick_parse("many", text, len, &config, &notes), 0, "10,000 peers");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	tap_ok(after.tv_sec - before.tv_sec < 5, "are read quickly");
	tap_int(config != NULL ? (long long)config->n_peers : 0, 10000, "all of them");
	config_free(config);
	free(notes);
	free(text);
}

int
main(void)
{
	if (crypto_init() < 0)
		return 2;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_good(i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(i);
	check_keys();
	check_many();
	return tap_done();
}
