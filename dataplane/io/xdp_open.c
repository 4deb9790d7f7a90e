/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/xdp_open.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/io/xdp_device.h"
#include "lib/base/err.h"

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 // kernel 6.17: packets that one call sends in copy mode
#endif

#define MAX_CHUNK   4096u      // the kernel takes none longer than a page
#define SEND_BUFFER (16 << 20) // of copies on their way through the kernel

#define NO_QUEUE 1 // not an errno: the device has no such queue

// What is being opened.
struct opening {
	const struct xdp_open_config *config;
	struct xdp_device device;
	struct xdp_fds fds;
	char *why;
	const char *step; // that failed
};

[[gnu::format(printf, 2, 3)]] static void
say(struct opening *o, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(o->why, XDP_WHY_LEN, format, args);
	va_end(args);
}

// --- reasons -----------------------------------------------------------------------------------

static void
say_lock_limit(struct opening *o)
{
	struct rlimit limit = {};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	say(o,
		"%s: the packet buffers (%zu KiB) exceed the memory-lock limit (%llu KiB); give "
		"CAP_IPC_LOCK, or raise it (ulimit -l, LimitMEMLOCK=)",
		o->config->name, o->config->packets_len / 1024,
		(unsigned long long)limit.rlim_cur / 1024);
}

static void
say_why_no_socket(struct opening *o, unsigned queue, int err)
{
	const char *name = o->config->name;

	if (err == -ENOBUFS)
		say_lock_limit(o);
	else if (err == -EBUSY)
		say(o,
			"%s: another AF_XDP socket has queue %u, or had it a moment ago; stop its "
			"program; it is tried again by itself",
			name, queue);
	else if (err == -EPERM || err == -EACCES)
		say(o, "%s: AF_XDP sockets are not permitted; they take CAP_NET_RAW", name);
	else
		say(o,
			"%s: AF_XDP failed at queue %u (%s): %s; see dmesg, or stay with the "
			"kernel port",
			name, queue, o->step, err_str(err));
}

static void
say_too_many_queues(struct opening *o)
{
	say(o,
		"%s: %u receive queues, and %u are served at most; ethtool -L %s combined %u (or "
		"rx %u)",
		o->config->name, o->device.n_rx, SHM_MAX_WORKERS, o->config->name, SHM_MAX_WORKERS,
		SHM_MAX_WORKERS);
}

// --- sockets -----------------------------------------------------------------------------------

static int
set_option(struct opening *o,
	int fd,
	int option,
	const void *value,
	socklen_t len,
	const char *step)
{
	o->step = step;
	return setsockopt(fd, SOL_XDP, option, value, len) < 0 ? -errno : 0;
}

static int
register_packets(struct opening *o, int fd)
{
	const struct xdp_open_config *c = o->config;
	const struct xdp_umem_reg reg = {
		.addr = (uintptr_t)c->packets,
		.len = c->packets_len,
		.chunk_size = c->frame_len < MAX_CHUNK ? c->frame_len : MAX_CHUNK,
		.flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG,
	};

	return set_option(o, fd, XDP_UMEM_REG, &reg, sizeof(reg), "packet memory");
}

static int
size_rings(struct opening *o, int fd)
{
	static const struct {
		int option;
		uint32_t slots;
	} rings[] = {
		{ XDP_UMEM_FILL_RING, XDP_FILL_SLOTS },
		{ XDP_UMEM_COMPLETION_RING, XDP_DONE_SLOTS },
		{ XDP_RX_RING, XDP_RX_SLOTS },
		{ XDP_TX_RING, XDP_TX_SLOTS },
	};
	int err = 0;

	for (unsigned i = 0; i < sizeof(rings) / sizeof(rings[0]) && err == 0; i++)
		err = set_option(
			o, fd, rings[i].option, &rings[i].slots, sizeof(rings[i].slots), "rings");
	return err;
}

// What makes sending cheaper; a kernel without it sends all the same.
static void
ease_sending(int fd)
{
	const int budget = XDP_TX_SLOTS, buffer = SEND_BUFFER;

	(void)setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
}

