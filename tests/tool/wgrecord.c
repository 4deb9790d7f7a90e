/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Hears everything on one interface and judges it: was a WireGuard nonce used twice, did anything
 * leave in clear, did whoever is behind it hand out an index that was in use.
 *
 *     wgrecord INTERFACE [--inner PREFIX]... [--save FILE.pcap [--save-max N]]
 *
 * A session is (direction, receiver index, epoch): when a handshake message offers an index as its
 * sender index, data to that index afterwards is another session.  Within one, each counter is seen
 * with its bytes' hash: seen again with other bytes is a reused nonce ("nonce_reused"), with the
 * same bytes a packet that was sent twice ("repeated").  In clear is what has an address of an
 * --inner prefix in its outer IP header, or seqflow's mark anywhere.  --save keeps the first N
 * packets (without link header) for whoever wants to send them again.
 *
 * Super-packets (UDP GSO) are cut by the size in their virtio header.  Linux before 6.2 cannot give
 * that header for UDP: switch tx-udp-segmentation off on the interface there (ethtool -K).  Runs
 * until SIGTERM, then prints one JSON object; SIGUSR1 prints the present state as a line.
 * "capture_dropped" other than 0 means that it was too slow and proves nothing.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define BLOCK_BYTES   (1u << 20)
#define BLOCKS        32
#define RETIRE_MS     20
#define PAGE_COUNTERS 1024
#define PAGE_BUCKETS  65536
#define EPOCHS_MAX    65536
#define INNER_MAX     16
#define SAMPLES_MAX   8

#define WG_INITIATION   1
#define WG_RESPONSE     2
#define WG_COOKIE_REPLY 3
#define WG_DATA         4

#define MARK "SEQFLOW" // what each packet of seqflow begins with

/* Counters of one session, 1,024 to a page; 0: not seen, else a hash of the packet that is never 0.
 */
struct page {
	struct page *next;
	uint64_t number;
	uint32_t index, epoch;
	uint8_t outgoing;
	uint32_t seen[PAGE_COUNTERS];
};

/* How often an index was offered in a handshake: data to it goes the other way. */
struct offer {
	struct offer *next;
	uint32_t index, epoch;
	uint8_t outgoing; // of the data to it
	bool has_data;
};

struct prefix {
	int family;
	uint8_t address[16];
	unsigned bits;
};

struct way {
	uint64_t initiations, responses, cookie_replies, data, keepalives, other_udp, other;
	uint64_t nonce_reused, repeated, clear, index_reused;
	uint64_t bytes, super_packets;
};

static struct way way[2]; // 0: coming in at the interface, 1: going out of it
static struct page *page_bucket[PAGE_BUCKETS];
static struct offer *offer_bucket[EPOCHS_MAX];
static struct prefix inner[INNER_MAX];
static int n_inner;
static char sample[SAMPLES_MAX][200];
static int n_samples;
static uint64_t captured, capture_dropped, sessions, malformed;
static FILE *save;
static uint64_t saved, save_max = 2000;
static volatile sig_atomic_t stop_asked, state_asked; // set by handlers, read by the loop

