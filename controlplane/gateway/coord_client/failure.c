/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/coord_client/failure.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CLOCK_TOLERANCE_S 300

static const struct {
	const char *what; /* %s: the server */
	const char *what_to_do;
} texts[] = {
	[COORD_FAILED_NAME] = { "cannot find the coordination server %s",
		"check the login server's name, and that this machine's name servers answer" },
	[COORD_FAILED_UNREACHABLE] = { "cannot reach the coordination server %s",
		"check that the server runs, that the login server's name and port are right, and "
		"that no firewall is in between" },
	[COORD_FAILED_PROXY] = { "cannot reach the coordination server %s through the proxy",
		"check https_proxy, http_proxy and no_proxy in the environment of sluice" },
	[COORD_FAILED_UNKNOWN_CA] = { "the certificate of %s is by no authority known here",
		"name its authority with --ca-file; if the server should have a public "
		"certificate, find out who answers in its place" },
	[COORD_FAILED_CERTIFICATE] = { "the certificate of %s is not valid",
		"check the login server's name, or have the server's certificate renewed" },
	[COORD_FAILED_CLOCK] = { "this machine's clock is wrong, so %s seems to have no valid "
				 "certificate",
		"set the clock, for example with timedatectl set-ntp true" },
	[COORD_FAILED_TLS] = { "no TLS connection with %s",
		"check that the port speaks https; where it speaks http, say so in the login "
		"server's URL" },
	[COORD_FAILED_NO_COORDINATOR] = { "%s is no coordination server",
		"check the login server's URL; a proxy before the server must pass on "
		"POST /ts2021 and its Upgrade" },
	[COORD_FAILED_SERVER_TOO_OLD] = { "the coordination server %s is too old",
		"update it: it must speak the protocol of 2021" },
	[COORD_FAILED_WE_TOO_OLD] = { "the coordination server %s does not accept this version of "
				      "sluice",
		"update sluice" },
	[COORD_FAILED_HANDSHAKE] = { "no secure connection with the coordination server %s",
		"if it goes on, check that nothing between here and there changes what is sent" },
	[COORD_FAILED_REFUSED] = { "the coordination server %s refuses this node",
		"ask who administers the server" },
	[COORD_FAILED_NODE_KEY_EXPIRED] = { "this node's key has expired on %s",
		"log in again: sluice up" },
	[COORD_FAILED_TAILNET_LOCK] = { "the tailnet of %s demands signed node keys",
		"sluice cannot sign yet: switch tailnet lock off, or do without" },
	[COORD_FAILED_UNKNOWN_NODE] = { "the coordination server %s does not know this node",
		"it was deleted there, perhaps: log in again with sluice up --force-reauth" },
	[COORD_FAILED_RATE_LIMITED] = { "the coordination server %s asks for patience",
		"nothing: it is tried again when the server wants it" },
	[COORD_FAILED_SERVER] = { "the coordination server %s answers with an error",
		"look at the server's log" },
	[COORD_FAILED_SILENT] = { "the coordination server %s has gone silent",
		"nothing, if it comes back; else check the network between here and there" },
	[COORD_FAILED_LOST] = { "the connection with the coordination server %s ended",
		"nothing: it is made again by itself" },
	[COORD_FAILED_PROTOCOL] = { "the coordination server %s sent what it may not send",
		"check that server and proxies are up to date; report it if they are" },
	[COORD_FAILED_LOCAL] = { "the map of %s could not be used", "look at sluice's log" },
};

// A stranger's text, without what a terminal would take for commands.
static void
copy_printable(char out[static COORD_TEXT_LEN], const char *text)
{
	size_t n = 0;

	for (; text[n] != '\0' && n < COORD_TEXT_LEN - 1; n++)
		out[n] = (unsigned char)text[n] >= ' ' && text[n] != 0x7f ? text[n] : ' ';
	out[n] = '\0';
}

void
coord_failure_write(struct coord_failure *f,
	enum coord_failure_kind kind,
	const char *server,
	const char *why)
{
	*f = (struct coord_failure){ .kind = kind };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(f->what, sizeof(f->what), texts[kind].what, server);
#pragma GCC diagnostic pop
	copy_printable(f->why, why);
	snprintf(f->what_to_do, sizeof(f->what_to_do), "%s", texts[kind].what_to_do);
}

