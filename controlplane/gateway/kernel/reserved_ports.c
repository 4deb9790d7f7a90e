/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/reserved_ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"

#define TEXT_LEN (128 * 1024) /* of a list that no longer one fits into: "1,3,5,..." is 190 KiB */

static bool
has(const struct reserved_ports *p, unsigned port)
{
	return (p->bits[port / 8] >> (port % 8) & 1) != 0;
}

static void
set(struct reserved_ports *p, unsigned port, bool on)
{
	uint8_t bit = (uint8_t)(1 << (port % 8));

	p->bits[port / 8] = on ? p->bits[port / 8] | bit : p->bits[port / 8] & (uint8_t)~bit;
}

static bool
parse_port(const char **text, unsigned *ret_port)
{
	const char *c = *text;
	unsigned port = 0;

	for (; *c >= '0' && *c <= '9' && port < RESERVED_PORTS_MAX; c++)
		port = port * 10 + (unsigned)(*c - '0');
	if (c == *text || port >= RESERVED_PORTS_MAX)
		return false;
	*text = c;
	*ret_port = port;
	return true;
}

int
reserved_ports_parse(const char *text, struct reserved_ports *ret_ports)
{
	struct reserved_ports ports = {};
	unsigned first, last;

	while (*text != '\0' && *text != '\n') {
		if (!parse_port(&text, &first))
			return ERR_BAD_FORMAT;
		last = first;
		if (*text == '-' && (text++, !parse_port(&text, &last)))
			return ERR_BAD_FORMAT;
		for (unsigned port = first; port <= last; port++)
			set(&ports, port, true);
		if (*text == ',')
			text++;
		else if (*text != '\0' && *text != '\n')
			return ERR_BAD_FORMAT;
	}
	*ret_ports = ports;
	return 0;
}

// The first run of ports at or after `from`; false: there is none.
static bool
next_run(const struct reserved_ports *p, unsigned from, unsigned *ret_first, unsigned *ret_last)
{
	unsigned port = from;

	while (port < RESERVED_PORTS_MAX && !has(p, port))
		port++;
	if (port == RESERVED_PORTS_MAX)
		return false;
	*ret_first = port;
	while (port + 1 < RESERVED_PORTS_MAX && has(p, port + 1))
		port++;
	*ret_last = port;
	return true;
}

static int
read_ports(struct reserved_ports *ret_ports)
{
	int fd = open("/proc/sys/" RESERVED_PORTS_KEY, O_RDONLY | O_CLOEXEC);
	char *text;
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	text = calloc(1, TEXT_LEN);
	n = text != NULL ? read(fd, text, TEXT_LEN - 1) : -1;
	err = text == NULL ? -ENOMEM : n < 0 ? -errno : n == TEXT_LEN - 1 ? -E2BIG : 0;
	close(fd);
	if (err == 0)
		err = reserved_ports_parse(text, ret_ports);
	free(text);
	return err;
}

// The kernel takes the whole list in one write, or nothing.
static int
write_ports(const struct reserved_ports *ports)
{
	char *text = calloc(1, TEXT_LEN);
	unsigned first, last, from = 0;
	int len = 0, fd, err = 0;

	if (text == NULL)
		return -ENOMEM;
	while (len < TEXT_LEN - 16 && next_run(ports, from, &first, &last)) {
		len += snprintf(text + len, (size_t)(TEXT_LEN - len), "%s%u-%u", len > 0 ? "," : "",
			first, last);
		from = last + 1;
	}
	text[len++] = '\n';
	fd = open("/proc/sys/" RESERVED_PORTS_KEY, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)len) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(text);
	return err;
}

// What is not reserved yet, run by run: others' reservations are not ours to end.
static int
write_down(struct journal *journal, const struct reserved_ports *added)
{
	unsigned first, last, from = 0;
	int err = 0;

	while (err == 0 && next_run(added, from, &first, &last)) {
		const struct journal_entry entry = { .kind = JOURNAL_RESERVE,
			.port_first = (uint16_t)first,
			.port_last = (uint16_t)last };

		err = journal_append(journal, &entry);
		from = last + 1;
	}
	return err;
}

int
reserved_ports_add(struct journal *journal, uint16_t first, uint16_t last)
{
	struct reserved_ports ports, added = {};
	bool is_new = false;
	int err = read_ports(&ports);

	for (unsigned port = first; err == 0 && port <= last; port++) {
		if (has(&ports, port))
			continue;
		set(&added, port, true);
		set(&ports, port, true);
		is_new = true;
	}
	if (err < 0 || !is_new)
		return err;
	err = write_down(journal, &added);
	return err == 0 ? write_ports(&ports) : err;
}

int
reserved_ports_remove(uint16_t first, uint16_t last)
{
	struct reserved_ports ports;
	bool changed = false;
	int err = read_ports(&ports);

	for (unsigned port = first; err == 0 && port <= last; port++) {
		changed |= has(&ports, port);
		set(&ports, port, false);
	}
	return err == 0 && changed ? write_ports(&ports) : err;
}
