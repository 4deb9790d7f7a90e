/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/wg_quick.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/diagnostic.h"
#include "config/host_port.h"
#include "config/nearest.h"
#include "config/value.h"
#include "config/wg_quick_state.h"
#include "lib/base/secret.h"

// A piece of the text: not terminated, never copied when it may be a key.
struct span {
	const char *at;
	size_t len;
};

struct key_row {
	const char *name;
	enum wg_quick_section section;
	void (*take)(struct wg_quick_state *r, const struct key_row *row, struct span value);
	const char *instead; // of keys without a counterpart: "why; what to do"
};

static int
column_of(const struct wg_quick_state *r, struct span s)
{
	return (int)(s.at - r->line_start) + 1;
}

#define span_error(r, s, ...) \
	diagnostics_error(&(r)->d, (r)->line, column_of((r), (s)), __VA_ARGS__)
#define span_note(r, s, ...) \
	diagnostics_warning(&(r)->d, (r)->line, column_of((r), (s)), __VA_ARGS__)

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static struct span
trim(struct span s)
{
	while (s.len > 0 && is_white(s.at[s.len - 1]))
		s.len--;
	while (s.len > 0 && is_white(s.at[0])) {
		s.at++;
		s.len--;
	}
	return s;
}

static bool
span_is(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.at, word, s.len) == 0;
}

// A terminated copy, for what is no secret.  False: longer than the room.
static bool
span_copy(struct span s, char *text, size_t size)
{
	if (s.len >= size)
		return false;
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	return true;
}

// For messages only.  Bytes that a terminal might obey become '?'.
static struct shown
span_shown(struct span s)
{
	struct shown text;
	size_t len = s.len < sizeof(text.text) - 1 ? s.len : sizeof(text.text) - 1;

	for (size_t i = 0; i < len; i++)
		text.text[i] = s.at[i] >= 0x20 && s.at[i] < 0x7f ? s.at[i] : '?';
	text.text[len] = '\0';
	return text;
}

// Cut the next item of a comma-separated list off `rest`; false at the end.
static bool
next_item(struct span *rest, struct span *ret_item)
{
	const char *comma;
	size_t len;

	if (rest->len == 0)
		return false;
	comma = memchr(rest->at, ',', rest->len);
	len = comma != NULL ? (size_t)(comma - rest->at) : rest->len;
	*ret_item = trim((struct span){ rest->at, len });
	len += comma != NULL;
	rest->at += len;
	rest->len -= len;
	return true;
}

static bool
parse_number(struct span value, unsigned max, unsigned *ret_number)
{
	unsigned number = 0;

	if (value.len == 0 || value.len > 9)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return false;
		number = number * 10 + (unsigned)(value.at[i] - '0');
	}
	*ret_number = number;
	return number <= max;
}

static bool
parse_secret(struct wg_quick_state *r,
	const struct key_row *row,
	struct span value,
	struct secret_key *ret_key)
{
	char text[KEY_TEXT_LEN];
	bool is_key;

	is_key = span_copy(value, text, sizeof(text)) && secret_key_parse(text, ret_key) == 0;
	secret_wipe(text, sizeof(text));
	if (!is_key)
		span_error(r, value,
			"%s is not a key; a key is 44 characters of base64; correct the line",
			row->name);
	return is_key;
}

static bool
is_zero_secret(const struct secret_key *key)
{
	static const struct secret_key zero;

	return secret_equal(key, &zero, sizeof(zero));
}

static void
take_private_key(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	if (!parse_secret(r, row, value, &r->config->private_key))
		return;
	key_public(&r->config->public_key, &r->config->private_key);
	r->has_private_key = true;
}

static void
take_listen_port(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	unsigned port;

	if (!parse_number(value, UINT16_MAX, &port)) {
		span_error(r, value, "%s is \"%s\"; a UDP port is 1 to 65535; correct the line",
			row->name, span_shown(value).text);
		return;
	}
	if (port == 0)
		return; // a random one, as if it were not there
	r->config->listen_port = (uint16_t)port;
	r->has_listen_port = true;
}

