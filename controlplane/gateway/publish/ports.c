/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/ports.h"

#include <stdio.h>
#include <string.h>

#include "lib/shm/channel.h"

#define DRIVER "af_xdp" /* of rows of state.ports that are such ports */

void
ports_init(struct ports *p)
{
	*p = (struct ports){};
}

// Text that another process writes: it may lack its end and hold anything.
static void
copy_text(char *dst, size_t size, const char *src, size_t len)
{
	size_t i;

	for (i = 0; i < len && i + 1 < size && src[i] != '\0'; i++)
		dst[i] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
	dst[i] = '\0';
}

static struct ports_row *
find(struct ports *p, uint32_t ifindex)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->rows[i].view.ifindex == ifindex)
			return &p->rows[i];
	return NULL;
}

static struct ports_row *
find_or_add(struct ports *p, uint32_t ifindex)
{
	struct ports_row *row = find(p, ifindex);

	if (row != NULL || ifindex == 0 || p->n == PORTS_MAX)
		return row;
	row = &p->rows[p->n++];
	*row = (struct ports_row){ .view.ifindex = ifindex };
	p->is_changed = true;
	return row;
}

static void
ask_at(struct ports_row *row, struct mono when)
{
	row->is_asked = false;
	row->due = when;
}

/* --- what is wanted --- */

static void
wish_one(struct ports *p, const struct network_port *from, struct mono now)
{
	struct ports_row *row = find_or_add(p, from->ifindex);
	bool is_up = from->up && from->carrier;

	if (row == NULL)
		return;
	copy_text(row->view.name, sizeof(row->view.name), from->name, sizeof(from->name));
	// A link that has come up may have been the reason.
	if (!row->view.is_wanted || (is_up && !row->was_up && !row->view.is_open)) {
		row->pause_ns = 0;
		if (!row->is_asked)
			ask_at(row, now);
	}
	row->was_up = is_up;
	p->is_changed |= !row->view.is_wanted;
	row->view.is_wanted = true;
}

static const struct network_port *
find_wanted(const struct network *network, uint32_t ifindex)
{
	for (size_t i = 0; i < network->n_ports; i++)
		if (network->ports[i].ifindex == ifindex && network->ports[i].is_wanted)
			return &network->ports[i];
	return NULL;
}

// Nobody wants it and it is not open: there is nothing to say of it.
static void
drop_idle(struct ports *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct ports_row *row = &p->rows[i];

		if (row->view.is_wanted || row->view.is_open || row->is_asked)
			p->rows[kept++] = *row;
	}
	p->is_changed |= kept != p->n;
	p->n = kept;
}

void
ports_wish(struct ports *p, const struct network *network, struct mono now)
{
	p->has_wish = true;
	for (size_t i = 0; i < p->n; i++) {
		struct ports_row *row = &p->rows[i];

		if (find_wanted(network, row->view.ifindex) != NULL)
			continue;
		p->is_changed |= row->view.is_wanted;
		row->view.is_wanted = false;
		row->pause_ns = 0;
		if (!row->is_asked)
			ask_at(row, row->view.is_open ? now : (struct mono){});
	}
	drop_idle(p);
	for (size_t i = 0; i < network->n_ports; i++)
		if (network->ports[i].is_wanted)
			wish_one(p, &network->ports[i], now);
}

/* --- what there is --- */

// Whether state.ports has it; a row that another process writes.
static bool
is_in_state(const struct shm_state *state, uint32_t ifindex, struct ports_view *view)
{
	for (size_t i = 0; i < SHM_MAX_PORTS; i++) {
		const struct shm_port_counters *row = &state->ports[i];

		if (row->ifindex != ifindex || strncmp(row->driver, DRIVER, sizeof(DRIVER)) != 0)
			continue;
		copy_text(view->name, sizeof(view->name), row->name, sizeof(row->name));
		copy_text(view->why, sizeof(view->why), row->note, sizeof(row->note));
		view->mode = row->mode <= SHM_PORT_GENERIC ? row->mode : SHM_PORT_GENERIC;
		return true;
	}
	return false;
}

