/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The PeerAPI's server on loopback addresses.  Real sockets, the test's own clock.
 */

#include "controlplane/gateway/peer_api/peer_api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/gateway/peer_api/port.h"
#include "tests/lib/tap.h"

struct site {
	struct peer_api *api;
	struct mono now;
	unsigned n_changed;
	bool is_known; /* callers are */
};

static bool
caller(void *context, const struct addr *, struct peer_api_caller *ret_caller)
{
	struct site *site = context;

	snprintf(ret_caller->node, sizeof(ret_caller->node), "alice");
	snprintf(ret_caller->user, sizeof(ret_caller->user), "Alice");
	return site->is_known;
}

static void
changed(void *context)
{
	((struct site *)context)->n_changed++;
}

static struct addr
v4(uint8_t last)
{
	return (struct addr){ .family = ADDR_V4, .bytes = { 127, 0, 0, last } };
}

static void
init(struct site *site)
{
	struct peer_api_calls calls = { .caller = caller, .changed = changed, .context = site };
	struct addr a = v4(2);

	*site = (struct site){ .now = { 1000 * NS_PER_S }, .is_known = true };
	if (peer_api_create(&calls, &site->api) < 0)
		tap_ok(false, "the server is made");
	peer_api_set_addresses(site->api, &a, NULL, site->now);
}

static int
dial(uint8_t from, uint8_t to, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(0x7f000000u | from);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		tap_ok(false, "an address to come from");
	address.sin_addr.s_addr = htonl(0x7f000000u | to);
	address.sin_port = htons(port);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

// Let the server work until `fd` has something to say, or nothing happens.
static void
run(struct site *site, int fd)
{
	for (int i = 0; i < 50; i++) {
		struct pollfd p[2] = { { .fd = peer_api_fd(site->api), .events = POLLIN },
			{ .fd = fd, .events = POLLIN } };

		if (poll(p, fd >= 0 ? 2 : 1, 20) == 0)
			return;
		if (p[0].revents != 0)
			(void)peer_api_dispatch(site->api, site->now);
		if (fd >= 0 && p[1].revents != 0)
			return;
	}
}

// All that the server says; -1 in the end: it has reset the connection.
static ssize_t
listen_to(struct site *site, int fd, char *out, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n;

		run(site, fd);
		n = recv(fd, out + len, size - 1 - len, MSG_DONTWAIT);
		if (n > 0) {
			len += (size_t)n;
			continue;
		}
		out[len] = '\0';
		return n < 0 && errno != EAGAIN ? -1 : (ssize_t)len;
	}
}

static bool
ask(struct site *site, int fd, const char *text, char *out, size_t size)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) &&
	       listen_to(site, fd, out, size) > 0;
}

static void
test_ping(void)
{
	struct site site;
	struct addr a = v4(2);
	char text[128], out[4096];
	int fd;

	init(&site);
	tap_int(peer_api_port(site.api, ADDR_V4), peer_api_port_of(&a, 0), "the usual port");
	tap_int(peer_api_port(site.api, ADDR_V6), 0, "none for IPv6");
	tap_int(site.n_changed, 1, "told once");
	fd = dial(1, 2, peer_api_port(site.api, ADDR_V4));
	snprintf(text, sizeof(text), "HEAD / HTTP/1.1\r\nHost: 127.0.0.2:%u\r\n\r\n",
		peer_api_port(site.api, ADDR_V4));
	tap_ok(ask(&site, fd, text, out, sizeof(out)) &&
			strncmp(out, "HTTP/1.1 200 OK\r\n", 17) == 0,
		"a ping is answered");
	tap_ok(strlen(out) > 4 && strcmp(out + strlen(out) - 4, "\r\n\r\n") == 0,
		"by a head alone");
	close(fd);
	run(&site, -1);
	peer_api_destroy(site.api);
}

static void
test_pieces_and_bodies(void)
{
	static char body[600000];
	struct site site;
	char out[4096];
	int fd;
	ssize_t n;

	init(&site);
	fd = dial(1, 2, peer_api_port(site.api, ADDR_V4));
	for (const char *p = "GET / HTTP/1.1\r\nHost: peer\r\n\r"; *p != '\0'; p++) {
		(void)send(fd, p, 1, MSG_NOSIGNAL);
		run(&site, -1);
	}
	tap_ok(ask(&site, fd, "\n", out, sizeof(out)) && strstr(out, "Hello, Alice") != NULL,
		"byte by byte");
	close(fd);

	fd = dial(1, 2, peer_api_port(site.api, ADDR_V4));
	(void)send(fd, "PUT /v0/put/x HTTP/1.1\r\nHost: peer\r\n\r\n", 38, MSG_NOSIGNAL);
	n = send(fd, body, sizeof(body), MSG_NOSIGNAL | MSG_DONTWAIT);
	tap_ok(n > 0 && listen_to(&site, fd, out, sizeof(out)) > 0 &&
			strncmp(out, "HTTP/1.1 403 ", 13) == 0,
		"who sends a file hears the refusal all the same");
	close(fd);
	run(&site, -1);
	peer_api_destroy(site.api);
}

static void
test_strangers(void)
{
	struct site site;
	char out[64];
	int fd;

	init(&site);
	site.is_known = false;
	fd = dial(1, 2, peer_api_port(site.api, ADDR_V4));
	tap_int(listen_to(&site, fd, out, sizeof(out)), -1, "who is no member is cut off");
	close(fd);
	peer_api_destroy(site.api);
}

