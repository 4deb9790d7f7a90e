/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steer program as an ELF object for BPF, part of this program: made from steer.bpf.c by
 * embed.py when building.
 */
#ifndef EBPF_STEER_OBJECT_H
#define EBPF_STEER_OBJECT_H

extern const unsigned char steer_object[];
extern const unsigned long steer_object_len; /* bytes */

#endif
