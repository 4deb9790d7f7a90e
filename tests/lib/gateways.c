/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/gateways.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypto/aead.h"
#include "lib/wg/message.h"
#include "tests/lib/tap.h"

static struct in_memory *
create(void)
{
	const struct in_memory_config config = {
		.n_workers = 1, .n_frames = 1024, .is_shared = getenv("GATEWAYS_SHARED") != NULL
	};
	struct in_memory *m;

	if (in_memory_create(&config, &m) < 0)
		abort();
	in_memory_begin(m, true);
	return m;
}

static void
commit(struct in_memory *m)
{
	if (in_memory_commit(m) != 0)
		abort();
}

void
gateways_create(struct gateways *g, bool with_sessions)
{
	if (aead_init(NULL) < 0)
		abort();
	g->near = create();
	in_memory_settings(g->near, IN_MEMORY_MTU, "10.1.0.1", "fd01::1");
	in_memory_prefix(g->near, "10.1.0.0/16", SHM_TO_HOST);
	in_memory_prefix(g->near, "fd01::/16", SHM_TO_HOST);
	in_memory_peer(g->near, 0);
	in_memory_prefix(g->near, "10.2.0.0/16", 0);
	in_memory_prefix(g->near, "10.3.0.0/16", 0);
	in_memory_prefix(g->near, "fd02::/16", 0);
	in_memory_prefix(g->near, "fd03::/16", 0);
	commit(g->near);

	g->far = create();
	in_memory_settings(g->far, IN_MEMORY_MTU, "10.2.0.1", "fd02::1");
	in_memory_prefix(g->far, "10.2.0.0/16", SHM_TO_HOST);
	in_memory_prefix(g->far, "fd02::/16", SHM_TO_HOST);
	in_memory_peer(g->far, 0);
	in_memory_prefix(g->far, "10.1.0.0/16", 0);
	in_memory_prefix(g->far, "fd01::/16", 0);
	in_memory_peer(g->far, 1);
	in_memory_prefix(g->far, "10.3.0.0/16", 1);
	in_memory_prefix(g->far, "fd03::/16", 1);
	commit(g->far);

	g->third = create();
	in_memory_settings(g->third, IN_MEMORY_MTU, "10.3.0.1", "fd03::1");
	in_memory_prefix(g->third, "10.3.0.0/16", SHM_TO_HOST);
	in_memory_peer(g->third, 0);
	in_memory_prefix(g->third, "10.1.0.0/16", 0);
	in_memory_prefix(g->third, "10.2.0.0/16", 0);
	in_memory_prefix(g->third, "fd01::/16", 0);
	in_memory_prefix(g->third, "fd02::/16", 0);
	commit(g->third);

	in_memory_path(g->near, 0, "192.0.2.2:51820", NULL);
	in_memory_path(g->far, 0, IN_MEMORY_REMOTE, NULL);
	in_memory_path(g->far, 1, "[2001:db8::3]:51820", NULL);
	in_memory_path(g->third, 0, "[2001:db8::2]:51820", NULL);
	if (with_sessions) {
		gateways_connect_far(g);
		gateways_connect_third(g);
	}
}

static void
drain(struct in_memory *m)
{
	struct shm_event event;

	while (in_memory_event(m, &event))
		;
}

// An empty message confirms the session to its responder, as a keepalive does in life.
static void
confirm(struct in_memory *initiator, struct in_memory *responder)
{
	struct shm_command keepalive = { .kind = SHM_CMD_KEEPALIVE };
	struct message msg;

	in_memory_command(initiator, &keepalive);
	in_memory_round(initiator);
	if (!gateway_take_wire(initiator, &msg))
		abort();
	gateway_receive(responder, &msg);
	drain(initiator);
	drain(responder);
}

void
gateways_connect_far(struct gateways *g)
{
	const struct in_memory_session near = {
		.receiver_index = NEAR_INDEX,
		.sender_index = FAR_INDEX,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 0xfa,
		.key_send = 0xae,
	};
	const struct in_memory_session far = {
		.receiver_index = FAR_INDEX,
		.sender_index = NEAR_INDEX,
		.role = SHM_ROLE_RESPONDER,
		.key_receive = 0xae,
		.key_send = 0xfa,
	};

	in_memory_install(g->near, &near);
	in_memory_install(g->far, &far);
	confirm(g->near, g->far);
}

