/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/name_list.h"

#include <string.h>

bool
name_is_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; p != NULL; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, name, len) == 0 && (p[len] == ',' || p[len] == '\0'))
			return true;
	}
	return list == NULL;
}
