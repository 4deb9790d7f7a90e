/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/keeper/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/io/frame_ledger.h"
#include "dataplane/io/pool.h"
#include "ebpf/loader.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/shm/channel.h"
#include "lib/shm/region.h"

#define LOG_TAG "keeper"

// --- begin and end ------------------------------------------------------------------------------

static int
make_ledger(struct forwarder_setup *setup)
{
	size_t len = frame_ledger_size(pool_frames_in(setup->packets_len, setup->frame_len));
	int fd = shm_region_create("sluice-ledger", len, false, NULL);

	if (fd < 0)
		return fd;
	setup->ledger_fd = fd;
	setup->ledger_len = len;
	return 0;
}

void
ports_begin(struct ports *p, const struct config_gateway *config, struct forwarder_setup *setup)
{
	int err;

	if (config->driver == CONFIG_DRIVER_KERNEL) {
		snprintf(p->why_none, sizeof(p->why_none),
			"dataplane.driver is kernel; set it to auto and restart for AF_XDP");
		return;
	}
	err = make_ledger(setup);
	if (err == 0)
		err = shm_region_map(setup->packets_fd, setup->packets_len, true, &p->packets);
	if (err < 0) {
		snprintf(p->why_none, sizeof(p->why_none),
			"memory for AF_XDP cannot be had: %s; free some and restart", err_str(err));
	} else {
		err = steer_load(&p->steer, p->why_none, sizeof(p->why_none));
	}
	if (err < 0) {
		p->steer = NULL;
		log_warning("no AF_XDP ports, the kernel's own sockets go on: %s", p->why_none);
		return;
	}
	setup->steer = *steer_maps(p->steer);
}

void
ports_end(struct ports *p, struct forwarder_setup *setup)
{
	for (unsigned row = 0; row < SHM_MAX_PORTS; row++) {
		if (p->of[row].state == PORT_FREE)
			continue;
		xdp_close(&setup->ports[row]);
		p->of[row].state = PORT_FREE;
	}
	steer_unload(p->steer);
	p->steer = NULL;
	if (p->packets != NULL)
		munmap(p->packets, setup->packets_len);
	p->packets = NULL;
	if (setup->ledger_fd >= 0)
		close(setup->ledger_fd);
	setup->ledger_fd = -1;
}

static void
close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * A program leaves its device when the last descriptor of its link is closed, so the forwarder has
 * none; and of the object it needs the maps alone.
 */
void
ports_leave(struct ports *p, struct forwarder_setup *setup)
{
	int *maps[] = { &setup->steer.settings, &setup->steer.devices, &setup->steer.addresses,
		&setup->steer.prefixes4, &setup->steer.prefixes6, &setup->steer.sources,
		&setup->steer.counters };

	static_assert(sizeof(maps) / sizeof(maps[0]) == STEER_N_MAP_FDS, "all of them");
	for (unsigned row = 0; row < SHM_MAX_PORTS; row++) {
		if (p->of[row].state == PORT_FREE)
			continue;
		close_if_open(&setup->ports[row].link);
		close_if_open(&setup->ports[row].xskmap);
	}
	if (p->steer == NULL)
		return;
	for (unsigned i = 0; i < STEER_N_MAP_FDS; i++)
		if (*maps[i] >= 0)
			*maps[i] = fcntl(*maps[i], F_DUPFD_CLOEXEC, 0);
	steer_unload(p->steer);
	p->steer = NULL;
	munmap(p->packets, setup->packets_len);
}

uint64_t
ports_capabilities(const struct ports *p)
{
	// An AF_XDP socket is a raw one; attaching a program changes a device.
	return p->steer == NULL ? 0 : UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_NET_RAW;
}

// --- opening and closing ------------------------------------------------------------------------

static struct shm_attach
answer_about(const struct xdp_fds *port)
{
	struct shm_attach msg = shm_attach_message(SHM_ATTACH_PORT);

	msg.ifindex = port->ifindex;
	msg.mode = port->mode;
	memcpy(msg.name, port->name, sizeof(msg.name));
	snprintf(msg.text, sizeof(msg.text), "%s", port->note);
	return msg;
}

static struct shm_attach
closed_answer(uint32_t ifindex, const char *name, const char *why)
{
	struct shm_attach msg = shm_attach_message(SHM_ATTACH_PORT);

	msg.ifindex = ifindex;
	msg.mode = SHM_PORT_SOCKETS;
	snprintf(msg.name, sizeof(msg.name), "%s", name);
	snprintf(msg.text, sizeof(msg.text), "%s", why);
	return msg;
}

