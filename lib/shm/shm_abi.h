/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the control plane and the data plane both see: the layout of the memory they share.
 *
 * Source: docs/shm-abi.md, which explains each region, who writes it and how long it lives.
 *         Types and limits only: no function here, no pointer in any structure.
 * Thread: each field says who writes it.  "dp" is the forwarder, "cp" the control plane, "keeper"
 *         the process that made the memory.  The reader treats every value as hostile: it copies,
 *         checks, and then uses the copy.
 *
 * Times are CLOCK_BOOTTIME nanoseconds.  Addresses are network order, everything else is native:
 * both processes run on one machine.
 */
#ifndef LIB_SHM_SHM_ABI_H
#define LIB_SHM_SHM_ABI_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SHM_MAGIC       0x534c5543u /* "SLUC" */
#define SHM_ABI_VERSION 4u          /* rings, counters, applied rows */
#define SHM_SESSION_VERSION                                                  \
	1u /* sessions: raised far less often, so that upgrades keep tunnels \
	    */

#define SHM_CACHE_LINE 64

#define SHM_MAX_PEERS    131072u /* peer numbers 0 ... */
#define SHM_MAX_SESSIONS 524288u /* session slots; slot 0 is never used: 0 means "none" */
#define SHM_MAX_PREFIXES 262144u
#define SHM_MAX_WORKERS  16u
#define SHM_MAX_PORTS    8u
#define SHM_MAX_DROPS    64u /* drop reasons; names are in dataplane/path/drop.h, sent as text too */
#define SHM_MAX_FILTER                                                             \
	(4u << 20) /* bytes of a packet filter's table, see lib/policy/acl_table.h \
	            */

/* Of the network around the box. */
#define SHM_MAX_ROUTES     65536u
#define SHM_MAX_NEIGHBOURS 16384u

#define SHM_KEY_LEN  32
#define SHM_MAIN_ROW SHM_MAX_WORKERS /* in shm_state.workers */
#define SHM_NO_PEER  UINT32_MAX

/*
 * The receiver index that we hand out is slot + generation: finding a session is one array access
 * and one compare.
 */
#define SHM_SLOT_BITS 20
#define SHM_SLOT_MASK ((1u << SHM_SLOT_BITS) - 1)
static_assert(SHM_MAX_SESSIONS <= 1u << SHM_SLOT_BITS, "a slot fits the index");

static inline uint32_t
shm_index_slot(uint32_t receiver_index)
{
	return receiver_index & SHM_SLOT_MASK;
}

/* --- small parts -------------------------------------------------------------------------- */

struct shm_addr {
	uint8_t bytes[16]; /* an IPv4 address in the first four, the rest zero */
};

/*
 * Where outer packets of a peer go, and from which of our addresses.
 *
 *     family 4 or 6, relay 0   directly
 *     family 4 or 6, relay 1   both ways: nobody knows yet whether the direct one works
 *     family 0, relay 1        through a relay: which one, the control plane knows
 *     family 0, relay 0        nowhere
 */
struct shm_path {
	struct shm_addr remote;
	struct shm_addr local; /* all zero: whatever the kernel's routes say */
	uint16_t remote_port;  /* host order; 0: no direct path */
	uint8_t family;        /* 4, 6, or 0: no direct path */
	uint8_t relay;    /* 1: packets go to the control plane, which holds the relays; else 0 */
	uint32_t ifindex; /* for link-local addresses; else 0 */
};
static_assert(sizeof(struct shm_path) == 40, "part of the ABI");

/* --- region "state": written by dp, read by cp; lives as long as the keeper ----------------- */

enum shm_role {
	SHM_ROLE_NONE = 0,
	SHM_ROLE_INITIATOR = 1, /* we sent the initiation: we renew at 120 s */
	SHM_ROLE_RESPONDER = 2,
};

/* Directory row of one session slot.  `receiver_index` is stored last and cleared first. */
struct shm_session_row {
	_Atomic uint32_t receiver_index; /* 0: the slot is free */
	uint32_t sender_index;           /* the peer's index, which we write into packets */
	uint32_t peer;
	uint32_t role; /* enum shm_role */
	uint64_t birth_ns;
	uint64_t pad;
};
static_assert(sizeof(struct shm_session_row) == 32, "part of the ABI");

/*
 * The three sessions of a peer in one word, so that one compare-and-swap promotes `next` and no
 * death can leave half a change: 3 x 20 bits of slot, 0 meaning none.
 */
#define SHM_KEYPAIRS(previous, current, next) \
	((uint64_t)(previous) | (uint64_t)(current) << 20 | (uint64_t)(next) << 40)
