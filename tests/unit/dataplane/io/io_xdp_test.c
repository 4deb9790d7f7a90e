/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Link ports over AF_XDP, on a veth pair: every frame arrives as it was, every buffer comes back,
 * and each trap of a device is an error with a name or a counter.
 */

#include "dataplane/io/io_xdp.h"

#include <linux/capability.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "dataplane/io/xdp_ring.h"
#include "tests/lib/tap.h"
#include "tests/unit/dataplane/io/veth_net.h"

#define N_FRAMES  8192u
#define FRAME_LEN 2112u
#define PORT      3u

// A port, what lies below it, and the world outside.
struct world {
	struct xdp_fds fds;
	struct port_counters counters;
	struct port *port;
	unsigned n_workers;
	int far;
	char why[XDP_WHY_LEN];
};

static void *memory;
static size_t memory_len;
static struct frame_ledger *ledger;
static struct pool *pool;

static void
nap(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	nanosleep(&pause, NULL);
}

static struct xdp_open_config
open_config(void)
{
	return (struct xdp_open_config){
		.name = VETH_NEAR,
		.ifindex = if_nametoindex(VETH_NEAR),
		.packets = memory,
		.packets_len = memory_len,
		.frame_len = FRAME_LEN,
		.attach = veth_attach,
	};
}

static void
make_memory(void)
{
	memory_len = ((size_t)N_FRAMES * FRAME_LEN + 4095) / 4096 * 4096;
	memory = mmap(NULL, memory_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ledger = calloc(1, frame_ledger_size(N_FRAMES));
	if (memory == MAP_FAILED || ledger == NULL ||
		pool_create_from_ledger(memory, memory_len, FRAME_LEN, ledger, &pool) < 0)
		abort();
}

static bool
world_open(struct world *w, unsigned n_workers, bool generic)
{
	struct xdp_open_config config = open_config();
	int err;

	*w = (struct world){ .n_workers = n_workers, .far = -1 };
	config.generic_is_fine = generic;
	// What had the device a moment ago may still be leaving.
	for (unsigned i = 0; i < 5000; i++) {
		err = xdp_open(&config, &w->fds, w->why);
		if (err != -EBUSY)
			break;
		nap();
	}
	if (err < 0) {
		printf("# xdp_open: %d %s\n", err, w->why);
		return false;
	}
	err = io_xdp_create(
		&(struct io_xdp_config){
			.fds = &w->fds,
			.pool = pool,
			.ledger = ledger,
			.n_workers = n_workers,
			.port_index = PORT,
			.counters = &w->counters,
		},
		&w->port);
	w->far = veth_far_socket();
	return err == 0 && w->far >= 0;
}

// Frames that the pool can give, with everything at rest.
static uint32_t
count_ours(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < pool_frame_count(pool); i++)
		n += ledger->holder[i] == FRAME_OURS;
	return n;
}

static void
world_close(struct world *w, const char *what)
{
	struct pool_cache cache;

	pool_cache_init(&cache, pool);
	io_xdp_destroy(w->port);
	xdp_close(&w->fds);
	frame_ledger_reclaim(ledger, &cache, PORT);
	pool_cache_fini(&cache);
	close(w->far);
	tap_int(count_ours(), pool_frame_count(pool), what);
}

static bool
far_send(const struct world *w, uint32_t len, uint64_t number)
{
	uint8_t frame[4096];

	veth_frame(frame, len, number);
	for (unsigned i = 0; i < 5000; i++) {
		if (send(w->far, frame, len, 0) == (ssize_t)len)
			return true;
		nap(); // the device's queue is full
	}
	return false;
}

// Number of the next frame that arrives at the far side; UINT64_MAX: none, in a long time.
static uint64_t
far_receive(const struct world *w)
{
	struct pollfd p = { .fd = w->far, .events = POLLIN };
	uint8_t frame[4096];

	for (;;) {
		uint64_t number;
		ssize_t len;

		if (poll(&p, 1, 5000) <= 0)
			return UINT64_MAX;
		len = recv(w->far, frame, sizeof(frame), 0);
		number = len < 0 ? UINT64_MAX : veth_number(frame, (size_t)len);
		if (number != UINT64_MAX)
			return number;
	}
}

