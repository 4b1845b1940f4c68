// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
static int helper(int a) // BAD
{
	return a;
}

int process_read(int a, // BAD
		 int b)
{
	return a;
}

static inline struct x *
get_it(void) // BAD
{
}
