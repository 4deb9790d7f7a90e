/* SPDX-License-Identifier: BSD-3-Clause
 *
 * JSON text, written from front to back, for what we send: members in the order of the calls.
 *
 * Owner:  json_writer_fini() frees the text and wipes it, since requests hold auth keys.
 * Errors: running out of memory is remembered; look once, at the end (json_writer_finish()).
 */
#ifndef LIB_TAILNET_JSON_WRITER_H
#define LIB_TAILNET_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer { /* zeros: begin */
	char *text;
	size_t len, room;
	bool needs_comma;
	int err;
};

/* A name of NULL is for elements of an array, and for the outermost value. */
void json_write_open(struct json_writer *w, const char *name, char bracket); /* '{' or '[' */
void json_write_close(struct json_writer *w, char bracket);                  /* '}' or ']' */
void json_write_text(struct json_writer *w, const char *name, const char *text);
void json_write_int(struct json_writer *w, const char *name, int64_t number);
void json_write_bool(struct json_writer *w, const char *name, bool value);
void json_write_null(struct json_writer *w, const char *name);
/* Base64 with padding; NULL or empty: null. */
struct octets;
void json_write_octets(struct json_writer *w, const char *name, const struct octets *octets);
/* Seconds from microseconds, as a number with a fraction. */
void json_write_micros(struct json_writer *w, const char *name, int64_t us);

/* With as many digits as bring the same number back; what is no number: null. */
void json_write_double(struct json_writer *w, const char *name, double number);
/* A value that is JSON text already. */
void json_write_raw(struct json_writer *w, const char *name, const char *text);

/*
 * Forget the text so far, which the caller has passed on; what follows continues it.  For texts
 * that are never in memory as a whole.
 */
void json_writer_continue(struct json_writer *w);

/*
 * The text, with its terminating zero: the writer's, until json_writer_fini().
 * 0 or -ENOMEM.
 */
[[nodiscard]] int json_writer_finish(struct json_writer *w, const char **ret_text, size_t *ret_len);

void json_writer_fini(struct json_writer *w);

#endif
