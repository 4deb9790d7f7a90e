/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A coordination client with a server of tests/lib, and what it told, for the tests beside.
 *
 * The client's time is the machine's plus `ahead_ns`, so that two minutes need not be waited for.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_COORD_CLIENT_RIG_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_COORD_CLIENT_RIG_H

#include "controlplane/gateway/coord_client/coord_client.h"
#include "tests/lib/control_server.h"

struct rig {
	struct control_server *server;
	struct stream_set *streams;
	struct coord_client *client;
	struct control_server_setup setup;
	int64_t ahead_ns;

	/* What the client told. */
	enum coord_phase phase;
	struct coord_failure failure; /* the last one */
	unsigned n_failures, n_registered, n_maps, n_first, n_logged_out;
	size_t n_peers; /* of the last map */
	char auth_url[COORD_URL_LEN];
	bool expired, server_knows, alive;
	int map_answer; /* what map() returns */
	enum coord_register_reason last_reason;

	/* What the server saw; _Atomic: its threads write. */
	_Atomic unsigned n_register, n_stream, n_update, n_other;
	char last_body[65536]; /* of a register request, or of CONTROL_OTHER */
};

/* The first message of a map: a node of our own, and n_peers others.  malloc(). */
char *rig_map(size_t n_peers, size_t *ret_len);

/* What a good server says to a registration. */
#define RIG_AUTHORIZED                                                                      \
	"{\"User\":{\"ID\":1,\"DisplayName\":\"A\"},\"Login\":{\"ID\":1,\"Provider\":\"\"," \
	"\"LoginName\":\"a@example.com\",\"DisplayName\":\"A\"},\"NodeKeyExpired\":false,"  \
	"\"MachineAuthorized\":true,\"AuthURL\":\"\",\"NodeKeySignature\":null,\"Error\":\"\"}"

/* rig->setup is to be filled before; answer NULL: rig_answer(). */
void rig_start(struct rig *rig);
void rig_stop(struct rig *rig);

/* The good server: lets everybody in, sends a map of two peers, accepts updates. */
void rig_answer(void *rig, const struct control_request *request);

/* Turn the loop until it is true, or `ms` of real time are over; returns it. */
bool rig_until(struct rig *rig, bool (*is_true)(const struct rig *), int ms);
void rig_turn(struct rig *rig, int ms); /* for so long */

bool rig_has_map(const struct rig *rig);
bool rig_has_failed(const struct rig *rig);

#endif
