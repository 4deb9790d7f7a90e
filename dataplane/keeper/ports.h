/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ports that carry frames, as the keeper has them: opened and closed when the control plane asks,
 * held so that the next forwarder joins them where its predecessor died.
 *
 * Source: docs/shm-abi.md, "Ports".
 * Owner:  the keeper.  Open ports are in its forwarder_setup, which every forwarder inherits.
 * Thread: the keeper's only one.
 */
#ifndef DATAPLANE_KEEPER_PORTS_H
#define DATAPLANE_KEEPER_PORTS_H

#include <stdbool.h>

#include "config/gateway.h"
#include "dataplane/forwarder.h"
#include "dataplane/keeper/link.h"
#include "lib/shm/shm_abi.h"

struct steer;

/* Rows 0 and 1 of state.ports are the UDP sockets and the TUN. */
#define PORTS_FIRST_ROW 2u

enum port_state {
	PORT_FREE,
	PORT_JOINING, /* open; the forwarder was told, or the next one will find it */
	PORT_OPEN,
	PORT_LEAVING, /* the forwarder was told that it goes */
};

struct ports {
	struct steer *steer; /* NULL: no port can be opened, and `why_none` says why */
	char why_none[XDP_WHY_LEN];
	void *packets; /* the packet buffers, mapped here to be registered */
	struct {
		enum port_state state;
		bool asked; /* the control plane waits for an answer */
	} of[SHM_MAX_PORTS];
};

/*
 * Load the steer program and make what forwarders need of it.  A failure is noted and logged, and
 * the kernel's own ports go on; a configuration that wants no other is no failure.
 */
void
ports_begin(struct ports *p, const struct config_gateway *config, struct forwarder_setup *setup);

/* Close everything: programs leave their devices. */
void ports_end(struct ports *p, struct forwarder_setup *setup);

/* In the forwarder's process, right after fork(): what only the keeper may have is closed. */
void ports_leave(struct ports *p, struct forwarder_setup *setup);

/* Capabilities that opening ports takes from now on, a bit for each. */
uint64_t ports_capabilities(const struct ports *p);

/*
 * The control plane asked to open or close a port.  link: to the forwarder, or -1.  True: *ret is
 * the answer; false: it comes out of ports_heard() or ports_forwarder_gone() later.
 */
bool ports_asked(struct ports *p,
	struct forwarder_setup *setup,
	const struct shm_attach *msg,
	int link,
	struct shm_attach *ret);

/* The connection that asked ended: nobody waits for answers.  Ports stay as they are. */
void ports_forget_asked(struct ports *p);

/* A message of the forwarder; also its READY.  `answer` is called for each answer that is due. */
typedef void (*ports_answer)(void *context, const struct shm_attach *answer);
void ports_heard(struct ports *p,
	struct forwarder_setup *setup,
	const struct link_message *msg,
	int link,
	ports_answer answer,
	void *context);

/* It died: what it was told to give up is closed, the rest waits for its successor. */
void ports_forwarder_gone(struct ports *p,
	struct forwarder_setup *setup,
	ports_answer answer,
	void *context);

#endif
