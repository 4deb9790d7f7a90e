/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/err.h"

#define LINE_LEN   256 /* bytes of the longest line we write, with newline and zero */
#define WORDS_MAX  8
#define MAGIC_WORD "sluice-journal"

struct journal {
	int fd;
	struct journal_content content; // what the file held, and what we have added
};

static const char *const kind_names[] = {
	[JOURNAL_TUN] = "tun",
	[JOURNAL_TABLE] = "table",
	[JOURNAL_RULE] = "rule",
	[JOURNAL_ADDRESS] = "address",
	[JOURNAL_BEFORE] = "before",
	[JOURNAL_SYSCTL] = "sysctl",
	[JOURNAL_NEIGHBOURS] = "neighbours",
	[JOURNAL_NF_TABLE] = "nftable",
	[JOURNAL_RESERVE] = "reserve",
};

#define N_KINDS (sizeof(kind_names) / sizeof(kind_names[0]))

// Letters that the kernel allows in a name and that cannot lead out of a folder or a line.
static bool
is_interface_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IF_NAMESIZE || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '/' || *c == ':')
			return false;
	return true;
}

// net/ipv4/conf/NAME/SETTING, the only place where we write.
bool
journal_is_our_key(const char *key)
{
	static const char *const settings[] = { "forwarding", "accept_redirects", "accept_ra",
		"rp_filter", "promote_secondaries", "accept_local", "disable_ipv6" };
	char name[IF_NAMESIZE];
	const char *slash;

	if (strncmp(key, "net/ipv4/conf/", 14) != 0 && strncmp(key, "net/ipv6/conf/", 14) != 0)
		return false;
	key += 14;
	slash = strchr(key, '/');
	if (slash == NULL || (size_t)(slash - key) >= sizeof(name))
		return false;
	memcpy(name, key, (size_t)(slash - key));
	name[slash - key] = '\0';
	if (!is_interface_name(name))
		return false;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (strcmp(slash + 1, settings[i]) == 0)
			return true;
	return false;
}

// Cut a line (ended by a zero) at single spaces.  The number of words, 0 if there are too many.
static size_t
split(char *line, char *words[static WORDS_MAX])
{
	size_t n = 0;

	for (char *word = line; word != NULL; word = strchr(word, ' ')) {
		if (word != line)
			*word++ = '\0';
		if (n == WORDS_MAX)
			return 0;
		words[n++] = word;
	}
	return n;
}

static bool
parse_u64(const char *word, int base, uint64_t max, uint64_t *ret_number)
{
	const char *digits = base == 16 ? "0123456789abcdef" : "0123456789";
	uint64_t number = 0;

	if (word[0] == '\0' || strlen(word) > 20)
		return false;
	for (const char *c = word; *c != '\0'; c++) {
		const char *digit = strchr(digits, *c);

		if (digit == NULL || number > (max - (uint64_t)(digit - digits)) / (unsigned)base)
			return false;
		number = number * (unsigned)base + (uint64_t)(digit - digits);
	}
	*ret_number = number;
	return true;
}

