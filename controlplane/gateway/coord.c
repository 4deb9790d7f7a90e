/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "coord"

#include "controlplane/gateway/coord.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "controlplane/gateway/api/answer.h"
#include "controlplane/gateway/api/flows_json.h"
#include "controlplane/gateway/api/status_json.h"
#include "controlplane/gateway/publish/desired.h"
#include "controlplane/gateway/snapshot.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"

#define HOST_RETRY_NS (5 * NS_PER_S)

enum source {
	SOURCE_SIGNAL,
	SOURCE_INBOX,
	SOURCE_HOST,
	SOURCE_API,
	SOURCE_MEMBER,
};

/* --- towards the wire thread --- */

// They have crossed; only the wire thread needs them from here on.
static void
wipe_keys(struct config_gateway *config)
{
	secret_wipe(&config->private_key, sizeof(config->private_key));
	for (size_t i = 0; i < config->n_peers; i++)
		secret_wipe(
			&config->peers[i].preshared_key, sizeof(config->peers[i].preshared_key));
}

// The number that the answer will have.
static uint64_t
wish(void *context, struct desired *desired)
{
	struct coord *c = context;
	struct letter *letter = letter_create(LETTER_DESIRED);

	letter->desired = desired;
	letter->number = ++c->last_number;
	mailbox_post(c->to_wire, letter);
	return c->last_number;
}

// As wish(), or 0 when there is no memory.
static uint64_t
wish_config(struct coord *c, struct config_gateway *config)
{
	struct desired *desired;

	if (desired_create(config, &c->state, &desired) < 0) {
		log_err("out of memory, the configuration is not taken over");
		return 0;
	}
	wipe_keys(config);
	return wish(c, desired);
}

static void
send_exceptions(struct coord *c)
{
	struct letter *letter;
	const struct prefix *exceptions = NULL;
	uint64_t generation = 0;
	size_t n = 0;

	if (c->host != NULL)
		exceptions = host_exceptions(c->host, &n, &generation);
	if (c->exceptions_sent && generation == c->exceptions_generation)
		return;
	letter = letter_create(LETTER_EXCEPTIONS);
	letter->prefixes = calloc(n + 1, sizeof(struct prefix));
	if (letter->prefixes == NULL) {
		letter_destroy(letter);
		return; // the next change brings them
	}
	if (n > 0)
		memcpy(letter->prefixes, exceptions, n * sizeof(struct prefix));
	letter->n = n;
	c->exceptions_sent = true;
	c->exceptions_generation = generation;
	mailbox_post(c->to_wire, letter);
}

/* --- the host --- */

// The data plane gets its rows while the routes of 10,000 peers are still being made.
static void
on_host_changed(void *context)
{
	send_exceptions(context);
}

static void
on_network_changed(void *context)
{
	struct coord *c = context;

	// Before the data plane hears of it: our own networks may stand against accepted ones.
	if (c->member != NULL)
		member_take_network(c->member, host_network(c->host), c->now);
	surroundings_network_changed(&c->around);
}

static void
on_neighbour_changed(void *context, const struct network_neighbour *neighbour)
{
	struct coord *c = context;

	surroundings_neighbour_changed(&c->around, neighbour);
}

static void
on_host_error(struct coord *c, int err)
{
	if (err == 0) {
		if (c->host_failing)
			log_notice("the host's addresses and routes are in place");
		c->host_failing = false;
		c->host_retry = (struct mono){};
		return;
	}
	// -ENODEV: the keeper has not made the interface yet; host_dispatch() sees it come.
	if (!c->host_failing && err != -ENODEV)
		log_warning(
			"the host could not be set up completely, trying again: %s", err_str(err));
	c->host_failing = err != -ENODEV;
	c->host_retry = mono_add_ns(c->now, err == -ENODEV ? NS_PER_S : HOST_RETRY_NS);
}

static bool
uses_family(const struct config_gateway *config, uint8_t family)
{
	for (size_t i = 0; i < config->n_addresses; i++)
		if (config->addresses[i].addr.family == family)
			return true;
	for (size_t i = 0; i < config->n_peers; i++)
		for (size_t k = 0; k < config->peers[i].n_allowed_ips; k++)
			if (config->peers[i].allowed_ips[k].addr.family == family)
				return true;
	return false;
}

