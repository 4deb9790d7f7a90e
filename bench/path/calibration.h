/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A fixed piece of work that resembles the packet path, to measure it against: the gate compares
 * ratios, so that neither the core's clock nor, much, its model count.
 *
 * Per unit, as the path does per packet and stage: three lines of tables of 1,000 rows are fetched
 * at the place that a hash of the last header says and then looked at (64 in flight, dependent on
 * what was read), a small header is checked with branches that are taken one way, a descriptor of a
 * line is written, and counters are added to.  No vectors, no multiplication chains longer than
 * those of the path: a core that runs the path at a higher rate runs this at a higher rate.
 *
 * Owner: whoever created it.  Thread: one.
 */
#ifndef BENCH_PATH_CALIBRATION_H
#define BENCH_PATH_CALIBRATION_H

#include <stdint.h>

struct calibration; /* opaque: tables of 200 KiB */

[[nodiscard]] int calibration_create(struct calibration **ret);
void calibration_destroy(struct calibration *c);

/* Run n bursts of 64 units.  Returns TSC ticks per unit. */
double calibration_run(struct calibration *c, unsigned n);

#endif
