/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/clear_end.h"

#include <stdlib.h>

#include "bench/harness/run.h"
#include "bench/tunnel/line_open.h"
#include "bench/tunnel/tunnel_end.h"

struct clear_end {
	struct line *rx, *tx[CLEAR_LANES_MAX];
	uint32_t n_lanes;
	struct endpoint *to;
};

static int
open_rx(struct clear_end *e, const struct clear_config *c)
{
	const struct line_socket_config config = {
		.netns = c->netns,
		.local = { .addr = c->local, .port = c->port },
		.has_no_offload = c->has_no_offload,
		.interface = c->interface,
	};

	if (c->rx != NULL) {
		e->rx = c->rx;
		return 0;
	}
	return c->receives ? line_open(&config, &e->rx) : 0;
}

static int
open_tx(struct clear_end *e, const struct clear_config *c)
{
	const struct line_socket_config config = {
		.netns = c->netns,
		.local = { .addr = c->local },
		.has_no_offload = c->has_no_offload,
		.interface = c->interface,
		.towards = c->to.addr,
	};

	if (!c->sends)
		return 0;
	e->n_lanes = c->tx != NULL ? 1 : c->n_lanes;
	if (c->tx != NULL) {
		e->tx[0] = c->tx;
		return 0;
	}
	for (uint32_t i = 0; i < e->n_lanes; i++) {
		int err = line_open(&config, &e->tx[i]);

		if (err < 0)
			return err;
	}
	return 0;
}

static int
make_places(struct clear_end *e, const struct clear_config *c)
{
	e->to = calloc(c->n_to > 0 ? c->n_to : 1, sizeof(*e->to));
	if (e->to == NULL) {
		bench_error("not enough memory", "ask for fewer --peers", "cannot open the end");
		return -1;
	}
	for (uint32_t n = 0; n < c->n_to; n++)
		e->to[n] = (struct endpoint){ .addr = tunnel_address(&c->to.addr, n),
			.port = c->to.port };
	return 0;
}

struct clear_end *
clear_end_open(const struct clear_config *config)
{
	struct clear_end *e = calloc(1, sizeof(*e));

	if (e == NULL || make_places(e, config) < 0 || open_rx(e, config) < 0 ||
		open_tx(e, config) < 0) {
		clear_end_close(e);
		return NULL;
	}
	return e;
}

void
clear_end_close(struct clear_end *e)
{
	if (e == NULL)
		return;
	line_close(e->rx);
	for (uint32_t i = 0; i < e->n_lanes; i++)
		line_close(e->tx[i]);
	free(e->to);
	free(e);
}

const struct endpoint *
clear_end_to(const struct clear_end *e, uint32_t n)
{
	return &e->to[n];
}

struct line *
clear_end_rx(struct clear_end *e)
{
	return e->rx;
}

struct line *
clear_end_tx(struct clear_end *e, uint32_t lane)
{
	return e->tx[lane];
}

uint32_t
clear_end_lanes(const struct clear_end *e)
{
	return e->n_lanes;
}

static void
add_line(const struct line *l, struct line_counters *sum)
{
	struct line_counters c;

	if (l == NULL)
		return;
	line_counters(l, &c);
	sum->dropped += c.dropped;
	sum->blocked += c.blocked;
	sum->refused += c.refused;
	if (c.last_refusal != 0)
		sum->last_refusal = c.last_refusal;
	sum->datagrams_sent += c.datagrams_sent;
	sum->datagrams_received += c.datagrams_received;
	sum->calls_sent += c.calls_sent;
	sum->calls_received += c.calls_received;
}

void
clear_end_counters(const struct clear_end *e, struct line_counters *ret)
{
	*ret = (struct line_counters){};
	add_line(e->rx, ret);
	for (uint32_t i = 0; i < e->n_lanes; i++)
		add_line(e->tx[i], ret);
}
