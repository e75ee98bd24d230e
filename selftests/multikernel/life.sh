#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The main road: load, start, kill, reload, restart, remove.

. "$(dirname "$0")/lib.sh"

test_start_and_kill() {
	need_image 7.3
	instance web 2-3 512M
	equal state "$(state web)" empty
	load web 7.3
	equal state "$(state web)" loaded
	start web
	equal state "$(state web)" running
	hears 60 '^web: CPUs: 2$'
	hears 30 '^web: uptime 3\.'
	order web kill
	equal state "$(state web)" stopped
	equal reason "$(reason web)" killed
	online 2 || true
}

run_tests "$@"
