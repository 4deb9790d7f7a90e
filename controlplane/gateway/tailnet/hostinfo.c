/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/tailnet/hostinfo.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MAX_SERVICES 2
#define TEXT_LEN     128 // of what the system says of itself
#define LOG_ID_LEN   65

struct own_facts {
	struct own_hostinfo info;
	struct net_info net;
	struct region_latency latencies[OWN_FACTS_MAX_LATENCIES];
	struct own_service services[MAX_SERVICES];
	const char *tags[CONFIG_MAX_TAGS]; // into prefs
	struct tailnet_prefs prefs;
	struct utsname system;
	char log_id[LOG_ID_LEN];
	char host_name[OWN_HOST_NAME_LEN];
	char distro[TEXT_LEN], distro_version[TEXT_LEN], distro_code_name[TEXT_LEN];
	char device_model[TEXT_LEN];
	char *told; // what was last compared: the JSON text without latencies
};

/* --- the system --- */

char *
own_host_name(const char *name, char text[static OWN_HOST_NAME_LEN])
{
	size_t len = 0;

	for (; *name != '\0' && *name != '.' && len < OWN_HOST_NAME_LEN - 1; name++) {
		unsigned char c = (unsigned char)*name;

		if (c < 0x80 && isalnum(c))
			text[len++] = (char)tolower(c);
		else if (len > 0)
			text[len++] = '-';
	}
	while (len > 0 && text[len - 1] == '-')
		len--;
	text[len] = '\0';
	return text;
}

