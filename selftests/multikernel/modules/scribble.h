/* SPDX-License-Identifier: GPL-2.0 */
int start_scribble_channel(unsigned int ms);
