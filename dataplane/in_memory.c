/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/in_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/io/io_memory.h"
#include "dataplane/table/flow_cache.h"
#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/shm/region.h"

// Shared, as the keeper's memory is: a child sees and changes the same.
static void *
map_at(size_t len, size_t displaced)
{
	uint8_t *at = shm_region_reserve(len + displaced);
	void *p;

	if (at == NULL)
		return NULL;
	p = mmap(at + displaced, len, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	return p != MAP_FAILED ? p : NULL;
}

static void *
map(size_t len)
{
	return map_at(len, 0);
}

static void
unmap(void *p, size_t len)
{
	if (p != NULL)
		munmap(p, len);
}

static int
make_regions(bool small_pages, struct shm_state **ret_state, struct shm_sessions **ret_keys)
{
	// A huge page must lie at the same place of 2 MiB in memory and in the region.
	size_t displaced = small_pages ? 4096 : 0;
	struct shm_state *state = map_at(sizeof(*state), displaced);
	struct shm_sessions *keys = map_at(sizeof(*keys), displaced);

	if (state == NULL || keys == NULL) {
		in_memory_regions_free(state, keys);
		return -ENOMEM;
	}
	*ret_state = state;
	*ret_keys = keys;
	return 0;
}

int
in_memory_regions(struct shm_state **ret_state, struct shm_sessions **ret_keys)
{
	return make_regions(false, ret_state, ret_keys);
}

void
in_memory_regions_free(struct shm_state *state, struct shm_sessions *keys)
{
	unmap(state, sizeof(*state));
	unmap(keys, sizeof(*keys));
}

struct flow_memory *
in_memory_flows(void)
{
	static const uint64_t key[4] = { 0x6b8b4567327b23c6, 0x643c986966334873, 0x74b0dc5119495cff,
		0x2ae8944a625558ec };
	struct flow_memory *flows = map(sizeof(*flows));

	if (flows != NULL) {
		memcpy(flows->key, key, sizeof(flows->key));
		flows->nat.head = nat_memory_begin(key);
	}
	return flows;
}

void
in_memory_flows_free(struct flow_memory *flows)
{
	unmap(flows, sizeof(*flows));
}

// --- what apply asks for, as in forwarder.c ----------------------------------------------------

static void
send_keepalive(void *context, uint32_t peer)
{
	struct in_memory *m = context;
	struct pkt *p;

	if (pool_get(&m->cache, &p, 1) == 0)
		return;
	p->kind = PKT_KEEPALIVE;
	p->peer = peer;
	if (pkt_ring_put(&m->workers[0]->inject, &p, 1) == 0)
		pool_put(&m->cache, &p, 1);
	else
		doorbell_ring(&m->workers[0]->bell);
}

static void
give_up(void *context, uint32_t peer)
{
	struct in_memory *m = context;

	for (unsigned i = 0; i < m->n_workers; i++)
		(void)worker_give_up(m->workers[i], peer); // refused: they expire by age
}

static void
sessions_changed(void *context)
{
	struct in_memory *m = context;

	atomic_fetch_add_explicit(&m->sessions_epoch, 1, memory_order_seq_cst);
	for (unsigned i = 0; i < m->n_workers; i++)
		doorbell_ring(&m->workers[i]->bell);
}

static bool
put_event(void *context, const struct shm_event *event)
{
	struct in_memory *m = context;

	return rings_event(&m->rings, event);
}

// --- making and unmaking -----------------------------------------------------------------------

static int
create_links(struct in_memory *m, const struct in_memory_config *config)
{
	static const char *const names[IN_MEMORY_MAX_LINKS] = { "link0", "link1", "link2",
		"link3" };

	if (config->n_links > IN_MEMORY_MAX_LINKS)
		return -EINVAL;
	for (unsigned i = 0; i < config->n_links; i++) {
		const struct io_memory_config link = {
			.name = names[i],
			.kind = PKT_FRAME,
			.n_workers = config->n_workers,
			.port_index = IN_MEMORY_ROW(i),
		};
		int err = io_memory_create(&link, &m->links[i]);

		if (err < 0)
			return err;
		m->n_links++;
	}
	return 0;
}

static int
create_io(struct in_memory *m, const struct in_memory_config *config)
{
	struct io_memory_config wire = {
		.name = "wire", .kind = PKT_WIRE, .n_workers = config->n_workers
	};
	struct io_memory_config host = {
		.name = "host", .kind = PKT_INNER, .n_workers = config->n_workers, .port_index = 1
	};
	uint32_t frame_len =
		config->frame_len != 0 ? config->frame_len : pool_frame_len(IN_MEMORY_MTU);
	int err;

	m->packets_len = (size_t)(config->n_frames != 0 ? config->n_frames : 4096) * frame_len;
	m->packets = map(m->packets_len);
	if (m->packets == NULL)
		return -ENOMEM;
	err = pool_create(m->packets, m->packets_len, frame_len, &m->pool);
	if (err < 0)
		return err;
	pool_cache_init(&m->cache, m->pool);
	err = io_memory_create(&wire, &m->wire);
	if (err == 0)
		err = io_memory_create(&host, &m->host);
	if (err == 0)
		err = create_links(m, config);
	return err;
}

static int
create_workers(struct in_memory *m, const struct in_memory_config *config)
{
	for (unsigned i = 0; i < config->n_workers; i++) {
		const struct worker_setup setup = {
			.id = i,
			.core = -1,
			.is_alone = config->n_workers == 1 && !config->is_shared,
			.state = m->state,
			.keys = m->keys,
			.pool = m->pool,
			.wire = m->wire,
			.host = m->host,
			.flows = &m->flows,
			.nat = m->nat,
			.max_flow_buckets = config->no_flow_cache ? 0 : FLOW_CACHE_MAX_BUCKETS,
			.cache_seed = { 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9 },
			.main_bell = &m->bell,
			.quiescent = &m->quiescent.of[i].rounds,
			.tables = &m->tables,
			.net = &m->net,
			.sessions_epoch = &m->sessions_epoch,
		};
		int err = worker_create(&setup, &m->workers[i]);

		if (err < 0)
			return err;
		m->n_workers++;
		io_memory_attach_worker(m->wire, i, &m->workers[i]->bell);
		io_memory_attach_worker(m->host, i, &m->workers[i]->bell);
		for (unsigned k = 0; k < m->n_links; k++)
			io_memory_attach_worker(m->links[k], i, &m->workers[i]->bell);
	}
	m->state->n_workers = config->n_workers;
	return 0;
}

static void
nat_changed(void *context, const struct shm_net *net)
{
	struct in_memory *m = context;

	uint32_t pages = 0;

	if (net->nat == 0)
		return;
	nat_set(m->nat, net->nat_port_first, net->nat_port_last);
	if (!m->small_pages)
		flow_memory_reserve(m->flow_memory, &pages);
}

static void
wake_workers(void *context)
{
	struct in_memory *m = context;

	for (unsigned i = 0; i < m->n_workers; i++)
		doorbell_ring(&m->workers[i]->bell);
}

static int
create_network(struct in_memory *m)
{
	m->network = (struct network){
		.state = m->state,
		.quiescent = &m->quiescent,
		.published = &m->net,
		.listen_port = IN_MEMORY_LISTEN_PORT,
		.seed = { 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179 },
		.wake = wake_workers,
		.nat_changed = nat_changed,
		.context = m,
		.n_ports = m->n_links,
	};
	for (unsigned i = 0; i < m->n_links; i++)
		m->network.ports[i] = (struct network_port){ m->links[i], IN_MEMORY_IFINDEX(i) };
	return network_init(&m->network);
}

static int
create_rings(struct in_memory *m)
{
	struct shm_to_dp *to_dp = map(sizeof(*to_dp));
	struct shm_to_cp *to_cp = map(sizeof(*to_cp));

	if (to_dp == NULL || to_cp == NULL) {
		unmap(to_dp, sizeof(*to_dp));
		unmap(to_cp, sizeof(*to_cp));
		return -ENOMEM;
	}
	rings_join(&m->rings, to_dp, to_cp, -1);
	shm_ring_rx_init(&m->events, &to_dp->events_tail, &to_cp->events_head, to_cp->events,
		sizeof(to_cp->events[0]), SHM_N_EVENTS);
	shm_ring_rx_init(&m->punt, &to_dp->punt_tail, &to_cp->punt_head, to_cp->punt,
		sizeof(to_cp->punt[0]), SHM_N_PACKETS);
	shm_ring_tx_init(&m->inject, &to_dp->inject_head, &to_cp->inject_tail, to_dp->inject,
		sizeof(to_dp->inject[0]), SHM_N_PACKETS);
	return 0;
}

static int
use_flows(struct in_memory *m, const struct in_memory_config *config)
{
	size_t n = config->n_flow_groups != 0 ? config->n_flow_groups : FLOW_MEMORY_GROUPS;

	m->flow_memory = config->flows;
	if (m->flow_memory == NULL) {
		m->flow_memory = in_memory_flows();
		m->owns_flows = true;
	}
	if (m->flow_memory == NULL)
		return -ENOMEM;
	flow_memory_use(m->flow_memory, n, &m->flows);
	return nat_use(&m->flow_memory->nat, &m->nat);
}

static uint64_t
applied_generation(const struct in_memory *m)
{
	return m->state->applied[m->state->applied_which & 1].generation;
}

int
in_memory_create(const struct in_memory_config *config, struct in_memory **ret_m)
{
	struct in_memory *m = aligned_alloc(64, (sizeof(*m) + 63) / 64 * 64);
	int err = 0;

	if (m == NULL)
		return -ENOMEM;
	memset(m, 0, sizeof(*m));
	m->state = config->state;
	m->small_pages = config->small_pages;
	m->keys = config->keys;
	m->bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->bell.fd < 0)
		err = -errno;
	if (err == 0 && m->state == NULL) {
		err = make_regions(config->small_pages, &m->state, &m->keys);
		m->owns_regions = err == 0;
	}
	if (err == 0)
		err = use_flows(m, config);
	if (err == 0)
		err = create_io(m, config);
	if (err == 0)
		err = create_workers(m, config);
	if (err == 0)
		err = create_network(m);
	if (err == 0)
		err = create_rings(m);
	if (err == 0) {
		m->apply = (struct apply){
			.sessions = { m->state, m->keys },
			.quiescent = &m->quiescent,
			.published = &m->tables,
			.flows = &m->flows,
			.network = &m->network,
			.table_seed = { 0x0123456789abcdef, 0xfedcba9876543211 },
			.max_mtu = pkt_capacity(pool_frame_length(m->pool)),
			.calls = { send_keepalive, give_up, sessions_changed, put_event, m, NULL },
		};
		err = apply_init(&m->apply);
		m->generation = applied_generation(m);
	}
	if (err < 0) {
		in_memory_destroy(m);
		return err;
	}
	*ret_m = m;
	return 0;
}

