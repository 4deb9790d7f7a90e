/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The host port, judged by the kernel's own TCP and UDP in a namespace of its own:
 *
 *     client 10.99.0.1 ──► TUN ──► this thread as worker: swaps source and destination
 *     server 10.99.0.1 ◄── TUN ◄──  (so that both ends are on this machine)
 */

#include "dataplane/io/io_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/net/checksum.h"
#include "tests/lib/tap.h"
#include "tests/unit/dataplane/io/private_net.h"

#define N_WORKERS 2
#define MTU       1420
#define FRAMES    8192u
#define TO_SEND   (24u * 1024 * 1024)

static struct io_host_fd tun;
static struct pool *pool;
static struct pool_cache cache;
static struct port *port;
static struct io_thread *thread;
static struct port_counters counters;
static struct doorbell bells[N_WORKERS];
static _Atomic uint64_t quiescent;
static _Atomic bool reflector_stops;
static _Atomic uint64_t bad_checksums, too_long, reflected;

/* ---- the worker ---- */

static void
swap_addresses(struct pkt *pkt)
{
	uint8_t kept[16], *a = pkt->data + (pkt->data[0] >> 4 == 4 ? 12 : 8);
	size_t len = pkt->data[0] >> 4 == 4 ? 4 : 16;

	memcpy(kept, a, len);
	memcpy(a, a + len, len);
	memcpy(a + len, kept, len); // sums stay what they are
}

static void
judge(const struct pkt *pkt)
{
	struct ip_view v;
	uint64_t sum;

	if (!ip_parse(pkt->data, pkt->len, &v) ||
		(v.protocol != IP_PROTOCOL_TCP && v.protocol != IP_PROTOCOL_UDP))
		return; // the kernel's own multicast groups
	sum = checksum_add_pseudo(
		0, v.family, v.src, v.dst, v.protocol, v.total_len - v.header_len);
	sum = checksum_add(sum, pkt->data + v.header_len, v.total_len - v.header_len);
	if (checksum_fold(sum) != 0xffff)
		bad_checksums++;
	if (pkt->len > MTU)
		too_long++;
}

static void *
reflect(void *arg)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	struct pkt *pkts[64];

	(void)arg;
	while (!reflector_stops) {
		bool is_idle = true;

		for (unsigned q = 0; q < N_WORKERS; q++) {
			uint32_t n = port->ops->rx(port, q, pkts, 64), sent;

			for (uint32_t i = 0; i < n; i++) {
				judge(pkts[i]);
				swap_addresses(pkts[i]);
			}
			sent = port->ops->tx(port, q, pkts, n);
			pool_put(&cache, pkts + sent, n - sent);
			port->ops->flush(port, q);
			reflected += sent;
			is_idle = is_idle && n == 0;
		}
		if (is_idle)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ---- the machine ---- */

struct six_request { // struct in6_ifreq of linux/ipv6.h, which does not go with netinet/in.h
	struct in6_addr addr;
	uint32_t prefix_len;
	int ifindex;
};

static bool
set_addresses(void)
{
	struct six_request six = { .prefix_len = 64, .ifindex = (int)tun.ifindex };
	struct sockaddr_in *sin;
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);
	bool good;

	memcpy(ifr.ifr_name, tun.name, IFNAMSIZ);
	sin = (struct sockaddr_in *)&ifr.ifr_addr;
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = inet_addr("10.99.0.1");
	good = ioctl(fd, SIOCSIFADDR, &ifr) == 0;
	sin->sin_addr.s_addr = inet_addr("255.255.255.0");
	good = good && ioctl(fd, SIOCSIFNETMASK, &ifr) == 0;
	good = good && private_net_up(tun.name, MTU);
	inet_pton(AF_INET6, "fd99::1", &six.addr);
	if (fd6 >= 0)
		(void)ioctl(fd6, SIOCSIFADDR, &six);
	close(fd);
	close(fd6);
	return good;
}

static struct sockaddr_in6
address_of(int family, const char *text, uint16_t number)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(number) };
	struct sockaddr_in *four = (struct sockaddr_in *)&six;

	if (family == AF_INET6) {
		inet_pton(AF_INET6, text, &six.sin6_addr);
		return six;
	}
	four->sin_family = AF_INET;
	inet_pton(AF_INET, text, &four->sin_addr);
	return six;
}

/* ---- TCP ---- */

struct transfer {
	int listener;
	uint32_t received;
	uint32_t wrong;
};