static inline uint32_t
shm_keypairs_previous(uint64_t word)
{
	return (uint32_t)word & SHM_SLOT_MASK;
}
static inline uint32_t
shm_keypairs_current(uint64_t word)
{
	return (uint32_t)(word >> 20) & SHM_SLOT_MASK;
}
static inline uint32_t
shm_keypairs_next(uint64_t word)
{
	return (uint32_t)(word >> 40) & SHM_SLOT_MASK;
}

/* Per worker and peer: one line, written by that worker only. */
struct shm_peer_counters {
	uint64_t rx_packets; /* authenticated, keepalives included */
	uint64_t rx_bytes;   /* of UDP payload */
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t last_rx_ns;      /* anything authenticated */
	uint64_t last_rx_data_ns; /* not a keepalive */
	uint64_t last_tx_ns;
	uint64_t last_tx_data_ns;
};
static_assert(sizeof(struct shm_peer_counters) == 64, "one cache line");

struct shm_worker_counters {
	int32_t core;     /* -1: adaptive, not pinned */
	uint32_t running; /* 1 while the worker runs */
	uint64_t bursts;
	uint64_t packets;  /* taken from ports */
	uint64_t busy_tsc; /* TSC ticks in polls that brought packets */
	uint64_t idle_tsc; /* ticks in polls that brought none, and asleep */
	uint64_t sleeps;
	uint64_t known;    /* of the packets: took the short way of known flows */
	uint64_t pad;
	uint64_t drops[SHM_MAX_DROPS]; /* by enum drop_reason */
};
static_assert(sizeof(struct shm_worker_counters) % SHM_CACHE_LINE == 0, "no line of two workers");

enum shm_port_mode {
	SHM_PORT_SOCKETS = 0, /* UDP sockets, a TUN, memory: no frames */
	SHM_PORT_ZERO_COPY,   /* AF_XDP, native program, the device reads and writes our buffers */
	SHM_PORT_COPY,        /* AF_XDP, native program */
	SHM_PORT_GENERIC,     /* AF_XDP, program behind the kernel's own packet structure */
};

struct shm_port_counters {
	char name[16];    /* "sluice0", "wire", "eth0"; empty: the row is free */
	char driver[16];  /* "host", "kernel", "af_xdp" */
	char note[96];    /* why this driver; empty if there is nothing to say */
	uint32_t ifindex; /* 0: no interface of its own */
	uint32_t mode;    /* enum shm_port_mode */
	uint32_t n_queues;
	uint32_t pad;
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t rx_calls; /* system calls that brought something */
	uint64_t tx_calls; /* kicks included */
	uint64_t rx_dropped; /* by the kernel for want of our reading (SO_RXQ_OVFL, a full receive
	                        ring), or no buffer (an empty fill ring) */
	uint64_t tx_dropped; /* refused by the kernel */
	uint64_t steered_out; /* dropped by the steer program: sieve, fail closed */
	uint64_t handed_over; /* to the worker that owns the port's queue, for want of queues */
	uint64_t pad2[4];
};
static_assert(sizeof(struct shm_port_counters) == 256, "part of the ABI");

/*
 * What the cipher's back ends showed when the forwarder started: which is used for bursts of which
 * size, and why.  The same classes as in lib/crypto/aead.h.
 */
#define SHM_MAX_AEADS       8u
#define SHM_AEAD_DIRECTIONS 2 /* 0: seal, 1: open */
#define SHM_AEAD_BURSTS     4
#define SHM_AEAD_SIZES      4

enum shm_aead_presence {
	SHM_AEAD_WORKS,
	SHM_AEAD_MISSING, /* not for this CPU, or not in this build */
	SHM_AEAD_REFUSED, /* gave wrong answers */
};

enum shm_aead_reason {
	SHM_AEAD_FASTEST,
	SHM_AEAD_FORCED, /* by SLUICE_AEAD; nothing was timed */
	SHM_AEAD_ONLY,
};

struct shm_aead {
	char name[12];
	uint32_t presence; /* enum shm_aead_presence */
	/* picoseconds for a packet; 0: not timed */
	uint32_t ps[SHM_AEAD_DIRECTIONS][SHM_AEAD_BURSTS][SHM_AEAD_SIZES];
};
static_assert(sizeof(struct shm_aead) == 144, "part of the ABI");

