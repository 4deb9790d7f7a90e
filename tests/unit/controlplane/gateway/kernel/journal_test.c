/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The journal's text and file: what is understood, what is refused, what a death leaves.
 */

#include "controlplane/gateway/kernel/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define HEADER "sluice-journal 1 boot 0c6a-11 netns 42\n"

static const struct {
	const char *what;
	const char *text;
	int err;
	size_t n_entries;
	size_t n_refused;
} texts[] = {
	{ "an empty file", "", ERR_TRUNCATED, 0, 0 },
	{ "half a first line", "sluice-journal 1 boot 0c", ERR_TRUNCATED, 0, 0 },
	{ "a first line", HEADER, 0, 0, 0 },
	{ "another file", "root:x:0:0\n", ERR_BAD_FORMAT, 0, 0 },
	{ "a version of the future", "sluice-journal 2 anything\n", ERR_VERSION, 0, 0 },
	{ "a version that is no number", "sluice-journal 1x boot a netns 1\n", ERR_BAD_FORMAT, 0,
		0 },
	{ "no namespace", "sluice-journal 1 boot a\n", ERR_BAD_FORMAT, 0, 0 },
	{ "a namespace too large", "sluice-journal 1 boot a netns 18446744073709551616\n",
		ERR_BAD_FORMAT, 0, 0 },
	{ "a boot id too long",
		"sluice-journal 1 boot aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa netns 1\n",
		ERR_BAD_FORMAT, 0, 0 },
	{ "a TUN", HEADER "tun sluice0\n", 0, 1, 0 },
	{ "every kind",
		HEADER "tun sluice0\ntable 52100\nrule inet 52100 priority 5200 mark 0x53c0000\n"
		       "rule inet6 52100 priority 5200 mark 0x53c0000\naddress sluice0 fd99::1/64\n"
		       "before net/ipv4/conf/eth0.10/forwarding 1\n"
		       "sysctl net/ipv6/conf/all/forwarding 0 1\n"
		       "neighbours eth0\nnftable sluice\nreserve 61000 65535\n",
		0, 10, 0 },
	{ "a table of somebody else", HEADER "nftable filter\nnftable sluices\n", 0, 0, 2 },
	{ "ports that are none", HEADER "reserve 0 5\nreserve 9 8\nreserve 1 65536\n", 0, 0, 3 },
	{ "a last line cut off", HEADER "tun sluice0\ntable 521", 0, 1, 0 },
	{ "an unknown kind among known ones", HEADER "tun a\nnftable x\ntun b\n", 0, 2, 1 },
	{ "a kind with a word too many", HEADER "tun a b\n", 0, 0, 1 },
	{ "a kind with a word too few", HEADER "rule inet 1 priority 2 mark\n", 0, 0, 1 },
	{ "two spaces", HEADER "tun  a\n", 0, 0, 1 },
	{ "an empty line", HEADER "\n", 0, 0, 1 },
	{ "a name with a slash", HEADER "tun ../x\n", 0, 0, 1 },
	{ "a name that is a folder", HEADER "tun ..\n", 0, 0, 1 },
	{ "a name too long", HEADER "tun sixteen-letters.\n", 0, 0, 1 },
	{ "a table beyond 32 bits", HEADER "table 4294967296\n", 0, 0, 1 },
	{ "a negative table", HEADER "table -1\n", 0, 0, 1 },
	{ "an address that is none", HEADER "address a 10.0.0.0/33\n", 0, 0, 1 },
	{ "a family that is none", HEADER "rule inet4 1 priority 2 mark 3\n", 0, 0, 1 },
	{ "a sysctl of somebody else", HEADER "sysctl kernel/core_pattern 0 1\n", 0, 0, 1 },
	{ "a sysctl out of the tree",
		HEADER "sysctl net/ipv4/conf/../../../../etc/x/forwarding 0 1\n", 0, 0, 1 },
	{ "a sysctl through a folder's parent", HEADER "sysctl net/ipv4/conf/../forwarding 0 1\n",
		0, 0, 1 },
	{ "a setting of somebody else", HEADER "sysctl net/ipv4/conf/all/log_martians 0 1\n", 0, 0,
		1 },
	{ "values that are no numbers", HEADER "sysctl net/ipv4/conf/all/forwarding 0 on\n", 0, 0,
		1 },
	{ "a negative value", HEADER "before net/ipv4/conf/all/rp_filter -1\n", 0, 1, 0 },
};

