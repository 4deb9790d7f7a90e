/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Opening a line for a command, a socket or one over AF_XDP: what goes wrong is said.
 */
#ifndef BENCH_TUNNEL_LINE_OPEN_H
#define BENCH_TUNNEL_LINE_OPEN_H

#include "bench/tunnel/line_socket.h"

/* 0, or -errno: it has said what, why, and what to do (bench_error()). */
[[nodiscard]] int line_open(const struct line_socket_config *config, struct line **ret_line);

#endif
