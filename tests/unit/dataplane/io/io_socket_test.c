/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kernel port on the loopback of a namespace of its own, whose MTU is 1,500:
 *
 *     plain sockets ──► [ data | control ]      who gets what (the classic BPF program)
 *     port A  ◄────────────────────► port B     bursts both ways; this thread is all workers
 */

#include "dataplane/io/io_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "tests/lib/tap.h"
#include "tests/unit/dataplane/io/private_net.h"

#define N_WORKERS 2
#define PATIENCE  (5 * NS_PER_S)

/* ---- plain sockets ---- */

static struct sockaddr_storage
to_address(const char *text, uint16_t port, socklen_t *ret_len)
{
	struct sockaddr_storage ss = {};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ss;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*ret_len = sizeof(*v4);
	} else {
		inet_pton(AF_INET6, text, &v6->sin6_addr);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*ret_len = sizeof(*v6);
	}
	return ss;
}

static int
plain_socket(const char *to, uint16_t port)
{
	socklen_t len;
	struct sockaddr_storage ss = to_address(to, port, &len);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len) < 0)
		abort();
	return fd;
}

static void
send_bytes(int fd, const void *bytes, size_t len, uint16_t segment)
{
	(void)setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){ segment }, sizeof(int));
	if (send(fd, bytes, len, 0) < 0)
		abort();
}

// Datagrams that wait in a socket, read away; merged ones count as one.
static int
count_waiting(int fd)
{
	uint8_t buf[65536];
	int n = 0;

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

/* ---- opening ---- */

static void
ports_are_exclusive(void)
{
	struct io_socket_fds a, b;
	int fd, err;

	tap_int(io_socket_open(0, 0, &a), 0, "open a port that the kernel chooses");
	tap_ok(a.port != 0, "the port is known");
	tap_ok(a.data_v4 >= 0 && a.control_v4 >= 0, "IPv4 is open");
	tap_ok(a.rx_buffer_bytes >= 200000, "receive buffer of %u bytes", a.rx_buffer_bytes);
	tap_int(a.mark_err, 0, "no mark, no refusal");
	err = io_socket_open(a.port, 0, &b);
	tap_int(err, -EADDRINUSE, "another gateway of the same user does not join the port");
	io_socket_close(&a);
	tap_int(a.data_v4, -1, "closed");
	tap_int(io_socket_open(a.port, 0x80000, &b), 0, "free again");
	tap_int(b.port, a.port, "the port that was asked for");
	tap_ok(b.mark_err == 0 || b.mark_err == -EPERM, "a mark is set, or its refusal said");
	io_socket_close(&b);

	// Taken in one family only.
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(a.port) };

		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int));
		if (bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0) {
			tap_int(io_socket_open(a.port, 0, &b), -EADDRINUSE,
				"a port that is taken in IPv6 only");
			close(fd);
			tap_int(io_socket_open(a.port, 0, &b), 0, "IPv4 was let go");
			io_socket_close(&b);
		}
	}
}

/* ---- who gets what ---- */

