/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/api/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "controlplane/gateway/api/answer.h"
#include "lib/base/err.h"
#include "lib/shm/region.h"

void
capture_stream_init(struct capture_stream *s, struct api *api, struct mailbox *to_wire)
{
	*s = (struct capture_stream){ .api = api, .to_wire = to_wire, .fd = -1 };
}

/* --- the region --- */

static void
unmap(struct capture_stream *s)
{
	if (s->memory != NULL)
		munmap((void *)(uintptr_t)s->memory, sizeof(*s->memory));
	s->memory = NULL;
}

// Begin with what comes from now on.
static int
map(struct capture_stream *s)
{
	void *memory;
	int err;

	if (s->fd < 0)
		return -ENOTCONN;
	err = shm_region_map(s->fd, sizeof(*s->memory), false, &memory);
	if (err < 0)
		return err;
	s->memory = memory;
	s->told_lost = 0;
	shm_capture_reader_init(&s->reader, s->memory);
	return 0;
}

void
capture_stream_region(struct capture_stream *s, int fd)
{
	s->fd = fd;
	unmap(s);
	// Without memory, or without a data plane for now: the client hears nothing until there is.
	if (s->is_running)
		(void)map(s);
}

/* --- begin and end --- */

static void
tell_data_plane(struct capture_stream *s, bool on)
{
	struct letter *letter = letter_create(LETTER_CAPTURE);

	letter->capture = s->wanted;
	letter->capture.on = on;
	mailbox_post(s->to_wire, letter);
}

static void
finish(struct capture_stream *s)
{
	if (s->is_running)
		tell_data_plane(s, false);
	unmap(s);
	free(s->names);
	s->names = NULL;
	s->n_names = 0;
	s->is_running = false;
	s->client = 0;
}

void
capture_stream_fini(struct capture_stream *s)
{
	if (s->client != 0)
		finish(s);
}

static bool
refuse(struct capture_stream *s,
	uint32_t client,
	const char *what,
	const char *why,
	const char *what_to_do,
	struct mono now)
{
	answer_error(s->api, client, what, why, what_to_do, now);
	return false;
}

bool
capture_stream_begin(struct capture_stream *s,
	uint32_t client,
	const json_t *request,
	const struct public_key *key,
	struct mono now)
{
	json_int_t port = json_integer_value(json_object_get(request, "port"));

	if (!api_may_change(s->api, client))
		return refuse(s, client, "packets are shown to root only",
			"they are what peers send each other, in clear",
			"run this as root, or as the user that the gateway runs as", now);
	// One that has left is noticed at the latest when it is sent something.
	if (s->client != 0 && !api_is_here(s->api, s->client))
		finish(s);
	if (s->client != 0)
		return refuse(s, client, "somebody captures already",
			"the data plane has one set of conditions at a time",
			"end the other `sluice capture` first", now);
	if (s->fd < 0)
		return refuse(s, client, "there are no packets", "no data plane runs",
			"see `sluice status` and the log", now);
	if (port < 0 || port > 65535)
		return refuse(s, client, "there is no such port", "a port is 1 to 65535",
			"name one of them, or none", now);
	s->client = client;
	s->has_key = key != NULL;
	if (key != NULL)
		s->key = *key;
	s->wanted = (struct shm_cmd_capture){
		.snap_len = SHM_CAPTURE_SNAP, .peer = SHM_NO_PEER, .port = (uint32_t)port
	};
	return true;
}

/* --- names --- */