static void
on_signal(int number)
{
	if (number == SIGUSR1)
		state_asked = 1;
	else
		stop_asked = 1;
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("wgrecord: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void *
allocate(size_t size)
{
	void *p = calloc(1, size);

	if (p == NULL)
		die("no memory");
	return p;
}

static uint32_t
get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t
get_le64(const uint8_t *p)
{
	return get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

static unsigned
get_be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void __attribute__((format(printf, 1, 2))) note_sample(const char *format, ...)
{
	va_list args;

	if (n_samples == SAMPLES_MAX)
		return;
	va_start(args, format);
	vsnprintf(sample[n_samples++], sizeof(sample[0]), format, args);
	va_end(args);
}

// FNV-1a over the packet; 0 is kept for "not seen".
static uint32_t
hash_of(const uint8_t *p, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return (uint32_t)h == 0 ? 1 : (uint32_t)h;
}

/* ---- sessions
 * ---------------------------------------------------------------------------------------- */

static struct offer *
offer_of(uint32_t index, int outgoing)
{
	struct offer **bucket =
		&offer_bucket[(index * 2654435761u + (unsigned)outgoing) % EPOCHS_MAX];
	struct offer *o;

	for (o = *bucket; o != NULL; o = o->next)
		if (o->index == index && o->outgoing == outgoing)
			return o;
	o = allocate(sizeof(*o));
	*o = (struct offer){ .next = *bucket, .index = index, .outgoing = (uint8_t)outgoing };
	*bucket = o;
	return o;
}

// A handshake message that goes `outgoing` offers its sender index for data coming the other way.
static void
note_offer(uint32_t index, int outgoing)
{
	struct offer *o = offer_of(index, !outgoing);

	// The same index offered again before it carried anything is a message sent again.
	if (o->has_data) {
		o->epoch++;
		o->has_data = false;
		way[outgoing].index_reused++;
		note_sample("index %08x offered again after it had carried data", index);
	}
}

static uint32_t *
seen_of(uint32_t index, uint32_t epoch, int outgoing, uint64_t counter)
{
	uint64_t number = counter / PAGE_COUNTERS;
	uint64_t mix = (index * UINT64_C(0x9e3779b97f4a7c15)) ^
	               (number * UINT64_C(0xff51afd7ed558ccd)) ^ epoch ^ (unsigned)outgoing;
	struct page **bucket = &page_bucket[(mix ^ mix >> 32) % PAGE_BUCKETS];
	struct page *p;

	for (p = *bucket; p != NULL; p = p->next)
		if (p->index == index && p->epoch == epoch && p->number == number &&
			p->outgoing == outgoing)
			return &p->seen[counter % PAGE_COUNTERS];
	p = allocate(sizeof(*p));
	*p = (struct page){ .next = *bucket,
		.number = number,
		.index = index,
		.epoch = epoch,
		.outgoing = (uint8_t)outgoing };
	*bucket = p;
	return &p->seen[counter % PAGE_COUNTERS];
}

static void
note_data(const uint8_t *message, size_t len, int outgoing)
{
	uint32_t index = get_le32(message + 4), hash = hash_of(message, len), *seen;
	uint64_t counter = get_le64(message + 8);
	struct offer *o = offer_of(index, outgoing);

	way[outgoing].data++;
	if (len == 32)
		way[outgoing].keepalives++;
	if (!o->has_data) {
		o->has_data = true;
		sessions++;
	}
	seen = seen_of(index, o->epoch, outgoing, counter);
	if (*seen == 0) {
		*seen = hash;
	} else if (*seen == hash) {
		way[outgoing].repeated++;
		note_sample("index %08x counter %llu sent twice, same bytes", index,
			(unsigned long long)counter);
	} else {
		way[outgoing].nonce_reused++;
		note_sample(
			"index %08x counter %llu used twice", index, (unsigned long long)counter);
	}
}

// The payload of one UDP datagram.
static void
judge_udp(const uint8_t *message, size_t len, int outgoing)
{
	uint32_t type = len >= 4 ? get_le32(message) : 0;

	if (type == WG_DATA && len >= 32) {
		note_data(message, len, outgoing);
	} else if (type == WG_INITIATION && len == 148) {
		way[outgoing].initiations++;
		note_offer(get_le32(message + 4), outgoing);
	} else if (type == WG_RESPONSE && len == 92) {
		way[outgoing].responses++;
		note_offer(get_le32(message + 4), outgoing);
	} else if (type == WG_COOKIE_REPLY && len == 64) {
		way[outgoing].cookie_replies++;
	} else {
		way[outgoing].other_udp++;
	}
}

/* ---- clear text
 * -------------------------------------------------------------------------------------- */

static bool
is_inside(const uint8_t *address, int family)
{
	for (int i = 0; i < n_inner; i++) {
		unsigned whole = inner[i].bits / 8, rest = inner[i].bits % 8;

		if (inner[i].family != family || memcmp(address, inner[i].address, whole) != 0)
			continue;
		if (rest == 0 || (address[whole] ^ inner[i].address[whole]) >> (8 - rest) == 0)
			return true;
	}
	return false;
}

static void
note_clear(const uint8_t *ip, int family, int outgoing, const char *why)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	inet_ntop(family, ip + (family == AF_INET ? 12 : 8), from, sizeof(from));
	inet_ntop(family, ip + (family == AF_INET ? 16 : 24), to, sizeof(to));
	way[outgoing].clear++;
	note_sample(
		"in clear (%s): %s > %s protocol %u", why, from, to, ip[family == AF_INET ? 9 : 6]);
}

static void
look_for_clear(const uint8_t *ip, size_t len, int family, int outgoing)
{
	size_t at = family == AF_INET ? 12 : 8, size = family == AF_INET ? 4 : 16;

	if (is_inside(ip + at, family) || is_inside(ip + at + size, family))
		note_clear(ip, family, outgoing, "inner address");
	else if (memmem(ip, len, MARK, sizeof(MARK) - 1) != NULL)
		note_clear(ip, family, outgoing, "seqflow's mark");
}

/* ---- packets
 * ----------------------------------------------------------------------------------------- */

static void
save_packet(const uint8_t *ip, size_t len)
{
	struct {
		uint32_t s, us, captured, len;
	} record = { .captured = (uint32_t)len, .len = (uint32_t)len };
	struct timespec t;

	if (save == NULL || saved == save_max)
		return;
	clock_gettime(CLOCK_REALTIME, &t);
	record.s = (uint32_t)t.tv_sec;
	record.us = (uint32_t)(t.tv_nsec / 1000);
	fwrite(&record, sizeof(record), 1, save);
	fwrite(ip, len, 1, save);
	fflush(save);
	saved++;
}

// `segment`: payload bytes of each datagram in a super-packet, 0 for one datagram.
static void
judge_ip(const uint8_t *ip, size_t len, size_t segment, int outgoing)
{
	struct way *w = &way[outgoing];
	size_t head;
	unsigned protocol;
	bool is_fragment = false;

	if (len >= 20 && ip[0] >> 4 == 4) {
		head = (ip[0] & 15u) * 4u;
		protocol = ip[9];
		is_fragment = (get_be16(ip + 6) & 0x3fff) != 0;
		look_for_clear(ip, len, AF_INET, outgoing);
	} else if (len >= 40 && ip[0] >> 4 == 6) {
		head = 40;
		protocol = ip[6];
		look_for_clear(ip, len, AF_INET6, outgoing);
	} else {
		malformed++;
		return;
	}
	w->bytes += len;
	if (segment == 0)
		save_packet(ip, len);
	if (protocol != IPPROTO_UDP || is_fragment || len < head + 8) {
		w->other++;
		return;
	}
	if (segment != 0)
		w->super_packets++;
	else
		segment = len - head - 8;
	for (size_t at = head + 8; at < len; at += segment)
		judge_udp(ip + at, len - at < segment ? len - at : segment, outgoing);
	if (len == head + 8)
		w->other_udp++;
}

static void
judge_frame(const struct tpacket3_hdr *h)
{
	const uint8_t *base = (const uint8_t *)h;
	const struct sockaddr_ll *from =
		(const struct sockaddr_ll *)(base + TPACKET_ALIGN(sizeof(*h)));
	const struct virtio_net_hdr *v =
		(const struct virtio_net_hdr *)(base + h->tp_mac - sizeof(*v));
	unsigned kind = v->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
	size_t segment = kind == VIRTIO_NET_HDR_GSO_UDP_L4 ? v->gso_size : 0;
	uint16_t protocol = ntohs(from->sll_protocol);

	captured++;
	if (h->tp_snaplen != h->tp_len) {
		malformed++;
		return;
	}
	if (protocol != ETH_P_IP && protocol != ETH_P_IPV6)
		return;
	judge_ip(base + h->tp_net, h->tp_snaplen - (size_t)(h->tp_net - h->tp_mac), segment,
		from->sll_pkttype == PACKET_OUTGOING);
}

/* ---- the socket
 * -------------------------------------------------------------------------------------- */

static void *ring;

static int
open_capture(const char *interface)
{
	struct tpacket_req3 want = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = 2048,
		.tp_frame_nr = BLOCKS * (BLOCK_BYTES / 2048),
		.tp_retire_blk_tov = RETIRE_MS,
	};
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface),
	};
	int version = TPACKET_V3, on = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (at.sll_ifindex == 0)
		die("%s: no such interface", interface);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &want, sizeof(want)) < 0)
		die("packet socket: %s", strerror(errno));
	ring = mmap(NULL, (size_t)BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("bind to %s: %s", interface, strerror(errno));
	return fd;
}

