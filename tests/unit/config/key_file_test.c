/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Key files on a real file system, alone and as named by a configuration.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/gateway.h"
#include "config/key_file.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"

// RFC 7748 section 6.1, Alice's key pair, in base64.
#define ALICE        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
#define ALICE_PUBLIC "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

static char folder[] = "/tmp/sluice-key-file-XXXXXX";

static const char *
path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void
write_file(const char *name, const void *content, size_t len, mode_t mode)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, content, len) != (ssize_t)len || fchmod(fd, mode) < 0)
		printf("# cannot write %s\n", name);
	close(fd);
}

static const struct {
	const char *what;
	const char *content;
	size_t len; // 0: as a text
	mode_t mode;
	int err;
	const char *advice; // a part of it
} files[] = {
	{ "a key and a line break", ALICE "\n", 0, 0600, 0, NULL },
	{ "a key alone", ALICE, 0, 0400, 0, NULL },
	{ "white space around it", " \t" ALICE " \r\n\n", 0, 0600, 0, NULL },
	{ "readable by the group", ALICE, 0, 0640, -EPERM, "(mode 0640); a secret key" },
	{ "readable by others", ALICE, 0, 0604, -EPERM, "run `chmod 600` on it" },
	{ "writable by the group", ALICE, 0, 0620, -EPERM, "(mode 0620)" },
	{ "executable by others", ALICE, 0, 0601, -EPERM, "(mode 0601)" },
	{ "empty", "", 0, 0600, ERR_BAD_FORMAT, "holds no key; a key is 44 characters" },
	{ "too short", "abc=\n", 0, 0600, ERR_BAD_FORMAT, "holds no key" },
	{ "two keys", ALICE "\n" ALICE "\n", 0, 0600, ERR_BAD_FORMAT, "holds no key" },
	{ "not base64", "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25L!o=", 0, 0600, ERR_BAD_FORMAT,
		"holds no key" },
	{ "a zero byte in it", "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25\0Co=", 44, 0600,
		ERR_BAD_FORMAT, "holds no key" },
	{ "32 raw bytes", "0123456789abcdef0123456789abcdef", 0, 0600, ERR_BAD_FORMAT,
		"holds no key" },
};

static void
check_files(void)
{
	static const struct secret_key untouched = { { 0xee, 0xee } };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		size_t len = files[i].len > 0 ? files[i].len : strlen(files[i].content);
		char advice[KEY_FILE_ADVICE_LEN] = "", text[KEY_TEXT_LEN];
		struct secret_key key = untouched;

		write_file("key", files[i].content, len, files[i].mode);
		tap_int(key_file_read(path_of("key"), &key, advice), files[i].err, files[i].what);
		if (files[i].err == 0) {
			secret_key_format(&key, text);
			tap_text(text, ALICE, "the key is read");
		} else {
			tap_ok(strstr(advice, files[i].advice) != NULL, "says: %s", advice);
			tap_bytes(&key, &untouched, sizeof(key), "nothing is set");
		}
	}
}

static void
check_other_kinds(void)
{
	char advice[KEY_FILE_ADVICE_LEN], target[PATH_MAX];
	struct secret_key key;

	tap_int(key_file_read(path_of("none"), &key, advice), -ENOENT, "a missing file");
	tap_ok(strstr(advice, "cannot be opened; No such file") != NULL, "says: %s", advice);
	tap_int(key_file_read(folder, &key, advice), -EINVAL, "a folder");
	tap_ok(strstr(advice, "is not a regular file") != NULL, "says: %s", advice);
	if (mkfifo(path_of("fifo"), 0600) == 0)
		tap_int(key_file_read(path_of("fifo"), &key, advice), -EINVAL, "a FIFO, at once");
	write_file("key", ALICE, strlen(ALICE), 0600);
	snprintf(target, sizeof(target), "%s", path_of("key"));
	if (symlink(target, path_of("link")) == 0)
		tap_int(key_file_read(path_of("link"), &key, advice), 0, "a link to a good file");
	write_file("key", ALICE, strlen(ALICE), 0644);
	tap_int(key_file_read(path_of("link"), &key, advice), -EPERM,
		"a link to a file that others read");
}

