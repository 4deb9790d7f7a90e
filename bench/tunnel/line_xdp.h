/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A line over AF_XDP: datagrams leave and come as single Ethernet frames, as a network card would
 * carry them.  (Over veth a socket's super-packets reach the device under test in one piece, and
 * what it does with one is not what it would do with fifty.)  IPv4 without options.
 *
 * Beside it stands an ordinary socket of the same address and port, which sends what is not of a
 * burst, and receives what the program lets pass.
 *
 * Thread: as the socket's, and all lines of one interface send in one thread, and receive in one.
 */
#ifndef BENCH_TUNNEL_LINE_XDP_H
#define BENCH_TUNNEL_LINE_XDP_H

#include "bench/tunnel/line_socket.h"

/*
 * socket:  opened with this configuration, whose `interface` is set; taken over on success.
 * config:  its strings are borrowed until the line is closed.
 *
 * 0; or -errno, said with bench_error().
 */
[[nodiscard]] int
line_xdp_open(const struct line_socket_config *config, struct line *socket, struct line **ret_line);

#endif