void
in_memory_destroy(struct in_memory *m)
{
	if (m == NULL)
		return;
	for (unsigned i = 0; i < m->n_workers; i++)
		worker_destroy(m->workers[i]);
	nat_leave(m->nat);
	rings_leave(&m->rings);
	apply_fini(&m->apply);
	tables_destroy((struct tables *)m->tables);
	net_table_destroy((struct net_table *)m->net);
	io_memory_destroy(m->wire, NULL);
	io_memory_destroy(m->host, NULL);
	for (unsigned i = 0; i < m->n_links; i++)
		io_memory_destroy(m->links[i], NULL);
	pool_destroy(m->pool);
	unmap(m->packets, m->packets_len);
	if (m->owns_regions)
		in_memory_regions_free(m->state, m->keys);
	if (m->owns_flows)
		in_memory_flows_free(m->flow_memory);
	if (m->bell.fd >= 0)
		close(m->bell.fd);
	free(m);
}

// --- the control plane -------------------------------------------------------------------------

void
in_memory_command(struct in_memory *m, const struct shm_command *cmd)
{
	struct shm_command copy = *cmd;

	apply_command(&m->apply, &copy);
	apply_flush_retired(&m->apply);
}

static void
row(struct in_memory *m, struct shm_command cmd)
{
	cmd.generation = m->generation;
	in_memory_command(m, &cmd);
}

