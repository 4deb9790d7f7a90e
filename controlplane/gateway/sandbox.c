/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT (1u << CAP_NET_ADMIN)

static_assert(CAP_NET_ADMIN < 32, "in the first word");

int
sandbox_drop_privileges(void)
{
	const struct rlimit no_core = {}, any_lock = { RLIM_INFINITY, RLIM_INFINITY };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	(void)setrlimit(RLIMIT_MEMLOCK, &any_lock); // where we may; else keys stay within the limit
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int cap = 0; cap <= 63; cap++) // EINVAL: no such capability; EPERM: nothing to lose
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL && errno != EPERM)
			return -errno;
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].permitted &= KEPT;
	data[0].effective = data[0].permitted;
	data[0].inheritable = 0;
	data[1] = (struct __user_cap_data_struct){};
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}
