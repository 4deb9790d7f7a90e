/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/nearest.h"

#include <ctype.h>
#include <string.h>

#define NAME_MAX_LEN 63u

static unsigned
smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static void
fold(char out[static NAME_MAX_LEN + 1], const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = name[i] == '-' ? '_' : (char)tolower((unsigned char)name[i]);
	out[len] = '\0';
}

/*
 * Optimal string alignment distance (Damerau-Levenshtein without overlapping swaps), three rows of
 * the usual table.
 */
static unsigned
edit_distance(const char *a, unsigned a_len, const char *b, unsigned b_len)
{
	unsigned rows[3][NAME_MAX_LEN + 1];

	for (unsigned j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned *now = rows[i % 3], *last = rows[(i - 1) % 3];
		const unsigned *before = rows[(i + 1) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			now[j] = smaller(last[j], now[j - 1]) + 1;
			now[j] = smaller(now[j], last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = smaller(now[j], before[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

unsigned
nearest_distance(const char *given, const char *wanted)
{
	size_t given_len = strlen(given), wanted_len = strlen(wanted);
	char a[NAME_MAX_LEN + 1], b[NAME_MAX_LEN + 1];
	unsigned distance;

	if (given_len > NAME_MAX_LEN || wanted_len > NAME_MAX_LEN)
		return NEAREST_TOO_FAR;
	fold(a, given, given_len);
	fold(b, wanted, wanted_len);

	distance = edit_distance(a, (unsigned)given_len, b, (unsigned)wanted_len);
	if (distance <= 1 || distance <= wanted_len / 3)
		return distance;
	if ((given_len >= 4 && strstr(b, a) != NULL) || (wanted_len >= 4 && strstr(a, b) != NULL))
		return distance; // "private_key" for "private_key_file"
	return NEAREST_TOO_FAR;
}

void
nearest_consider(struct nearest *n, const char *given, const char *candidate)
{
	unsigned distance = nearest_distance(given, candidate);

	if (distance < n->distance)
		*n = (struct nearest){ candidate, distance };
}
