/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One question to a running gateway over its local API, one answer.
 *
 * Source: controlplane/gateway/gateway_api.h.
 */
#ifndef CONTROLPLANE_CLI_ASK_H
#define CONTROLPLANE_CLI_ASK_H

#include <stdbool.h>

#include <jansson.h>

#define ASK_TIMEOUT_S 30

/*
 * Send a question to RUN_DIR's gateway and return its answer, which the caller releases.  `request`
 * is taken, also by a failure; its text is wiped.  A control plane that is just being restarted is
 * waited for, up to three seconds.
 *
 * NULL: it could not be asked, or said no; what, why and what to do are on stderr, behind
 * "sluice NAME: ".
 */
json_t *ask(const char *name, const char *run_dir, json_t *request, int timeout_s);

/*
 * A question that is answered by lines until one side ends.  ask_open() sends it and takes the
 * first answer; NULL as ask().
 */
struct ask_stream;
struct ask_stream *ask_open(const char *name, const char *run_dir, json_t *request);
/* The next line, the caller's; waits for it.  0; -EINTR: a signal came; -EPIPE: that was all; or
 * -errno. */
[[nodiscard]] int ask_next(struct ask_stream *stream, json_t **ret_line);
void ask_close(struct ask_stream *stream); /* NULL is fine */

/* {"cmd": command} */
json_t *ask_gateway(const char *name, const char *run_dir, const char *command);

/*
 * The same without a word: for those that ask again.  The answer may be an error: "ok" is false.
 * Returns 0, or -errno; -ENOENT and -ECONNREFUSED: no gateway is there.
 */
[[nodiscard]] int
ask_quietly(const char *run_dir, json_t *request, int timeout_s, json_t **ret_answer);

/* The three parts of an answer's error on stderr. */
void ask_print_error(const char *name, const json_t *error);

/* The sentences of an answer's "warnings" on stderr, a line each. */
void ask_print_warnings(const char *name, const json_t *answer);

/*
 * The status, of a gateway in a tailnet only: for one with a `wireguard:` section an error is
 * printed.  NULL as ask().
 */
json_t *ask_tailnet(const char *name, const char *run_dir, bool with_peers);

#endif
