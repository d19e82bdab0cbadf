"""Runs a command on a terminal of its own, 24 lines of 80, and says what is on the screen when it has ended.

  terminal.py RAW [--interrupt-after COUNT] COMMAND...

RAW gets what the command writes, as it comes. --interrupt-after types Ctrl-C once it has repainted that often. Exits with
the command's status, or 128 and its signal."""
import os
import pty
import re
import sys
import termios

INTERRUPT = b"\x03"
REPAINT = b"\x1b[J"


def screen(data):
    """Lines that scroll off are kept: nothing here moves up further than the screen."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+|\x1b", data):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif re.fullmatch(r"\x1b\[\d+A", token):
            row -= int(token[2:-1])
        elif token == "\x1b[J":
            lines[row:] = [""]
        elif token != "\r":
            assert token[0] != "\x1b", f"an unknown sequence: {token!r}"
            lines[row] += token
    return "\n".join(lines)


def main():
    raw, command, interrupt_after = sys.argv[1], sys.argv[2:], None
    if command[0] == "--interrupt-after":
        interrupt_after, command = int(command[1]), command[2:]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    termios.tcsetwinsize(terminal, (24, 80))
    data = b""
    with open(raw, "wb", buffering=0) as out:
        while True:
            try:
                more = os.read(terminal, 65536)
            except OSError:  # the other side is closed
                break
            if not more:
                break
            out.write(more)
            data += more
            if interrupt_after is not None and data.count(REPAINT) >= interrupt_after:
                os.write(terminal, INTERRUPT)
                interrupt_after = None
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(screen(data.decode()), end="")
    sys.exit(status if status >= 0 else 128 - status)


main()
