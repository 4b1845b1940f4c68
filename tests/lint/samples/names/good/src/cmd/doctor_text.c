// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
__attribute__((format(printf, 1, 2))) static void
doctor_text_say(const char *format, ...)
{
}

int doctor_other(void)
{
}
