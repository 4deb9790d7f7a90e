/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A network namespace of this process's own, with the loopback up, where the machine allows it.
 */
#ifndef TESTS_UNIT_DATAPLANE_IO_PRIVATE_NET_H
#define TESTS_UNIT_DATAPLANE_IO_PRIVATE_NET_H

#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static inline bool
private_net_up(const char *interface, int mtu)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {};
	bool good;

	strncpy(ifr.ifr_name, interface, IFNAMSIZ - 1);
	ifr.ifr_mtu = mtu;
	good = ioctl(fd, SIOCSIFMTU, &ifr) == 0;
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	good = good && ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
	close(fd);
	return good;
}

/* Before any thread is started.  lo_mtu: of the loopback. */
static inline bool
private_net_enter(int lo_mtu)
{
	// A user namespace of one's own gives the right to make the other.
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 && unshare(CLONE_NEWNET) < 0)
		return false;
	return private_net_up("lo", lo_mtu);
}

#endif
