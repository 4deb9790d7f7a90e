/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One row per command.  tests/functional compares the help with the manual and the completion.
 */

#include "controlplane/cli/commands.h"

#include <string.h>

#include "config/gateway.h"
#include "controlplane/cli/command.h"

static const struct command commands[] = {
	{
		"up",
		cmd_up,
		"[OPTIONS]",
		"be connected to a tailnet; starts the gateway if none runs",
		"  --login-server URL       the coordination server\n"
		"  --auth-key KEY|file:PATH what lets this gateway in without a person\n"
		"  --hostname NAME          our name in the tailnet (default: the host's)\n"
		"  --accept-routes          use the subnets that other members offer\n"
		"  --advertise-routes LIST  offer these subnets: 10.7.0.0/16,fd07::/48\n"
		"  --advertise-tags LIST    ask for these tags: tag:router,tag:b\n"
		"  --snat-subnet-routes     reach them under our address (default true)\n"
		"  --accept-dns             use the tailnet's DNS settings (default true)\n"
		"  --shields-up             refuse everything that others begin\n"
		"  --ca-file FILE           certificates besides the system's, for the server\n"
		"  --force-reauth           log in again, with a new key\n"
		"  --reset                  settings that are not mentioned become their defaults\n"
		"  --qr                     the address for logging in also as a QR code\n"
		"  --timeout DURATION       how long to wait, 30s (default 0: as long as it "
		"takes)\n"
		"  --accept-risk RISK       tailscaled, all: start although it is not advised\n"
		"  --config FILE, --state-dir DIR  for a gateway that is started, as for `run`\n"
		"Flags that are on or off take =false.  Settings other than their defaults must "
		"all\n"
		"be mentioned, or --reset given; `sluice set` changes single ones.\n",
	},
	{
		"down",
		cmd_down,
		"",
		"leave the tailnet, but stay registered",
		"`sluice up` connects again, without logging in.  Where all processes were killed,\n"
		"it undoes what they had changed on this host.\n",
	},
	{
		"login",
		cmd_login,
		"[OPTIONS]",
		"log in again, perhaps to another tailnet",
		"The options are those of `up`, and nothing else need be mentioned:\n"
		"  --login-server URL, --auth-key KEY|file:PATH, --hostname NAME,\n"
		"  --accept-routes, --advertise-routes LIST, --advertise-tags LIST,\n"
		"  --snat-subnet-routes, --accept-dns, --shields-up, --ca-file FILE,\n"
		"  --force-reauth, --reset, --qr, --timeout DURATION, --accept-risk RISK,\n"
		"  --config FILE, --state-dir DIR\n",
	},
	{
		"logout",
		cmd_logout,
		"",
		"leave the tailnet and forget its key, here and at the server",
		NULL,
	},
	{
		"set",
		cmd_set,
		"[OPTIONS]",
		"change single settings; all others stay",
		"  --hostname NAME, --accept-routes, --advertise-routes LIST, --shields-up,\n"
		"  --snat-subnet-routes, --accept-dns, --ca-file FILE   as for `up`\n",
	},
	{
		"status",
		cmd_status,
		"[--peers] [--ports] [--drops] [--flows] [--dataplane] [--json] [--active] "
		"[--self=false] [--header]",
		"show the members of the tailnet, or the peers, and how they are reached",
		"  --peers        only them; --peers=false: in a tailnet, no other members\n"
		"  --ports        ports with their drivers, next hops, workers\n"
		"  --drops        packets that were dropped, by reason\n"
		"  --flows        flows that are translated or remembered\n"
		"  --dataplane    more of the data plane, its processes and cipher, but no peers\n"
		"  --json         everything, or the parts that are asked for, for programs\n"
		"  --active       in a tailnet: only members with traffic\n"
		"  --self=false   in a tailnet: not ourselves\n"
		"  --header       in a tailnet: a line with the names of the columns\n"
		"Exit status 1: no gateway answers, or it is not connected.\n",
	},
	{
		"routes",
		cmd_routes,
		"[--json]",
		"show what is offered to the tailnet, and what of others' is taken",
		"  --json  for programs\n",
	},
	{
		"capture",
		cmd_capture,
		"[--peer P] [--port N] [-w FILE|-] [-c N]",
		"show packets as they go through the tunnel, and why others are dropped",
		"  --peer P   only this peer's: its name, address or key\n"
		"  --port N   only TCP and UDP with this port, on either side\n"
		"  -w FILE    write a file for Wireshark (pcapng) instead; -: stdout\n"
		"  -c N       end after so many packets\n"
		"tcpdump on the interface sees nothing of what the workers receive and send.\n",
	},
	{
		"doctor",
		cmd_doctor,
		"[--json] [--config FILE]",
		"look for what is known to go wrong on a host, and say what to type against it",
		"  --json         for programs\n"
		"  --config FILE  of the gateway (" CONFIG_DEFAULT_PATH ")\n"
		"Nothing is changed.  Exit status 1: something was found.\n",
	},
	{
		"ping",
		cmd_ping,
		"[OPTIONS] ADDRESS|NAME",
		"ask another member of the tailnet, and see by which path it answers",
		"  -c N                at most so often (default 10; 0: without end)\n"
		"  --timeout DURATION  how long to wait for each answer (default 5s)\n"
		"  --until-direct      stop at the first answer by a direct path (default true)\n"
		"  --size BYTES        of the message, to try how large a packet may be\n"
		"  --tsmp              through the tunnel, without its host's help\n"
		"  --icmp              through the tunnel, answered by its host\n"
		"  --peerapi           its HTTP service\n"
		"Exit status 1: no answer, or none by a direct path.\n",
	},
	{
		"netcheck",
		cmd_netcheck,
		"[--json]",
		"look at what the network around us allows",
		"  --json  for programs\n",
	},
	{
		"ip",
		cmd_ip,
		"[-1|-4|-6] [ADDRESS|NAME]",
		"print our addresses in the tailnet, or another member's",
		"  -1  only one address\n"
		"  -4  IPv4 only\n"
		"  -6  IPv6 only\n",
	},
	{
		"whois",
		cmd_whois,
		"[--json] ADDRESS[:PORT]|NAME",
		"print the machine and the user behind an address of the tailnet",
		"  --json  for programs\n",
	},
	{
		"debug",
		cmd_debug,
		"[--json] map|derp|paths",
		"show the tailnet's map, the relays, or the paths to peers",
		"  --json  for programs; the map is JSON in any case\n"
		"What it prints may change from version to version.\n",
	},
	{
		"run",
		cmd_run,
		"[--config FILE] [--run-dir DIR] [--state-dir DIR]",
		"run a gateway in the foreground",
		"  --config FILE    what the gateway is to do, see `sluice help config`\n"
		"                   (default " CONFIG_DEFAULT_PATH "; without that file,\n"
		"                   a member of a tailnet that waits for `sluice up`)\n"
		"  --run-dir DIR    sockets, locks and the journal (default /run/sluice)\n"
		"  --state-dir DIR  what outlives a reboot (default /var/lib/sluice)\n"
		"SIGTERM and SIGINT end it and undo every change to the host; SIGHUP reads the\n"
		"configuration again.\n",
	},
	{
		"reload",
		cmd_reload,
		"",
		"let a running gateway read its configuration again",
		"Only what differs is changed; peers that stay keep their sessions.  A file with "
		"an\n"
		"error changes nothing, and the error is shown.\n",
	},
	{
		"check",
		cmd_check,
		"[--print] FILE",
		"say what is wrong with a configuration file",
		"  --print   write the configuration in its canonical form, with all defaults\n",
	},
	{
		"import",
		cmd_import,
		"[--key-dir DIR] [--force] FILE",
		"make a configuration of a WireGuard file (wg, wg-quick)",
		"  --key-dir DIR   folder for the keys, made if needed (default /etc/sluice/keys)\n"
		"  --force         replace key files that are there already\n"
		"The configuration is written to stdout, what has no counterpart is named on "
		"stderr.\n",
	},
	{
		"genkey",
		cmd_genkey,
		"",
		"make a private key",
		"Write it into a file that only its owner can read: (umask 077; sluice genkey > "
		"FILE)\n",
	},
	{
		"pubkey",
		cmd_pubkey,
		"",
		"make the public key of a private key on stdin",
		NULL,
	},
	{
		"genpsk",
		cmd_genpsk,
		"",
		"make a preshared key",
		"Write it into a file that only its owner can read: (umask 077; sluice genpsk > "
		"FILE)\n",
	},
	{
		"version",
		cmd_version,
		"[--daemon] [--json]",
		"print the version",
		"  --daemon  also that of the gateway that runs\n"
		"  --json    for programs\n",
	},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

const struct command *
commands_at(size_t i)
{
	return i < N_COMMANDS ? &commands[i] : NULL;
}

const struct command *
commands_find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}