static void
test_slow(void)
{
	struct site site;
	char out[64];
	int fd;
	struct mono next;

	init(&site);
	fd = dial(1, 2, peer_api_port(site.api, ADDR_V4));
	(void)send(fd, "GET ", 4, MSG_NOSIGNAL);
	run(&site, -1);
	next = peer_api_dispatch(site.api, site.now);
	tap_ok(mono_diff_ns(next, site.now) == 10 * NS_PER_S, "a slow one has ten seconds");
	site.now = next;
	(void)peer_api_dispatch(site.api, site.now);
	tap_ok(recv(fd, out, sizeof(out), 0) <= 0, "and no more");
	next = peer_api_dispatch(site.api, site.now);
	tap_ok(mono_is_never(next), "nothing is left to do");
	close(fd);
	peer_api_destroy(site.api);
}

static void
test_many(void)
{
	struct site site;
	char out[64];
	int fds[PEER_API_MAX_CLIENTS + PEER_API_MAX_PER_SOURCE], n = 0, kept = 0;
	uint16_t port;

	init(&site);
	port = peer_api_port(site.api, ADDR_V4);
	for (int i = 0; i < PEER_API_MAX_PER_SOURCE; i++)
		fds[n++] = dial(10, 2, port);
	run(&site, -1);
	fds[n] = dial(10, 2, port);
	tap_int(listen_to(&site, fds[n], out, sizeof(out)), -1, "one too many from an address");
	close(fds[n]);
	for (int i = n; i <= PEER_API_MAX_CLIENTS; i++)
		fds[n++] = dial((uint8_t)(20 + i), 2, port);
	run(&site, -1);
	for (int i = 0; i < n; i++)
		kept += recv(fds[i], out, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	tap_int(kept, PEER_API_MAX_CLIENTS, "clients at once");
	tap_ok(recv(fds[0], out, 1, MSG_DONTWAIT) == 0, "the first gave its place to the last");
	for (int i = 0; i < n; i++)
		close(fds[i]);
	run(&site, -1);
	peer_api_destroy(site.api);
}

static void
test_addresses(void)
{
	struct site site;
	struct addr two = v4(2), three = v4(3), v6 = { .family = ADDR_V6 };
	uint16_t before;
	int fd;

	init(&site);
	before = peer_api_port(site.api, ADDR_V4);
	peer_api_set_addresses(site.api, &two, NULL, site.now);
	tap_ok(site.n_changed == 1, "the same address again changes nothing");
	v6.bytes[15] = 1;
	peer_api_set_addresses(site.api, &two, &v6, site.now);
	if (peer_api_port(site.api, ADDR_V6) == 0)
		tap_skip("a second family", "no IPv6 here");
	else
		tap_ok(site.n_changed == 2 && peer_api_port(site.api, ADDR_V4) == before,
			"a second family leaves the first alone");
	peer_api_set_addresses(site.api, &three, NULL, site.now);
	tap_ok(peer_api_port(site.api, ADDR_V4) == peer_api_port_of(&three, 0) &&
			peer_api_port(site.api, ADDR_V6) == 0,
		"another address has another port");
	tap_int(dial(1, 2, before), -1, "the old one is closed");
	fd = dial(1, 3, peer_api_port(site.api, ADDR_V4));
	tap_ok(fd >= 0, "the new one is open");
	close(fd);
	peer_api_set_addresses(site.api, NULL, NULL, site.now);
	tap_int(peer_api_port(site.api, ADDR_V4), 0, "no address, no port");
	run(&site, -1);
	peer_api_destroy(site.api);
}

// Others have all the ports that are usual for an address.
static void
test_ports_in_use(void)
{
	struct addr five = v4(5), later = { .family = ADDR_V4, .bytes = { 192, 0, 2, 77 } };
	int fds[PEER_API_PORT_TRIES];
	struct site site;
	bool ok = true;

	init(&site);
	for (unsigned i = 0; i < PEER_API_PORT_TRIES; i++) {
		struct sockaddr_in address = { .sin_family = AF_INET,
			.sin_port = htons(peer_api_port_of(&five, i)),
			.sin_addr.s_addr = htonl(0x7f000005) };

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ok &= bind(fds[i], (struct sockaddr *)&address, sizeof(address)) == 0 &&
		      listen(fds[i], 1) == 0;
		if (i == 1) {
			peer_api_set_addresses(site.api, &five, NULL, site.now);
			tap_int(peer_api_port(site.api, ADDR_V4), peer_api_port_of(&five, 2),
				"the third, if two are taken");
			peer_api_set_addresses(site.api, NULL, NULL, site.now);
		}
	}
	peer_api_set_addresses(site.api, &five, NULL, site.now);
	tap_ok(ok && peer_api_port(site.api, ADDR_V4) != 0, "any, if all are");
	peer_api_set_addresses(site.api, &later, NULL, site.now);
	tap_ok(peer_api_port(site.api, ADDR_V4) != 0, "an address that is not there yet");
	for (unsigned i = 0; i < PEER_API_PORT_TRIES; i++)
		close(fds[i]);
	peer_api_destroy(site.api);
}

int
main(void)
{
	test_ping();
	test_pieces_and_bodies();
	test_strangers();
	test_slow();
	test_many();
	test_addresses();
	test_ports_in_use();
	return tap_done();
}
