/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the steer program's maps are told, and when: what packets lose before the tables change,
 * what they gain after; nothing else is written.
 */

#include "dataplane/ctl/steering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/addr.h"
#include "tests/lib/tap.h"

static char record[4096]; // what was written, one word each
static int refuse_with;
static bool was_swept;

static void
note(const char *what, uint8_t family, const uint8_t *bytes, int number)
{
	struct addr addr = { .family = family };
	char text[ADDR_TEXT_LEN];
	size_t n = strlen(record);

	memcpy(addr.bytes, bytes, family == 4 ? 4 : 16);
	snprintf(record + n, sizeof(record) - n, "%s%s%s/%d", n > 0 ? " " : "", what,
		addr_format(&addr, text), number);
}

static int
put_prefix(void *context, uint8_t family, const uint8_t *bytes, uint8_t len, bool redirect)
{
	(void)context;
	note(redirect ? "+" : "=", family, bytes, len);
	return refuse_with;
}

static int
delete_prefix(void *context, uint8_t family, const uint8_t *bytes, uint8_t len)
{
	(void)context;
	note("-", family, bytes, len);
	return 0;
}

static int
put_address(void *context, uint8_t family, const uint8_t *bytes, bool is_local, bool is_nat)
{
	(void)context;
	note("+", family, bytes, is_local + 2 * is_nat);
	return 0;
}

static int
delete_address(void *context, uint8_t family, const uint8_t *bytes)
{
	(void)context;
	note("-", family, bytes, 0);
	return 0;
}

static int
put_source(void *context, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	(void)context;
	note("+", family, bytes, port);
	return 0;
}

static int
delete_source(void *context, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	(void)context;
	note("-", family, bytes, port);
	return 0;
}

static int
put_device(void *context, uint32_t ifindex, const uint8_t *mac)
{
	size_t n = strlen(record);

	(void)context;
	snprintf(record + n, sizeof(record) - n, " dev%u:%02x", ifindex, mac[5]);
	return 0;
}

static int
put_settings(void *context, uint16_t first, uint16_t last)
{
	size_t n = strlen(record);

	(void)context;
	snprintf(record + n, sizeof(record) - n, "%snat%u-%u", n > 0 ? " " : "", first, last);
	return 0;
}

static int
sweep(void *context)
{
	(void)context;
	was_swept = true;
	return 0;
}

static struct steering *
start(void)
{
	const struct steering_sink sink = { put_prefix, delete_prefix, put_address, delete_address,
		put_source, delete_source, put_device, put_settings, sweep, NULL };
	struct steering *s = steering_create(&sink, 0x0123456789abcdef);

	if (s == NULL)
		abort();
	record[0] = '\0';
	refuse_with = 0;
	was_swept = false;
	return s;
}

static void
wrote(const char *wanted, const char *what)
{
	tap_text(record, wanted, what);
	record[0] = '\0';
}

struct rows {
	struct shm_prefix_row row[32];
	size_t n;
};

static struct shm_addr
address(const char *text, uint8_t *ret_family)
{
	struct shm_addr to = {};
	struct addr addr;

	if (addr_parse(text, &addr) < 0)
		abort();
	memcpy(to.bytes, addr.bytes, sizeof(to.bytes));
	*ret_family = addr.family;
	return to;
}

static void
row(struct rows *r, const char *text, uint32_t to)
{
	struct shm_prefix_row *p = &r->row[r->n++];
	struct prefix prefix;

	if (prefix_parse(text, &prefix) < 0)
		abort();
	*p = (struct shm_prefix_row){ .to = to, .family = prefix.addr.family, .len = prefix.len };
	memcpy(p->addr.bytes, prefix.addr.bytes, sizeof(p->addr.bytes));
}

static int
compare(const void *x, const void *y)
{
	const struct shm_prefix_row *a = x, *b = y;
	int diff = memcmp(a->addr.bytes, b->addr.bytes, sizeof(a->addr.bytes));

	diff = diff != 0 ? diff : a->family - b->family;
	return diff != 0 ? diff : a->len - b->len;
}

// Sorted as a generation's rows are.
static void
change(struct steering *s, struct rows *r, const char *before, const char *after, const char *what)
{
	qsort(r->row, r->n, sizeof(r->row[0]), compare);
	steering_prefixes_before(s, r->row, r->n);
	wrote(before, what);
	steering_prefixes_after(s);
	wrote(after, "  and after the tables");
}

