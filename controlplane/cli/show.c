/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_int_t
show_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

const char *
show_text(const json_t *object, const char *key, const char *missing)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value != NULL && value[0] != '\0' ? value : missing;
}

bool
show_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

const char *
show_bytes(json_int_t n, char out[static SHOW_LEN])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)n;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(out, SHOW_LEN, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return out;
}

const char *
show_age(const json_t *value, const char *missing, char out[static SHOW_LEN])
{
	json_int_t s;

	if (!json_is_number(value))
		return missing;
	s = (json_int_t)json_number_value(value);
	if (s < 60)
		snprintf(out, SHOW_LEN, "%llds", (long long)s);
	else if (s < 3600)
		snprintf(out, SHOW_LEN, "%lldm%02llds", (long long)s / 60, (long long)s % 60);
	else
		snprintf(
			out, SHOW_LEN, "%lldh%02lldm", (long long)s / 3600, (long long)s / 60 % 60);
	return out;
}

const char *
show_latency(const json_t *value, const char *missing, char out[static SHOW_LEN])
{
	double ms = json_number_value(value);

	if (!json_is_number(value))
		return missing;
	if (ms >= 1000)
		snprintf(out, SHOW_LEN, "%.3fs", ms / 1000);
	else if (ms >= 10)
		snprintf(out, SHOW_LEN, "%.0fms", ms);
	else
		snprintf(out, SHOW_LEN, ms >= 1 ? "%.1fms" : "%.2fms", ms);
	return out;
}

void
show_list(const json_t *array, const char *between)
{
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
	{
		const char *text = json_string_value(item);

		printf("%s%s", i == 0 ? "" : between, text != NULL ? text : "?");
	}
}

// C0, DEL and, in UTF-8, C1: what a terminal may take for a command.
static bool
clean_text(char *text)
{
	unsigned char *c = (unsigned char *)text;
	bool changed = false;

	for (; *c != '\0'; c++) {
		if (*c < 0x20 || *c == 0x7f) {
			*c = '?';
			changed = true;
		} else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) {
			c[0] = c[1] = '?';
			changed = true;
		}
	}
	return changed;
}

static void
clean_string(json_t *value)
{
	char *text = strdup(json_string_value(value));

	if (text == NULL || clean_text(text))
		json_string_set(value, text != NULL ? text : "?");
	free(text);
}

// Arrays and objects are as deep as the daemon makes them, which is not deep.
void
show_clean(json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_string(value))
		clean_string(value);
	json_array_foreach(value, i, member) show_clean(member);
	json_object_foreach(value, key, member) show_clean(member);
}

void
show_json(json_t *answer)
{
	json_object_del(answer, "ok");
	json_dumpf(answer, stdout, JSON_INDENT(2));
	putchar('\n');
}
