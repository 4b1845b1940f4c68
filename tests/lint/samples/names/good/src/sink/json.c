// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
int json_open(void)
{
}

int sink_json_open(void)
{
}