static struct prefix *
all_prefixes(const struct config_gateway *config, size_t *ret_n)
{
	size_t n = 0;
	struct prefix *prefixes;

	for (size_t i = 0; i < config->n_peers; i++)
		n += config->peers[i].n_allowed_ips;
	prefixes = calloc(n + 1, sizeof(prefixes[0]));
	*ret_n = 0;
	for (size_t i = 0; prefixes != NULL && i < config->n_peers; i++)
		for (size_t k = 0; k < config->peers[i].n_allowed_ips; k++)
			prefixes[(*ret_n)++] = config->peers[i].allowed_ips[k];
	return prefixes;
}

static void
apply_member_host(struct coord *c)
{
	struct host_desired desired = {};

	member_host(c->member, &desired);
	on_host_error(c, host_apply(c->host, &desired));
	send_exceptions(c);
}

// Make the host like the configuration in force.
static void
apply_host(struct coord *c)
{
	struct host_desired desired = {};
	struct prefix *prefixes;

	if (c->host == NULL)
		return;
	if (c->member != NULL) {
		apply_member_host(c);
		return;
	}
	prefixes = all_prefixes(c->config, &desired.n_prefixes);
	if (prefixes == NULL) {
		on_host_error(c, -ENOMEM);
		return;
	}
	desired.prefixes = prefixes;
	desired.addresses = c->config->addresses;
	desired.n_addresses = c->config->n_addresses;
	desired.mtu = c->config->mtu;
	desired.driver = c->config->driver;
	desired.port_names = c->config->ports;
	desired.n_port_names = c->config->n_ports;
	desired.forward_v4 = uses_family(c->config, ADDR_V4);
	desired.forward_v6 = uses_family(c->config, ADDR_V6);
	on_host_error(c, host_apply(c->host, &desired));
	free(prefixes);
	send_exceptions(c);
}

static void
read_host(struct coord *c)
{
	on_host_error(c, host_dispatch(c->host));
	send_exceptions(c);
}

/* --- reload --- */

static void
settle(struct coord *c, uint64_t number, int value)
{
	struct config_gateway *old = c->config, *config;

	if (value == 0)
		c->settled_number = number;
	config = reload_settled(&c->reload, number, value, c->now);
	if (config == NULL)
		return;
	c->config = config;
	if (c->member != NULL)
		member_take_config(c->member, config, c->now);
	apply_host(c);
	resolve_take_config(c->resolve, c->config, c->now);
	reload_done(&c->reload, c->config, c->now);
	config_free(old);
}

static void
begin_reload(struct coord *c, uint32_t client)
{
	struct config_gateway *config = reload_read(&c->reload, c->config, client, c->now);

	if (config == NULL)
		return;
	// A member's peers are the map's: the data plane has nothing to judge.
	reload_sent(
		&c->reload, c->member != NULL ? ++c->last_number : wish_config(c, config), c->now);
	if (c->member != NULL)
		settle(c, c->last_number, 0);
}

/* --- calls of the member --- */

static void
host_shall_change(void *context)
{
	apply_host(context);
}

static void
ask_ping(void *context, uint64_t token, const struct public_key *node, size_t size)
{
	struct coord *c = context;
	struct letter *letter = letter_create(LETTER_PING);

	letter->number = token;
	letter->key = *node;
	letter->n = size;
	mailbox_post(c->to_wire, letter);
}

static void
ask_ping_inside(void *context, uint64_t token, const struct addr *to)
{
	struct coord *c = context;
	struct letter *letter = letter_create(LETTER_PING_INSIDE);

	letter->number = token;
	letter->endpoint.addr = *to;
	mailbox_post(c->to_wire, letter);
}

static void
ask_paths(void *context, uint64_t token)
{
	struct coord *c = context;
	struct letter *letter = letter_create(LETTER_ASK_PATHS);

	letter->number = token;
	mailbox_post(c->to_wire, letter);
}

static void
ask_netcheck(void *context)
{
	struct coord *c = context;

	mailbox_post(c->to_wire, letter_create(LETTER_NETCHECK));
}

// The server asks before it sends traffic our way: what was last wished for must be in force.
static bool
moves_packets(void *context)
{
	const struct coord *c = context;

	return c->settled_number == c->last_number;
}

/* --- status --- */

static void
ask_status(struct coord *c, uint32_t client, bool is_brief)
{
	struct letter *letter;

	if (!status_queue_add(&c->asking, client, is_brief))
		return;
	letter = letter_create(LETTER_ASK_STATUS);
	letter->number = ++c->status_number;
	mailbox_post(c->to_wire, letter);
}

