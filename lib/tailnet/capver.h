/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The capability version that we claim: in the handshake's prologue, in GET /key?v=, in register
 * and map requests.  One number, the same everywhere.
 *
 * docs/capability-version.md says what each number up to this one obliges us to.
 * Source: ../shared/protocol/control.md 5.2 and appendix A.
 */
#ifndef LIB_TAILNET_CAPVER_H
#define LIB_TAILNET_CAPVER_H

#define TAILNET_CAPVER 116

#endif