// A round of a worker that sends what it receives.  How many frames.
static uint32_t
echo(struct world *w, unsigned worker)
{
	struct pkt *pkts[128];
	uint32_t n = w->port->ops->rx(w->port, worker, pkts, 128), sent;
	struct pool_cache cache;

	sent = w->port->ops->tx(w->port, worker, pkts, n);
	pool_cache_init(&cache, pool);
	pool_put(&cache, pkts + sent, n - sent);
	pool_cache_fini(&cache);
	w->port->ops->flush(w->port, worker);
	return n;
}

static uint32_t
echo_all(struct world *w)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < w->n_workers; i++)
		n += echo(w, i);
	return n;
}

// --- tests -------------------------------------------------------------------------------------

static void
test_lengths(void)
{
	static const uint32_t lens[] = { VETH_MIN_LEN, 64, 65, 1000, 1513, 1514 };
	struct world w;
	bool good = true;

	if (!tap_ok(world_open(&w, 1, false), "a device with one queue is opened"))
		return;
	tap_int(w.fds.mode, SHM_PORT_COPY, "veth has native XDP and no zero copy");
	tap_ok(w.fds.note[0] != 0, "and the note says so: %s", w.fds.note);
	tap_int(w.fds.n_queues, 1, "one queue");
	tap_ok(w.port->is_link, "it is a link port");
	tap_text(w.port->name, VETH_NEAR, "named as the interface");

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]) && good; i++) {
		struct pkt *p;
		uint32_t n = 0;

		good = far_send(&w, lens[i], i);
		for (unsigned k = 0; k < 5000 && n == 0; k++) {
			n = w.port->ops->rx(w.port, 0, &p, 1);
			if (n == 0)
				nap();
		}
		good = good && n == 1 && p->len == lens[i] && p->kind == PKT_FRAME &&
		       p->port == PORT && veth_number(p->data, p->len) == i &&
		       pkt_headroom(p) >= PKT_HEADROOM && pkt_tailroom(p) >= PKT_TAILROOM;
		good = good && w.port->ops->tx(w.port, 0, &p, n) == 1;
		w.port->ops->flush(w.port, 0);
		good = good && far_receive(&w) == i;
	}
	tap_ok(good, "frames of all lengths come and go as they were, with room around them");
	world_close(&w, "every frame is ours again");
}

static void
test_many(unsigned n_rx, unsigned n_tx, unsigned n_workers, bool generic)
{
	enum {
		WINDOW = 256,
		N = 20000
	};
	static uint8_t seen[N];
	struct world w;
	uint64_t sent = 0, back = 0;
	bool good = true;

	veth_remove();
	veth_make(n_rx, n_tx, 1500);
	if (!tap_ok(world_open(&w, n_workers, generic),
		    "%u receive and %u transmit queues, %u workers%s", n_rx, n_tx, n_workers,
		    generic ? ", generic is fine" : ""))
		return;
	tap_int(w.fds.n_queues, n_rx, "a socket for each receive queue");
	memset(seen, 0, sizeof(seen));
	while (back < N && good) {
		while (sent < N && sent - back < WINDOW && good)
			good = far_send(&w, 200, sent++);
		for (unsigned i = 0; i < 5000 && echo_all(&w) == 0; i++) {
			struct pollfd p = { .fd = w.far, .events = POLLIN };

			if (poll(&p, 1, 1) > 0)
				break;
		}
		for (struct pollfd p = { .fd = w.far, .events = POLLIN }; poll(&p, 1, 0) > 0;) {
			uint64_t number = far_receive(&w);

			good = good && number < N && seen[number]++ == 0;
			back++;
		}
	}
	tap_ok(good && back == N, "%d frames come back, each once", N);
	io_xdp_statistics(w.port);
	tap_int((long long)w.counters.rx_packets, N, "all came by the rings");
	tap_int((long long)w.counters.tx_packets, N, "and left by them");
	tap_int((long long)(w.counters.malformed + w.counters.rx_dropped), 0, "nothing was lost");
	tap_ok((w.counters.handed_over > 0) == (n_workers > n_tx && n_rx > n_tx),
		"packets are handed over where a worker with packets has no queue to send");
	world_close(&w, "every frame is ours again");
}