static bool
parse_prefix(struct wg_quick_state *r,
	const struct key_row *row,
	struct span item,
	struct prefix *ret_prefix)
{
	char text[ADDR_TEXT_LEN];

	if (span_copy(item, text, sizeof(text)) && prefix_parse(text, ret_prefix) == 0)
		return true;
	span_error(r, item,
		"%s has \"%s\", which is no prefix; it takes an address, '/' and a length; correct "
		"the line",
		row->name, span_shown(item).text);
	return false;
}

static void
add_address(struct wg_quick_state *r, const struct key_row *row, struct span item)
{
	struct config_gateway *config = r->config;
	struct prefix prefix;

	if (!parse_prefix(r, row, item, &prefix))
		return;
	for (size_t i = 0; i < config->n_addresses; i++)
		if (addr_equal(&config->addresses[i].addr, &prefix.addr))
			return;
	if (config->n_addresses == CONFIG_MAX_ADDRESSES) {
		span_error(r, item, "more than %d addresses; that is the most; remove some",
			CONFIG_MAX_ADDRESSES);
		return;
	}
	config->addresses[config->n_addresses++] = prefix;
}

static void
take_address(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	struct span item;

	while (next_item(&value, &item))
		add_address(r, row, item);
}

static void
take_mtu(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	unsigned mtu;

	if (!parse_number(value, 9000, &mtu) || mtu < 576) {
		span_error(r, value,
			"%s is \"%s\"; Sluice takes 576 to 9000 bytes; correct the line", row->name,
			span_shown(value).text);
		return;
	}
	r->config->mtu = (uint16_t)mtu;
}

static void
take_no_counterpart(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	span_note(r, value, "%s has no counterpart; %s", row->name, row->instead);
}

static void
take_fw_mark(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	if (!span_is(value, "off") && !span_is(value, "0"))
		take_no_counterpart(r, row, value);
}

static void
take_table(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	if (!span_is(value, "auto"))
		take_no_counterpart(r, row, value);
}

static void
take_save_config(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	if (!span_is(value, "false"))
		take_no_counterpart(r, row, value);
}

static void
take_public_key(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	static const struct public_key zero;
	char text[KEY_TEXT_LEN];
	struct public_key key;

	if (!span_copy(value, text, sizeof(text)) || public_key_parse(text, &key) < 0 ||
		memcmp(&key, &zero, sizeof(key)) == 0) {
		span_error(r, value,
			"%s is not a key; a key is 44 characters of base64; correct the line",
			row->name);
		return;
	}
	r->peer->public_key = key;
}

static void
take_preshared_key(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	if (!parse_secret(r, row, value, &r->peer->preshared_key))
		return;
	// wg(8): a key of zeros is none.
	r->peer->has_preshared_key = !is_zero_secret(&r->peer->preshared_key);
}

static void
add_entry(struct wg_quick_state *r, struct span item, const struct prefix *prefix)
{
	struct wg_quick_entry *entries;
	size_t size;

	if (r->n_entries == CONFIG_MAX_PREFIXES) {
		span_error(r, item,
			"more than %d prefixes; that is the most for all peers; join some",
			CONFIG_MAX_PREFIXES);
		return;
	}
	if (r->n_entries == r->entries_size) {
		size = r->entries_size > 0 ? 2 * r->entries_size : 64;
		entries = reallocarray(r->entries, size, sizeof(*entries));
		if (entries == NULL) {
			r->out_of_memory = true;
			return;
		}
		r->entries = entries;
		r->entries_size = size;
	}
	r->entries[r->n_entries] = (struct wg_quick_entry){
		.prefix = prefix_mask(*prefix),
		.peer = (size_t)(r->peer - r->config->peers),
		.order = r->n_entries,
		.line = r->line,
		.column = column_of(r, item),
	};
	r->n_entries++;
}

