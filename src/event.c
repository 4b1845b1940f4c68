// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The words of the output, each enum's in one table. */
#include "event.h"

const char *const event_kind_names[EVENT_KIND_COUNT] = {
	[EVENT_BIND] = "bind",	   [EVENT_LISTEN] = "listen", [EVENT_CONNECT] = "connect",
	[EVENT_ACCEPT] = "accept", [EVENT_CLOSE] = "close",
};
const char *const event_outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_SUCCESS] = "success",
	[OUTCOME_FAILURE] = "failure",
	[OUTCOME_UNKNOWN] = "unknown",
};
const char *const event_how_names[HOW_COUNT] = {
	[HOW_NONE] = "",	    [HOW_EXPLICIT] = "explicit", [HOW_BIND0] = "bind0",
	[HOW_CONNECT] = "connect", [HOW_AUTOBIND] = "autobind", [HOW_INHERITED] = "inherited",
};
const char *const event_role_names[ROLE_COUNT] = {
	[ROLE_UNKNOWN] = "",
	[ROLE_EGRESS] = "egress",
	[ROLE_INGRESS] = "ingress",
};
const char *const event_proto_names[PROTO_COUNT] = { [PROTO_TCP] = "tcp", [PROTO_UDP] = "udp" };
const char *const event_backend_names[BACKEND_COUNT] = {
	[BACKEND_TRACING] = "tracing",
	[BACKEND_CGROUP] = "cgroup",
};
const char *const port_class_names[CLASS_COUNT] = {
	[CLASS_NONE] = "",
	[CLASS_WELL_KNOWN] = "well-known",
	[CLASS_REGISTERED] = "registered",
	[CLASS_DYNAMIC] = "dynamic",
};
