"""Lines of the log and progress bars of a stage share a terminal."""

import os
import pty
import subprocess
import sys

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


def test_a_line_of_the_log_stands_alone_above_the_bar():
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=micro.ROOT, stderr=slave, stdout=slave)
    os.close(slave)
    found = b""
    while True:
        try:
            found += os.read(master, 4096)
        except OSError:
            break
    os.close(master)
    assert process.wait() == 0
    # what is left of each line after the carriage returns
    lines = [
        line.rstrip("\r").rpartition("\r")[2] for line in found.decode().replace("\r\n", "\n").split("\n")
    ]
    assert [line.strip() for line in lines if "line" in line] == ["line 0", "line 1", "line 2"], lines


def test_without_a_terminal_lines_are_plain():
    done = subprocess.run([sys.executable, "-c", SCRIPT.replace("tqdm(range(3), mininterval=0, file=sys.stderr)", "range(3)")],
        cwd=micro.ROOT, capture_output=True, text=True)  # fmt: skip
    assert done.stderr == "line 0\nline 1\nline 2\n"