static void
judge_block(struct tpacket_block_desc *block)
{
	const uint8_t *at = (const uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;

	for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
		const struct tpacket3_hdr *h = (const struct tpacket3_hdr *)at;

		judge_frame(h);
		at += h->tp_next_offset;
	}
}

static void
note_dropped(int fd)
{
	struct tpacket_stats_v3 stats = {};
	socklen_t len = sizeof(stats);

	// Reading resets the kernel's counter.
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
		capture_dropped += stats.tp_drops;
}

static void
print_way(const char *name, const struct way *w)
{
	printf("\"%s\":{\"initiations\":%llu,\"responses\":%llu,\"cookie_replies\":%llu,\"data\":%"
	       "llu,"
	       "\"keepalives\":%llu,\"other_udp\":%llu,\"other\":%llu,\"super_packets\":%llu,"
	       "\"bytes\":%llu,"
	       "\"nonce_reused\":%llu,\"repeated\":%llu,\"index_reused\":%llu,\"clear\":%llu},",
		name, (unsigned long long)w->initiations, (unsigned long long)w->responses,
		(unsigned long long)w->cookie_replies, (unsigned long long)w->data,
		(unsigned long long)w->keepalives, (unsigned long long)w->other_udp,
		(unsigned long long)w->other, (unsigned long long)w->super_packets,
		(unsigned long long)w->bytes, (unsigned long long)w->nonce_reused,
		(unsigned long long)w->repeated, (unsigned long long)w->index_reused,
		(unsigned long long)w->clear);
}