void
gateways_connect_third(struct gateways *g)
{
	const struct in_memory_session far = {
		.peer = 1,
		.receiver_index = FAR_THIRD_INDEX,
		.sender_index = THIRD_INDEX,
		.role = SHM_ROLE_RESPONDER,
		.key_receive = 0x3d,
		.key_send = 0xd3,
	};
	const struct in_memory_session third = {
		.receiver_index = THIRD_INDEX,
		.sender_index = FAR_THIRD_INDEX,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 0xd3,
		.key_send = 0x3d,
	};

	in_memory_install(g->far, &far);
	in_memory_install(g->third, &third);
	confirm(g->third, g->far);
}

static void
destroy(struct in_memory *m, const char *what)
{
	struct message rest;

	while (gateway_take_wire(m, &rest) || gateway_take_host(m, &rest))
		;
	tap_int((long long)in_memory_free_frames(m) + m->workers[0]->w.n_waiting,
		pool_frame_count(m->pool), what);
	in_memory_destroy(m);
}

void
gateways_destroy(struct gateways *g)
{
	destroy(g->near, "near has all its buffers again");
	destroy(g->far, "far has all its buffers again");
	destroy(g->third, "third has all its buffers again");
}

static bool
copy_out(struct in_memory *m, struct pkt *p, struct message *ret_msg)
{
	if (p == NULL)
		return false;
	if (p->len > sizeof(ret_msg->data))
		abort();
	ret_msg->len = p->len;
	ret_msg->ecn = p->outer_ecn;
	ret_msg->outer = *p->outer;
	memcpy(ret_msg->data, p->data, p->len);
	in_memory_put(m, p);
	return true;
}

bool
gateway_take_wire(struct in_memory *m, struct message *ret_msg)
{
	return copy_out(m, in_memory_take_wire(m, 0), ret_msg);
}

bool
gateway_take_host(struct in_memory *m, struct message *ret_msg)
{
	return copy_out(m, in_memory_take_host(m, 0), ret_msg);
}

bool
gateway_seal(struct in_memory *m, const void *inner, size_t len, struct message *ret_msg)
{
	if (!in_memory_push_host(m, 0, inner, len))
		abort();
	in_memory_round(m);
	return gateway_take_wire(m, ret_msg);
}

void
gateway_receive(struct in_memory *m, const struct message *msg)
{
	if (!in_memory_push_wire(m, 0, msg->data, msg->len, NULL, msg->ecn))
		abort();
	in_memory_round(m);
}

bool
gateway_open(struct in_memory *m, const struct message *msg, struct message *ret_inner)
{
	gateway_receive(m, msg);
	return gateway_take_host(m, ret_inner);
}

unsigned
gateway_carry(struct in_memory *from, struct in_memory *to)
{
	struct message msg;
	unsigned n = 0;

	for (; gateway_take_wire(from, &msg); n++)
		if (!in_memory_push_wire(to, 0, msg.data, msg.len, NULL, msg.ecn))
			abort();
	for (unsigned left = n; left > 0;)
		left -= in_memory_round(to);
	return n;
}

void
gateway_seal_raw(struct in_memory *far,
	uint64_t counter,
	const void *plaintext,
	size_t len,
	struct message *ret_msg)
{
	struct aead_job job = {
		.data = ret_msg->data + WG_TRANSPORT_HEADER_LEN,
		.key = far->keys->rx[FAR_SLOT].key,
		.counter = counter,
		.len = (uint32_t)len,
	};

	wg_transport_header_write(ret_msg->data, FAR_INDEX, counter);
	if (len > 0)
		memcpy(job.data, plaintext, len);
	aead_seal(&job, 1);
	ret_msg->len = WG_TRANSPORT_HEADER_LEN + len + WG_TAG_LEN;
	ret_msg->ecn = 0;
}
