/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/filter_chunks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

// A rule that can be told by its protocol.
#define RULE(n) "{\"IPProto\":[" #n "]}"

/* What map responses say one after the other, and the filter afterwards: its protocols in order. */
static const struct {
	const char *what, *filter, *filters;
	int result;
	bool has_any;
	const char *protocols;
} story[] = {
	{ "at first there is nothing", NULL, NULL, 0, false, "" },
	{ "null says nothing", "null", "null", 0, false, "" },
	{ "no lists say nothing", NULL, "{}", 0, false, "" },
	{ "an empty filter is one", "[]", NULL, 0, true, "" },
	{ "PacketFilter sets a list", "[" RULE(1) "," RULE(2) "]", NULL, 0, true, "1 2 " },
	{ "which is called base", NULL, "{\"base\":[" RULE(3) "]}", 0, true, "3 " },
	{ "names are in order of their bytes", NULL,
		"{\"z\":[" RULE(9) "],\"B\":[" RULE(4) "],\"a\":[" RULE(5) "]}", 0, true,
		"4 5 3 9 " },
	{ "one is replaced", NULL, "{\"a\":[" RULE(6) "]}", 0, true, "4 6 3 9 " },
	{ "one is deleted, one is emptied", NULL, "{\"B\":null,\"z\":[]}", 0, true, "6 3 " },
	{ "what is not there is deleted too", NULL, "{\"q\":null}", 0, true, "6 3 " },
	{ "a bad list changes nothing", "[]", "{\"a\":[],\"b\":7}", ERR_BAD_FORMAT, true, "6 3 " },
	{ "nor do lists that are none", "[]", "[]", ERR_BAD_FORMAT, true, "6 3 " },
	{ "SrcBits in one list empties all", NULL, "{\"x\":[{\"SrcBits\":[1]}]}", 0, true, "" },
	{ "until it is gone", NULL, "{\"x\":null}", 0, true, "6 3 " },
	{ "PacketFilter comes first", "[" RULE(1) "]", "{\"base\":[" RULE(2) "]}", 0, true,
		"6 2 " },
	{ "a star clears, this PacketFilter included", "[" RULE(1) "]",
		"{\"*\":null,\"c\":[" RULE(7) "]}", 0, true, "7 " },
	{ "a star that is a list is passed over", NULL, "{\"*\":[" RULE(8) "]}", 0, true, "7 " },
	{ "a star alone", NULL, "{\"*\":null}", 0, true, "" },
};

static void
describe(const struct filter_chunks *c, char *text)
{
	struct filter_rules joined;

	*text = '\0';
	if (filter_chunks_join(c, &joined) < 0)
		abort();
	for (size_t i = 0; i < joined.n; i++)
		for (unsigned p = 0; p < 256; p++)
			if (filter_rule_has_protocol(&joined.rules[i], (uint8_t)p))
				text += sprintf(text, "%u ", p);
	filter_chunks_release(&joined);
}

static json_t *
json_of(const char *text)
{
	return text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static void
lists_come_and_go(void)
{
	struct filter_chunks c = {};

	for (size_t i = 0; i < COUNT(story); i++) {
		json_t *filter = json_of(story[i].filter), *filters = json_of(story[i].filters);
		char text[256];

		tap_int(filter_chunks_apply(&c, filter, filters), story[i].result, story[i].what);
		describe(&c, text);
		tap_ok(strcmp(text, story[i].protocols) == 0 && c.has_any == story[i].has_any,
			"%s: %s", story[i].what, text);
		json_decref(filter);
		json_decref(filters);
	}
	filter_chunks_fini(&c);
}

static void
too_many_lists(void)
{
	json_t *filters = json_object();
	struct filter_chunks c = {};

	for (int i = 0; i < FILTER_MAX_CHUNKS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		json_object_set_new(filters, name, json_array());
	}
	tap_int(filter_chunks_apply(&c, NULL, filters), 0, "4096 lists");
	tap_int(c.n, FILTER_MAX_CHUNKS, "are kept");
	tap_int(filter_chunks_apply(&c, NULL, filters), 0, "and replaced");
	json_object_clear(filters);
	json_object_set_new(filters, "more", json_array());
	tap_int(filter_chunks_apply(&c, NULL, filters), -E2BIG, "one more is refused");
	json_object_set_new(filters, "*", json_null());
	tap_int(filter_chunks_apply(&c, NULL, filters), 0, "but not where the others go");
	tap_int(c.n, 1, "and it is the only one");
	json_decref(filters);
	filter_chunks_fini(&c);
}

int
main(void)
{
	lists_come_and_go();
	too_many_lists();
	return tap_done();
}
