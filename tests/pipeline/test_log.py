"""Lines of the log and progress bars of a stage share a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import micro

SCRIPT = """
import logging, sys, time
sys.path.insert(0, "stages")
from stage import stage
def main():
    from tqdm import tqdm
    for n in tqdm(range(3), mininterval=0, file=sys.stderr):
        logging.info("line %d", n)
        time.sleep(0.02)
stage(main)
"""


def on_a_terminal(script: str) -> str:
    """What a script writes to a terminal 100 columns wide."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", script], cwd=micro.ROOT, stderr=slave, stdout=slave)
    os.close(slave)
    found = b""
    while True:
        try:
            found += os.read(master, 4096)
        except OSError:
            break
    os.close(master)
    assert process.wait() == 0
    return found.decode().replace("\r\n", "\n")


def test_a_line_of_the_log_stands_alone_above_the_bar():
    found = on_a_terminal(SCRIPT)
    # what is left of each line after the carriage returns
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in found.split("\n")]
    assert [line.strip() for line in lines if "line" in line] == ["line 0", "line 1", "line 2"], lines


def test_without_a_terminal_lines_are_plain():
    done = subprocess.run([sys.executable, "-c", SCRIPT.replace("tqdm(range(3), mininterval=0, file=sys.stderr)", "range(3)")],
        cwd=micro.ROOT, capture_output=True, text=True)  # fmt: skip
    assert done.stderr == "line 0\nline 1\nline 2\n"


WORK = """
import logging, sys, time
sys.path.insert(0, "stages")
from stage import stage
import progress
progress.QUIET, progress.EVERY = 0.05, 0.2
def main():
    for n in progress.each(range(4), "work"):
        time.sleep(0.15)
        logging.info("line %d", n)
stage(main)
"""


def test_work_without_a_terminal_says_now_and_then_how_far_it_is():
    done = subprocess.run([sys.executable, "-c", WORK], cwd=micro.ROOT, capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if line.startswith("work: ")]
    assert 1 <= len(said) <= 4 and all(" of 4 parts, " in line for line in said), done.stderr
    assert [line for line in done.stderr.splitlines() if line not in said] == [f"line {n}" for n in range(4)]
    quiet = WORK.replace("0.05, 0.2", "2, 30")
    done = subprocess.run([sys.executable, "-c", quiet], cwd=micro.ROOT, capture_output=True, text=True)
    assert done.stderr == "".join(f"line {n}\n" for n in range(4))


def test_work_on_a_terminal_has_a_bar_that_goes_and_lines_above_it():
    found = on_a_terminal(WORK)
    lines = [line.rstrip("\r").rpartition("\r")[2].strip() for line in found.split("\n")]
    assert [line for line in lines if line.startswith("line")] == [f"line {n}" for n in range(4)], found
    assert "work:" in found and "/4 [" in found
    assert "work" not in lines[-1], found  # the bar goes when the work is done
