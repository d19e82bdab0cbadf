"""Types lines into a program on a terminal of its own, each once the prompt `>` stands there, then Ctrl-D; shows what the
terminal showed and ends as the program did. `--until FILE TEXT LINE`: types LINE again and again until FILE holds TEXT.

typed.py [--until FILE TEXT LINE] LINE... -- COMMAND..."""
import os, pty, select, sys, time

words = sys.argv[1:]
cut = words.index("--")
lines, command = words[:cut], words[cut + 1:]
probe = None
if lines and lines[0] == "--until":
    probe, lines = lines[1:4], lines[4:]
deadline = time.monotonic() + 60 * int(os.environ.get("PATIENCE", "1"))
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown = b""


def read_some(wait):
    """False at the end of the program."""
    global shown
    if time.monotonic() > deadline:
        sys.exit("gave up; the terminal shows:\n" + shown.decode(errors="replace"))
    if not select.select([terminal], [], [], wait)[0]:
        return True
    try:
        part = os.read(terminal, 4096)
    except OSError:  # the other side is closed
        part = b""
    shown += part
    return part != b""


def prompt():
    while not shown.endswith(b">"):
        if not read_some(1):
            sys.exit("no prompt; the terminal shows:\n" + shown.decode(errors="replace"))


def enter(line):
    prompt()
    os.write(terminal, line.encode() + b"\n")
    wanted = len(shown) + 1
    while len(shown) < wanted:
        if not read_some(1):
            sys.exit("ended early; the terminal shows:\n" + shown.decode(errors="replace"))


if probe:
    while probe[1] not in open(probe[0], encoding="utf-8").read():
        enter(probe[2])
        read_some(0.2)
for line in lines:
    enter(line)
prompt()
os.write(terminal, b"\x04")
while read_some(1):
    pass
print(shown.decode(errors="replace").replace("\r\n", "\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
