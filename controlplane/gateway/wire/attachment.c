/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Joining the data plane, losing it, and which descriptors are watched meanwhile.
 */

#define LOG_TAG "wire"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "controlplane/gateway/udp.h"
#include "controlplane/gateway/wire/wire_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

static void
watch(struct wire *w, int fd, enum wire_source source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	if (fd >= 0 && epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST)
		log_err("a descriptor cannot be watched source=%d: %s", source, err_str(-errno));
}

int
wire_open_epoll(struct wire *w)
{
	if (w->epoll >= 0)
		close(w->epoll);
	w->wire_open = false;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -errno;
	watch(w, w->inbox->bell, WIRE_SOURCE_INBOX);
	watch(w, traversal_fd(w->traversal), WIRE_SOURCE_TRAVERSAL);
	return 0;
}

static void
joined(struct wire *w)
{
	uint32_t n_peers, n_prefixes;
	uint64_t generation = 0;
	size_t n_lost;

	watch(w, w->dp.bell_cp, WIRE_SOURCE_BELL);
	w->adopted = dataplane_applied(&w->dp, &generation, &n_peers, &n_prefixes) != NULL &&
	             generation != 0;
	udp_prepare(w->attach.wire[0], ADDR_V4);
	if (w->attach.wire[1] >= 0)
		udp_prepare(w->attach.wire[1], ADDR_V6);
	publisher_start_over(&w->publisher);
	w->everything_applied = false;
	n_lost = engine_attached(&w->engine, w->now);
	log_notice("attached to the data plane port=%u sessions=%u epoch=%u", w->dp.listen_port,
		w->engine.slots.count, w->dp.epoch);
	if (n_lost > 0)
		log_notice("the data plane is new, sessions are lost and made anew sessions=%zu",
			n_lost);
	wire_take_desired(w);
	wire_network_joined(w);
	traversal_network_changed(w->traversal, w->now);
}

void
wire_open_udp(struct wire *w)
{
	if (w->wire_open || !w->dp.attached || w->desired == NULL ||
		(w->publisher.applied == NULL && !w->adopted))
		return;
	w->wire_open = true;
	watch(w, w->attach.wire[0], WIRE_SOURCE_UDP4);
	watch(w, w->attach.wire[1], WIRE_SOURCE_UDP6);
}

static void
lost(struct wire *w, const char *why)
{
	log_notice("the connection to the data plane ended, attaching anew: %s", why);
	publisher_detached(&w->publisher);
	wire_network_lost(w);
	w->everything_applied = false;
	if (wire_open_epoll(w) < 0) {
		log_err("no descriptor is left to wait with: %s", err_str(-errno));
		abort(); // whoever started us starts us again
	}
}

void
wire_read_keeper(struct wire *w)
{
	if (w->attach.sock < 0)
		return;
	switch (attach_read(&w->attach, &w->dp, w->now)) {
	case ATTACH_JOINED:
		joined(w);
		break;
	case ATTACH_ANSWERED:
		wire_port_answered(w);
		break;
	case ATTACH_LOST:
		lost(w, "the keeper closed it");
		break;
	case ATTACH_NOTHING:
		break;
	}
}

void
wire_keep_attached(struct wire *w)
{
	if (dataplane_is_violated(&w->dp)) {
		attach_end(&w->attach, &w->dp, w->now);
		lost(w, "a ring holds what cannot be");
	}
	if (w->attach.sock >= 0 || mono_diff_ns(w->now, w->attach.retry_at) < 0)
		return;
	attach_connect(&w->attach, w->now);
	watch(w, w->attach.sock, WIRE_SOURCE_KEEPER);
}