// NULL: nobody asks for it, or no memory.
static char *
status_text(struct coord *c, const struct snapshot *snapshot, bool is_brief)
{
	struct status_here here = { .is_brief = is_brief,
		.started = c->started,
		.config = c->config,
		.host = c->host,
		.network = c->host != NULL ? host_network(c->host) : NULL,
		.around = &c->around,
		.state_failing = c->state_failing };

	if (!status_queue_wants(&c->asking, is_brief))
		return NULL;
	if (c->member != NULL)
		here.tailnet = member_status(c->member, is_brief ? NULL : snapshot, &c->around);
	return status_json(&here, snapshot);
}

static void
on_status(struct coord *c, const struct snapshot *snapshot)
{
	char *whole = status_text(c, snapshot, false), *brief = status_text(c, snapshot, true);

	status_queue_answer(&c->asking, &c->api, whole, brief, c->now);
	capture_stream_names(&c->capture, snapshot, c->now);
	free(whole);
	free(brief);
	(void)malloc_trim(0); // 10,000 peers are 20 MiB of objects that the allocator would keep
}

static void
answer_flows(struct coord *c, uint32_t client)
{
	const char *why = NULL;
	json_t *flows = flows_json(c->around.flows_fd, c->now, &why);

	if (flows != NULL)
		answer_object(&c->api, client, flows, c->now);
	else
		answer_error(&c->api, client, "the flows cannot be read", why,
			"use programs of one version; the log says more", c->now);
}

// Address, name or public key of a peer in the configuration.
static const struct config_peer *
find_peer(const struct config_gateway *config, const char *target)
{
	struct public_key key;
	struct addr address;
	bool is_key = public_key_parse(target, &key) == 0;
	bool is_address = addr_parse(target, &address) == 0;

	for (size_t i = 0; i < config->n_peers; i++) {
		const struct config_peer *p = &config->peers[i];

		if (strcmp(p->name, target) == 0 ||
			(is_key && memcmp(&p->public_key, &key, sizeof(key)) == 0))
			return p;
		for (size_t k = 0; is_address && k < p->n_allowed_ips; k++)
			if (prefix_contains(&p->allowed_ips[k], &address))
				return p;
	}
	return NULL;
}

// False: there is no such peer, and the client was told.
static bool
find_target(struct coord *c, uint32_t client, const json_t *request, struct public_key *ret_key)
{
	const char *target = json_string_value(json_object_get(request, "target"));
	const struct config_peer *peer;

	if (c->member != NULL)
		return member_find_target(c->member, client, request, c->now, ret_key);
	peer = find_peer(c->config, target);
	if (peer != NULL)
		*ret_key = peer->public_key;
	else
		answer_error(&c->api, client, "there is no such peer",
			"neither a name, nor a public key, nor an address of one",
			"`sluice status` lists them", c->now);
	return peer != NULL;
}

static void
begin_capture(struct coord *c, uint32_t client, const json_t *request)
{
	bool has_target = json_is_string(json_object_get(request, "target"));
	struct public_key key;
	struct letter *letter;

	if (has_target && !find_target(c, client, request, &key))
		return;
	if (!capture_stream_begin(&c->capture, client, request, has_target ? &key : NULL, c->now))
		return;
	letter = letter_create(LETTER_ASK_STATUS);
	letter->number = ++c->status_number;
	mailbox_post(c->to_wire, letter);
}

static void
on_other_request(struct coord *c, uint32_t client, const json_t *request)
{
	if (c->member == NULL || !member_request(c->member, client, request, c->now))
		request_refuse(&c->api, client, c->member != NULL, c->now);
}

static void
on_request(void *context, uint32_t client, const char *line)
{
	struct coord *c = context;
	json_t *request;

	switch (request_read(&c->api, client, line, c->now, &request)) {
	case REQUEST_STATUS:
		ask_status(c, client, false);
		break;
	case REQUEST_STATUS_BRIEF:
		ask_status(c, client, true);
		break;
	case REQUEST_RELOAD:
		begin_reload(c, client);
		break;
	case REQUEST_FLOWS:
		answer_flows(c, client);
		break;
	case REQUEST_CAPTURE:
		begin_capture(c, client, request);
		json_decref(request);
		break;
	case REQUEST_OTHER:
		on_other_request(c, client, request);
		json_decref(request);
		break;
	case REQUEST_ANSWERED:
		break;
	}
}

/* --- letters --- */

static void
save_state(struct coord *c, const struct letter *letter)
{
	int err;

	if (!state_file_merge(&c->state, letter->stamps, letter->n))
		return;
	err = state_file_save(&c->state, c->state_path);
	if (err < 0 && !c->state_failing)
		log_err("timestamps cannot be kept over a cold start: %s: %s", c->state_path,
			err_str(err));
	c->state_failing = err < 0;
}

