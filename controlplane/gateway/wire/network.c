/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The network around us, towards the data plane: what it is like, which ports are to be opened,
 * what is missed.
 */

#define LOG_TAG "wire"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/publish/shm_address.h"
#include "controlplane/gateway/wire/wire_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define MISSED_PAUSE_NS (10 * NS_PER_MS) /* between two letters about missed neighbours */
#define ASKED_AGAIN_NS  (100 * NS_PER_MS)
#define GIVEN_UP_NS     (10 * NS_PER_S) /* for the host to know what the data plane knows */

int
wire_init_network(struct wire *w)
{
	net_publisher_init(&w->net, &w->dp);
	neighbours_init(&w->neighbours, &w->dp);
	ports_init(&w->ports);
	w->missed = calloc(WIRE_MAX_MISSED, sizeof(w->missed[0]));
	return w->missed != NULL ? 0 : -ENOMEM;
}

void
wire_fini_network(struct wire *w)
{
	net_publisher_fini(&w->net);
	neighbours_fini(&w->neighbours);
	free(w->missed);
}

/* --- missed neighbours --- */

// Asked for again by the data plane: what does not fit may be lost.
static void
miss(struct wire *w, const struct network_neighbour *neighbour)
{
	for (size_t i = 0; i < w->n_missed; i++)
		if (w->missed[i].ifindex == neighbour->ifindex &&
			addr_equal(&w->missed[i].addr, &neighbour->addr))
			return;
	if (w->n_missed < WIRE_MAX_MISSED)
		w->missed[w->n_missed++] = *neighbour;
}

static bool
may_send_missed(const struct wire *w)
{
	return w->n_missed > 0 && (mono_is_never(w->missed_sent) ||
					  mono_diff_ns(w->now, w->missed_sent) >= MISSED_PAUSE_NS);
}

static void
send_missed(struct wire *w)
{
	struct letter *letter = letter_create(LETTER_WANT_NEIGHBOURS);

	letter->neighbours = calloc(w->n_missed, sizeof(letter->neighbours[0]));
	if (letter->neighbours == NULL) {
		letter_destroy(letter);
		return;
	}
	memcpy(letter->neighbours, w->missed, w->n_missed * sizeof(letter->neighbours[0]));
	letter->n = w->n_missed;
	w->n_missed = 0;
	w->missed_sent = w->now;
	mailbox_post(w->outbox, letter);
}

// What the data plane knows of before us stays in use; the host shall look after it from now on.
static void
ask_for_unknown(struct wire *w)
{
	struct network_neighbour unknown[WIRE_MAX_MISSED];
	size_t n = neighbours_unknown(&w->neighbours, unknown, WIRE_MAX_MISSED);

	for (size_t i = 0; i < n; i++)
		miss(w, &unknown[i]);
	w->unknown_asked = w->now;
	if (n == 0)
		w->unknown_since = (struct mono){};
}

static void
give_up_unknown(struct wire *w)
{
	struct network_neighbour unknown[WIRE_MAX_MISSED];
	size_t n = neighbours_unknown(&w->neighbours, unknown, WIRE_MAX_MISSED);

	for (size_t i = 0; i < n; i++) {
		unknown[i].state = SHM_NEIGHBOUR_NONE;
		neighbours_set(&w->neighbours, &unknown[i]);
	}
	if (n < WIRE_MAX_MISSED)
		w->unknown_since = (struct mono){}; // else the rest in the next round
}

// There may be more than one letter holds; those that the host has answered for are known.
static void
look_for_unknown(struct wire *w)
{
	if (mono_diff_ns(w->now, w->unknown_since) >= GIVEN_UP_NS)
		give_up_unknown(w);
	else if (w->n_missed == 0 && mono_diff_ns(w->now, w->unknown_asked) >= ASKED_AGAIN_NS)
		ask_for_unknown(w);
}

static void
begin_unknown(struct wire *w)
{
	if (!w->dp.attached || !w->have_network)
		return;
	w->unknown_since = w->now;
	ask_for_unknown(w);
}

/* --- letters --- */

void
wire_on_network(struct wire *w, const struct letter *letter)
{
	bool is_first = !w->have_network;
	struct net_block *block;
	int err = net_block_create(letter->network, &block);

	if (err < 0) {
		log_err("out of memory, the data plane keeps the network that it has");
		return;
	}
	net_publisher_wish(&w->net, block);
	ports_wish(&w->ports, letter->network, w->now);
	w->have_network = true;
	if (is_first)
		begin_unknown(w);
}

