/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ebpf/steer_object.h"

/* What all copies of the program share; the first ones as in struct steer_maps. */
static const char *const shared_names[] = {
	"settings",
	"devices",
	"addresses",
	"prefixes4",
	"prefixes6",
	"sources",
	"counters",
	"fragments",
	"buckets",
	"totals",
};
#define N_SHARED (sizeof(shared_names) / sizeof(shared_names[0]))

/* A copy of the program, and the device that it is attached to. */
struct place {
	uint32_t ifindex; // 0: free
	int program;
	int sockets;
};

struct steer {
	struct steer_maps maps; // descriptors borrowed from `shared`
	int shared[N_SHARED];
	struct place places[STEER_MAX_DEVICES];
};

[[gnu::format(printf, 3, 4)]] static void
say(char *why, size_t why_size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, why_size, format, args);
	va_end(args);
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int
keep_fd(int fd)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return kept < 0 ? -errno : kept;
}

/* --- loading -----------------------------------------------------------------------------------
 */

/* Say in the object which device the copy is for. */
static int
set_device(struct bpf_object *object, uint32_t device)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		if (strstr(bpf_map__name(map), ".rodata") != NULL)
			return bpf_map__set_initial_value(map, &device, sizeof(device));
	}
	return -ENOENT;
}

/* Maps that are there already are used again; `sockets` -1: it is made. */
static int
reuse_maps(const struct steer *steer, struct bpf_object *object, int sockets)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, "sockets");
	int err = 0;

	if (map == NULL)
		return -ENOENT;
	if (sockets >= 0)
		err = bpf_map__reuse_fd(map, sockets);
	for (size_t i = 0; i < N_SHARED && err == 0; i++) {
		map = bpf_object__find_map_by_name(object, shared_names[i]);
		if (map == NULL)
			return -ENOENT;
		if (steer->shared[i] >= 0)
			err = bpf_map__reuse_fd(map, steer->shared[i]);
	}
	return err;
}

/* Take the program and the maps that are new out of a loaded object. */
static int
take_fds(struct steer *steer, struct bpf_object *object, struct place *place)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, "steer");
	int fd;

	for (size_t i = 0; i < N_SHARED; i++) {
		if (steer->shared[i] >= 0)
			continue;
		fd = keep_fd(bpf_object__find_map_fd_by_name(object, shared_names[i]));
		if (fd < 0)
			return fd;
		steer->shared[i] = fd;
	}
	if (place->sockets < 0) {
		fd = keep_fd(bpf_object__find_map_fd_by_name(object, "sockets"));
		if (fd < 0)
			return fd;
		place->sockets = fd;
	}
	fd = keep_fd(bpf_program__fd(program));
	if (fd < 0)
		return fd;
	close_fd(&place->program);
	place->program = fd;
	return 0;
}

/* Verify a copy of the program for the device at `index`. */
static int
load_place(struct steer *steer, uint32_t index)
{
	struct place *place = &steer->places[index];
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "sluice");
	struct bpf_object *object;
	int err;

	object = bpf_object__open_mem(steer_object, steer_object_len, &options);
	if (object == NULL)
		return -errno;
	err = set_device(object, index);
	if (err == 0)
		err = reuse_maps(steer, object, place->sockets);
	if (err == 0)
		err = bpf_object__load(object);
	if (err == 0)
		err = take_fds(steer, object, place);
	bpf_object__close(object);
	return err;
}

static void
say_load_error(int err, char *why, size_t why_size)
{
	if (err == -EPERM || err == -EACCES)
		say(why, why_size,
			"loading the XDP program is not permitted; run with CAP_BPF, CAP_PERFMON "
			"and CAP_NET_ADMIN (as root)");
	else if (err == -ENOSYS)
		say(why, why_size,
			"this kernel has no bpf(); AF_XDP needs Linux 6.1 or newer with "
			"CONFIG_BPF_SYSCALL");
	else
		say(why, why_size,
			"the kernel refused the XDP program (%s); AF_XDP needs Linux 6.1 or newer "
			"with CONFIG_XDP_SOCKETS",
			strerror(-err));
}

