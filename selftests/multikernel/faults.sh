#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The fault matrix: ways in which a spawn kernel dies, and after each the host goes on, knows how it ended in
# time, and starts the instance again. Documentation/fault-matrix.rst has the same table, in words.
#   MK_FAULTS   what scripts/build-faults makes

. "$(dirname "$0")/lib.sh"

# KERNEL  of MK_SPAWN_DIR, or payload: what dies before it is a kernel
# HOW     mk.do= of scripts/initramfs/init; for the payload, the letter; "boot": it does not get that far
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
decompressor         6.1      boot                     hangs     10
early_7_3            7.3      boot                     hangs     10        memmap=exactmap memmap=64M@64M
early_6_1            6.1      boot                     hangs     10        memmap=exactmap memmap=64M@64M
no_init_7_3          7.3      boot                     panic     60        rdinit=/nothing
no_init_6_1          6.1      boot                     panic     90        rdinit=/nothing
no_init_6_18         6.18     boot                     panic     90        rdinit=/nothing
init_exits_7_3       7.3      exit                     panic     5
init_exits_6_1       6.1      exit                     panic     5
init_exits_6_18      6.18     exit                     panic     5
panic_7_3            7.3      lkdtm:PANIC              panic     5
panic_in_irq         7.3      lkdtm:PANIC_IN_HARDIRQ   panic     5
panic_others_stuck   7.3      lkdtm:PANIC_STOP_IRQOFF  panic     10
panic_6_1            6.1      panic                    panic     5
panic_6_18           6.18     panic                    panic     5
bug                  7.3      lkdtm:BUG                panic     5         oops=panic
bug_in_irq           7.3      lkdtm:BUG_IN_HARDIRQ     panic     5
oops                 7.3      lkdtm:EXCEPTION          panic     5         oops=panic
double_fault         7.3      lkdtm:DOUBLE_FAULT       panic     5         oops=panic
write_to_rodata      7.3      lkdtm:WRITE_RO           panic     5         oops=panic
out_of_memory_7_3    7.3      oom                      panic     60
out_of_memory_6_1    6.1      oom                      panic     60
out_of_memory_6_18   6.18     oom                      panic     60
stall_6_1            6.1      stall                    lockup    60        panic_on_rcu_stall=1
stall_6_18           6.18     stall                    lockup    60        sysctl.kernel.panic_on_rcu_stall=1
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

# ends WORD: the state and the reason of an end
ends() {
	if ! grep -q panicked "$MK_MODULE"; then # TEMPORARY
		case $1 in
		poweroff) echo 'stopped poweroff' ;;
		reset | panic | lockup) echo 'stopped reset' ;;
		killed) echo 'stopped killed' ;;
		hangs) echo 'running -' ;;
		esac
		return
	fi
	case $1 in
	poweroff) echo 'halted poweroff' ;;
	reset) echo 'rebooting reset' ;;
	panic) echo 'panicked panic' ;;
	lockup) echo 'hung lockup' ;;
	killed) echo 'killed killed' ;;
	hangs) echo 'running -' ;;
	esac
}

payload_letter() {
	case $1 in
	reset) echo r ;;
	poweroff) echo p ;;
	efi-reset) echo e ;;
	*) echo "${1:0:1}" ;;
	esac
}

BOOT_ID=$(cat /proc/sys/kernel/random/boot_id)

# The host is the one that it was, each CPU of it runs a task, and its kernel complains of nothing.
host_goes_on() {
	local cpu
	equal boot_id "$(cat /proc/sys/kernel/random/boot_id)" "$BOOT_ID"
	for cpu in $(cpus_of "$(cat /sys/devices/system/cpu/online)"); do
		timeout 20 taskset -c "$cpu" true || fail "CPU $cpu runs nothing"
	done
	for cpu in WARNING: BUG: Oops 'Call Trace:' 'soft lockup' 'rcu: INFO'; do
		! logged "$cpu" || fail "the host's log has '$cpu'"
	done
}

# After any end: another life, then everything goes back.
lives_again() {
	load it 7.3
	mark
	start it
	hears 90 '^it: CPUs: 2$'
	timed 5 order it kill
	equal 'state and reason' "$(ended it)" "$(ends killed)"
	"$KEXEC" --multikernel=it -u
	rmdir "$CONFIGFS/it"
	online 2 3
	taskset -c 2 true
	taskset -c 3 true
	host_goes_on
}

ended() { echo "$(state "$1") $(column "$1" REASON)"; }
is_dead() { [[ $(state "$1") != starting && $(state "$1") != running ]]; }

# timed SECONDS COMMAND...: it works within this time
timed() {
	local began=${EPOCHREALTIME/./} limit=$1
	shift
	"$@"
	began=$(((${EPOCHREALTIME/./} - began) / 1000))
	[ "$began" -le $((limit * 1000)) ] || fail "'$*' took $began ms"
}

# damaged: a 6.1 whose compressed kernel is not what it was
damaged() {
	cp "$(image 6.1)" /tmp/damaged
	head -c 64K /dev/urandom | dd of=/tmp/damaged bs=64K seek=60 conv=notrunc status=none
	echo /tmp/damaged
}

# dies KERNEL HOW SECONDS WORDS: loads and starts it, and waits for its last words
dies() {
	local kernel=$1 how=$2 seconds=$3 words=$4
	case $kernel/$how in
	payload/*)
		"$KEXEC" --multikernel=it -l "$MK_FAULTS/payload" --append="$(payload_letter "$how")"
		start it
		hears 10 '^[0-9a-f]{16}$'
		;;
	*/boot)
		if [ -z "$words" ]; then
			"$KEXEC" --multikernel=it -l "$(damaged)" --mk-compressed --append=console=ttyS1,115200
		else
			load it "$kernel" "$words"
		fi
		start it
		;;
	*)
		load it "$kernel" "mk.do=$how mk.after=1 $words"
		start it
		hears 90 "^it: action $how\$"
		;;
	esac
}

row() { # NAME KERNEL HOW END SECONDS [WORDS]
	local name=$1 kernel=$2 how=$3 end=$4 seconds=$5 words began took
	shift 5
	words=$*
	[ -r "${MK_FAULTS:-}/payload" ] || skip 'needs what scripts/build-faults makes (MK_FAULTS)'
	[ "$kernel" = payload ] || need_image "$kernel"
	need_image 7.3
	cat "$MK_FAULTS/modules.cpio" "$INITRD" >/tmp/initrd
	INITRD=/tmp/initrd
	instance it 2-3 512M
	dies "$kernel" "$how" "$seconds" "$words"
	began=${EPOCHREALTIME/./}
	if [ "$end" = hangs ]; then
		sleep "$seconds"
		host_goes_on
		equal 'state and reason' "$(ended it)" "$(ends hangs)"
		began=${EPOCHREALTIME/./}
		order it kill
		end=killed
	else
		within "$seconds" is_dead it || { [ "$end" = any ] && order it kill; } || fail "it is $(state it) after $seconds s"
	fi
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	say "$name: $(ended it) after $took ms"
	[ "$end" = any ] || equal 'state and reason' "$(ended it)" "$(ends "$end")"
	host_goes_on
	lives_again
}

while read -r name rest; do
	[[ -n $name && $name != \#* ]] || continue
	eval "test_$name() { row $name $rest; }"
	ROWS+=" $name"
done <<<"$MATRIX"

# shellcheck disable=SC2046,SC2086 # names are words
[ $# -gt 0 ] || set -- $ROWS $(sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' "$0")
run_tests "$@"
