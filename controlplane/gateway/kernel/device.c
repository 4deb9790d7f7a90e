/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/device.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FEATURES 512 /* the kernel has about 64 */

static int
ask(int fd, const char *name, void *question)
{
	struct ifreq request = { .ifr_data = question };

	if (strlen(name) >= sizeof(request.ifr_name))
		return -EINVAL;
	memcpy(request.ifr_name, name, strlen(name) + 1);
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static int
open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int
device_read(const char *name, struct device *ret_device)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct device device = {};
	int fd = open_socket();

	if (fd < 0)
		return fd;
	if (ask(fd, name, &info) == 0)
		memcpy(device.driver, info.driver, strnlen(info.driver, sizeof(device.driver) - 1));
	if (ask(fd, name, &channels) == 0) {
		uint32_t n = channels.rx_count + channels.combined_count;

		device.n_queues = n <= UINT16_MAX ? (uint16_t)n : UINT16_MAX;
	}
	close(fd);
	*ret_device = device;
	return 0;
}

bool
device_fills_checksum(const char *driver, const char *kind)
{
	// Drivers of guests; a link that has a kind is made by software altogether.
	static const char *const virtual[] = { "virtio_net", "vif", "xen_netfront", "hv_netvsc",
		"vmxnet3", "tun", "veth", "bridge", "tap" };

	if (kind[0] != '\0')
		return true;
	for (size_t i = 0; i < sizeof(virtual) / sizeof(virtual[0]); i++)
		if (strcmp(driver, virtual[i]) == 0)
			return true;
	return false;
}

static unsigned
count_features(int fd, const char *name)
{
	uint32_t words[sizeof(struct ethtool_sset_info) / sizeof(uint32_t) + 1]
		__attribute__((aligned(8))) = {};
	struct ethtool_sset_info *info = (void *)words;
	uint32_t n;

	info->cmd = ETHTOOL_GSSET_INFO;
	info->sset_mask = UINT64_C(1) << ETH_SS_FEATURES;
	if (ask(fd, name, info) < 0 || info->sset_mask == 0)
		return 0;
	n = info->data[0]; // one for each bit of the mask that is left
	return n <= MAX_FEATURES ? n : 0;
}

// The place of a feature in the device's list, or -1.
static int
find_feature(int fd, const char *name, unsigned n, const char *feature)
{
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);
	int found = -1;

	if (names == NULL)
		return -1;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = n;
	if (ask(fd, name, names) == 0)
		for (unsigned i = 0; i < n && i < names->len && found < 0; i++)
			if (strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN,
				    feature, ETH_GSTRING_LEN) == 0)
				found = (int)i;
	free(names);
	return found;
}

static bool
is_active(int fd, const char *name, unsigned n, unsigned index)
{
	unsigned n_blocks = (n + 31) / 32;
	struct ethtool_gfeatures *features =
		calloc(1, sizeof(*features) + n_blocks * sizeof(features->features[0]));
	bool active = false;

	if (features == NULL)
		return false;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = n_blocks;
	if (ask(fd, name, features) == 0)
		active = (features->features[index / 32].active >> (index % 32) & 1) != 0;
	free(features);
	return active;
}

bool
device_has_feature(const char *name, const char *feature)
{
	int fd = open_socket();
	bool has = false;
	unsigned n;
	int index;

	if (fd < 0)
		return false;
	n = count_features(fd, name);
	index = n > 0 ? find_feature(fd, name, n, feature) : -1;
	if (index >= 0)
		has = is_active(fd, name, n, (unsigned)index);
	close(fd);
	return has;
}