static const struct {
	const char *what;
	uint8_t head[4];
	uint32_t len;
	uint16_t segment; // cut by the sender's kernel, and delivered merged
	bool to_control;
} split_rows[] = {
	{ "transport data", { 4, 0, 0, 0 }, 32, 0, false },
	{ "long transport data, in fragments", { 4, 0, 0, 0 }, 3000, 0, false },
	{ "an initiation", { 1, 0, 0, 0 }, 148, 0, true },
	{ "a response", { 2, 0, 0, 0 }, 92, 0, true },
	{ "a cookie reply", { 3, 0, 0, 0 }, 64, 0, true },
	{ "a short initiation", { 1, 0, 0, 0 }, 147, 0, false },
	{ "a long initiation", { 1, 0, 0, 0 }, 149, 0, false },
	{ "a long response", { 2, 0, 0, 0 }, 93, 0, false },
	{ "a response as long as an initiation", { 2, 0, 0, 0 }, 148, 0, false },
	{ "a long cookie reply", { 3, 0, 0, 0 }, 65, 0, false },
	{ "an unknown type", { 5, 0, 0, 0 }, 100, 0, true },
	{ "reserved bytes in use", { 4, 0, 0, 1 }, 100, 0, true },
	{ "disco", { 'T', 'S', 0xf0, 0x9f }, 120, 0, true },
	{ "STUN", { 0, 1, 0, 0 }, 40, 0, true },
	{ "four bytes", { 9, 9, 9, 9 }, 4, 0, true },
	{ "three bytes", { 1, 0, 0 }, 3, 0, false },
	{ "nothing", {}, 0, 0, false },
	{ "data merged with data", { 4, 0, 0, 0 }, 3 * 100, 100, false },
	{ "data merged behind an initiation", { 1, 0, 0, 0 }, 3 * 148, 148, false },
	{ "data merged behind a response", { 2, 0, 0, 0 }, 92 + 50, 92, false },
	{ "data merged behind a cookie reply", { 3, 0, 0, 0 }, 64 + 64, 64, false },
	{ "two initiations merged", { 1, 0, 0, 0 }, 2 * 148, 148, false },
};

static void
split_one(const char *to, uint16_t port, int data, int control, size_t row)
{
	uint8_t bytes[3072] = {};
	int n_data = 0, n_control = 0;

	memcpy(bytes, split_rows[row].head, 4);
	if (split_rows[row].segment > 0)
		bytes[split_rows[row].segment] = row % 2 ? 4 : bytes[0];
	// The kernel would choose a member by source: so from several.
	for (int i = 0; i < 12; i++) {
		int fd = plain_socket(to, port);

		send_bytes(fd, bytes, split_rows[row].len, split_rows[row].segment);
		close(fd);
		n_data += count_waiting(data);
		n_control += count_waiting(control);
	}
	tap_ok(n_data == (split_rows[row].to_control ? 0 : 12) &&
			n_control == (split_rows[row].to_control ? 12 : 0),
		"%s: %s, to %s (data %d, control %d)", to, split_rows[row].what,
		split_rows[row].to_control ? "control" : "data", n_data, n_control);
}

static void
messages_are_split(void)
{
	struct io_socket_fds fds;

	if (io_socket_open(0, 0, &fds) < 0)
		abort();
	for (size_t i = 0; i < sizeof(split_rows) / sizeof(split_rows[0]); i++) {
		split_one("127.0.0.1", fds.port, fds.data_v4, fds.control_v4, i);
		if (fds.data_v6 >= 0)
			split_one("::1", fds.port, fds.data_v6, fds.control_v6, i);
	}
	io_socket_close(&fds);
}

/* ---- ports ---- */

struct side {
	struct io_socket_fds fds;
	void *memory;
	struct pool *pool;
	struct pool_cache cache;
	struct port *port;
	struct io_thread *thread;
	struct port_counters counters;
	_Atomic uint64_t quiescent;
	struct doorbell bells[N_WORKERS];
	pthread_t id;
};

static void *
run_thread(void *arg)
{
	struct io_thread *thread = arg;

	thread->run(thread);
	return NULL;
}

static void
side_start(struct side *s, uint32_t n_frames, uint32_t frame_len)
{
	struct io_socket_config config;

	memset(s, 0, sizeof(*s));
	s->memory = aligned_alloc(4096, (size_t)n_frames * frame_len);
	if (io_socket_open(0, 0, &s->fds) < 0 ||
		pool_create(s->memory, (size_t)n_frames * frame_len, frame_len, &s->pool) < 0)
		abort();
	pool_cache_init(&s->cache, s->pool);
	config = (struct io_socket_config){
		.fds = s->fds,
		.pool = s->pool,
		.n_workers = N_WORKERS,
		.port_index = 3,
		.hash_seed = 12345,
		.counters = &s->counters,
		.quiescent = &s->quiescent,
	};
	if (io_socket_create(&config, &s->port, &s->thread) < 0)
		abort();
	for (unsigned q = 0; q < N_WORKERS; q++) {
		s->bells[q].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		io_socket_attach_worker(s->port, q, &s->bells[q]);
	}
	pthread_create(&s->id, NULL, run_thread, s->thread);
}

