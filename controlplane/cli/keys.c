/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice genkey, pubkey, genpsk: keys as text, on stdin and stdout.
 */

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/cli/command.h"
#include "lib/base/secret.h"
#include "lib/crypto/key.h"

#define READ_BYTES 256 // more than a key with white space around it

static const struct option options[] = {
	{ "run-dir", required_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	{},
};

// True: go on.  False: end with *ret_status.
static bool
take_arguments(int argc, char **argv, int *ret_status)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			continue;
		*ret_status =
			option == 'h' ? command_help(argv[0]) : command_usage_error(argv[0], NULL);
		return false;
	}
	if (optind < argc) {
		// Perhaps a key, which is not to be repeated.
		*ret_status = command_usage_error(argv[0], "it takes no arguments");
		return false;
	}
	return true;
}

// Past stdio, whose buffer would keep a copy.
static int
write_line(char *text, size_t len)
{
	ssize_t n;

	text[len - 1] = '\n';
	while (len > 0) {
		n = write(STDOUT_FILENO, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fprintf(stderr,
				"sluice: the key could not be written; %s; choose another "
				"place\n",
				strerror(errno));
			return COMMAND_FAILED;
		}
		text += n;
		len -= (size_t)n;
	}
	return COMMAND_OK;
}

static void
warn_about_readers(void)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
		fputs("warning: others can use the file that the key goes to; secret keys are for "
		      "their owner only; run `chmod 600` on it\n",
			stderr);
}

static int
print_secret(const struct secret_key *key)
{
	char text[KEY_TEXT_LEN];
	int status;

	warn_about_readers();
	secret_key_format(key, text);
	status = write_line(text, sizeof(text));
	secret_wipe(text, sizeof(text));
	return status;
}

int
cmd_genkey(int argc, char **argv)
{
	struct secret_key key;
	int status;

	if (!take_arguments(argc, argv, &status))
		return status;
	key_generate(&key);
	status = print_secret(&key);
	secret_wipe(&key, sizeof(key));
	return status;
}

int
cmd_genpsk(int argc, char **argv)
{
	struct secret_key key;
	int status;

	if (!take_arguments(argc, argv, &status))
		return status;
	random_bytes(&key, sizeof(key));
	status = print_secret(&key);
	secret_wipe(&key, sizeof(key));
	return status;
}

// Everything on stdin, if it is not more than `size`.
static bool
read_stdin(char *content, size_t size, size_t *ret_len)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(STDIN_FILENO, content + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return len < size;
}

// Cuts the white space at both ends: [*ret_start, *ret_start + result).
static size_t
trim(const char *content, size_t len, size_t *ret_start)
{
	size_t start = 0;

	while (len > 0 && strchr(" \t\r\n", content[len - 1]) != NULL && content[len - 1] != '\0')
		len--;
	while (start < len && strchr(" \t\r\n", content[start]) != NULL && content[start] != '\0')
		start++;
	*ret_start = start;
	return len - start;
}

static bool
read_key(struct secret_key *ret_key)
{
	char content[READ_BYTES], text[KEY_TEXT_LEN] = "";
	size_t len = 0, start;
	bool good = false;

	if (read_stdin(content, sizeof(content), &len)) {
		len = trim(content, len, &start);
		if (len == KEY_TEXT_LEN - 1) {
			memcpy(text, content + start, len);
			text[len] = '\0';
			good = secret_key_parse(text, ret_key) == 0;
		}
	}
	secret_wipe(content, sizeof(content));
	secret_wipe(text, sizeof(text));
	return good;
}

int
cmd_pubkey(int argc, char **argv)
{
	char text[KEY_TEXT_LEN];
	struct public_key public_key;
	struct secret_key key;
	int status;

	if (!take_arguments(argc, argv, &status))
		return status;
	if (!read_key(&key)) {
		fputs("sluice pubkey: stdin has no key; it takes 44 characters of base64; give it "
		      "a "
		      "key file: sluice pubkey < FILE\n",
			stderr);
		return COMMAND_FAILED;
	}
	key_public(&public_key, &key);
	secret_wipe(&key, sizeof(key));
	public_key_format(&public_key, text);
	return write_line(text, sizeof(text));
}
