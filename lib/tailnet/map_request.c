/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/map_request.h"

#include "lib/tailnet/capver.h"

static void
write_endpoints(struct json_writer *w, const struct map_request *r)
{
	char text[ADDR_TEXT_LEN];

	if (r->n_endpoints == 0)
		return;
	json_write_open(w, "Endpoints", '[');
	for (size_t i = 0; i < r->n_endpoints; i++)
		json_write_text(w, NULL, endpoint_format(&r->endpoints[i].endpoint, text));
	json_write_close(w, ']');
	json_write_open(w, "EndpointTypes", '[');
	for (size_t i = 0; i < r->n_endpoints; i++)
		json_write_int(w, NULL, r->endpoints[i].kind);
	json_write_close(w, ']');
}

static void
write_debug_flags(struct json_writer *w, const struct map_request *r)
{
	if (r->n_debug_flags == 0)
		return;
	json_write_open(w, "DebugFlags", '[');
	for (size_t i = 0; i < r->n_debug_flags; i++)
		json_write_text(w, NULL, r->debug_flags[i]);
	json_write_close(w, ']');
}

void
map_request_write(struct json_writer *w, const struct map_request *r)
{
	char text[TAILKEY_TEXT_SIZE];

	json_write_open(w, NULL, '{');
	json_write_int(w, "Version", TAILNET_CAPVER);
	if (r->compress_zstd)
		json_write_text(w, "Compress", "zstd");
	json_write_bool(w, "KeepAlive", true);
	json_write_text(w, "NodeKey", tailkey_format(TAILKEY_NODE, r->node_key.bytes, text));
	json_write_text(w, "DiscoKey", tailkey_format(TAILKEY_DISCO, r->disco_key.bytes, text));
	if (r->stream)
		json_write_bool(w, "Stream", true);
	own_hostinfo_write(w, "Hostinfo", r->hostinfo);
	write_endpoints(w, r);
	if (r->lock_head != NULL && r->lock_head[0] != '\0')
		json_write_text(w, "TKAHead", r->lock_head);
	if (r->omit_peers)
		json_write_bool(w, "OmitPeers", true);
	write_debug_flags(w, r);
	json_write_close(w, '}');
}