struct shm_aeads {
	uint32_t n;
	uint32_t reason;                     /* enum shm_aead_reason */
	uint32_t burst_min[SHM_AEAD_BURSTS]; /* packets; up to the next one's */
	uint32_t size_max[SHM_AEAD_SIZES];   /* bytes of a packet, on average in the burst */
	uint8_t in_use[SHM_AEAD_DIRECTIONS][SHM_AEAD_BURSTS][SHM_AEAD_SIZES]; /* row of `rows` */
	struct shm_aead rows[SHM_MAX_AEADS]; /* the most preferred first */
};
static_assert(sizeof(struct shm_aeads) == 72 + SHM_MAX_AEADS * 144, "part of the ABI");

/* Rows of the last commit, from which a new forwarder starts while no control plane lives. */
struct shm_peer_row {
	uint8_t public_key[SHM_KEY_LEN];
	uint32_t flags; /* SHM_PEER_* */
	uint32_t pad[7];
};
static_assert(sizeof(struct shm_peer_row) == 64, "part of the ABI");
#define SHM_PEER_USED 1u

/* What a prefix leads to, when it is not a peer's number. */
#define SHM_TO_HOST   0xfffffffeu /* the kernel's: own addresses, connected networks */
#define SHM_TO_NOBODY 0xfffffffdu /* refused: our own network, no peer has this part */

struct shm_prefix_row {
	struct shm_addr addr;
	uint32_t to;    /* peer number, or SHM_TO_HOST */
	uint8_t family; /* 4 or 6 */
	uint8_t len;    /* bits */
	uint16_t pad;
};
static_assert(sizeof(struct shm_prefix_row) == 24, "part of the ABI");

/* What is done with the packets inside. */
enum shm_filter {
	SHM_FILTER_NONE = 0,       /* a plain WireGuard gateway: what allowed_ips let through */
	SHM_FILTER_ENFORCED = 1,   /* a member of a tailnet: without a table nothing is let in */
	SHM_FILTER_SHIELDS_UP = 2, /* the same; the change to it forgets what outbound packets have
	                              opened */
};

struct shm_settings {
	uint16_t mtu;            /* of the inner packets */
	uint16_t filter;         /* enum shm_filter */
	uint16_t peer_api_port4; /* ours, for TSMP pongs; 0: none */
	uint16_t peer_api_port6;
	struct shm_addr icmp_source4; /* source of our ICMP errors; zero: send none */
	struct shm_addr icmp_source6;
};
static_assert(sizeof(struct shm_settings) == 40, "part of the ABI");

/*
 * The network around the box, as the kernel has it: what `ip route` says is what happens.  It
 * crosses as one block (SHM_CMD_NET) outside generations, and is replaced whole; neighbours, which
 * change often, one by one.
 */
#define SHM_PORT_UP            1u /* administratively, and with a carrier */
#define SHM_PORT_FILL_CHECKSUM 2u /* its local senders leave checksums to hardware that is not there */

struct shm_net_port {
	uint32_t ifindex;
	uint32_t mtu;   /* bytes of an IP packet */
	uint32_t flags; /* SHM_PORT_... */
	uint8_t mac[6];
	uint16_t pad;
	char name[16];
};
static_assert(sizeof(struct shm_net_port) == 36, "part of the ABI");

enum shm_route_kind {
	SHM_ROUTE_LOCAL = 1, /* an address of the box: the kernel's */
	SHM_ROUTE_CONNECTED, /* the destination itself is the neighbour */
	SHM_ROUTE_GATEWAY,   /* the neighbour is `gateway` */
	SHM_ROUTE_KERNEL,    /* several next hops, another kind of device, ...: the kernel's to route */
	SHM_ROUTE_REFUSE,    /* unreachable, prohibit, blackhole */
};

struct shm_net_route {
	struct shm_addr addr;    /* of the prefix */
	struct shm_addr gateway; /* GATEWAY: of this family */
	struct shm_addr source;  /* of ours, for what begins here and for NAT; zero: none */
	uint32_t ifindex;        /* one without a port: the kernel's, as KERNEL */
	uint16_t mtu;            /* of the route; 0: the port's */
	uint8_t family;          /* 4 or 6 */
	uint8_t len;             /* bits */
	uint8_t kind;            /* enum shm_route_kind */
	uint8_t pad[7];
};
static_assert(sizeof(struct shm_net_route) == 64, "part of the ABI");

#define SHM_NAT_V4 1u /* what leaves the tunnel by a port gets the route's source address */
#define SHM_NAT_V6 2u

struct shm_net {
	uint32_t n_ports, n_routes;
	uint32_t nat;           /* SHM_NAT_..., else 0 */
	uint16_t nat_port_first; /* ports, and identifiers of ICMP echo; reserved for us on the host */
	uint16_t nat_port_last;
	uint64_t pad[6];
	struct shm_net_port ports[SHM_MAX_PORTS]; /* those that may carry frames for us */
	uint32_t pad2[8];
	struct shm_net_route routes[SHM_MAX_ROUTES]; /* n_routes of them; each prefix once */
};
#define SHM_NET_LEN(n_routes) \
	(offsetof(struct shm_net, routes) + (size_t)(n_routes) * sizeof(struct shm_net_route))