// Worker 1 has no queue: what it sends leaves by worker 0, whose bell rings.
static void
test_hand_over(void)
{
	struct doorbell bell = { .fd = eventfd(0, EFD_NONBLOCK) };
	struct pool_cache cache;
	struct pkt *p;
	struct world w;
	uint64_t rung = 0;

	veth_remove();
	veth_make(1, 1, 1500);
	if (!tap_ok(world_open(&w, 2, false), "two workers, one queue"))
		return;
	io_xdp_attach_worker(w.port, 0, &bell);
	doorbell_announce(&bell);
	pool_cache_init(&cache, pool);
	if (pool_get(&cache, &p, 1) != 1)
		abort();
	p->len = 100;
	veth_frame(p->data, p->len, 7);
	tap_int(w.port->ops->rx(w.port, 1, &p, 0), 0, "a worker without a queue receives nothing");
	tap_int(w.port->ops->tx(w.port, 1, &p, 1), 1, "it may send");
	tap_ok(!w.port->ops->is_idle(w.port, 0), "the worker that has the queue has work");
	w.port->ops->flush(w.port, 1);
	tap_ok(read(bell.fd, &rung, sizeof(rung)) == sizeof(rung), "and is woken");
	(void)w.port->ops->rx(w.port, 0, &p, 1);
	tap_int((long long)far_receive(&w), 7, "its next round sends the packet");
	tap_ok(w.port->ops->is_idle(w.port, 0), "then it may sleep");
	io_xdp_statistics(w.port);
	tap_int((long long)w.counters.handed_over, 1, "which is counted");
	pool_cache_fini(&cache);
	close(bell.fd);
	world_close(&w, "every frame is ours again");
}

// In copy mode a call sends 32.
static void
test_kicks(void)
{
	enum {
		N = 1000
	};
	struct pool_cache cache;
	struct pkt *pkts[N];
	struct world w;
	bool good = true;

	veth_remove();
	veth_make(1, 1, 1500);
	if (!tap_ok(world_open(&w, 1, false), "opened again"))
		return;
	pool_cache_init(&cache, pool);
	if (pool_get(&cache, pkts, N) != N)
		abort();
	for (unsigned i = 0; i < N; i++) {
		pkts[i]->len = 100;
		veth_frame(pkts[i]->data, 100, i);
	}
	tap_int(w.port->ops->tx(w.port, 0, pkts, N), N, "a thousand packets are taken");
	for (unsigned i = 0; i < 1000 && !w.port->ops->is_idle(w.port, 0); i++)
		w.port->ops->flush(w.port, 0);
	for (unsigned i = 0; i < N && good; i++)
		good = far_receive(&w) == i;
	tap_ok(good, "all of them arrive, in order");

	// What the kernel would forget without a word, frame and all.
	if (pool_get(&cache, pkts, 3) != 3)
		abort();
	pkts[0]->len = 0;
	pkts[1]->len = 13;
	pkts[2]->len = FRAME_LEN;
	tap_int(w.port->ops->tx(w.port, 0, pkts, 3), 3, "packets that cannot be are taken");
	w.port->ops->flush(w.port, 0);
	io_xdp_statistics(w.port);
	tap_int((long long)w.counters.malformed, 3, "and counted");
	tap_int((long long)w.counters.tx_dropped, 0, "the kernel refused nothing");
	pool_cache_fini(&cache);
	world_close(&w, "every frame is ours again");
}

static void
test_link_down(void)
{
	struct pool_cache cache;
	struct pkt *p;
	struct world w;

	if (!tap_ok(world_open(&w, 1, false), "opened again"))
		return;
	pool_cache_init(&cache, pool);
	if (pool_get(&cache, &p, 1) != 1)
		abort();
	p->len = 100;
	veth_frame(p->data, 100, 5);
	veth_sh("ip link set " VETH_NEAR " down");
	tap_int(w.port->ops->tx(w.port, 0, &p, 1), 1, "with the link down a packet waits");
	w.port->ops->flush(w.port, 0);
	io_xdp_statistics(w.port);
	tap_ok(w.counters.tx_dropped > 0, "that the kernel refuses is counted");
	tap_ok(w.port->ops->is_idle(w.port, 0), "and keeps no worker awake");
	veth_sh("ip link set " VETH_NEAR " up");
	for (unsigned i = 0; i < 1000; i++) {
		w.port->ops->flush(w.port, 0);
		if (w.port->ops->is_idle(w.port, 0))
			break;
	}
	tap_ok(far_send(&w, 100, 9), "the far side sends");
	for (unsigned i = 0; i < 5000 && echo(&w, 0) == 0; i++)
		nap();
	tap_ok(far_receive(&w) != UINT64_MAX, "with the link up packets come and go again");
	pool_cache_fini(&cache);
	world_close(&w, "every frame is ours again");
}