static int
find(const struct ports *p, const struct forwarder_setup *setup, uint32_t ifindex)
{
	for (unsigned row = PORTS_FIRST_ROW; row < SHM_MAX_PORTS; row++)
		if (p->of[row].state != PORT_FREE && setup->ports[row].ifindex == ifindex)
			return (int)row;
	return -1;
}

static int
find_free(const struct ports *p)
{
	for (unsigned row = PORTS_FIRST_ROW; row < SHM_MAX_PORTS; row++)
		if (p->of[row].state == PORT_FREE)
			return (int)row;
	return -1;
}

static int
attach(void *context,
	uint32_t ifindex,
	bool generic,
	unsigned n_queues,
	int *ret_link,
	int *ret_xskmap,
	char *why,
	size_t why_size)
{
	struct ports *p = context;

	return steer_attach(
		p->steer, ifindex, generic, n_queues, ret_link, ret_xskmap, why, why_size);
}

// Close what is open of a row, in this process.
static void
close_port(struct ports *p, struct forwarder_setup *setup, unsigned row)
{
	struct xdp_fds *port = &setup->ports[row];

	xdp_close(port);
	steer_release(p->steer, port->ifindex);
	log_notice("port closed interface=%s", port->name);
	*port = (struct xdp_fds){};
	p->of[row].state = PORT_FREE;
}

// The name must be the interface's: between look-up and request it may have become another's.
static bool
is_name_of(const char *name, uint32_t ifindex)
{
	char now[IF_NAMESIZE];

	return ifindex != 0 && memchr(name, '\0', IF_NAMESIZE) != NULL &&
	       if_indextoname(ifindex, now) != NULL && strcmp(name, now) == 0;
}

static bool
open_port(struct ports *p,
	struct forwarder_setup *setup,
	const struct shm_attach *msg,
	int link,
	struct shm_attach *ret)
{
	const struct xdp_open_config config = {
		.name = msg->name,
		.ifindex = msg->ifindex,
		.generic_is_fine = msg->listen_port == 1,
		.packets = p->packets,
		.packets_len = setup->packets_len,
		.frame_len = setup->frame_len,
		.is_huge = setup->packets_huge,
		.attach = attach,
		.context = p,
	};
	int row = find_free(p), err;
	char why[XDP_WHY_LEN];

	if (row < 0) {
		*ret = closed_answer(msg->ifindex, msg->name,
			"as many ports as there can be are open; name fewer in dataplane.ports");
		return true;
	}
	err = xdp_open(&config, &setup->ports[row], why);
	if (err < 0) {
		setup->ports[row] = (struct xdp_fds){};
		steer_release(p->steer, msg->ifindex);
		log_warning("port cannot be opened interface=%s: %s", msg->name, why);
		*ret = closed_answer(msg->ifindex, msg->name, why);
		return true;
	}
	p->of[row].state = PORT_JOINING;
	p->of[row].asked = true;
	log_notice("port open interface=%s queues=%u", msg->name, setup->ports[row].n_queues);
	// No forwarder at this moment: the next one finds it, and its READY is the answer.
	if (link >= 0 &&
		link_send_port(link, LINK_PORT_OPEN, (uint32_t)row, 0, &setup->ports[row]) < 0)
		log_debug("forwarder is ending, the next one joins the port");
	return false;
}

static bool
asked_to_open(struct ports *p,
	struct forwarder_setup *setup,
	const struct shm_attach *msg,
	int link,
	struct shm_attach *ret)
{
	int row = find(p, setup, msg->ifindex);

	if (p->steer == NULL || !is_name_of(msg->name, msg->ifindex)) {
		*ret = closed_answer(msg->ifindex, "",
			p->steer == NULL
				? p->why_none
				: "no interface has this name and index; it was renamed or "
				  "removed, look again");
		return true;
	}
	if (row < 0)
		return open_port(p, setup, msg, link, ret);
	if (p->of[row].state == PORT_LEAVING) {
		*ret = closed_answer(msg->ifindex, msg->name, "it is being closed; ask again");
		return true;
	}
	if (p->of[row].state == PORT_OPEN) {
		*ret = answer_about(&setup->ports[row]);
		return true;
	}
	p->of[row].asked = true;
	return false;
}