static enum coord_failure_kind
kind_of_certificate(enum stream_certificate_problem problem)
{
	return problem == STREAM_CERTIFICATE_UNKNOWN_CA ? COORD_FAILED_UNKNOWN_CA
	                                                : COORD_FAILED_CERTIFICATE;
}

static enum coord_failure_kind
kind_of(const struct stream_failure *failure)
{
	switch (failure->kind) {
	case STREAM_NAME:
		return COORD_FAILED_NAME;
	case STREAM_PROXY:
		return COORD_FAILED_PROXY;
	case STREAM_TLS_CERTIFICATE:
		return kind_of_certificate(failure->certificate);
	case STREAM_TLS:
		return COORD_FAILED_TLS;
	case STREAM_TIMEOUT:
	case STREAM_CONNECT:
		return failure->was_opened ? COORD_FAILED_SILENT : COORD_FAILED_UNREACHABLE;
	case STREAM_RESET:
	case STREAM_EOF:
		return COORD_FAILED_LOST;
	default:
		return COORD_FAILED_PROTOCOL;
	}
}

static char *
day(int64_t unix_s, char text[static 32])
{
	struct tm tm;
	time_t t = (time_t)unix_s;

	if (gmtime_r(&t, &tm) == NULL || strftime(text, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		strcpy(text, "?");
	return text;
}

void
coord_failure_from_stream(struct coord_failure *f,
	const char *server,
	const struct stream_failure *failure)
{
	char from[32], to[32], why[COORD_TEXT_LEN];

	if (failure->certificate == STREAM_CERTIFICATE_EXPIRED ||
		failure->certificate == STREAM_CERTIFICATE_NOT_YET_VALID) {
		snprintf(why, sizeof(why), "%s: it is valid from %s to %s", failure->text,
			day(failure->valid_from_s, from), day(failure->valid_to_s, to));
		coord_failure_write(f, kind_of(failure), server, why);
	} else {
		coord_failure_write(f, kind_of(failure), server, failure->text);
	}
}

static const struct {
	const char *part; /* of the server's text */
	const char *what_to_do;
} refusals[] = {
	{ "authkey expired", "make a new auth key on the server, and use that" },
	{ "authkey already used",
		"make a new auth key on the server, or one that can be used more than once" },
	{ "authkey revoked", "make a new auth key on the server, and use that" },
	{ "pre auth key",
		"check that the auth key was copied whole and is one of this server; else make a "
		"new one" },
	{ "preauthkey",
		"check that the auth key was copied whole and is one of this server; else make a "
		"new one" },
	{ "auth-key",
		"check that the auth key was copied whole and is one of this server; else make a "
		"new one" },
	{ "authkey",
		"check that the auth key was copied whole and is one of this server; else make a "
		"new one" },
	{ "invalid key",
		"check that the auth key was copied whole and is one of this server; else make a "
		"new one" },
	{ "tags", "ask for tags that the server's policy allows, or for none" },
	{ "machine key", "log in with a new node key: sluice up --force-reauth" },
};

void
coord_failure_refused(struct coord_failure *f, const char *server, const char *text)
{
	coord_failure_write(f, COORD_FAILED_REFUSED, server, text);
	copy_printable(f->server_text, text);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strcasestr(text, refusals[i].part) != NULL) {
			snprintf(
				f->what_to_do, sizeof(f->what_to_do), "%s", refusals[i].what_to_do);
			return;
		}
}

void
coord_failure_compare_clocks(struct coord_failure *f,
	const char *server,
	int64_t our_s,
	int64_t their_s)
{
	char ours[32], theirs[32], why[COORD_TEXT_LEN];
	int64_t apart = our_s > their_s ? our_s - their_s : their_s - our_s;

	if (apart <= CLOCK_TOLERANCE_S)
		return;
	snprintf(why, sizeof(why), "it is %s here and %s there", day(our_s, ours),
		day(their_s, theirs));
	coord_failure_write(f, COORD_FAILED_CLOCK, server, why);
}
