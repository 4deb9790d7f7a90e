/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The journal: a text file in the run directory with every change to the host that has to be
 * undone.  An entry is on disk before its change is made, so a process killed between the two
 * leaves an entry too many, never one too few; undoing what was never done is harmless.
 *
 *     sluice-journal 1 boot 6e6f... netns 4242
 *     tun sluice0
 *     table 52100
 *     rule inet 52100 priority 5200 mark 0x53c0000
 *     address sluice0 10.99.0.1/24
 *     before net/ipv4/conf/eth0/forwarding 1
 *     sysctl net/ipv4/conf/all/forwarding 0 1
 *     neighbours eth0
 *     nftable sluice
 *     reserve 61000 65535
 *
 * A `sysctl` line holds the value found and the value set; `before` one that the kernel changes as
 * a side effect of the next sysctl.  `neighbours` are entries with our protocol number on an
 * interface, `reserve` ports that were not reserved before.  Who reads it backwards is undo.h.
 *
 * Owner:  `sluice run` writes `tun` before the keeper starts, the control plane the rest; both
 *         may have the file open, each line is one write under a lock.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_JOURNAL_H
#define CONTROLPLANE_GATEWAY_KERNEL_JOURNAL_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/kernel/nf_table.h"
#include "controlplane/gateway/kernel/notes.h"
#include "lib/net/addr.h"

#define JOURNAL_FILE_NAME   "journal" /* in the run directory */
#define JOURNAL_VERSION     1
#define JOURNAL_KEY_LEN     64 /* bytes of a sysctl's key, with its zero */
#define JOURNAL_BOOT_LEN    40 /* bytes of a boot id, with its zero */
#define JOURNAL_MAX_BYTES   (1024 * 1024)
#define JOURNAL_MAX_ENTRIES 8192

enum journal_kind {
	JOURNAL_TUN,        /* a persistent TUN: interface */
	JOURNAL_TABLE,      /* routes with our protocol number in this table */
	JOURNAL_RULE,       /* family, table, priority, mark */
	JOURNAL_ADDRESS,    /* interface, prefix with host bits */
	JOURNAL_BEFORE,     /* key, old_value */
	JOURNAL_SYSCTL,     /* key, old_value, new_value */
	JOURNAL_NEIGHBOURS, /* interface */
	JOURNAL_NF_TABLE,   /* name, of the family inet */
	JOURNAL_RESERVE,    /* port_first, port_last */
};

/* Fields that the kind does not name are zero. */
struct journal_entry {
	enum journal_kind kind;
	uint8_t family; /* enum addr_family */
	char interface[IF_NAMESIZE];
	struct prefix prefix;
	uint32_t table;
	uint32_t priority;
	uint32_t mark;
	char key[JOURNAL_KEY_LEN]; /* below /proc/sys, with slashes: net/ipv4/conf/all/forwarding */
	int32_t old_value;
	int32_t new_value;
	char name[NF_TABLE_NAME_LEN];
	uint16_t port_first, port_last;
};

/* Where a journal belongs: it is void after a reboot and in another network namespace. */
struct journal_place {
	char boot[JOURNAL_BOOT_LEN];
	uint64_t netns; /* the kernel's cookie of the namespace, or its inode before Linux 5.14 */
};

struct journal_content {
	struct journal_place place;
	struct journal_entry *entries; /* in the order of the file */
	size_t n_entries;
	size_t n_refused;    /* complete lines that were not understood */
	size_t complete_len; /* bytes up to the last newline: what follows was cut off by a death */
};

/*
 * Read a journal's text.  A last line without newline is ignored: its change was never begun.
 * Lines that are not understood are counted, named in `notes`, and left out.  ret_content is the
 * caller's to give to journal_content_fini().
 *
 * Returns 0, or
 *   ERR_TRUNCATED   not even the first line is complete (an empty file too);
 *   ERR_BAD_FORMAT  it is no journal;
 *   ERR_VERSION     it is one of another version;
 *   -E2BIG          too long, or too many entries;
 *   -ENOMEM.
 */
[[nodiscard]] int journal_parse(const char *text,
	size_t len,
	struct notes *notes,
	struct journal_content *ret_content);
void journal_content_fini(struct journal_content *content);

/*
 * Read a journal's file, which must be a regular file of ours (effective user) that nobody else
 * can write.  Errors of journal_parse(), -ENOENT, -EPERM (whose file is it?), -errno.
 */
[[nodiscard]] int
journal_read(const char *path, struct notes *notes, struct journal_content *ret_content);

/* Where this process is.  0, or -errno. */
[[nodiscard]] int journal_place_here(struct journal_place *ret_place);
bool journal_place_equal(const struct journal_place *a, const struct journal_place *b);

struct journal;

/*
 * Open to write: continue the file, or begin a new one (mode 0600) where there is none, or one of
 * another boot or namespace.  A cut-off last line is removed.
 *
 * Returns 0, the errors of journal_read() (a file that is no journal is not overwritten), -errno.
 */
[[nodiscard]] int journal_open(const char *path, struct journal **ret_journal);
void journal_close(struct journal *journal);

/*
 * Write one entry and wait until it is stored; make the change after that, and only if this
 * returned 0.  An entry that is in the file already is not written again (of a sysctl's entries
 * only the latest is looked at).  NULL journal: 0.
 *
 * Returns 0, -EINVAL (an entry that journal_parse() would refuse), or -errno; then the file is as
 * it was.
 */
[[nodiscard]] int journal_append(struct journal *journal, const struct journal_entry *entry);

/* "tun NAME": for whoever lets the keeper make the interface. */
[[nodiscard]] int journal_append_tun(struct journal *journal, const char *interface);

/* Whether a JOURNAL_SYSCTL entry for this key is in the file: then it was we who set it. */
bool journal_has_sysctl(const struct journal *journal, const char *key);

/* Each entry of a kind, in the order of the file. */
void journal_each(const struct journal *journal,
	enum journal_kind kind,
	void (*entry)(const struct journal_entry *entry, void *context),
	void *context);

/* Whether the key is one that we ever write: the undoing writes no other. */
bool journal_is_our_key(const char *key);

#endif