static void
side_stop(struct side *s, const char *what)
{
	atomic_store(&s->thread->stop, true);
	doorbell_ring(&s->thread->bell);
	pthread_join(s->id, NULL);
	io_socket_destroy(s->port);
	pool_cache_fini(&s->cache);
	tap_ok(pool_free_count(s->pool) == pool_frame_count(s->pool), "%s: no frame is lost", what);
	pool_destroy(s->pool);
	free(s->memory);
	for (unsigned q = 0; q < N_WORKERS; q++)
		close(s->bells[q].fd);
	io_socket_close(&s->fds);
}

static struct pkt_outer
outer_to(const char *remote, uint16_t port, const char *local)
{
	struct pkt_outer outer = { .remote_port = port, .family = 4 };

	if (inet_pton(AF_INET, remote, outer.remote) != 1) {
		outer.family = 6;
		inet_pton(AF_INET6, remote, outer.remote);
	}
	if (local != NULL)
		inet_pton(outer.family == 4 ? AF_INET : AF_INET6, local, outer.local);
	return outer;
}

static struct pkt *
numbered(struct side *s, uint64_t number, uint32_t len, const struct pkt_outer *outer)
{
	struct pkt *p;

	if (pool_get(&s->cache, &p, 1) != 1)
		return NULL;
	memset(p->data, 0, len);
	p->data[0] = 4; // and [4] is the ECN that is sent
	store_be64(p->data + 8, number);
	p->len = len;
	p->outer = outer;
	return p;
}

// Give packets to a queue, waiting for room.
static void
send_all(struct side *s, unsigned queue, struct pkt **pkts, uint32_t n)
{
	uint32_t done = 0;

	while (done < n) {
		done += s->port->ops->tx(s->port, queue, pkts + done, n - done);
		s->port->ops->flush(s->port, queue);
	}
}

// Up to max packets of any queue, waiting for the first.  They are to be given back.
static uint32_t
receive(struct side *s, struct pkt **pkts, uint32_t max)
{
	static int64_t patience = PATIENCE;
	struct mono until = mono_add_ns(mono_now(), patience);
	const struct timespec pause = { .tv_nsec = 20000 };

	do {
		for (unsigned q = 0; q < N_WORKERS; q++) {
			uint32_t n = s->port->ops->rx(s->port, q, pkts, max);

			if (n > 0)
				return n;
		}
		nanosleep(&pause, NULL);
	} while (mono_diff_ns(until, mono_now()) > 0);
	patience = 2 * NS_PER_MS; // it has failed: be quick with the rest
	return 0;
}

// Receive n packets and give them back; how many were not the next number.
static uint32_t
receive_in_order(struct side *s, uint64_t *next, uint32_t n)
{
	uint32_t wrong = 0, got;
	struct pkt *pkts[64];

	while (n > 0) {
		got = receive(s, pkts, n < 64 ? n : 64);
		if (got == 0)
			return wrong + n;
		for (uint32_t i = 0; i < got; i++)
			wrong += load_be64(pkts[i]->data + 8) != (*next)++ ||
			         pkts[i]->data[4] != pkts[i]->outer_ecn;
		pool_put(&s->cache, pkts, got);
		n -= got;
	}
	return wrong;
}

/* ---- what is carried ---- */

