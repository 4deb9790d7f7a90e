/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/nf_table.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "controlplane/gateway/kernel/netlink.h"

#define BATCH_LEN      (192 * 1024)
#define RULE_LEN       1024 /* bytes; none of ours is longer */
#define ANSWER_LEN     (16 * 1024)
#define PATIENCE_S     5
#define PRIORITY_NAT   100 /* NF_IP_PRI_NAT_SRC */
#define DADDR_V4       16  /* offsets in the IP header */
#define DADDR_V6       24
#define NEXT_HEADER_V6 6

static_assert(BATCH_LEN > RULE_LEN * (NF_TABLE_MAX_INTERFACE + 2 * NF_TABLE_MAX_ADDRESSES) / 2,
	"rules are half that long at most");

/* A transaction being written. */
struct batch {
	uint8_t *bytes;
	size_t len;
	uint32_t seq;
	uint32_t n_answers; // one acknowledgement each
	const struct nf_table *table;
};

static struct nlmsghdr *
begin(struct batch *b, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(b->bytes + b->len);
	struct nfgenmsg *info;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++b->seq;
	info = mnl_nlmsg_put_extra_header(h, sizeof(*info));
	info->nfgen_family = family;
	return h;
}

static void
end(struct batch *b, const struct nlmsghdr *h)
{
	b->len += NLMSG_ALIGN(h->nlmsg_len);
}

// The marks around a transaction, and which of netfilter's parts it is for.
static void
put_mark(struct batch *b, uint16_t type)
{
	struct nlmsghdr *h = begin(b, type, 0, AF_UNSPEC);
	struct nfgenmsg *info = mnl_nlmsg_get_payload(h);

	info->res_id = htons(NFNL_SUBSYS_NFTABLES);
	end(b, h);
}

static struct nlmsghdr *
begin_change(struct batch *b, uint16_t type, uint16_t flags)
{
	b->n_answers++;
	return begin(b, NFNL_SUBSYS_NFTABLES << 8 | type, NLM_F_ACK | flags, NFPROTO_INET);
}

static void
put_table(struct batch *b, uint16_t type, const char *name)
{
	struct nlmsghdr *h = begin_change(b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, name);
	end(b, h);
}

static void
put_chain(struct batch *b, const char *name, const char *type, uint32_t hook, uint32_t priority)
{
	struct nlmsghdr *h = begin_change(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nlattr *nest;

	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, b->table->name);
	mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
	nest = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(hook));
	mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl(priority));
	mnl_attr_nest_end(h, nest);
	mnl_attr_put_u32(h, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
	mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, type);
	end(b, h);
}

/* --- a rule's expressions --- */

struct rule {
	struct batch *b;
	struct nlmsghdr *h;
	struct nlattr *list, *element, *data;
};

static void
begin_rule(struct rule *r, struct batch *b, const char *chain)
{
	*r = (struct rule){ .b = b,
		.h = begin_change(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND) };
	mnl_attr_put_strz(r->h, NFTA_RULE_TABLE, b->table->name);
	mnl_attr_put_strz(r->h, NFTA_RULE_CHAIN, chain);
	r->list = mnl_attr_nest_start(r->h, NFTA_RULE_EXPRESSIONS);
}

static void
end_rule(struct rule *r)
{
	mnl_attr_nest_end(r->h, r->list);
	end(r->b, r->h);
}

static void
begin_expression(struct rule *r, const char *name)
{
	r->element = mnl_attr_nest_start(r->h, NFTA_LIST_ELEM);
	mnl_attr_put_strz(r->h, NFTA_EXPR_NAME, name);
	r->data = mnl_attr_nest_start(r->h, NFTA_EXPR_DATA);
}

static void
end_expression(struct rule *r)
{
	mnl_attr_nest_end(r->h, r->data);
	mnl_attr_nest_end(r->h, r->element);
}

static void
put_plain(struct rule *r, const char *name)
{
	begin_expression(r, name);
	end_expression(r);
}

