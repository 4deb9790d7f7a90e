/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/port_mapping/igd.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/crypto/key.h"
#include "lib/traversal/portmap.h"

#define DISCOVER_MS     1000
#define DISCOVER_TTL    2
#define PORT_TRIES      3
#define MIN_PORT        1024
#define MAX_PORT        65534
#define DESCRIPTION     "sluice"
#define FAULT_ARGUMENTS 402
#define FAULT_CONFLICT  718
#define FAULT_PERMANENT 725 /* only permanent leases are supported */
#define PORT_TEXT_LEN   6
#define LIFE_TEXT_LEN   12

#define SPARE_DESCRIPTORS 128 /* that other threads may open meanwhile */

struct igd { /* one that was found */
	struct UPNPUrls urls;
	struct IGDdatas data;
	char self[64]; /* our address, as the library has found it */
};

bool
igd_url_is_of(const char *url, const struct addr *host)
{
	static const char scheme[] = "http://";
	char text[ADDR_TEXT_LEN];
	size_t len;

	if (url == NULL || strncmp(url, scheme, sizeof(scheme) - 1) != 0)
		return false;
	url += sizeof(scheme) - 1;
	len = strcspn(url, "/:");
	addr_format(host, text);
	return len == strlen(text) && memcmp(url, text, len) == 0;
}

// Keep only devices that are at the router; the rest is freed.
static struct UPNPDev *
only_of_router(struct UPNPDev *list, const struct addr *router)
{
	struct UPNPDev *kept = NULL, **last = &kept, *others = NULL, *next;

	for (; list != NULL; list = next) {
		next = list->pNext;
		list->pNext = NULL;
		if (igd_url_is_of(list->descURL, router)) {
			*last = list;
			last = &list->pNext;
		} else {
			list->pNext = others;
			others = list;
		}
	}
	freeUPNPDevlist(others);
	return kept;
}

// The library calls select(), which ends the process for descriptors beyond its set.
static bool
can_select(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0 && fd < FD_SETSIZE - SPARE_DESCRIPTORS;
}

static bool
find(const struct upnp_question *q, struct igd *ret)
{
	char self[ADDR_TEXT_LEN];
	int err = 0, kind;
	struct UPNPDev *list;

	addr_format(&q->self, self);
	list = upnpDiscover(DISCOVER_MS, self, NULL, UPNP_LOCAL_PORT_ANY, 0, DISCOVER_TTL, &err);
	list = only_of_router(list, &q->router);
	if (list == NULL)
		return false;
	kind = UPNP_GetValidIGD(list, &ret->urls, &ret->data, ret->self, sizeof(ret->self));
	freeUPNPDevlist(list);
	if (kind == 0)
		return false;
	// 1: connected; 2: says that it is not, and may be wrong; 3: no router at all.
	if (kind <= 2 && igd_url_is_of(ret->urls.controlURL, &q->router))
		return true;
	FreeUPNPUrls(&ret->urls);
	return false;
}

static uint16_t
random_port(void)
{
	uint32_t random;

	random_bytes(&random, sizeof(random));
	return (uint16_t)(MIN_PORT + random % (MAX_PORT - MIN_PORT + 1));
}

static bool
is_second_version(const struct igd *igd)
{
	return strstr(igd->data.first.servicetype, "WANIPConnection:2") != NULL;
}

// Returns the fault, 0 for success; the router may give another port than asked for.
static int
add_once(const struct igd *igd, const struct upnp_question *q, uint16_t *port, uint32_t life_s)
{
	char inside[PORT_TEXT_LEN], outside[PORT_TEXT_LEN], life[LIFE_TEXT_LEN], given[16] = "";
	char self[ADDR_TEXT_LEN];
	unsigned long got;
	int fault;

	snprintf(inside, sizeof(inside), "%u", q->local_port);
	snprintf(outside, sizeof(outside), "%u", *port);
	snprintf(life, sizeof(life), "%u", life_s);
	addr_format(&q->self, self);
	if (!is_second_version(igd))
		return UPNP_AddPortMapping(igd->urls.controlURL, igd->data.first.servicetype,
			outside, inside, self, DESCRIPTION, "UDP", NULL, life);
	fault = UPNP_AddAnyPortMapping(igd->urls.controlURL, igd->data.first.servicetype, outside,
		inside, self, DESCRIPTION, "UDP", NULL, life, given);
	got = strtoul(given, NULL, 10);
	if (fault == 0 && got > 0 && got <= UINT16_MAX)
		*port = (uint16_t)got;
	return fault;
}

// The first choice is a port that we would choose again: after a restart it replaces our own.
static bool
add(const struct igd *igd, const struct upnp_question *q, uint16_t *ret_port, uint32_t *ret_life_s)
{
	uint16_t port = q->external_port != 0 ? q->external_port : q->local_port;
	uint32_t life_s = UPNP_LIFETIME_S;

	for (unsigned i = 0; i < PORT_TRIES; i++) {
		int fault = add_once(igd, q, &port, life_s);

		if (fault == 0) {
			*ret_port = port;
			*ret_life_s = life_s;
			return true;
		}
		if (fault == FAULT_PERMANENT || (fault == FAULT_ARGUMENTS && life_s != 0))
			life_s = 0;
		else if (fault == FAULT_CONFLICT)
			port = random_port();
		else
			return false;
	}
	return false;
}

static bool
external_address(const struct igd *igd, struct addr *ret)
{
	char text[40] = ""; // the library writes up to 40 bytes

	if (UPNP_GetExternalIPAddress(igd->urls.controlURL, igd->data.first.servicetype, text) != 0)
		return false;
	text[sizeof(text) - 1] = '\0';
	return addr_parse(text, ret) == 0 && portmap_address_is_usable(ret);
}

static bool
note(struct igd_mapping *mapping, const struct igd *igd, uint16_t port)
{
	int a = snprintf(
		mapping->control_url, sizeof(mapping->control_url), "%s", igd->urls.controlURL);
	int b = snprintf(
		mapping->service, sizeof(mapping->service), "%s", igd->data.first.servicetype);

	mapping->external_port = port;
	return a < (int)sizeof(mapping->control_url) && b < (int)sizeof(mapping->service);
}

struct upnp_answer
igd_map(const struct upnp_question *q, struct igd_mapping *mapping)
{
	struct upnp_answer answer = {};
	struct igd *igd = calloc(1, sizeof(*igd));

	if (igd == NULL || !can_select() || !find(q, igd)) {
		free(igd);
		return answer;
	}
	answer.has_device = true;
	if (external_address(igd, &answer.external.addr) &&
		add(igd, q, &answer.external.port, &answer.lifetime_s))
		answer.is_mapped = note(mapping, igd, answer.external.port);
	FreeUPNPUrls(&igd->urls);
	free(igd);
	return answer;
}

void
igd_delete(struct igd_mapping *mapping)
{
	char port[PORT_TEXT_LEN];

	if (mapping->external_port == 0 || !can_select())
		return;
	snprintf(port, sizeof(port), "%u", mapping->external_port);
	(void)UPNP_DeletePortMapping(mapping->control_url, mapping->service, port, "UDP", NULL);
	mapping->external_port = 0;
}
