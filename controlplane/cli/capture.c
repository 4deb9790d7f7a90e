/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice capture: packets as they go through the data plane, decrypted, and why others are dropped.
 * A line for each, or a file for Wireshark.
 *
 * Source: controlplane/gateway/gateway_api.h, "capture".
 */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/capture_line.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/show.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/pcapng/pcapng.h"

#define MAX_DATA   65535u /* bytes of a packet that are believed */
#define MAX_PORTS  64     /* interfaces of a file */
#define IP_UDP_LEN 28     /* of the headers that a bare datagram is given */

struct capture_options {
	const char *run_dir, *peer, *file;
	long port, count; /* 0: any; without end */
};

struct capture {
	struct capture_options options;
	FILE *out; /* of the file; NULL: lines */
	char *ports[MAX_PORTS];
	uint32_t n_ports;
	json_int_t n_shown, n_lost;
	uint8_t data[IP_UDP_LEN + MAX_DATA]; /* of the packet at hand */
	uint8_t block[PCAPNG_PACKET_ROOM(PCAPNG_COOKED_LEN + IP_UDP_LEN + MAX_DATA)];
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int)
{
	interrupted = 1;
}

/* --- a packet --- */

struct packet {
	uint64_t time_ns;
	const char *where, *peer, *port, *reason; /* of the answer; NULL: none */
	uint32_t len, cap_len;
	const uint8_t *data; /* an IP packet */
	enum pcapng_direction direction;
};

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// False: there is something else in it.
static bool
decode(const char *hex, size_t digits, uint8_t *to)
{
	for (size_t i = 0; i + 1 < digits; i += 2) {
		int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i / 2] = (uint8_t)(high << 4 | low);
	}
	return digits % 2 == 0;
}

// A datagram without addresses gets headers that say so, so that all is IP.
static void
make_headers(uint8_t head[static IP_UDP_LEN], uint32_t len)
{
	memset(head, 0, IP_UDP_LEN);
	head[0] = 0x45;
	store_be16(head + 2, (uint16_t)(IP_UDP_LEN + len));
	head[8] = 64;
	head[9] = 17;
	store_be16(head + 24, (uint16_t)(8 + len));
}

// False: nothing that can be shown.
static bool
read_packet(struct capture *c, const json_t *from, struct packet *ret)
{
	const char *kind = show_text(from, "kind", ""), *hex = show_text(from, "data", "");
	size_t digits = strlen(hex);
	json_int_t len = show_number(from, "len");
	uint8_t *data = c->data + IP_UDP_LEN;

	if (digits > 2 * (size_t)MAX_DATA || len < 0 || len > MAX_DATA ||
		!decode(hex, digits, data))
		return false;
	*ret = (struct packet){ .time_ns = (uint64_t)show_number(from, "time_ns"),
		.where = show_text(from, "where", "?"),
		.peer = show_text(from, "peer", NULL),
		.port = show_text(from, "port", NULL),
		.reason = show_text(from, "reason", NULL),
		.len = (uint32_t)len,
		.cap_len = (uint32_t)(digits / 2),
		.data = data };
	ret->direction = strcmp(ret->where, "from tunnel") == 0 ? PCAPNG_INBOUND
	                 : strcmp(ret->where, "to tunnel") == 0 ? PCAPNG_OUTBOUND
	                                                        : PCAPNG_UNKNOWN;
	if (strcmp(kind, "udp payload") == 0) {
		make_headers(c->data, ret->len);
		ret->data = c->data;
		ret->len += IP_UDP_LEN;
		ret->cap_len += IP_UDP_LEN;
	} else if (strcmp(kind, "frame") == 0 && ret->cap_len >= 14) {
		ret->data += 14; // what is no IP behind it is shown as that
		ret->len -= 14;
		ret->cap_len -= 14;
	}
	return ret->cap_len > 0 && ret->cap_len <= ret->len;
}

/* --- lines --- */