void
in_memory_begin(struct in_memory *m, bool full)
{
	struct shm_command cmd = { .kind = SHM_CMD_BEGIN };

	cmd.begin.full = full;
	cmd.begin.base = full ? 0 : m->generation;
	m->generation++;
	row(m, cmd);
}

static struct shm_addr
shm_addr_of(const char *text)
{
	struct shm_addr out = {};
	struct addr addr;

	if (text != NULL && addr_parse(text, &addr) == 0)
		memcpy(out.bytes, addr.bytes, sizeof(out.bytes));
	return out;
}

void
in_memory_all_settings(struct in_memory *m, const struct shm_settings *settings)
{
	struct shm_command cmd = { .kind = SHM_CMD_SETTINGS, .settings = *settings };

	row(m, cmd);
}

void
in_memory_settings(struct in_memory *m, uint16_t mtu, const char *source4, const char *source6)
{
	const struct shm_settings settings = {
		.mtu = mtu,
		.icmp_source4 = shm_addr_of(source4),
		.icmp_source6 = shm_addr_of(source6),
	};

	in_memory_all_settings(m, &settings);
}

void
in_memory_filter(struct in_memory *m, const struct acl_table *table)
{
	uint32_t total = table != NULL ? table->size_bytes : 0, at = 0;

	do {
		struct shm_command cmd = { .kind = SHM_CMD_FILTER };
		uint32_t n = total - at < SHM_FILTER_PART ? total - at : SHM_FILTER_PART;

		cmd.filter.offset = at;
		cmd.filter.total = total;
		if (n > 0)
			memcpy(cmd.filter.bytes, (const uint8_t *)table + at, n);
		row(m, cmd);
		at += n;
	} while (at < total);
}

