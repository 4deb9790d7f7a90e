/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "port_mapping"

#include "controlplane/gateway/traversal/port_mapping/port_mapping.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/gateway/traversal/port_mapping/default_router.h"
#include "controlplane/gateway/traversal/port_mapping/router_client.h"
#include "controlplane/gateway/traversal/port_mapping/upnp.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/key.h"

#define AGAIN_NS          (5 * 60 * NS_PER_S) /* after nothing was to be had */
#define NO_ROUTER_NS      (60 * NS_PER_S)
#define SETTLE_NS         NS_PER_S /* after the network has changed */
#define UPNP_MIN_RENEW_NS (5 * 60 * NS_PER_S)
#define UPNP_FOREVER_NS   (30 * 60 * NS_PER_S) /* routers forget "permanent" ones in a restart */
#define MAX_DATAGRAMS     16                   /* in one round */

struct port_mapping {
	struct port_mapping_calls calls;
	uint32_t mark;
	int epoll, sock; /* sock -1: no router is asked */
	struct upnp *upnp;
	bool is_started;
	uint16_t local_port;
	bool has_secret;
	uint8_t secret[PORT_MAPPING_SECRET_LEN];
	struct addr router, self; /* ADDR_NONE: none was found */
	struct router_client client;
	bool has_client;   /* it was started */
	bool awaits_upnp;  /* the thread was asked */
	struct mono begin; /* look for the router then, and ask it; never: no */
	struct endpoint by_upnp;
	struct mono upnp_renew; /* never: there is no mapping by UPnP */
	enum tri upnp_seen;

	struct endpoint told; /* as mapped() said */
	enum tri told_upnp, told_pmp, told_pcp;
};

/* --- what we have --- */

static const struct endpoint *
current(const struct port_mapping *pm)
{
	const struct endpoint *by_router = pm->has_client ? router_mapping(&pm->client) : NULL;

	if (by_router != NULL)
		return by_router;
	return pm->by_upnp.addr.family != ADDR_NONE ? &pm->by_upnp : NULL;
}

static enum port_mapping_by
current_by(const struct port_mapping *pm)
{
	if (pm->has_client && router_mapping(&pm->client) != NULL)
		return pm->client.protocol == PORTMAP_PCP ? PORT_MAPPING_PCP : PORT_MAPPING_NATPMP;
	return pm->by_upnp.addr.family != ADDR_NONE ? PORT_MAPPING_UPNP : PORT_MAPPING_NONE;
}

static void
tell_protocols(struct port_mapping *pm)
{
	enum tri pmp = pm->has_client ? pm->client.pmp : TRI_UNKNOWN;
	enum tri pcp = pm->has_client ? pm->client.pcp : TRI_UNKNOWN;

	if (pm->has_client && pm->client.state == ROUTER_PROBING)
		return; // what was known is not worse than nothing
	if (pm->told_upnp == pm->upnp_seen && pm->told_pmp == pmp && pm->told_pcp == pcp)
		return;
	pm->told_upnp = pm->upnp_seen;
	pm->told_pmp = pmp;
	pm->told_pcp = pcp;
	if (pm->calls.protocols != NULL)
		pm->calls.protocols(pm->calls.context, pm->upnp_seen, pmp, pcp);
}

static void
tell(struct port_mapping *pm)
{
	static const char *const names[] = { "none", "NAT-PMP", "PCP", "UPnP" };
	static const struct endpoint none;
	const struct endpoint *now = current(pm);
	char text[ADDR_TEXT_LEN];

	tell_protocols(pm);
	if (endpoint_equal(now != NULL ? now : &none, &pm->told))
		return;
	pm->told = now != NULL ? *now : none;
	if (now != NULL)
		log_info("port mapped by=%s external=%s", names[current_by(pm)],
			endpoint_format(now, text));
	else
		log_info("port is not mapped any more");
	pm->calls.mapped(pm->calls.context, now != NULL ? &pm->told : NULL);
}

/* --- the router --- */

static void
on_send(void *context, const uint8_t *data, size_t len)
{
	struct port_mapping *pm = context;

	if (pm->sock >= 0)
		(void)send(pm->sock, data, len, MSG_DONTWAIT | MSG_NOSIGNAL); // tries are repeated
}

static void
on_random(void *context, void *out, size_t len)
{
	(void)context;
	random_bytes(out, len);
}

// The same in the next process: a router gives a PCP mapping to nobody else for its life.
static void
fill_nonce(struct port_mapping *pm)
{
	static const char label[] = "sluice pcp nonce";
	uint8_t hash[HASH_LEN];

	hmac_blake2s(hash, pm->secret, sizeof(pm->secret), label, sizeof(label));
	memcpy(pm->client.request.nonce, hash, PCP_NONCE_LEN);
}

static void
close_socket(struct port_mapping *pm)
{
	if (pm->sock >= 0)
		close(pm->sock);
	pm->sock = -1;
}