// "dropped (acl) from laptop by eth0"
static void
format_where(const struct packet *p, char *out, size_t size)
{
	const bool dropped = p->reason != NULL;
	const char *what = p->direction == PCAPNG_OUTBOUND ? "to" : "from";
	int n = 0;

	if (dropped)
		n = snprintf(out, size, "dropped (%s)", p->reason);
	if (p->peer != NULL && n >= 0 && (size_t)n < size)
		n += snprintf(out + n, size - (size_t)n, "%s%s %s", n > 0 ? ", " : "",
			dropped ? "peer" : what, p->peer);
	if (p->port != NULL && n >= 0 && (size_t)n < size)
		n += snprintf(out + n, size - (size_t)n, "%sby %s", n > 0 ? " " : "", p->port);
	if (n == 0)
		snprintf(out, size, "%s", p->where);
}

static void
print_line(const struct packet *p)
{
	time_t seconds = (time_t)(p->time_ns / NS_PER_S);
	char line[CAPTURE_LINE_LEN], where[CAPTURE_LINE_LEN], clock[16] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm) != NULL)
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	format_where(p, where, sizeof(where));
	printf("%s.%06u %s: %s, %u bytes\n", clock, (unsigned)(p->time_ns % NS_PER_S / 1000), where,
		capture_line(p->data, p->cap_len, line), p->len);
}

/* --- file --- */

static bool
write_out(struct capture *c, size_t len)
{
	return fwrite(c->block, 1, len, c->out) == len;
}

// The file's interface of a port; made when the port is first seen.
static bool
find_interface(struct capture *c, const char *port, uint32_t *ret)
{
	const char *name = port != NULL ? port : "sluice";

	for (*ret = 0; *ret < c->n_ports; (*ret)++)
		if (strcmp(c->ports[*ret], name) == 0)
			return true;
	if (c->n_ports == MAX_PORTS) {
		*ret = 0;
		return true;
	}
	c->ports[c->n_ports] = strdup(name);
	if (c->ports[c->n_ports] == NULL)
		return false;
	c->n_ports++;
	return write_out(
		c, pcapng_interface(c->block, sizeof(c->block), PCAPNG_LINK_COOKED, MAX_DATA, name,
			   port != NULL ? NULL : "packets that the gateway made itself"));
}

static bool
write_packet(struct capture *c, const struct packet *p)
{
	static uint8_t cooked[PCAPNG_COOKED_LEN + IP_UDP_LEN + MAX_DATA];
	char comment[CAPTURE_LINE_LEN];
	struct pcapng_packet out = { .direction = p->direction,
		.time_ns = p->time_ns,
		.len = PCAPNG_COOKED_LEN + p->len,
		.cap_len = PCAPNG_COOKED_LEN + p->cap_len,
		.data = cooked,
		.comment = comment };

	format_where(p, comment, sizeof(comment));
	pcapng_cooked(cooked, p->direction, p->data[0]);
	memcpy(cooked + PCAPNG_COOKED_LEN, p->data, p->cap_len);
	return find_interface(c, p->port, &out.interface) &&
	       write_out(c, pcapng_packet(c->block, sizeof(c->block), &out));
}

static bool
open_file(struct capture *c)
{
	const char *name = c->options.file;

	if (name == NULL)
		return true;
	if (strcmp(name, "-") != 0)
		c->out = fopen(name, "wb");
	else if (isatty(STDOUT_FILENO))
		errno = ENOTSUP;
	else
		c->out = stdout;
	if (c->out != NULL && write_out(c, pcapng_section(c->block, sizeof(c->block), "sluice")) &&
		fflush(c->out) == 0)
		return true;
	fprintf(stderr, "sluice capture: %s cannot be written: %s; %s\n", name,
		errno == ENOTSUP ? "a terminal shows no such file" : strerror(errno),
		"name another file, or a program behind `-w - |`");
	return false;
}

/* --- what comes --- */

