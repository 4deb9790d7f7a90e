/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Values of an answer as text for people.
 *
 * Thread: one.  What is returned belongs to the JSON or to the caller's buffer.
 */
#ifndef CONTROLPLANE_CLI_SHOW_H
#define CONTROLPLANE_CLI_SHOW_H

#include <stdbool.h>

#include <jansson.h>

#define SHOW_LEN 64

/* A member, or what stands for one that is missing, null, empty or of another kind. */
json_int_t show_number(const json_t *object, const char *key);
const char *show_text(const json_t *object, const char *key, const char *missing);
bool show_bool(const json_t *object, const char *key);

/* 1234567 -> "1.2 MiB" */
const char *show_bytes(json_int_t n, char out[static SHOW_LEN]);
/* Seconds: null -> `missing`; 75 -> "1m15s" */
const char *show_age(const json_t *value, const char *missing, char out[static SHOW_LEN]);
/* Milliseconds: 12.3 -> "12.3ms", 0.25 -> "0.25ms", 1234 -> "1.234s" */
const char *show_latency(const json_t *value, const char *missing, char out[static SHOW_LEN]);

/* The items of an array of texts, with `between` between them, on stdout. */
void show_list(const json_t *array, const char *between);

/*
 * Names come from a server and from other machines: take control characters out of every text, so
 * that none of them can talk to the terminal.
 */
void show_clean(json_t *value);

/* The answer as JSON on stdout, without "ok". */
void show_json(json_t *answer);

#endif
