/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/tree.h"

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "lib/base/secret.h"

#define CHUNK_BYTES 65536

// Nodes and texts lie in chunks that never move, so nodes can point at each other.
struct chunk {
	struct chunk *next;
	size_t size, used; // bytes of data
	alignas(max_align_t) char data[];
};

struct tree {
	struct chunk *chunks;
	struct node *root;
	size_t n_nodes;
};

// A map or list that is being filled.
struct level {
	struct node *node;
	struct node **end; // where the next child is hung
	size_t n_children; // keys and values counted apart
};

struct builder {
	struct tree *tree;
	struct diagnostics *d;
	struct level levels[TREE_MAX_DEPTH];
	size_t depth;
	bool had_document;
};

static void *
chunk_alloc(struct tree *t, size_t size)
{
	struct chunk *c = t->chunks;
	size_t chunk_size;
	void *p;

	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (c == NULL || c->size - c->used < size) {
		chunk_size = size > CHUNK_BYTES ? size : CHUNK_BYTES;
		c = calloc(1, sizeof(*c) + chunk_size);
		if (c == NULL)
			return NULL;
		c->size = chunk_size;
		c->next = t->chunks;
		t->chunks = c;
	}
	p = c->data + c->used;
	c->used += size;
	return p;
}

void
tree_free(struct tree *tree)
{
	struct chunk *c, *next;

	if (tree == NULL)
		return;
	for (c = tree->chunks; c != NULL; c = next) {
		next = c->next;
		// There should be no key in it.  People paste them all the same.
		secret_wipe(c->data, c->used);
		free(c);
	}
	free(tree);
}

const struct node *
tree_root(const struct tree *tree)
{
	return tree->root;
}

const struct node *
node_value(const struct node *map, const char *key)
{
	if (map == NULL || map->kind != NODE_MAP)
		return NULL;
	for (const struct node *k = map->first; k != NULL; k = k->next->next)
		if (k->kind == NODE_SCALAR && strcmp(k->text, key) == 0)
			return k->next;
	return NULL;
}

bool
node_is_null(const struct node *node)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

	if (node->kind != NODE_SCALAR || node->is_quoted)
		return false;
	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		if (strcmp(node->text, nulls[i]) == 0)
			return true;
	return false;
}

static int
mark_line(yaml_mark_t mark)
{
	return mark.line < INT32_MAX ? (int)mark.line + 1 : INT32_MAX;
}

static int
mark_column(yaml_mark_t mark)
{
	return mark.column < INT32_MAX ? (int)mark.column + 1 : INT32_MAX;
}

#define event_error(b, event, ...)                                \
	diagnostics_error((b)->d, mark_line((event)->start_mark), \
		mark_column((event)->start_mark), __VA_ARGS__)

// Make a node and hang it below the open map or list, or at the root.
static int
add_node(struct builder *b, enum node_kind kind, const yaml_event_t *event, struct node **ret_node)
{
	struct tree *t = b->tree;
	struct level *level;
	struct node *node;

	if (t->n_nodes++ >= TREE_MAX_NODES) {
		event_error(b, event,
			"more than %d values; no sensible configuration has so many; check what "
			"wrote this file",
			TREE_MAX_NODES);
		return -EINVAL;
	}
	node = chunk_alloc(t, sizeof(*node));
	if (node == NULL)
		return -ENOMEM;
	node->kind = kind;
	node->line = mark_line(event->start_mark);
	node->column = mark_column(event->start_mark);

	if (b->depth == 0) {
		t->root = node;
	} else {
		level = &b->levels[b->depth - 1];
		*level->end = node;
		level->end = &node->next;
		level->n_children++;
	}
	*ret_node = node;
	return 0;
}

static bool
has_control_characters(const unsigned char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x20 || text[i] == 0x7f)
			return true;
		if (text[i] == 0xc2 && i + 1 < len && text[i + 1] < 0xa0)
			return true; // U+0080 to U+009F, which terminals obey too
	}
	return false;
}

static int
add_scalar(struct builder *b, const yaml_event_t *event)
{
	const unsigned char *value = event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct node *node;
	int err;

	if (has_control_characters(value, len)) {
		event_error(b, event,
			"a control character or line break inside a value; no option takes one; "
			"write the value on one line");
		return -EINVAL;
	}
	err = add_node(b, NODE_SCALAR, event, &node);
	if (err < 0)
		return err;
	node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->text = chunk_alloc(b->tree, len + 1);
	if (node->text == NULL)
		return -ENOMEM;
	memcpy(node->text, value, len);
	node->text[len] = '\0';
	return 0;
}

static int
open_level(struct builder *b, enum node_kind kind, const yaml_event_t *event)
{
	struct node *node;
	int err;

	if (b->depth == TREE_MAX_DEPTH) {
		event_error(b, event,
			"more than %d maps and lists inside each other; no option is that deep; "
			"check brackets and indentation",
			TREE_MAX_DEPTH);
		return -EINVAL;
	}
	err = add_node(b, kind, event, &node);
	if (err < 0)
		return err;
	b->levels[b->depth++] = (struct level){ .node = node, .end = &node->first };
	return 0;
}

static void
close_level(struct builder *b)
{
	struct level *level = &b->levels[--b->depth];

	// The parser gives every key a value, so a map has an even number of children.
	level->node->n_children =
		level->node->kind == NODE_MAP ? level->n_children / 2 : level->n_children;
}

static int
refuse(struct builder *b, const yaml_event_t *event, const char *what, const char *advice)
{
	event_error(b, event,
		"%s; Sluice reads plain YAML only, so that a file says what it means; %s", what,
		advice);
	return -EINVAL;
}

