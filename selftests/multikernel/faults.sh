#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The fault matrix: ways in which a spawn kernel dies, and after each the host goes on, knows how it ended in
# time, and starts the instance again. Documentation/fault-matrix.rst has the same table, in words.

. "$(dirname "$0")/lib.sh"

# KERNEL  of MK_SPAWN_DIR, or payload: what dies before it is a kernel
# HOW     mk.do= of scripts/initramfs/init; for the payload, the letter; says:PATTERN, if it does not get that far
# END     a word of ends(); "hangs": what nobody sees without an agent, so it is running until it is killed
# SECONDS from its last words to that state; emulated CPUs on a busy machine are slow
# more    for its command line
MATRIX='
#NAME                KERNEL   HOW                      END       SECONDS
entry_never_left     payload  halt                     hangs     2
entry_spins          payload  spin                     hangs     2
entry_resets         payload  reset                    reset     2
entry_powers_off     payload  poweroff                 poweroff  2
entry_resets_by_efi  payload  efi-reset                reset     2
entry_efi_poweroff   payload  off-by-efi               poweroff  2
decompressor         6.1      says:System.halted       hangs     10        earlyprintk=serial,ttyS1,115200
early_7_3            7.3      says:user.supplied.memory hangs     10        earlycon=uart8250,io,0x2f8,115200 memmap=exactmap memmap=64M@64M
no_low_memory_7_3    7.3      says:trampoline.was.not  reset     10        earlycon=uart8250,io,0x2f8,115200 memmap=636K$4K
early_6_1            6.1      says:user.supplied.memory hangs     10        earlycon=uart8250,io,0x2f8,115200 memmap=exactmap memmap=64M@64M
no_init_7_3          7.3      says:to.mount.root       panic     10        rdinit=/nothing
no_init_6_1          6.1      says:to.mount.root       panic     10        rdinit=/nothing
init_exits_7_3       7.3      exit                     panic     5
init_exits_6_18      6.18     exit                     panic     5
panic_7_3            7.3      lkdtm:PANIC              panic     5
panic_in_irq         7.3      lkdtm:PANIC_IN_HARDIRQ   panic     5
panic_others_stuck   7.3      lkdtm:PANIC_STOP_IRQOFF  panic     10
panic_6_1            6.1      panic                    panic     5
bug                  7.3      lkdtm:BUG                panic     5         oops=panic
oops                 7.3      lkdtm:EXCEPTION          panic     5         oops=panic
write_to_rodata      7.3      lkdtm:WRITE_RO           panic     5         oops=panic
stack_overflow       7.3      lkdtm:EXHAUST_STACK      panic     5
out_of_memory_7_3    7.3      oom                      panic     60
out_of_memory_6_18   6.18     oom                      panic     60
stall_6_1            6.1      stall                    lockup    60
stall_6_18           6.18     stall                    lockup    60
halt                 7.3      halt                     hangs     5
interrupts_off       7.3      lkdtm:HARDLOCKUP         hangs     5
all_wait_for_one     7.3      lkdtm:SMP_CALL_LOCKUP    hangs     5
kernel_loop          7.3      lkdtm:LOOP               hangs     5
nmi_handler_hangs    7.3      fault:nmi-hang           hangs     5
cpus_wake_each_other 7.3      fault:fight              hangs     5
scribbles_firmware   7.3      fault:scribble-firmware  reset     5
scribbles_pages      7.3      fault:scribble-pages     any       10        oops=panic
floods_reschedule    7.3      fault:flood,vector=0xfd  hangs     5
floods_no_vector     7.3      fault:flood,vector=0x31  hangs     5
'

# ends WORD: the state and the reason of an end, as a pattern
ends() {
	case $1 in
	poweroff) echo 'halted poweroff' ;;
	# A kernel that could log says that it reboots.
	reset) echo 'rebooting re*' ;;
	panic) echo 'panicked panic' ;;
	lockup) echo 'hung lockup' ;;
	killed) echo 'killed killed' ;;
	hangs) echo 'running -' ;;
	esac
}

STAMP='^[0-9a-f]{16}$' # the payload's last words

# payload LETTER [NAME]: loads the payload that dies like this
payload() { "$KEXEC" --multikernel="${2:-it}" -l "$MK_FAULTS/payload" --append="$1"; }

# After any end: another life, if a short one, then everything goes back.
lives_again() {
	payload spin
	mark
	start it
	hears 10 "$STAMP"
	timed 5 order it kill
	ended_by it killed
	"$KEXEC" --multikernel=it -u
	rmdir "$CONFIGFS/it"
	online 2 3
	host_goes_on
}

ended() { echo "$(state "$1") $(column "$1" REASON)"; }
ended_by() { # NAME WORD...
	local word
	# shellcheck disable=SC2053 # a pattern
	for word in "${@:2}"; do [[ $(ended "$1") != $(ends "$word") ]] || return 0; done
	fail "$1 is $(ended "$1"), not $(ends "$2")"
}
is_dead() { [[ $(state "$1") != starting && $(state "$1") != running ]]; }

# damaged: a 6.1 whose compressed kernel is not what it was
damaged() {
	cp "$(image 6.1)" /tmp/damaged
	head -c 64K /dev/urandom | dd of=/tmp/damaged bs=64K seek=60 conv=notrunc status=none
	echo /tmp/damaged
}

