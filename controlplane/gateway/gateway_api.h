/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The gateway's local API: one JSON object a line, question and answer, over a UNIX stream socket.
 *
 *     {"cmd":"status"}    {"ok":true, and the keys below}
 *     {"cmd":"reload"}    {"ok":true,"summary":"...","warnings":["..."]}   when it is in force
 *     {"cmd":"version"}   {"ok":true,"version":"..."}
 *     anything wrong      {"ok":false,"error":{"what":"...","why":"...","do":"..."}}
 *
 * A client may ask again after the answer.  One that does not take its answer within 10 s is
 * dropped.  For a configuration that was refused, "why" holds lines "file:line:column: what; why;
 * what to do".
 *
 * Keys of the status (null where there is no value; ages and times are seconds, counts since the
 * start of the keeper):
 *
 *     version, uptime_s, attached (to a data plane), generation, settled (all that is wanted is in
 *                   force)
 *     processes     {"run":{"pid"}, "keeper":{"pid"}, "forwarder":{"pid","starts","uptime_s"},
 *                    "controlplane":{"pid","uptime_s"}}
 *     interface     {"name","mtu","up"}
 *     public_key, listen_port, routing_table
 *     forwarding    {"ipv4","ipv6"}: "switched on" (by us), "found on", "off"
 *     memory_locked {"controlplane","dataplane"}: keys cannot be swapped out
 *     aead_backend  the cipher's back end, for most sizes of packets in full bursts
 *     aead    {"reason" ("fastest", "forced", "only one"), "backends":{name: "works", "missing" (in
 *              this CPU or build), "wrong" (in its answers)}, the most preferred first,
 *              "classes":[{"direction" ("seal", "open"), "burst_min" (packets, up to the next
 *              class's), "size_max" (bytes of a packet), "in_use" (name), "ns_per_packet":{name:
 *              measured at start; empty if nothing was}}]}
 *     notes   [sentences]
 *     handshakes    {what became of a message: count}
 *     sessions      slots in use
 *     peers   [{"name","public_key","endpoint","local_address","last_handshake_age_s",
 *               "session_age_s","session_role" ("initiator", "responder"),"handshake" ("none",
 *               "waiting", "installing", "given up"),"persistent_keepalive_s","rx_bytes",
 *               "tx_bytes","rx_packets","tx_packets","last_rx_age_s","last_tx_age_s"}]
 *     ports   [{"name","driver","note","rx_packets","rx_bytes","tx_packets","tx_bytes","rx_calls",
 *               "tx_calls","rx_dropped","tx_dropped"}]
 *     workers [{"core" (null: not pinned),"running","packets","bursts","sleeps",
 *               "cycles_per_packet" (TSC ticks; null before the first),"idle_share" (0 to 1)}]
 *     drops   {reason: count}
 *
 * Without a data plane its pids are null, and workers, ports and drops are empty.
 *
 * What the command line and the control plane both include; nothing else of either crosses.
 */
#ifndef CONTROLPLANE_GATEWAY_GATEWAY_API_H
#define CONTROLPLANE_GATEWAY_GATEWAY_API_H

#define GATEWAY_API_SOCKET      "control.sock" /* in the run directory; mode 0660 */
#define GATEWAY_API_MAX_REQUEST 4096           /* bytes of a question, newline included */

#endif