static void
test_prefixes(void)
{
	struct steering *s = start();
	struct rows tailnet = {}, lan = {}, none = {}, all = {};

	row(&tailnet, "100.64.0.0/10", SHM_TO_NOBODY);
	row(&tailnet, "100.64.0.1/32", SHM_TO_HOST);
	row(&tailnet, "100.64.0.7/32", 3);
	row(&tailnet, "fd7a:115c:a1e0::/48", SHM_TO_NOBODY);
	row(&tailnet, "fd7a:115c:a1e0::7/128", 3);
	change(s, &tailnet, "=100.64.0.1/32", "+100.64.0.0/10 +fd7a:115c:a1e0::/48",
		"peers inside the tailnet's own prefix need no rows, our own address does");
	change(s, &tailnet, "", "", "the same again writes nothing");

	lan = (struct rows){};
	row(&lan, "10.0.0.0/8", 1);
	row(&lan, "10.1.0.0/16", SHM_TO_HOST);
	row(&lan, "10.1.2.0/24", 2);
	row(&lan, "10.1.2.128/25", 1);
	row(&lan, "100.64.0.0/10", SHM_TO_NOBODY);
	row(&lan, "fd7a:115c:a1e0::/48", SHM_TO_NOBODY);
	change(s, &lan, "=10.1.0.0/16", "+10.0.0.0/8 +10.1.2.0/24 -100.64.0.1/32",
		"an exception is there before what it is an exception of, and goes after");

	all = (struct rows){};
	row(&all, "0.0.0.0/0", 1);
	row(&all, "::/0", 1);
	row(&all, "10.1.0.0/16", SHM_TO_HOST);
	change(s, &all, "-10.1.2.0/24",
		"+0.0.0.0/0 +::/0 -10.0.0.0/8 -100.64.0.0/10 -fd7a:115c:a1e0::/48",
		"what a wider prefix says too leaves after that has come");

	all.row[2].to = 4;
	change(s, &all, "", "-10.1.0.0/16", "an exception that becomes a peer's goes after");
	all.row[2].to = SHM_TO_HOST;
	change(s, &all, "=10.1.0.0/16", "", "and comes before");
	change(s, &none, "-0.0.0.0/0 -::/0", "-10.1.0.0/16", "nothing is steered any more");
	steering_destroy(s);
}

static void
test_families(void)
{
	struct steering *s = start();
	struct rows r = {};

	// The same bytes in both families: neither covers the other.
	row(&r, "0.0.0.0/0", SHM_TO_HOST);
	row(&r, "::/0", 1);
	row(&r, "10.0.0.0/8", 1);
	row(&r, "a00::/8", 1);
	change(s, &r, "", "+::/0 +10.0.0.0/8", "families are apart");
	steering_destroy(s);
}

static struct shm_net *
net(void)
{
	struct shm_net *n = calloc(1, sizeof(*n));

	if (n == NULL)
		abort();
	return n;
}

static void
route(struct shm_net *n,
	enum shm_route_kind kind,
	const char *prefix,
	const char *source,
	uint32_t ifindex)
{
	struct shm_net_route *r = &n->routes[n->n_routes++];
	struct prefix p;
	uint8_t family;

	if (prefix_parse(prefix, &p) < 0)
		abort();
	*r = (struct shm_net_route){
		.kind = kind, .family = p.addr.family, .len = p.len, .ifindex = ifindex
	};
	memcpy(r->addr.bytes, p.addr.bytes, sizeof(r->addr.bytes));
	if (source != NULL)
		r->source = address(source, &family);
}

static void
change_net(struct steering *s,
	const struct shm_net *n,
	uint32_t open,
	const char *before,
	const char *after,
	const char *what)
{
	steering_network_before(s, n, &open, open != 0 ? 1 : 0);
	wrote(before, what);
	steering_network_after(s, n, &open, open != 0 ? 1 : 0);
	wrote(after, "  and after the table");
}

