/* SPDX-License-Identifier: BSD-3-Clause */

#include <link.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "bench/harness/build_info.h"
#include "bench/harness/machine.h"

#define ID_MAX_LEN 32
#define ID_TYPE    3 // NT_GNU_BUILD_ID

struct id {
	char text[2 * ID_MAX_LEN + 1];
};

static size_t
padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

// The notes of one segment: name length, description length, type, then both, padded to four.
static void
find_id(const uint8_t *note, size_t len, struct id *ret)
{
	while (len >= 12) {
		uint32_t name_len, data_len, type;
		size_t whole;

		memcpy(&name_len, note, 4);
		memcpy(&data_len, note + 4, 4);
		memcpy(&type, note + 8, 4);
		whole = 12 + padded(name_len) + padded(data_len);
		if (whole > len)
			return;
		if (type == ID_TYPE && name_len == 4 && memcmp(note + 12, "GNU", 4) == 0 &&
			data_len <= ID_MAX_LEN)
			sodium_bin2hex(ret->text, sizeof(ret->text), note + 16, data_len);
		note += whole;
		len -= whole;
	}
}

static int
look_into(struct dl_phdr_info *object, size_t, void *ret_id)
{
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type == PT_NOTE)
			find_id((const uint8_t *)(object->dlpi_addr + p->p_vaddr), p->p_memsz,
				ret_id);
	}
	return 1; // the first object is the program itself
}

static json_t *
text_or_null(const char *text)
{
	return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

json_t *
bench_build(void)
{
	struct id id = {};

	dl_iterate_phdr(look_into, &id);
	return json_pack("{s:s, s:s, s:o, s:s, s:s, s:{s:s, s:s, s:o}}", "version", SLUICE_VERSION,
		"commit", BUILD_COMMIT, "id", text_or_null(id.text), "compiler", BUILD_COMPILER,
		"flags", BUILD_FLAGS, "libraries", "libsodium", sodium_version_string(), "openssl",
		OpenSSL_version(OPENSSL_VERSION), "ipsec-mb",
		text_or_null(bench_ipsec_mb_version()));
}