static bool
parse_u32(const char *word, uint32_t *ret_number)
{
	int base = strncmp(word, "0x", 2) == 0 ? 16 : 10;
	uint64_t number;

	if (!parse_u64(base == 16 ? word + 2 : word, base, UINT32_MAX, &number))
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

static bool
parse_i32(const char *word, int32_t *ret_number)
{
	bool negative = word[0] == '-';
	uint64_t number;

	if (!parse_u64(negative ? word + 1 : word, 10, INT32_MAX, &number))
		return false;
	*ret_number = negative ? -(int32_t)number : (int32_t)number;
	return true;
}

static bool
parse_interface(const char *word, char name[static IF_NAMESIZE])
{
	if (!is_interface_name(word))
		return false;
	memcpy(name, word, strlen(word) + 1);
	return true;
}

static bool
parse_key(const char *word, char key[static JOURNAL_KEY_LEN])
{
	if (strlen(word) >= JOURNAL_KEY_LEN || !journal_is_our_key(word))
		return false;
	memcpy(key, word, strlen(word) + 1);
	return true;
}

static bool
parse_family(const char *word, uint8_t *ret_family)
{
	*ret_family = strcmp(word, "inet") == 0    ? ADDR_V4
	              : strcmp(word, "inet6") == 0 ? ADDR_V6
	                                           : ADDR_NONE;
	return *ret_family != ADDR_NONE;
}

// rule inet 52100 priority 5200 mark 0x53c0000
static bool
parse_rule(char *words[], size_t n, struct journal_entry *e)
{
	return n == 7 && parse_family(words[1], &e->family) && parse_u32(words[2], &e->table) &&
	       strcmp(words[3], "priority") == 0 && parse_u32(words[4], &e->priority) &&
	       strcmp(words[5], "mark") == 0 && parse_u32(words[6], &e->mark);
}

static bool
parse_name(const char *word, char name[static NF_TABLE_NAME_LEN])
{
	if (!nf_table_is_our_name(word))
		return false;
	memcpy(name, word, strlen(word) + 1);
	return true;
}

static bool
parse_ports(const char *first, const char *last, struct journal_entry *e)
{
	uint64_t from, to;

	if (!parse_u64(first, 10, UINT16_MAX, &from) || !parse_u64(last, 10, UINT16_MAX, &to) ||
		from == 0 || from > to)
		return false;
	e->port_first = (uint16_t)from;
	e->port_last = (uint16_t)to;
	return true;
}

static bool
parse_words(char *words[], size_t n, struct journal_entry *e)
{
	switch (e->kind) {
	case JOURNAL_TUN:
		return n == 2 && parse_interface(words[1], e->interface);
	case JOURNAL_TABLE:
		return n == 2 && parse_u32(words[1], &e->table);
	case JOURNAL_RULE:
		return parse_rule(words, n, e);
	case JOURNAL_ADDRESS:
		return n == 3 && parse_interface(words[1], e->interface) &&
		       prefix_parse(words[2], &e->prefix) == 0;
	case JOURNAL_BEFORE:
		return n == 3 && parse_key(words[1], e->key) && parse_i32(words[2], &e->old_value);
	case JOURNAL_SYSCTL:
		return n == 4 && parse_key(words[1], e->key) &&
		       parse_i32(words[2], &e->old_value) && parse_i32(words[3], &e->new_value);
	case JOURNAL_NEIGHBOURS:
		return n == 2 && parse_interface(words[1], e->interface);
	case JOURNAL_NF_TABLE:
		return n == 2 && parse_name(words[1], e->name);
	case JOURNAL_RESERVE:
		return n == 3 && parse_ports(words[1], words[2], e);
	}
	return false;
}

static bool
parse_entry(char *line, struct journal_entry *ret_entry)
{
	struct journal_entry e = {};
	char *words[WORDS_MAX];
	size_t n = split(line, words);

	for (size_t kind = 0; n > 0 && kind < N_KINDS; kind++) {
		if (strcmp(words[0], kind_names[kind]) != 0)
			continue;
		e.kind = (enum journal_kind)kind;
		if (!parse_words(words, n, &e))
			return false;
		*ret_entry = e;
		return true;
	}
	return false;
}

// sluice-journal 1 boot 6e6f... netns 4242
static int
parse_header(char *line, struct journal_place *ret_place)
{
	char *words[WORDS_MAX];
	size_t n = split(line, words);
	uint32_t version;
	uint64_t netns;

	if (n < 2 || strcmp(words[0], MAGIC_WORD) != 0 || !parse_u32(words[1], &version))
		return ERR_BAD_FORMAT;
	if (version != JOURNAL_VERSION)
		return ERR_VERSION;
	if (n != 6 || strcmp(words[2], "boot") != 0 || words[3][0] == '\0' ||
		strlen(words[3]) >= JOURNAL_BOOT_LEN || strcmp(words[4], "netns") != 0 ||
		!parse_u64(words[5], 10, UINT64_MAX, &netns))
		return ERR_BAD_FORMAT;
	memset(ret_place, 0, sizeof(*ret_place));
	memcpy(ret_place->boot, words[3], strlen(words[3]));
	ret_place->netns = netns;
	return 0;
}

static int
keep_entry(struct journal_content *content, const struct journal_entry *entry)
{
	struct journal_entry *entries;

	if (content->n_entries == JOURNAL_MAX_ENTRIES)
		return -E2BIG;
	entries = reallocarray(content->entries, content->n_entries + 1, sizeof(*entries));
	if (entries == NULL)
		return -ENOMEM;
	entries[content->n_entries++] = *entry;
	content->entries = entries;
	return 0;
}

// Copy the next complete line to `line`.  One that cannot be ours, for its length or for a zero
// inside, comes out empty.
static bool
next_line(const char *text, size_t len, size_t *at, char line[static LINE_LEN])
{
	const char *from = text + *at;
	const char *newline = memchr(from, '\n', len - *at);
	size_t line_len;

	if (newline == NULL)
		return false;
	line_len = (size_t)(newline - from);
	*at += line_len + 1;
	if (line_len >= LINE_LEN || memchr(from, '\0', line_len) != NULL)
		line_len = 0;
	memcpy(line, from, line_len);
	line[line_len] = '\0';
	return true;
}

static int
parse_lines(const char *text, size_t len, struct notes *notes, struct journal_content *content)
{
	char line[LINE_LEN], copy[LINE_LEN];
	struct journal_entry entry;
	size_t at = 0;
	int err;

	if (!next_line(text, len, &at, line))
		return ERR_TRUNCATED;
	err = parse_header(line, &content->place);
	if (err < 0)
		return err;

	for (int number = 2; next_line(text, len, &at, line); number++) {
		memcpy(copy, line, sizeof(copy));
		if (!parse_entry(copy, &entry)) {
			content->n_refused++;
			notes_add(notes, "journal line %d is not understood and not undone: \"%s\"",
				number, line);
			continue;
		}
		err = keep_entry(content, &entry);
		if (err < 0)
			return err;
	}
	content->complete_len = at;
	return 0;
}

int
journal_parse(const char *text,
	size_t len,
	struct notes *notes,
	struct journal_content *ret_content)
{
	struct journal_content content = {};
	int err;

	if (len > JOURNAL_MAX_BYTES)
		return -E2BIG;
	err = len > 0 ? parse_lines(text, len, notes, &content) : ERR_TRUNCATED;
	if (err < 0) {
		journal_content_fini(&content);
		return err;
	}
	*ret_content = content;
	return 0;
}

void
journal_content_fini(struct journal_content *content)
{
	free(content->entries);
	memset(content, 0, sizeof(*content));
}

static int
check_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		(st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return -EPERM;
	return st.st_size > JOURNAL_MAX_BYTES ? -E2BIG : 0;
}

static int
read_all(int fd, char **ret_text, size_t *ret_len)
{
	size_t len = 0;
	char *text;
	ssize_t n;
	int err;

	err = check_file(fd);
	if (err < 0)
		return err;
	text = malloc(JOURNAL_MAX_BYTES + 1);
	if (text == NULL)
		return -ENOMEM;
	do {
		n = pread(fd, text + len, JOURNAL_MAX_BYTES + 1 - len, (off_t)len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0) {
		err = -errno;
		free(text);
		return err;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

static int
read_content(int fd, struct notes *notes, struct journal_content *ret_content)
{
	char *text = NULL;
	size_t len = 0;
	int err;

	err = read_all(fd, &text, &len);
	if (err < 0)
		return err;
	err = journal_parse(text, len, notes, ret_content);
	free(text);
	return err;
}

int
journal_read(const char *path, struct notes *notes, struct journal_content *ret_content)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int err;

	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	err = read_content(fd, notes, ret_content);
	close(fd);
	return err;
}

static int
read_boot(char boot[static JOURNAL_BOOT_LEN])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	n = read(fd, boot, JOURNAL_BOOT_LEN - 1);
	err = n < 0 ? -errno : 0;
	close(fd);
	if (err < 0)
		return err;
	boot[n] = '\0';
	boot[strcspn(boot, " \n")] = '\0';
	return boot[0] != '\0' ? 0 : -ENODATA;
}

static int
read_netns(uint64_t *ret_netns)
{
	socklen_t len = sizeof(*ret_netns);
	struct stat st;
	int fd, err;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_netns, &len) < 0 ? -errno : 0;
	close(fd);
	if (err == 0)
		return 0;
	if (stat("/proc/self/ns/net", &st) < 0)
		return -errno;
	*ret_netns = st.st_ino;
	return 0;
}

int
journal_place_here(struct journal_place *ret_place)
{
	struct journal_place place = {};
	int err;

	err = read_boot(place.boot);
	if (err == 0)
		err = read_netns(&place.netns);
	if (err == 0)
		*ret_place = place;
	return err;
}

bool
journal_place_equal(const struct journal_place *a, const struct journal_place *b)
{
	return a->netns == b->netns && strcmp(a->boot, b->boot) == 0;
}

// All of the line or none of it.
static int
append_line(int fd, const char *line)
{
	off_t before = lseek(fd, 0, SEEK_END);
	size_t len = strlen(line);
	ssize_t n;
	int err;

	if (before < 0)
		return -errno;
	if ((size_t)before + len > JOURNAL_MAX_BYTES)
		return -EFBIG;
	n = write(fd, line, len);
	err = n < 0 ? -errno : (size_t)n < len ? -ENOSPC : 0;
	if (err == 0 && fdatasync(fd) < 0)
		err = -errno;
	if (err < 0 && ftruncate(fd, before) < 0)
		return -errno;
	return err;
}

static int
begin_file(int fd, const struct journal_place *place)
{
	char line[LINE_LEN];

	if (ftruncate(fd, 0) < 0)
		return -errno;
	snprintf(line, sizeof(line), MAGIC_WORD " %d boot %s netns %" PRIu64 "\n", JOURNAL_VERSION,
		place->boot, place->netns);
	return append_line(fd, line);
}

// Continue what lies in the file, or begin anew.  ERR_TRUNCATED is a death in the first line.
static int
take_over(int fd, struct journal_content *content)
{
	struct journal_place here;
	int err;

	err = journal_place_here(&here);
	if (err < 0)
		return err;
	err = read_content(fd, NULL, content);
	if (err == 0 && journal_place_equal(&content->place, &here))
		return ftruncate(fd, (off_t)content->complete_len) < 0 ? -errno : 0;
	if (err < 0 && err != ERR_TRUNCATED)
		return err;
	journal_content_fini(content);
	content->place = here;
	return begin_file(fd, &here);
}

int
journal_open(const char *path, struct journal **ret_journal)
{
	struct journal *journal;
	int err;

	journal = calloc(1, sizeof(*journal));
	if (journal == NULL)
		return -ENOMEM;
	journal->fd =
		open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (journal->fd < 0) {
		err = errno == ELOOP ? -EPERM : -errno;
		goto free_journal;
	}
	if (flock(journal->fd, LOCK_EX) < 0) {
		err = -errno;
		goto close_file;
	}
	err = take_over(journal->fd, &journal->content);
	flock(journal->fd, LOCK_UN);
	if (err < 0)
		goto close_file;
	*ret_journal = journal;
	return 0;

close_file:
	close(journal->fd);
free_journal:
	journal_content_fini(&journal->content);
	free(journal);
	return err;
}

void
journal_close(struct journal *journal)
{
	if (journal == NULL)
		return;
	close(journal->fd);
	journal_content_fini(&journal->content);
	free(journal);
}

static void
format_entry(const struct journal_entry *e, char line[static LINE_LEN])
{
	const char *kind = kind_names[e->kind];
	char text[ADDR_TEXT_LEN];

	switch (e->kind) {
	case JOURNAL_TUN:
		snprintf(line, LINE_LEN, "%s %s\n", kind, e->interface);
		break;
	case JOURNAL_TABLE:
		snprintf(line, LINE_LEN, "%s %" PRIu32 "\n", kind, e->table);
		break;
	case JOURNAL_RULE:
		snprintf(line, LINE_LEN,
			"%s %s %" PRIu32 " priority %" PRIu32 " mark 0x%" PRIx32 "\n", kind,
			e->family == ADDR_V6 ? "inet6" : "inet", e->table, e->priority, e->mark);
		break;
	case JOURNAL_ADDRESS:
		snprintf(line, LINE_LEN, "%s %s %s\n", kind, e->interface,
			prefix_format(&e->prefix, text));
		break;
	case JOURNAL_BEFORE:
		snprintf(line, LINE_LEN, "%s %s %" PRId32 "\n", kind, e->key, e->old_value);
		break;
	case JOURNAL_SYSCTL:
		snprintf(line, LINE_LEN, "%s %s %" PRId32 " %" PRId32 "\n", kind, e->key,
			e->old_value, e->new_value);
		break;
	case JOURNAL_NEIGHBOURS:
		snprintf(line, LINE_LEN, "%s %s\n", kind, e->interface);
		break;
	case JOURNAL_NF_TABLE:
		snprintf(line, LINE_LEN, "%s %s\n", kind, e->name);
		break;
	case JOURNAL_RESERVE:
		snprintf(line, LINE_LEN, "%s %u %u\n", kind, e->port_first, e->port_last);
		break;
	}
}

static bool
entry_equal(const struct journal_entry *a, const struct journal_entry *b)
{
	return a->kind == b->kind && a->family == b->family && a->table == b->table &&
	       a->priority == b->priority && a->mark == b->mark && a->old_value == b->old_value &&
	       a->new_value == b->new_value && strcmp(a->interface, b->interface) == 0 &&
	       strcmp(a->name, b->name) == 0 && a->port_first == b->port_first &&
	       a->port_last == b->port_last && a->prefix.len == b->prefix.len &&
	       addr_equal(&a->prefix.addr, &b->prefix.addr);
}

// For a sysctl its latest entry counts: it may go there and back again several times.
static bool
is_known(const struct journal *journal, const struct journal_entry *entry)
{
	for (size_t i = journal->content.n_entries; i > 0; i--) {
		const struct journal_entry *known = &journal->content.entries[i - 1];

		if (known->kind != entry->kind || strcmp(known->key, entry->key) != 0)
			continue;
		if (entry_equal(known, entry))
			return true;
		if (entry->key[0] != '\0')
			return false;
	}
	return false;
}

int
journal_append(struct journal *journal, const struct journal_entry *entry)
{
	char line[LINE_LEN], copy[LINE_LEN];
	struct journal_entry read_back;
	int err;

	if (journal == NULL || is_known(journal, entry))
		return 0;
	format_entry(entry, line);
	memcpy(copy, line, sizeof(copy));
	copy[strlen(copy) - 1] = '\0';
	if (strchr(copy, '\n') != NULL || !parse_entry(copy, &read_back))
		return -EINVAL;

	err = keep_entry(&journal->content, entry);
	if (err < 0)
		return err;
	if (flock(journal->fd, LOCK_EX) < 0)
		err = -errno;
	else
		err = append_line(journal->fd, line);
	flock(journal->fd, LOCK_UN);
	if (err < 0)
		journal->content.n_entries--;
	return err;
}

int
journal_append_tun(struct journal *journal, const char *interface)
{
	struct journal_entry entry = { .kind = JOURNAL_TUN };

	if (strlen(interface) >= sizeof(entry.interface))
		return -EINVAL;
	memcpy(entry.interface, interface, strlen(interface) + 1);
	return journal_append(journal, &entry);
}

bool
journal_has_sysctl(const struct journal *journal, const char *key)
{
	if (journal == NULL)
		return false;
	for (size_t i = 0; i < journal->content.n_entries; i++)
		if (journal->content.entries[i].kind == JOURNAL_SYSCTL &&
			strcmp(journal->content.entries[i].key, key) == 0)
			return true;
	return false;
}

void
journal_each(const struct journal *journal,
	enum journal_kind kind,
	void (*entry)(const struct journal_entry *entry, void *context),
	void *context)
{
	for (size_t i = 0; journal != NULL && i < journal->content.n_entries; i++)
		if (journal->content.entries[i].kind == kind)
			entry(&journal->content.entries[i], context);
}