static void
read_host_name(struct own_facts *own)
{
	char name[256] = "";

	// The last byte stays zero: a name that is cut is not terminated.
	if (gethostname(name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	own_host_name(name, own->host_name);
}

// As Go calls it: what servers and other clients show.
static const char *
architecture(const char *machine)
{
	static const struct {
		const char *machine, *name;
	} rows[] = {
		{ "x86_64", "amd64" },
		{ "aarch64", "arm64" },
		{ "armv7l", "arm" },
		{ "armv6l", "arm" },
		{ "i686", "386" },
		{ "i386", "386" },
		{ "riscv64", "riscv64" },
		{ "ppc64le", "ppc64le" },
		{ "s390x", "s390x" },
		{ "loongarch64", "loong64" },
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (strcmp(machine, rows[i].machine) == 0)
			return rows[i].name;
	return machine;
}

// NAME=value or NAME="value" of os-release; escapes inside are kept as they are.
static void
take_assignment(const char *line, const char *name, char out[static TEXT_LEN])
{
	size_t len = strlen(name);
	const char *value;

	if (strncmp(line, name, len) != 0 || line[len] != '=')
		return;
	value = line + len + 1;
	if (*value == '"' || *value == '\'')
		value++;
	snprintf(out, TEXT_LEN, "%.*s", (int)strcspn(value, "\"'\n"), value);
}

static void
read_os_release(struct own_facts *own)
{
	FILE *f = fopen("/etc/os-release", "re");
	char line[512];

	if (f == NULL)
		f = fopen("/usr/lib/os-release", "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		take_assignment(line, "ID", own->distro);
		take_assignment(line, "VERSION_ID", own->distro_version);
		take_assignment(line, "VERSION_CODENAME", own->distro_code_name);
	}
	fclose(f);
}

static void
read_first_line(const char *path, char out[static TEXT_LEN])
{
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return;
	if (fgets(out, TEXT_LEN, f) != NULL)
		out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

static bool
is_in_file(const char *path, const char *wanted)
{
	FILE *f = fopen(path, "re");
	char line[512];
	bool found = false;

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, wanted) != NULL;
	if (f != NULL)
		fclose(f);
	return found;
}

static bool
is_container(void)
{
	static const char *const signs[] = { "/.dockerenv", "/run/.containerenv",
		"/run/systemd/container" };

	for (size_t i = 0; i < COUNT(signs); i++)
		if (access(signs[i], F_OK) == 0)
			return true;
	return is_in_file("/proc/1/cgroup", "/docker/") || is_in_file("/proc/1/cgroup", "/lxc/");
}

static void
look_at_system(struct own_facts *own)
{
	struct own_hostinfo *info = &own->info;

	uname(&own->system);
	read_host_name(own);
	read_os_release(own);
	read_first_line("/sys/firmware/devicetree/base/model", own->device_model);
	*info = (struct own_hostinfo){
		.version = SLUICE_VERSION "-sluice",
		.backend_log_id = own->log_id,
		.os = "linux",
		.os_version = own->system.release,
		.distro = own->distro,
		.distro_version = own->distro_version,
		.distro_code_name = own->distro_code_name,
		.device_model = own->device_model,
		.hostname = own->host_name,
		.machine = own->system.machine,
		.arch = architecture(own->system.machine),
		.container = is_container() ? TRI_TRUE : TRI_FALSE,
		.desktop = TRI_FALSE,
		.no_logs_no_support = true, // nothing is ever uploaded
		.userspace = TRI_FALSE,
		.userspace_router = TRI_FALSE,
		.app_connector = TRI_FALSE,
		.state_encrypted = TRI_FALSE,
	};
}

/* --- what has changed --- */

// The text of all that is worth telling, or NULL: out of memory.
static char *
text_without_latencies(const struct own_facts *own)
{
	struct own_hostinfo info = own->info;
	struct net_info net = own->net;
	struct json_writer w = {};
	const char *text = NULL;
	char *copy = NULL;
	size_t len;

	net.n_latencies = 0;
	if (info.net_info != NULL)
		info.net_info = &net;
	own_hostinfo_write(&w, NULL, &info);
	if (json_writer_finish(&w, &text, &len) == 0)
		copy = strdup(text);
	json_writer_fini(&w);
	return copy;
}

static bool
has_changed(struct own_facts *own)
{
	char *text = text_without_latencies(own);
	bool differs = text == NULL || own->told == NULL || strcmp(text, own->told) != 0;

	free(own->told);
	own->told = text;
	return differs;
}

/* --- setters --- */

bool
own_facts_set_prefs(struct own_facts *own, const struct tailnet_prefs *prefs)
{
	struct own_hostinfo *info = &own->info;

	own->prefs = *prefs;
	prefs = &own->prefs;
	info->hostname = prefs->hostname[0] != '\0' ? prefs->hostname : own->host_name;
	info->shields_up = prefs->shields_up;
	info->routable_ips = prefs->advertise_routes;
	info->n_routable_ips = prefs->n_advertise_routes;
	for (size_t i = 0; i < prefs->n_advertise_tags; i++)
		own->tags[i] = prefs->advertise_tags[i];
	info->request_tags = own->tags;
	info->n_request_tags = prefs->n_advertise_tags;
	return has_changed(own);
}

bool
own_facts_set_peer_api(struct own_facts *own, uint16_t port4, uint16_t port6)
{
	struct own_hostinfo *info = &own->info;

	info->services = own->services;
	info->n_services = 0;
	if (port4 != 0)
		own->services[info->n_services++] = (struct own_service){ "peerapi4", port4, NULL };
	if (port6 != 0)
		own->services[info->n_services++] = (struct own_service){ "peerapi6", port6, NULL };
	return has_changed(own);
}

bool
own_facts_set_net_info(struct own_facts *own, const struct net_info *info)
{
	own->info.net_info = info != NULL ? &own->net : NULL;
	if (info == NULL)
		return has_changed(own);
	own->net = *info;
	if (own->net.n_latencies > OWN_FACTS_MAX_LATENCIES)
		own->net.n_latencies = OWN_FACTS_MAX_LATENCIES;
	for (size_t i = 0; i < own->net.n_latencies; i++)
		own->latencies[i] = info->latencies[i];
	own->net.latencies = own->latencies;
	return has_changed(own);
}

bool
own_facts_wobble(struct own_facts *own)
{
	if (own->info.net_info == NULL || own->net.n_latencies == 0)
		return false;
	own->latencies[0].latency_us ^= 1;
	return true;
}

bool
own_facts_refresh(struct own_facts *own)
{
	read_host_name(own); // info.hostname points there, unless it was set
	return has_changed(own);
}

const struct own_hostinfo *
own_facts_hostinfo(const struct own_facts *own)
{
	return &own->info;
}

int
own_facts_create(const char *log_id, struct own_facts **ret_own)
{
	struct own_facts *own = calloc(1, sizeof(*own));

	if (own == NULL)
		return -ENOMEM;
	snprintf(own->log_id, sizeof(own->log_id), "%s", log_id);
	look_at_system(own);
	(void)has_changed(own);
	*ret_own = own;
	return 0;
}

void
own_facts_destroy(struct own_facts *own)
{
	if (own == NULL)
		return;
	free(own->told);
	free(own);
}