static void
take_allowed_ips(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	struct prefix prefix;
	struct span item;

	while (next_item(&value, &item))
		if (parse_prefix(r, row, item, &prefix))
			add_entry(r, item, &prefix);
}

static void
take_endpoint(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	char text[CONFIG_HOST_LEN + 16];
	const char *complaint =
		"it is too long; host names have at most 253 characters; correct it";

	if (span_copy(value, text, sizeof(text)))
		complaint = host_port_parse(text, r->peer->endpoint_host, &r->peer->endpoint_port);
	if (complaint != NULL)
		span_error(
			r, value, "%s is \"%s\"; %s", row->name, span_shown(value).text, complaint);
}

static void
take_keepalive(struct wg_quick_state *r, const struct key_row *row, struct span value)
{
	unsigned seconds = 0;

	if (!span_is(value, "off") && !parse_number(value, UINT16_MAX, &seconds)) {
		span_error(r, value,
			"%s is \"%s\"; it is 0 to 65535 seconds, or off; correct the line",
			row->name, span_shown(value).text);
		return;
	}
	r->peer->persistent_keepalive_s = (uint16_t)seconds;
}

#define NO_COMMANDS                                                                               \
	"Sluice runs no commands, and sets addresses, routes and forwarding by itself; put what " \
	"remains (firewall, NAT) into the host's own configuration"

static const struct key_row rows[] = {
	{ "PrivateKey", WG_QUICK_INTERFACE, take_private_key, NULL },
	{ "ListenPort", WG_QUICK_INTERFACE, take_listen_port, NULL },
	{ "Address", WG_QUICK_INTERFACE, take_address, NULL },
	{ "MTU", WG_QUICK_INTERFACE, take_mtu, NULL },
	{ "FwMark", WG_QUICK_INTERFACE, take_fw_mark,
		"Sluice marks its own packets so that they cannot loop; adapt firewall rules that "
		"match the old mark" },
	{ "DNS", WG_QUICK_INTERFACE, take_no_counterpart,
		"a gateway leaves the host's resolver alone; set the name servers in the host's "
		"own "
		"configuration" },
	{ "Table", WG_QUICK_INTERFACE, take_table,
		"Sluice keeps its routes in a table of its own; change dataplane.routing_table if "
		"that "
		"number is taken" },
	{ "PreUp", WG_QUICK_INTERFACE, take_no_counterpart, NO_COMMANDS },
	{ "PostUp", WG_QUICK_INTERFACE, take_no_counterpart, NO_COMMANDS },
	{ "PreDown", WG_QUICK_INTERFACE, take_no_counterpart, NO_COMMANDS },
	{ "PostDown", WG_QUICK_INTERFACE, take_no_counterpart, NO_COMMANDS },
	{ "SaveConfig", WG_QUICK_INTERFACE, take_save_config,
		"Sluice never writes its configuration; edit the YAML file and run `sluice "
		"reload`" },
	{ "PublicKey", WG_QUICK_PEER, take_public_key, NULL },
	{ "PresharedKey", WG_QUICK_PEER, take_preshared_key, NULL },
	{ "AllowedIPs", WG_QUICK_PEER, take_allowed_ips, NULL },
	{ "Endpoint", WG_QUICK_PEER, take_endpoint, NULL },
	{ "PersistentKeepalive", WG_QUICK_PEER, take_keepalive, NULL },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct key_row *
find_row(struct span key)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (span_is(key, rows[i].name))
			return &rows[i];
	return NULL;
}

static const char *
nearest_row(struct span key)
{
	struct nearest best = NEAREST_NONE;

	for (size_t i = 0; i < N_ROWS; i++)
		nearest_consider(&best, span_shown(key).text, rows[i].name);
	return best.name;
}

