/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/controlplane/gateway/kernel/private_net.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/lib/tap.h"

#define COMMAND_LEN 1024
#define OUTPUT_LEN  (4 * 1024 * 1024)

static bool
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

static const char *
become_root(void)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWUSER) < 0)
		return "user namespaces are not allowed here";
	snprintf(map, sizeof(map), "0 %u 1\n", uid);
	if (!write_file("/proc/self/uid_map", map))
		return "the user cannot be mapped into a user namespace";
	snprintf(map, sizeof(map), "0 %u 1\n", gid);
	if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/gid_map", map))
		return "the group cannot be mapped into a user namespace";
	return NULL;
}

const char *
private_net_enter(void)
{
	const char *missing = geteuid() != 0 ? become_root() : NULL;

	if (missing != NULL)
		return missing;
	if (unshare(CLONE_NEWNET) < 0)
		return "network namespaces are not allowed here";
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return "there is no /dev/net/tun";
	if (system("ip -V >/dev/null 2>&1") != 0)
		return "iproute2 is not installed";
	if (system("ip link add probe0 type veth peer name probe1 2>/dev/null && ip link del "
		   "probe0") != 0)
		return "the kernel has no veth interfaces";
	return NULL;
}

static char *
output_of(const char *command, int *ret_status)
{
	char *text = calloc(1, OUTPUT_LEN), *fitted;
	FILE *pipe = popen(command, "r");

	if (text == NULL || pipe == NULL)
		abort();
	fread(text, 1, OUTPUT_LEN - 1, pipe);
	*ret_status = pclose(pipe);
	fitted = strdup(text);
	free(text);
	return fitted;
}

void
sh(const char *format, ...)
{
	char command[COMMAND_LEN + 16], *text;
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, COMMAND_LEN, format, args);
	va_end(args);
	strcat(command, " 2>&1");
	text = output_of(command, &status);
	if (status != 0) {
		printf("# %s", text);
		tap_ok(false, "command works: %s", command);
	}
	free(text);
}

char *
sh_output(const char *format, ...)
{
	char command[COMMAND_LEN + 16];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, COMMAND_LEN, format, args);
	va_end(args);
	strcat(command, " 2>&1");
	return output_of(command, &status);
}

static bool
contains(const char *command, const char *text, bool wanted)
{
	char *output = sh_output("%s", command);
	bool found = strstr(output, text) != NULL;

	if (found != wanted)
		printf("# %s: %s \"%s\" in:\n# %s\n", command, wanted ? "no" : "unwanted", text,
			output);
	free(output);
	return found == wanted;
}

bool
shows(const char *command, const char *text)
{
	return contains(command, text, true);
}

bool
lacks(const char *command, const char *text)
{
	return contains(command, text, false);
}

int
make_tun(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

char *
net_snapshot(void)
{
	return sh_output(
		"( ip -o link; ip -o addr; ip route show table all; ip -6 route show table all;"
		" ip rule; ip -6 rule;"
		" grep -H . /proc/sys/net/ipv[46]/conf/*/forwarding"
		" /proc/sys/net/ipv4/conf/*/accept_redirects /proc/sys/net/ipv4/conf/*/rp_filter"
		" /proc/sys/net/ipv6/conf/*/accept_ra /proc/sys/net/ipv6/conf/*/disable_ipv6 )");
}
