/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A step into another network namespace, and back: a socket stays where it was made.
 *
 * Source: setns(2); ip-netns(8) for where names lie.  Thread: moves the calling thread only.
 */
#ifndef BENCH_TUNNEL_NETNS_H
#define BENCH_TUNNEL_NETNS_H

struct netns_visit {
	int home; /* descriptor of the namespace to go back to; -1: never left */
};

/*
 * name: as of `ip netns`, or a path if there is a slash in it; NULL or "": stay.
 * 0; -ENOENT: no such namespace; -EPERM: not allowed to; another -errno.
 */
[[nodiscard]] int netns_enter(const char *name, struct netns_visit *ret_visit);
/* 0 or -errno: the thread is then in the wrong place, and should not go on. */
[[nodiscard]] int netns_leave(struct netns_visit *visit);

#endif
