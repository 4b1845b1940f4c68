/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an OTLP receiver answers: ExportLogsServiceResponse, or google.rpc.Status, as JSON. It may be cut, or
 * anything else.
 */
#ifndef PORTTRACE_OTLP_ANSWER_H
#define PORTTRACE_OTLP_ANSWER_H

#include <stdint.h>

#include "../feed.h"

/* partialSuccess.rejectedLogRecords; 0 if there is none. */
uint64_t otlp_answer_rejected(const char *body);

/* "answered HTTP 400: bad wire type": with what the body says, as far as it is printable. */
void otlp_answer_trouble(int status, const char *body, char ret[FEED_TROUBLE_SIZE]);

#endif