// A socket that hears the router only, and which of our addresses leads there.
static int
connect_socket(struct port_mapping *pm, int sock)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORTMAP_PORT) }, self;
	struct epoll_event event = { .events = EPOLLIN };
	socklen_t len = sizeof(self);

	if (pm->mark != 0) // where it may not be set, routes of our own do not exist either
		(void)setsockopt(sock, SOL_SOCKET, SO_MARK, &pm->mark, sizeof(pm->mark));
	memcpy(&to.sin_addr, pm->router.bytes, 4);
	if (connect(sock, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
		getsockname(sock, (struct sockaddr *)&self, &len) < 0 ||
		epoll_ctl(pm->epoll, EPOLL_CTL_ADD, sock, &event) < 0)
		return -errno;
	pm->self = (struct addr){ .family = ADDR_V4 };
	memcpy(pm->self.bytes, &self.sin_addr, 4);
	return 0;
}

static int
open_socket(struct port_mapping *pm)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = sock >= 0 ? connect_socket(pm, sock) : -errno;

	if (err < 0 && sock >= 0)
		close(sock);
	if (err == 0)
		pm->sock = sock;
	return err;
}

static void
forget_upnp(struct port_mapping *pm)
{
	if (pm->awaits_upnp || pm->by_upnp.addr.family != ADDR_NONE)
		upnp_delete(pm->upnp);
	pm->awaits_upnp = false;
	pm->by_upnp = (struct endpoint){};
	pm->upnp_renew = (struct mono){};
	pm->upnp_seen = TRI_UNKNOWN;
}

// What another router gave, or gave to another address of ours, does not lead here any more.
static void
forget(struct port_mapping *pm)
{
	forget_upnp(pm);
	pm->has_client = false;
	pm->client = (struct router_client){};
}

static void
begin(struct port_mapping *pm, struct mono now)
{
	const struct router_client_calls calls = {
		.send = on_send, .random = on_random, .context = pm
	};
	struct addr router = pm->router, self = pm->self;

	pm->begin = (struct mono){};
	close_socket(pm);
	if (!default_router_find(&pm->router) || open_socket(pm) < 0) {
		forget(pm);
		pm->router = (struct addr){};
		pm->begin = mono_add_ns(now, NO_ROUTER_NS);
		return;
	}
	if (!addr_equal(&router, &pm->router) || !addr_equal(&self, &pm->self))
		forget(pm);
	if (pm->has_client && router_mapping(&pm->client) != NULL) {
		router_renew(&pm->client, now); // it stays while the router confirms it
		return;
	}
	if (!mono_is_never(pm->upnp_renew))
		pm->upnp_renew = now;
	router_start(&pm->client, &calls, &pm->self, pm->local_port, now);
	if (pm->has_secret)
		fill_nonce(pm);
	pm->has_client = true;
}

static void
receive(struct port_mapping *pm, struct mono now)
{
	uint8_t data[PCP_MAX_LEN];

	for (unsigned i = 0; i < MAX_DATAGRAMS && pm->sock >= 0; i++) {
		ssize_t n = recv(pm->sock, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n >= 0) // an error is that of a datagram sent: the router does not listen
			router_receive(&pm->client, data, (size_t)n, now);
	}
}

/* --- UPnP, where the router speaks nothing better --- */

static void
ask_upnp(struct port_mapping *pm)
{
	struct upnp_question q = { .router = pm->router,
		.self = pm->self,
		.local_port = pm->local_port,
		.external_port = pm->by_upnp.port };

	if (upnp_ask(pm->upnp, &q))
		pm->awaits_upnp = true;
}

static void
take_upnp(struct port_mapping *pm, const struct upnp_answer *a, struct mono now)
{
	int64_t life = (int64_t)a->lifetime_s * NS_PER_S;

	pm->awaits_upnp = false;
	pm->upnp_seen = a->has_device ? TRI_TRUE : TRI_FALSE;
	pm->upnp_renew = pm->begin = (struct mono){};
	if (!a->is_mapped) {
		pm->by_upnp = (struct endpoint){};
		pm->begin = mono_add_ns(now, AGAIN_NS);
		return;
	}
	pm->by_upnp = a->external;
	if (life == 0)
		life = 2 * UPNP_FOREVER_NS;
	pm->upnp_renew =
		mono_add_ns(now, life / 2 > UPNP_MIN_RENEW_NS ? life / 2 : UPNP_MIN_RENEW_NS);
}

static bool
has_better(const struct port_mapping *pm)
{
	return pm->has_client && router_mapping(&pm->client) != NULL;
}

static bool
wants_upnp(const struct port_mapping *pm)
{
	return !pm->awaits_upnp && pm->has_client && pm->client.state == ROUTER_FAILED;
}

