/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "controlplane/gateway/kernel/host_state.h"
#include "lib/base/err.h"

#define EVENT_LEN      (32 * 1024)
#define EVENT_ROOM     (4 * 1024 * 1024) /* bytes of notifications that may wait */
#define SETTLE_NS      (20 * NS_PER_MS)  /* a change is rarely one event */
#define APPEARED_NS    (2 * NS_PER_MS)
#define BUSY_SETTLE_NS (200 * NS_PER_MS) /* where events do not end, or somebody fights us */
#define BUSY_NS        (500 * NS_PER_MS)
#define LOOK_SHARE     10 /* at most this part of the time goes into looking */
#define RETRY_NS       (5 * NS_PER_S)
#define POLL_NS        (1 * NS_PER_S)
#define LAST_PRIORITY  32765 /* of a rule that comes before `main` */

static int
check_options(const struct host_options *o)
{
	size_t len = o->interface != NULL ? strlen(o->interface) : 1;

	if (len == 0 || len >= IF_NAMESIZE || o->mark == 0 || o->rule_priority > LAST_PRIORITY ||
		o->table == RT_TABLE_MAIN || o->table == RT_TABLE_LOCAL ||
		o->table == RT_TABLE_DEFAULT)
		return -EINVAL;
	return 0;
}

static void
copy_options(struct host *h, const struct host_options *o)
{
	const char *name = o->interface != NULL ? o->interface : HOST_DEFAULT_INTERFACE;

	memcpy(h->interface, name, strlen(name) + 1);
	h->table = o->table != 0 ? o->table : HOST_DEFAULT_TABLE;
	h->rule_priority = o->rule_priority != 0 ? o->rule_priority : HOST_DEFAULT_RULE_PRIORITY;
	h->mark = o->mark;
	h->journal = o->journal;
	h->changed = o->changed;
	h->network_changed = o->network_changed;
	h->context = o->context;
}

static bool
kernel_has_v6(void)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