// A mode is given for the first socket of a device; the others share its registration and mode.
static int
bind_socket(struct opening *o, int fd, unsigned queue, uint16_t mode)
{
	struct sockaddr_xdp address = {
		.sxdp_family = AF_XDP,
		.sxdp_ifindex = o->config->ifindex,
		.sxdp_queue_id = queue,
		.sxdp_flags = (uint16_t)(mode | XDP_USE_NEED_WAKEUP),
	};

	if (queue > 0) {
		address.sxdp_flags = XDP_SHARED_UMEM;
		address.sxdp_shared_umem_fd = (uint32_t)o->fds.socket[0];
	}
	o->step = "bind";
	return bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

static int
open_socket(struct opening *o, unsigned queue, uint16_t mode)
{
	int fd, err = 0;

	o->step = "socket";
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (queue == 0)
		err = register_packets(o, fd);
	if (err == 0)
		err = size_rings(o, fd);
	if (err == 0) {
		ease_sending(fd);
		err = bind_socket(o, fd, queue, mode);
		if (err == -EINVAL && queue > 0 && o->device.n_rx == 0)
			err = NO_QUEUE;
	}
	if (err != 0) {
		close(fd);
		return err;
	}
	o->fds.socket[queue] = fd;
	return 0;
}

static void
close_sockets(struct opening *o)
{
	for (unsigned i = 0; i < SHM_MAX_WORKERS; i++) {
		if (o->fds.socket[i] >= 0)
			close(o->fds.socket[i]);
		o->fds.socket[i] = -1;
	}
	o->fds.n_queues = 0;
}

// A socket for each queue of the device, in this mode: all or none.
static int
open_sockets(struct opening *o, uint16_t mode)
{
	unsigned n = o->device.n_rx > 0 ? o->device.n_rx : SHM_MAX_WORKERS;

	for (unsigned q = 0; q < n; q++) {
		int err = open_socket(o, q, mode);

		if (err == NO_QUEUE)
			break;
		if (err < 0) {
			say_why_no_socket(o, q, err);
			close_sockets(o);
			return err;
		}
		o->fds.n_queues = q + 1;
	}
	o->fds.n_senders = o->fds.n_queues;
	if (o->device.n_tx > 0 && o->device.n_tx < o->fds.n_senders)
		o->fds.n_senders = o->device.n_tx;
	return 0;
}

// Zero copy where the device can, else copy.
static int
open_best_sockets(struct opening *o)
{
	int err;

	if (o->fds.mode == SHM_PORT_GENERIC)
		return open_sockets(o, XDP_COPY);
	if (o->config->is_huge) {
		err = open_sockets(o, XDP_ZEROCOPY);
		if (err == 0) {
			o->fds.mode = SHM_PORT_ZERO_COPY;
			return 0;
		}
		if (err == -EBUSY || err == -ENOBUFS)
			return err;
		snprintf(o->fds.note, sizeof(o->fds.note), "no zero copy: %s",
			err == -EOPNOTSUPP ? "the driver has none" : err_str(err));
	} else {
		snprintf(o->fds.note, sizeof(o->fds.note),
			"no zero copy: packet buffers are not in huge pages (vm.nr_hugepages)");
	}
	o->fds.mode = SHM_PORT_COPY;
	return open_sockets(o, XDP_COPY);
}

// --- the program -------------------------------------------------------------------------------

static int
attach_program(struct opening *o)
{
	const struct xdp_open_config *c = o->config;
	int err = c->attach(c->context, c->ifindex, false, SHM_MAX_WORKERS, &o->fds.link,
		&o->fds.xskmap, o->why, XDP_WHY_LEN);

	if (err == -EOPNOTSUPP && c->generic_is_fine) {
		o->fds.mode = SHM_PORT_GENERIC;
		snprintf(o->fds.note, sizeof(o->fds.note), "generic: no native XDP in this driver");
		err = c->attach(c->context, c->ifindex, true, SHM_MAX_WORKERS, &o->fds.link,
			&o->fds.xskmap, o->why, XDP_WHY_LEN);
	}
	if (err == -ERANGE)
		say(o,
			"%s: an MTU of %u bytes is too long for XDP on this device; lower it (ip "
			"link set %s mtu 1500), or stay with the kernel port",
			c->name, o->device.mtu, c->name);
	return err;
}

static int
connect_sockets(struct opening *o)
{
	for (uint32_t q = 0; q < o->fds.n_queues; q++) {
		uint32_t fd = (uint32_t)o->fds.socket[q];
		union bpf_attr attr = {
			.map_fd = (uint32_t)o->fds.xskmap,
			.key = (uintptr_t)&q,
			.value = (uintptr_t)&fd,
		};

		o->step = "map of sockets";
		if (syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)) < 0) {
			int err = -errno;

			say_why_no_socket(o, q, err);
			return err;
		}
	}
	return 0;
}

int
xdp_open(const struct xdp_open_config *config, struct xdp_fds *ret, char why[XDP_WHY_LEN])
{
	struct opening o = {
		.config = config,
		.fds = { .ifindex = config->ifindex,
			.mode = SHM_PORT_COPY,
			.link = -1,
			.xskmap = -1 },
		.why = why,
	};
	int err;

	why[0] = 0;
	snprintf(o.fds.name, sizeof(o.fds.name), "%s", config->name);
	memset(o.fds.socket, 0xff, sizeof(o.fds.socket));
	xdp_device_ask(config->name, &o.device);
	if (o.device.n_rx > SHM_MAX_WORKERS) {
		say_too_many_queues(&o);
		return -E2BIG;
	}
	err = attach_program(&o);
	if (err == 0)
		err = open_best_sockets(&o);
	if (err == 0)
		err = connect_sockets(&o);
	if (err < 0) {
		xdp_close(&o.fds);
		return err;
	}
	if (o.device.has_lro)
		snprintf(o.fds.note, sizeof(o.fds.note),
			"LRO merges packets beyond a frame: ethtool -K %s lro off", config->name);
	why[0] = 0;
	*ret = o.fds;
	return 0;
}

static void
close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
xdp_close(struct xdp_fds *fds)
{
	// The program first: what it would redirect to a socket that is gone, it passes or drops as
	// its rows say.
	close_if_open(&fds->link);
	for (unsigned i = 0; i < SHM_MAX_WORKERS; i++)
		close_if_open(&fds->socket[i]);
	close_if_open(&fds->xskmap);
	fds->n_queues = 0;
	fds->mode = SHM_PORT_SOCKETS;
}
