/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the path of a control group tells: container, pod, systemd unit. Pure. */
#ifndef PORTTRACE_CGROUP_H
#define PORTTRACE_CGROUP_H

#include "event.h"

/* Sizes as in struct event; "" = the path does not tell. Nothing is ever cut: what does not fit is
 * left out. */
struct cgroup_facts {
	char container_id[EVENT_ID_SIZE];
	char container_runtime[16];
	char pod_uid[EVENT_ID_SIZE];
	char unit[EVENT_ID_SIZE];
};

/* Reads a path such as "/system.slice/nginx.service". */
void cgroup_parse_path(const char *path, struct cgroup_facts *ret);
/*
 * Reads the text of /proc/PID/cgroup. The line of cgroup v2 ("0::/...") counts; but where v1
 * hierarchies exist beside it (hybrid hosts) a container may show in those only, and the unit in
 * that of systemd. Changes `text`.
 */
void cgroup_parse_file(char *text, struct cgroup_facts *ret);
/* Whether such a text has lines of v1 hierarchies. */
bool cgroup_file_is_hybrid(const char *text);

#endif
