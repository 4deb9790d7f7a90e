/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/api/status_json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "controlplane/gateway/api/network_json.h"

// Seconds since then; null for never, 0 for what another clock reading puts into the future.
static json_t *
age(struct mono now, struct mono then)
{
	int64_t ns = mono_diff_ns(now, then);

	if (mono_is_never(then))
		return json_null();
	return json_integer(ns > 0 ? ns / NS_PER_S : 0);
}

static json_t *
pid_or_null(uint32_t pid)
{
	return pid != 0 ? json_integer(pid) : json_null();
}

static json_t *
count(uint64_t n)
{
	return json_integer(
		(json_int_t)(n & INT64_MAX)); // whatever another process may have written
}

static void
put(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(
		object, key, value); // out of memory shows as a key that is missing
}

// Our parent if it is `sluice run`, else 0: then somebody else looks after us.
static uint32_t
pid_of_supervisor(void)
{
	char path[64], name[16] = "";
	pid_t parent = getppid();
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)parent);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fgets(name, sizeof(name), f) == NULL)
		name[0] = '\0';
	fclose(f);
	return strcmp(name, "sluice\n") == 0 ? (uint32_t)parent : 0;
}

static json_t *
processes(const struct status_here *here, const struct snapshot *s)
{
	json_t *object = json_object();

	put(object, "run", json_pack("{s:o}", "pid", pid_or_null(pid_of_supervisor())));
	put(object, "keeper", json_pack("{s:o}", "pid", pid_or_null(s->keeper_pid)));
	put(object, "forwarder",
		json_pack("{s:o, s:I, s:o}", "pid", pid_or_null(s->forwarder_pid), "starts",
			(json_int_t)s->forwarder_starts, "uptime_s",
			age(s->taken, s->forwarder_start)));
	put(object, "controlplane",
		json_pack("{s:I, s:o}", "pid", (json_int_t)getpid(), "uptime_s",
			age(s->taken, here->started)));
	return object;
}

static const char *
forwarding(enum host_forwarding f)
{
	return f == HOST_FORWARDING_BY_US      ? "switched on"
	       : f == HOST_FORWARDING_FOUND_ON ? "found on"
	                                       : "off";
}

static const char *
handshake(enum snapshot_handshake h)
{
	static const char *const names[] = { "none", "waiting", "installing", "given up" };

	return names[h];
}

static json_t *
peer(const struct snapshot *s, const struct snapshot_peer *p)
{
	char text[ADDR_TEXT_LEN], key[KEY_TEXT_LEN];
	json_t *o = json_object();

	public_key_format(&p->key, key);
	put(o, "name", json_string(p->name));
	put(o, "public_key", json_string(key));
	put(o, "endpoint",
		p->endpoint.addr.family != ADDR_NONE
			? json_string(endpoint_format(&p->endpoint, text))
			: json_null());
	put(o, "local_address",
		p->local.family != ADDR_NONE ? json_string(addr_format(&p->local, text))
					     : json_null());
	put(o, "last_handshake_age_s", age(s->taken, p->last_handshake));
	put(o, "session_age_s", p->has_session ? age(s->taken, p->session_birth) : json_null());
	put(o, "session_role",
		p->has_session ? json_string(p->initiator ? "initiator" : "responder")
			       : json_null());
	put(o, "handshake", json_string(handshake(p->handshake)));
	put(o, "persistent_keepalive_s", json_integer(p->keepalive_ns / NS_PER_S));
	put(o, "rx_bytes", count(p->rx_bytes));
	put(o, "tx_bytes", count(p->tx_bytes));
	put(o, "rx_packets", count(p->rx_packets));
	put(o, "tx_packets", count(p->tx_packets));
	put(o, "last_rx_age_s", age(s->taken, p->last_rx));
	put(o, "last_tx_age_s", age(s->taken, p->last_tx));
	return o;
}

static json_t *
peers(const struct snapshot *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_peers; i++)
		json_array_append_new(list, peer(s, &s->peers[i]));
	return list;
}