// Ten thousand routes of ours come back as ten thousand notifications: the kernel need not store
// them.  The loads of a socket filter are in network order, the fields of netlink in host order.
static int
ignore_own_routes(const struct host *h)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(h->nl.port_id), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (setsockopt(h->events_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

static int
join_groups(const struct host *h)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
		RTNLGRP_NEIGH };
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };

	if (bind(h->events_fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (setsockopt(h->events_fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			    sizeof(groups[i])) < 0)
			return -errno;
	return 0;
}

static int
open_events(struct host *h)
{
	int room = EVENT_ROOM;
	int err;

	h->events_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (h->events_fd < 0)
		return -errno;
	// What overflows is noticed, and everything is read again; so less room is no error.
	if (setsockopt(h->events_fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(h->events_fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	err = ignore_own_routes(h);
	return err == 0 ? join_groups(h) : err;
}

static int
watch(const struct host *h, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int
open_loop(struct host *h)
{
	int err;

	h->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (h->timer_fd < 0)
		return -errno;
	h->poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->poll_fd < 0 || h->epoll_fd < 0)
		return -errno;
	err = watch(h, h->events_fd);
	if (err == 0)
		err = watch(h, h->timer_fd);
	if (err == 0)
		err = watch(h, h->poll_fd);
	if (err == 0)
		err = watch(h, neighbours_fd(h->neighbours));
	if (err == 0 && h->nf_fd >= 0)
		err = watch(h, h->nf_fd);
	return err;
}

static int
open_parts(struct host *h, const struct host_options *o)
{
	const struct neighbours_setup setup = { .nl = &h->nl,
		.journal = h->journal,
		.changed = o->neighbour_changed,
		.context = o->context,
		.without_managed = o->without_managed };
	int err;

	h->event_buf = malloc(EVENT_LEN);
	err = h->event_buf != NULL ? netlink_open(&h->nl) : -ENOMEM;
	if (err == 0)
		err = open_events(h);
	if (err == 0)
		err = neighbours_create(&setup, &h->neighbours);
	if (err == 0)
		h->nf_fd = nf_table_listen(); // without it, a table that was flushed stays away
	return err == 0 ? open_loop(h) : err;
}

int
host_open(const struct host_options *options, struct host **ret_host)
{
	struct host *h;
	int err;

	err = check_options(options);
	if (err < 0)
		return err;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	h->nl.fd = h->events_fd = h->timer_fd = h->epoll_fd = h->nf_fd = h->poll_fd = -1;
	copy_options(h, options);
	h->has_v6 = kernel_has_v6();
	err = open_parts(h, options);
	if (err < 0) {
		host_close(h);
		return err;
	}
	*ret_host = h;
	return 0;
}

static void
close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
host_close(struct host *h)
{
	if (h == NULL)
		return;
	close_if_open(h->epoll_fd);
	close_if_open(h->timer_fd);
	close_if_open(h->events_fd);
	close_if_open(h->nf_fd);
	close_if_open(h->poll_fd);
	neighbours_destroy(h->neighbours);
	netlink_close(&h->nl);
	free(h->event_buf);
	free(h->addresses);
	free(h->wish.advertised);
	free(h->path_mtus.rows);
	host_sight_fini(&h->sight);
	network_put(h->network);
	prefix_set_fini(&h->prefixes);
	prefix_set_fini(&h->throws);
	prefix_set_fini(&h->exceptions);
	prefix_set_fini(&h->in_kernel.throws);
	prefix_set_fini(&h->in_kernel.unreachables);
	prefix_set_fini(&h->in_kernel.tunnels);
	notes_clear(&h->notes);
	free(h);
}

int
host_fd(const struct host *h)
{
	return h->epoll_fd;
}

// The earliest of several calls decides when.
static void
arm_timer(struct host *h, int64_t delay_ns)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = delay_ns / NS_PER_S, .tv_nsec = delay_ns % NS_PER_S },
	};
	struct mono due = mono_add_ns(mono_now(), delay_ns);

	if (!mono_is_never(h->due) && mono_diff_ns(h->due, due) <= 0)
		return;
	if (timerfd_settime(h->timer_fd, 0, &when, NULL) == 0)
		h->due = due;
}

// Quick for a single change, and never so often that looking is all we do.
static void
look_soon(struct host *h)
{
	int64_t delay_ns = SETTLE_NS;

	if (!mono_is_never(h->looked) && mono_diff_ns(mono_now(), h->looked) < BUSY_NS)
		delay_ns = BUSY_SETTLE_NS;
	if (delay_ns < h->look_ns * LOOK_SHARE && delay_ns == BUSY_SETTLE_NS)
		delay_ns = h->look_ns * LOOK_SHARE;
	h->stale = true;
	arm_timer(h, delay_ns);
}

// Trying again changes nothing until somebody acts, and then there is an event or a new apply.
static bool
is_final(int err)
{
	return err == -ENODEV || err == -ENETDOWN || err == -EMEDIUMTYPE || err == -EPERM ||
	       err == -EACCES || err == -EROFS;
}

static void
look_when_decided(struct host *h)
{
	bool undecided;

	(void)host_kernel_forwards(h, &undecided);
	if (!undecided)
		return;
	h->stale = true;
	arm_timer(h, mono_diff_ns(h->served_due, mono_now()) + NS_PER_MS);
}

// Bring the host to the desired state, as far as it goes.
static int
look(struct host *h, bool from_apply)
{
	struct mono begun = mono_now();
	int err;

	notes_clear(&h->notes);
	h->stale = false;
	err = host_address_look(h, from_apply);
	err = first_error(err, host_mirror_look(h));
	err = first_error(err, host_network_look(h)); // before the exceptions that follow from it
	if (h->changed != NULL)
		h->changed(h->context); // who waits for the exceptions need not wait for routes
	err = first_error(err, host_table_look(h));
	err = first_error(err, host_nat_look(h));
	err = first_error(err, host_forward_look(h));
	err = first_error(err, host_rest_look(h));

	h->looked = mono_now();
	h->look_ns = mono_diff_ns(h->looked, begun);
	look_when_decided(h);
	if (err < 0 && !is_final(err)) {
		h->stale = true;
		arm_timer(h, RETRY_NS);
	}
	if (h->changed != NULL)
		h->changed(h->context);
	return err;
}

static bool
is_own_link(const struct host *h, const struct link_row *link)
{
	return link->ifindex == h->link.ifindex || strcmp(link->name, h->interface) == 0;
}

static void
take_link_event(struct host *h, const struct nlmsghdr *row)
{
	struct link_row link;

	if (!message_read_link(row, &link))
		return;
	neighbours_take_link(h->neighbours, link.ifindex,
		row->nlmsg_type == RTM_NEWLINK && link.up && link.carrier,
		row->nlmsg_type == RTM_DELLINK);
	if (is_own_link(h, &link))
		h->in_kernel_known = false; // routes go with the link, IPv4 ones without a word
	look_soon(h);
	// We were started with the keeper, and were faster: it is what all packets wait for.
	if (row->nlmsg_type == RTM_NEWLINK && h->link.ifindex == 0 && is_own_link(h, &link))
		arm_timer(h, APPEARED_NS);
}

// With an interface's last address all its IPv4 routes vanish, without a notification.
static void
take_address_event(struct host *h, const struct nlmsghdr *row)
{
	struct address_row address;

	if (row->nlmsg_pid == h->nl.port_id || !message_read_address(row, &address))
		return;
	if (address.ifindex == h->link.ifindex)
		h->in_kernel_known = false;
	look_soon(h);
}

// What is in `local` follows the addresses.
static void
take_route_event(struct host *h, const struct nlmsghdr *row)
{
	struct route_row route;

	if (!message_read_route(row, &route) || row->nlmsg_pid == h->nl.port_id ||
		route.table == RT_TABLE_LOCAL || route.is_cached)
		return;
	if (route.table == h->table)
		h->in_kernel_known = false;
	look_soon(h);
}

static void
take_neighbour_event(struct host *h, const struct nlmsghdr *row)
{
	struct neighbour_row neighbour;

	if (message_read_neighbour(row, &neighbour))
		neighbours_take_row(h->neighbours, &neighbour, row->nlmsg_type == RTM_DELNEIGH);
}

static void
take_event(struct host *h, const struct nlmsghdr *row)
{
	switch (row->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		take_link_event(h, row);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		take_route_event(h, row);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		take_address_event(h, row);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		take_neighbour_event(h, row);
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		if (row->nlmsg_pid != h->nl.port_id)
			look_soon(h);
		break;
	default:
		break;
	}
}

static int
take_events(struct host *h)
{
	int n;

	while ((n = netlink_receive(h->events_fd, h->event_buf, EVENT_LEN)) >= 0)
		for (const struct nlmsghdr *row = (const void *)h->event_buf; mnl_nlmsg_ok(row, n);
			row = mnl_nlmsg_next(row, &n))
			take_event(h, row);
	if (n == -EAGAIN)
		return 0;
	// Some were lost, or too long to be read: then everything may be different.
	h->in_kernel_known = false;
	look_soon(h);
	h->neighbours_are_stale = true;
	return n == -ENOBUFS || n == -EMSGSIZE ? 0 : n;
}

static bool
take_timer(struct host *h)
{
	uint64_t n_times;

	if (read(h->timer_fd, &n_times, sizeof(n_times)) < 0)
		return false;
	h->due = (struct mono){};
	return true;
}

// A neighbour's word may be waited for by packets, so these are not gathered.
static int
follow_neighbours(struct host *h)
{
	int err = 0;

	if (h->neighbours_are_stale)
		err = neighbours_read(h->neighbours);
	h->neighbours_are_stale = err < 0;
	neighbours_work(h->neighbours);
	return err;
}

// Only workers' packets need it: the kernel's own follow by themselves.
static void
poll_again(struct host *h, int64_t delay_ns)
{
	struct itimerspec when = {};

	if (h->n_served > 0) {
		when.it_value.tv_sec = delay_ns / NS_PER_S;
		when.it_value.tv_nsec = delay_ns % NS_PER_S;
	}
	(void)timerfd_settime(h->poll_fd, 0, &when, NULL);
}

static void
follow_paths(struct host *h)
{
	struct mono begun = mono_now();
	uint64_t n_times;
	int64_t took_ns;

	if (read(h->poll_fd, &n_times, sizeof(n_times)) < 0)
		return;
	if (host_path_mtu_poll(h))
		look_soon(h);
	took_ns = mono_diff_ns(mono_now(), begun);
	poll_again(h, took_ns * LOOK_SHARE > POLL_NS ? took_ns * LOOK_SHARE : POLL_NS);
}

static void
follow_packet_filter(struct host *h)
{
	char name[NF_TABLE_NAME_LEN];

	nf_table_name(h->interface, name);
	if (h->nf_fd < 0 || !nf_table_has_vanished(h->nf_fd, name) || !h->nf_is_there)
		return;
	h->nf_is_known = false;
	look_soon(h);
}

int
host_dispatch(struct host *h)
{
	int err = take_events(h);

	err = first_error(err, follow_neighbours(h));
	follow_packet_filter(h);
	follow_paths(h);

	if (take_timer(h) && h->stale)
		err = first_error(err, look(h, false));
	return err;
}

static int
add_networks(struct prefix_set *set, const struct host_desired *d, bool has_v6)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < d->n_addresses; i++) {
		const struct prefix *p = &d->addresses[i];

		if ((p->addr.family == ADDR_V6 && !has_v6) ||
			p->len == addr_bits((enum addr_family)p->addr.family))
			continue; // a lone address has no network
		err = prefix_set_add(set, *p);
	}
	return err;
}