static void
take_unknown_key(struct wg_quick_state *r, struct span key)
{
	const char *near = nearest_row(key);

	if (near != NULL)
		span_error(r, key, "unknown key %s; there is one called %s; correct the line",
			span_shown(key).text, near);
	else
		span_error(r, key,
			"unknown key %s; neither wg nor wg-quick has it; remove the line",
			span_shown(key).text);
}

static void
take_assignment(struct wg_quick_state *r, struct span line, const char *equals)
{
	struct span key = trim((struct span){ line.at, (size_t)(equals - line.at) });
	struct span value =
		trim((struct span){ equals + 1, line.len - (size_t)(equals + 1 - line.at) });
	const struct key_row *row = find_row(key);

	if (row == NULL)
		take_unknown_key(r, key);
	else if (r->section == WG_QUICK_NONE)
		span_error(r, key,
			"%s stands before the first section; keys belong to [Interface] or "
			"[Peer]; add the section's line",
			row->name);
	else if (row->section != r->section)
		span_error(r, key, "%s is in the wrong section; it belongs to [%s]; move the line",
			row->name, row->section == WG_QUICK_PEER ? "Peer" : "Interface");
	else
		row->take(r, row, value);
}

static void
start_peer(struct wg_quick_state *r, struct span line)
{
	struct config_gateway *config = r->config;
	struct config_peer *peers;
	size_t size;

	if (config->n_peers == CONFIG_MAX_PEERS) {
		span_error(r, line,
			"more than %d peers; that is the most; divide them among gateways",
			CONFIG_MAX_PEERS);
		r->section = WG_QUICK_NONE;
		return;
	}
	if (config->n_peers == r->peers_size) {
		size = r->peers_size > 0 ? 2 * r->peers_size : 16;
		peers = calloc(size, sizeof(*peers));
		if (peers == NULL) {
			r->out_of_memory = true;
			return;
		}
		if (config->n_peers > 0) {
			memcpy(peers, config->peers, config->n_peers * sizeof(*peers));
			secret_wipe(config->peers, config->n_peers * sizeof(*peers));
		}
		free(config->peers);
		config->peers = peers;
		r->peers_size = size;
	}
	r->peer = &config->peers[config->n_peers++];
	r->peer->line = r->line;
	r->section = WG_QUICK_PEER;
	memcpy(r->peer->name, r->name_above, sizeof(r->name_above));
}

static void
take_section(struct wg_quick_state *r, struct span line)
{
	if (span_is(line, "[Interface]"))
		r->section = WG_QUICK_INTERFACE;
	else if (span_is(line, "[Peer]"))
		start_peer(r, line);
	else
		span_error(r, line,
			"unknown section %s; there are [Interface] and [Peer]; correct the line",
			span_shown(line).text);
}

// "Name = x", "friendly_name = x".
static struct span
name_of_assignment(struct span comment, const char *equals)
{
	struct span key = trim((struct span){ comment.at, (size_t)(equals - comment.at) });

	if (!span_is(key, "name") && !span_is(key, "friendly_name"))
		return (struct span){};
	return trim((struct span){ equals + 1, comment.len - (size_t)(equals + 1 - comment.at) });
}

// "x", and what widespread scripts write: "Client x", "BEGIN_PEER x".
static struct span
name_of_words(struct span comment)
{
	static const char *const leads[] = { "client", "peer", "begin_peer", "name", "name:" };
	size_t first_len = 0;
	struct span first;

	while (first_len < comment.len && !is_white(comment.at[first_len]))
		first_len++;
	first = (struct span){ comment.at, first_len };
	if (first_len == comment.len)
		return find_row(comment) == NULL ? comment : (struct span){};
	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
		if (span_is(first, leads[i]))
			return trim(
				(struct span){ comment.at + first_len, comment.len - first_len });
	return (struct span){};
}

