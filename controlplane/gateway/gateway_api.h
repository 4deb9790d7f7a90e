/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The gateway's local API: one JSON object a line, question and answer, over a UNIX stream socket.
 *
 *     {"cmd": "status"}   ->  {"ok": true, ...}   keys: see tests/lab/README.md and
 * sluice-status(1)
 *     {"cmd": "reload"}   ->  {"ok": true, "summary": "..."}
 *     {"cmd": "version"}  ->  {"ok": true, "version": "..."}
 *     anything wrong      ->  {"ok": false, "error": {"what": "...", "why": "...", "do": "..."}}
 *
 * What the command line and the control plane both include; nothing else of either crosses.
 */
#ifndef CONTROLPLANE_GATEWAY_GATEWAY_API_H
#define CONTROLPLANE_GATEWAY_GATEWAY_API_H

#define GATEWAY_API_SOCKET      "control.sock" /* in the run directory; mode 0660 */
#define GATEWAY_API_MAX_REQUEST 4096           /* bytes of a question, newline included */

#endif
