/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The gateway's local API: one JSON object a line, question and answer, over a UNIX stream socket.
 *
 *     {"cmd":"status"}    {"ok":true, and the keys below}; with "peers":false both lists of peers
 *                         are left out: for those that ask often
 *     {"cmd":"reload"}    {"ok":true,"summary":"...","warnings":["..."]}   when it is in force
 *     {"cmd":"version"}   {"ok":true,"version":"..."}
 *     {"cmd":"flows"}     {"ok":true,"flows":[{"protocol" ("tcp", "udp", "icmp", "icmp6", or a
 *                         number as text),"state" ("new", "open", "closing"),"inside","outside"
 *                         (null: not translated),"remote" (address and port, or identifier),
 *                         "age_s","idle_s"}],"flows_left_out": how many more there are}
 *   * {"cmd":"capture","target":"address, name or key of a peer" (all, without it),"port":0}
 *                         {"ok":true,"snap_len"} and then, until the client leaves, lines
 *                         {"packets":[{"time_ns" (since 1970),"where" ("from tunnel", "to tunnel",
 *                         "dropped"),"peer" (name or null),"port" (it came by, or null),"reason"
 *                         (dropped: why; else null),"len" (of the packet),"kind" ("ip", "udp
 *                         payload", "frame"),"data" (hexadecimal digits)}],"lost": packets that
 *                         came too fast to be told since the line before}.  "port": of TCP or UDP,
 *                         either side; 0 any.  One client at a time.
 *     anything wrong      {"ok":false,"error":{"what":"...","why":"...","do":"..."}}
 *
 * A client may ask again after the answer.  One that does not take its answer within 10 s is
 * dropped.  For a configuration that was refused, "why" holds lines "file:line:column: what; why;
 * what to do".
 *
 * Who may write to the socket may ask for anything that only reads; what changes something (marked
 * with *) is for root and for the user that the control plane runs as (SO_PEERCRED).
 *
 * In a tailnet, too (a gateway with a `wireguard:` section answers them with an error):
 *
 *   * {"cmd":"up","prefs":{...},"reset":bool,"auth_key":"...","force_reauth":bool}
 *         Be connected, registering first if need be.  "prefs" has what was mentioned; with "reset"
 *         everything else becomes its default.  Without "reset" nothing else changes: whether a
 *         person must mention it is the command line's affair.  auth_key is kept in memory, until
 *         it was used.  "force_reauth": register with a new node key also when we are registered.
 *         {"ok":true,"warnings":["..."]} at once; how it goes on is in the status: "state",
 *         "phase", "auth_url", "error".  The error of an earlier attempt is gone by the answer.
 *   * {"cmd":"login", the same as up}      up with "force_reauth"
 *   * {"cmd":"down"}                       {"ok":true}  leave, keep the registration
 *   * {"cmd":"logout"}                     {"ok":true,"warnings":["..."]}  expire the node key at
 *         the server, forget it here; a server that could not be told is a warning
 *   * {"cmd":"set","prefs":{...}}          {"ok":true,"warnings":["..."]}
 *     {"cmd":"ping","target":"address, name or node key","type":"disco","size":0,"timeout_ms":5000}
 *         type: "disco", "tsmp", "icmp", "peerapi"; size: bytes of the message, 0 its own.
 *         {"ok":true,"pong":{"name","address" (in the tailnet),"latency_ms","endpoint" (direct, or
 *         null),"region" (number, 0 for none),"region_code","peer_api_port" (peerapi, else 0),
 *         "is_self"}}; "pong" is null when none came in time.  Who is not known is an error.
 *     {"cmd":"netcheck"}                   {"ok":true,"netcheck":{as in the status}}, after a full
 *         round of probes, up to 10 s
 *     {"cmd":"whois","target":"address, address:port, name or node key"}
 *         {"ok":true,"node":{as in "peers" below, "stable_id"},"user":{"id","login_name",
 *         "display_name"} or null,"capabilities":{name: [values]}}
 *     {"cmd":"map"}      {"ok":true,"map":{...}}  the tailnet as we know it; its form may change
 *     {"cmd":"derp"}     {"ok":true,"home_region","regions":[{"id","code","name","state","node"
 *         (in use),"rx_bytes","tx_bytes","tx_dropped" (packets that its connection was too slow
 * for), "latency_ms","nodes":[{"name","host_name","ipv4","ipv6","derp_port","stun_port",
 *         "stun_only"}]}]}; state: for people, "" for one without connection
 *     {"cmd":"paths"}    {"ok":true,"peers":[{"name","node_key","home_region","direct" (endpoint),
 *         "local","latency_ms","trusted_ms" (left),"relay" (bool),"region","active" (bool),
 *         "candidates":[{"endpoint","sources":["map","call-me-maybe","ping"],"latency_ms",
 *         "ping_age_ms","pong_age_ms"}]}]}: those that a path was looked for, 256 at most; null
 *         where there is no value
 *
 * "prefs": login_server, hostname (text; "" the host's own), accept_routes, accept_dns, shields_up,
 * snat_subnet_routes (bool), advertise_routes (["prefix"]), advertise_tags (["tag:name"]), ca_file
 * (an absolute name; "" none besides the system's).  What the file's `tailnet:` section gives
 * cannot be changed: an error that names the line, unless it is what the file says.
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
 *     ports   [{"name","driver" ("host", "kernel", "af_xdp"),"mode" (of af_xdp: "zero copy",
 *               "copy", "generic"),"queues","roles":["wan","lan"],"up","mtu","device" (the kernel's
 *               driver),"why" (no better driver or mode, or null),"rx_packets","rx_bytes",
 *               "tx_packets","tx_bytes","rx_calls","tx_calls","rx_dropped","tx_dropped",
 *               "steered_out" (by the XDP program),"handed_over" (to the worker that has the
 *               queue)}]; interfaces that the kernel serves for us are among them, without counters
 *     next_hops [{"address","interface","mac","state" ("asked", "failed", "reachable")}]
 *     next_hops_left_out  how many more there are
 *     workers [{"core" (null: not pinned),"running","packets","known_flows" (of the
 *               packets: took the short way between tunnel and LAN),"bursts","sleeps",
 *               "cycles_per_packet" (TSC ticks; null before the first),"idle_share" (0 to 1)}]
 *     drops   {reason: count}
 *     tailnet {...}, null with a `wireguard:` section
 *
 * Keys of "tailnet":
 *
 *     state      "NeedsLogin", "NeedsMachineAuth", "Stopped", "Starting", "Running"
 *     auth_url   where a person logs in, or null
 *     server     the login server in use;  connected (to it),  phase (a sentence fragment: "asking
 *                the server for its key", ...)
 *     from_disk  the map is the last one known, the server has not confirmed it yet
 *     error      {"what","why","do","final" (bool: it will not be tried again by itself)} or null
 *     warnings   [sentences]
 *     domain, magic_dns_suffix, user (login name)
 *     prefs      as above, every one;  prefs_from_file {name: line}: those that the file fixes
 *     self       {"name","host_name","addresses":[],"node_key","key_expiry" (RFC 3339 or null),
 *                "tags":[],"home_region","home_region_code","endpoints":[]}
 *     routes     [{"prefix","advertised","approved","primary" (bool),"primary_elsewhere" (name of
 *                another node that serves it, or null),"reachable" (bool; null: not looked yet),
 *                "interface" (null: several, or none),"driver","mode" (as of ports)}]: what we
 *                offer, and what is approved though we do not offer it any more
 *     accepted_routes
 *                [{"prefix","from" (name),"primary" (bool),"used" (bool),"note" (why not, or "")}]:
 *                what others offer
 *     netcheck   null before the first report, or {"age_s","udp","ipv4","ipv6" (bool),"global_v4",
 *                "global_v6" (endpoint or null),"mapping_varies" (bool or null),"port_mapping":
 *                ["UPnP","NAT-PMP","PCP"],"mapped" (endpoint or null),"preferred_region",
 *                "regions":[{"id","code","name","latency_ms","latency_v4_ms","latency_v6_ms",
 *                "latency_https_ms"}],"report":{the same with tailscale's names and units}};
 *                latencies are null where nothing answered
 *     peers      [{"name","host_name","addresses","node_key","os","user" (login name),"tags",
 *                "online" (bool or null),"last_seen" (RFC 3339 or null),"key_expiry","expired",
 *                "routes":[] (subnets in use through it),"path":{"kind" ("direct", "relay", "both",
 *                "none"),"endpoint","region","region_code","latency_ms"},"home_region",
 *                "home_region_code","active" (traffic or attempts within two minutes),"rx_bytes",
 *                "tx_bytes","last_handshake_age_s","note" (why it is no peer of ours, or "")}]
 *
 * Without a data plane its pids are null, and workers, ports and drops are empty.
 *
 * What the command line and the control plane both include; nothing else of either crosses.
 */
#ifndef CONTROLPLANE_GATEWAY_GATEWAY_API_H
#define CONTROLPLANE_GATEWAY_GATEWAY_API_H

#define GATEWAY_API_SOCKET      "control.sock" /* in the run directory; mode 0660 */
#define GATEWAY_API_MAX_REQUEST 32768          /* bytes of a question, newline included */

#endif