static void
test_texts(void)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct journal_content content = {};
		struct notes notes = {};
		int err = journal_parse(texts[i].text, strlen(texts[i].text), &notes, &content);

		tap_ok(err == texts[i].err && content.n_entries == texts[i].n_entries &&
				content.n_refused == texts[i].n_refused &&
				notes.n == texts[i].n_refused,
			"%s: %s, %zu entries, %zu refused", texts[i].what, err_str(texts[i].err),
			texts[i].n_entries, texts[i].n_refused);
		journal_content_fini(&content);
		notes_clear(&notes);
	}
}

static void
test_zero_and_long_lines(void)
{
	static const char zero[] = HEADER "tun sluice0\0x\n";
	struct journal_content content = {};
	char text[1024] = HEADER "tun ";
	size_t len = strlen(text);
	int err;

	err = journal_parse(zero, sizeof(zero) - 1, NULL, &content);
	tap_ok(err == 0 && content.n_entries == 0 && content.n_refused == 1,
		"a line with a zero inside is refused");
	journal_content_fini(&content);

	memset(text + len, 'a', sizeof(text) - len - 1);
	text[sizeof(text) - 2] = '\n';
	err = journal_parse(text, sizeof(text) - 1, NULL, &content);
	tap_ok(err == 0 && content.n_entries == 0 && content.n_refused == 1,
		"a line of a thousand bytes is refused");
	journal_content_fini(&content);
}

static char dir[] = "/tmp/sluice-journal-test-XXXXXX";
static char path[128];

static char *
file_text(void)
{
	char *text = calloc(1, 65536);
	FILE *f = fopen(path, "r");

	if (text == NULL || f == NULL)
		abort();
	fread(text, 1, 65535, f);
	fclose(f);
	return text;
}

static void
set_file(const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fputs(text, f) < 0)
		abort();
	fclose(f);
	chmod(path, 0600);
}

static struct journal *
opened(void)
{
	struct journal *j = NULL;

	tap_int(journal_open(path, &j), 0, "journal opens");
	return j;
}

static void
append(struct journal *j, struct journal_entry e)
{
	tap_int(journal_append(j, &e), 0, "entry is written");
}

static const struct journal_entry entries[] = {
	{ .kind = JOURNAL_TUN, .interface = "sluice0" },
	{ .kind = JOURNAL_TABLE, .table = 52100 },
	{ .kind = JOURNAL_RULE, .family = ADDR_V6, .table = 7, .priority = 8, .mark = 0xffffffff },
	{ .kind = JOURNAL_ADDRESS,
		.interface = "a",
		.prefix = { { ADDR_V4, { 10, 9, 0, 1 } }, 24 } },
	{ .kind = JOURNAL_BEFORE, .key = "net/ipv4/conf/eth0/forwarding", .old_value = 1 },
	{ .kind = JOURNAL_SYSCTL,
		.key = "net/ipv6/conf/all/forwarding",
		.old_value = INT32_MIN + 1,
		.new_value = INT32_MAX },
};

#define N_ENTRIES (sizeof(entries) / sizeof(entries[0]))

static void
test_round_trip(void)
{
	struct journal_content content = {};
	struct journal *j = opened();
	struct stat st;

	for (size_t i = 0; i < N_ENTRIES; i++)
		append(j, entries[i]);
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "only we can read the file");
	tap_ok(journal_has_sysctl(j, "net/ipv6/conf/all/forwarding"), "a sysctl of ours is known");
	tap_ok(!journal_has_sysctl(j, "net/ipv4/conf/all/forwarding"), "another one is not");
	tap_ok(!journal_has_sysctl(j, "net/ipv4/conf/eth0/forwarding"),
		"nor one that was only written down");
	journal_close(j);

	tap_int(journal_read(path, NULL, &content), 0, "the file reads back");
	tap_int(content.n_entries, N_ENTRIES, "with all entries");
	tap_ok(content.n_entries == N_ENTRIES &&
			memcmp(content.entries, entries, sizeof(entries)) == 0,
		"and each is the same");
	journal_content_fini(&content);
}

