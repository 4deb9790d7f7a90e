/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The last map on disk: when it is written, whose it is, and files that are none.
 */

#include "controlplane/gateway/tailnet/map_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define MANY 10000

static char folder[] = "/tmp/sluice-map-XXXXXX";
static char path[64];
static const struct node_key self = { { 0x11, 0x11 } };
static const struct instant now = { 1, 0 };

static size_t
write_peers(char *at, size_t room, unsigned n)
{
	size_t len = 0;

	for (unsigned id = 2; id < n + 2; id++)
		len += (size_t)snprintf(at + len, room - len,
			"%s{\"ID\":%u,\"StableID\":\"nSw%08uCNTRL\",\"Name\":\"host-%u.tail1234.ts."
			"net.\",\"User\":%u,\"Key\":\"nodekey:%064x\",\"DiscoKey\":\"discokey:"
			"%064x\",\"Addresses\":[\"100.%u.%u.%u/32\",\"fd7a:115c:a1e0::%x/128\"],"
			"\"Endpoints\":[\"198.51.100.%u:41641\",\"192.168.1.%u:41641\"],"
			"\"HomeDERP\":%u,\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":\"host-%u\"},"
			"\"Cap\":138,\"Online\":true}",
			id > 2 ? "," : "", id, id, id, id % 100 + 1, id, id + 100000,
			64 + (id >> 16 & 63), id >> 8 & 255, id & 255, id, id & 255, id & 255,
			id % 20 + 1, id);
	return len;
}

static void
make_map(struct netmap *m, unsigned n)
{
	size_t room = 2048 + n * 1024;
	char *text = malloc(room);
	struct netmap_changes changes;
	struct map_response r;
	size_t len = (size_t)snprintf(text, room,
		"{\"Node\":{\"ID\":1,\"Key\":\"nodekey:1111%060d\"},\"PacketFilters\":{\"base\":"
		"[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,"
		"\"Last\":65535}}]}]},\"Peers\":[",
		0);

	len += write_peers(text + len, room - len, n);
	len += (size_t)snprintf(text + len, room - len, "]}");
	netmap_init(m, 1);
	if (map_response_parse(text, len, &r) < 0 || netmap_apply(m, &r, now, &changes) < 0)
		abort();
	map_response_fini(&r);
	netmap_changes_fini(&changes);
	free(text);
}

static int
load(struct netmap *m, const struct node_key *key)
{
	struct map_cache *cache;
	int err;

	netmap_init(m, 2);
	if (map_cache_create(folder, &cache) < 0)
		abort();
	err = map_cache_load(cache, key, now, m);
	map_cache_destroy(cache);
	return err;
}

static void
test_round(void)
{
	struct mono t = { 1000 };
	struct map_cache *cache;
	struct netmap m, again;
	struct stat st;

	make_map(&m, 3);
	tap_int(load(&again, &self), -ENOENT, "none at first");
	if (map_cache_create(folder, &cache) < 0)
		abort();
	tap_ok(mono_is_never(map_cache_tick(cache, &m, t)), "nothing to do");
	map_cache_changed(cache, t);
	tap_int((long long)map_cache_tick(cache, &m, t).ns, 1000 + MAP_CACHE_DELAY_NS,
		"a change is written some time later");
	tap_ok(access(path, F_OK) < 0, "not at once");
	t.ns += MAP_CACHE_DELAY_NS;
	tap_ok(mono_is_never(map_cache_tick(cache, &m, t)), "then it is");
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "for us only");
	t = mono_now();
	map_cache_changed(cache, t);
	tap_ok(map_cache_tick(cache, &m, t).ns >= t.ns + MAP_CACHE_DELAY_NS,
		"the next one again later");

	tap_int(load(&again, &self), 0, "it is read");
	tap_int((long long)netmap_n_peers(&again), 3, "with its peers");
	tap_ok(again.filter.has_any, "and its filter");
	tap_ok(again.is_new_stream, "ready for the server's");
	netmap_fini(&again);
	tap_int(load(&again, &(struct node_key){ { 1 } }), -ENOENT, "it is no other node's");
	tap_ok(again.self == NULL, "for whom there is none");
	netmap_fini(&again);

	tap_int(unlink(path), 0, "gone");
	map_cache_flush(cache, &m);
	tap_int(access(path, F_OK), 0, "what is still to be written is written at the end");
	map_cache_changed(cache, t);
	map_cache_remove(cache);
	map_cache_flush(cache, &m);
	tap_ok(access(path, F_OK) < 0, "but not what was forgotten");
	map_cache_destroy(cache);
	netmap_fini(&m);
}