// A worker that sleeps in poll() on the port's descriptor.
static void
test_sleep(void)
{
	int fds[PORT_MAX_WAIT_FDS];
	struct pkt *p;
	struct world w;

	if (!tap_ok(world_open(&w, 1, false), "opened again"))
		return;
	tap_int(w.port->ops->wait_fds(w.port, 0, fds), 1, "one descriptor to wait for");
	tap_int(w.port->ops->rx(w.port, 0, &p, 1), 0, "nothing has come");
	tap_ok(w.port->ops->is_idle(w.port, 0), "the worker may sleep");
	tap_ok(far_send(&w, 100, 1), "the far side sends");
	tap_int(poll(&(struct pollfd){ .fd = fds[0], .events = POLLIN }, 1, 10000), 1,
		"which wakes it");
	tap_ok(!w.port->ops->is_idle(w.port, 0), "there is something to receive");
	tap_int(echo(&w, 0), 1, "it is received");
	world_close(&w, "every frame is ours again");
}

// Nobody returns frames: the fill ring runs dry, which is counted, and then it goes on.
static void
test_dry(void)
{
	struct pool_cache cache;
	struct pkt *pkts[64], *first = NULL;
	struct world w;
	uint32_t n, held = 0;

	if (!tap_ok(world_open(&w, 1, false), "opened again"))
		return;
	pool_cache_init(&cache, pool);
	while ((n = pool_get(&cache, pkts, 64)) > 0) {
		for (uint32_t i = 0; i < n; i++) {
			pkts[i]->next = first;
			first = pkts[i];
		}
		held += n;
	}
	for (unsigned i = 0; i < 4096; i++) {
		if (!far_send(&w, 60, i))
			break;
	}
	// The kernel delivers on its own time.
	for (unsigned i = 0; i < 5000 && w.counters.rx_dropped == 0; i++) {
		nap();
		io_xdp_statistics(w.port);
	}
	tap_ok(w.counters.rx_dropped > 0, "packets without a buffer are counted");
	while (first != NULL) {
		struct pkt *p = first;

		first = p->next;
		pool_put(&cache, &p, 1);
	}
	pool_cache_fini(&cache);
	tap_ok(held > 0 && echo(&w, 0) > 0, "what had a buffer is received");
	for (unsigned i = 0; i < 5000 && echo(&w, 0) > 0; i++)
		;
	tap_ok(far_send(&w, 77, 123456), "the far side sends");
	for (unsigned i = 0; i < 5000 && echo(&w, 0) == 0; i++)
		nap();
	for (n = 0; n < 10000; n++) {
		uint64_t number = far_receive(&w);

		if (number == 123456 || number == UINT64_MAX) {
			tap_int((long long)number, 123456, "with buffers it goes on");
			break;
		}
	}
	world_close(&w, "every frame is ours again");
}

// What a forwarder leaves that died between two instructions: before, and after, it moved the
// ring's producer.  (xdp_kill_test.c does it with forwarders.)
static void
test_intents(void)
{
	enum {
		N = 8
	};
	struct xdp_fds ports[SHM_MAX_PORTS] = {};
	struct xdp_rings r;
	struct world w;
	uint32_t ours, number = 0;

	if (!tap_ok(world_open(&w, 1, false), "opened again"))
		return;
	if (xdp_rings_map(w.fds.socket[0], &r) < 0)
		abort();
	ports[PORT] = w.fds;
	ours = count_ours();
	ledger->intents[PORT][0].fill = (uint64_t)(r.fill.ours - N) << 32 | N;
	tap_int(frame_ledger_settle(ledger, ports, N_FRAMES, FRAME_LEN), 0,
		"frames were given away, and only the intent was not cleared");
	tap_int(count_ours(), ours, "they are the kernel's");
	tap_int((long long)ledger->intents[PORT][0].fill, 0, "and the intent is gone");

	for (uint32_t i = 0; i < N; i++, number++) {
		while (ledger->holder[number] != FRAME_OURS)
			number++;
		r.fill.frames[(r.fill.ours + i) & (r.fill.n_slots - 1)] =
			(uint64_t)number * FRAME_LEN;
		ledger->holder[number] = FRAME_TO_FILL(PORT);
	}
	ledger->intents[PORT][0].fill = (uint64_t)r.fill.ours << 32 | N;
	tap_int(frame_ledger_settle(ledger, ports, N_FRAMES, FRAME_LEN), 0,
		"frames were about to be given away");
	tap_int(count_ours(), ours, "they are ours");
	xdp_rings_unmap(&r);
	world_close(&w, "every frame is ours again");
}

