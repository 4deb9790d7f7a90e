/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbered UDP flows at a steady rate, and what became of them.
 *
 *     seqflow recv --port P [--bind A] [--flows N] [--idle SECONDS] [--gap MS]
 *     seqflow send --to A [--to A ...] --port P --rate PPS [--flows N] [--size BYTES]
 *                  [--seconds S | --count N] [--run ID]
 *     seqflow both (all of the above; --listen P is the receiver's port)
 *
 * The sender numbers every packet of every flow (a flow is a socket with a port of its own; --to
 * given several times spreads the flows over the addresses, so v4 and v6 go in one run).  The
 * receiver counts per flow what was lost, came twice, out of order or with other bytes, and notes
 * every silence.  Each prints one JSON object when it ends: the sender after --seconds, --count or
 * SIGTERM (it says goodbye with the number of packets sent), the receiver when all --flows said
 * goodbye, after
 * --idle seconds of silence, or at SIGTERM.  SIGUSR1 prints the present state as a line.
 *
 * What our own sockets dropped is said apart: the receiver's queue ("socket_dropped"), and on the
 * sending side packets that the local queue refused ("blocked"; they are sent again under the same
 * number, so they are never counted as lost).  The sender says too how late it woke
 * ("largest_late_ms", and "stood_still_ms", the sum of what was longer than 20 ms): whether the
 * machine ran meanwhile.
 *
 * --zero-sum makes the UDP checksum of every packet come out as 0, which has to be sent as 0xffff
 * (RFC 768, RFC 8200 section 8.1): whoever completes a checksum for the kernel has to know that.
 * --no-zero-sum makes it never come out as 0: wireguard-go (2026-05) does not know it and loses one
 * IPv6 packet in 65,536.
 *
 * Times are CLOCK_MONOTONIC, which all network namespaces of a machine share.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAGIC_DATA    UINT64_C(0x44574f4c46514553) // "SEQFLOWD": wgrecord looks for it on the wire
#define MAGIC_STOP    UINT64_C(0x53574f4c46514553) // "SEQFLOWS"
#define FLOWS_MAX     256
#define ADDRESSES_MAX 16
#define GAPS_MAX      4096
#define MISSING_MAX   100
#define SIZE_MAX_     8192
#define SOCKET_BUFFER (32 << 20)
#define BURST         64
#define GOODBYES      6
#define LATE_NS       (20 * NS_PER_MS)

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

/* What a packet begins with, in the order of the machine's bytes: both ends are this program. */
struct head {
	uint64_t magic;
	uint64_t seq; // STOP: how many were sent
	int64_t sent_ns;
	uint32_t run;
	uint32_t flow;
	uint32_t size_bytes;
	uint16_t tune; // makes the UDP checksum what --zero-sum or --no-zero-sum ask for
	uint16_t zero;
};

struct gap {
	uint32_t flow;
	int64_t at_ns; // when the silence began
	int64_t length_ns;
	uint64_t missing; // numbers that had not come when it ended
};

struct flow {
	bool used;
	uint32_t run, id;
	uint64_t *seen; // a bit per number
	uint64_t seen_words;
	uint64_t received, duplicated, reordered, corrupted;
	uint64_t next; // highest number + 1
	uint64_t sent; // as the goodbye says
	bool stopped;
	int64_t first_ns, last_ns, largest_gap_ns, largest_delay_ns;
};

static struct {
	const char *bind;
	const char *to[ADDRESSES_MAX];
	int n_to;
	uint16_t port, listen;
	double rate_pps, seconds, idle_s;
	uint64_t count;
	uint32_t flows, run;
	size_t size_bytes;
	int64_t gap_ns;
	enum {
		SUM_ANY,
		SUM_ZERO,
		SUM_NOT_ZERO
	} sum;
} option = { .rate_pps = 1000, .size_bytes = 200, .gap_ns = 100 * NS_PER_MS };

static struct flow flow[FLOWS_MAX];
static struct gap gap[GAPS_MAX];
static size_t n_gaps;
static uint64_t foreign;
static volatile sig_atomic_t stop_asked, state_asked; // set by handlers, read by the loops

static void
on_signal(int number)
{
	if (number == SIGUSR1)
		state_asked = 1;
	else
		stop_asked = 1;
}

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void
sleep_until(int64_t at_ns)
{
	struct timespec t = { .tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("seqflow: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* ---- what a packet contains
 * -------------------------------------------------------------------------- */

// Bytes that follow from flow and number, so that the receiver can tell whether they were touched.
static void
fill(uint8_t *at, size_t len, uint32_t id, uint64_t seq)
{
	uint64_t x = (seq + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)id << 32) ^ len;

	for (size_t i = 0; i < len; i += 8) {
		size_t n = len - i < 8 ? len - i : 8;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(at + i, &x, n);
	}
}

static bool
is_intact(const uint8_t *packet, size_t len, const struct head *h)
{
	uint8_t wanted[SIZE_MAX_];

	if (h->size_bytes != len)
		return false;
	fill(wanted, len - sizeof(*h), h->flow, h->seq);
	return memcmp(packet + sizeof(*h), wanted, len - sizeof(*h)) == 0;
}

/* ---- receiving
 * --------------------------------------------------------------------------------------- */

static struct flow *
flow_of(uint32_t run, uint32_t id)
{
	for (size_t i = 0; i < FLOWS_MAX; i++) {
		if (flow[i].used && flow[i].run == run && flow[i].id == id)
			return &flow[i];
		if (!flow[i].used) {
			flow[i] = (struct flow){ .used = true, .run = run, .id = id };
			return &flow[i];
		}
	}
	return NULL;
}

// True when this number is here for the first time.
static bool
note_number(struct flow *f, uint64_t seq)
{
	uint64_t word = seq / 64, bit = UINT64_C(1) << (seq % 64);

	if (word >= f->seen_words) {
		uint64_t words = word * 2 + 1024;

		f->seen = realloc(f->seen, words * 8);
		if (f->seen == NULL)
			die("no memory for %llu numbers", (unsigned long long)seq);
		memset(f->seen + f->seen_words, 0, (words - f->seen_words) * 8);
		f->seen_words = words;
	}
	if (f->seen[word] & bit)
		return false;
	f->seen[word] |= bit;
	return true;
}

static bool
is_seen(const struct flow *f, uint64_t seq)
{
	return seq / 64 < f->seen_words && (f->seen[seq / 64] & UINT64_C(1) << (seq % 64)) != 0;
}

static void
note_time(struct flow *f, const struct head *h, int64_t at_ns)
{
	int64_t silence_ns = at_ns - f->last_ns;

	if (f->last_ns == 0) {
		f->first_ns = at_ns;
	} else {
		if (silence_ns > f->largest_gap_ns)
			f->largest_gap_ns = silence_ns;
		if (silence_ns >= option.gap_ns && n_gaps < GAPS_MAX)
			gap[n_gaps++] = (struct gap){
				.flow = f->id,
				.at_ns = f->last_ns,
				.length_ns = silence_ns,
				.missing = h->seq > f->next ? h->seq - f->next : 0,
			};
	}
	f->last_ns = at_ns;
	if (at_ns - h->sent_ns > f->largest_delay_ns)
		f->largest_delay_ns = at_ns - h->sent_ns;
}

static void
take(const uint8_t *packet, size_t len, int64_t at_ns)
{
	struct head h;
	struct flow *f;

	if (len < sizeof(h)) {
		foreign++;
		return;
	}
	memcpy(&h, packet, sizeof(h));
	// A number that no sender reaches would ask for memory without end.
	if ((h.magic != MAGIC_DATA && h.magic != MAGIC_STOP) || h.seq > UINT64_C(1) << 34 ||
		(f = flow_of(h.run, h.flow)) == NULL) {
		foreign++;
		return;
	}
	if (h.magic == MAGIC_STOP) {
		f->stopped = true;
		f->sent = h.seq;
		return;
	}
	if (!is_intact(packet, len, &h)) {
		f->corrupted++;
		return;
	}
	note_time(f, &h, at_ns);
	if (!note_number(f, h.seq)) {
		f->duplicated++;
		return;
	}
	f->received++;
	if (h.seq < f->next)
		f->reordered++;
	else
		f->next = h.seq + 1;
}

// What the socket's queue dropped so far, counted by the kernel.
static uint32_t
socket_dropped(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}

static uint64_t
lost(const struct flow *f)
{
	uint64_t sent = f->stopped ? f->sent : f->next;

	return sent > f->received ? sent - f->received : 0;
}

static void
print_flow(const struct flow *f, const char *separator)
{
	printf("%s{\"run\":%u,\"flow\":%u,\"received\":%llu,\"lost\":%llu,\"duplicated\":%llu,"
	       "\"reordered\":%llu,\"corrupted\":%llu,\"sent\":%lld,\"largest_gap_ms\":%.3f,"
	       "\"largest_delay_ms\":%.3f,\"seconds\":%.3f}",
		separator, f->run, f->id, (unsigned long long)f->received,
		(unsigned long long)lost(f), (unsigned long long)f->duplicated,
		(unsigned long long)f->reordered, (unsigned long long)f->corrupted,
		f->stopped ? (long long)f->sent : -1LL, (double)f->largest_gap_ns / NS_PER_MS,
		(double)f->largest_delay_ns / NS_PER_MS,
		(double)(f->last_ns - f->first_ns) / NS_PER_S);
}

// The numbers that did not come, as ranges: where a loss happened says most about its cause.
static void
print_missing(void)
{
	size_t n = 0;

	printf("],\"missing\":[");
	for (size_t i = 0; i < FLOWS_MAX && flow[i].used; i++) {
		uint64_t end = flow[i].stopped ? flow[i].sent : flow[i].next;

		for (uint64_t seq = 0; seq < end && n < MISSING_MAX; seq++) {
			uint64_t from = seq;

			while (seq < end && !is_seen(&flow[i], seq))
				seq++;
			if (seq == from)
				continue;
			printf("%s{\"flow\":%u,\"from\":%llu,\"to\":%llu}", n++ == 0 ? "" : ",",
				flow[i].id, (unsigned long long)from, (unsigned long long)seq - 1);
		}
	}
}

static void
print_received(int fd)
{
	struct flow sum = {};
	size_t n = 0;
	uint64_t sum_lost = 0;

	for (; n < FLOWS_MAX && flow[n].used; n++) {
		sum.received += flow[n].received;
		sum.duplicated += flow[n].duplicated;
		sum.reordered += flow[n].reordered;
		sum.corrupted += flow[n].corrupted;
		sum_lost += lost(&flow[n]);
		if (flow[n].largest_gap_ns > sum.largest_gap_ns)
			sum.largest_gap_ns = flow[n].largest_gap_ns;
		if (flow[n].largest_delay_ns > sum.largest_delay_ns)
			sum.largest_delay_ns = flow[n].largest_delay_ns;
	}
	printf("{\"role\":\"recv\",\"at_ns\":%lld,\"received\":%llu,\"lost\":%llu,\"duplicated\":%"
	       "llu,"
	       "\"reordered\":%llu,\"corrupted\":%llu,\"foreign\":%llu,\"socket_dropped\":%u,"
	       "\"largest_gap_ms\":%.3f,\"largest_delay_ms\":%.3f,\"flows\":[",
		(long long)now_ns(), (unsigned long long)sum.received, (unsigned long long)sum_lost,
		(unsigned long long)sum.duplicated, (unsigned long long)sum.reordered,
		(unsigned long long)sum.corrupted, (unsigned long long)foreign, socket_dropped(fd),
		(double)sum.largest_gap_ns / NS_PER_MS, (double)sum.largest_delay_ns / NS_PER_MS);
	for (size_t i = 0; i < n; i++)
		print_flow(&flow[i], i == 0 ? "" : ",");
	printf("],\"gaps\":[");
	for (size_t i = 0; i < n_gaps; i++)
		printf("%s{\"flow\":%u,\"at_ns\":%lld,\"ms\":%.3f,\"missing\":%llu}",
			i == 0 ? "" : ",", gap[i].flow, (long long)gap[i].at_ns,
			(double)gap[i].length_ns / NS_PER_MS, (unsigned long long)gap[i].missing);
	print_missing();
	printf("]}\n");
	fflush(stdout);
}

static void
large_buffer(int fd, int forced, int asked)
{
	int size = SOCKET_BUFFER;

	// The forced form needs a capability of the first user namespace; what the other one gives
	// is the limit there.
	if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, asked, &size, sizeof(size));
}

static int
open_receiver(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct timeval tick = { .tv_usec = 50000 };
	int off = 0, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
	large_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	if (option.bind != NULL && inet_pton(AF_INET6, option.bind, &any.sin6_addr) != 1) {
		struct in_addr v4;

		if (inet_pton(AF_INET, option.bind, &v4) != 1)
			die("--bind %s: not an address", option.bind);
		any.sin6_addr.s6_addr[10] = any.sin6_addr.s6_addr[11] = 0xff;
		memcpy(&any.sin6_addr.s6_addr[12], &v4, 4);
	}
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		die("port %u: %s", port, strerror(errno));
	return fd;
}

static bool
all_stopped(void)
{
	uint32_t n = 0;

	for (size_t i = 0; i < FLOWS_MAX && flow[i].used; i++) {
		if (!flow[i].stopped)
			return false;
		n++;
	}
	return option.flows != 0 && n >= option.flows;
}

static int
receive(int fd)
{
	static uint8_t space[BURST][SIZE_MAX_];
	struct mmsghdr message[BURST] = {};
	struct iovec part[BURST];
	int64_t last_ns = now_ns(), stopped_ns = 0;

	for (int i = 0; i < BURST; i++) {
		part[i] = (struct iovec){ .iov_base = space[i], .iov_len = SIZE_MAX_ };
		message[i].msg_hdr = (struct msghdr){ .msg_iov = &part[i], .msg_iovlen = 1 };
	}
	fputs("seqflow: listening\n", stderr);
	while (!stop_asked) {
		int n = recvmmsg(fd, message, BURST, MSG_WAITFORONE, NULL);
		int64_t at_ns = now_ns();

		for (int i = 0; i < n; i++)
			take(space[i], message[i].msg_len, at_ns);
		if (n > 0)
			last_ns = at_ns;
		if (state_asked) {
			state_asked = 0;
			print_received(fd);
		}
		if (option.idle_s > 0 && (double)(at_ns - last_ns) / NS_PER_S > option.idle_s)
			break;
		// Late packets may still be on their way behind the goodbye.
		if (stopped_ns == 0 && all_stopped())
			stopped_ns = at_ns;
		if (stopped_ns != 0 && at_ns - stopped_ns > 500 * NS_PER_MS)
			break;
	}
	print_received(fd);
	close(fd);
	return 0;
}

/* ---- sending
 * ----------------------------------------------------------------------------------------- */

struct sender {
	int fd;
	uint32_t id;
	uint64_t seq;
	uint32_t address_sum; // of the pseudo header and the ports
};

static struct {
	uint64_t blocked, errors;
	int last_errno;
	int64_t slipped_ns, largest_late_ns, stood_still_ns;
} sending;

static int
open_sender(const char *address, uint16_t port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
	int on = 1, fd;

	if (!is_v6 && inet_pton(AF_INET, address, &v4.sin_addr) != 1)
		die("--to %s: not an address", address);
	fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket: %s", strerror(errno));
	large_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	// Without it the kernel keeps to itself that the local device's queue was full.
	setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_RECVERR : IP_RECVERR, &on,
		sizeof(on));
	// Not connected to the peer's answers: an ICMP error must not close the flow, but the route
	// may change.
	if (connect(fd, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
		    is_v6 ? sizeof(v6) : sizeof(v4)) < 0)
		die("%s: %s", address, strerror(errno));
	return fd;
}

static uint32_t
sum_words(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (len % 2)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

// Everything under the UDP checksum but the payload and the two lengths.
static uint32_t
sum_of_addresses(int fd)
{
	struct sockaddr_in6 end[2] = {}; // large enough for both families
	socklen_t len = sizeof(end[0]), far_len = sizeof(end[1]);
	uint32_t sum = IPPROTO_UDP;

	if (getsockname(fd, (struct sockaddr *)&end[0], &len) < 0 ||
		getpeername(fd, (struct sockaddr *)&end[1], &far_len) < 0)
		die("name of a socket: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		sum = sum_words(&end[i].sin6_port, 2, sum);
		if (end[i].sin6_family == AF_INET6)
			sum = sum_words(&end[i].sin6_addr, 16, sum);
		else
			sum = sum_words(&((struct sockaddr_in *)&end[i])->sin_addr, 4, sum);
	}
	return sum;
}

// Sets the packet's `tune` field, which lies at an even offset.
static void
tune_sum(const struct sender *s, uint8_t *packet, size_t len)
{
	uint32_t udp_len = (uint32_t)len + 8,
		 sum = sum_words(packet, len, s->address_sum + 2 * udp_len);
	uint8_t *tune = packet + offsetof(struct head, tune);

	sum = sum_words(NULL, 0, sum); // folded
	if (option.sum == SUM_ZERO)
		sum = 0xffff - sum;
	else
		sum = sum == 0xffff ? 1 : 0;
	tune[0] = (uint8_t)(sum >> 8);
	tune[1] = (uint8_t)sum;
}

static void
forget_errors(int fd)
{
	char nothing[1];

	while (recv(fd, nothing, sizeof(nothing), MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
		continue;
}

// True when the packet left; a number that did not is used again for the next try.
static bool
send_one(struct sender *s, const void *packet, size_t len)
{
	for (int i = 0; i < 3; i++) {
		if (send(s->fd, packet, len, MSG_DONTWAIT) == (ssize_t)len)
			return true;
		if (errno == EAGAIN || errno == ENOBUFS) {
			sending.blocked++;
			return false;
		}
		sending.errors++;
		sending.last_errno = errno;
		forget_errors(s->fd);
	}
	return false;
}

static void
send_data(struct sender *s)
{
	uint8_t packet[SIZE_MAX_];
	struct head h = {
		.magic = MAGIC_DATA,
		.run = option.run,
		.seq = s->seq,
		.sent_ns = now_ns(),
		.flow = s->id,
		.size_bytes = (uint32_t)option.size_bytes,
	};

	memcpy(packet, &h, sizeof(h));
	fill(packet + sizeof(h), option.size_bytes - sizeof(h), s->id, s->seq);
	if (option.sum != SUM_ANY)
		tune_sum(s, packet, option.size_bytes);
	if (send_one(s, packet, option.size_bytes))
		s->seq++;
}

static void
say_goodbye(struct sender *s, uint32_t n)
{
	for (int i = 0; i < GOODBYES; i++) {
		for (uint32_t k = 0; k < n; k++) {
			struct head h = {
				.magic = MAGIC_STOP,
				.run = option.run,
				.seq = s[k].seq,
				.flow = s[k].id,
				.size_bytes = sizeof(h),
			};

			send_one(&s[k], &h, sizeof(h));
		}
		sleep_until(now_ns() + 100 * NS_PER_MS);
	}
}

static void
print_sent(const struct sender *s, uint32_t n, int64_t began_ns)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += s[i].seq;
	printf("{\"role\":\"send\",\"at_ns\":%lld,\"run\":%u,\"sent\":%llu,\"blocked\":%llu,"
	       "\"errors\":%llu,"
	       "\"last_error\":\"%s\",\"slipped_ms\":%.3f,\"largest_late_ms\":%.3f,"
	       "\"stood_still_ms\":%.3f,\"seconds\":%.3f,\"flows\":[",
		(long long)now_ns(), option.run, (unsigned long long)sum,
		(unsigned long long)sending.blocked, (unsigned long long)sending.errors,
		sending.last_errno == 0 ? "" : strerror(sending.last_errno),
		(double)sending.slipped_ns / NS_PER_MS, (double)sending.largest_late_ns / NS_PER_MS,
		(double)sending.stood_still_ns / NS_PER_MS,
		(double)(now_ns() - began_ns) / NS_PER_S);
	for (uint32_t i = 0; i < n; i++)
		printf("%s{\"flow\":%u,\"sent\":%llu}", i == 0 ? "" : ",", s[i].id,
			(unsigned long long)s[i].seq);
	printf("]}\n");
	fflush(stdout);
}

static void
note_waking(int64_t late_ns)
{
	if (late_ns > sending.largest_late_ns)
		sending.largest_late_ns = late_ns;
	if (late_ns > LATE_NS)
		sending.stood_still_ns += late_ns;
}

static int
send_flows(void)
{
	struct sender s[FLOWS_MAX];
	int64_t interval_ns = (int64_t)((double)NS_PER_S / option.rate_pps);
	int64_t began_ns = now_ns(), due_ns = began_ns;
	uint32_t turn = 0;
	uint64_t total = 0;

	for (uint32_t i = 0; i < option.flows; i++) {
		int fd = open_sender(option.to[i % (uint32_t)option.n_to], option.port);

		s[i] = (struct sender){ .fd = fd, .id = i, .address_sum = sum_of_addresses(fd) };
	}
	while (!stop_asked && (option.count == 0 || total < option.count) &&
		(option.seconds <= 0 ||
			(double)(now_ns() - began_ns) / NS_PER_S < option.seconds)) {
		sleep_until(due_ns);
		note_waking(now_ns() - due_ns);
		// A sender that was not given the processor catches up in small bursts only: a
		// flood of its own making would say nothing about what is between the ends.
		for (int i = 0; i < BURST && due_ns <= now_ns();
			i++, due_ns += interval_ns, total++) {
			send_data(&s[turn]);
			turn = (turn + 1) % option.flows;
		}
		if (now_ns() - due_ns > LATE_NS) {
			sending.slipped_ns += now_ns() - due_ns;
			due_ns = now_ns();
		}
		if (state_asked) {
			state_asked = 0;
			print_sent(s, option.flows, began_ns);
		}
	}
	say_goodbye(s, option.flows);
	print_sent(s, option.flows, began_ns);
	return 0;
}

/* ---- both ends
 * --------------------------------------------------------------------------------------- */

static int
both(void)
{
	int status = 0, fd = open_receiver(option.listen); // before anything is sent to it
	pid_t child = fork();

	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child == 0) {
		close(fd);
		return send_flows();
	}
	receive(fd);
	kill(child, SIGTERM);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void
parse(int argc, char **argv)
{
	static const struct option long_option[] = {
		{ "bind", required_argument, NULL, 'b' },
		{ "to", required_argument, NULL, 't' },
		{ "port", required_argument, NULL, 'p' },
		{ "listen", required_argument, NULL, 'l' },
		{ "rate", required_argument, NULL, 'r' },
		{ "flows", required_argument, NULL, 'f' },
		{ "size", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'c' },
		{ "idle", required_argument, NULL, 'i' },
		{ "gap", required_argument, NULL, 'g' },
		{ "run", required_argument, NULL, 'n' },
		{ "zero-sum", no_argument, NULL, 'z' },
		{ "no-zero-sum", no_argument, NULL, 'Z' },
		{},
	};

	for (int c; (c = getopt_long(argc, argv, "", long_option, NULL)) != -1;) {
		switch (c) {
		case 'b':
			option.bind = optarg;
			break;
		case 't':
			if (option.n_to == ADDRESSES_MAX)
				die("too many --to");
			option.to[option.n_to++] = optarg;
			break;
		case 'p':
			option.port = (uint16_t)atoi(optarg);
			break;
		case 'l':
			option.listen = (uint16_t)atoi(optarg);
			break;
		case 'r':
			option.rate_pps = atof(optarg);
			break;
		case 'f':
			option.flows = (uint32_t)atoi(optarg);
			break;
		case 's':
			option.size_bytes = (size_t)atoi(optarg);
			break;
		case 'd':
			option.seconds = atof(optarg);
			break;
		case 'c':
			option.count = strtoull(optarg, NULL, 10);
			break;
		case 'i':
			option.idle_s = atof(optarg);
			break;
		case 'g':
			option.gap_ns = (int64_t)(atof(optarg) * NS_PER_MS);
			break;
		case 'n':
			option.run = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'z':
			option.sum = SUM_ZERO;
			break;
		case 'Z':
			option.sum = SUM_NOT_ZERO;
			break;
		default:
			exit(2);
		}
	}
}

static void
check_sending(void)
{
	if (option.flows == 0)
		option.flows = 1;
	if (option.run == 0)
		option.run = (uint32_t)now_ns();
	if (option.n_to == 0 || option.port == 0)
		die("send needs --to and --port");
	if (option.flows > FLOWS_MAX || option.rate_pps <= 0)
		die("--flows is 1 to %d, --rate above 0", FLOWS_MAX);
	if (option.size_bytes < sizeof(struct head) || option.size_bytes > SIZE_MAX_)
		die("--size is %zu to %d", sizeof(struct head), SIZE_MAX_);
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler =
					    on_signal }; // no SA_RESTART: a sleep or read ends
	const char *what = argc > 1 ? argv[1] : "";

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	if (argc > 1)
		parse(argc - 1, argv + 1);
	if (strcmp(what, "recv") == 0 && option.port != 0)
		return receive(open_receiver(option.port));
	if (strcmp(what, "send") == 0) {
		check_sending();
		return send_flows();
	}
	if (strcmp(what, "both") == 0 && option.listen != 0) {
		check_sending();
		return both();
	}
	fputs("usage: seqflow recv|send|both --port P ... (see the head of tests/tool/seqflow.c)\n",
		stderr);
	return 2;
}