static void
on_resolved(struct coord *c, const struct letter *letter)
{
	struct letter *endpoint = letter_create(LETTER_ENDPOINT);

	resolve_on_answer(c->resolve, letter, c->now);
	endpoint->key = letter->key;
	endpoint->endpoint = letter->endpoint;
	mailbox_post(c->to_wire, endpoint);
}

static void
read_letter(struct coord *c, struct letter *letter)
{
	switch (letter->kind) {
	case LETTER_SETTLED:
		if (c->member != NULL)
			member_settled(c->member, letter->number, letter->value, c->now);
		settle(c, letter->number, letter->value);
		break;
	case LETTER_FACTS:
		if (c->member != NULL)
			member_take_facts(c->member, letter->facts, c->now);
		else
			free(letter->facts);
		letter->facts = NULL;
		break;
	case LETTER_PONG:
		if (c->member != NULL)
			member_take_pong(c->member, letter->number, &letter->pong,
				letter->endpoint.port, c->now);
		break;
	case LETTER_PATHS:
		if (c->member != NULL)
			member_take_paths(
				c->member, letter->number, letter->path_views, letter->n, c->now);
		break;
	case LETTER_WANT_NEIGHBOURS:
		surroundings_want(&c->around, letter);
		break;
	case LETTER_PORTS:
		on_host_error(c, surroundings_take_ports(&c->around, letter));
		break;
	case LETTER_REGIONS:
		surroundings_take_regions(&c->around, letter);
		capture_stream_region(&c->capture, c->around.capture_fd);
		break;
	case LETTER_STATUS:
		on_status(c, letter->snapshot);
		break;
	case LETTER_STAMPS:
		save_state(c, letter);
		break;
	case LETTER_RESOLVE:
		resolve_again(c->resolve, &letter->key, c->now);
		break;
	case LETTER_RESOLVED:
		on_resolved(c, letter);
		break;
	case LETTER_STOPPED:
		c->stopped = true;
		break;
	default:
		break;
	}
}

static void
read_inbox(struct coord *c)
{
	struct letter *letter;

	while ((letter = mailbox_take(c->inbox)) != NULL) {
		read_letter(c, letter);
		letter_destroy(letter);
	}
}

static void
read_signals(struct coord *c)
{
	struct signalfd_siginfo info;

	while (read(c->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			begin_reload(c, 0);
		} else if (!c->stopping) {
			log_notice("ending signal=%u", info.ssi_signo);
			c->stopping = true;
			mailbox_post(c->to_wire, letter_create(LETTER_STOP));
		}
	}
}

/* --- loop --- */

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (!mono_is_never(candidate) && candidate.ns < at->ns)
		*at = candidate;
}