static void
load_meta(struct rule *r, uint32_t key)
{
	begin_expression(r, "meta");
	mnl_attr_put_u32(r->h, NFTA_META_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(r->h, NFTA_META_KEY, htonl(key));
	end_expression(r);
}

static void
load_payload(struct rule *r, uint32_t base, uint32_t offset, uint32_t len)
{
	begin_expression(r, "payload");
	mnl_attr_put_u32(r->h, NFTA_PAYLOAD_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(r->h, NFTA_PAYLOAD_BASE, htonl(base));
	mnl_attr_put_u32(r->h, NFTA_PAYLOAD_OFFSET, htonl(offset));
	mnl_attr_put_u32(r->h, NFTA_PAYLOAD_LEN, htonl(len));
	end_expression(r);
}

static void
compare(struct rule *r, uint32_t op, const void *bytes, size_t len)
{
	struct nlattr *nest;

	begin_expression(r, "cmp");
	mnl_attr_put_u32(r->h, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(r->h, NFTA_CMP_OP, htonl(op));
	nest = mnl_attr_nest_start(r->h, NFTA_CMP_DATA);
	mnl_attr_put(r->h, NFTA_DATA_VALUE, len, bytes);
	mnl_attr_nest_end(r->h, nest);
	end_expression(r);
}

static void
match_interface(struct rule *r, uint32_t key, uint32_t op, const char *name)
{
	char padded[IF_NAMESIZE] = {};

	memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
	load_meta(r, key);
	compare(r, op, padded, sizeof(padded));
}

static void
match_byte(struct rule *r, uint32_t key, uint8_t value)
{
	load_meta(r, key);
	compare(r, NFT_CMP_EQ, &value, sizeof(value));
}

static void
match_family(struct rule *r, uint8_t family)
{
	match_byte(r, NFT_META_NFPROTO, family == ADDR_V6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
}

static void
drop(struct rule *r)
{
	struct nlattr *data, *verdict;

	begin_expression(r, "immediate");
	mnl_attr_put_u32(r->h, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
	data = mnl_attr_nest_start(r->h, NFTA_IMMEDIATE_DATA);
	verdict = mnl_attr_nest_start(r->h, NFTA_DATA_VERDICT);
	mnl_attr_put_u32(r->h, NFTA_VERDICT_CODE, htonl(NF_DROP));
	mnl_attr_nest_end(r->h, verdict);
	mnl_attr_nest_end(r->h, data);
	end_expression(r);
}

/* --- the table --- */

// Since Linux 5.7 a packet still knows by which interface it came when it leaves.
static void
put_masquerade(struct batch *b, const struct nf_masquerade *m)
{
	struct rule r;

	begin_rule(&r, b, "postrouting");
	match_interface(&r, NFT_META_IIFNAME, NFT_CMP_EQ, b->table->tun);
	if (m->interface[0] != '\0')
		match_interface(&r, NFT_META_OIFNAME, NFT_CMP_EQ, m->interface);
	else
		match_interface(&r, NFT_META_OIFNAME, NFT_CMP_NEQ, b->table->tun);
	match_family(&r, m->family);
	put_plain(&r, "counter");
	put_plain(&r, "masq");
	end_rule(&r);
}

/*
 * A packet that begins with a header of this protocol.  In a later fragment of IPv6 the kernel
 * (6.18) takes the flow label for a port, so there the first next header must be the protocol: a
 * peer's outer datagrams come in fragments.
 */
static void
match_transport(struct rule *r, uint8_t family, uint8_t protocol)
{
	if (family == ADDR_V6) {
		load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, NEXT_HEADER_V6, 1);
		compare(r, NFT_CMP_EQ, &protocol, sizeof(protocol));
	}
	match_byte(r, NFT_META_L4PROTO, protocol);
}

static void
put_silence(struct batch *b, const struct addr *to, uint8_t protocol)
{
	const uint16_t first = htons(b->table->port_first), last = htons(b->table->port_last);
	struct rule r;

	begin_rule(&r, b, "input");
	match_interface(&r, NFT_META_IIFNAME, NFT_CMP_NEQ, "lo");
	match_family(&r, to->family);
	load_payload(&r, NFT_PAYLOAD_NETWORK_HEADER, to->family == ADDR_V6 ? DADDR_V6 : DADDR_V4,
		addr_bits((enum addr_family)to->family) / 8);
	compare(&r, NFT_CMP_EQ, to->bytes, addr_bits((enum addr_family)to->family) / 8);
	match_transport(&r, to->family, protocol);
	load_payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(first));
	compare(&r, NFT_CMP_GTE, &first, sizeof(first));
	load_payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(last));
	compare(&r, NFT_CMP_LTE, &last, sizeof(last));
	put_plain(&r, "counter");
	drop(&r);
	end_rule(&r);
}

static void
put_contents(struct batch *b)
{
	const struct nf_table *t = b->table;

	if (t->n_masquerades > 0)
		put_chain(b, "postrouting", "nat", NF_INET_POST_ROUTING, PRIORITY_NAT);
	for (size_t i = 0; i < t->n_masquerades; i++)
		put_masquerade(b, &t->masquerades[i]);
	if (t->n_nat_addresses > 0)
		put_chain(b, "input", "filter", NF_INET_LOCAL_IN, 0);
	for (size_t i = 0; i < t->n_nat_addresses; i++) {
		put_silence(b, &t->nat_addresses[i], IPPROTO_TCP);
		put_silence(b, &t->nat_addresses[i], IPPROTO_UDP);
	}
}

/* --- talking --- */

static int
open_socket(void)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int err;

	if (fd < 0)
		return errno == EPROTONOSUPPORT ? -EOPNOTSUPP : -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

// The first refusal ends it: the kernel has undone the whole transaction then.
static int
take_answers(int fd, uint32_t n)
{
	static const int limit = 100000; // answers of a kernel gone mad
	uint8_t *answer = malloc(ANSWER_LEN);
	int err = answer != NULL ? 0 : -ENOMEM;

	for (int i = 0; err == 0 && n > 0 && i < limit; i++) {
		int len = netlink_receive(fd, answer, ANSWER_LEN);

		if (len < 0)
			err = len == -EAGAIN ? -ETIMEDOUT : len;
		for (const struct nlmsghdr *h = (const void *)answer;
			err == 0 && mnl_nlmsg_ok(h, len); h = mnl_nlmsg_next(h, &len)) {
			const struct nlmsgerr *code = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type != NLMSG_ERROR ||
				mnl_nlmsg_get_payload_len(h) < sizeof(*code))
				continue;
			err = code->error < 0 ? code->error : 0;
			n -= n > 0;
		}
	}
	free(answer);
	return err;
}

static int
send_batch(const struct batch *b)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int fd = open_socket();
	int err = 0;

	if (fd < 0)
		return fd;
	if (sendto(fd, b->bytes, b->len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		err = -errno;
	if (err == 0)
		err = take_answers(fd, b->n_answers);
	close(fd);
	return err;
}

static int
run(const struct nf_table *table, void (*write)(struct batch *b))
{
	struct batch b = { .bytes = calloc(1, BATCH_LEN), .table = table };
	int err;

	if (b.bytes == NULL)
		return -ENOMEM;
	put_mark(&b, NFNL_MSG_BATCH_BEGIN);
	write(&b);
	put_mark(&b, NFNL_MSG_BATCH_END);
	err = send_batch(&b);
	free(b.bytes);
	return err;
}

// Made first, so that there is something to delete, and all of it at once.
static void
write_put(struct batch *b)
{
	put_table(b, NFT_MSG_NEWTABLE, b->table->name);
	put_table(b, NFT_MSG_DELTABLE, b->table->name);
	put_table(b, NFT_MSG_NEWTABLE, b->table->name);
	put_contents(b);
}

static void
write_remove(struct batch *b)
{
	put_table(b, NFT_MSG_DELTABLE, b->table->name);
}

int
nf_table_put(const struct nf_table *table)
{
	if (table->n_masquerades > NF_TABLE_MAX_INTERFACE ||
		table->n_nat_addresses > NF_TABLE_MAX_ADDRESSES)
		return -EINVAL;
	return run(table, write_put);
}

int
nf_table_remove(const char *name)
{
	struct nf_table table = {};

	if (!nf_table_is_our_name(name))
		return -EINVAL;
	memcpy(table.name, name, strlen(name));
	return run(&table, write_remove);
}

void
nf_table_name(const char *interface, char name[static NF_TABLE_NAME_LEN])
{
	if (strcmp(interface, "sluice0") == 0)
		snprintf(name, NF_TABLE_NAME_LEN, NF_TABLE_NAME);
	else
		snprintf(name, NF_TABLE_NAME_LEN, NF_TABLE_NAME "-%.15s", interface);
}

bool
nf_table_is_our_name(const char *name)
{
	size_t len = strlen(NF_TABLE_NAME);

	return strncmp(name, NF_TABLE_NAME, len) == 0 && strlen(name) < NF_TABLE_NAME_LEN &&
	       (name[len] == '\0' || name[len] == '-');
}

int
nf_table_listen(void)
{
	int group = NFNLGRP_NFTABLES;
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
		setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

// The report is about this table as a whole.
static bool
is_about(const struct nlmsghdr *h, uint16_t message, const char *name)
{
	const struct nlattr *attr;

	if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | message) ||
		mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
		return false;
	mnl_attr_for_each(attr, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_TABLE_NAME &&
			strncmp(mnl_attr_get_payload(attr), name, mnl_attr_get_payload_len(attr)) ==
				0)
			return true;
	}
	return false;
}

bool
nf_table_has_vanished(int fd, const char *name)
{
	uint8_t *report = malloc(ANSWER_LEN);
	bool vanished = report == NULL;
	int len = 0;

	while (report != NULL && (len = netlink_receive(fd, report, ANSWER_LEN)) != -EAGAIN) {
		if (len < 0) {
			vanished = true;
			if (len != -ENOBUFS && len != -EMSGSIZE)
				break;
		}
		for (const struct nlmsghdr *h = (const void *)report; mnl_nlmsg_ok(h, len);
			h = mnl_nlmsg_next(h, &len)) {
			// One that is replaced goes and comes: our own changes are such.
			if (is_about(h, NFT_MSG_DELTABLE, name))
				vanished = true;
			else if (is_about(h, NFT_MSG_NEWTABLE, name))
				vanished = false;
		}
	}
	free(report);
	return vanished;
}