void
in_memory_peer(struct in_memory *m, uint32_t peer)
{
	struct shm_command cmd = { .kind = SHM_CMD_PEER };

	cmd.peer.peer = peer;
	memcpy(cmd.peer.public_key, &peer, sizeof(peer));
	cmd.peer.public_key[31] = 1;
	row(m, cmd);
}

void
in_memory_peer_gone(struct in_memory *m, uint32_t peer)
{
	struct shm_command cmd = { .kind = SHM_CMD_PEER_GONE };

	cmd.one.peer = peer;
	row(m, cmd);
}

static void
prefix_row(struct in_memory *m, enum shm_command_kind kind, const char *text, uint32_t to)
{
	struct shm_command cmd = { .kind = kind };
	struct prefix prefix;

	if (prefix_parse(text, &prefix) < 0)
		abort(); // a mistake in the test
	cmd.prefix.family = prefix.addr.family;
	cmd.prefix.len = prefix.len;
	cmd.prefix.to = to;
	memcpy(cmd.prefix.addr.bytes, prefix.addr.bytes, sizeof(cmd.prefix.addr.bytes));
	row(m, cmd);
}

void
in_memory_prefix(struct in_memory *m, const char *prefix, uint32_t to)
{
	prefix_row(m, SHM_CMD_PREFIX, prefix, to);
}

void
in_memory_prefix_gone(struct in_memory *m, const char *prefix)
{
	prefix_row(m, SHM_CMD_PREFIX_GONE, prefix, 0);
}

uint32_t
in_memory_commit(struct in_memory *m)
{
	struct shm_command cmd = { .kind = SHM_CMD_COMMIT };
	struct shm_event event;

	row(m, cmd);
	while (in_memory_event(m, &event)) {
		if (event.kind == SHM_EV_APPLIED || event.kind == SHM_EV_REFUSED) {
			if (event.kind == SHM_EV_REFUSED)
				m->generation =
					m->state->applied[m->state->applied_which & 1].generation;
			return event.value;
		}
	}
	abort(); // each commit is answered
}

struct pkt_outer
in_memory_outer(const char *remote, const char *local)
{
	struct pkt_outer outer = {};
	struct endpoint endpoint;

	if (endpoint_parse(remote, &endpoint) < 0)
		abort();
	outer.family = endpoint.addr.family;
	outer.remote_port = endpoint.port;
	memcpy(outer.remote, endpoint.addr.bytes, sizeof(outer.remote));
	if (local != NULL) {
		struct shm_addr addr = shm_addr_of(local);

		memcpy(outer.local, &addr, sizeof(outer.local));
	}
	return outer;
}

void
in_memory_path(struct in_memory *m, uint32_t peer, const char *remote, const char *local)
{
	struct shm_command cmd = { .kind = SHM_CMD_PATH };

	cmd.path.peer = peer;
	if (remote != NULL) {
		struct pkt_outer outer = in_memory_outer(remote, local);

		memcpy(&cmd.path.path, &outer, sizeof(outer));
	}
	in_memory_command(m, &cmd);
}

void
in_memory_relay_path(struct in_memory *m, uint32_t peer, const char *remote)
{
	struct shm_command cmd = { .kind = SHM_CMD_PATH };

	cmd.path.peer = peer;
	if (remote != NULL) {
		struct pkt_outer outer = in_memory_outer(remote, NULL);

		memcpy(&cmd.path.path, &outer, sizeof(outer));
	}
	cmd.path.path.relay = 1;
	in_memory_command(m, &cmd);
}

