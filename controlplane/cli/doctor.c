/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice doctor: look for what is known to go wrong on a host, and say what to type against it.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/gateway.h"
#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/doctor_checks.h"
#include "controlplane/cli/show.h"

struct options {
	const char *run_dir, *config;
	bool json;
};

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "config", required_argument, NULL, 'c' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int option;

	while ((option = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'j')
			o->json = true;
		else if (option == 'c')
			o->config = optarg;
		else if (option == 'r')
			o->run_dir = optarg;
		else if (option == 'h')
			return command_help("doctor");
		else
			return command_usage_error("doctor", NULL);
	}
	if (optind != argc)
		return command_usage_error("doctor", "%s is too much", argv[optind]);
	return -1;
}

static void
add_port(struct doctor *d, const char *name, bool is_af_xdp)
{
	if (d->n_ports == DOCTOR_MAX_PORTS || strlen(name) >= IF_NAMESIZE)
		return;
	d->is_af_xdp[d->n_ports] = is_af_xdp;
	snprintf(d->ports[d->n_ports++], IF_NAMESIZE, "%s", name);
}

// Those of the running gateway; its sockets and its TUN are no devices.
static void
take_status(struct doctor *d)
{
	const json_t *ports = json_object_get(d->status, "ports"), *port;
	const char *tun = show_text(json_object_get(d->status, "interface"), "name", d->tun);
	size_t i;

	snprintf(d->tun, sizeof(d->tun), "%.15s", tun);
	d->listen_port = (uint16_t)show_number(d->status, "listen_port");
	json_array_foreach(ports, i, port)
	{
		const char *name = show_text(port, "name", ""),
			   *driver = show_text(port, "driver", "");

		if (name[0] != '\0' && strcmp(name, "wire") != 0 && strcmp(name, "host") != 0 &&
			strcmp(name, d->tun) != 0)
			add_port(d, name, strcmp(driver, "af_xdp") == 0);
	}
}

static int
take_config(struct doctor *d, const char *path)
{
	struct config_gateway *config = NULL;
	char *errors = NULL;
	int err = config_load_without_keys(path, &config, &errors);

	if (err < 0)
		doctor_find(d, "configuration", true, "sluice check",
			"the configuration cannot be used: %.400s", errors != NULL ? errors : path);
	free(errors);
	if (err < 0)
		return err;
	snprintf(d->tun, sizeof(d->tun), "%s", config->interface);
	d->listen_port = config->listen_port;
	for (size_t i = 0; d->status == NULL && i < config->n_ports; i++)
		add_port(d, config->ports[i], false);
	config_free(config);
	return 0;
}

static void
print(const struct doctor *d)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(d->findings, i, finding)
	{
		printf("%s: %s: %s\n", show_text(finding, "severity", ""),
			show_text(finding, "check", ""), show_text(finding, "what", ""));
		if (show_text(finding, "fix", "")[0] != '\0')
			printf("    %s\n", show_text(finding, "fix", ""));
	}
	if (d->status == NULL)
		printf("No gateway runs: what only a running one knows was not looked at.\n");
	printf("%zu checks, %zu findings.\n", d->n_checks, json_array_size(d->findings));
}

static void
print_json(const struct doctor *d)
{
	json_t *answer = json_pack("{s:b, s:i, s:O}", "running", d->status != NULL, "checks",
		(int)d->n_checks, "findings", d->findings);

	show_json(answer);
	json_decref(answer);
}

int
cmd_doctor(int argc, char **argv)
{
	struct options o = { .run_dir = COMMAND_DEFAULT_RUN_DIR, .config = CONFIG_DEFAULT_PATH };
	struct doctor d = { .findings = json_array() };
	int exit_status = parse(argc, argv, &o);

	if (exit_status < 0) {
		if (ask_quietly(o.run_dir, json_pack("{s:s, s:b}", "cmd", "status", "peers", 0),
			    ASK_TIMEOUT_S, &d.status) < 0)
			d.status = NULL;
		show_clean(d.status);
		if (take_config(&d, o.config) == 0 && d.status != NULL)
			take_status(&d);
		doctor_check_host(&d);
		doctor_check_devices(&d);
		doctor_check_firewall(&d);
		doctor_check_gateway(&d);
		if (o.json)
			print_json(&d);
		else
			print(&d);
		exit_status = json_array_size(d.findings) == 0 ? COMMAND_OK : COMMAND_FAILED;
	}
	json_decref(d.status);
	json_decref(d.findings);
	return exit_status;
}
