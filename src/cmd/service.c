// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "../cmd.h"
static int service_main(int argc, char **argv) { (void)argc; (void)argv; return 0; }
const struct command cmd_service = { "service", "what a port number means", service_main };
