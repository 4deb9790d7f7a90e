/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The commands that are Python scripts.
 *
 * They lie in SLUICE_BENCH_SCRIPTS if that is set; beside the sources when the program runs from
 * its build folder; else where they were installed.  In their environment SLUICE_BENCH is the path
 * of this program, and SLUICE_BIN, unless it was set already, the prefix or build folder that it
 * lies in.
 */
#ifndef BENCH_SCRIPT_H
#define BENCH_SCRIPT_H

/*
 * Become `python3 FOLDER/path argv[1] ...`; path as in "compare/compare.py".  Returns only when
 * that cannot be (said): BENCH_FAILED.
 */
int script_run(const char *path, int argc, char **argv);

#endif
