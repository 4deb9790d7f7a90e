/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory port keeps the contract of io.h.
 */

#include "dataplane/io/io_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tests/lib/tap.h"

#define MEMORY_LEN (512u * 2048u)

static struct pool *pool;
static struct pool_cache cache;

static void
packets_pass_both_ways(struct port *port)
{
	struct pkt *in[3], *out[8];

	pool_get(&cache, in, 3);
	for (uint32_t i = 0; i < 3; i++)
		in[i]->counter = i;
	tap_ok(port->ops->is_idle(port, 1), "nothing has come");
	tap_int(io_memory_push(port, 1, in, 3), 3, "three packets arrive");
	tap_ok(!port->ops->is_idle(port, 1), "queue 1 has something");
	tap_ok(port->ops->is_idle(port, 0), "queue 0 has not");
	tap_int(port->ops->rx(port, 0, out, 8), 0, "queue 0 gives nothing");
	tap_int(port->ops->rx(port, 1, out, 2), 2, "at most as many as asked");
	tap_int(port->ops->rx(port, 1, out + 2, 8), 1, "then the rest");
	tap_ok(out[0]->counter == 0 && out[1]->counter == 1 && out[2]->counter == 2, "in order");
	tap_int(out[0]->port, 7, "the port's index is set");
	tap_int(out[0]->kind, PKT_INNER, "the kind is set");

	tap_int(port->ops->tx(port, 1, out, 3), 3, "three are sent");
	tap_int(io_memory_take(port, 0, in, 8), 0, "not by queue 0");
	tap_int(io_memory_take(port, 1, in, 8), 3, "by queue 1");
	tap_ok(in[2] == out[2], "they are the same");
	io_memory_limit_tx(port, 1, 2);
	tap_int(port->ops->tx(port, 1, out, 3), 2, "a limited queue takes its limit");
	tap_int(port->ops->tx(port, 1, out + 2, 1), 0, "then nothing");
	pool_put(&cache, out + 2, 1);
}

static void
arrival_wakes_a_sleeper(struct port *port)
{
	struct doorbell bell = { .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	uint64_t rung = 0;
	struct pkt *pkt;

	io_memory_attach_worker(port, 0, &bell);
	pool_get(&cache, &pkt, 1);
	io_memory_push(port, 0, &pkt, 1);
	tap_ok(read(bell.fd, &rung, 8) < 0, "a worker that is awake is not rung for");
	doorbell_announce(&bell);
	pool_get(&cache, &pkt, 1);
	io_memory_push(port, 0, &pkt, 1);
	tap_ok(read(bell.fd, &rung, 8) == 8 && rung == 1, "one that sleeps is");
	io_memory_attach_worker(port, 0, NULL);
	close(bell.fd);
}

int
main(void)
{
	struct io_memory_config config = {
		.name = "a name longer than the field",
		.kind = PKT_INNER,
		.n_workers = 2,
		.port_index = 7,
	};
	void *memory = aligned_alloc(4096, MEMORY_LEN);
	struct port *port;

	if (pool_create(memory, MEMORY_LEN, 2048, &pool) < 0)
		abort();
	pool_cache_init(&cache, pool);
	tap_int(io_memory_create(&config, &port), 0, "a port is made");
	tap_text(port->name, "a name longer t", "its name is cut");
	packets_pass_both_ways(port);
	arrival_wakes_a_sleeper(port);
	io_memory_destroy(port, &cache);
	pool_cache_fini(&cache);
	tap_int(pool_free_count(pool), pool_frame_count(pool), "what was inside went to the cache");
	config.n_workers = 0;
	tap_int(io_memory_create(&config, &port), -EINVAL, "a port has a queue");
	pool_destroy(pool);
	free(memory);
	return tap_done();
}
