// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "capture.h" // BAD
#include "helper.h" // BAD: leads to decode.h
