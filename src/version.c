// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "version.h"

#include <bpf/libbpf.h>

#include "feed/library.h"
#include "history.h"
#include "metrics_listen.h"

void version_print(FILE *out)
{
	const char *sqlite = history_sqlite_version();

	fprintf(out, "porttrace %s\nlibbpf %s, SQLite %s; sinks: table, json%s%s; metrics: file%s\n"
		     "Licence: GPL-2.0-only OR BSD-2-Clause\n",
		PORTTRACE_VERSION, libbpf_version_string(), sqlite ? sqlite : "missing",
		library_has_curl ? ", otlp (libcurl)" : "", library_has_rdkafka ? ", kafka (librdkafka)" : "",
		metrics_listen_is_built ? ", http (libmicrohttpd)" : "");
}