static void
print_state(int fd)
{
	note_dropped(fd);
	printf("{");
	print_way("in", &way[0]);
	print_way("out", &way[1]);
	printf("\"captured\":%llu,\"capture_dropped\":%llu,\"malformed\":%llu,\"sessions\":%llu,"
	       "\"samples\":[",
		(unsigned long long)captured, (unsigned long long)capture_dropped,
		(unsigned long long)malformed, (unsigned long long)sessions);
	for (int i = 0; i < n_samples; i++)
		printf("%s\"%s\"", i == 0 ? "" : ",", sample[i]);
	printf("]}\n");
	fflush(stdout);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static void
run(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	int64_t end_ms = 0;

	for (unsigned i = 0;;) {
		struct tpacket_block_desc *block =
			(struct tpacket_block_desc *)((uint8_t *)ring + (size_t)i * BLOCK_BYTES);
		uint32_t status = __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE);

		// What came before the signal is in a block that the kernel hands over within
		// RETIRE_MS.
		if (stop_asked && end_ms == 0)
			end_ms = now_ms() + 3 * RETIRE_MS;
		if (end_ms != 0 && now_ms() > end_ms)
			break;
		if (status & TP_STATUS_USER) {
			judge_block(block);
			__atomic_store_n(
				&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
			i = (i + 1) % BLOCKS;
			continue;
		}
		if (state_asked) {
			state_asked = 0;
			print_state(fd);
		}
		poll(&ready, 1, end_ms != 0 ? RETIRE_MS : 1000);
	}
}

static void
add_inner(const char *text)
{
	char address[64];
	const char *slash = strchr(text, '/');
	struct prefix *p = &inner[n_inner];

	if (n_inner == INNER_MAX || slash == NULL || (size_t)(slash - text) >= sizeof(address))
		die("--inner %s: wants at most %d prefixes", text, INNER_MAX);
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	p->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	p->bits = (unsigned)atoi(slash + 1);
	if (inet_pton(p->family, address, p->address) != 1)
		die("--inner %s: not a prefix", text);
	n_inner++;
}

static void
open_save(const char *path)
{
	// Link type 101: packets begin with the IP header.
	static const uint32_t head[6] = { 0xa1b2c3d4, 2 | 4 << 16, 0, 0, 262144, 101 };

	save = fopen(path, "w");
	if (save == NULL)
		die("%s: %s", path, strerror(errno));
	fwrite(head, sizeof(head), 1, save);
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	int fd;

	if (argc < 2) {
		fputs("usage: wgrecord INTERFACE [--inner PREFIX]... [--save FILE [--save-max "
		      "N]]\n",
			stderr);
		return 2;
	}
	for (int i = 2; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--inner") == 0)
			add_inner(argv[i + 1]);
		else if (strcmp(argv[i], "--save") == 0)
			open_save(argv[i + 1]);
		else if (strcmp(argv[i], "--save-max") == 0)
			save_max = strtoull(argv[i + 1], NULL, 10);
		else
			die("%s: unknown option", argv[i]);
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	fd = open_capture(argv[1]);
	fputs("wgrecord: listening\n", stderr);
	run(fd);
	print_state(fd);
	if (save != NULL)
		fclose(save);
	return 0;
}