static_assert(offsetof(struct shm_net, routes) == 384, "part of the ABI");

enum shm_neighbour_state {
	SHM_NEIGHBOUR_NONE = 0, /* not known: the row may be used again */
	SHM_NEIGHBOUR_ASKED,    /* the kernel asks */
	SHM_NEIGHBOUR_FAILED,   /* it does not answer */
	SHM_NEIGHBOUR_REACHABLE,
};

/* A word that changes at once: the address of the link layer and a state. */
#define SHM_NEIGHBOUR_WORD(mac, state)                                                   \
	((uint64_t)(mac)[0] | (uint64_t)(mac)[1] << 8 | (uint64_t)(mac)[2] << 16 |       \
		(uint64_t)(mac)[3] << 24 | (uint64_t)(mac)[4] << 32 | (uint64_t)(mac)[5] << 40 | \
		(uint64_t)(state) << 48)

/* A row keeps its key from the first use on, until a new `net` block is applied with the row NONE. */
struct shm_neighbour_row {
	_Atomic uint64_t word; /* SHM_NEIGHBOUR_WORD() */
	struct shm_addr addr;
	uint32_t ifindex;
	uint8_t family; /* 4 or 6; 0: never used */
	uint8_t pad[3];
};
static_assert(sizeof(struct shm_neighbour_row) == 32, "part of the ABI");

/* Two halves: a commit fills the one that is not in use, then flips `which`. */
struct shm_applied_half {
	uint64_t generation; /* of the commit; 0: nothing was committed yet */
	uint32_t n_peers;    /* highest used peer number + 1 */
	uint32_t n_prefixes;
	struct shm_settings settings;
	uint32_t filter_which; /* which of shm_state.filters */
	uint32_t filter_len;   /* bytes of it; 0: there is none */
	uint64_t leaving; /* 1: replaced by the other half, whose peers may still have to be rid of
	                     what those of this one left */
	struct shm_peer_row peers[SHM_MAX_PEERS];
	struct shm_prefix_row prefixes[SHM_MAX_PREFIXES];
};

/* A struct acl_table of lib/policy, checked.  A commit with another one fills the one not in use.
 */
struct shm_filter_table {
	_Alignas(4096) uint8_t bytes[SHM_MAX_FILTER];
};

/* A path changes between commits: two copies, `which` is flipped last. */
struct shm_path_row {
	_Atomic uint32_t which; /* 0 or 1 */
	uint32_t pad[3];
	struct shm_path path[2];
	uint32_t pad2[8];
};
static_assert(sizeof(struct shm_path_row) == 128, "part of the ABI");

struct shm_state {
	uint32_t magic;
	uint32_t session_version;
	uint64_t layout_hash;
	_Atomic uint32_t applied_which; /* which half of `applied` counts */
	uint32_t n_workers;
	uint32_t n_ports;
	uint32_t n_drops;
	uint64_t tsc_per_s; /* measured by the forwarder at start */
	uint64_t forwarder_start_ns;
	uint32_t forwarder_pid;
	uint32_t keeper_pid;
	uint32_t forwarder_starts;     /* 1 at first, then one more for each restart */
	uint32_t locked_memory;        /* 1: key memory is locked, 0: the limit was too low */
	_Atomic uint32_t sessions_end; /* no slot from here on was ever used: scan no further, for
	                                  looking at a page makes it */
	uint32_t pad;
	char aead_backend[32]; /* for most sizes of full bursts */
	struct shm_aeads aeads;
	char drop_names[SHM_MAX_DROPS][24];
	_Alignas(SHM_CACHE_LINE) struct shm_worker_counters
		workers[SHM_MAX_WORKERS + 1]; /* the last: drops of the main thread and of ports */
	struct shm_port_counters ports[SHM_MAX_PORTS];
	_Alignas(4096) struct shm_session_row sessions[SHM_MAX_SESSIONS];
	_Alignas(4096) _Atomic uint64_t
		keypairs[SHM_MAX_PEERS]; /* SHM_KEYPAIRS(); workers promote */
	_Alignas(4096) struct shm_path_row paths[SHM_MAX_PEERS];
	_Alignas(4096) struct shm_applied_half applied[2];
	struct shm_filter_table filters[2];
	_Atomic uint32_t net_which; /* which of `nets` counts */
	_Atomic uint64_t net_serial; /* of the last SHM_CMD_NET that was applied; 0: none yet */
	_Atomic uint32_t neighbours_end; /* no row from here on was ever used */
	_Alignas(4096) struct shm_neighbour_row neighbours[SHM_MAX_NEIGHBOURS];
	_Alignas(4096) struct shm_net nets[2];
	_Alignas(4096) struct shm_peer_counters counters[SHM_MAX_WORKERS][SHM_MAX_PEERS];
};