static uint8_t
byte_at(uint32_t i)
{
	return (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

static void *
serve(void *arg)
{
	struct transfer *t = arg;
	static uint8_t buf[1 << 18];
	int fd = accept(t->listener, NULL, NULL);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			t->wrong += buf[i] != byte_at(t->received + (uint32_t)i);
		t->received += (uint32_t)n;
	}
	close(fd);
	return NULL;
}

static void
send_stream(int fd)
{
	static uint8_t buf[1 << 17];
	uint32_t sent = 0;

	while (sent < TO_SEND) {
		for (uint32_t i = 0; i < sizeof(buf); i++)
			buf[i] = byte_at(sent + i);
		for (size_t done = 0; done < sizeof(buf);) {
			ssize_t n = write(fd, buf + done, sizeof(buf) - done);

			if (n <= 0)
				return;
			done += (size_t)n;
		}
		sent += sizeof(buf);
	}
}

static void
tcp_passes(int family, const char *here, const char *there)
{
	struct sockaddr_in6 to, own = address_of(family, here, 0);
	struct transfer t = { .listener = socket(family, SOCK_STREAM, 0) };
	struct timeval limit = { .tv_sec = 20 };
	socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(own);
	struct port_counters before = counters;
	int fd = socket(family, SOCK_STREAM, 0);
	pthread_t server;

	if (bind(t.listener, (struct sockaddr *)&own, len) < 0 || listen(t.listener, 1) < 0 ||
		getsockname(t.listener, (struct sockaddr *)&own, &len) < 0) {
		tap_skip(here, "no such family here");
		return;
	}
	to = address_of(family, there, ntohs(own.sin6_port));
	to.sin6_port = own.sin6_port;
	pthread_create(&server, NULL, serve, &t);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!tap_ok(connect(fd, (struct sockaddr *)&to, len) == 0, "%s: connected", there)) {
		shutdown(t.listener, SHUT_RDWR);
	} else {
		send_stream(fd);
	}
	close(fd);
	pthread_join(server, NULL);
	close(t.listener);
	tap_int(t.received, TO_SEND, "all bytes arrive");
	tap_int(t.wrong, 0, "and are right");
	tap_int(bad_checksums, 0, "every packet that a worker saw had a right checksum");
	tap_int(too_long, 0, "and was no longer than the MTU");
	tap_ok((counters.rx_packets - before.rx_packets) >
			4 * (counters.rx_calls - before.rx_calls),
		"%llu packets in %llu reads",
		(unsigned long long)(counters.rx_packets - before.rx_packets),
		(unsigned long long)(counters.rx_calls - before.rx_calls));
	tap_ok((counters.tx_packets - before.tx_packets) >
			4 * (counters.tx_calls - before.tx_calls),
		"%llu packets in %llu writes",
		(unsigned long long)(counters.tx_packets - before.tx_packets),
		(unsigned long long)(counters.tx_calls - before.tx_calls));
}

/* ---- UDP ---- */

// Datagrams that the sender's kernel does not cut, and that we merge, arrive as they were sent.
static void
udp_passes(void)
{
	struct sockaddr_in6 here = address_of(AF_INET, "10.99.0.1", 0), there;
	struct timeval limit = { .tv_sec = 5 };
	uint8_t buf[8 * 1000] = {}, got[9000];
	socklen_t len = sizeof(struct sockaddr_in);
	int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
	uint32_t next = 0, wrong = 0;

	bind(in, (struct sockaddr *)&here, len);
	getsockname(in, (struct sockaddr *)&here, &len);
	there = address_of(AF_INET, "10.99.0.2", 0);
	there.sin6_port = here.sin6_port;
	setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(out, IPPROTO_UDP, UDP_SEGMENT, &(int){ 1000 }, sizeof(int));
	for (uint32_t i = 0; i < 50; i++) {
		for (uint32_t k = 0; k < 8; k++)
			store_be32(buf + k * 1000, i * 8 + k);
		sendto(out, buf, 7 * 1000 + 500, 0, (struct sockaddr *)&there, len);
		for (uint32_t k = 0; k < 8; k++) {
			ssize_t n = recv(in, got, sizeof(got), 0);

			wrong += n != (k < 7 ? 1000 : 500) || load_be32(got) != next;
			next++;
			if (n < 0)
				i = 50;
		}
	}
	tap_int(wrong, 0, "datagrams arrive one by one, in order, as they were sent");
	tap_int(bad_checksums, 0, "with right checksums");
	close(in);
	close(out);
}

/* ---- opening ---- */

static void
opening(void)
{
	struct io_host_fd other;

	tap_int(io_host_open("", false, &other), -EINVAL, "a name has characters");
	tap_int(io_host_open("sluice-test-long", false, &other), -EINVAL, "15 at most");
	tap_int(io_host_open("slt%d", false, &other), -EINVAL, "and no pattern");
	tap_int(io_host_open("lo", false, &other), -EINVAL, "an interface of another kind");

	tap_int(io_host_open("slt1", true, &other), 0, "a persistent one is made");
	io_host_close(&other, false);
	tap_ok(if_nametoindex("slt1") != 0, "it stays");
	tap_int(io_host_open("slt1", true, &other), 0, "and is opened again");
	io_host_close(&other, true);
	tap_ok(if_nametoindex("slt1") == 0, "until it is removed");
}

