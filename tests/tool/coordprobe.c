/* SPDX-License-Identifier: BSD-3-Clause
 *
 * coordprobe: joins a tailnet with the gateway's own coordination client and says what happens, a
 * line for each event.  Judges the client against a real server; moves no packets.
 *
 *     coordprobe --server URL [--auth-key KEY] [--ca FILE] [--state FILE] [--server-key HEX]
 *                [--hostname NAME] [--seconds N] [--maps N] [--route PREFIX] [--dead] [--relogin]
 * [--logout]
 *                [--until WORD]
 *
 * --state:  where machine and node key lie; made if it is not there.  Without it they are new.
 * --maps N: ends after N map messages.  --until WORD: after a line that begins with it.
 * --route PREFIX: advertised.  --dead: as if the data plane did not live: pings go unanswered.
 * --relogin: a new node key after the first map.  --logout: log out at the end.
 * Status 0: what was asked for has come; 1: time is over.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/gateway/coord_client/coord_client.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

struct keys {
	struct secret_key machine, node, old_node, disco;
	uint8_t has_old;
};

struct probe {
	struct coord_client *client;
	struct keys keys;
	const char *state, *auth_key, *hostname, *until;
	unsigned maps_wanted, maps;
	bool relogin, done, logged_out, dead;
	struct prefix route;
	struct own_hostinfo hostinfo;
	struct net_info net_info;
	struct own_endpoint endpoints[1];
	struct mono begun;
};

static struct probe probe;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
say(const char *format, ...)
{
	char line[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printf("%7.3f %s\n", (double)mono_diff_ns(mono_now(), probe.begun) / NS_PER_S, line);
	fflush(stdout);
	if (probe.until != NULL && strncmp(line, probe.until, strlen(probe.until)) == 0)
		probe.done = true;
}

static void
save_keys(void)
{
	int fd = probe.state != NULL ? open(probe.state, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;

	if (fd < 0)
		return;
	if (write(fd, &probe.keys, sizeof(probe.keys)) != (ssize_t)sizeof(probe.keys))
		say("note: keys could not be written");
	close(fd);
}

static void
load_keys(void)
{
	int fd = probe.state != NULL ? open(probe.state, O_RDONLY) : -1;
	ssize_t n = fd >= 0 ? read(fd, &probe.keys, sizeof(probe.keys)) : 0;

	if (fd >= 0)
		close(fd);
	if (n == (ssize_t)sizeof(probe.keys))
		return;
	key_generate(&probe.keys.machine);
	key_generate(&probe.keys.node);
	key_generate(&probe.keys.disco);
	save_keys();
}

static void
public_of(const struct secret_key *secret, uint8_t ret[TAILKEY_LEN])
{
	struct public_key key;

	key_public(&key, secret);
	memcpy(ret, key.bytes, TAILKEY_LEN);
}

static void
on_fill(void *context, struct map_request *rq)
{
	(void)context;
	public_of(&probe.keys.node, rq->node_key.bytes);
	public_of(&probe.keys.disco, rq->disco_key.bytes);
	rq->hostinfo = &probe.hostinfo;
	rq->endpoints = probe.endpoints;
	rq->n_endpoints = 1;
}

static void
on_fill_register(void *context, enum coord_register_reason reason, struct register_request *rq)
{
	(void)context;
	(void)reason;
	public_of(&probe.keys.node, rq->node_key.bytes);
	if (probe.keys.has_old)
		public_of(&probe.keys.old_node, rq->old_node_key.bytes);
	rq->auth_key = probe.auth_key;
	rq->hostinfo = &probe.hostinfo;
}

static void
on_phase(void *context, enum coord_phase phase, const struct coord_failure *failure)
{
	struct coord_facts facts;

	(void)context;
	say("phase %s", coord_phase_name(phase));
	if (failure == NULL)
		return;
	coord_client_facts(probe.client, &facts);
	say("failure %d | %s | %s | %s | retry in %.2f s", (int)failure->kind, failure->what,
		failure->why, failure->what_to_do,
		mono_is_never(facts.retry_at)
			? 0.0
			: (double)mono_diff_ns(facts.retry_at, mono_now()) / NS_PER_S);
}

static void
new_node_key(void)
{
	probe.keys.old_node = probe.keys.node;
	probe.keys.has_old = 1;
	key_generate(&probe.keys.node);
	save_keys();
}

static void
on_registered(void *context, const struct register_response *r)
{
	(void)context;
	say("registered login=%s authorized=%d expired=%d url=%s",
		r->login_name != NULL ? r->login_name : "", r->machine_authorized,
		r->node_key_expired, r->auth_url != NULL ? r->auth_url : "");
	if (r->node_key_expired) {
		new_node_key();
		coord_client_login(probe.client);
	}
}

static int
on_map(void *context, struct map_response *m, bool first, const struct coord_map_arrival *arrival)
{
	char key[TAILKEY_SHORT_SIZE];

	(void)context;
	say("map first=%d len=%zu text=%zu decode_us=%lld self=%s peers=%zu changed=%zu "
	    "removed=%zu "
	    "patches=%zu online=%zu filters=%d derp=%d",
		first, arrival->len, arrival->text_len, (long long)(arrival->decode_ns / 1000),
		m->node != NULL && m->node->name != NULL ? m->node->name : "-", m->n_peers,
		m->n_peers_changed, m->n_peers_removed, m->n_patches, m->n_online_changes,
		m->packet_filter != NULL || m->packet_filters != NULL, m->derp_map != NULL);
	if (m->node != NULL)
		say("self key=%s addresses=%zu",
			tailkey_format_short(TAILKEY_NODE, m->node->key.bytes, key),
			m->node->addresses.n);
	probe.maps++;
	if (probe.relogin && first) {
		probe.relogin = false;
		new_node_key();
		coord_client_login(probe.client);
	}
	if (probe.maps_wanted > 0 && probe.maps >= probe.maps_wanted)
		probe.done = true;
	return 0;
}

static bool
on_alive(void *context)
{
	(void)context;
	say("pinged");
	return !probe.dead;
}

static void
on_logged_out(void *context, bool server_knows)
{
	(void)context;
	say("logged out, server knows=%d", server_knows);
	probe.logged_out = true;
}

static struct mono
earlier(struct mono a, struct mono b)
{
	if (mono_is_never(a))
		return b;
	return mono_is_never(b) || a.ns < b.ns ? a : b;
}

static void
turn(struct stream_set *set, struct mono limit)
{
	struct pollfd p = { stream_set_fd(set), POLLIN, 0 };
	struct mono now = mono_now(), next = limit;
	int64_t wait_ms;

	next = earlier(next, stream_set_dispatch(set, now));
	next = earlier(next, coord_client_tick(probe.client, now));
	wait_ms = (mono_diff_ns(next, mono_now()) + NS_PER_MS - 1) / NS_PER_MS;
	(void)poll(&p, 1, wait_ms > 0 ? (int)wait_ms : 0);
}

static bool
run_until(struct stream_set *set, const bool *done, int64_t ns)
{
	struct mono limit = mono_add_ns(mono_now(), ns);

	while (!*done && mono_diff_ns(limit, mono_now()) > 0)
		turn(set, limit);
	return *done;
}

static void
say_facts(void)
{
	struct mallinfo2 memory = mallinfo2();
	struct coord_facts facts;

	coord_client_facts(probe.client, &facts);
	say("facts phase=%s connected=%d streams=%llu messages=%llu keep_alives=%llu updates=%llu "
	    "pending=%d failures=%u heap_used=%zu heap_free=%zu mapped=%zu",
		coord_phase_name(facts.phase), facts.connected, (unsigned long long)facts.n_streams,
		(unsigned long long)facts.n_messages, (unsigned long long)facts.n_keep_alives,
		(unsigned long long)facts.n_updates, facts.update_pending, facts.n_failures,
		memory.uordblks, memory.fordblks, memory.hblkhd);
}

static const struct option options[] = {
	{ "server", required_argument, NULL, 's' },
	{ "auth-key", required_argument, NULL, 'a' },
	{ "ca", required_argument, NULL, 'c' },
	{ "state", required_argument, NULL, 'f' },
	{ "server-key", required_argument, NULL, 'k' },
	{ "hostname", required_argument, NULL, 'h' },
	{ "seconds", required_argument, NULL, 't' },
	{ "maps", required_argument, NULL, 'm' },
	{ "until", required_argument, NULL, 'u' },
	{ "route", required_argument, NULL, 'n' },
	{ "dead", no_argument, NULL, 'd' },
	{ "relogin", no_argument, NULL, 'r' },
	{ "logout", no_argument, NULL, 'o' },
	{},
};

static void
set_facts_of_host(void)
{
	static char log_id[65];

	memset(log_id, 'a', 64);
	probe.hostinfo = (struct own_hostinfo){ .version = "coordprobe",
		.backend_log_id = log_id,
		.os = "linux",
		.hostname = probe.hostname,
		.arch = "amd64",
		.routable_ips = &probe.route,
		.n_routable_ips = probe.route.addr.family != ADDR_NONE,
		.net_info = &probe.net_info };
	probe.net_info = (struct net_info){ .working_udp = TRI_TRUE, .preferred_region = 999 };
	probe.endpoints[0].kind = ENDPOINT_LOCAL;
	(void)!endpoint_parse("192.0.2.7:41641", &probe.endpoints[0].endpoint);
}

static void
hex_key(const char *hex, struct public_key *ret)
{
	for (size_t i = 0; i < KEY_LEN && strlen(hex) == 2 * KEY_LEN; i++) {
		const char digits[] = { hex[2 * i], hex[2 * i + 1], '\0' };

		ret->bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
}

int
main(int argc, char **argv)
{
	struct coord_client_setup setup = { .calls = { .fill = on_fill,
						    .fill_register = on_fill_register,
						    .phase = on_phase,
						    .registered = on_registered,
						    .map = on_map,
						    .alive = on_alive,
						    .logged_out = on_logged_out } };
	const char *ca = NULL;
	int64_t seconds = 20;
	bool logout = false, reached;
	struct trust *trust;
	int option, err;

	probe.hostname = "coordprobe";
	probe.begun = mono_now();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			setup.server_url = optarg;
			break;
		case 'a':
			probe.auth_key = optarg;
			break;
		case 'c':
			ca = optarg;
			break;
		case 'f':
			probe.state = optarg;
			break;
		case 'k':
			hex_key(optarg, &setup.server_key);
			break;
		case 'h':
			probe.hostname = optarg;
			break;
		case 't':
			seconds = atoi(optarg);
			break;
		case 'm':
			probe.maps_wanted = (unsigned)atoi(optarg);
			break;
		case 'u':
			probe.until = optarg;
			break;
		case 'n':
			if (prefix_parse(optarg, &probe.route) < 0)
				return 2;
			break;
		case 'd':
			probe.dead = true;
			break;
		case 'r':
			probe.relogin = true;
			break;
		case 'o':
			logout = true;
			break;
		default:
			return 2;
		}
	}
	log_init("coordprobe", LOG_LEVEL_DEBUG);
	if (setup.server_url == NULL || crypto_init() < 0) {
		fprintf(stderr, "coordprobe: --server URL is needed\n");
		return 2;
	}
	load_keys();
	set_facts_of_host();
	err = trust_create(ca, &trust);
	if (err == 0)
		err = stream_set_create(trust, 0, &setup.streams);
	setup.machine_key = &probe.keys.machine;
	if (err == 0)
		err = coord_client_create(&setup, mono_now(), &probe.client);
	if (err < 0) {
		fprintf(stderr, "coordprobe: %s\n", err_str(err));
		return 2;
	}
	coord_client_login(probe.client);
	reached = run_until(setup.streams, &probe.done, seconds * NS_PER_S);
	say_facts();
	if (logout) {
		coord_client_logout(probe.client);
		(void)run_until(setup.streams, &probe.logged_out, 10 * NS_PER_S);
	}
	coord_client_destroy(probe.client);
	stream_set_destroy(setup.streams);
	trust_unref(trust);
	return reached ? 0 : 1;
}
