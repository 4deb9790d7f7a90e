/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whose certificates are believed: the system's authorities and, if named, those of a file.
 *
 * Source: SSL_CTX_set_default_verify_paths(3): SSL_CERT_FILE and SSL_CERT_DIR are honoured.
 * Owner:  counted references: who creates one unrefs it, and each set holds one.
 * Thread: create and use from any; it does not change.
 *
 * Everything is read when it is created, so that nothing needs to be opened afterwards.
 */
#ifndef CONTROLPLANE_GATEWAY_STREAM_TRUST_H
#define CONTROLPLANE_GATEWAY_STREAM_TRUST_H

struct trust;

/*
 * ca_file: PEM, one certificate or several, believed besides the system's; NULL: none.
 * 0; -ENOMEM; -errno of opening ca_file; ERR_BAD_FORMAT: it holds no certificate.
 * That the system has no authorities is no error: nothing is believed then.
 */
[[nodiscard]] int trust_create(const char *ca_file, struct trust **ret_trust);
struct trust *trust_ref(struct trust *trust);
void trust_unref(struct trust *trust); /* NULL is allowed */

#endif