// The peer's name that a comment gives, or an empty text.
static void
name_from_comment(struct span comment, char name[static CONFIG_NAME_LEN])
{
	const char *equals;
	struct span found;

	name[0] = '\0';
	while (comment.len > 0 && comment.at[0] == '#') {
		comment.at++;
		comment.len--;
	}
	comment = trim(comment);
	if (comment.len == 0)
		return;
	equals = memchr(comment.at, '=', comment.len);
	found = equals != NULL ? name_of_assignment(comment, equals) : name_of_words(comment);
	if (found.len == 0 || memchr(found.at, '\0', found.len) != NULL ||
		!span_copy(found, name, CONFIG_NAME_LEN) || !value_is_name(name))
		name[0] = '\0';
}

// A comment may name the peer whose [Peer] is in this line, the line before, or the next.
static void
take_comment(struct wg_quick_state *r, struct span comment)
{
	char name[CONFIG_NAME_LEN];
	bool is_below = r->section == WG_QUICK_PEER && r->line - r->peer->line <= 1;

	name_from_comment(comment, name);
	if (name[0] == '\0')
		return;
	if (is_below && r->peer->name[0] == '\0')
		memcpy(r->peer->name, name, sizeof(name));
	else
		memcpy(r->name_above, name, sizeof(name));
}

static void
take_line(struct wg_quick_state *r, struct span line)
{
	const char *hash = line.len > 0 ? memchr(line.at, '#', line.len) : NULL;
	struct span comment = {};
	const char *equals;

	r->line_start = line.at;
	if (hash != NULL) {
		comment = (struct span){ hash, line.len - (size_t)(hash - line.at) };
		line.len = (size_t)(hash - line.at);
	}
	line = trim(line);
	if (line.len > 0) {
		equals = memchr(line.at, '=', line.len);
		if (line.at[0] == '[')
			take_section(r, line);
		else if (equals != NULL)
			take_assignment(r, line, equals);
		else
			span_error(r, line,
				"neither a section nor `Key = value`; wg has nothing else; correct "
				"or remove the line");
	}
	if (line.len > 0 || hash == NULL)
		r->name_above[0] = '\0'; // not right above any more
	if (hash != NULL)
		take_comment(r, comment);
}

static void
take_text(struct wg_quick_state *r, const char *text, size_t len)
{
	const char *end = text + len;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3; // a byte order mark
	while (text < end && !r->out_of_memory) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline != NULL ? newline : end;

		r->line++;
		take_line(r, (struct span){ text, (size_t)(stop - text) });
		text = newline != NULL ? newline + 1 : end;
	}
}

// The schema knows the defaults, so they come out of a file without options.
static int
defaults(struct config_gateway **ret_config)
{
	static const char text[] =
		"{version: 1, wireguard: {private_key_file: none, addresses: []}}";
	struct config_gateway *config;
	char *warnings = NULL;
	int err;

	err = config_parse("defaults", text, sizeof(text) - 1, false, &config, &warnings);
	free(warnings);
	if (err < 0)
		return err;
	free(config->private_key_file);
	config->private_key_file = NULL;
	*ret_config = config;
	return 0;
}

int
wg_quick_parse(const char *path,
	const char *text,
	size_t len,
	struct config_gateway **ret_config,
	char **ret_notes)
{
	struct wg_quick_state r = {};
	char *notes = NULL;
	int err;

	err = defaults(&r.config);
	if (err < 0)
		return err;
	diagnostics_init(&r.d, path);
	take_text(&r, text, len);
	if (!r.out_of_memory)
		wg_quick_check_whole(&r);

	err = diagnostics_text(&r.d, &notes);
	if (r.out_of_memory)
		err = -ENOMEM;
	else if (err == 0 && r.d.n_errors > 0)
		err = -EINVAL;
	diagnostics_fini(&r.d);
	free(r.entries);
	if (err < 0)
		config_free(r.config);
	else
		*ret_config = r.config;
	*ret_notes = notes;
	return err;
}
