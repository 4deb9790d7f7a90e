/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Requests of the server to this node: HTTP/1.1 inside a message of the map.
 *
 * Source: ../shared/protocol/control.md 8.3.
 * Owner:  the caller frees the answer.  Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_C2N_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_C2N_H

#include <stddef.h>

/*
 * The whole HTTP answer: /echo gives the request's body back; everything else is answered by 400.
 * NULL: no memory.
 */
char *c2n_answer(const char *request, size_t len, size_t *ret_len);

#endif