/* --- region "sessions": dp only; cp never gets it; lives as long as the keeper -------------- */

/* What a worker needs to open a packet: exactly one line. */
struct shm_session_rx {
	uint8_t key[SHM_KEY_LEN];
	_Atomic uint32_t receiver_index; /* written last at install, cleared first at removal */
	uint32_t peer;
	uint64_t birth_ns;
	_Atomic uint32_t path_tag;     /* tag of the endpoint that the peer is expected at */
	_Atomic uint32_t is_confirmed; /* 1: not `next` any more; 0: look at the keypairs */
	_Atomic uint64_t source; /* an inner IPv4 source that is the peer's, and by which tables:
	                            session_source(); 0: none.  Of this forwarder, not of its
	                            predecessor */
};
static_assert(sizeof(struct shm_session_rx) == SHM_CACHE_LINE, "one line");

/* What a worker needs to seal one: exactly one line. */
struct shm_session_tx {
	uint8_t key[SHM_KEY_LEN];
	_Atomic uint64_t
		counter; /* next unused; taken by atomic add *before* use, by whole bursts */
	uint64_t birth_ns;
	uint32_t sender_index;   /* the peer's index */
	uint32_t receiver_index; /* ours, to see that the slot is still the same session */
	uint32_t peer;
	uint32_t role;
};
static_assert(sizeof(struct shm_session_tx) == SHM_CACHE_LINE, "one line");

#define SHM_REPLAY_WORDS 256
struct shm_replay { /* as struct wg_replay: a 32-bit block tag and a 32-bit map per word */
	_Atomic uint64_t word[SHM_REPLAY_WORDS];
	/* An odd number of lines: counters of many sessions are often alike, and words at the same
	   place would share a few sets of the cache. */
	uint64_t pad[8];
};

struct shm_sessions {
	_Alignas(4096) struct shm_session_rx rx[SHM_MAX_SESSIONS];
	_Alignas(4096) struct shm_session_tx tx[SHM_MAX_SESSIONS];
	_Alignas(4096) struct shm_replay replay[SHM_MAX_SESSIONS];
};

/* --- region "notes": written by cp, kept for the next cp; dp never gets it ------------------- */

struct shm_note {
	uint8_t public_key[SHM_KEY_LEN]; /* whose note; all zero: unused */
	uint8_t rx_timestamp[12];        /* latest TAI64N accepted in an initiation */
	uint8_t tx_timestamp[12];        /* latest we sent */
	uint64_t rx_initiation_ns;       /* when the latest initiation was accepted */
	struct shm_path path;            /* in use; a roaming peer has no endpoint in the file */
	uint32_t check;                  /* sum over the above; a torn note does not match */
	uint32_t pad[5];
};
static_assert(sizeof(struct shm_note) == 128, "part of the ABI");

struct shm_notes {
	uint32_t magic;
	uint32_t version;
	uint8_t cookie_secret[SHM_KEY_LEN];
	uint64_t cookie_birth_ns;
	uint64_t pad[10];
	struct shm_note notes[SHM_MAX_PEERS]; /* by peer number */
};

/* --- region "capture": written by dp, read by cp; lives as long as the keeper ----------------- */

/*
 * Copies of packets, by worker, in rings that overwrite their oldest: nobody waits for a reader.
 * Writer: seq = 0, the record, seq = count + 1.  Reader: copies a record and looks whether seq is
 * still the same.
 */
#define SHM_CAPTURE_SLOTS 2048u
#define SHM_CAPTURE_SNAP  2048u

enum shm_capture_where {
	SHM_CAPTURE_FROM_TUNNEL = 1, /* decrypted */
	SHM_CAPTURE_TO_TUNNEL,       /* before it is encrypted */
	SHM_CAPTURE_DROPPED,         /* `reason` says why */
};

