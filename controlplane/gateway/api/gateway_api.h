/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The local API of `sluice-controlplane`: a UNIX stream socket, one JSON object per line each way.
 *
 *     {"cmd":"version"}   {"ok":true,"version":"0.1.0"}
 *     {"cmd":"reload"}    {"ok":true,"warnings":["..."]}   when it is in force
 *     {"cmd":"status"}    {"ok":true,"status":{...}}
 *     anything wrong      {"ok":false,"error":{"what":"...","why":"...","do":"..."}}
 *
 * A client may ask again after the answer.  Requests are at most GATEWAY_API_MAX_REQUEST bytes
 * long; a client that does not take its answer within 10 s is dropped.  For a configuration that
 * was refused, "why" holds the lines "file:line:column: what; why; what to do".
 *
 * The object under "status" (null where there is no value; times are seconds, counts since the
 * start of the keeper):
 *
 *     version, uptime_s, attached (to a data plane), generation, settled (what is wanted is in
 * force) processes     {"keeper":{"pid"}, "forwarder":{"pid","starts","uptime_s"},
 * "controlplane":{"pid","uptime_s"}} interface     {"name","mtu","up"} public_key, listen_port,
 * routing_table forwarding    {"ipv4","ipv6"}: "switched on" (by us), "found on", "off"
 *     memory_locked {"controlplane","dataplane"}: keys cannot be swapped out
 *     aead, notes   [sentences]
 *     handshakes    counters of messages by what became of them
 *     sessions      slots in use
 *     peers
 * [{"name","public_key","endpoint","local_address","last_handshake_age_s","session_age_s",
 *               "session_role" ("initiator","responder"),"handshake"
 * ("none","waiting","installing", "given
 * up"),"persistent_keepalive_s","rx_bytes","tx_bytes","rx_packets","tx_packets",
 *               "last_rx_age_s","last_tx_age_s"}]
 *     ports   [{"name","driver","note","rx_packets","rx_bytes","tx_packets","tx_bytes","rx_calls",
 *               "tx_calls","rx_dropped","tx_dropped"}]
 *     workers [{"core" (-1: not pinned),"running","packets","bursts","sleeps","cycles_per_packet"
 *               (TSC cycles; null before the first packet),"idle_share" (0 to 1)}]
 *     drops   {reason: count}
 *
 * Without a data plane, `processes` has null pids for it, and workers, ports and drops are empty.
 */
#ifndef CONTROLPLANE_GATEWAY_API_GATEWAY_API_H
#define CONTROLPLANE_GATEWAY_API_GATEWAY_API_H

#define GATEWAY_API_SOCKET_NAME "control.sock" /* in the run directory, mode 0660 */
#define GATEWAY_API_MAX_REQUEST 4096

#define GATEWAY_API_CMD_STATUS  "status"
#define GATEWAY_API_CMD_RELOAD  "reload"
#define GATEWAY_API_CMD_VERSION "version"

#endif
