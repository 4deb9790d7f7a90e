/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The devices that carry frames for us, and how the host treats them.
 */

#include <stdio.h>
#include <string.h>

#include "controlplane/cli/doctor_checks.h"
#include "controlplane/gateway/kernel/device.h"
#include "controlplane/gateway/kernel/link.h"
#include "controlplane/gateway/kernel/sysctl.h"

#define FIX_LEN      128
#define LARGEST_MTU  3498 // a page less what XDP needs around a frame (measured: 3,499 gives ERANGE)
#define SMALLEST_MTU 1280 // of a path that carries IPv6
#define STRICT       1

struct devices {
	struct doctor *d;
	struct link_row port; // the one that is looked at
	bool has_vlan;
};

static void
check_offload(struct doctor *d,
	const char *port,
	const char *feature,
	const char *option,
	const char *why)
{
	char fix[FIX_LEN];

	d->n_checks++;
	if (!device_has_feature(port, feature))
		return;
	snprintf(fix, sizeof(fix), "ethtool -K %s %s off", port, option);
	doctor_find(d, "offload", true, fix, "%s is on for %s; %s", option, port, why);
}

static void
check_mtu(struct doctor *d, const struct link_row *link)
{
	char fix[FIX_LEN];

	d->n_checks++;
	if (link->mtu > LARGEST_MTU) {
		snprintf(fix, sizeof(fix), "ip link set %s mtu 1500", link->name);
		doctor_find(d, "mtu", false, fix,
			"the MTU of %s is %u; frames above %d bytes do not fit AF_XDP here, so the "
			"port stays with the kernel",
			link->name, link->mtu, LARGEST_MTU);
	} else if (link->mtu < SMALLEST_MTU) {
		snprintf(fix, sizeof(fix), "ip link set %s mtu 1280", link->name);
		doctor_find(d, "mtu", true, fix,
			"the MTU of %s is %u; IPv6 needs 1,280, and the tunnel's packets are cut "
			"into pieces",
			link->name, link->mtu);
	}
}

static void
check_xdp(struct doctor *d, const struct link_row *link, bool is_af_xdp)
{
	char fix[FIX_LEN];

	d->n_checks++;
	if (link->xdp_program == 0 || is_af_xdp || d->status == NULL)
		return;
	snprintf(fix, sizeof(fix), "bpftool prog show id %u; ip link set dev %s xdp off",
		link->xdp_program, link->name);
	doctor_find(d, "xdp", true, fix,
		"another XDP program (number %u) is attached to %s; a device has one, so the port "
		"stays with the kernel",
		link->xdp_program, link->name);
}

static int
take_link(const struct nlmsghdr *row, void *context)
{
	struct devices *v = context;
	struct link_row link;

	if (row == NULL)
		v->has_vlan = false;
	else if (message_read_link(row, &link) && link.lower == v->port.ifindex &&
		 strcmp(link.kind, "vlan") == 0)
		v->has_vlan = true;
	return 0;
}

// Hardware takes the tag off before XDP sees the frame: one VLAN could enter as another.
static void
check_vlan(struct doctor *d, struct netlink *nl, const struct link_row *link)
{
	struct devices v = { .d = d, .port = *link };
	struct message m;
	char fix[FIX_LEN];

	d->n_checks++;
	if (netlink_dump(nl, message_dump_links(&m), take_link, &v) < 0 || !v.has_vlan ||
		!device_has_feature(link->name, "rx-vlan-hw-parse"))
		return;
	snprintf(fix, sizeof(fix), "ethtool -K %s rxvlan off", link->name);
	doctor_find(d, "vlan", true, fix,
		"%s has VLANs and takes their tags off in hardware; a frame of one VLAN could be "
		"taken for one without, or of another",
		link->name);
}

static void
check_port(struct doctor *d, struct netlink *nl, const char *name, bool is_af_xdp)
{
	struct link_row link;
	char fix[FIX_LEN];

	d->n_checks++;
	if (link_get(nl, name, &link) < 0) {
		snprintf(fix, sizeof(fix), "ip link");
		doctor_find(d, "interface", true, fix,
			"there is no interface %s, though dataplane.ports names it", name);
		return;
	}
	if (!link.up || !link.carrier) {
		snprintf(fix, sizeof(fix), "ip link set %s up", name);
		doctor_find(d, "interface", true, fix, "%s is %s", name,
			link.up ? "without a carrier" : "down");
	}
	check_offload(d, name, "rx-lro", "lro",
		"it merges packets of others, which cannot be forwarded as they were");
	check_offload(d, name, "rx-gro-hw", "rx-gro-hw",
		"it merges packets in hardware, which cannot be forwarded as they were");
	check_mtu(d, &link);
	check_xdp(d, &link, is_af_xdp);
	check_vlan(d, nl, &link);
}

// The larger of `all` and the interface's own counts; loose is larger than strict.
static void
check_rp_filter(struct doctor *d)
{
	char key[96], fix[FIX_LEN];
	int32_t for_all = 0, own = 0;

	d->n_checks++;
	if (sysctl_read("net/ipv4/conf/all/rp_filter", &for_all) < 0)
		return;
	snprintf(key, sizeof(key), "net/ipv4/conf/%s/rp_filter", d->tun);
	if (sysctl_read(key, &own) == 0 && (own > for_all ? own : for_all) == STRICT) {
		snprintf(fix, sizeof(fix), "sysctl -w net.ipv4.conf.%s.rp_filter=2", d->tun);
		doctor_find(d, "rp_filter", true, fix,
			"rp_filter is strict on %s; the kernel drops what comes out of the tunnel "
			"for flows that left by another interface",
			d->tun);
	} else if (for_all == STRICT) {
		doctor_find(d, "rp_filter", false, "sysctl -w net.ipv4.conf.all.rp_filter=2",
			"rp_filter is strict for all interfaces; packets that the kernel forwards "
			"are dropped where the way back is another one");
	}
}

void
doctor_check_devices(struct doctor *d)
{
	struct netlink nl;

	if (netlink_open(&nl) == 0) {
		for (size_t i = 0; i < d->n_ports; i++)
			check_port(d, &nl, d->ports[i], d->is_af_xdp[i]);
		netlink_close(&nl);
	}
	check_rp_filter(d);
}
