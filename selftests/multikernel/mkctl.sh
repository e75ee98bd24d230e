#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mkctl, from a run to a removal, and what it says when something cannot be.
#   MK_CTL   mkctl   (mkctl of PATH)

. "$(dirname "$0")/lib.sh"

CTL=${MK_CTL:-mkctl}
# It looks for kexec where everybody does.
[[ $KEXEC != */* ]] || PATH=$(dirname "$KEXEC"):$PATH

need_mkctl() { command -v "$CTL" >/dev/null || skip "there is no mkctl (MK_CTL)"; }

# ends STATUS TEXT COMMAND...: the command ends with this status, and tells this
ends() {
	local status=$1 text=$2 said found=0
	shift 2
	said=$("$@" 2>&1) || found=$?
	equal "the status of '$*', which said '$said'," "$found" "$status"
	grep -qF -- "$text" <<<"$said" || fail "'$*' said '$said', not '$text'"
}

# runs NAME CPUS MEMORY [MORE FOR THE COMMAND LINE]
runs() {
	"$CTL" run "$1" --cpus "$2" --memory "$3" ${INITRD:+"--initrd=$INITRD"} \
		--append "console=ttyS1,115200 mk.tag=$1 ${4:-}" "$(image 7.3)"
}

# of_json EXPRESSION: of the first instance
of_json() { "$CTL" list --json | /usr/bin/python3 -c "import json, sys; it = json.load(sys.stdin)[0]; print($1)"; }

# nothing_is_left NAME CPU...: neither the instance nor a CPU that is offline
nothing_is_left() {
	local cpu name=$1
	shift
	[ ! -e "$CONFIGFS/$name" ] || fail "there still is an instance $name"
	for cpu in "$@"; do cpu_online "$cpu" || fail "CPU $cpu is offline"; done
}

test_run_to_rm() {
	local core=/tmp/it.core
	need_mkctl
	need_image 7.3
	equal 'an empty list' "$("$CTL" list --json | /usr/bin/python3 -m json.tool)" '[]'
	equal 'what run says' "$(runs it 2-3 512M "mk.do=panic mk.after=$((2 * ${MK_SLOW:-1}))")" 'it runs on CPU 2-3 with 512M'
	equal list "$(of_json 'it["name"], it["state"], it["cpus"], it["memory"], it["starts"], it["detail"]')" \
		'it running [2, 3] 536870912 1 None'
	[[ $("$CTL" list) == *'it    running  2-3   512M'* ]] || fail "list says $("$CTL" list)"
	ends 0 'panicked panic Kernel panic' "$CTL" wait --timeout 2m it
	[[ $(of_json 'it["detail"]') == 'Kernel panic - not syncing: '* ]] || fail "the detail is $(of_json 'it["detail"]')"
	# What is of its log is not for everybody.
	equal 'reason, for nobody' "$(setpriv --reuid=65534 --clear-groups cat "$CLASS/it/reason")" panic
	ends 0 '=== life 1: panicked, reason panic, ' "$CTL" log it
	"$CTL" log it | grep -q 'it: CPUs: 2$' || fail 'the log has not what it said'
	"$CTL" core it "$core"
	readelf -h "$core" | grep -q 'CORE (Core file)' || fail 'core makes no core file'
	[ $(($(stat -c '%b * %B' "$core"))) -lt $(($(stat -c %s "$core") / 2)) ] || fail 'the core has no holes'
	ends 1 'File exists' "$CTL" core it "$core"
	rm "$core"
	ends 4 'mkctl start it' "$CTL" restart it
	"$CTL" start it
	mark
	hears 60 '^it: CPUs: 2$'
	"$CTL" restart it
	"$CTL" kill it
	equal 'state, reason' "$("$CTL" wait it)" 'killed killed'
	"$CTL" rm --online it
	nothing_is_left it 2 3
}

test_what_is_refused() {
	need_mkctl
	need_image 7.3
	runs it 2 512M
	ends 4 'mkctl restart it' "$CTL" start it
	ends 4 'there is an instance it already' runs it 3 512M
	ends 4 'mkctl rm --force it' "$CTL" rm it
	ends 5 'it is running, and the time is up' "$CTL" wait --timeout 100ms it
	ends 3 'there is no instance nobody' "$CTL" stop nobody
	ends 4 'nobody in it speaks to the host' "$CTL" ping it
	ends 2 'a multiple of 2M' "$CTL" run x --cpus 2 --memory 1M /dev/null
	# The kernel's own words, which the errno does not have.
	ends 1 'write never, on-failure or always' "$CTL" set it restart_policy=sometimes
	ends 1 'it has no colour' "$CTL" set it colour=red
	"$CTL" set it restart_policy=always restart_limit=7
	equal set "$("$CTL" set it | grep restart_ | xargs)" \
		'restart_delay_ms=1000 restart_limit=7 restart_policy=always'
	cp "$(command -v "$CTL")" /tmp/mkctl
	ends 0 'it    running' setpriv --reuid 65534 --clear-groups /tmp/mkctl list
	ends 6 'It takes root' setpriv --reuid 65534 --clear-groups /tmp/mkctl kill it
	ends 6 'It takes root' setpriv --bounding-set -sys_boot "$CTL" kill it
	ends 6 'It takes root' setpriv --bounding-set -sys_boot "$CTL" ping it
	equal state "$(state it)" running
	"$CTL" stop --force it
	ends 4 'mkctl start it' "$CTL" stop --force it
	equal reason "$(reason it)" stopped
	ends 4 'mkctl start it' "$CTL" ping it
	"$CTL" rm --force it
	cpu_online 2 && fail 'CPU 2 is online, unasked'
	online 2
}

# The step that fails is named, and all before it is undone.
test_failed_run_leaves_nothing() {
	local bin=/tmp/bin pid status
	need_mkctl
	need_image 7.3
	ends 1 'memory: ' runs it 2-3 4T
	nothing_is_left it 2 3
	head -c 4M /dev/urandom >/tmp/garbage
	ends 1 'load: ' "$CTL" run it --cpus 2-3 --memory 512M /tmp/garbage
	nothing_is_left it 2 3
	instance other 3 64M
	ends 4 'cpus: ' runs it 2-3 512M
	nothing_is_left it 2
	online 3
	# This kexec may not load; the next one says that it has loaded; the last one does when it is told to.
	mkdir -p "$bin"
	printf '#!/bin/sh\necho --multikernel\n[ "$2" != -l ] || ! echo Cannot load a kernel into instance it: Operation not permitted\n' >"$bin/kexec"
	chmod +x "$bin/kexec"
	PATH=$bin:$PATH ends 6 'load: ' runs it 4 64M
	nothing_is_left it 4
	printf '#!/bin/sh\necho --multikernel\n' >"$bin/kexec"
	PATH=$bin:$PATH ends 4 'start: ' runs it 4 64M
	nothing_is_left it 4
	printf '[ "$2" != -l ] || until [ -e %s/go ]; do touch %s/loads; sleep 0.1; done\n' "$bin" "$bin" >>"$bin/kexec"
	# Not in a function's subshell: it must be mkctl that gets the signal.
	PATH=$bin:$PATH "$CTL" run it --cpus 4 --memory 64M "$(image 7.3)" 2>/tmp/said &
	pid=$!
	within 30 test -e "$bin/loads" || fail 'nothing is loaded'
	kill -TERM "$pid"
	touch "$bin/go"
	status=0
	wait "$pid" || status=$?
	equal 'its status' "$status" 130
	grep -q 'interrupted' /tmp/said || fail "it said '$(cat /tmp/said)'"
	nothing_is_left it 4
}

# Each further life is printed when it ends; the removal ends it.
test_follow() {
	local pid
	need_mkctl
	need_image 7.3
	runs it 2 512M 'mk.do=reboot mk.after=1'
	"$CTL" log --follow it >/tmp/followed &
	pid=$!
	"$CTL" wait --timeout 2m --state rebooting it
	within 30 grep -q '=== life 1: rebooting' /tmp/followed || fail 'it does not follow'
	"$CTL" start it
	"$CTL" kill it
	within 30 grep -q '=== life 2: killed' /tmp/followed || fail 'it does not follow twice'
	"$CTL" rm it
	wait "$pid" || fail "log --follow ends with $?"
	equal 'lives that were printed' "$(grep -c '^=== life' /tmp/followed)" 2
}

rooms() { "$CTL" check | sed -n 's/.*room for about \([0-9]*\) more instances/\1/p'; }

test_check() {
	local bin=/tmp/nothing rooms
	need_mkctl
	"$CTL" check | sed 's/^/# /'
	"$CTL" check >/dev/null || fail 'this machine lacks something'
	rooms=$(rooms)
	instance it 2 64M
	equal 'rooms that one instance takes' "$(rooms)" $((rooms - 1))
	destroy it
	"$CTL" check --json | /usr/bin/python3 -m json.tool >/dev/null
	mkdir -p "$bin"
	printf '#!/bin/sh\n' >"$bin/kexec"
	chmod +x "$bin/kexec"
	# The first that knows instances is the one; without any the first is named.
	ends 0 'knows instances' env PATH="$bin:$PATH" "$CTL" check
	[ -e /usr/local/sbin/kexec ] || ends 1 "$bin/kexec lacks --multikernel" env PATH="$bin" "$CTL" check
	rmmod multikernel
	ends 1 'missing  module' "$CTL" check
	ends 7 'the module is not loaded' "$CTL" list
}

run_tests "$@"