static int
copy_prefixes(const struct host_desired *d, bool has_v6, struct prefix_set *set)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < d->n_prefixes; i++)
		if (d->prefixes[i].addr.family == ADDR_V4 || has_v6)
			err = prefix_set_add(set, d->prefixes[i]);
	if (err == 0)
		err = add_networks(set, d, has_v6);
	prefix_set_seal(set);
	return err;
}

static int
copy_wish(const struct host_desired *d, struct host_wish *ret_wish)
{
	struct host_wish wish = { .driver = d->driver,
		.nat = d->nat,
		.nat_port_first = d->nat_port_first,
		.nat_port_last = d->nat_port_last };

	wish.advertised = calloc(d->n_advertised + 1, sizeof(*wish.advertised));
	if (wish.advertised == NULL)
		return -ENOMEM;
	for (; wish.n_advertised < d->n_advertised; wish.n_advertised++)
		wish.advertised[wish.n_advertised] = prefix_mask(d->advertised[wish.n_advertised]);
	for (; wish.n_names < d->n_port_names && wish.n_names < CONFIG_MAX_PORTS; wish.n_names++)
		memcpy(wish.names[wish.n_names], d->port_names[wish.n_names], CONFIG_INTERFACE_LEN);
	*ret_wish = wish;
	return 0;
}