static int
check_extras(struct builder *b, const yaml_event_t *event, const void *anchor, const void *tag)
{
	if (anchor != NULL)
		return refuse(b, event, "an anchor (&name)",
			"remove it, or put the value in quotes if it begins with &");
	if (tag != NULL)
		return refuse(b, event, "a tag (!name)",
			"remove it, or put the value in quotes if it begins with !");
	return 0;
}

static int
take_document_start(struct builder *b, const yaml_event_t *event)
{
	if (b->had_document)
		return refuse(b, event, "a second document (---)", "keep one document per file");
	if (event->data.document_start.version_directive != NULL ||
		event->data.document_start.tag_directives.start !=
			event->data.document_start.tag_directives.end)
		return refuse(b, event, "a directive (%YAML or %TAG)", "remove that line");
	b->had_document = true;
	return 0;
}

// One event into the tree.
static int
take_event(struct builder *b, const yaml_event_t *event)
{
	int err;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return take_document_start(b, event);
	case YAML_ALIAS_EVENT:
		return refuse(b, event, "an alias (*name)",
			"write the value out, or put it in quotes if it begins with *");
	case YAML_SCALAR_EVENT:
		err = check_extras(b, event, event->data.scalar.anchor, event->data.scalar.tag);
		return err < 0 ? err : add_scalar(b, event);
	case YAML_MAPPING_START_EVENT:
		err = check_extras(
			b, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
		return err < 0 ? err : open_level(b, NODE_MAP, event);
	case YAML_SEQUENCE_START_EVENT:
		err = check_extras(b, event, event->data.sequence_start.anchor,
			event->data.sequence_start.tag);
		return err < 0 ? err : open_level(b, NODE_LIST, event);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		close_level(b);
		return 0;
	default:
		return 0;
	}
}

// libyaml gives the place of bytes it cannot read as an offset only.
static void
place_of_offset(const char *text, size_t len, size_t offset, int *ret_line, int *ret_column)
{
	int line = 1, column = 1;

	for (size_t i = 0; i < offset && i < len; i++) {
		if (text[i] == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	*ret_line = line;
	*ret_column = column;
}

static const char *
line_start(const char *text, size_t len, size_t line)
{
	const char *at = text, *end = text + len;

	while (line > 0 && at != NULL && at < end) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (at != NULL)
			at++;
		line--;
	}
	return at;
}

// The mistakes that networks bring into YAML.
static const char *
syntax_advice(const char *text, size_t len, size_t line)
{
	const char *at = line_start(text, len, line);
	const char *end;
	bool has_bracket = false;

	if (at == NULL)
		return "check indentation, brackets and quotes up to this place";
	for (end = at; end < text + len && *end != '\n'; end++) {
		if (*end == '\t')
			return "indent with spaces, tabs are not allowed";
		if (*end == ']')
			has_bracket = true;
		else if (has_bracket && *end == ':')
			return "put an IPv6 endpoint into quotes: \"[fd00::1]:51820\"";
	}
	return "check indentation, brackets and quotes here and in the line above; values with "
	       "': ' or '#' need quotes";
}

static int
report_parser_error(struct builder *b, const yaml_parser_t *parser, const char *text, size_t len)
{
	const char *problem = parser->problem != NULL ? parser->problem : "unknown problem";
	int line, column;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR) {
		place_of_offset(text, len, parser->problem_offset, &line, &column);
		diagnostics_error(b->d, line, column,
			"not a text file in UTF-8 (%s); a configuration is plain text; save it as "
			"UTF-8",
			problem);
		return -EINVAL;
	}
	diagnostics_error(b->d, mark_line(parser->problem_mark), mark_column(parser->problem_mark),
		"not valid YAML: %s; %s; %s", problem,
		parser->context != NULL ? parser->context : "the rest cannot be read",
		syntax_advice(text, len, parser->problem_mark.line));
	return -EINVAL;
}

static int
take_all_events(struct builder *b, yaml_parser_t *parser, const char *text, size_t len)
{
	yaml_event_t event;
	bool at_end = false;
	int err = 0;

	while (err == 0 && !at_end) {
		if (!yaml_parser_parse(parser, &event))
			return report_parser_error(b, parser, text, len);
		at_end = event.type == YAML_STREAM_END_EVENT;
		err = take_event(b, &event);
		yaml_event_delete(&event);
	}
	return err;
}

int
tree_parse(const char *text, size_t len, struct diagnostics *d, struct tree **ret_tree)
{
	static const char byte_order_mark[3] = { '\xef', '\xbb', '\xbf' };
	struct builder b = { .d = d };
	yaml_parser_t parser;
	int err;

	b.tree = calloc(1, sizeof(*b.tree));
	if (b.tree == NULL)
		return -ENOMEM;
	if (!yaml_parser_initialize(&parser)) {
		err = -ENOMEM;
		goto free_tree;
	}
	if (len >= sizeof(byte_order_mark) &&
		memcmp(text, byte_order_mark, sizeof(byte_order_mark)) == 0) {
		text += sizeof(byte_order_mark);
		len -= sizeof(byte_order_mark);
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	// Fixed, or a byte order mark would choose UTF-16.
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);

	err = take_all_events(&b, &parser, text, len);
	yaml_parser_delete(&parser);
	if (err == 0 && b.tree->root == NULL) {
		diagnostics_error(d, 1, 1,
			"the file is empty; a configuration needs at least version and wireguard; "
			"begin with a copy of config/examples/minimal.yaml");
		err = -EINVAL;
	}
	if (err < 0)
		goto free_tree;
	*ret_tree = b.tree;
	return 0;

free_tree:
	tree_free(b.tree);
	return err;
}
