/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any bytes as a configuration file.  What loads must print, load again and print the same.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/gateway.h"
#include "config/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char *
print(const struct config_gateway *config)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL || config_print(out, config) < 0 || fclose(out) != 0)
		abort();
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config_gateway *config = NULL, *again = NULL;
	char *errors = NULL, *first, *second;
	int err;

	err = config_parse("fuzz", (const char *)data, len, false, &config, &errors);
	if (err < 0 && errors == NULL)
		abort(); // refused without a word
	free(errors);
	if (err < 0)
		return 0;

	first = print(config);
	errors = NULL;
	if (config_parse("printed", first, strlen(first), false, &again, &errors) < 0)
		abort();
	second = print(again);
	if (strcmp(first, second) != 0)
		abort();
	free(errors);
	free(first);
	free(second);
	config_free(config);
	config_free(again);
	return 0;
}