static void *
let_go(void *arg)
{
	nanosleep(&(struct timespec){ .tv_nsec = 300 * NS_PER_MS }, NULL);
	io_host_close(arg, false);
	return NULL;
}

static void
a_dying_owner_is_waited_for(void)
{
	struct io_host_fd first, second;
	pthread_t id;

	if (io_host_open("slt2", true, &first) < 0)
		abort();
	pthread_create(&id, NULL, let_go, &first);
	tap_int(io_host_open("slt2", false, &second), 0, "opened once the other let go");
	pthread_join(id, NULL);
	io_host_close(&second, false);
	tap_ok(if_nametoindex("slt2") == 0, "no longer persistent");
	if (io_host_open("slt2", false, &first) < 0)
		abort();
	tap_int(io_host_open("slt2", false, &second), -EBUSY, "who stays is not waited for longer");
	io_host_close(&first, false);
}

static void *
run_thread(void *arg)
{
	thread->run(arg);
	return NULL;
}

static void
writes_to_a_dead_interface(void)
{
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct mono until = mono_add_ns(mono_now(), 2 * NS_PER_S);
	uint64_t before = counters.tx_dropped, wakes;
	struct pkt *pkt;

	memcpy(ifr.ifr_name, tun.name, IFNAMSIZ);
	ioctl(fd, SIOCSIFFLAGS, &ifr); // down
	close(fd);
	pool_get(&cache, &pkt, 1);
	memcpy(pkt->data, (uint8_t[20]){ 0x45, [3] = 20, [8] = 64, [9] = 99 }, 20);
	pkt->len = 20;
	port->ops->tx(port, 0, &pkt, 1);
	port->ops->flush(port, 0);
	while (counters.tx_dropped == before && mono_diff_ns(until, mono_now()) > 0)
		sched_yield();
	tap_int(counters.tx_dropped - before, 1, "a write to an interface that is down is counted");
	nanosleep(&(struct timespec){ .tv_nsec = 20 * NS_PER_MS }, NULL);
	wakes = quiescent;
	nanosleep(&(struct timespec){ .tv_nsec = 20 * NS_PER_MS }, NULL);
	tap_ok(quiescent == wakes && wakes % 2 == 1, "the thread sleeps meanwhile");
}

int
main(void)
{
	void *memory = aligned_alloc(4096, (size_t)FRAMES * 2048);
	struct io_host_config config;
	pthread_t reflector, host;

	if (!private_net_enter(65536) || io_host_open("slt0", false, &tun) < 0) {
		tap_skip("host port", "no namespaces or no /dev/net/tun here");
		return tap_done();
	}
	opening();
	a_dying_owner_is_waited_for();
	tap_ok(tun.has_tso, "the kernel gives super-packets (UDP: %s)", tun.has_uso ? "yes" : "no");
	tap_text(tun.name, "slt0", "the name");
	if (!set_addresses() || pool_create(memory, (size_t)FRAMES * 2048, 2048, &pool) < 0)
		abort();
	pool_cache_init(&cache, pool);
	config = (struct io_host_config){
		.host = tun,
		.pool = pool,
		.n_workers = N_WORKERS,
		.hash_seed = 99,
		.counters = &counters,
		.quiescent = &quiescent,
	};
	if (io_host_create(&config, &port, &thread) < 0)
		abort();
	for (unsigned q = 0; q < N_WORKERS; q++) {
		bells[q].fd = eventfd(0, EFD_NONBLOCK);
		io_host_attach_worker(port, q, &bells[q]);
	}
	tap_text(port->name, "slt0", "the port has the interface's name");
	pthread_create(&host, NULL, run_thread, thread);
	pthread_create(&reflector, NULL, reflect, NULL);

	tcp_passes(AF_INET, "10.99.0.1", "10.99.0.2");
	tcp_passes(AF_INET6, "fd99::1", "fd99::2");
	udp_passes();

	reflector_stops = true;
	pthread_join(reflector, NULL);
	writes_to_a_dead_interface();
	atomic_store(&thread->stop, true);
	doorbell_ring(&thread->bell);
	pthread_join(host, NULL);
	io_host_destroy(port);
	pool_cache_fini(&cache);
	tap_int(pool_free_count(pool), FRAMES, "no frame is lost");
	pool_destroy(pool);
	io_host_close(&tun, false);
	free(memory);
	return tap_done();
}