struct shm_capture_record {
	_Atomic uint64_t seq;
	uint64_t time_ns;
	uint32_t len;     /* of the packet */
	uint32_t cap_len; /* of `data` */
	uint32_t peer;    /* SHM_NO_PEER: not known */
	uint16_t reason;  /* DROPPED: enum drop_reason */
	uint8_t where;    /* enum shm_capture_where */
	uint8_t kind;     /* 0: an IP packet; 1: a UDP payload of the wire; 2: an Ethernet frame */
	uint32_t port;    /* row of state.ports it came by, or 255 */
	uint32_t pad[3];
	uint64_t pad2[2];
	uint8_t data[SHM_CAPTURE_SNAP];
};
static_assert(sizeof(struct shm_capture_record) == 64 + SHM_CAPTURE_SNAP, "part of the ABI");

struct shm_capture {
	struct {
		_Alignas(SHM_CACHE_LINE) _Atomic uint64_t count; /* records ever begun */
	} heads[SHM_MAX_WORKERS];
	_Alignas(4096) struct shm_capture_record records[SHM_MAX_WORKERS][SHM_CAPTURE_SLOTS];
};

/* --- rings ----------------------------------------------------------------------------------- */

/*
 * One producer, one consumer.  `head` and the slots lie in memory that only the producer may write,
 * `tail` in memory that only the consumer may write.  Free-running counts; slot = count & mask.
 */
struct shm_ring_producer {
	_Alignas(SHM_CACHE_LINE) _Atomic uint32_t head; /* slots published so far */
	_Atomic uint32_t epoch; /* of the connection; see docs/shm-abi.md, "Attach" */
};
struct shm_ring_consumer {
	_Alignas(SHM_CACHE_LINE) _Atomic uint32_t tail; /* slots consumed so far */
	_Atomic uint32_t asleep;                        /* 1: the consumer wants its doorbell */
};

#define SHM_N_COMMANDS 1024u
#define SHM_N_EVENTS   4096u
#define SHM_N_PACKETS  1024u
#define SHM_PACKET_LEN 2048u /* bytes of UDP payload or inner packet that a punt slot carries */
/* Slots of `punt` that what goes to relays leaves to handshakes, and those that TSMP may take. */
#define SHM_N_PUNT_URGENT 256u

enum shm_command_kind {
	SHM_CMD_BEGIN = 1, /* a new generation: full or delta */
	SHM_CMD_SETTINGS,
	SHM_CMD_PEER,         /* this peer exists */
	SHM_CMD_PEER_GONE,    /* delta only */
	SHM_CMD_PREFIX,       /* this prefix leads there */
	SHM_CMD_PREFIX_GONE,  /* delta only */
	SHM_CMD_COMMIT,       /* make it so; answered by SHM_EV_APPLIED or SHM_EV_REFUSED */
	SHM_CMD_PATH,         /* at once, outside generations */
	SHM_CMD_SESSION,      /* install; answered by SHM_EV_SESSION or SHM_EV_SESSION_REFUSED */
	SHM_CMD_SESSION_GONE, /* forget this session; its slot is free after SHM_EV_SESSION_FREED */
	SHM_CMD_KEEPALIVE,    /* send an empty packet with the current session */
	SHM_CMD_UNREACHABLE,  /* give up what waits for a session of this peer */
	SHM_CMD_FILTER,       /* a part of the packet filter, inside a generation */
	SHM_CMD_NET, /* a part of struct shm_net, outside generations; the last one is answered by
	                SHM_EV_NET */
	SHM_CMD_NEIGHBOUR, /* at once, outside generations */
	SHM_CMD_CAPTURE,   /* copy packets into the capture region, or stop */
};

struct shm_cmd_begin {
	uint64_t base; /* delta: the generation it builds on; full: 0 */
	uint32_t full; /* 1: what is not mentioned until the commit goes */
	uint32_t pad;
};
struct shm_cmd_peer {
	uint32_t peer;
	uint32_t pad;
	uint8_t public_key[SHM_KEY_LEN];
};
struct shm_cmd_path {
	uint32_t peer;
	uint32_t pad;
	struct shm_path path;
};
struct shm_cmd_session {
	uint32_t peer;
	uint32_t receiver_index; /* ours: slot + generation, chosen by cp */
	uint32_t sender_index;   /* the peer's */
	uint32_t role; /* initiator: becomes current at once; responder: next, until confirmed */
	uint64_t birth_ns;
	uint8_t key_receive[SHM_KEY_LEN];
	uint8_t key_send[SHM_KEY_LEN];
};
struct shm_cmd_session_gone {
	uint32_t peer;
	uint32_t receiver_index;
};
struct shm_cmd_one_peer { /* KEEPALIVE, PEER_GONE, UNREACHABLE */
	uint32_t peer;
	uint32_t pad;
};

/*
 * Parts come in order and without a gap; the first one begins anew.  A delta without any keeps the
 * table that is applied, a full generation without any has none.
 */
