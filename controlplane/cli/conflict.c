/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source for what tailscaled leaves on a host: ../shared/protocol/peer.md 10.1 (rules to table 52)
 * and 10.2 (it drops what comes from 100.64.0.0/10 by any other interface).
 */

#include "controlplane/cli/conflict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAILSCALE_TABLE 52
#define PATH_LEN        300
#define DUMP_BYTES      16384
#define DUMP_ROUNDS     256 // more than any host has rules

// The first bytes of /proc/PID/NAME; its zero bytes become spaces.
static bool
read_proc(const char *pid, const char *name, char *text, size_t size)
{
	char path[PATH_LEN];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return false;
	text[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	return true;
}

static bool
is_in_our_network(const char *pid)
{
	char path[PATH_LEN];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	return stat("/proc/self/ns/net", &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static bool
is_number(const char *text)
{
	return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

// One that has no interface, routes or rules is nobody's rival.
static bool
is_tailscaled(const char *pid)
{
	char text[4096];

	if (!read_proc(pid, "comm", text, sizeof(text)) || strcmp(text, "tailscaled\n") != 0)
		return false;
	if (!read_proc(pid, "cmdline", text, sizeof(text)) || text[0] == '\0')
		return false; // dead, not yet gathered
	return strstr(text, "userspace-networking") == NULL && is_in_our_network(pid);
}

// The number of the first process that `is` recognizes, 0 without one.
static long
find_process(bool (*is)(const char *pid))
{
	const struct dirent *entry;
	long found = 0;
	DIR *proc = opendir("/proc");

	if (proc == NULL)
		return 0;
	while (found == 0 && (entry = readdir(proc)) != NULL)
		if (is_number(entry->d_name) && is(entry->d_name))
			found = atol(entry->d_name);
	closedir(proc);
	return found;
}

static uint32_t
table_of_rule(const struct nlmsghdr *message)
{
	const struct fib_rule_hdr *rule = NLMSG_DATA(message);
	int len = (int)message->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*rule));
	const struct rtattr *a =
		(const struct rtattr *)((const char *)rule + NLMSG_ALIGN(sizeof(*rule)));
	uint32_t table = rule->table;

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == FRA_TABLE && RTA_PAYLOAD(a) >= sizeof(table))
			memcpy(&table, RTA_DATA(a), sizeof(table));
	return table;
}

// -1: the dump goes on; else the answer.
static int
search_messages(const void *data, int len)
{
	for (const struct nlmsghdr *m = data; NLMSG_OK(m, (unsigned)len); m = NLMSG_NEXT(m, len)) {
		if (m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR)
			return 0;
		if (m->nlmsg_type == RTM_NEWRULE && table_of_rule(m) == TAILSCALE_TABLE)
			return 1;
	}
	return -1;
}

static bool
has_rules_of_tailscaled(void)
{
	struct {
		struct nlmsghdr header;
		struct fib_rule_hdr rule;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_GETRULE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
	};
	static char answer[DUMP_BYTES] __attribute__((aligned(8)));
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int found = -1;

	if (sock < 0)
		return false;
	if (send(sock, &request, sizeof(request), 0) < 0)
		found = 0;
	for (int round = 0; found < 0 && round < DUMP_ROUNDS; round++) {
		ssize_t n = recv(sock, answer, sizeof(answer), 0);

		found = n <= 0 ? 0 : search_messages(answer, (int)n);
	}
	close(sock);
	return found == 1;
}

bool
conflict_with_tailscaled(const char *command)
{
	long pid = find_process(is_tailscaled);

	if (pid != 0) {
		fprintf(stderr,
			"sluice %s: tailscaled runs on this host (pid %ld); it routes "
			"100.64.0.0/10 "
			"to itself and drops what comes from there by another interface, so one of "
			"the two would not work; stop it (systemctl disable --now tailscaled), or "
			"add --accept-risk=tailscaled if you know better\n",
			command, pid);
		return true;
	}
	if (has_rules_of_tailscaled())
		fprintf(stderr,
			"sluice %s: warning: routing rules to table %d are on this host; a "
			"tailscaled that was killed leaves them, and packets for the tailnet may "
			"go astray; remove them with `tailscaled --cleanup`\n",
			command, TAILSCALE_TABLE);
	return false;
}

// Whether the port can be had; what cannot be found out is left to the daemon.
static bool
is_port_taken(int family, uint16_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct sockaddr *address =
		family == AF_INET6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
	socklen_t len = family == AF_INET6 ? sizeof(six) : sizeof(four);
	int sock = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;
	bool taken;

	if (sock < 0)
		return false;
	if (family == AF_INET6)
		setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	taken = bind(sock, address, len) < 0 && errno == EADDRINUSE;
	close(sock);
	return taken;
}

// The socket that has the port: its inode, 0 if it is not listed.
static unsigned long
inode_of_port(uint16_t port)
{
	static const char *const lists[] = { "/proc/net/udp", "/proc/net/udp6" };
	unsigned long found = 0;

	for (unsigned i = 0; i < 2 && found == 0; i++) {
		FILE *list = fopen(lists[i], "re");
		char line[512];
		unsigned local;
		unsigned long inode;

		if (list == NULL)
			continue;
		while (found == 0 && fgets(line, sizeof(line), list) != NULL)
			if (sscanf(line, "%*d: %*[0-9A-F]:%x %*s %*s %*s %*s %*s %*s %*s %lu",
				    &local, &inode) == 2 &&
				local == port)
				found = inode;
		fclose(list);
	}
	return found;
}

static unsigned long wanted_inode; // of has_socket(), which find_process() calls

static bool
has_socket(const char *pid)
{
	char path[PATH_LEN], wanted[64], target[64];
	const struct dirent *entry;
	bool found = false;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", wanted_inode);
	fds = opendir(path);
	if (fds == NULL)
		return false;
	while (!found && (entry = readdir(fds)) != NULL) {
		ssize_t n = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		found = strcmp(target, wanted) == 0;
	}
	closedir(fds);
	return found;
}

bool
conflict_about_port(const char *command, uint16_t port, const char *option)
{
	char pid[32], name[64] = "another program\n";
	long holder = 0;

	if (!is_port_taken(AF_INET, port) && !is_port_taken(AF_INET6, port))
		return false;
	wanted_inode = inode_of_port(port);
	if (wanted_inode != 0)
		holder = find_process(has_socket);
	snprintf(pid, sizeof(pid), "%ld", holder);
	if (holder != 0)
		(void)read_proc(pid, "comm", name, sizeof(name));
	name[strcspn(name, "\n")] = '\0';
	fprintf(stderr,
		"sluice %s: UDP port %u is in use by %s%s%s%s; a gateway needs it for itself; end "
		"that program, or write `%s: PORT` with another one into the configuration\n",
		command, port, name, holder != 0 ? " (pid " : "", holder != 0 ? pid : "",
		holder != 0 ? ")" : "", option);
	return true;
}
