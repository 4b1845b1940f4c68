// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "hurry.h"

#include <sys/resource.h>

#define HURRY_NICE (-20)

/* Of the calling thread alone: so does Linux take the process 0. False: it may not. */
static bool hurry_nice(int value)
{
	return !setpriority(PRIO_PROCESS, 0, value);
}

void hurry_set(struct hurry *h, bool on)
{
	if (on == h->on || h->refused)
		return;
	if (on && getpriority(PRIO_PROCESS, 0) != 0)
		h->refused = true;
	else if (hurry_nice(on ? HURRY_NICE : 0))
		h->on = on;
	else
		h->refused = true;
}
