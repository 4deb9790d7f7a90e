/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/io/io_host.h"

// Since Linux 6.2; the headers may be older than the kernel.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define BUSY_ATTEMPTS 100
#define BUSY_PAUSE_NS 20000000 // 2 s in all

#define TX_QUEUE_PACKETS \
	4096 // a busy machine may keep the host thread waiting for a good part of a second

static int
attach(int fd, const char *name, struct ifreq *ifr)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };

	memset(ifr, 0, sizeof(*ifr));
	strncpy(ifr->ifr_name, name, IFNAMSIZ - 1);
	ifr->ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
	for (int i = 0; ioctl(fd, TUNSETIFF, ifr) < 0; i++) {
		if (errno != EBUSY || i == BUSY_ATTEMPTS)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

// Most first.  Without segmentation the port works, slowly.
static void
set_offloads(struct io_host_fd *host)
{
	unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	host->has_uso = ioctl(host->fd, TUNSETOFFLOAD, tso | TUN_F_USO4 | TUN_F_USO6) == 0;
	host->has_tso = host->has_uso || ioctl(host->fd, TUNSETOFFLOAD, tso) == 0;
	if (!host->has_tso && ioctl(host->fd, TUNSETOFFLOAD, TUN_F_CSUM) < 0)
		(void)ioctl(host->fd, TUNSETOFFLOAD, 0);
}

// A short queue loses packets of a fast sender while the thread is busy; a refusal does not matter.
static void
lengthen_queue(struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (ioctl(fd, SIOCGIFTXQLEN, ifr) == 0 && ifr->ifr_qlen < TX_QUEUE_PACKETS) {
		ifr->ifr_qlen = TX_QUEUE_PACKETS;
		(void)ioctl(fd, SIOCSIFTXQLEN, ifr);
	}
	close(fd);
}

static int
set_up(struct io_host_fd *host, const char *name, bool persist)
{
	int header_len = sizeof(struct virtio_net_hdr);
	struct ifreq ifr;
	int err;

	err = attach(host->fd, name, &ifr);
	if (err < 0)
		return err;
	if (ioctl(host->fd, TUNSETVNETHDRSZ, &header_len) < 0 ||
		ioctl(host->fd, TUNSETPERSIST, persist ? 1 : 0) < 0)
		return -errno;
	set_offloads(host);
	memcpy(host->name, ifr.ifr_name, sizeof(host->name));
	host->name[sizeof(host->name) - 1] = '\0';
	lengthen_queue(&ifr);
	host->ifindex = if_nametoindex(host->name);
	return host->ifindex == 0 ? -errno : 0;
}

int
io_host_open(const char *name, bool persist, struct io_host_fd *ret)
{
	struct io_host_fd host = {};
	int err;

	if (name[0] == '\0' || strlen(name) >= IFNAMSIZ || strchr(name, '%') != NULL)
		return -EINVAL; // with a % the kernel would choose a number
	host.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (host.fd < 0)
		return -errno;
	err = set_up(&host, name, persist);
	if (err < 0) {
		close(host.fd);
		return err;
	}
	*ret = host;
	return 0;
}

void
io_host_close(struct io_host_fd *host, bool remove)
{
	if (host->fd < 0)
		return;
	if (remove)
		(void)ioctl(host->fd, TUNSETPERSIST, 0);
	close(host->fd);
	host->fd = -1;
}
