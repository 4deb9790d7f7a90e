/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A story of ports: wanted, refused, opened, closed by others, given up.
 */

#include "controlplane/gateway/publish/ports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/shm/channel.h"
#include "tests/lib/tap.h"

static struct mono
at(int64_t s)
{
	return (struct mono){ (uint64_t)((1000 + s) * NS_PER_S) };
}

static struct network
network_of(bool lan_is_wanted, bool lan_is_up)
{
	struct network n = { .n_ports = 2 };

	n.ports[0] = (struct network_port){
		.ifindex = 2, .name = "eth0", .up = true, .carrier = true, .is_wanted = true
	};
	n.ports[1] = (struct network_port){ .ifindex = 3,
		.name = "lan0",
		.up = true,
		.carrier = lan_is_up,
		.is_wanted = lan_is_wanted };
	return n;
}

// "open eth0" or "close 3" or "": what is asked next.
static const char *
next(struct ports *p, struct mono now)
{
	static char text[64];
	struct shm_attach m;

	if (!ports_next(p, now, &m))
		return "";
	snprintf(text, sizeof(text), "%s %s", m.kind == SHM_ATTACH_OPEN_PORT ? "open" : "close",
		m.name);
	return text;
}

static void
answer(struct ports *p, uint32_t ifindex, uint32_t mode, const char *text, struct mono now)
{
	struct shm_attach m = shm_attach_message(SHM_ATTACH_PORT);

	m.ifindex = ifindex;
	m.mode = mode;
	memset(m.text, 'x', sizeof(m.text));
	strcpy(m.text, text);
	ports_answered(p, &m, now);
}

static const struct ports_view *
view(const struct ports *p, uint32_t ifindex)
{
	static const struct ports_view none;

	for (size_t i = 0; i < p->n; i++)
		if (p->rows[i].view.ifindex == ifindex)
			return &p->rows[i].view;
	return &none;
}

static void
test_story(struct shm_state *state)
{
	struct network network = network_of(true, true);
	struct ports p;

	ports_init(&p);
	ports_joined(&p, state, at(0));
	tap_text(next(&p, at(0)), "", "nothing is asked before the host has looked");
	ports_wish(&p, &network, at(1));
	tap_text(next(&p, at(1)), "open eth0", "what is wanted is asked for");
	tap_text(next(&p, at(1)), "open lan0", "all of it");
	tap_text(next(&p, at(1)), "", "once");
	answer(&p, 2, SHM_PORT_COPY, "the driver has no zero copy", at(2));
	tap_ok(view(&p, 2)->is_open && view(&p, 2)->mode == SHM_PORT_COPY, "one is opened");
	tap_text(view(&p, 2)->why, "the driver has no zero copy", "and said why not better");
	answer(&p, 3, SHM_PORT_SOCKETS, "another\nprogram", at(2));
	tap_ok(!view(&p, 3)->is_open, "the other is refused");
	tap_text(view(&p, 3)->why, "another?program", "with a reason that can be printed");
	tap_text(next(&p, at(3)), "", "it is not asked for again at once");
	tap_int(ports_due(&p).ns, (long long)at(7).ns, "but after five seconds");
	tap_text(next(&p, at(7)), "open lan0", "so it is");
	answer(&p, 3, SHM_PORT_SOCKETS, "still", at(7));
	tap_int(ports_due(&p).ns, (long long)at(17).ns, "and then less often");

	network = network_of(true, false);
	ports_wish(&p, &network, at(8));
	tap_text(next(&p, at(8)), "", "a link that goes down changes nothing");
	network = network_of(true, true);
	ports_wish(&p, &network, at(9));
	tap_text(next(&p, at(9)), "open lan0", "when it comes up it is tried again at once");
	answer(&p, 3, SHM_PORT_ZERO_COPY, "", at(9));
	tap_ok(mono_is_never(ports_due(&p)), "then all is well");

	network = network_of(false, true);
	ports_wish(&p, &network, at(10));
	tap_text(next(&p, at(10)), "close lan0", "what is not wanted any more is closed");
	answer(&p, 3, SHM_PORT_SOCKETS, "", at(10));
	tap_int(p.n, 1, "and forgotten");

	ports_look(&p, state, at(11));
	tap_ok(!view(&p, 2)->is_open, "a port that the data plane has lost is not open");
	tap_text(next(&p, at(11)), "open eth0", "and asked for again");
	tap_text(next(&p, at(12)), "", "once");
	tap_text(next(&p, at(22)), "open eth0", "an answer is not waited for for ever");
}

static void
test_joining(struct shm_state *state)
{
	struct network network = network_of(true, true);
	struct ports p;

	state->ports[2] = (struct shm_port_counters){
		.name = "lan0", .driver = "af_xdp", .ifindex = 3, .mode = SHM_PORT_COPY
	};
	state->ports[3] = (struct shm_port_counters){
		.name = "old0", .driver = "af_xdp", .ifindex = 9, .mode = 77
	};
	state->ports[4] =
		(struct shm_port_counters){ .name = "wire", .driver = "kernel", .ifindex = 4 };
	ports_init(&p);
	ports_joined(&p, state, at(0));
	tap_ok(view(&p, 3)->is_open && view(&p, 9)->is_open && p.n == 2,
		"who is new finds what is open");
	tap_text(next(&p, at(0)), "", "and leaves it alone until the host has looked");
	ports_wish(&p, &network, at(1));
	tap_text(next(&p, at(1)), "open lan0", "what is open and wanted is asked about");
	tap_text(next(&p, at(1)), "close old0", "what nobody wants is closed");
	tap_text(next(&p, at(1)), "open eth0", "what is missing is opened");
	ports_detached(&p);
	tap_ok(!view(&p, 3)->is_open && p.n == 2, "with the data plane all ports are gone");
	tap_text(next(&p, at(2)), "", "and there is nobody to ask");
	memset(state->ports, 0, sizeof(state->ports));
	ports_joined(&p, state, at(3));
	tap_text(next(&p, at(3)), "open lan0", "the next one is asked for all");
	tap_text(next(&p, at(3)), "open eth0", "of them");
}

static void
test_nonsense(struct shm_state *state)
{
	struct ports p;

	memset(state->ports, 0, sizeof(state->ports));
	for (size_t i = 0; i < SHM_MAX_PORTS; i++) {
		memset(&state->ports[i], 'x', sizeof(state->ports[i]));
		memcpy(state->ports[i].driver, "af_xdp", 7);
	}
	ports_init(&p);
	ports_joined(&p, state, at(0));
	tap_ok(p.n == 1 && p.rows[0].view.mode == SHM_PORT_GENERIC,
		"rows of nonsense stay bounded");
	answer(&p, 1234, SHM_PORT_COPY, "", at(1));
	tap_int(p.n, 1, "an answer about a port that nobody asked for is ignored");
}

int
main(void)
{
	struct shm_state *state = calloc(1, sizeof(*state));

	test_story(state);
	test_joining(state);
	test_nonsense(state);
	free(state);
	return tap_done();
}