static void
step_upnp(struct port_mapping *pm, struct mono now)
{
	struct upnp_answer answer;

	if (upnp_take_answer(pm->upnp, &answer) && pm->awaits_upnp)
		take_upnp(pm, &answer, now);
	if (pm->by_upnp.addr.family != ADDR_NONE && has_better(pm))
		forget_upnp(pm);
	if (!wants_upnp(pm))
		return;
	if (!mono_is_never(pm->upnp_renew) ? mono_diff_ns(now, pm->upnp_renew) >= 0
					   : mono_is_never(pm->begin)) {
		// The thread may still be at an older question, of a router that is gone.
		pm->begin = mono_add_ns(now, AGAIN_NS);
		pm->upnp_renew = (struct mono){};
		ask_upnp(pm);
	}
}

/* --- begin and end --- */

int
port_mapping_create(const struct port_mapping_calls *calls,
	uint32_t mark,
	struct port_mapping **ret_port_mapping)
{
	struct port_mapping *pm = calloc(1, sizeof(*pm));
	struct epoll_event event = { .events = EPOLLIN };
	int err;

	if (pm == NULL)
		return -ENOMEM;
	pm->calls = *calls;
	pm->mark = mark;
	pm->sock = -1;
	pm->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = pm->epoll >= 0 ? upnp_create(&pm->upnp) : -errno;
	if (err == 0 && epoll_ctl(pm->epoll, EPOLL_CTL_ADD, upnp_fd(pm->upnp), &event) < 0)
		err = -errno;
	if (err < 0) {
		port_mapping_destroy(pm);
		return err;
	}
	*ret_port_mapping = pm;
	return 0;
}

// Gives back what we have, and forgets everything but what was told.
static void
give_back(struct port_mapping *pm)
{
	if (pm->has_client)
		router_stop(&pm->client);
	forget(pm);
	close_socket(pm);
	pm->is_started = false;
	pm->begin = (struct mono){};
	pm->router = pm->self = (struct addr){};
}

void
port_mapping_destroy(struct port_mapping *pm)
{
	if (pm == NULL)
		return;
	give_back(pm);
	upnp_destroy(pm->upnp);
	secret_wipe(pm->secret, sizeof(pm->secret));
	if (pm->epoll >= 0)
		close(pm->epoll);
	free(pm);
}

void
port_mapping_set_secret(struct port_mapping *pm,
	const uint8_t secret[static PORT_MAPPING_SECRET_LEN])
{
	memcpy(pm->secret, secret, sizeof(pm->secret));
	pm->has_secret = true;
}

int
port_mapping_fd(const struct port_mapping *pm)
{
	return pm->epoll;
}

void
port_mapping_start(struct port_mapping *pm, uint16_t local_port, struct mono now)
{
	if (pm->is_started && pm->local_port == local_port)
		return;
	port_mapping_stop(pm);
	pm->is_started = true;
	pm->local_port = local_port;
	pm->begin = now;
}

void
port_mapping_stop(struct port_mapping *pm)
{
	give_back(pm);
	tell(pm);
}

void
port_mapping_network_changed(struct port_mapping *pm, struct mono now)
{
	if (pm->is_started && (mono_is_never(pm->begin) || pm->begin.ns > now.ns + SETTLE_NS))
		pm->begin = mono_add_ns(now, SETTLE_NS);
}

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (!mono_is_never(candidate) && (mono_is_never(*at) || candidate.ns < at->ns))
		*at = candidate;
}

struct mono
port_mapping_dispatch(struct port_mapping *pm, struct mono now)
{
	struct mono next = {};

	if (!pm->is_started)
		return next;
	if (!mono_is_never(pm->begin) && mono_diff_ns(now, pm->begin) >= 0)
		begin(pm, now);
	if (pm->has_client) {
		receive(pm, now);
		next = router_tick(&pm->client, now);
	}
	step_upnp(pm, now);
	if (pm->has_client && pm->client.state == ROUTER_FAILED && mono_is_never(pm->begin) &&
		mono_is_never(pm->upnp_renew))
		pm->begin = mono_add_ns(now, AGAIN_NS);
	tell(pm);
	take_earlier(&next, pm->begin);
	if (wants_upnp(pm))
		take_earlier(&next, pm->upnp_renew);
	return next;
}

void
port_mapping_facts(const struct port_mapping *pm, struct port_mapping_facts *ret_facts)
{
	const struct endpoint *mapped = current(pm);

	*ret_facts = (struct port_mapping_facts){ .upnp = pm->upnp_seen,
		.pmp = pm->has_client ? pm->client.pmp : TRI_UNKNOWN,
		.pcp = pm->has_client ? pm->client.pcp : TRI_UNKNOWN,
		.by = current_by(pm),
		.gateway = pm->router };
	if (mapped != NULL)
		ret_facts->external = *mapped;
	if (ret_facts->by == PORT_MAPPING_UPNP)
		ret_facts->renew_at = pm->upnp_renew;
	else if (ret_facts->by != PORT_MAPPING_NONE)
		ret_facts->renew_at = pm->client.renew_at;
}
