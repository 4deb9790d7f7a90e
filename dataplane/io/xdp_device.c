/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/xdp_device.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool
ask_ethtool(int fd, const char *name, void *question)
{
	struct ifreq ifr = { .ifr_data = question };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &ifr) == 0;
}

void
xdp_device_ask(const char *name, struct xdp_device *ret)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret = (struct xdp_device){};
	if (fd < 0)
		return;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ask_ethtool(fd, name, &channels)) {
		ret->n_rx = channels.combined_count + channels.rx_count;
		ret->n_tx = channels.combined_count + channels.tx_count;
	}
	if (ask_ethtool(fd, name, &flags))
		ret->has_lro = flags.data & ETH_FLAG_LRO;
	if (ioctl(fd, SIOCGIFMTU, &ifr) == 0)
		ret->mtu = (uint32_t)ifr.ifr_mtu;
	close(fd);
}
