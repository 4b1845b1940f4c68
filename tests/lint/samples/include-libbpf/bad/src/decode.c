// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h> /* BAD */
#include <linux/bpf.h> // BAD
#include "helper.h" // BAD: leads to it