uint32_t
in_memory_net(struct in_memory *m, const struct shm_net *net)
{
	uint32_t total = (uint32_t)SHM_NET_LEN(net->n_routes), at = 0;
	struct shm_event event;

	m->net_serial++;
	while (at < total) {
		struct shm_command cmd = { .kind = SHM_CMD_NET };
		uint32_t n = total - at < SHM_NET_PART ? total - at : SHM_NET_PART;

		cmd.net.serial = m->net_serial;
		cmd.net.offset = at;
		cmd.net.total = total;
		memcpy(cmd.net.bytes, (const uint8_t *)net + at, n);
		in_memory_command(m, &cmd);
		at += n;
	}
	if (!in_memory_wait_event(m, SHM_EV_NET, &event))
		abort(); // each block is answered
	return event.value;
}

void
in_memory_neighbour(struct in_memory *m,
	unsigned link,
	const char *addr,
	uint8_t mac,
	enum shm_neighbour_state state)
{
	struct shm_command cmd = { .kind = SHM_CMD_NEIGHBOUR };
	struct addr parsed;

	if (addr_parse(addr, &parsed) < 0)
		abort();
	cmd.neighbour.ifindex = IN_MEMORY_IFINDEX(link);
	cmd.neighbour.family = parsed.family;
	cmd.neighbour.state = (uint8_t)state;
	cmd.neighbour.mac[0] = 2;
	cmd.neighbour.mac[5] = mac;
	cmd.neighbour.addr = shm_addr_of(addr);
	in_memory_command(m, &cmd);
}

void
in_memory_open_links(struct in_memory *m, unsigned n)
{
	struct network_port ports[IN_MEMORY_MAX_LINKS];

	for (unsigned i = 0; i < n; i++)
		ports[i] = (struct network_port){ m->links[i], IN_MEMORY_IFINDEX(i) };
	if (network_set_ports(&m->network, ports, n) < 0)
		abort();
}

static void
fill_key(uint8_t key[SHM_KEY_LEN], uint8_t byte, uint32_t one_index, uint32_t other_index)
{
	uint32_t both = one_index ^ other_index;

	memset(key, byte, SHM_KEY_LEN);
	memcpy(key, &both, sizeof(both));
}

void
in_memory_install(struct in_memory *m, const struct in_memory_session *s)
{
	struct shm_command cmd = { .kind = SHM_CMD_SESSION };

	cmd.session.peer = s->peer;
	cmd.session.receiver_index = s->receiver_index;
	cmd.session.sender_index = s->sender_index;
	cmd.session.role = s->role;
	cmd.session.birth_ns = mono_now().ns - (uint64_t)s->age_ns;
	fill_key(cmd.session.key_receive, s->key_receive, s->receiver_index, s->sender_index);
	fill_key(cmd.session.key_send, s->key_send, s->receiver_index, s->sender_index);
	in_memory_command(m, &cmd);
}

bool
in_memory_event(struct in_memory *m, struct shm_event *ret_event)
{
	if (!shm_ring_peek(&m->events, ret_event))
		return false;
	shm_ring_advance(&m->events);
	return true;
}

bool
in_memory_wait_event(struct in_memory *m, enum shm_event_kind kind, struct shm_event *ret_event)
{
	while (in_memory_event(m, ret_event))
		if (ret_event->kind == kind)
			return true;
	return false;
}

bool
in_memory_inject(struct in_memory *m, enum shm_packet_kind kind, const void *data, size_t len)
{
	struct shm_packet *slot = shm_ring_reserve(&m->inject);

	if (slot == NULL || len > SHM_PACKET_LEN)
		return false;
	memset(slot, 0, sizeof(*slot) - sizeof(slot->data));
	slot->kind = kind;
	slot->len = (uint32_t)len;
	slot->peer = SHM_NO_PEER;
	memcpy(slot->data, data, len);
	shm_ring_publish(&m->inject);
	return true;
}

bool
in_memory_punted(struct in_memory *m, struct shm_packet *ret_packet)
{
	if (!shm_ring_peek(&m->punt, ret_packet))
		return false;
	shm_ring_advance(&m->punt);
	return true;
}

// --- the network -------------------------------------------------------------------------------