static void
check_write(void)
{
	struct secret_key key, other, again;
	char advice[KEY_FILE_ADVICE_LEN];
	struct stat st = {};

	key_generate(&key);
	key_generate(&other);
	umask(0); // the mode must not depend on it
	tap_int(key_file_write(path_of("new"), &key, false), 0, "a new file is written");
	tap_ok(stat(path_of("new"), &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_size == 45 &&
			st.st_nlink == 1,
		"for the owner only, and under one name");
	tap_int(key_file_read(path_of("new"), &again, advice), 0, "it can be read");
	tap_bytes(&again, &key, sizeof(key), "and holds the key");
	tap_int(key_file_write(path_of("new"), &other, false), -EEXIST, "it is not overwritten");
	tap_int(key_file_read(path_of("new"), &again, advice), 0, "it can still be read");
	tap_bytes(&again, &key, sizeof(key), "and holds the old key");
	tap_int(key_file_write(path_of("new"), &other, true), 0, "unless that is wanted");
	tap_int(key_file_read(path_of("new"), &again, advice), 0, "it can be read again");
	tap_bytes(&again, &other, sizeof(key), "and holds the new key");
	tap_int(key_file_write(path_of("none/new"), &key, false), -ENOENT, "no folder");
}

static const char config_format[] = "version: 1\n"
				    "wireguard:\n"
				    "  private_key_file: %s\n"
				    "  addresses: [10.99.0.1/24]\n"
				    "  peers:\n"
				    "    - public_key: %s\n"
				    "      preshared_key_file: %s\n"
				    "      allowed_ips: [10.99.0.2/32]\n";

#define BOB_PUBLIC "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=" // RFC 7748 section 6.1

static const struct {
	const char *what;
	const char *private_key_file, *public_key, *preshared_key_file;
	int err;
	const char *message; // a part of it
} configs[] = {
	{ "key files beside the configuration", "good.key", BOB_PUBLIC, "good.psk", 0, NULL },
	{ "no private key", "none.key", BOB_PUBLIC, "good.psk", -EINVAL,
		"c.yaml:3:21: private_key_file none.key cannot be opened; No such file or "
		"directory; "
		"make one with `sluice genkey`" },
	{ "others read the private key", "open.key", BOB_PUBLIC, "good.psk", -EINVAL,
		"c.yaml:3:21: private_key_file open.key can be used by group or others (mode "
		"0644); a "
		"secret key is for its owner only; run `chmod 600` on it" },
	{ "no preshared key", "good.key", BOB_PUBLIC, "none.psk", -EINVAL,
		"c.yaml:7:27: preshared_key_file none.psk cannot be opened; No such file" },
	{ "others read the preshared key", "good.key", BOB_PUBLIC, "open.key", -EINVAL,
		"c.yaml:7:27: preshared_key_file open.key can be used by group or others" },
	{ "a text as a private key", "text.key", BOB_PUBLIC, "good.psk", -EINVAL,
		"c.yaml:3:21: private_key_file text.key holds no key" },
	{ "a private key of zeros", "zero.key", BOB_PUBLIC, "good.psk", -EINVAL,
		"c.yaml:3:21: private_key_file zero.key holds a key of zeros" },
	{ "the gateway as its own peer", "good.key", ALICE_PUBLIC, "good.psk", -EINVAL,
		"c.yaml:6:19: public_key is the gateway's own" },
};

static void
check_loaded(const struct config_gateway *config)
{
	char text[KEY_TEXT_LEN];

	public_key_format(&config->public_key, text);
	tap_text(text, ALICE_PUBLIC, "the public key is that of the private key");
	secret_key_format(&config->private_key, text);
	tap_text(text, ALICE, "the private key is loaded");
	secret_key_format(&config->peers[0].preshared_key, text);
	tap_ok(config->peers[0].has_preshared_key, "there is a preshared key");
	tap_text(text, BOB_PUBLIC, "and it is loaded");
}

#define AUTH_KEY "hskey-auth-0123456789abcdef"

static const struct {
	const char *what;
	const char *content; // NULL: no file
	mode_t mode;
	int err;
	const char *message; // a part of it, also of a warning
} auth_keys[] = {
	{ "an auth key and a line break", AUTH_KEY "\n", 0600, 0, NULL },
	{ "white space around it", " " AUTH_KEY "\r\n", 0400, 0, NULL },
	{ "an auth key that others read", AUTH_KEY, 0644, -EINVAL,
		"c.yaml:3:18: auth_key_file auth.key can be used by group or others (mode 0644)" },
	{ "two words", "hskey auth-0123456789abcdef", 0600, -EINVAL,
		"auth_key_file auth.key holds no auth key; that is one word" },
	{ "nothing", "", 0600, -EINVAL, "holds no auth key" },
	{ "an auth key that was removed after joining", NULL, 0, 0,
		"c.yaml:3:18: warning: auth_key_file auth.key is not there" },
};

static void
check_auth_keys(void)
{
	static const char text[] = "version: 1\ntailnet:\n  auth_key_file: auth.key\n";

	write_file("c.yaml", text, strlen(text), 0644);
	for (size_t i = 0; i < sizeof(auth_keys) / sizeof(auth_keys[0]); i++) {
		const char *content = auth_keys[i].content, *message = auth_keys[i].message;
		struct config_gateway *config = NULL;
		char *errors = NULL;

		unlink(path_of("auth.key"));
		if (content != NULL)
			write_file("auth.key", content, strlen(content), auth_keys[i].mode);
		tap_int(config_load(path_of("c.yaml"), &config, &errors), auth_keys[i].err,
			auth_keys[i].what);
		if (message != NULL)
			tap_ok(errors != NULL && strstr(errors, message) != NULL, "says: %s",
				errors != NULL ? errors : "nothing\n");
		if (errors != NULL)
			tap_ok(strstr(errors, "0123456789") == NULL, "and nothing of the key");
		if (config != NULL)
			tap_text(config->tailnet.auth_key, content != NULL ? AUTH_KEY : "",
				"the key is loaded if there is one");
		config_free(config);
		free(errors);
	}
}

static void
check_auth_key_without_keys(void)
{
	struct config_gateway *config = NULL;
	char *errors = NULL;

	write_file("auth.key", "hskey", 5, 0644);
	tap_int(config_load_without_keys(path_of("c.yaml"), &config, &errors), 0,
		"the data plane does not open an auth key's file");
	tap_ok(config != NULL && config->tailnet.auth_key[0] == '\0', "and has no auth key");
	config_free(config);
	free(errors);
}

static void
check_without_keys(void)
{
	static const struct secret_key zero;
	struct config_gateway *config = NULL;
	char *errors = NULL, text[1024];

	snprintf(text, sizeof(text), config_format, "none.key", BOB_PUBLIC, "none.psk");
	write_file("c.yaml", text, strlen(text), 0644);
	tap_int(config_load_without_keys(path_of("c.yaml"), &config, &errors), 0,
		"the data plane opens no key file");
	if (config != NULL)
		tap_bytes(&config->private_key, &zero, sizeof(zero), "its keys are zero");
	config_free(config);
	free(errors);
}

static void
check_configs(void)
{
	write_file("good.key", ALICE "\n", strlen(ALICE) + 1, 0600);
	write_file("good.psk", BOB_PUBLIC "\n", strlen(BOB_PUBLIC) + 1, 0600);
	write_file("open.key", ALICE "\n", strlen(ALICE) + 1, 0644);
	write_file("text.key", "hello\n", 6, 0600);
	write_file("zero.key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 44, 0600);

	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		struct config_gateway *config = NULL;
		char *errors = NULL, text[1024];

		snprintf(text, sizeof(text), config_format, configs[i].private_key_file,
			configs[i].public_key, configs[i].preshared_key_file);
		write_file("c.yaml", text, strlen(text), 0644);
		tap_int(config_load(path_of("c.yaml"), &config, &errors), configs[i].err,
			configs[i].what);
		if (configs[i].message != NULL)
			tap_ok(errors != NULL && strstr(errors, configs[i].message) != NULL,
				"says: %s", errors != NULL ? errors : "nothing\n");
		else if (config != NULL)
			check_loaded(config);
		config_free(config);
		free(errors);
	}
}

int
main(void)
{
	char command[PATH_MAX];

	if (crypto_init() < 0 || mkdtemp(folder) == NULL)
		return 2;
	check_files();
	check_other_kinds();
	check_write();
	check_configs();
	check_without_keys();
	check_auth_keys();
	check_auth_key_without_keys();
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	tap_int(system(command), 0, "nothing else is left");
	return tap_done();
}