int
steer_load(struct steer **ret_steer, char *why, size_t why_size)
{
	struct steer *steer = calloc(1, sizeof(*steer));
	struct steer_settings settings = steer_default_settings();
	int n_cpus = libbpf_num_possible_cpus();
	int err = 0;

	if (steer == NULL)
		return -ENOMEM;
	libbpf_set_print(NULL);
	memset(steer->shared, 0xff, sizeof(steer->shared));
	for (uint32_t i = 0; i < STEER_MAX_DEVICES; i++)
		steer->places[i] = (struct place){ .program = -1, .sockets = -1 };

	for (uint32_t i = 0; i < STEER_MAX_DEVICES && err == 0; i++)
		err = load_place(steer, i);
	if (err == 0) {
		memcpy(&steer->maps, steer->shared, STEER_N_MAP_FDS * sizeof(int));
		steer->maps.n_cpus = n_cpus > 0 ? (uint32_t)n_cpus : 1;
		err = steer_put_settings(&steer->maps, &settings);
	}
	if (err < 0) {
		say_load_error(err, why, why_size);
		steer_unload(steer);
		return err;
	}
	*ret_steer = steer;
	return 0;
}

void
steer_unload(struct steer *steer)
{
	if (steer == NULL)
		return;
	for (uint32_t i = 0; i < STEER_MAX_DEVICES; i++) {
		close_fd(&steer->places[i].program);
		close_fd(&steer->places[i].sockets);
	}
	for (size_t i = 0; i < N_SHARED; i++)
		close_fd(&steer->shared[i]);
	free(steer);
}

const struct steer_maps *
steer_maps(const struct steer *steer)
{
	return &steer->maps;
}

/* --- attaching ---------------------------------------------------------------------------------
 */

static struct place *
find_place(struct steer *steer, uint32_t ifindex)
{
	for (uint32_t i = 0; i < STEER_MAX_DEVICES; i++) {
		if (steer->places[i].ifindex == ifindex)
			return &steer->places[i];
	}
	return NULL;
}

static int
read_mac(uint32_t ifindex, uint8_t mac[static 6])
{
	struct ifreq request = {};
	int fd, err = 0;

	if (if_indextoname(ifindex, request.ifr_name) == NULL)
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		err = -errno;
	else
		memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	close(fd);
	return err;
}

/* The device's row, and its counters from zero. */
static int
write_device(struct steer *steer, uint32_t index, uint32_t ifindex)
{
	struct steer_device device = { .ifindex = ifindex };
	struct steer_counts *zero;
	int err;

	if (ifindex != 0) {
		err = read_mac(ifindex, device.mac);
		if (err < 0)
			return err;
	}
	zero = calloc(steer->maps.n_cpus, sizeof(*zero));
	if (zero == NULL)
		return -ENOMEM;
	err = bpf_map_update_elem(steer->maps.counters, &index, zero, BPF_ANY);
	free(zero);
	if (err == 0)
		err = bpf_map_update_elem(steer->maps.devices, &index, &device, BPF_ANY);
	return err;
}

/* Which program is in the way.  Its name is told only to CAP_SYS_ADMIN, its number to everybody. */
static void
say_holder(uint32_t ifindex, char *why, size_t why_size)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = {};
	uint32_t id = 0, info_len = sizeof(info);
	int fd;

	if (bpf_xdp_query((int)ifindex, 0, &query) == 0)
		id = query.prog_id != 0       ? query.prog_id
		     : query.drv_prog_id != 0 ? query.drv_prog_id
		                              : query.skb_prog_id;
	if (id == 0) {
		say(why, why_size, "another XDP program is attached; see `bpftool net`");
		return;
	}
	fd = bpf_prog_get_fd_by_id(id);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &info_len) == 0)
		say(why, why_size,
			"the XDP program %.16s (id %u) is attached; detach it with `bpftool net`, "
			"or "
			"leave this port to the kernel",
			info.name, id);
	else
		say(why, why_size,
			"the XDP program with id %u is attached; see `bpftool prog show id %u`, "
			"detach "
			"it, or leave this port to the kernel",
			id, id);
	if (fd >= 0)
		close(fd);
}