# dies KERNEL HOW WORDS: loads and starts it, and waits for its last words
dies() {
	local kernel=$1 how=$2 words=$3
	case $kernel/$how in
	payload/*)
		payload "$how"
		start it
		hears 10 "$STAMP"
		;;
	*/says:System.halted)
		"$KEXEC" --multikernel=it -l "$(damaged)" --mk-compressed --append="$words"
		start it
		hears 60 "${how#says:}"
		;;
	*/says:*)
		load it "$kernel" "$words"
		start it
		hears 90 "${how#says:}"
		;;
	*)
		load it "$kernel" "mk.do=$how mk.after=1 $words"
		start it
		hears 90 "^it: action $how\$"
		;;
	esac
}

row() { # NAME
	local name=$1 kernel how end seconds words began took
	read -r kernel how end seconds words <<<"${ROW[$1]}"
	need_faults
	[ "$kernel" = payload ] || need_image "$kernel"
	instance it 2-3 512M
	dies "$kernel" "$how" "$words"
	began=${EPOCHREALTIME/./}
	if [ "$end" = hangs ]; then
		sleep "$seconds"
		ended_by it hangs
		host_goes_on
		began=${EPOCHREALTIME/./}
		# A slow host takes so long for that that the spawn's own watchdog is there first.
		if is_dead it; then
			end=lockup
		else
			timed 5 order it kill
			end=killed
		fi
	else
		within "$seconds" is_dead it || { [ "$end" = any ] && order it kill; } || fail "it is $(state it) after $seconds s"
	fi
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	say "$name: $(ended it) after $took ms"
	[ "$end" = any ] || ended_by it "$end"
	host_goes_on
	lives_again
}

# --- moments -----------------------------------------------------------------------------

# Many short lives, so that every moment of a death is met: a life takes some 5 ms.
MOMENTS=40

# now NAME WORD: an order without a process, which would take longer than a life
now() { printf '%s' "$2" >"$CLASS/$1/state"; }

# pause TURN: 0 to 6 ms
pause() {
	local end=$((${EPOCHREALTIME/./} + $1 % 20 * 300))
	while [ "${EPOCHREALTIME/./}" -lt "$end" ]; do :; done
}

# dead_of NAME WORD...: it is dead soon, in one of these ways
dead_of() {
	within 5 is_dead "$1" || fail "$1 is $(state "$1")"
	ended_by "$@"
}

test_two_die_at_once() {
	local i
	need_faults
	instance it 2-3 16M
	instance other 4-5 16M
	payload r
	payload e other
	for ((i = 0; i < MOMENTS; i++)); do
		now it start &
		now other start
		wait $!
		dead_of it reset
		dead_of other reset
	done
	destroy other
	lives_again
}

test_dies_while_it_is_killed() {
	local i killed=0
	need_faults
	instance it 2-3 16M
	payload r
	for ((i = 0; i < MOMENTS; i++)); do
		now it start
		pause "$i"
		# It may be dead by itself.
		now it kill 2>/dev/null && killed=$((killed + 1))
		dead_of it reset killed
	done
	say "$killed of $MOMENTS were killed before their death was seen"
	lives_again
}

test_dies_while_it_is_unloaded() {
	local i
	need_faults
	instance it 2-3 16M
	for ((i = 0; i < MOMENTS; i++)); do
		payload e
		now it start
		# Refused while it runs, or is loaded.
		! rmdir "$CONFIGFS/it" 2>/dev/null || fail 'it was removed'
		within 5 "$KEXEC" --multikernel=it -u 2>/dev/null || fail 'it cannot be unloaded'
		equal state "$(state it)" empty
	done
	lives_again
}

test_dies_while_it_is_loaded() {
	local i
	need_faults
	instance it 2-3 16M
	payload e
	for ((i = 0; i < MOMENTS; i++)); do
		now it start
		payload e
		within 5 is_dead it || fail "it is $(state it)"
	done
	lives_again
}

test_dies_while_it_is_restarted() {
	local i
	need_faults
	instance it 2-3 16M
	payload r
	for ((i = 0; i < MOMENTS; i++)); do
		now it start
		pause "$i"
		# Nothing to stop, if it is dead.
		now it restart 2>/dev/null || true
		dead_of it reset
	done
	lives_again
}

# --- that it is not asked ----------------------------------------------------------------

test_ignores_shutdown() {
	need_faults
	# Its init knows no signal, and nobody in it listens to the host.
	spawn it 2-3 512M 7.3
	ticks 60 it
	timed 10 order it stop
	equal reason "$(column it REASON)" stopped
	host_goes_on
	lives_again
}

# A CPU that another kernel resets all the time gives its proof in a gap, or not in time.
test_neighbour_sends_init() {
	local apic wanted=killed
	need_faults
	need_cpus 6
	apic=$(awk '$1 == "processor" { cpu = $3 } $1 == "apicid" && cpu == 2 { print $3 }' /proc/cpuinfo)
	spawn bad 4-5 512M 7.3 "console=ttyS2,115200 mk.do=fault:init,dest=$apic mk.after=1"
	instance it 2-3 16M
	payload spin
	hears 60 '^bad: action' "$TTY2"
	sleep 1
	now it start || true
	sleep 1
	now it kill || true
	say "it is $(ended it)"
	order bad kill
	if is_in it quarantined; then
		fails 'Device or resource busy' online 2
		# With a CPU that was given back at once, so was the image.
		[[ $(cat "$CLASS/it/reason") == *'CPU 2' ]] && wanted=empty
		order it kill
	fi
	equal state "$(state it)" "$wanted"
	destroy bad
	lives_again
}

declare -A ROW
while read -r name rest; do
	[[ -n $name && $name != \#* ]] || continue
	ROW[$name]=$rest
	ROWS+=" $name"
	eval "test_$name() { row $name; }"
done <<<"$MATRIX"

# shellcheck disable=SC2046,SC2086 # names are words
[ $# -gt 0 ] || set -- $ROWS $(sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' "$0")
run_tests "$@"
