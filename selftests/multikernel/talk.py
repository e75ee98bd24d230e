#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Somebody at a terminal of 33 lines and 101 columns: talk.py COMMAND..., and on stdin what they do, line by line:

say TEXT             types it, and Enter
key HEX              presses this one
hear TEXT            waits until the terminal shows it, behind what was heard before
size LINES COLUMNS   makes the terminal so large
end STATUS           waits for the command's end, with this exit status
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

DEADLINE = 120


class Terminal:
    def __init__(self, command):
        self.shown = b""
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            # Before the command looks.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
            os.execvp(command[0], command)

    def more(self, end):
        if not select.select([self.file], [], [], max(end - time.monotonic(), 0))[0]:
            sys.exit(f"not in {DEADLINE} s; the terminal shows {self.shown[-2000:]!r}")
        try:
            return os.read(self.file, 65536)
        except OSError:
            return b""

    def hear(self, text):
        end = time.monotonic() + DEADLINE
        while text not in self.shown:
            more = self.more(end)
            if not more:
                sys.exit(f"it ended without '{text.decode()}'; the terminal shows {self.shown[-2000:]!r}")
            self.shown += more
        self.shown = self.shown[self.shown.index(text) + len(text):]

    def end(self, wanted):
        end = time.monotonic() + DEADLINE
        while more := self.more(end):
            self.shown += more
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if status != wanted:
            sys.exit(f"the exit status is {status}; the terminal shows {self.shown[-2000:]!r}")


def main():
    terminal = Terminal(sys.argv[1:])
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        print(f"# {word} {rest}", flush=True)
        if word == "say":
            os.write(terminal.file, rest.encode() + b"\r")
        elif word == "key":
            os.write(terminal.file, bytes.fromhex(rest))
        elif word == "hear":
            terminal.hear(rest.encode())
        elif word == "size":
            lines, columns = map(int, rest.split())
            fcntl.ioctl(terminal.file, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        elif word == "end":
            terminal.end(int(rest))
        else:
            sys.exit(f"what is '{word}'?")


main()