static int
by_number(const void *a, const void *b)
{
	const struct capture_name *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static bool
copy_names(struct capture_stream *s, const struct snapshot *from)
{
	free(s->names);
	s->n_names = 0;
	s->names = calloc(from->n_peers + 1, sizeof(s->names[0]));
	if (s->names == NULL)
		return false;
	for (size_t i = 0; i < from->n_peers; i++) {
		struct capture_name *n = &s->names[s->n_names++];

		n->number = from->peers[i].number;
		memcpy(n->name, from->peers[i].name, sizeof(n->name));
		if (s->has_key && memcmp(&s->key, &from->peers[i].key, sizeof(s->key)) == 0)
			s->wanted.peer = n->number;
	}
	qsort(s->names, s->n_names, sizeof(s->names[0]), by_number);
	for (size_t i = 0; i < SHM_MAX_PORTS && i < from->n_ports; i++)
		memcpy(s->ports[i], from->ports[i].name, sizeof(s->ports[i]));
	for (size_t i = 0; i < SHM_MAX_DROPS && i < from->n_drops; i++)
		memcpy(s->drops[i], from->drops[i].name, sizeof(s->drops[i]));
	return true;
}

void
capture_stream_names(struct capture_stream *s, const struct snapshot *names, struct mono now)
{
	json_t *line;
	int err;

	if (s->client == 0)
		return;
	err = copy_names(s, names) ? 0 : -ENOMEM;
	if (s->is_running)
		return;
	if (err == 0 && s->has_key && s->wanted.peer == SHM_NO_PEER) {
		(void)refuse(s, s->client, "the data plane has no such peer",
			"it is not a peer of ours, or has just joined",
			"`sluice status` lists the peers", now);
		s->client = 0;
		return;
	}
	if (err == 0)
		err = map(s);
	if (err < 0) {
		(void)refuse(s, s->client, "packets cannot be read", err_str(err),
			"see the log of the gateway", now);
		s->client = 0;
		return;
	}
	s->is_running = true;
	tell_data_plane(s, true);
	line = json_pack("{s:b, s:i}", "ok", 1, "snap_len", (int)s->wanted.snap_len);
	api_stream(s->api, s->client, json_dumps(line, JSON_COMPACT), now);
	json_decref(line);
}

/* --- packets --- */

static const char *
peer_name(const struct capture_stream *s, uint32_t number, char room[static CONFIG_NAME_LEN])
{
	const struct capture_name wanted = { .number = number };
	const struct capture_name *found;

	if (number == SHM_NO_PEER)
		return NULL;
	found = bsearch(&wanted, s->names, s->n_names, sizeof(wanted), by_number);
	if (found != NULL)
		return found->name;
	snprintf(room, CONFIG_NAME_LEN, "peer %u", number); // it came after the capture began
	return room;
}

static const char *
where_text(uint8_t where)
{
	return where == SHM_CAPTURE_FROM_TUNNEL ? "from tunnel"
	       : where == SHM_CAPTURE_TO_TUNNEL ? "to tunnel"
	                                        : "dropped";
}

static json_t *
packet_json(const struct capture_stream *s, const struct shm_captured *p, int64_t boot_to_unix_ns)
{
	static const char digits[] = "0123456789abcdef";
	static const char *const kinds[] = { "ip", "udp payload", "frame" };
	char hex[2 * SHM_CAPTURE_SNAP], name[CONFIG_NAME_LEN];
	const char *port = p->port < SHM_MAX_PORTS ? s->ports[p->port] : "";
	const char *reason = p->where == SHM_CAPTURE_DROPPED && p->reason < SHM_MAX_DROPS
	                             ? s->drops[p->reason]
	                             : "";

	for (uint32_t i = 0; i < p->cap_len; i++) {
		hex[2 * i] = digits[p->data[i] >> 4];
		hex[2 * i + 1] = digits[p->data[i] & 15];
	}
	return json_pack("{s:I, s:s, s:s?, s:s?, s:s?, s:I, s:s, s:s%}", "time_ns",
		(json_int_t)((int64_t)p->time_ns + boot_to_unix_ns), "where", where_text(p->where),
		"peer", peer_name(s, p->peer, name), "port", port[0] != '\0' ? port : NULL,
		"reason", reason[0] != '\0' ? reason : NULL, "len", (json_int_t)p->len, "kind",
		kinds[p->kind], "data", hex, (size_t)p->cap_len * 2);
}

static int64_t
boot_to_unix(struct mono now)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec - (int64_t)now.ns;
}

// One line, if there is anything to say.  True: there may be more.
static bool
send_batch(struct capture_stream *s, struct mono now)
{
	int64_t offset = boot_to_unix(now);
	struct shm_captured packet;
	json_t *line, *packets;
	size_t n = 0;

	packets = json_array();
	while (n < CAPTURE_BATCH && shm_capture_reader_take(&s->reader, &packet)) {
		json_array_append_new(packets, packet_json(s, &packet, offset));
		n++;
	}
	if (n == 0 && s->told_lost == s->reader.n_lost) {
		json_decref(packets);
		return false;
	}
	line = json_pack("{s:o, s:I}", "packets", packets, "lost",
		(json_int_t)(s->reader.n_lost - s->told_lost));
	s->told_lost = s->reader.n_lost;
	api_stream(s->api, s->client, json_dumps(line, JSON_COMPACT), now);
	json_decref(line);
	return n == CAPTURE_BATCH;
}

struct mono
capture_stream_tick(struct capture_stream *s, struct mono now)
{
	if (s->client == 0)
		return (struct mono){};
	if (!api_is_here(s->api, s->client)) {
		finish(s);
		return (struct mono){};
	}
	if (s->memory == NULL)
		return (struct mono){}; // names, or a data plane, come as letters
	// One that does not take its lines: the rings lose what is oldest, and that is counted.
	for (int i = 0; i < 4 && api_is_ready(s->api, s->client); i++)
		if (!send_batch(s, now))
			break;
	return mono_add_ns(now, CAPTURE_EVERY_NS);
}
