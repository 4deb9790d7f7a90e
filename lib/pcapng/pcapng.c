/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/pcapng/pcapng.h"

#include <string.h>

#include "lib/base/bytes.h"

#define BLOCK_SECTION   0x0a0d0d0a
#define BLOCK_INTERFACE 1
#define BLOCK_PACKET    6

#define OPTION_END               0
#define OPTION_COMMENT           1
#define OPTION_IF_NAME           2
#define OPTION_IF_DESCRIPTION    3
#define OPTION_IF_TIMESTAMP_UNIT 9
#define OPTION_APPLICATION       4
#define OPTION_PACKET_FLAGS      2

#define COOKED_TO_US   0
#define COOKED_FROM_US 4
#define ARPHRD_NONE    0xfffe // no link layer
#define ETHERTYPE_IP4  0x0800
#define ETHERTYPE_IP6  0x86dd

#define BYTE_ORDER_MAGIC 0x1a2b3c4d
#define LENGTH_NOT_KNOWN UINT64_MAX
#define UNIT_NANOSECONDS 9 // 10 to the power of minus that

/* What is written so far.  Beyond the room nothing is written, but counted. */
struct block {
	uint8_t *buf;
	size_t room, len;
};

static void
put(struct block *b, const void *data, size_t len)
{
	if (b->len <= b->room && len <= b->room - b->len)
		memcpy(b->buf + b->len, data, len);
	b->len += len;
}

static void
put16(struct block *b, uint16_t value)
{
	const uint8_t bytes[2] = { (uint8_t)value, (uint8_t)(value >> 8) };

	put(b, bytes, sizeof(bytes));
}

static void
put32(struct block *b, uint32_t value)
{
	uint8_t bytes[4];

	store_le32(bytes, value);
	put(b, bytes, sizeof(bytes));
}

// To the next multiple of four.
static void
pad(struct block *b)
{
	static const uint8_t zeros[3];

	put(b, zeros, (4 - b->len % 4) % 4);
}

static void
put_option(struct block *b, uint16_t code, const void *data, size_t len)
{
	put16(b, code);
	put16(b, (uint16_t)len);
	put(b, data, len);
	pad(b);
}

// Cut where a character begins.
static void
put_text(struct block *b, uint16_t code, const char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);

	if (len > PCAPNG_MAX_TEXT) {
		len = PCAPNG_MAX_TEXT;
		while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
			len--;
	}
	if (len > 0)
		put_option(b, code, text, len);
}

static struct block
begin(uint8_t *buf, size_t room, uint32_t type)
{
	struct block b = { .buf = buf, .room = room };

	put32(&b, type);
	put32(&b, 0); // its length, by end()
	return b;
}

static size_t
end(struct block *b)
{
	uint32_t len = (uint32_t)b->len + 4;

	put32(b, len);
	if (b->len > b->room)
		return 0;
	store_le32(b->buf + 4, len);
	return b->len;
}

void
pcapng_cooked(uint8_t header[static PCAPNG_COOKED_LEN],
	enum pcapng_direction direction,
	uint8_t first_byte)
{
	memset(header, 0, PCAPNG_COOKED_LEN);
	store_be16(header, direction == PCAPNG_OUTBOUND ? COOKED_FROM_US : COOKED_TO_US);
	store_be16(header + 2, ARPHRD_NONE);
	store_be16(header + 14, first_byte >> 4 == 6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4);
}

size_t
pcapng_section(uint8_t *buf, size_t room, const char *application)
{
	struct block b = begin(buf, room, BLOCK_SECTION);

	put32(&b, BYTE_ORDER_MAGIC);
	put16(&b, 1); // version 1.0
	put16(&b, 0);
	put32(&b, (uint32_t)LENGTH_NOT_KNOWN);
	put32(&b, (uint32_t)(LENGTH_NOT_KNOWN >> 32));
	put_text(&b, OPTION_APPLICATION, application);
	put_option(&b, OPTION_END, NULL, 0);
	return end(&b);
}

size_t
pcapng_interface(uint8_t *buf,
	size_t room,
	uint16_t link_type,
	uint32_t snap_len,
	const char *name,
	const char *description)
{
	static const uint8_t unit = UNIT_NANOSECONDS;
	struct block b = begin(buf, room, BLOCK_INTERFACE);

	put16(&b, link_type);
	put16(&b, 0);
	put32(&b, snap_len);
	put_text(&b, OPTION_IF_NAME, name);
	put_text(&b, OPTION_IF_DESCRIPTION, description);
	put_option(&b, OPTION_IF_TIMESTAMP_UNIT, &unit, sizeof(unit));
	put_option(&b, OPTION_END, NULL, 0);
	return end(&b);
}

size_t
pcapng_packet(uint8_t *buf, size_t room, const struct pcapng_packet *packet)
{
	struct block b = begin(buf, room, BLOCK_PACKET);
	uint8_t flags[4];

	put32(&b, packet->interface);
	put32(&b, (uint32_t)(packet->time_ns >> 32));
	put32(&b, (uint32_t)packet->time_ns);
	put32(&b, packet->cap_len);
	put32(&b, packet->len);
	put(&b, packet->data, packet->cap_len);
	pad(&b);
	put_text(&b, OPTION_COMMENT, packet->comment);
	store_le32(flags, packet->direction); // bits 0 and 1
	put_option(&b, OPTION_PACKET_FLAGS, flags, sizeof(flags));
	put_option(&b, OPTION_END, NULL, 0);
	return end(&b);
}
