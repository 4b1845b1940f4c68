// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// TODO: this is BAD
int a; /* FIXME BAD */
// XXX BAD
int b; // a blank follows: BAD 