static void
addresses_and_ecn_are_carried(struct side *a, struct side *b, const char *remote, const char *local)
{
	struct pkt_outer outer = outer_to(remote, b->fds.port, local);
	struct pkt *p, *q;

	for (uint8_t ecn = 0; ecn < 4; ecn++) {
		p = numbered(a, 7, 48, &outer);
		p->outer_ecn = ecn;
		send_all(a, 1, &p, 1);
		if (receive(b, &q, 1) != 1) {
			tap_ok(false, "%s: nothing came", remote);
			return;
		}
		tap_ok(q->outer_ecn == ecn, "%s: ECN %u is carried", remote, ecn);
		tap_ok(q->len == 48 && load_be64(q->data + 8) == 7, "bytes are carried");
		tap_ok(q->kind == PKT_WIRE && q->port == 3, "kind and port are set");
		tap_ok(q->outer == &q->rx_outer && q->rx_outer.family == outer.family &&
				q->rx_outer.remote_port == a->fds.port,
			"family and port of the sender");
		tap_bytes(q->rx_outer.local, outer.remote, 16, "the address that was written to");
		tap_bytes(q->rx_outer.remote, outer.local, 16, "the address that it was sent from");
		tap_int(q->rx_outer.ifindex, 0, "no interface without need");
		pool_put(&b->cache, &q, 1);
	}
}

// Many packets, of all lengths, over both queues' rings, with a bounded number on the way.
static void
order_is_kept(struct side *a, struct side *b, const char *remote, uint32_t total)
{
	struct pkt_outer outer = outer_to(remote, b->fds.port, NULL);
	uint64_t next = 0;
	uint32_t wrong = 0, sent = 0;
	struct pkt *pkts[64];

	srandom(3);
	while (sent < total) {
		uint32_t n = 1 + (uint32_t)random() % 64;
		uint32_t usual = 16 + (uint32_t)random() % 1400;

		for (uint32_t i = 0; i < n; i++) {
			uint32_t len = random() % 8 ? usual : 16 + (uint32_t)random() % 1400;

			pkts[i] = numbered(a, sent + i, len, &outer);
			pkts[i]->outer_ecn = random() % 20 == 0 ? 2 : 0;
			pkts[i]->data[4] = pkts[i]->outer_ecn;
		}
		send_all(a, 0, pkts, n);
		sent += n;
		wrong += receive_in_order(b, &next, n);
	}
	tap_int(wrong, 0, "packets arrive, in the order in which they were sent");
}

static double
per(uint64_t a, uint64_t b)
{
	return b == 0 ? 0 : (double)a / (double)b;
}

static void
bursts_are_merged(struct side *a, struct side *b)
{
	struct pkt_outer outer[3] = { outer_to("127.0.0.1", b->fds.port, NULL),
		outer_to("127.0.0.2", b->fds.port, NULL),
		outer_to("127.0.0.3", b->fds.port, NULL) };
	uint64_t tx_calls = a->counters.tx_calls, rx_calls = b->counters.rx_calls;
	uint64_t next[4] = {};
	struct pkt *pkts[192];
	uint32_t n = 0, got, wrong = 0;

	// Three peers, interleaved.
	for (int round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < 192; i++)
			pkts[i] = numbered(a, (uint64_t)round * 64 + i / 3, 1200, &outer[i % 3]);
		send_all(a, 0, pkts, 192);
		for (n = 0; n < 192; n += got) {
			got = receive(b, pkts, 192);
			if (got == 0)
				break;
			for (uint32_t i = 0; i < got; i++)
				wrong += load_be64(pkts[i]->data + 8) !=
				         next[pkts[i]->rx_outer.local[3] & 3]++;
			pool_put(&b->cache, pkts, got);
		}
		wrong += 192 - n;
	}
	tap_int(wrong, 0, "three interleaved peers: all there, in order for each");
	tap_ok(per(19200, a->counters.tx_calls - tx_calls) >= 40 &&
			per(19200, b->counters.rx_calls - rx_calls) >= 40,
		"%.0f packets per system call sent, %.0f received",
		per(19200, a->counters.tx_calls - tx_calls),
		per(19200, b->counters.rx_calls - rx_calls));
}

/* ---- troubles ---- */

static void
sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * NS_PER_MS }, NULL);
}