// True: it is in the output.
static bool
show_packet(struct capture *c, const json_t *from)
{
	struct packet p;

	if (!read_packet(c, from, &p))
		return true; // not to be shown, but no reason to end
	if (c->out == NULL)
		print_line(&p);
	else if (!write_packet(c, &p))
		return false;
	c->n_shown++;
	return true;
}

static bool
is_enough(const struct capture *c)
{
	return c->options.count > 0 && c->n_shown >= c->options.count;
}

static bool
show_all(struct capture *c, json_t *answer)
{
	json_t *packet;
	size_t i;

	show_clean(answer);
	c->n_lost += show_number(answer, "lost");
	json_array_foreach(json_object_get(answer, "packets"), i, packet)
	{
		if (is_enough(c))
			break;
		if (!show_packet(c, packet))
			return false;
	}
	return fflush(c->out != NULL ? c->out : stdout) == 0;
}

// Until there are enough, somebody interrupts, or the gateway ends.
static int
follow(struct capture *c, struct ask_stream *stream)
{
	json_t *answer;
	bool written = true;
	int err = 0;

	while (!interrupted && !is_enough(c) && written) {
		err = ask_next(stream, &answer);
		if (err < 0)
			break;
		written = show_all(c, answer);
		json_decref(answer);
	}
	fprintf(stderr, "%lld packets", (long long)c->n_shown);
	if (c->n_lost > 0)
		fprintf(stderr, ", %lld came too fast and are missing", (long long)c->n_lost);
	fprintf(stderr, "\n");
	if (!written) {
		fprintf(stderr,
			"sluice capture: the output cannot be written: %s; is there room?\n",
			strerror(errno));
		return COMMAND_FAILED;
	}
	if (err == 0 || interrupted)
		return COMMAND_OK;
	fprintf(stderr, "sluice capture: the gateway has ended the capture; it may be restarting; "
			"try again, then see its log\n");
	return COMMAND_FAILED;
}

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, struct capture_options *o)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "peer", required_argument, NULL, 'p' },
		{ "port", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int code;

	while ((code = getopt_long_only(argc, argv, "hw:c:", longs, NULL)) != -1) {
		if (code == 'r')
			o->run_dir = optarg;
		else if (code == 'p')
			o->peer = optarg;
		else if (code == 'w')
			o->file = optarg;
		else if (code == 'h')
			return command_help("capture");
		else if (code == 'P' && !flag_number("capture", "port", optarg, 1, 65535, &o->port))
			return COMMAND_USAGE;
		else if (code == 'c' &&
			 !flag_number("capture", "c", optarg, 1, LONG_MAX, &o->count))
			return COMMAND_USAGE;
		else if (code == '?')
			return command_usage_error("capture", NULL);
	}
	if (optind != argc)
		return command_usage_error("capture", "%s is too much", argv[optind]);
	return -1;
}

static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal }; // calls are not begun again

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int
run(struct capture *c)
{
	const struct capture_options *o = &c->options;
	struct ask_stream *stream;
	int status;

	// The file after the first answer: a mistake leaves none behind.
	stream = ask_open("capture", o->run_dir,
		json_pack("{s:s, s:s*, s:I}", "cmd", "capture", "target", o->peer, "port",
			(json_int_t)o->port));
	if (stream == NULL)
		return COMMAND_FAILED;
	status = open_file(c) ? follow(c, stream) : COMMAND_FAILED;
	if (c->out != NULL && c->out != stdout && fclose(c->out) != 0)
		status = COMMAND_FAILED;
	ask_close(stream);
	return status;
}

int
cmd_capture(int argc, char **argv)
{
	struct capture *c = calloc(1, sizeof(*c));
	int status;

	if (c == NULL)
		return COMMAND_FAILED;
	c->options.run_dir = COMMAND_DEFAULT_RUN_DIR;
	status = parse(argc, argv, &c->options);
	if (status < 0) {
		catch_signals();
		status = run(c);
	}
	for (uint32_t i = 0; i < c->n_ports; i++)
		free(c->ports[i]);
	free(c);
	return status;
}