#define SHM_FILTER_PART 96u
struct shm_cmd_filter {
	uint32_t offset;
	uint32_t total;                 /* bytes of the whole table; 0: none from now on */
	uint8_t bytes[SHM_FILTER_PART]; /* from offset on, as many as there are */
};

/* Parts in order and without a gap; the first begins anew; the one that ends at `total` applies. */
#define SHM_NET_PART 88u
struct shm_cmd_net {
	uint64_t serial; /* chosen by cp, another one for each block */
	uint32_t offset;
	uint32_t total; /* SHM_NET_LEN(n_routes) */
	uint8_t bytes[SHM_NET_PART];
};
struct shm_cmd_neighbour {
	uint32_t ifindex;
	uint8_t family; /* 4 or 6 */
	uint8_t state;  /* enum shm_neighbour_state; NONE: forget it */
	uint8_t mac[6];
	struct shm_addr addr;
};
/* Which packets are copied: all conditions hold. */
struct shm_cmd_capture {
	uint32_t on;       /* 0: stop */
	uint32_t snap_len; /* bytes of each packet, at most */
	uint32_t peer;     /* SHM_NO_PEER: any */
	uint32_t port;     /* of TCP or UDP, either side; 0: any */
};

struct shm_command {
	uint32_t kind; /* enum shm_command_kind */
	uint32_t pad;
	uint64_t generation; /* BEGIN ... COMMIT: the generation it belongs to */
	union {
		struct shm_cmd_begin begin;
		struct shm_settings settings;
		struct shm_cmd_peer peer;
		struct shm_prefix_row prefix;
		struct shm_cmd_path path;
		struct shm_cmd_session session;
		struct shm_cmd_session_gone session_gone;
		struct shm_cmd_one_peer one;
		struct shm_cmd_filter filter;
		struct shm_cmd_net net;
		struct shm_cmd_neighbour neighbour;
		struct shm_cmd_capture capture;
		uint8_t room[112];
	};
};
static_assert(sizeof(struct shm_command) == 128, "part of the ABI");

enum shm_event_kind {
	SHM_EV_APPLIED = 1,     /* generation */
	SHM_EV_REFUSED,         /* generation, value = enum shm_refusal */
	SHM_EV_SESSION,         /* peer, index: installed, keys copied */
	SHM_EV_SESSION_REFUSED, /* peer, index, value */
	SHM_EV_SESSION_FREED,   /* index: the slot may be used again */
	SHM_EV_PROMOTED,        /* peer, index: next became current */
	SHM_EV_WANT_SESSION,    /* peer: a packet waits without a usable session */
	SHM_EV_WANT_REKEY,      /* peer, index: the send counter passed REKEY_AFTER_MESSAGES */
	SHM_EV_SEEN_FROM,       /* peer, path: authentic packets come from elsewhere */
	SHM_EV_RESYNC,          /* a new forwarder runs: say the whole desired state again */
	SHM_EV_NET,             /* generation = serial of the block; value 0: applied, else enum
	                           shm_refusal */
	SHM_EV_WANT_NEIGHBOUR, /* path.remote, family, ifindex: a packet was dropped, or left by the
	                          kernel, because this neighbour is not known */
	SHM_EV_PORTS, /* value = number of ports that carry frames: one was opened or closed */
};

enum shm_refusal {
	SHM_REFUSED_BASE =
		1,        /* a delta on another generation than the one applied: send a full one */
	SHM_REFUSED_ROW,  /* a row out of range, or a prefix twice */
	SHM_REFUSED_FULL, /* a table is full */
	SHM_REFUSED_PEER, /* no such peer */
	SHM_REFUSED_SLOT, /* the slot is in use by another session */
	SHM_REFUSED_FILTER, /* the packet filter is too long, not whole, or no sound table */
	SHM_REFUSED_NET,    /* the same of a block of the network */
};

struct shm_event {
	uint32_t kind; /* enum shm_event_kind */
	uint32_t peer;
	uint32_t index; /* receiver index */
	uint32_t value;
	uint64_t generation;
	struct shm_path path; /* SEEN_FROM */
};
static_assert(sizeof(struct shm_event) == 64, "part of the ABI");

enum shm_packet_kind {
	SHM_PKT_WIRE = 1, /* a UDP payload as it came from `path.remote` to `path.local`; inject:
	                     with path.family 0 it came by a relay */
	SHM_PKT_INNER,    /* inject only: an inner packet for the tunnel (routed like one from the
	                     host, but no packet filter judges it) */
	SHM_PKT_RELAY, /* punt only: a WireGuard message, to be sent to `peer` through its relay */
	SHM_PKT_TSMP,  /* punt only: an inner packet of protocol 99 from `peer` for this node: a
	                  pong, a rejection, or a disco key; at most a few hundred a second */
};