static void
an_idle_thread_sleeps(struct side *s)
{
	uint64_t before;

	sleep_ms(20);
	before = atomic_load(&s->quiescent);
	tap_ok(before % 2 == 1, "an idle thread is quiescent");
	sleep_ms(20);
	tap_int(atomic_load(&s->quiescent) - before, 0, "and does not wake");
}

// Errors that ICMP queues for one peer cost no other peer's packet.
static void
queued_errors_lose_nothing(struct side *a, struct side *b, const char *remote)
{
	struct pkt_outer good = outer_to(remote, b->fds.port, NULL);
	struct pkt_outer bad = outer_to(remote, 9, NULL); // nobody there
	uint64_t next = 0;
	uint32_t wrong = 0;

	for (uint64_t i = 0; i < 300; i++) {
		struct pkt *pkts[2] = { numbered(a, i, 100, &bad), numbered(a, i, 100, &good) };

		send_all(a, 0, pkts, 2);
		wrong += receive_in_order(b, &next, 1);
	}
	tap_ok(wrong == 0, "%s: between 300 refusals by ICMP, 300 packets arrive", remote);
	an_idle_thread_sleeps(a); // the queue of errors is no reason to wake
}

static void
a_lost_address_is_left_out(struct side *a, struct side *b, const char *remote, const char *local)
{
	struct pkt_outer outer = outer_to(remote, b->fds.port, local);
	struct pkt *pkts[20];
	uint64_t next = 0;

	for (uint32_t i = 0; i < 20; i++)
		pkts[i] = numbered(a, i, 500, &outer);
	send_all(a, 0, pkts, 20);
	tap_ok(receive_in_order(b, &next, 20) == 0,
		"%s: what should leave from an address that is not ours leaves from another",
		remote);
}

// Longer than the path: the kernel cannot cut into segments, but into fragments.
static void
long_packets_are_fragmented(struct side *a, struct side *b, const char *remote)
{
	struct pkt_outer outer = outer_to(remote, b->fds.port, NULL);
	uint64_t next = 0, dropped = a->counters.tx_dropped;
	uint32_t wrong = 0;
	struct pkt *pkts[10];

	for (uint32_t round = 0; round < 5; round++) {
		for (uint32_t i = 0; i < 10; i++)
			pkts[i] = numbered(a, round * 10 + i, 3000, &outer);
		send_all(a, 0, pkts, 10);
		wrong += receive_in_order(b, &next, 10);
	}
	tap_ok(wrong == 0, "%s: 3,000 bytes pass an MTU of 1,500", remote);
	tap_int(a->counters.tx_dropped - dropped, 0, "nothing is refused");
}

static void
what_cannot_be_sent_is_counted(struct side *a)
{
	struct pkt_outer none = {};
	struct pkt_outer nowhere = outer_to("203.0.113.1", 1, NULL); // no route
	struct mono until = mono_add_ns(mono_now(), PATIENCE);
	uint64_t dropped = a->counters.tx_dropped;
	struct pkt *pkts[2] = { numbered(a, 0, 100, &none), numbered(a, 0, 100, &nowhere) };

	send_all(a, 0, pkts, 2);
	while (a->counters.tx_dropped - dropped < 2 && mono_diff_ns(until, mono_now()) > 0)
		;
	tap_int(a->counters.tx_dropped - dropped, 2, "without address or route: dropped, counted");
}

static void
too_long_is_counted(struct side *a, struct side *b)
{
	struct pkt_outer outer = outer_to("127.0.0.1", b->fds.port, NULL);
	uint8_t bytes[6000] = { 4 };
	uint64_t next = 5;
	int fd = plain_socket("127.0.0.1", b->fds.port);
	struct pkt *p = numbered(a, 5, 100, &outer);

	send_bytes(fd, bytes, sizeof(bytes), 0);
	send_bytes(fd, bytes, 0, 0);
	close(fd);
	send_all(a, 0, &p, 1);
	tap_int(receive_in_order(b, &next, 1), 0, "what follows a too long datagram arrives");
	tap_int(b->counters.too_long, 1, "the long one is counted");
	tap_int(b->counters.malformed, 1, "so is an empty one");
}

