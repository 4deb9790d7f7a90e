/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A map written as one full MapResponse: map_response_parse() and netmap_apply() make the same map
 * of it again.
 *
 * Source: ../shared/protocol/control.md 5.4 to 5.14.
 * Owner:  everything is borrowed for the call.
 *
 * The text comes in pieces, one node at a time, so that it never has to be in memory as a whole.
 * What the map does not keep (members of Hostinfo that nobody uses, what is for once) is not in it.
 * The digests by which a map notices that something has changed are of the server's text: the first
 * message of a server reports relays, DNS and Hostinfo as changed once, compared with a map that
 * was read from this.
 */
#ifndef LIB_TAILNET_NETMAP_WRITE_H
#define LIB_TAILNET_NETMAP_WRITE_H

#include <stddef.h>

#include "lib/tailnet/json_writer.h"
#include "lib/tailnet/netmap.h"

/* Takes len bytes, 0 or a negative error, which ends the writing. */
typedef int netmap_sink(void *context, const char *text, size_t len);

/*
 * Write a map that has a self node.  Returns 0, ERR_BAD_FORMAT (there is none), -ENOMEM, or the
 * sink's error.
 */
[[nodiscard]] int netmap_write(const struct netmap *m, netmap_sink *sink, void *context);

/* One node, as a member called `name`, or as the value itself (NULL). */
void node_write(struct json_writer *w, const char *name, const struct node *node);

/* Likewise: a list of filter rules, and of resolvers (an empty one is left out). */
void filter_rules_write(struct json_writer *w, const char *name, const struct filter_rules *rules);
void resolvers_write(struct json_writer *w, const char *name, const struct resolvers *resolvers);

#endif
