/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The journal's parser: any text gives an error, or entries that a new journal could hold.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "controlplane/gateway/kernel/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_entry(const struct journal_entry *e)
{
	assert(e->kind <= JOURNAL_RESERVE);
	assert(memchr(e->name, '\0', sizeof(e->name)) != NULL);
	assert((e->kind == JOURNAL_NF_TABLE) == nf_table_is_our_name(e->name));
	assert(e->port_first <= e->port_last);
	assert(memchr(e->interface, '\0', sizeof(e->interface)) != NULL);
	assert(strchr(e->interface, '/') == NULL);
	if (e->kind == JOURNAL_BEFORE || e->kind == JOURNAL_SYSCTL)
		assert(journal_is_our_key(e->key) && strstr(e->key, "/../") == NULL);
	else
		assert(e->key[0] == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct journal_content content = {};
	struct notes notes = {};

	if (journal_parse((const char *)data, len, &notes, &content) == 0) {
		assert(content.complete_len <= len && content.complete_len > 0);
		assert(data[content.complete_len - 1] == '\n');
		for (size_t i = 0; i < content.n_entries; i++)
			check_entry(&content.entries[i]);
		journal_content_fini(&content);
	}
	notes_clear(&notes);
	return 0;
}