static int
timeout_ms(struct coord *c)
{
	struct mono at =
		mono_add_ns(c->now, NS_PER_S); // slow clients, a reload that takes too long
	int64_t ns;

	take_earlier(&at, resolve_tick(c->resolve, c->now));
	take_earlier(&at, c->host_retry);
	take_earlier(&at, c->member_due);
	take_earlier(&at, c->capture_due);
	ns = mono_diff_ns(at, c->now);
	return ns <= 0 ? 0 : (int)((ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void
run_once(struct coord *c)
{
	struct epoll_event events[8];
	int n = epoll_wait(c->epoll, events, 8, timeout_ms(c));

	c->now = mono_now();
	for (int i = 0; i < n; i++) {
		switch ((enum source)events[i].data.u32) {
		case SOURCE_SIGNAL:
			read_signals(c);
			break;
		case SOURCE_INBOX:
			read_inbox(c);
			break;
		case SOURCE_HOST:
			read_host(c);
			break;
		case SOURCE_API:
		case SOURCE_MEMBER:
			break; // below, with their timers
		}
	}
	api_dispatch(&c->api, c->now);
	if (c->member != NULL)
		c->member_due = member_dispatch(c->member, c->now);
	reload_tick(&c->reload, c->now);
	c->capture_due = capture_stream_tick(&c->capture, c->now);
	if (!mono_is_never(c->host_retry) && mono_diff_ns(c->now, c->host_retry) >= 0)
		apply_host(c);
	surroundings_flush(&c->around);
}

void
coord_run(struct coord *c)
{
	c->now = mono_now();
	if (c->member != NULL)
		member_start(c->member, c->now);
	else
		(void)wish_config(c, c->config);
	resolve_take_config(c->resolve, c->config, c->now);
	apply_host(c);
	send_exceptions(c); // also where there is no host to speak of
	while (!c->stopped)
		run_once(c);
}

/* --- start and end --- */

static int
open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK); // main() has blocked them
}

static int
watch(struct coord *c, int fd, enum source source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

// Without a journal nothing could be undone; without the host we still serve peers.
static int
open_host(struct coord *c)
{
	struct host_options options = { .interface = c->config->interface,
		.table = c->config->routing_table,
		.mark = CONFIG_OUTER_MARK,
		.changed = on_host_changed,
		.network_changed = on_network_changed,
		.neighbour_changed = on_neighbour_changed,
		.context = c };
	int err = journal_open(c->journal_path, &c->journal);

	if (err < 0) {
		log_err("%s cannot be written: %s; without it the host could not be put back as it "
			"was",
			c->journal_path, err_str(err));
		return err;
	}
	options.journal = c->journal;
	err = host_open(&options, &c->host);
	c->around.host = c->host;
	if (err < 0)
		log_err("netlink cannot be opened: %s", err_str(err));
	return err;
}

static int
open_state(struct coord *c)
{
	size_t skipped;
	int err = state_file_load(&c->state, c->state_path, &skipped);

	if (err < 0)
		log_err("%s cannot be read: %s", c->state_path, err_str(err));
	else if (skipped > 0)
		log_warning("%s has lines that are not understood, ignoring them lines=%zu",
			c->state_path, skipped);
	return err;
}

static int
open_epoll(struct coord *c)
{
	int err;

	c->signals = open_signals();
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (c->signals < 0 || c->epoll < 0)
		return -errno;
	err = watch(c, c->signals, SOURCE_SIGNAL);
	if (err == 0)
		err = watch(c, c->inbox->bell, SOURCE_INBOX);
	if (err == 0)
		err = watch(c, host_fd(c->host), SOURCE_HOST);
	if (err == 0)
		err = watch(c, c->api.epoll, SOURCE_API);
	if (err == 0 && c->member != NULL)
		err = watch(c, member_fd(c->member), SOURCE_MEMBER);
	return err;
}

static int
open_member(struct coord *c)
{
	struct member_setup setup = { .state_dir = c->options.state_dir,
		.config_path = c->options.config_path,
		.config = c->config,
		.stamps = &c->state,
		.api = &c->api,
		.calls = { .wish = wish,
			.host = host_shall_change,
			.ping = ask_ping,
			.ping_inside = ask_ping_inside,
			.netcheck = ask_netcheck,
			.paths = ask_paths,
			.is_alive = moves_packets,
			.context = c } };

	return c->config->is_tailnet ? member_create(&setup, c->now, &c->member) : 0;
}

int
coord_init(struct coord *c,
	const struct coord_options *options,
	struct config_gateway *config,
	struct mailbox *to_wire,
	struct mailbox *inbox)
{
	int err;

	*c = (struct coord){ .options = *options,
		.config = config,
		.started = mono_now(),
		.now = mono_now(),
		.to_wire = to_wire,
		.inbox = inbox,
		.api = { .fd = -1, .epoll = -1 },
		.signals = -1,
		.epoll = -1 };
	snprintf(
		c->state_path, sizeof(c->state_path), "%s/%s", options->state_dir, STATE_FILE_NAME);
	snprintf(c->journal_path, sizeof(c->journal_path), "%s/%s", options->run_dir,
		JOURNAL_FILE_NAME);
	surroundings_init(&c->around, to_wire);
	reload_init(&c->reload, &c->api, options->config_path);
	capture_stream_init(&c->capture, &c->api, to_wire);
	for (size_t i = 0; i < API_MAX_CLIENTS; i++)
		c->api.clients[i].fd = -1;

	err = open_state(c);
	if (err == 0)
		err = open_host(c);
	if (err == 0) {
		err = api_open(&c->api, options->run_dir);
		if (err < 0)
			log_err("%s/%s cannot be opened: %s", options->run_dir, GATEWAY_API_SOCKET,
				err_str(err));
	}
	c->api.request = on_request;
	c->api.context = c;
	if (err == 0)
		err = open_member(c);
	if (err == 0)
		err = open_epoll(c);
	if (err < 0) {
		c->config = NULL; // stays the caller's
		coord_fini(c);
	}
	return err;
}

void
coord_fini(struct coord *c)
{
	resolve_destroy(c->resolve);
	member_destroy(c->member);
	capture_stream_fini(&c->capture);
	api_close(&c->api);
	surroundings_fini(&c->around);
	host_close(c->host);
	journal_close(c->journal);
	state_file_fini(&c->state);
	if (c->signals >= 0)
		close(c->signals);
	if (c->epoll >= 0)
		close(c->epoll);
	reload_fini(&c->reload);
	config_free(c->config);
}
