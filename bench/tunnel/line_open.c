/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/line_open.h"

#include <errno.h>

#include "bench/harness/run.h"
#include "bench/tunnel/line_xdp.h"
#include "lib/base/err.h"

static const char *
step_advice(enum line_step step, int err)
{
	switch (step) {
	case LINE_STEP_NETNS:
		if (err == -ENOENT)
			return "make the namespace, or correct its name (`ip netns list`)";
		return "only root of this machine, or of a user namespace that owns the network "
		       "namespace, may enter it";
	case LINE_STEP_BIND:
		if (err == -EADDRINUSE)
			return "another program has the port: choose another --listen or --port";
		return "the address must be one of this machine's, in that namespace";
	case LINE_STEP_CONNECT:
		return "there must be a route to that address, in that namespace";
	case LINE_STEP_SOCKET:
		break;
	}
	return "see that this kernel has UDP and that family of addresses";
}

static const char *
step_text(enum line_step step)
{
	static const char *const texts[] = {
		[LINE_STEP_NETNS] = "cannot enter network namespace",
		[LINE_STEP_SOCKET] = "cannot make a UDP socket for",
		[LINE_STEP_BIND] = "cannot use address",
		[LINE_STEP_CONNECT] = "no way to",
	};

	return texts[step];
}

int
line_open(const struct line_socket_config *config, struct line **ret_line)
{
	const struct endpoint *shown;
	char text[ADDR_TEXT_LEN];
	enum line_step step;
	struct line *socket;
	int err = line_socket_open(config, &socket, &step);

	if (err == 0 && config->interface == NULL) {
		*ret_line = socket;
		return 0;
	}
	if (err == 0) {
		err = line_xdp_open(config, socket, ret_line);
		if (err < 0)
			line_close(socket);
		return err;
	}
	shown = step == LINE_STEP_BIND ? &config->local : &config->remote;
	bench_error(err_str(err), step_advice(step, err), "%s %s", step_text(step),
		step == LINE_STEP_NETNS           ? config->netns
		: shown->addr.family == ADDR_NONE ? "any address"
						  : endpoint_format(shown, text));
	return err;
}
