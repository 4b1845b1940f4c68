// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
void json_say(const char *f, va_list a)
{
	vfprintf(stderr, f, a); // BAD
}
