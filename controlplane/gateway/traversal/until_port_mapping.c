/* SPDX-License-Identifier: BSD-3-Clause
 *
 * No router is asked, until port_mapping/ is there.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "controlplane/gateway/traversal/port_mapping/port_mapping.h"

struct port_mapping {
	int fd;
};

int
port_mapping_create(
	const struct port_mapping_calls *calls, uint32_t mark, struct port_mapping **ret)
{
	struct port_mapping *pm = calloc(1, sizeof(*pm));

	(void)calls;
	(void)mark;
	if (pm == NULL)
		return -ENOMEM;
	pm->fd = epoll_create1(EPOLL_CLOEXEC);
	*ret = pm;
	return 0;
}

void
port_mapping_destroy(struct port_mapping *pm)
{
	if (pm != NULL)
		close(pm->fd);
	free(pm);
}

void
port_mapping_start(struct port_mapping *pm, uint16_t local_port, struct mono now)
{
	(void)pm;
	(void)local_port;
	(void)now;
}

void
port_mapping_stop(struct port_mapping *pm)
{
	(void)pm;
}

void
port_mapping_network_changed(struct port_mapping *pm, struct mono now)
{
	(void)pm;
	(void)now;
}

struct mono
port_mapping_dispatch(struct port_mapping *pm, struct mono now)
{
	(void)pm;
	(void)now;
	return (struct mono){};
}

int
port_mapping_fd(const struct port_mapping *pm)
{
	return pm->fd;
}
