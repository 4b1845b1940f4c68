// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The words of the output, each enum's in one table. */
#include "event.h"

const struct event_who event_nobody;

const char *const event_kind_names[EVENT_KIND_COUNT] = {
	[EVENT_BIND] = "bind",	   [EVENT_LISTEN] = "listen", [EVENT_CONNECT] = "connect",
	[EVENT_ACCEPT] = "accept", [EVENT_CLOSE] = "close",  [EVENT_RELEASE] = "release",
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
const char *const event_pool_names[EVENT_POOL_COUNT] = {
	[EVENT_POOL_NONE] = "",
	[EVENT_POOL_CONNECT] = "connect",
	[EVENT_POOL_BIND] = "bind",
	[EVENT_POOL_UDP] = "udp",
};
const char *const event_half_names[EVENT_HALF_COUNT] = {
	[EVENT_HALF_UNKNOWN] = "",
	[EVENT_HALF_FIRST] = "first",
	[EVENT_HALF_SECOND] = "second",
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
const char *const event_cause_names[CAUSE_COUNT] = {
	[CAUSE_NONE] = "",
	[CAUSE_PORT_EXHAUSTED] = "port_exhausted",
	[CAUSE_IN_USE] = "in_use",
	[CAUSE_PRIVILEGED] = "privileged",
	[CAUSE_NOT_LOCAL] = "not_local",
	[CAUSE_NO_ADDRESS] = "no_address",
	[CAUSE_TUPLE_CLASH] = "tuple_clash",
	[CAUSE_DENIED] = "denied",
	[CAUSE_REFUSED] = "refused",
	[CAUSE_TIMED_OUT] = "timed_out",
	[CAUSE_UNREACHABLE] = "unreachable",
	[CAUSE_GIVEN_UP] = "given_up",
	[CAUSE_RESET] = "reset",
	[CAUSE_NEVER_ACCEPTED] = "never_accepted",
	[CAUSE_SHUT_DOWN] = "shut_down",
	[CAUSE_DISCONNECTED] = "disconnected",
};
const char *const event_confidence_names[CONFIDENCE_COUNT] = {
	[CONFIDENCE_SURE] = "",
	[CONFIDENCE_KERNEL] = "kernel",
	[CONFIDENCE_CLOSER] = "closer",
};
const char *const event_closer_names[CLOSER_COUNT] = {
	[CLOSER_NONE] = "",
	[CLOSER_LOCAL] = "local",
	[CLOSER_REMOTE] = "remote",
};
const char *const close_state_names[CLOSE_STATE_COUNT] = {
	[CLOSE_STATE_NONE] = "",
	[CLOSE_STATE_CLOSED] = "closed",
	[CLOSE_STATE_TIME_WAIT] = "time-wait",
	[CLOSE_STATE_CLOSING] = "closing",
};
const char *const holder_kind_names[HOLDER_KIND_COUNT] = {
	[HOLDER_LISTENER] = "listener",
	[HOLDER_BOUND] = "bound",
	[HOLDER_CONNECTION] = "connection",
	[HOLDER_TIME_WAIT] = "time-wait",
};

const char *const life_state_names[LIFE_STATE_COUNT] = {
	[LIFE_NONE] = "",	     [LIFE_BOUND] = "bound",	     [LIFE_LISTENING] = "listening",
	[LIFE_CONNECTED] = "connected", [LIFE_TIME_WAIT] = "time-wait", [LIFE_OVER] = "closed",
};
