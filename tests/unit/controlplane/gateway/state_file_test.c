/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/state_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/tap.h"

static char folder[] = "/tmp/sluice-state-XXXXXX";
static char path[64];

static void
write_text(const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

static void
test_round(void)
{
	const struct peer_stamps first[] = {
		{ .key = { { 9 } }, .rx = { { 0x40, 1 } }, .tx = { { 0x40, 2 } } },
		{ .key = { { 3 } }, .rx = { { 0x40, 3 } } },
	};
	const struct peer_stamps second[] = {
		{ .key = { { 9 } }, .rx = { { 0x40, 0 } }, .tx = { { 0x40, 9 } } },
		{ .key = { { 5 } }, .rx = { { 0x40, 5 } } },
	};
	struct state_file a = {}, b = {};
	const struct peer_stamps *s;
	struct stat st;
	size_t skipped;

	tap_int(state_file_load(&a, path, &skipped), 0, "a file that is not there is empty");
	tap_ok(a.n == 0 && skipped == 0, "with nothing in it");
	tap_ok(state_file_merge(&a, first, 2), "stamps of new peers are news");
	tap_ok(!state_file_merge(&a, first, 2), "the same again are not");
	tap_ok(state_file_merge(&a, second, 2), "later ones are");
	tap_int(a.n, 3, "each peer is there once");
	tap_int(state_file_save(&a, path), 0, "it is saved");
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "for its owner only");
	tap_int(state_file_load(&b, path, &skipped), 0, "and read back");
	tap_ok(b.n == 3 && skipped == 0, "whole");
	s = state_file_find(&b, &(struct public_key){ { 9 } });
	tap_ok(s != NULL && s->rx.bytes[1] == 1 && s->tx.bytes[1] == 9,
		"an older timestamp does not replace a later one, the other of the pair may");
	tap_ok(state_file_find(&b, &(struct public_key){ { 4 } }) == NULL,
		"a stranger is not found");
	state_file_fini(&a);
	state_file_fini(&b);
}

static void
test_damage(void)
{
	static const char good[] = "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= "
				   "400000000000000000000001 400000000000000000000002\n";
	struct state_file a = {};
	char text[1024];
	size_t skipped;

	snprintf(text, sizeof(text), "sluice-timestamps 1\nnonsense\n%s%.50s\n%sAwAA", good, good,
		good);
	write_text(text);
	tap_int(state_file_load(&a, path, &skipped), 0, "a damaged file is read");
	tap_int(a.n, 1, "as far as it is understood, each key once");
	tap_int(skipped, 3, "and the rest is counted");
	state_file_fini(&a);

	write_text("");
	tap_int(state_file_load(&a, path, &skipped), 0, "an empty file");
	tap_ok(a.n == 0 && skipped == 1, "has not even its first line");
	state_file_fini(&a);

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	write_text(text);
	tap_int(state_file_load(&a, path, &skipped), 0, "a line without end");
	tap_int(a.n, 0, "is nobody's");
	state_file_fini(&a);
}

static void
test_no_folder(void)
{
	struct state_file a = {};

	tap_int(state_file_save(&a, "/nowhere/at/all/timestamps"), -ENOENT,
		"a folder that is missing is said");
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		return 99;
	snprintf(path, sizeof(path), "%s/timestamps", folder);
	test_round();
	test_damage();
	test_no_folder();
	unlink(path);
	rmdir(folder);
	return tap_done();
}