void
wire_on_neighbours(struct wire *w, const struct letter *letter)
{
	for (size_t i = 0; i < letter->n; i++)
		neighbours_set(&w->neighbours, &letter->neighbours[i]);
}

static void
say_capture(struct wire *w)
{
	struct shm_command c = { .kind = SHM_CMD_CAPTURE, .capture = w->capture };

	dataplane_push(&w->dp, &c);
}

void
wire_on_capture(struct wire *w, const struct letter *letter)
{
	w->capture = letter->capture;
	say_capture(w);
}

/* --- the data plane comes and goes --- */

static void
send_regions(struct wire *w)
{
	struct letter *letter = letter_create(LETTER_REGIONS);

	letter->flows_fd = w->attach.flows;
	letter->capture_fd = w->attach.capture;
	w->attach.flows = w->attach.capture = -1;
	mailbox_post(w->outbox, letter);
}

void
wire_network_again(struct wire *w)
{
	net_publisher_start_over(&w->net);
	neighbours_start_over(&w->neighbours);
	say_capture(w);
}

void
wire_network_joined(struct wire *w)
{
	send_regions(w);
	wire_network_again(w);
	ports_joined(&w->ports, w->dp.state, w->now);
	begin_unknown(w);
}

void
wire_network_lost(struct wire *w)
{
	net_publisher_start_over(&w->net);
	ports_detached(&w->ports);
	w->unknown_since = (struct mono){};
}

/* --- what it says --- */

static void
on_answer(struct wire *w, const struct shm_event *event)
{
	if (!net_publisher_on_answer(&w->net, event->generation, event->value))
		return;
	if (event->value != 0)
		log_err("the data plane refused the network as it is, the one before stays in "
			"force "
			"reason=%u",
			event->value);
}

static void
on_want(struct wire *w, const struct shm_event *event)
{
	struct network_neighbour missed = { .ifindex = event->path.ifindex,
		.addr = addr_of_shm(&event->path.remote, event->path.family) };

	if (missed.ifindex != 0 && missed.addr.family != ADDR_NONE)
		miss(w, &missed);
}

bool
wire_network_event(struct wire *w, const struct shm_event *event)
{
	switch (event->kind) {
	case SHM_EV_NET:
		on_answer(w, event);
		return true;
	case SHM_EV_WANT_NEIGHBOUR:
		on_want(w, event);
		return true;
	case SHM_EV_PORTS:
		ports_look(&w->ports, w->dp.state, w->now);
		return true;
	default:
		return false;
	}
}

void
wire_port_answered(struct wire *w)
{
	ports_answered(&w->ports, &w->attach.answer, w->now);
}

/* --- saying, asking --- */

static void
ask_for_ports(struct wire *w)
{
	struct shm_attach message;
	int err = 0;

	// One that is not sent counts as one that is not answered: it is asked for again.
	while (err == 0 && w->dp.attached && ports_next(&w->ports, w->now, &message))
		err = attach_send(&w->attach, &message);
	if (err < 0)
		log_info("the keeper was not asked for a port: %s", err_str(err));
}

static void
send_ports(struct wire *w)
{
	struct letter *letter = letter_create(LETTER_PORTS);

	letter->ports = calloc(w->ports.n + 1, sizeof(letter->ports[0]));
	if (letter->ports == NULL) {
		letter_destroy(letter);
		return;
	}
	for (; letter->n < w->ports.n; letter->n++)
		letter->ports[letter->n] = w->ports.rows[letter->n].view;
	w->ports.is_changed = false;
	mailbox_post(w->outbox, letter);
}

void
wire_network_pump(struct wire *w)
{
	if (!mono_is_never(w->unknown_since))
		look_for_unknown(w);
	net_publisher_pump(&w->net);
	neighbours_pump(&w->neighbours);
	ask_for_ports(w);
	if (may_send_missed(w))
		send_missed(w);
	if (w->ports.is_changed)
		send_ports(w);
}

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (!mono_is_never(candidate) && (mono_is_never(*at) || candidate.ns < at->ns))
		*at = candidate;
}

struct mono
wire_network_due(const struct wire *w)
{
	struct mono at = w->dp.attached ? ports_due(&w->ports) : (struct mono){};

	if (net_publisher_is_talking(&w->net) || neighbours_is_talking(&w->neighbours))
		take_earlier(&at, mono_add_ns(w->now, 2 * NS_PER_MS));
	if (w->n_missed > 0)
		take_earlier(&at, mono_add_ns(w->missed_sent, MISSED_PAUSE_NS));
	if (!mono_is_never(w->unknown_since))
		take_earlier(&at, mono_add_ns(w->unknown_asked, ASKED_AGAIN_NS));
	return at;
}