static void
test_addresses(void)
{
	struct steering *s = start();
	struct shm_net *n = net();

	route(n, SHM_ROUTE_LOCAL, "192.168.77.1/32", NULL, 1);
	route(n, SHM_ROUTE_LOCAL, "127.0.0.0/8", NULL, 1);
	route(n, SHM_ROUTE_CONNECTED, "192.168.77.0/24", "192.168.77.1", 5);
	route(n, SHM_ROUTE_GATEWAY, "0.0.0.0/0", "198.51.100.1", 6);
	route(n, SHM_ROUTE_LOCAL, "fd77::1/128", NULL, 1);
	n->nat_port_first = 61000;
	n->nat_port_last = 65535;
	change_net(s, n, 0, "", "nat1-0 +192.168.77.1/1 +fd77::1/1",
		"the box's own addresses; nothing to translate while nat is off");

	n->nat = SHM_NAT_V4 | SHM_NAT_V6;
	change_net(s, n, 0, "", "nat61000-65535", "no port is open: no address translates");
	n->n_ports = 1;
	n->ports[0] = (struct shm_net_port){ .ifindex = 5, .mac = { 2, 0, 0, 0, 0, 9 } };
	change_net(s, n, 5, "", "+192.168.77.1/3 dev5:09",
		"the source of a route by an open port translates, others do not");
	n->nat = SHM_NAT_V6;
	change_net(s, n, 5, "+192.168.77.1/1", " dev5:09", "off for a family: the map first");
	n->routes[0].kind = SHM_ROUTE_KERNEL;
	change_net(s, n, 5, "-192.168.77.1/0", " dev5:09", "an address that went: the map first");
	free(n);
	steering_destroy(s);
}

static struct shm_path
path(const char *text, uint16_t port)
{
	struct shm_path p = { .remote_port = port };

	p.remote = address(text, &p.family);
	return p;
}

static void
test_sources(void)
{
	struct steering *s = start();
	struct shm_path a = path("192.0.2.1", 51820), b = path("192.0.2.1", 51821), none = {};

	steering_path(s, 1, &a);
	wrote("+192.0.2.1/51820 +192.0.2.1/0", "an endpoint, and its address alone");
	steering_path(s, 1, &a);
	wrote("", "the same again writes nothing");
	steering_path(s, 2, &b);
	wrote("+192.0.2.1/51821", "a second one behind the same translator");
	steering_path(s, 3, &none);
	steering_path(s, 1, &none);
	wrote("-192.0.2.1/51820", "the address stays while one uses it");
	steering_path(s, 2, &none);
	wrote("-192.0.2.1/51821 -192.0.2.1/0", "and goes with the last");
	steering_destroy(s);
}

// As many endpoints as peers: every one that is put is deleted again, and none twice.
static int n_puts, n_deletes;

static int
count_put(void *context, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	(void)context, (void)family, (void)bytes, (void)port;
	n_puts++;
	return 0;
}

static int
count_delete(void *context, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	(void)context, (void)family, (void)bytes, (void)port;
	n_deletes++;
	return 0;
}

static void
test_many_sources(void)
{
	const struct steering_sink sink = { .put_source = count_put,
		.delete_source = count_delete };
	struct steering *s = steering_create(&sink, 7);
	struct shm_path p = path("10.0.0.0", 1000), none = {};

	for (uint32_t peer = 0; peer < 20000; peer++) {
		p.remote.bytes[2] = (uint8_t)(peer / 7 >> 8);
		p.remote.bytes[3] = (uint8_t)(peer / 7);
		p.remote_port = (uint16_t)(1 + peer % 7);
		steering_path(s, peer, &p);
	}
	tap_int(n_puts, 20000 + 20000 / 7 + 1, "20,000 peers, seven behind each address");
	for (uint32_t peer = 0; peer < 20000; peer += 2)
		steering_path(s, peer, &none);
	tap_int(n_deletes, 10000, "half of the endpoints go");
	for (uint32_t peer = 1; peer < 20000; peer += 2)
		steering_path(s, peer, &none);
	tap_int(n_deletes, n_puts, "and all in the end");
	steering_destroy(s);
}

static void
test_failures(void)
{
	struct steering *s = start();
	struct rows r = {};
	int err;

	row(&r, "10.0.0.0/8", 1);
	refuse_with = -28;
	steering_prefixes_before(s, r.row, r.n);
	steering_prefixes_after(s);
	tap_int(steering_failures(s, &err), 1, "a full map is counted");
	tap_int(err, -28, "with its error");
	tap_int(steering_failures(s, &err), 0, "once");
	steering_settle(s);
	tap_ok(was_swept, "what a predecessor wrote and nobody says again is swept");
	steering_destroy(s);
}

int
main(void)
{
	test_prefixes();
	test_families();
	test_addresses();
	test_sources();
	test_many_sources();
	test_failures();
	return tap_done();
}
