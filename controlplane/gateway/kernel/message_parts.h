/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of `message` share among themselves; nobody else includes this.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_MESSAGE_PARTS_H
#define CONTROLPLANE_GATEWAY_KERNEL_MESSAGE_PARTS_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/kernel/message.h"

/* AF_... of an enum addr_family, and back; AF_UNSPEC and ADDR_NONE are each other's. */
uint8_t message_to_kernel(uint8_t family);
uint8_t message_from_kernel(uint8_t family);
size_t message_addr_bytes(uint8_t family);

/* A request with its fixed part, which comes zeroed. */
void *message_begin(struct message *m, uint16_t type, uint16_t flags, size_t header_len);
struct nlmsghdr *message_header(struct message *m);

/* The fixed part of a message, or NULL if it is shorter than that. */
const void *message_fixed_part(const struct nlmsghdr *h, size_t len);

/* One attribute.  False: it is too short, or of the wrong length. */
bool message_read_u32(const struct nlattr *attr, uint32_t *ret_value);
bool message_read_addr(const struct nlattr *attr, uint8_t family, struct addr *ret_addr);

#endif