static void
say_attach_error(uint32_t ifindex, int err, char *why, size_t why_size)
{
	if (err == -EBUSY)
		say_holder(ifindex, why, why_size);
	else if (err == -EOPNOTSUPP)
		say(why, why_size, "the driver has no native XDP");
	else if (err == -ERANGE)
		say(why, why_size,
			"the MTU is too large for XDP (about 3,500 at most); lower it with `ip "
			"link "
			"set mtu`");
	else if (err == -ENOSPC)
		say(why, why_size,
			"fewer receive queues than the other end of the veth sends by; give both "
			"ends the "
			"same number (`ip link add ... numrxqueues N numtxqueues N`)");
	else if (err == -EPERM)
		say(why, why_size,
			"attaching an XDP program is not permitted; run with CAP_NET_ADMIN");
	else
		say(why, why_size, "the XDP program cannot be attached: %s", strerror(-err));
}

static int
create_link(int program, uint32_t ifindex, bool generic)
{
	LIBBPF_OPTS(bpf_link_create_opts, options,
		.flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int link = bpf_link_create(program, (int)ifindex, BPF_XDP, &options);

	// One in the other mode is said to exist, one in the same to be busy.
	return link == -EEXIST ? -EBUSY : link;
}

int
steer_attach(struct steer *steer,
	uint32_t ifindex,
	bool generic,
	unsigned n_queues,
	int *ret_link,
	int *ret_xskmap,
	char *why,
	size_t why_size)
{
	struct place *place = find_place(steer, ifindex);
	int link, xskmap, err;

	if (place == NULL)
		place = find_place(steer, 0);
	if (place == NULL) {
		say(why, why_size, "no more than %u ports can use AF_XDP", STEER_MAX_DEVICES);
		return -ENOSPC;
	}
	if (n_queues > STEER_MAX_QUEUES) {
		say(why, why_size, "more than %u queues; lower them with `ethtool -L`",
			STEER_MAX_QUEUES);
		return -E2BIG;
	}
	err = write_device(steer, (uint32_t)(place - steer->places), ifindex);
	if (err < 0)
		goto say_why;
	xskmap = keep_fd(place->sockets);
	if (xskmap < 0) {
		err = xskmap;
		goto say_why;
	}
	link = create_link(place->program, ifindex, generic);
	if (link < 0) {
		err = link;
		goto close_xskmap;
	}
	place->ifindex = ifindex;
	*ret_link = link;
	*ret_xskmap = xskmap;
	return 0;

close_xskmap:
	close(xskmap);
say_why:
	say_attach_error(ifindex, err, why, why_size);
	if (place->ifindex == 0)
		(void)!write_device(steer, (uint32_t)(place - steer->places), 0);
	return err;
}

void
steer_release(struct steer *steer, uint32_t ifindex)
{
	struct place *place = ifindex == 0 ? NULL : find_place(steer, ifindex);

	if (place == NULL)
		return;
	place->ifindex = 0;
	// A row that stays behind counts for nobody.
	(void)!write_device(steer, (uint32_t)(place - steer->places), 0);
}

int
steer_set_socket(int xskmap, unsigned queue, int socket)
{
	uint32_t key = queue, value = (uint32_t)socket;
	int err;

	if (socket >= 0)
		return bpf_map_update_elem(xskmap, &key, &value, BPF_ANY);
	err = bpf_map_delete_elem(xskmap, &key);
	return err == -ENOENT ? 0 : err;
}

int
steer_update(struct steer *steer, uint32_t ifindex, int link, char *why, size_t why_size)
{
	struct place *place = ifindex == 0 ? NULL : find_place(steer, ifindex);
	int err;

	if (place == NULL) {
		say(why, why_size, "no program of ours is attached to interface %u", ifindex);
		return -ENODEV;
	}
	err = load_place(steer, (uint32_t)(place - steer->places));
	if (err < 0) {
		say_load_error(err, why, why_size);
		return err;
	}
	err = bpf_link_update(link, place->program, NULL);
	if (err < 0)
		say(why, why_size, "the program could not be replaced: %s", strerror(-err));
	return err;
}
