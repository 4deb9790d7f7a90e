/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The programs' log: one line per call on stderr, "sluice-controlplane[level] text", with the
 * monotonic journal prefix "<N>" when systemd reads us.  For the programs only: lib/ and the packet
 * path return or count, and never log.  Lines are lower-case sentences followed by key=value.
 * Nothing secret is ever formatted.
 */
#ifndef LIB_BASE_LOG_H
#define LIB_BASE_LOG_H

enum log_level {
	LOG_LEVEL_ERR,     /* someone must act */
	LOG_LEVEL_WARNING, /* we go on, and the line says so */
	LOG_LEVEL_NOTICE,  /* start, stop, changes of state */
	LOG_LEVEL_INFO,    /* decisions */
	LOG_LEVEL_DEBUG,
};

/*
 * Set once in main(), before other threads.  `program` is borrowed for ever.  Lines above `max`
 * are not written.  SLUICE_LOG=err|warning|notice|info|debug in the environment overrides `max`.
 */
void log_init(const char *program, enum log_level max);

void log_line(enum log_level level, const char *tag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One tag per file: #define LOG_TAG "handshake" above the includes. */
#define log_err(...)     log_line(LOG_LEVEL_ERR, LOG_TAG, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, LOG_TAG, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, LOG_TAG, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, LOG_TAG, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, LOG_TAG, __VA_ARGS__)

#endif
