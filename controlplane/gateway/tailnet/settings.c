/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What people have set, taken into force: for our trust in certificates, for what we say of
 * ourselves, for peers and filter.
 */

#define LOG_TAG "tailnet"

#include <errno.h>
#include <stdlib.h>

#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

static void
renew_trust(struct member *m)
{
	struct trust *trust;
	const char *file = m->prefs.ca_file[0] != '\0' ? m->prefs.ca_file : NULL;
	int err = trust_create(file, &trust);

	if (err < 0) {
		log_err("the file of authorities cannot be used: %s: %s", file != NULL ? file : "-",
			err_str(err));
		return;
	}
	trust_unref(m->trust);
	m->trust = trust;
	stream_set_trust(m->streams, trust);
	m->wish_due = true;
}

void
member_tell_hostinfo(struct member *m, bool changed)
{
	changed |= own_facts_set_prefs(m->own, &m->prefs);
	changed |= own_facts_set_peer_api(
		m->own, peer_api_port(m->peer_api, ADDR_V4), peer_api_port(m->peer_api, ADDR_V6));
	if (m->facts != NULL && m->facts->has_report)
		changed |= own_facts_set_report(m->own, &m->facts->report, m->facts->home_region);
	if (changed && m->client != NULL)
		coord_client_update(m->client);
}

// Defaults, what was set by commands, and what the file says, which wins.
static int
read_prefs(const struct member *m, struct tailnet_prefs *ret)
{
	struct tailnet_prefs *file = malloc(sizeof(*file));
	struct prefs_error error;
	int err;

	if (file == NULL)
		return -ENOMEM;
	prefs_default(ret);
	prefs_apply(ret, store_prefs(m->store));
	err = prefs_from_config(&m->setup.config->tailnet, file, &error);
	if (err < 0)
		log_err("%s: %s; %s", error.what, error.why, error.what_to_do);
	else
		prefs_apply(ret, file);
	free(file);
	return err;
}

void
member_settings_changed(struct member *m)
{
	struct tailnet_prefs *fresh = malloc(sizeof(*fresh));
	uint32_t differ;

	if (fresh == NULL || read_prefs(m, fresh) < 0) {
		log_err("the settings stay as they were");
		free(fresh);
		return;
	}
	differ = prefs_diff(&m->prefs, fresh);
	m->prefs = *fresh;
	free(fresh);
	if ((differ & PREF(CA_FILE)) != 0)
		renew_trust(m);
	if ((differ & PREF(LOGIN_SERVER)) != 0) { // up connects with the other one
		member_disconnect(m);
		member_forget_map(m);
	}
	if ((differ & (PREF(ADVERTISE_ROUTES) | PREF(SNAT_SUBNET_ROUTES))) != 0)
		m->host_due = true;
	(void)member_renew_own_nets(m);
	m->filter_due = m->wish_due = true;
	member_tell_hostinfo(m, false);
}
