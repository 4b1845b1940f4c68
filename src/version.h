/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PORTTRACE_VERSION_H
#define PORTTRACE_VERSION_H

#include <stdio.h>

#define PORTTRACE_VERSION "0.1.0"

/* Version, what was built in, and the licence. */
void version_print(FILE *out);

#endif