// --- what cannot be opened ---------------------------------------------------------------------

static void
test_refusals(void)
{
	struct xdp_open_config config = open_config();
	char why[XDP_WHY_LEN];
	struct xdp_fds fds;
	struct world w;

	if (!tap_ok(world_open(&w, 1, false), "opened again"))
		return;
	tap_int(xdp_open(&config, &fds, why), -EBUSY, "a device takes one program");
	printf("# %s\n", why);
	world_close(&w, "every frame is ours again");

	veth_remove();
	veth_make(1, 1, 9000);
	config = open_config();
	tap_int(xdp_open(&config, &fds, why), -ERANGE, "jumbo frames are refused");
	tap_ok(strstr(why, "9000") != NULL && strstr(why, "mtu 1500") != NULL,
		"and the text says what to do: %s", why);

	veth_remove();
	veth_make(17, 17, 1500);
	config = open_config();
	tap_int(xdp_open(&config, &fds, why), -E2BIG, "more queues than workers there may be");
	tap_ok(strstr(why, "ethtool -L") != NULL, "and the text says what to do: %s", why);

	veth_remove();
	veth_sh("ip link set lo up");
	config.name = "lo";
	config.ifindex = if_nametoindex("lo");
	tap_int(xdp_open(&config, &fds, why), -EOPNOTSUPP, "no native XDP");
	config.generic_is_fine = true;
	tap_int(xdp_open(&config, &fds, why), 0, "which may be good enough");
	tap_int(fds.mode, SHM_PORT_GENERIC, "then it says that it is generic");
	tap_int(fds.n_queues, 1, "queues are found though the driver does not say how many");
	xdp_close(&fds);
	tap_int(fds.mode, SHM_PORT_SOCKETS, "closed");
	veth_remove();
	veth_make(1, 1, 1500);
}

// In a child without CAP_IPC_LOCK.
static void
test_lock_limit(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];
	const struct rlimit limit = { 65536, 65536 };
	struct xdp_open_config config = open_config();
	char why[XDP_WHY_LEN];
	struct xdp_fds fds;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int err;

		syscall(SYS_capget, &h, d);
		d[0].effective &= ~(1u << CAP_IPC_LOCK);
		if (syscall(SYS_capset, &h, d) < 0 || setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
			_exit(3);
		for (unsigned i = 0; i < 5000; i++) {
			err = xdp_open(&config, &fds, why);
			if (err != -EBUSY)
				break;
			nap();
		}
		printf("# %s\n", why);
		fflush(stdout);
		_exit(err == -ENOBUFS && strstr(why, "64 KiB") != NULL &&
					strstr(why, "CAP_IPC_LOCK") != NULL
				? 0
				: 1);
	}
	waitpid(pid, &status, 0);
	tap_int(status, 0, "a memory-lock limit that is too low is named");
}

int
main(void)
{
	const char *why = veth_enter();
	struct xdp_fds fds;
	char text[XDP_WHY_LEN];

	if (why == NULL && !veth_make(1, 1, 1500))
		why = "no veth";
	make_memory();
	if (why == NULL) {
		struct xdp_open_config config = open_config();
		int err = xdp_open(&config, &fds, text);

		if (err == -EPERM || err == -EAFNOSUPPORT || err == -EACCES)
			why = text;
		else if (err == 0)
			xdp_close(&fds);
	}
	if (why != NULL) {
		tap_skip("link ports over AF_XDP", why);
		return tap_done();
	}
	test_lengths();
	test_many(1, 1, 1, false);
	test_many(2, 2, 2, false);
	test_many(4, 4, 2, false);
	test_many(2, 2, 4, false);
	test_many(2, 1, 2, false);
	test_many(2, 2, 1, true);
	test_hand_over();
	test_kicks();
	test_link_down();
	test_sleep();
	test_dry();
	test_intents();
	test_refusals();
	test_lock_limit();
	return tap_done();
}