static void
test_continue(void)
{
	char *before = file_text();
	struct journal *j = opened();
	char *after;

	for (size_t i = 0; i < N_ENTRIES; i++)
		append(j, entries[i]);
	after = file_text();
	tap_text(after, before, "entries that are there are not written twice");
	free(after);

	append(j, (struct journal_entry){ .kind = JOURNAL_SYSCTL,
			  .key = "net/ipv6/conf/all/forwarding",
			  .old_value = 0,
			  .new_value = 1 });
	append(j, entries[N_ENTRIES - 1]);
	after = file_text();
	tap_ok(strlen(after) > strlen(before) + 80,
		"a sysctl that goes to and fro is written each time");
	free(after);
	free(before);
	journal_close(j);
}

static void
test_refused_entries(void)
{
	struct journal *j = opened();
	struct journal_entry bad = { .kind = JOURNAL_SYSCTL, .key = "kernel/core_pattern" };
	char *before = file_text(), *after;

	tap_int(journal_append(j, &bad), -EINVAL, "a sysctl that is not ours is not written");
	bad = (struct journal_entry){ .kind = JOURNAL_TUN, .interface = "a b" };
	tap_int(journal_append(j, &bad), -EINVAL, "nor a name that breaks the line");
	tap_int(journal_append_tun(j, "a\nb"), -EINVAL, "nor one with a line's end");
	tap_int(journal_append_tun(j, "far-too-long-name"), -EINVAL, "nor one that is too long");
	after = file_text();
	tap_text(after, before, "the file is as it was");
	free(before);
	free(after);
	journal_close(j);
}

// Cut the file at every byte: what is complete is kept, what is not goes.
static void
test_every_cut(void)
{
	char *text = file_text(), *now;
	size_t len = strlen(text);
	bool ok = true;

	for (size_t cut = 0; cut <= len; cut++) {
		struct journal *j = NULL;
		size_t complete = cut;

		now = strndup(text, cut);
		set_file(now);
		while (complete > 0 && now[complete - 1] != '\n')
			complete--;
		free(now);
		ok = ok && journal_open(path, &j) == 0 && journal_append_tun(j, "cut0") == 0;
		journal_close(j);
		now = file_text();
		if (complete > 0)
			ok = ok && strncmp(now, text, complete) == 0 &&
			     strcmp(now + complete, "tun cut0\n") == 0;
		else
			ok = ok && strstr(now, "\ntun cut0\n") != NULL;
		free(now);
	}
	tap_ok(ok, "a file cut at any byte is continued behind its last complete line");
	set_file(text);
	free(text);
}

static void
test_places(void)
{
	struct journal_content content = {};
	struct journal_place here;
	struct journal *j;

	tap_int(journal_place_here(&here), 0, "we know where we are");
	set_file(HEADER "tun other0\n");
	j = opened();
	journal_close(j);
	tap_int(journal_read(path, NULL, &content), 0, "a journal of another boot is begun anew");
	tap_int(content.n_entries, 0, "without its entries");
	tap_ok(journal_place_equal(&content.place, &here), "and belongs here");
	journal_content_fini(&content);
}

static void
test_foreign_files(void)
{
	struct journal_content content = {};
	struct journal *j = NULL;
	char link_path[160];

	set_file("something precious\n");
	tap_int(journal_open(path, &j), ERR_BAD_FORMAT, "a file that is no journal is not taken");
	tap_ok(access(path, F_OK) == 0, "nor removed");
	set_file(HEADER);
	chmod(path, 0622);
	tap_int(journal_read(path, NULL, &content), -EPERM, "one that others can write is refused");
	tap_int(journal_open(path, &j), -EPERM, "also for writing");
	chmod(path, 0600);

	snprintf(link_path, sizeof(link_path), "%s/link", dir);
	if (symlink(path, link_path) < 0)
		abort();
	tap_int(journal_read(link_path, NULL, &content), -EPERM, "a symbolic link is refused");
	tap_int(journal_open(link_path, &j), -EPERM, "also for writing");
	unlink(link_path);
	unlink(path);
	if (mkfifo(path, 0600) < 0)
		abort();
	tap_int(journal_read(path, NULL, &content), -EPERM,
		"a pipe is refused, and not waited for");
	unlink(path);
	tap_int(journal_read(path, NULL, &content), -ENOENT,
		"a missing file is said to be missing");
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/journal", dir);
	test_texts();
	test_zero_and_long_lines();
	test_round_trip();
	test_continue();
	test_refused_entries();
	test_every_cut();
	test_places();
	test_foreign_files();
	unlink(path);
	rmdir(dir);
	return tap_done();
}