static json_t *
workers(const struct snapshot *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_workers; i++) {
		const struct snapshot_worker *w = &s->workers[i];
		double all = (double)w->busy_tsc + (double)w->idle_tsc;
		json_t *o = json_object();

		put(o, "core", w->core >= 0 ? json_integer(w->core) : json_null());
		put(o, "running", json_boolean(w->running));
		put(o, "packets", count(w->packets));
		put(o, "known_flows", count(w->known));
		put(o, "bursts", count(w->bursts));
		put(o, "sleeps", count(w->sleeps));
		put(o, "cycles_per_packet",
			w->packets > 0 ? json_real((double)w->busy_tsc / (double)w->packets)
				       : json_null());
		put(o, "idle_share", json_real(all > 0 ? (double)w->idle_tsc / all : 1.0));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *
aead_class(const struct shm_aeads *a, size_t direction, size_t burst, size_t size)
{
	json_t *o = json_object(), *ns = json_object();

	put(o, "direction", json_string(direction == 0 ? "seal" : "open"));
	put(o, "burst_min", json_integer(a->burst_min[burst]));
	put(o, "size_max", json_integer(a->size_max[size]));
	put(o, "in_use", json_string(a->rows[a->in_use[direction][burst][size]].name));
	for (size_t i = 0; i < a->n; i++) {
		uint32_t ps = a->rows[i].ps[direction][burst][size];

		if (ps != 0)
			put(ns, a->rows[i].name, json_real((double)ps / 1000));
	}
	put(o, "ns_per_packet", ns);
	return o;
}

static json_t *
aead_classes(const struct shm_aeads *a)
{
	json_t *list = json_array();

	for (size_t d = 0; d < SHM_AEAD_DIRECTIONS; d++)
		for (size_t b = 0; b < SHM_AEAD_BURSTS; b++)
			for (size_t s = 0; s < SHM_AEAD_SIZES; s++)
				json_array_append_new(list, aead_class(a, d, b, s));
	return list;
}

static json_t *
aead(const struct shm_aeads *a)
{
	static const char *const presences[] = { "works", "missing", "wrong" };
	static const char *const reasons[] = { "fastest", "forced", "only one" };
	json_t *o = json_object(), *backends = json_object();

	if (a->n == 0) {
		json_decref(backends);
		json_decref(o);
		return json_null();
	}
	for (size_t i = 0; i < a->n; i++)
		put(backends, a->rows[i].name, json_string(presences[a->rows[i].presence]));
	put(o, "reason", json_string(reasons[a->reason]));
	put(o, "backends", backends);
	put(o, "classes", aead_classes(a));
	return o;
}

static json_t *
drops(const struct snapshot *s)
{
	json_t *object = json_object();

	for (size_t i = 0; i < s->n_drops; i++)
		if (s->drops[i].name[0] != '\0')
			put(object, s->drops[i].name, count(s->drops[i].count));
	return object;
}

static json_t *
handshakes(const struct engine_counters *n)
{
	json_t *o = json_object();

	put(o, "initiations_received", count(n->initiations_in));
	put(o, "initiations_sent", count(n->initiations_out));
	put(o, "responses_received", count(n->responses_in));
	put(o, "responses_sent", count(n->responses_out));
	put(o, "cookies_received", count(n->cookies_in));
	put(o, "cookies_sent", count(n->cookies_out));
	put(o, "malformed", count(n->malformed));
	put(o, "bad_mac1", count(n->bad_mac1));
	put(o, "rate_limited", count(n->rate_limited));
	put(o, "not_authentic", count(n->not_authentic));
	put(o, "unknown_peer", count(n->unknown_peer));
	put(o, "replayed", count(n->replayed));
	put(o, "too_fast", count(n->too_fast));
	put(o, "unknown_index", count(n->unknown_index));
	put(o, "no_free_session", count(n->no_slot));
	put(o, "session_refused", count(n->refused));
	put(o, "injected", count(n->injected));
	return o;
}

static void
note(json_t *list, const char *text)
{
	json_array_append_new(list, json_string(text));
}

static json_t *
notes(const struct status_here *here, const struct snapshot *s, const struct host_facts *facts)
{
	json_t *list = json_array();

	if (!s->attached)
		note(list, "no data plane is attached: packets go on with what was applied, if it "
			   "runs");
	else if (!s->settled)
		note(list, "the data plane has not applied the newest configuration yet");
	if (!s->keys_locked)
		note(list, "keys in the control plane may be swapped out: the limit of locked "
			   "memory is too low "
			   "(raise LimitMEMLOCK or ulimit -l)");
	if (s->attached && !s->dataplane_keys_locked)
		note(list, "session keys in the data plane may be swapped out: the limit of locked "
			   "memory is too "
			   "low (raise LimitMEMLOCK or ulimit -l)");
	for (size_t i = 0; i < s->aeads.n; i++) {
		char text[96];

		snprintf(text, sizeof(text),
			"the cipher's implementation %s gives wrong answers on this machine: not "
			"used",
			s->aeads.rows[i].name);
		if (s->aeads.rows[i].presence == SHM_AEAD_REFUSED)
			note(list, text);
	}
	if (here->state_failing)
		note(list, "handshake timestamps cannot be written to the state directory");
	if (s->n_commands_lost > 0)
		note(list, "the data plane was too slow for some commands; handshakes repeat them");
	for (size_t i = 0; facts->notes != NULL && i < facts->notes->n; i++)
		note(list, facts->notes->text[i]);
	return list;
}

static void
put_host(json_t *o, const struct status_here *here, const struct host_facts *facts)
{
	put(o, "interface",
		json_pack("{s:s, s:i, s:b}", "name", here->config->interface, "mtu",
			(int)here->config->mtu, "up", (int)(facts->up && facts->running)));
	put(o, "routing_table", json_integer(here->config->routing_table));
	put(o, "forwarding",
		json_pack("{s:s, s:s}", "ipv4", forwarding(facts->forwarding_v4), "ipv6",
			forwarding(facts->forwarding_v6)));
}

static json_t *
status(const struct status_here *here, const struct snapshot *s)
{
	struct host_facts facts = {};
	char key[KEY_TEXT_LEN];
	json_t *o = json_object();

	if (here->host != NULL)
		host_facts(here->host, &facts);
	public_key_format(&here->config->public_key, key);
	put(o, "ok", json_true());
	put(o, "version", json_string(SLUICE_VERSION));
	put(o, "uptime_s", age(s->taken, here->started));
	put(o, "attached", json_boolean(s->attached));
	put(o, "generation", count(s->generation));
	put(o, "settled", json_boolean(s->settled));
	put(o, "processes", processes(here, s));
	put_host(o, here, &facts);
	// A member's is with the rest of its facts.
	put(o, "public_key", here->config->is_tailnet ? json_null() : json_string(key));
	put(o, "listen_port", json_integer(here->config->listen_port));
	put(o, "memory_locked",
		json_pack("{s:b, s:b}", "controlplane", (int)s->keys_locked, "dataplane",
			(int)s->dataplane_keys_locked));
	put(o, "aead_backend",
		s->aead_backend[0] != '\0' ? json_string(s->aead_backend) : json_null());
	put(o, "aead", aead(&s->aeads));
	put(o, "notes", notes(here, s, &facts));
	put(o, "handshakes", handshakes(&s->counters));
	put(o, "sessions", json_integer(s->n_sessions));
	if (!here->is_brief)
		put(o, "peers", peers(s));
	put(o, "ports", ports_json(here, s));
	put(o, "next_hops", next_hops_json(here, s));
	put(o, "next_hops_left_out", count(s->n_hops_left_out));
	put(o, "workers", workers(s));
	put(o, "drops", drops(s));
	put(o, "tailnet", here->tailnet != NULL ? here->tailnet : json_null());
	return o;
}

char *
status_json(const struct status_here *here, const struct snapshot *s)
{
	json_t *answer = status(here, s);
	char *text = json_dumps(answer, JSON_COMPACT);

	json_decref(answer);
	return text;
}