void
ports_joined(struct ports *p, const struct shm_state *state, struct mono now)
{
	ports_detached(p);
	for (size_t i = 0; i < SHM_MAX_PORTS; i++) {
		uint32_t ifindex = state->ports[i].ifindex;
		struct ports_view view;
		struct ports_row *row;

		if (ifindex == 0 || !is_in_state(state, ifindex, &view))
			continue;
		row = find_or_add(p, ifindex);
		if (row == NULL)
			continue;
		view.ifindex = ifindex;
		view.is_open = true;
		view.is_wanted = row->view.is_wanted;
		row->view = view;
	}
	for (size_t i = 0; i < p->n; i++)
		ask_at(&p->rows[i], now); // also what is open: the keeper says why it is as it is
	p->is_changed = true;
}

void
ports_look(struct ports *p, const struct shm_state *state, struct mono now)
{
	for (size_t i = 0; i < p->n; i++) {
		struct ports_row *row = &p->rows[i];
		struct ports_view view;

		if (!row->view.is_open || row->is_asked ||
			is_in_state(state, row->view.ifindex, &view))
			continue;
		row->view.is_open = false;
		snprintf(row->view.why, sizeof(row->view.why), "the data plane has closed it");
		p->is_changed = true;
		ask_at(row, now);
	}
}

void
ports_detached(struct ports *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct ports_row *row = &p->rows[i];

		p->is_changed |= row->view.is_open;
		row->view.is_open = false;
		row->view.mode = SHM_PORT_SOCKETS;
		row->view.why[0] = '\0';
		row->pause_ns = 0;
		ask_at(row, (struct mono){});
	}
	drop_idle(p);
}

/* --- asking --- */

static bool
has_question(const struct ports *p, const struct ports_row *row)
{
	return !mono_is_never(row->due) &&
	       (row->view.is_wanted || (p->has_wish && row->view.is_open));
}

bool
ports_next(struct ports *p, struct mono now, struct shm_attach *ret_message)
{
	for (size_t i = 0; i < p->n; i++) {
		struct ports_row *row = &p->rows[i];

		if (!has_question(p, row) || mono_diff_ns(now, row->due) < 0)
			continue;
		*ret_message = shm_attach_message(
			row->view.is_wanted ? SHM_ATTACH_OPEN_PORT : SHM_ATTACH_CLOSE_PORT);
		ret_message->ifindex = row->view.ifindex;
		ret_message->listen_port = 1; // generic mode is better than a port of sockets
		memcpy(ret_message->name, row->view.name, sizeof(ret_message->name));
		row->is_asked = true;
		row->due = mono_add_ns(now, PORTS_PATIENCE_NS);
		return true;
	}
	return false;
}

static int64_t
next_pause(int64_t pause_ns)
{
	if (pause_ns == 0)
		return PORTS_RETRY_NS;
	return 2 * pause_ns < PORTS_MAX_RETRY_NS ? 2 * pause_ns : PORTS_MAX_RETRY_NS;
}

void
ports_answered(struct ports *p, const struct shm_attach *answer, struct mono now)
{
	struct ports_row *row = find(p, answer->ifindex);
	bool is_open = answer->mode > SHM_PORT_SOCKETS && answer->mode <= SHM_PORT_GENERIC;

	if (row == NULL)
		return;
	copy_text(row->view.why, sizeof(row->view.why), answer->text, sizeof(answer->text));
	row->view.is_open = is_open;
	row->view.mode = is_open ? answer->mode : SHM_PORT_SOCKETS;
	p->is_changed = true;
	ask_at(row, (struct mono){});
	if (is_open)
		row->pause_ns = 0;
	if (row->view.is_wanted && !is_open) {
		row->pause_ns = next_pause(row->pause_ns);
		row->due = mono_add_ns(now, row->pause_ns);
	} else if (!row->view.is_wanted && is_open) {
		row->due = now; // it was given up while it was being opened
	}
	drop_idle(p);
}

struct mono
ports_due(const struct ports *p)
{
	struct mono at = {};

	for (size_t i = 0; i < p->n; i++) {
		const struct ports_row *row = &p->rows[i];

		if (has_question(p, row) && (mono_is_never(at) || row->due.ns < at.ns))
			at = row->due;
	}
	return at;
}
