/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which ports a member tries for its PeerAPI: the same each time, so that what others remember
 * still holds.
 *
 * Source: ../shared/protocol/peer.md 6.1 and Appendix C.  Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_PEER_API_PORT_H
#define CONTROLPLANE_GATEWAY_PEER_API_PORT_H

#include <stdint.h>

#include "lib/net/addr.h"

#define PEER_API_PORT_TRIES 5 /* then any port */

uint16_t peer_api_port_of(const struct addr *a, unsigned attempt);

#endif