static int
copy_desired(struct host *h, const struct host_desired *d)
{
	struct prefix_set prefixes = {};
	struct prefix *addresses = NULL;
	struct host_wish wish = {};
	int err;

	if (d->n_addresses > 0) {
		addresses = reallocarray(NULL, d->n_addresses, sizeof(*addresses));
		if (addresses == NULL)
			return -ENOMEM;
		memcpy(addresses, d->addresses, d->n_addresses * sizeof(*addresses));
	}
	err = copy_prefixes(d, h->has_v6, &prefixes);
	if (err == 0)
		err = copy_wish(d, &wish);
	if (err < 0) {
		prefix_set_fini(&prefixes);
		free(addresses);
		return err;
	}
	free(h->wish.advertised);
	h->wish = wish;
	free(h->addresses);
	h->addresses = addresses;
	h->n_addresses = d->n_addresses;
	prefix_set_move(&h->prefixes, &prefixes);
	h->mtu = d->mtu;
	h->forward_v4 = d->forward_v4;
	h->forward_v6 = d->forward_v6;
	h->has_desired = true;
	return 0;
}

int
host_apply(struct host *h, const struct host_desired *desired)
{
	int err = copy_desired(h, desired);

	return err == 0 ? look(h, true) : err;
}

const struct prefix *
host_exceptions(const struct host *h, size_t *ret_n, uint64_t *ret_generation)
{
	*ret_n = h->exceptions.n;
	*ret_generation = h->generation;
	return h->exceptions.items;
}

void
host_facts(const struct host *h, struct host_facts *ret_facts)
{
	*ret_facts = (struct host_facts){
		.interface = h->interface,
		.ifindex = h->link.ifindex,
		.up = h->link.up,
		.running = h->link.running,
		.mtu = h->link.mtu,
		.has_v6 = h->has_v6,
		.table = h->table,
		.rule_priority = h->rule_priority,
		.mark = h->mark,
		.rule_v4 = h->rule_there[0],
		.rule_v6 = h->rule_there[1],
		.n_prefixes = h->prefixes.n,
		.n_throws = h->throws.n,
		.n_exceptions = h->exceptions.n,
		.forwarding_v4 = h->forwarding_v4,
		.forwarding_v6 = h->forwarding_v6,
		.notes = &h->notes,
	};
}

struct network *
host_network(const struct host *h)
{
	return h->network;
}

static bool
same_served(const struct host *h, const uint32_t *ifindexes, size_t n)
{
	return n == h->n_served &&
	       (n == 0 || memcmp(ifindexes, h->served, n * sizeof(*ifindexes)) == 0);
}

int
host_serve_ports(struct host *h, const uint32_t *ifindexes, size_t n)
{
	if (n > SHM_MAX_PORTS)
		n = SHM_MAX_PORTS;
	if (same_served(h, ifindexes, n))
		return 0;
	h->n_served = n;
	if (n > 0)
		memcpy(h->served, ifindexes, n * sizeof(*ifindexes));
	poll_again(h, POLL_NS);
	return h->has_desired ? look(h, false) : 0;
}

void
host_tell_neighbours(struct host *h)
{
	neighbours_tell(h->neighbours);
}
