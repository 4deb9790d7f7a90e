/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What became of datagrams as such, as JSON: counters of the ends and their lines.
 */
#ifndef BENCH_TUNNEL_WIRE_JSON_H
#define BENCH_TUNNEL_WIRE_JSON_H

#include <jansson.h>

#include "bench/tunnel/clear_end.h"
#include "bench/tunnel/tunnel_end.h"

/* Either end may be NULL: its part is missing then. */
json_t *wire_json(const struct tunnel_end *tunnel, const struct clear_end *clear);

#endif
