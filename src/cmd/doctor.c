// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "../cmd.h"
static int doctor_main(int argc, char **argv) { (void)argc; (void)argv; return 0; }
const struct command cmd_doctor = { "doctor", "can it run here", doctor_main };
