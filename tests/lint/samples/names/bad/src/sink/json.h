// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
static inline int write_it(void) // BAD
{
	return 0;
}
