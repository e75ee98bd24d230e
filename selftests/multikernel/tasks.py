# SPDX-License-Identifier: GPL-2.0
"""For drgn: who lives in a kernel, and who of them brought it down."""
from drgn.helpers.linux.pid import find_task, for_each_task
from drgn.helpers.linux.sched import cpu_curr

names = {task.pid.value_(): task.comm.string_().decode() for task in for_each_task(prog)}
print("release", prog["init_uts_ns"].name.release.string_().decode())
print("tasks", len(names), names[1], names[2])
panic_cpu = prog["panic_cpu"].counter.value_()
if panic_cpu >= 0:
    print("panicked", cpu_curr(prog, panic_cpu).comm.string_().decode())
print(prog.stack_trace(find_task(prog, 2)))
