/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The seccomp filters.  Whatever is not listed kills the process: a forwarder that is started anew
 * by its keeper is safer than one that goes on with an error it never expected.
 */

#include <errno.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "dataplane/sandbox.h"

static const int common_calls[] = {
	// memory
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	// threads and time
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(sched_yield),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(tgkill),
	// descriptors that are there
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fcntl),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(getrandom),
	// qsort() asks how much memory there is
	SCMP_SYS(sysinfo),
};

static const int forwarder_calls[] = {
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(sched_setaffinity),
	SCMP_SYS(sched_getaffinity),
};

static const int keeper_calls[] = {
	SCMP_SYS(accept4),
	SCMP_SYS(getsockopt),
	SCMP_SYS(socketpair),
	SCMP_SYS(memfd_create),
	SCMP_SYS(ftruncate),
	SCMP_SYS(openat),
	SCMP_SYS(kill),
	SCMP_SYS(wait4),
	SCMP_SYS(waitid),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(getppid),
	SCMP_SYS(eventfd2),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(prctl),
	SCMP_SYS(setrlimit),
	SCMP_SYS(prlimit64),
	SCMP_SYS(capget),
	SCMP_SYS(capset),
	SCMP_SYS(seccomp),
	SCMP_SYS(mlock2),
	SCMP_SYS(sched_setaffinity),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(signalfd4),
	// what the forwarder, forked from the keeper, needs beyond it: a filter can only be
	// narrowed
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(clone3),
	SCMP_SYS(clone),
	SCMP_SYS(fork),
};

// What opening AF_XDP ports takes: calls whose first or second argument is one of these.
static const unsigned map_commands[] = {
	BPF_MAP_LOOKUP_ELEM,
	BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY,
};

static const unsigned attach_commands[] = {
	BPF_LINK_CREATE, BPF_OBJ_GET_INFO_BY_FD,
	BPF_PROG_GET_FD_BY_ID, // the kernel refuses it without CAP_SYS_ADMIN, but it is asked
	BPF_PROG_GET_FD_BY_ID, // of the program in the way; only CAP_SYS_ADMIN learns its name
};

static const unsigned port_sockets[] = {
	AF_XDP,
	AF_NETLINK, // which program is in the way
	AF_INET,    // for ioctl() alone
	AF_UNIX,
};

static const unsigned port_ioctls[] = {
	SIOCGIFNAME,
	SIOCGIFINDEX,
	SIOCGIFFLAGS,
	SIOCGIFMTU,
	SIOCGIFHWADDR,
	SIOCETHTOOL,
};

static const int port_calls[] = {
	SCMP_SYS(bind),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(uname),
};

static int
allow_values(scmp_filter_ctx ctx, int call, unsigned arg, const unsigned *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct scmp_arg_cmp is = SCMP_CMP(arg, SCMP_CMP_EQ, values[i], 0);
		int err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, 1, &is);

		if (err < 0 && err != -EEXIST)
			return err;
	}
	return 0;
}

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static int
allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);

		if (err < 0 && err != -EEXIST)
			return err;
	}
	return 0;
}

// Memory may be mapped and protected, but never made executable.
static int
allow_data_memory(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &no_exec);

	if (err == 0)
		err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &no_exec);
	return err;
}

/*
 * A forwarder starts threads, no processes: one that was taken over could leave a child behind that
 * the keeper does not know.  The flags of clone3() lie in memory, out of a filter's sight: the C
 * library falls back to clone().
 */
static int
forbid_beginnings(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
	int err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &thread);

	if (err == 0)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	// The C library looks into /proc and /sys where it can do without: refused, not fatal.
	if (err == 0)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
	return err;
}

// The steer program's maps, and what a socket has counted.
static int
allow_maps(scmp_filter_ctx ctx)
{
	const unsigned xdp = SOL_XDP;
	int err = allow_values(ctx, SCMP_SYS(bpf), 0, map_commands, N_OF(map_commands));

	return err == 0 ? allow_values(ctx, SCMP_SYS(getsockopt), 1, &xdp, 1) : err;
}

static int
allow_ports(scmp_filter_ctx ctx)
{
	int err = allow(ctx, port_calls, N_OF(port_calls));

	if (err == 0)
		err = allow_values(ctx, SCMP_SYS(bpf), 0, attach_commands, N_OF(attach_commands));
	if (err == 0)
		err = allow_values(ctx, SCMP_SYS(socket), 0, port_sockets, N_OF(port_sockets));
	if (err == 0)
		err = allow_values(ctx, SCMP_SYS(ioctl), 1, port_ioctls, N_OF(port_ioctls));
	return err;
}

static int
load(const int *calls, size_t n, bool may_begin, bool opens_ports)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (ctx == NULL)
		return -ENOMEM;
	err = allow(ctx, common_calls, N_OF(common_calls));
	if (err == 0)
		err = allow(ctx, calls, n);
	if (err == 0)
		err = allow_data_memory(ctx);
	if (err == 0)
		err = allow_maps(ctx);
	if (err == 0 && opens_ports)
		err = allow_ports(ctx);
	if (err == 0 && !may_begin)
		err = forbid_beginnings(ctx);
	if (err == 0)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}

int
sandbox_forwarder(void)
{
	return load(forwarder_calls, N_OF(forwarder_calls), false, false);
}

int
sandbox_keeper(bool opens_ports)
{
	return load(keeper_calls, N_OF(keeper_calls), true, opens_ports);
}
