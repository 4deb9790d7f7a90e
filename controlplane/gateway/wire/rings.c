/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What comes from the data plane and from the UDP sockets.
 */

#define LOG_TAG "wire"

#include <sys/epoll.h>

#include "controlplane/gateway/publish/shm_address.h"
#include "controlplane/gateway/udp.h"
#include "controlplane/gateway/wire/wire_state.h"
#include "lib/base/log.h"

#define EVENTS_PER_ROUND  1024
#define BATCHES_PER_ROUND 4 /* of datagrams, per socket */

static void
on_event(struct wire *w, const struct shm_event *event)
{
	switch (event->kind) {
	case SHM_EV_APPLIED:
		publisher_on_applied(&w->publisher, event->generation);
		break;
	case SHM_EV_REFUSED:
		publisher_on_refused(&w->publisher, event->generation, event->value);
		break;
	case SHM_EV_RESYNC:
		log_notice("a new forwarder runs, saying everything again");
		publisher_start_over(&w->publisher);
		w->everything_applied = false;
		wire_publish(w);
		wire_network_again(w);
		break;
	default:
		if (!wire_network_event(w, event))
			engine_event(&w->engine, event, w->now);
		break;
	}
}

void
wire_read_events(struct wire *w)
{
	struct shm_event event;

	for (unsigned i = 0; i < EVENTS_PER_ROUND && w->dp.attached; i++) {
		if (!shm_ring_peek(&w->dp.events, &event))
			return;
		on_event(w, &event);
		shm_ring_advance(&w->dp.events);
	}
}

static void
take_datagram(void *context, const struct datagram *d)
{
	struct wire *w = context;
	struct traversal_source source = { .remote = d->remote, .local = d->local };

	if (!traversal_datagram(w->traversal, &source, d->data, d->len, w->now))
		engine_datagram(&w->engine, d, w->now);
}

static void
take_punted(struct wire *w, struct shm_packet *packet)
{
	struct datagram d = { .data = packet->data, .len = packet->len };

	if (packet->len > SHM_PACKET_LEN)
		return;
	if (packet->kind == SHM_PKT_RELAY) {
		traversal_relay_packet(
			w->traversal, packet->peer, packet->data, packet->len, w->now);
		return;
	}
	if (packet->kind == SHM_PKT_TSMP) {
		wire_take_tsmp(w, packet->data, packet->len);
		return;
	}
	if (packet->kind != SHM_PKT_WIRE || !endpoint_of_shm(&packet->path, &d.remote, &d.local))
		return;
	// Data that the data plane punted would come back for ever.
	if (wg_message_type(d.data, d.len) != WG_MESSAGE_TRANSPORT_DATA)
		take_datagram(w, &d);
}

void
wire_read_punt(struct wire *w)
{
	struct shm_packet packet;

	for (unsigned i = 0; i < SHM_N_PACKETS && w->dp.attached; i++) {
		if (!shm_ring_peek(&w->dp.punt, &packet))
			return;
		shm_ring_advance(&w->dp.punt);
		take_punted(w, &packet);
	}
}

void
wire_read_udp(struct wire *w, int which, uint32_t events)
{
	int sock = w->attach.wire[which];

	if (sock < 0)
		return;
	if ((events & EPOLLERR) != 0)
		udp_drain_errors(sock);
	for (int i = 0; i < BATCHES_PER_ROUND; i++)
		if (udp_receive(w->udp, sock, which == 0 ? ADDR_V4 : ADDR_V6, take_datagram, w) <
			UDP_BATCH)
			return;
}
