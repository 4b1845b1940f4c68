// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
static int proc_one(int a)
{
	return a;
}

const struct x *proc_two(int a,
			 const char *b)
{
	if (a) {
		return NULL;
	}
	return other_call(a);
}

static const struct y table[] = {
	{ other_call },
};