static bool
push(struct in_memory *m, struct port *port, unsigned worker, struct pkt *p)
{
	if (io_memory_push(port, worker, &p, 1) == 1)
		return true;
	pool_put(&m->cache, &p, 1);
	return false;
}

static struct pkt *
new_packet(struct in_memory *m, const void *data, size_t len)
{
	struct pkt *p;

	if (len > pkt_capacity(pool_frame_length(m->pool)) + PKT_TAILROOM ||
		pool_get(&m->cache, &p, 1) == 0)
		return NULL;
	p->len = (uint32_t)len;
	p->flow_hash = 0;
	if (len > 0)
		memcpy(p->data, data, len);
	return p;
}

bool
in_memory_push_wire(struct in_memory *m,
	unsigned worker,
	const void *data,
	size_t len,
	const struct pkt_outer *from,
	uint8_t ecn)
{
	struct pkt *p = new_packet(m, data, len);

	if (p == NULL)
		return false;
	p->rx_outer = from != NULL ? *from : in_memory_outer(IN_MEMORY_REMOTE, NULL);
	p->outer_ecn = ecn;
	return push(m, m->wire, worker, p);
}

bool
in_memory_push_host(struct in_memory *m, unsigned worker, const void *data, size_t len)
{
	struct pkt *p = new_packet(m, data, len);

	return p != NULL && push(m, m->host, worker, p);
}

bool
in_memory_push_link(struct in_memory *m,
	unsigned link,
	unsigned worker,
	const void *frame,
	size_t len)
{
	struct pkt *p = new_packet(m, frame, len);

	return p != NULL && push(m, m->links[link], worker, p);
}

struct pkt *
in_memory_take_wire(struct in_memory *m, unsigned worker)
{
	struct pkt *p;

	return io_memory_take(m->wire, worker, &p, 1) == 1 ? p : NULL;
}

struct pkt *
in_memory_take_host(struct in_memory *m, unsigned worker)
{
	struct pkt *p;

	return io_memory_take(m->host, worker, &p, 1) == 1 ? p : NULL;
}

struct pkt *
in_memory_take_link(struct in_memory *m, unsigned link, unsigned worker)
{
	struct pkt *p;

	return io_memory_take(m->links[link], worker, &p, 1) == 1 ? p : NULL;
}

void
in_memory_put(struct in_memory *m, struct pkt *p)
{
	pool_put(&m->cache, &p, 1);
}

// --- running -----------------------------------------------------------------------------------

void
in_memory_main_round(struct in_memory *m)
{
	struct pkt *p;

	while ((p = report_take_injected(&m->rings, &m->cache)) != NULL)
		if (pkt_ring_put(&m->workers[0]->inject, &p, 1) == 0)
			pool_put(&m->cache, &p, 1);
	for (unsigned i = 0; i < m->n_workers; i++)
		report_worker(&m->rings, &m->apply, m->workers[i], &m->cache);
	apply_flush_retired(&m->apply);
}

uint32_t
in_memory_round(struct in_memory *m)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < m->n_workers; i++)
		n += worker_round(m->workers[i]);
	in_memory_main_round(m);
	return n;
}

int
in_memory_start(struct in_memory *m)
{
	unsigned n_wanted = m->n_workers;

	m->quiescent.n_workers = m->n_workers;
	for (unsigned i = 0; i < n_wanted; i++) {
		int err;

		atomic_store_explicit(&m->workers[i]->stop, false, memory_order_relaxed);
		err = -pthread_create(&m->threads[i], NULL, worker_run, m->workers[i]);
		if (err < 0) {
			m->n_workers = i; // those are stopped
			in_memory_stop(m);
			m->n_workers = n_wanted;
			return err;
		}
	}
	return 0;
}

void
in_memory_stop(struct in_memory *m)
{
	for (unsigned i = 0; i < m->n_workers; i++) {
		worker_stop(m->workers[i]);
		pthread_join(m->threads[i], NULL);
	}
	m->quiescent.n_workers = 0;
}

uint64_t
in_memory_drops(const struct in_memory *m, enum drop_reason reason)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < m->n_workers; i++)
		n += m->state->workers[i].drops[reason];
	return n;
}

uint32_t
in_memory_free_frames(const struct in_memory *m)
{
	uint32_t n = pool_free_count(m->pool) + m->cache.n;

	for (unsigned i = 0; i < m->n_workers; i++)
		n += m->workers[i]->w.pool.n;
	return n;
}
