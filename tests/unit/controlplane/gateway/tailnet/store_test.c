/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The member's state on disk: what is kept, its mode, what becomes of damaged files, of those of
 * another version, and of members that only another version knows.
 */

#include "controlplane/gateway/tailnet/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

static char folder[] = "/tmp/sluice-store-XXXXXX";
static char path[64];

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

static char *
read_file(const char *name)
{
	char full[128], *text = calloc(1, STORE_MAX_BYTES);
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", folder, name);
	f = fopen(full, "r");
	if (f == NULL || fread(text, 1, STORE_MAX_BYTES - 1, f) == 0)
		text[0] = '\0';
	if (f != NULL)
		fclose(f);
	return text;
}

static struct store *
open_store(const char *what)
{
	struct store *s = NULL;

	tap_int(store_open(folder, &s), 0, what);
	if (s == NULL)
		exit(tap_done());
	return s;
}

static void
test_fresh(void)
{
	struct store *s = open_store("a store where there is none");
	struct machine_key machine, again;
	struct stat st;

	tap_ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "is on disk, for us only");
	tap_int((long long)strlen(store_log_id(s)), 64, "it has a log ID");
	tap_ok(!store_has_node_key(s) && !store_is_registered(s) && !store_is_wanted(s) &&
			!store_is_logged_out(s),
		"no node key, no registration, and nobody wants to join");
	tap_bytes(store_lock_public(s), store_lock_private(s) + 32, 32, "a network-lock pair");
	tap_ok(memcmp(store_machine_key(s), store_disco_key(s), KEY_LEN) != 0,
		"different keys for different things");
	key_public_machine(store_machine_key(s), &machine);
	store_close(s);
	s = open_store("the same store");
	key_public_machine(store_machine_key(s), &again);
	tap_bytes(again.bytes, machine.bytes, KEY_LEN, "has the same machine key");
	store_close(s);
}

static void
test_round(void)
{
	struct secret_key first = { { 1 } }, second = { { 2 } };
	struct store *s = open_store("a store to be changed");
	struct tailnet_prefs prefs = *store_prefs(s);

	store_set_node_key(s, &first);
	store_set_node_key(s, &second);
	store_set_login(s, "https://hs.example", "user@\"example");
	store_set_stable_id(s, "n42");
	store_set_wanted(s, true);
	snprintf(prefs.hostname, sizeof(prefs.hostname), "gw");
	prefs.accept_routes = true;
	prefs.set = PREF(HOSTNAME) | PREF(ACCEPT_ROUTES);
	store_set_prefs(s, &prefs);
	tap_int(store_save(s), 0, "is saved");
	store_close(s);

	s = open_store("and read again");
	tap_bytes(store_node_key(s), &second, KEY_LEN, "the node key");
	tap_bytes(store_old_node_key(s), &first, KEY_LEN, "and the one before");
	tap_text(store_login_server(s), "https://hs.example", "the server");
	tap_text(store_login_name(s), "user@\"example", "the user");
	tap_text(store_stable_id(s), "n42", "the stable ID");
	tap_ok(store_is_wanted(s) && store_is_registered(s), "registered, and wanted");
	tap_int(store_prefs(s)->set, prefs.set, "what is set");
	tap_text(store_prefs(s)->hostname, "gw", "the name");
	tap_ok(store_prefs(s)->accept_routes && store_prefs(s)->accept_dns, "and the rest");
	store_forget_node(s);
	tap_int(store_save(s), 0, "after a logout");
	store_close(s);
	s = open_store("it is read");
	tap_ok(!store_has_node_key(s) && !store_is_registered(s) && !store_is_wanted(s) &&
			store_is_logged_out(s),
		"as somebody who has left");
	tap_text(store_prefs(s)->hostname, "gw", "with the same settings");
	store_close(s);
}

// The file with another text in place of one that is in it.
static void
replace_in_file(const char *old, const char *fresh)
{
	char *text = read_file(STORE_FILE_NAME), *at = strstr(text, old);
	FILE *f = fopen(path, "w");

	if (tap_ok(at != NULL, "%s is in the file", old))
		fprintf(f, "%.*s%s%s", (int)(at - text), text, fresh, at + strlen(old));
	fclose(f);
	free(text);
}

static void
test_other_versions(void)
{
	struct store *s;
	char *before, *after;

	replace_in_file("\"wanted\":false", "\"wanted\":false,\"later\":{\"a\":[1,\"\\u00e4\"]}");
	replace_in_file("\"hostname\":\"gw\"", "\"hostname\":\"gw\",\"accept_routes\":7,\"x\":1");
	s = open_store("a file with members that we do not know");
	tap_text(store_prefs(s)->hostname, "gw", "what we know of the settings counts");
	tap_int(store_save(s), 0, "is saved");
	store_close(s);
	after = read_file(STORE_FILE_NAME);
	tap_ok(strstr(after, "\"later\":{\"a\":[1,\"\\u00e4\"]}") != NULL, "they are kept");
	free(after);

	replace_in_file("\"version\":1", "\"version\":2");
	before = read_file(STORE_FILE_NAME);
	tap_int(store_open(folder, &s), ERR_VERSION, "a later version's file is refused");
	after = read_file(STORE_FILE_NAME);
	tap_text(after, before, "and left as it is");
	free(before);
	free(after);
	replace_in_file("\"version\":2", "\"version\":1");
}

static void
test_damage(void)
{
	static const char *const texts[] = { "", "{", "[]", "{\"version\":1}", "{\"version\":0}",
		"\x01\x02" };
	char *whole = read_file(STORE_FILE_NAME);
	struct store *s;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char aside[64], *text;

		write_file(texts[i]);
		s = open_store("damaged");
		tap_ok(!store_has_node_key(s), "new keys");
		store_close(s);
		snprintf(aside, sizeof(aside), STORE_FILE_NAME ".damaged-%zu", i);
		text = read_file(aside);
		tap_text(text, texts[i], "what was there is kept");
		free(text);
	}
	for (size_t i = 6; i < 10; i++) {
		// Cut off, and one digit of the first key wrong in the other half of the cases.
		whole[i % 2 == 0 ? strlen(whole) - i : 30] = i % 2 == 0 ? '\0' : 'x';
		write_file(whole);
		store_close(open_store("damaged"));
	}
	write_file("{");
	tap_int(store_open(folder, &s), -EEXIST, "at some point somebody has to look");
	free(whole);
}

static void
test_errors(void)
{
	struct store *s;

	tap_int(store_open("/nonexistent/folder", &s), -ENOENT, "a folder that is not there");
	tap_int(unlink(path) + symlink("/dev/null", path), 0, "a link in place of the file");
	tap_int(store_open(folder, &s), -ELOOP, "is not followed");
}

int
main(void)
{
	char command[128];

	if (mkdtemp(folder) == NULL || crypto_init() < 0)
		return 1;
	snprintf(path, sizeof(path), "%s/" STORE_FILE_NAME, folder);
	test_fresh();
	test_round();
	test_other_versions();
	test_damage();
	test_errors();
	snprintf(command, sizeof(command), "rm -r %s", folder);
	if (system(command) != 0)
		return 1;
	return tap_done();
}
