/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Undo what a journal says, last change first.  Works without the control plane, and twice.
 *
 * Owner:  `sluice run`: after its children have ended, and before it starts them.
 * Thread: any; blocks for as long as the kernel takes to remove our routes.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_UNDO_H
#define CONTROLPLANE_GATEWAY_KERNEL_UNDO_H

#include "controlplane/gateway/kernel/notes.h"

/*
 * Remove rules, routes, addresses and the TUN of ours, and give sysctls their old values where the
 * present one is still what we set; then remove the file.  Where something could not be undone,
 * the file stays for another try.  `notes` (may be NULL) says what was done and what was not.
 *
 * Returns 0 (also: no such file; a journal of another boot or namespace, which is removed), the
 * first error of undoing, or an error of journal_read() (then the file stays as it is).
 */
[[nodiscard]] int journal_undo(const char *path, struct notes *notes);

#endif
