// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "capture.h" /* "bpf/bpf.h" is in a comment only: #include <bpf/bpf.h> */