struct shm_packet {    /* punt and inject */
	uint32_t kind; /* enum shm_packet_kind */
	uint32_t len;  /* bytes of data used */
	uint32_t peer; /* SHM_NO_PEER where unknown */
	uint32_t pad;
	struct shm_path path;
	uint64_t pad2;
	uint8_t data[SHM_PACKET_LEN];
};
static_assert(sizeof(struct shm_packet) == 64 + SHM_PACKET_LEN, "part of the ABI");

/* Region "to_dp": cp writes it, dp maps it read-only. */
struct shm_to_dp {
	uint32_t magic;
	uint32_t abi_version;
	uint64_t layout_hash;
	struct shm_ring_producer commands_head;
	struct shm_ring_producer inject_head;
	struct shm_ring_consumer events_tail;
	struct shm_ring_consumer punt_tail;
	_Alignas(4096) struct shm_command commands[SHM_N_COMMANDS];
	_Alignas(4096) struct shm_packet inject[SHM_N_PACKETS];
};

/* Region "to_cp": dp writes it, cp maps it read-only. */
struct shm_to_cp {
	uint32_t magic;
	uint32_t abi_version;
	uint64_t layout_hash;
	struct shm_ring_producer events_head;
	struct shm_ring_producer punt_head;
	struct shm_ring_consumer commands_tail;
	struct shm_ring_consumer inject_tail;
	_Alignas(4096) struct shm_event events[SHM_N_EVENTS];
	_Alignas(4096) struct shm_packet punt[SHM_N_PACKETS];
};

/* --- attach: messages on the keeper's seqpacket socket ------------------------------------- */

enum shm_attach_kind {
	SHM_ATTACH_HELLO = 1, /* cp -> keeper, first message */
	SHM_ATTACH_GRANT,  /* keeper -> cp, with descriptors in the order of enum shm_attach_fd */
	SHM_ATTACH_REFUSE, /* keeper -> cp, with a text that says what to do; then it closes */
	/*
	 * cp -> keeper, after the grant: open this interface as a port that carries frames, or close
	 * it.  Each is answered by PORT.  Ports stay open when the connection ends: the next control
	 * plane finds them in state.ports.
	 */
	SHM_ATTACH_OPEN_PORT, /* ifindex, name; listen_port: 1: generic mode is good enough */
	SHM_ATTACH_CLOSE_PORT, /* ifindex */
	SHM_ATTACH_PORT, /* keeper -> cp: ifindex, mode (SHM_PORT_SOCKETS: it is closed), text: why no
	                    better mode, or why not at all and what to do */
};

enum shm_attach_fd {
	SHM_FD_TO_DP,   /* read-write */
	SHM_FD_TO_CP,   /* read-only */
	SHM_FD_STATE,   /* read-only */
	SHM_FD_NOTES,   /* read-write */
	SHM_FD_BELL_DP, /* eventfd: rung by cp when dp sleeps */
	SHM_FD_BELL_CP, /* eventfd: rung by dp when cp sleeps */
	SHM_FD_FLOWS,   /* read-only: flows and NAT, for status */
	SHM_FD_CAPTURE, /* read-only */
	SHM_FD_WIRE4,   /* the UDP socket for everything but transport data, IPv4 */
	SHM_FD_WIRE6,   /* the same for IPv6; left out (has_wire6 = 0) where there is no IPv6 */
	SHM_N_FDS,
};

struct shm_attach {
	uint32_t kind; /* enum shm_attach_kind */
	uint32_t magic;
	uint32_t abi_version;
	uint32_t session_version;
	uint64_t layout_hash;
	uint64_t boot_of_keeper_ns; /* GRANT: when the keeper started: another value, another memory
	                             */
	uint32_t epoch;             /* GRANT: of this connection */
	uint32_t pad2;
	uint16_t listen_port; /* GRANT: the port that is open now */
	uint16_t has_wire6;
	uint32_t mode;    /* PORT: enum shm_port_mode */
	uint32_t ifindex; /* of ..._PORT */
	char name[16];    /* OPEN_PORT */
	uint32_t pad;
	char text[184]; /* REFUSE, PORT: what, why, what to do */
};
static_assert(sizeof(struct shm_attach) == 256, "part of the ABI");

/*
 * A number that differs between builds with different layouts: made of the sizes and offsets of
 * everything above.  Compared at attach; see shm_layout_hash() in region.c.
 */

#endif
