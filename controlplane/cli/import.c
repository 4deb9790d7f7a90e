/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice import: a wg-quick file becomes a configuration on stdout and key files beside it.  The
 * configuration is checked before the first key is written, so what is printed also loads.
 */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/gateway.h"
#include "config/key_file.h"
#include "config/print.h"
#include "config/text_file.h"
#include "config/wg_quick.h"
#include "controlplane/cli/command.h"
#include "lib/base/err.h"

#define DEFAULT_KEY_DIR "/etc/sluice/keys"

static const struct option options[] = {
	{ "key-dir", required_argument, NULL, 'k' },
	{ "force", no_argument, NULL, 'f' },
	{ "run-dir", required_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	{},
};

// Make the folder and those above it.  Only the owner may enter the new ones.
static int
make_folders(const char *path)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, len + 1);
	for (char *c = part + 1;; c++) {
		char end = *c;

		if (end != '/' && end != '\0')
			continue;
		*c = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
		if (end == '\0')
			return 0;
		*c = '/';
	}
}

// "wg0" of "/etc/wireguard/wg0.conf": begins the names of the key files.
static int
stem_of(const char *path, char **ret_stem)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t len = strlen(name);

	if (len > 5 && strcmp(name + len - 5, ".conf") == 0)
		len -= 5;
	*ret_stem = strndup(len > 0 ? name : "wg", len > 0 ? len : 2);
	return *ret_stem != NULL ? 0 : -ENOMEM;
}

/*
 * The files that the keys go to.  A peer without a name has its number behind a '+', which no name
 * has in it, so that no two are the same.
 */
static int
name_key_files(struct config_gateway *config, const char *folder, const char *stem)
{
	if (asprintf(&config->private_key_file, "%s/%s.key", folder, stem) < 0) {
		config->private_key_file = NULL;
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->n_peers; i++) {
		struct config_peer *peer = &config->peers[i];
		int n;

		if (!peer->has_preshared_key)
			continue;
		if (peer->has_name)
			n = asprintf(&peer->preshared_key_file, "%s/%s-%s.psk", folder, stem,
				peer->name);
		else
			n = asprintf(
				&peer->preshared_key_file, "%s/%s+%zu.psk", folder, stem, i + 1);
		if (n < 0) {
			peer->preshared_key_file = NULL;
			return -ENOMEM;
		}
	}
	return 0;
}

// The configuration as YAML, on the heap, proven to load.
static int
make_yaml(const char *path, const struct config_gateway *config, char **ret_yaml)
{
	struct config_gateway *again = NULL;
	char *yaml = NULL, *errors = NULL;
	size_t len = 0;
	FILE *out;
	int err;

	out = open_memstream(&yaml, &len);
	if (out == NULL)
		return -ENOMEM;
	err = config_print(out, config);
	if (fclose(out) != 0 && err == 0)
		err = -ENOMEM;
	if (err < 0)
		goto free_yaml;

	err = config_parse("(the YAML made of it)", yaml, len, false, &again, &errors);
	if (err < 0) {
		fprintf(stderr, "%s: this is not a configuration that Sluice can run:\n%s", path,
			errors != NULL ? errors : "");
		free(errors);
		goto free_yaml;
	}
	free(errors); // warnings: the reader of the wg-quick file gave its own
	config_free(again);
	*ret_yaml = yaml;
	return 0;

free_yaml:
	free(yaml);
	return err;
}

static bool
write_one(const char *file, const struct secret_key *key, bool replace)
{
	int err = key_file_write(file, key, replace);

	if (err == 0)
		return true;
	if (err == -EEXIST)
		fprintf(stderr,
			"%s: there is a file already; keys are not overwritten; choose another "
			"--key-dir, or say --force\n",
			file);
	else
		fprintf(stderr, "%s: the key cannot be written; %s; choose another --key-dir\n",
			file, err_str(err));
	return false;
}

// Without --force everything that was written is new, and goes again when not all could be.
static void
remove_written(const struct config_gateway *config, size_t n_peers, bool replace)
{
	if (replace)
		return;
	unlink(config->private_key_file);
	for (size_t i = 0; i < n_peers; i++)
		if (config->peers[i].has_preshared_key)
			unlink(config->peers[i].preshared_key_file);
}

static bool
write_keys(const struct config_gateway *config, bool replace)
{
	if (!write_one(config->private_key_file, &config->private_key, replace))
		return false;
	for (size_t i = 0; i < config->n_peers; i++) {
		const struct config_peer *peer = &config->peers[i];

		if (!peer->has_preshared_key)
			continue;
		if (!write_one(peer->preshared_key_file, &peer->preshared_key, replace)) {
			remove_written(config, i, replace);
			return false;
		}
	}
	return true;
}

// Absolute, because the configuration may come to lie anywhere.
static int
prepare_folder(const char *key_dir, char **ret_folder)
{
	int err;

	err = make_folders(key_dir);
	if (err == 0) {
		*ret_folder = realpath(key_dir, NULL);
		err = *ret_folder == NULL ? -errno : 0;
	}
	if (err < 0)
		fprintf(stderr,
			"%s: the folder for the keys cannot be made; %s; choose another "
			"with --key-dir\n",
			key_dir, err_str(err));
	return err;
}

static int
convert(const char *path, struct config_gateway *config, const char *key_dir, bool replace)
{
	char *folder = NULL, *stem = NULL, *yaml = NULL;
	int status = COMMAND_FAILED;

	if (prepare_folder(key_dir, &folder) < 0)
		return COMMAND_FAILED;
	if (stem_of(path, &stem) < 0 || name_key_files(config, folder, stem) < 0) {
		fputs("sluice import: out of memory\n", stderr);
		goto free_all;
	}
	if (make_yaml(path, config, &yaml) < 0 || !write_keys(config, replace))
		goto free_all;
	printf("# Made by `sluice import`.\n%s", yaml);
	status = COMMAND_OK;

free_all:
	free(yaml);
	free(stem);
	free(folder);
	return status;
}

static int
import(const char *path, const char *key_dir, bool replace)
{
	struct config_gateway *config = NULL;
	char *text = NULL, *notes = NULL;
	int err, status;
	size_t len;

	err = text_file_read(path, &text, &len, &notes);
	if (err == 0) {
		err = wg_quick_parse(path, text, len, &config, &notes);
		text_file_free(text, len);
	}
	if (notes != NULL)
		fputs(notes, stderr);
	else if (err < 0)
		fprintf(stderr, "%s:1:1: the file cannot be imported; %s; try again\n", path,
			err_str(err));
	free(notes);
	if (err < 0)
		return COMMAND_FAILED;
	status = convert(path, config, key_dir, replace);
	config_free(config);
	return status;
}

int
cmd_import(int argc, char **argv)
{
	const char *key_dir = DEFAULT_KEY_DIR;
	bool replace = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'k':
			key_dir = optarg;
			break;
		case 'f':
			replace = true;
			break;
		case 'r':
			break;
		case 'h':
			return command_help(argv[0]);
		default:
			return command_usage_error(argv[0], NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage_error(argv[0], "it takes the name of one file");
	return import(argv[optind], key_dir, replace);
}