// Nobody reads: first the ring is full, or the pool empty, then the kernel keeps the rest.
static void
nothing_is_lost_by_waiting(struct side *a,
	struct side *b,
	uint32_t total,
	const uint64_t *counter,
	const char *what)
{
	struct pkt_outer outer = outer_to("127.0.0.1", b->fds.port, NULL);
	uint64_t before = *counter, next = 0;
	struct pkt *pkts[64];

	for (uint32_t sent = 0; sent < total; sent += 64) {
		for (uint32_t i = 0; i < 64; i++)
			pkts[i] = numbered(a, sent + i, 100, &outer);
		send_all(a, 0, pkts, 64);
	}
	sleep_ms(50);
	tap_ok(*counter > before, "%s: is counted", what);
	tap_ok(*counter - before < 1000, "%s: the thread does not spin", what);
	tap_ok(receive_in_order(b, &next, total) == 0, "%s: nothing is lost, in order", what);
	tap_int(b->counters.rx_dropped, 0, "the kernel had room");
}

// A worker that sleeps is woken by its bell.
static void
workers_are_woken(struct side *a, struct side *b)
{
	struct pkt_outer outer = outer_to("127.0.0.1", b->fds.port, NULL);
	struct pkt *p = numbered(a, 0, 100, &outer);
	struct pollfd fds[N_WORKERS] = {};
	uint64_t next = 0;

	for (unsigned q = 0; q < N_WORKERS; q++) {
		doorbell_announce(&b->bells[q]);
		fds[q] = (struct pollfd){ .fd = b->bells[q].fd, .events = POLLIN };
	}
	send_all(a, 0, &p, 1);
	tap_int(poll(fds, N_WORKERS, 5000), 1, "one worker is woken");
	tap_int(receive_in_order(b, &next, 1), 0, "and finds its packet");
	for (unsigned q = 0; q < N_WORKERS; q++)
		doorbell_clear(&b->bells[q]);
}

int
main(void)
{
	bool is_private = private_net_enter(1500);
	struct side a, b, small;

	ports_are_exclusive();
	if (!is_private)
		tap_skip("fragments", "no namespaces here: the loopback keeps its MTU");
	messages_are_split();

	side_start(&a, 4096, 4096);
	side_start(&b, 4096, 4096);
	addresses_and_ecn_are_carried(&a, &b, "127.0.0.5", "127.0.0.6");
	if (a.fds.data_v6 >= 0)
		addresses_and_ecn_are_carried(&a, &b, "::1", "::1");
	order_is_kept(&a, &b, "127.0.0.1", 100000);
	if (a.fds.data_v6 >= 0)
		order_is_kept(&a, &b, "::1", 10000);
	bursts_are_merged(&a, &b);
	queued_errors_lose_nothing(&a, &b, "127.0.0.1");
	a_lost_address_is_left_out(&a, &b, "127.0.0.1", "192.0.2.77");
	long_packets_are_fragmented(&a, &b, "127.0.0.1");
	if (a.fds.data_v6 >= 0) {
		queued_errors_lose_nothing(&a, &b, "::1");
		a_lost_address_is_left_out(&a, &b, "::1", "2001:db8::77");
		long_packets_are_fragmented(&a, &b, "::1");
	}
	if (is_private)
		what_cannot_be_sent_is_counted(&a);
	too_long_is_counted(&a, &b);
	nothing_is_lost_by_waiting(&a, &b, 3008, &b.counters.ring_full, "a full ring");
	an_idle_thread_sleeps(&b);
	workers_are_woken(&a, &b);
	an_idle_thread_sleeps(&b);

	side_start(&small, 256, 2048);
	nothing_is_lost_by_waiting(&a, &small, 640, &small.counters.no_buffer, "an empty pool");
	side_stop(&small, "the small side");
	side_stop(&a, "A");
	side_stop(&b, "B");
	return tap_done();
}
