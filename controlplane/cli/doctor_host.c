/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The machine: kernel, clock, memory, and a stock tailscaled beside us.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "controlplane/cli/doctor_checks.h"
#include "controlplane/cli/show.h"

#define VERSION(major, minor) ((major)*1000 + (minor))
#define LINK_VERSION          VERSION(5, 9)  // XDP programs that are held by a link
#define MANAGED_VERSION       VERSION(5, 16) // neighbours that the kernel keeps resolved
#define ENOUGH_LOCKED         (256u << 20)   // bytes: packets of all ports, and keys

static void
check_kernel(struct doctor *d)
{
	struct utsname name;
	int major = 0, minor = 0;

	d->n_checks++;
	if (uname(&name) < 0 || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		return;
	if (VERSION(major, minor) < LINK_VERSION)
		doctor_find(d, "kernel", true, "apt install --upgrade linux-image-amd64",
			"the kernel is %s; AF_XDP ports need 5.9, so packets go by the kernel",
			name.release);
	else if (VERSION(major, minor) < MANAGED_VERSION)
		doctor_find(d, "kernel", false, "apt install --upgrade linux-image-amd64",
			"the kernel is %s; before 5.16 it forgets neighbours that only workers "
			"write to, and they are asked for again and again",
			name.release);
}

// Handshakes carry times, and certificates have dates.
static void
check_clock(struct doctor *d)
{
	struct timex now = {};

	d->n_checks++;
	if (adjtimex(&now) == TIME_ERROR && (now.status & STA_UNSYNC) != 0)
		doctor_find(d, "clock", false, "timedatectl set-ntp true",
			"the clock is not synchronised; peers refuse handshakes that are older "
			"than the last one, and certificates may seem expired");
}

static void
check_memory(struct doctor *d)
{
	const json_t *locked = json_object_get(d->status, "memory_locked");
	struct rlimit limit;

	d->n_checks++;
	if (locked != NULL &&
		(!show_bool(locked, "controlplane") || !show_bool(locked, "dataplane")))
		doctor_find(d, "memory lock", false,
			"systemctl edit sluice    # [Service] LimitMEMLOCK=infinity",
			"keys are in memory that may be swapped out; the limit of locked memory is "
			"too low");
	else if (locked == NULL && geteuid() != 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
		 limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < ENOUGH_LOCKED)
		doctor_find(d, "memory lock", false, "ulimit -l unlimited",
			"the limit of locked memory is %llu KiB; AF_XDP ports need more where the "
			"keeper may not lock what it likes (CAP_IPC_LOCK)",
			(unsigned long long)limit.rlim_cur / 1024);
}

static bool
file_has(const char *path, const char *text)
{
	char content[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, content, sizeof(content) - 1) : -1;

	if (fd >= 0)
		close(fd);
	return n > 0 && strstr(content, text) != NULL;
}

static void
check_huge_pages(struct doctor *d)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";

	d->n_checks++;
	if (file_has(path, "[never]"))
		doctor_find(d, "huge pages", false,
			"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
			"huge pages are switched off; large tables of peers and flows cost several "
			"times as many cache misses");
}

static bool
is_in_our_namespace(const char *pid)
{
	struct stat theirs, ours;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.16s/ns/net", pid);
	return stat(path, &theirs) == 0 && stat("/proc/self/ns/net", &ours) == 0 &&
	       theirs.st_ino == ours.st_ino;
}

// Its rules drop 100.64.0.0/10 from any interface but its own.
static void
check_tailscaled(struct doctor *d)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	char path[64];

	d->n_checks++;
	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s/comm", entry->d_name);
		if (!file_has(path, "tailscaled\n") || !is_in_our_namespace(entry->d_name))
			continue;
		doctor_find(d, "tailscaled", true, "systemctl disable --now tailscaled",
			"tailscaled runs on this host (process %.16s); its packet filter drops "
			"what comes from the tailnet by any other interface, and it wants the same "
			"UDP port; stop it, or give one of the two a network namespace of its own",
			entry->d_name);
		break;
	}
	if (proc != NULL)
		closedir(proc);
}

void
doctor_check_host(struct doctor *d)
{
	check_kernel(d);
	check_clock(d);
	check_memory(d);
	check_huge_pages(d);
	check_tailscaled(d);
}