static bool
asked_to_close(struct ports *p,
	struct forwarder_setup *setup,
	const struct shm_attach *msg,
	int link,
	struct shm_attach *ret)
{
	int row = find(p, setup, msg->ifindex);

	if (row < 0) {
		*ret = closed_answer(msg->ifindex, "", "it is not open");
		return true;
	}
	p->of[row].asked = true;
	if (p->of[row].state == PORT_LEAVING)
		return false;
	// First the program: from now on the kernel has what comes, and workers what has come.
	close_if_open(&setup->ports[row].link);
	if (link < 0 || link_send_port(link, LINK_PORT_CLOSE, (uint32_t)row, 0, NULL) < 0) {
		*ret = closed_answer(msg->ifindex, setup->ports[row].name, "");
		p->of[row].asked = false;
		close_port(p, setup, (unsigned)row);
		return true;
	}
	p->of[row].state = PORT_LEAVING;
	return false;
}

bool
ports_asked(struct ports *p,
	struct forwarder_setup *setup,
	const struct shm_attach *msg,
	int link,
	struct shm_attach *ret)
{
	if (msg->kind == SHM_ATTACH_OPEN_PORT)
		return asked_to_open(p, setup, msg, link, ret);
	return asked_to_close(p, setup, msg, link, ret);
}

void
ports_forget_asked(struct ports *p)
{
	for (unsigned row = 0; row < SHM_MAX_PORTS; row++)
		p->of[row].asked = false;
}

// --- the forwarder ------------------------------------------------------------------------------

static void
answer_if_asked(struct ports *p,
	unsigned row,
	const struct shm_attach *msg,
	ports_answer answer,
	void *context)
{
	if (p->of[row].asked)
		answer(context, msg);
	p->of[row].asked = false;
}

static void
joined(struct ports *p,
	struct forwarder_setup *setup,
	unsigned row,
	ports_answer answer,
	void *context)
{
	const struct shm_attach msg = answer_about(&setup->ports[row]);

	p->of[row].state = PORT_OPEN;
	answer_if_asked(p, row, &msg, answer, context);
}

static void
left(struct ports *p,
	struct forwarder_setup *setup,
	unsigned row,
	const char *why,
	ports_answer answer,
	void *context)
{
	const struct xdp_fds *port = &setup->ports[row];
	const struct shm_attach msg = closed_answer(port->ifindex, port->name, why);

	close_port(p, setup, row);
	answer_if_asked(p, row, &msg, answer, context);
}

void
ports_heard(struct ports *p,
	struct forwarder_setup *setup,
	const struct link_message *msg,
	int link,
	ports_answer answer,
	void *context)
{
	if (msg->kind == LINK_READY) {
		for (unsigned row = PORTS_FIRST_ROW; row < SHM_MAX_PORTS; row++)
			if (p->of[row].state == PORT_JOINING)
				joined(p, setup, row, answer, context);
		return;
	}
	if (msg->row >= SHM_MAX_PORTS || p->of[msg->row].state == PORT_FREE)
		return;
	if (msg->kind == LINK_PORT_OPENED && msg->err == 0) {
		if (p->of[msg->row].state == PORT_JOINING)
			joined(p, setup, msg->row, answer, context);
	} else if (msg->kind == LINK_PORT_OPENED || msg->kind == LINK_PORT_GONE) {
		char why[XDP_WHY_LEN] = "";

		if (msg->kind == LINK_PORT_OPENED)
			snprintf(why, sizeof(why),
				"the forwarder cannot join its rings: %s; see its log",
				err_str(msg->err));
		left(p, setup, msg->row, why, answer, context);
		if (link >= 0 && link_send_port(link, LINK_PORT_FREE, msg->row, 0, NULL) < 0)
			log_debug("forwarder is ending, the next one finds the frames free");
	}
}

void
ports_forwarder_gone(struct ports *p,
	struct forwarder_setup *setup,
	ports_answer answer,
	void *context)
{
	for (unsigned row = PORTS_FIRST_ROW; row < SHM_MAX_PORTS; row++) {
		if (p->of[row].state == PORT_LEAVING)
			left(p, setup, row, "", answer, context);
		else if (p->of[row].state == PORT_OPEN)
			p->of[row].state = PORT_JOINING;
	}
}
