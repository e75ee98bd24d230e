# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The machines of the benchmarks: QEMU that counts instructions, so that a run repeats to one part in
# a hundred on any machine under any load. Sourced, after common.sh, with a temporary folder at hand.

# A named CPU has the same features in every QEMU. This one is the newest whose constant TSC Linux
# knows by its model, for TCG cannot say so in CPUID; the processors of today all have one.
BENCH_CPU=IvyBridge-v1,-pcid,-x2apic,-tsc-deadline
BENCH_MEMORY=256 # MiB of the measured kernel
BENCH_HOST_CPUS=1 # what the host keeps

rig_prepare() {
	local source
	find_qemu || die "QEMU is missing" "Run scripts/install-deps."
	BENCH_KERNEL=$("$TOP/scripts/build-kernel")
	export KDIR=$BENCH_KERNEL
	source=$(readlink -f "$BENCH_KERNEL/source")
	BENCH_MODULE=$("$TOP/scripts/build-module")
	BENCH_KEXEC=$("$TOP/scripts/build-kexec-tools")
	BENCH_BUSYBOX=$("$TOP/scripts/fetch-busybox")
	gcc -Os -s -Wall -Wextra -Werror -static -nostdlib -nostdinc -isystem "$(gcc -print-file-name=include)" \
		-include "$source/tools/include/nolibc/nolibc.h" -I/usr/include -I"/usr/include/$(gcc -print-multiarch)" \
		-o "$WORK/bench" "$TOP/selftests/bench/bench.c" -lgcc
	rig_pack "$WORK/spawn.cpio" <<-LIST
		file /init $WORK/bench 0755 0 0
	LIST
}

# rig_pack FILE: an initramfs of the list on stdin; it is not compressed, which would be measured too
rig_pack() {
	{
		printf 'dir /%s 0755 0 0\n' bin dev proc sys
		printf 'nod /dev/console 0600 0 0 c 5 1\nnod /dev/kmsg 0600 0 0 c 1 11\nnod /dev/null 0666 0 0 c 1 3\n'
		cat
	} >"$1.list"
	"$BENCH_KERNEL/usr/gen_init_cpio" -t 0 "$1.list" >"$1"
}

# rig_libraries: what kexec is linked with, and the folders of that
rig_libraries() {
	local library folder
	ldd "$BENCH_KEXEC" | grep -o '/[^ ]*' | while read -r library; do
		printf 'file %s %s 0755 0 0\n' "$library" "$library"
		folder=$library
		while folder=$(dirname "$folder") && [ "$folder" != / ]; do printf 'dir %s 0755 0 0\n' "$folder"; done
	done | sort -u # folders first, and the outer ones before the inner
}

# rig_host IMAGE: the host's initramfs, with this image for the spawn
rig_host() {
	{
		rig_libraries
		cat <<-LIST
			file /bin/busybox $BENCH_BUSYBOX 0755 0 0
			file /bin/bench $WORK/bench 0755 0 0
			file /bin/kexec $BENCH_KEXEC 0755 0 0
			file /multikernel.ko $BENCH_MODULE 0644 0 0
			file /vmlinuz $(realpath "$1") 0644 0 0
			file /initramfs $WORK/spawn.cpio 0644 0 0
			file /init $TOP/selftests/bench/host-init 0755 0 0
		LIST
	} | rig_pack "$WORK/host.cpio"
}

# rig_run FIRST LAST QEMU'S ARGUMENTS...: boots a machine, prints machine.py's phases
rig_run() {
	local first=$1 last=$2 folder=$WORK/run status=0
	shift 2
	rm -rf "$folder" && mkdir "$folder"
	start_group nice "$TOP/selftests/bench/machine.py" "$folder" "$first" "$last" \
		"$QEMU" -accel tcg -icount shift=0,sleep=off -cpu "$BENCH_CPU" -machine pc \
		-nodefaults -no-reboot -display none "$@" >"$folder/phases"
	wait_group "$GROUP" || status=$?
	if [ "$status" -ne 0 ]; then
		tail -n 20 "$folder"/serial? >&2
		return "$status"
	fi
	cat "$folder/phases"
}

# BENCH_APPEND has more words for the command line of the measured kernel.
# rig_beside CPUS WORDS...: the spawn of rig_host on this many CPUs; words for the host's command line
rig_beside() {
	local cpus=$1 append
	shift
	read -ra append <<<"${BENCH_APPEND:-}"
	rig_run 1 "$cpus" -smp $((cpus + BENCH_HOST_CPUS)) -m $((BENCH_MEMORY + 768))M \
		-kernel "$BENCH_KERNEL/arch/x86/boot/bzImage" -initrd "$WORK/host.cpio" \
		-append "console=ttyS0 quiet panic=-1 no_ipi_broadcast=1 bench.cpus=$cpus bench.memory=${BENCH_MEMORY}M ${append[*]/#/bench.append=} $*"
}

# rig_direct CPUS IMAGE: the same kernel and initramfs on a machine of their own
rig_direct() {
	rig_run 0 $(($1 - 1)) -smp "$1" -m "${BENCH_MEMORY}M" -kernel "$2" -initrd "$WORK/spawn.cpio" \
		-append "console=ttyS0 quiet panic=-1 ${BENCH_APPEND:-}"
}
