// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
void proc_read(void)
{
	exit(1); // BAD
	_exit(1); // BAD
	abort(); // BAD
	err(1, "no"); // BAD
	assert(x); // BAD
}
