/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any bytes as a wg-quick file.  What is understood can be printed; it need not load (an address
 * may be a network's, say), but a second look must not crash either.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/print.h"
#include "config/wg_quick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
look_again(struct config_gateway *config)
{
	struct config_gateway *again = NULL;
	char *text = NULL, *errors = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	config->private_key_file = strdup("wg.key");
	if (out == NULL || config_print(out, config) < 0 || fclose(out) != 0)
		abort();
	if (config_parse("printed", text, len, false, &again, &errors) < 0 && errors == NULL)
		abort();
	config_free(again);
	free(errors);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config_gateway *config = NULL;
	char *notes = NULL;
	int err;

	err = wg_quick_parse("fuzz", (const char *)data, len, &config, &notes);
	if (err < 0 && notes == NULL)
		abort(); // refused without a word
	free(notes);
	if (err == 0)
		look_again(config);
	config_free(config);
	return 0;
}
