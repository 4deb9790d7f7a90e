/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/keeper/regions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/table/flow_memory.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/crypto/key.h"
#include "lib/shm/region.h"
#include "lib/shm/shm_abi.h"

#define LOG_TAG "keeper"

#define N_FRAMES 16384u
#define HUGE_LEN ((size_t)2 << 20)

// What an outbound packet opened shall stay open while forwarders come and go.
static int
open_flows(int *ret_fd)
{
	int fd = shm_region_create("sluice-flows", sizeof(struct flow_memory), false, NULL);
	struct nat_memory_head head;
	uint64_t keys[6];

	if (fd < 0)
		return fd;
	random_bytes(keys, sizeof(keys));
	head = nat_memory_begin(keys);
	if (pwrite(fd, &head, sizeof(head), offsetof(struct flow_memory, nat)) != sizeof(head) ||
		pwrite(fd, &keys[4], 2 * sizeof(keys[4]), offsetof(struct flow_memory, key)) !=
			2 * sizeof(keys[4])) {
		close(fd);
		return -EIO;
	}
	*ret_fd = fd;
	return 0;
}

static int
open_regions(struct holdings *h)
{
	struct forwarder_setup *s = &h->setup;

	s->packets_len = ((size_t)N_FRAMES * s->frame_len + HUGE_LEN - 1) / HUGE_LEN * HUGE_LEN;
	s->state_fd = shm_region_create("sluice-state", sizeof(struct shm_state), false, NULL);
	s->sessions_fd =
		shm_region_create("sluice-sessions", sizeof(struct shm_sessions), false, NULL);
	h->notes_fd = shm_region_create("sluice-notes", sizeof(struct shm_notes), false, NULL);
	s->packets_fd = shm_region_create("sluice-packets", s->packets_len, true, &s->packets_huge);
	s->capture_fd =
		shm_region_create("sluice-capture", sizeof(struct shm_capture), false, NULL);
	if (s->state_fd < 0 || s->capture_fd < 0 || s->sessions_fd < 0 || h->notes_fd < 0 ||
		s->packets_fd < 0 || open_flows(&s->flows_fd) < 0) {
		log_err("shared memory cannot be made: %s; free memory or raise the limit",
			err_str(s->packets_fd < 0 ? s->packets_fd : -ENOMEM));
		return -ENOMEM;
	}
	if (!s->packets_huge)
		log_info("no huge pages free, packet buffers lie in ordinary ones; "
			 "sysctl vm.nr_hugepages=%zu would give them some",
			s->packets_len / HUGE_LEN);

	h->state_ro_fd = shm_region_read_only(s->state_fd);
	h->flows_ro_fd = shm_region_read_only(s->flows_fd);
	h->capture_ro_fd = shm_region_read_only(s->capture_fd);
	s->bell_dp = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s->bell_cp = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->state_ro_fd < 0 || h->flows_ro_fd < 0 || h->capture_ro_fd < 0 || s->bell_dp < 0 ||
		s->bell_cp < 0) {
		log_err("descriptors cannot be made: %s; is /proc mounted, is the limit of open "
			"files "
			"high enough?",
			err_str(h->state_ro_fd < 0 ? h->state_ro_fd : -EMFILE));
		return -EMFILE;
	}
	return 0;
}

static int
open_devices(struct holdings *h, const struct config_gateway *config)
{
	struct forwarder_setup *s = &h->setup;
	int err = io_host_open(config->interface, true, &s->host);

	if (err < 0) {
		log_err("interface %s cannot be opened: %s; %s", config->interface, err_str(err),
			err == -EPERM ? "run as root, or in a user namespace of your own"
			: err == -EBUSY
				? "another program holds it: stop that, or set dataplane.interface"
				: "check that /dev/net/tun exists (modprobe tun)");
		return err;
	}
	err = io_socket_open(config->listen_port, CONFIG_OUTER_MARK, &s->wire);
	if (err < 0) {
		log_err("UDP port %u cannot be opened: %s; %s", config->listen_port, err_str(err),
			err == -EADDRINUSE ? "stop the program that has it (ss -ulpn), or set "
					     "wireguard.listen_port"
					   : "check the privileges of this process");
		return err;
	}
	if (s->wire.mark_err < 0)
		log_warning(
			"outer packets cannot be marked: %s; a peer with 0.0.0.0/0 will not work",
			err_str(s->wire.mark_err));
	return 0;
}

static void
choose_workers(struct forwarder_setup *s, const struct config_gateway *config)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!config->workers_auto) {
		s->n_workers = (unsigned)config->n_worker_cores;
		for (unsigned i = 0; i < s->n_workers; i++)
			s->cores[i] = config->worker_cores[i];
		return;
	}
	// The kernel port's own threads need the other half.
	s->n_workers = cores < 4 ? 1 : cores >= 16 ? 8 : (unsigned)cores / 2;
	for (unsigned i = 0; i < s->n_workers; i++)
		s->cores[i] = -1;
}

int
holdings_open(const struct config_gateway *config, struct holdings *ret)
{
	struct holdings h = {
		.setup = { .state_fd = -1,
			.sessions_fd = -1,
			.packets_fd = -1,
			.flows_fd = -1,
			.capture_fd = -1,
			.ledger_fd = -1,
			.steer = STEER_NO_MAPS,
			.link = -1,
			.bell_dp = -1,
			.bell_cp = -1,
			.to_dp_fd = -1,
			.to_cp_fd = -1,
			.wire = { -1, -1, -1, -1, 0, 0, 0, 0 },
			.host = { .fd = -1 } },
		.state_ro_fd = -1,
		.flows_ro_fd = -1,
		.capture_ro_fd = -1,
		.notes_fd = -1,
	};
	int err;

	h.setup.frame_len = pool_frame_len(config->mtu);
	choose_workers(&h.setup, config);
	err = open_regions(&h);
	if (err == 0)
		err = open_devices(&h, config);
	if (err < 0) {
		holdings_close(&h);
		return err;
	}
	*ret = h;
	return 0;
}

static void
close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
holdings_close(struct holdings *h)
{
	struct forwarder_setup *s = &h->setup;
	const int fds[] = { s->state_fd, s->sessions_fd, s->packets_fd, s->flows_fd, s->bell_dp,
		s->bell_cp, h->state_ro_fd, h->flows_ro_fd, h->capture_ro_fd, s->capture_fd,
		h->notes_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close_if_open(fds[i]);
	io_socket_close(&s->wire);
	if (s->host.fd >= 0)
		io_host_close(&s->host, false);
}

int
ring_fds_open(struct ring_fds *ret)
{
	struct ring_fds fds = { -1, -1, -1, -1 };

	fds.to_dp = shm_region_create("sluice-to-dp", sizeof(struct shm_to_dp), false, NULL);
	fds.to_cp = shm_region_create("sluice-to-cp", sizeof(struct shm_to_cp), false, NULL);
	if (fds.to_dp >= 0)
		fds.to_dp_ro = shm_region_read_only(fds.to_dp);
	if (fds.to_cp >= 0)
		fds.to_cp_ro = shm_region_read_only(fds.to_cp);
	if (fds.to_dp_ro < 0 || fds.to_cp_ro < 0) {
		ring_fds_close(&fds);
		return -ENOMEM;
	}
	*ret = fds;
	return 0;
}

void
ring_fds_close(struct ring_fds *fds)
{
	close_if_open(fds->to_dp);
	close_if_open(fds->to_dp_ro);
	close_if_open(fds->to_cp);
	close_if_open(fds->to_cp_ro);
	*fds = (struct ring_fds){ -1, -1, -1, -1 };
}