static void
write_frame(const char *text, size_t len)
{
	size_t room = ZSTD_compressBound(len);
	char *frame = malloc(room);
	FILE *f = fopen(path, "w");

	fwrite(frame, 1, ZSTD_compress(frame, room, text, len, 1), f);
	fclose(f);
	free(frame);
}

static void
check_damaged(int wanted, const char *what)
{
	struct netmap m;

	tap_int(load(&m, &self), wanted, what);
	tap_ok(m.self == NULL && netmap_n_peers(&m) == 0, "the map stays empty");
	netmap_fini(&m);
}

static void
test_damage(void)
{
	static const char bomb_head[] = "{\"version\":1,\"map\":{\"Node\":{\"ID\":1}}}";
	size_t bomb_len = (size_t)MAP_MAX_LEN + 8192;
	char *bomb = malloc(bomb_len);
	FILE *f = fopen(path, "w");

	fputs("no frame", f);
	fclose(f);
	check_damaged(ERR_BAD_FORMAT, "no frame");
	write_frame("{", 1);
	check_damaged(ERR_BAD_FORMAT, "no JSON");
	write_frame("{\"version\":2,\"map\":{\"Node\":{}}}", 32);
	check_damaged(ERR_BAD_FORMAT, "another version");
	write_frame("{\"version\":1}", 13);
	check_damaged(ERR_BAD_FORMAT, "no map in it");
	write_frame("{\"version\":1,\"map\":{}}", 22);
	check_damaged(ERR_BAD_FORMAT, "nobody in the map");
	memset(bomb, ' ', bomb_len);
	memcpy(bomb, bomb_head, strlen(bomb_head));
	write_frame(bomb, bomb_len);
	check_damaged(-E2BIG, "a file that becomes too large");
	free(bomb);
	tap_int(truncate(path, 40), 0, "cut");
	check_damaged(ERR_BAD_FORMAT, "a part of a frame");
	tap_int(truncate(path, MAP_CACHE_MAX_FILE + 1), 0, "blown up");
	check_damaged(-E2BIG, "a file that is too large");
}

// Every single bit: the frame has a checksum, so what is believed has the right content.
static void
test_bits(void)
{
	struct map_cache *cache;
	struct netmap m;
	size_t accepted = 0, wrong = 0;
	char frame[4096];
	FILE *f;
	size_t len;

	make_map(&m, 1);
	if (map_cache_create(folder, &cache) < 0)
		abort();
	map_cache_changed(cache, (struct mono){ 1 });
	map_cache_flush(cache, &m);
	map_cache_destroy(cache);
	netmap_fini(&m);
	f = fopen(path, "r");
	len = fread(frame, 1, sizeof(frame), f);
	fclose(f);
	freopen("/dev/null", "w", stderr);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		frame[bit / 8] ^= (char)(1 << bit % 8);
		f = fopen(path, "w");
		fwrite(frame, 1, len, f);
		fclose(f);
		frame[bit / 8] ^= (char)(1 << bit % 8);
		if (load(&m, &self) == 0) {
			const struct node *peer = netmap_find_id(&m, 2);

			accepted++;
			wrong += netmap_n_peers(&m) != 1 || peer == NULL ||
			         strcmp(peer->name, "host-2.tail1234.ts.net.") != 0;
		}
		netmap_fini(&m);
	}
	tap_ok(accepted < len / 8 && wrong == 0,
		"%zu of %zu files with a wrong bit are believed, %zu say something else", accepted,
		8 * len, wrong);
}

static void
test_many(void)
{
	struct map_cache *cache;
	struct netmap m, again;
	struct mono t[3];
	struct stat st;

	make_map(&m, MANY);
	if (map_cache_create(folder, &cache) < 0)
		abort();
	map_cache_changed(cache, (struct mono){ 1 });
	t[0] = mono_now();
	map_cache_flush(cache, &m);
	t[1] = mono_now();
	tap_int(load(&again, &self), 0, "a large one");
	t[2] = mono_now();
	tap_int((long long)netmap_n_peers(&again), MANY, "is whole");
	stat(path, &st);
	tap_int(unlink(path), 0, "and gone");
	printf("# %d peers: written in %.1f ms (%zu KiB), read in %.1f ms\n", MANY,
		(double)mono_diff_ns(t[1], t[0]) / 1e6, (size_t)st.st_size >> 10,
		(double)mono_diff_ns(t[2], t[1]) / 1e6);
	map_cache_destroy(cache);
	netmap_fini(&m);
	netmap_fini(&again);
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/" MAP_CACHE_FILE_NAME, folder);
	test_round();
	test_damage();
	test_many();
	test_bits();
	if (unlink(path) < 0 || rmdir(folder) < 0)
		return 1;
	return tap_done();
}
