"""A bar on a terminal, under the lines that are printed; elsewhere the lines alone, and nothing that garbles them."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LINES = ["baseline epoch  1/2 | loss 0.5000 | 12.3 s [x] 97.20%", "improved epoch  1/2 " + "and a long line " * 12]
PROGRAM = f"""
from digits.commands.console import ProgressLine
with ProgressLine() as line:
    line.show("preparing digits", 0.25)
    for text in {LINES!r}:
        line.print(text)
        line.show("baseline epoch  2", 0.5)
    line.show("baseline epoch  2", 1.0)
print("after")
"""


def run_on_terminal(program: str, *, columns: int = 100, stdout: int | None = None) -> str:
    """What a program writes to a terminal of so many columns."""
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=terminal,
        stdout=stdout or terminal,
        stderr=terminal,
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            part = os.read(reader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(reader)
    assert process.wait(60) == 0, written
    return written.decode()


def screen(written: str, columns: int) -> list[str]:
    """The lines that a terminal shows in the end, of the control sequences that a bar is drawn with."""
    rows, row, column, position = [[]], 0, 0, 0
    while position < len(written):
        character = written[position]
        position += 1
        if character == "\x1b" and written[position] == "[":
            end = position + 1
            while not written[end].isalpha():
                end += 1
            amount = written[position + 1 : end]
            match written[end]:
                case "A":
                    row = max(0, row - int(amount or 1))
                case "K":
                    rows[row] = [] if amount == "2" else rows[row][:column]
            position = end + 1
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
        else:
            if column == columns:
                row, column = row + 1, 0
            while len(rows) <= row:
                rows.append([])
            rows[row] += " " * (column + 1 - len(rows[row]))
            rows[row][column] = character
            column += 1
        while len(rows) <= row:
            rows.append([])
    return ["".join(row).rstrip() for row in rows]


def test_on_a_terminal_a_bar_is_drawn_and_every_line_stands_whole_and_once():
    written = run_on_terminal(PROGRAM, columns=100)
    assert "━" in written and "preparing digits" in written and "50%" in written
    shown = screen(written, 100)
    folded = [line[start : start + 100].rstrip() for line in LINES for start in range(0, len(line), 100)]
    assert shown == [*folded, "after", ""]


def test_lines_of_another_stream_are_not_mixed_with_the_bar(tmp_path):
    with (tmp_path / "lines").open("w") as file:
        written = run_on_terminal(PROGRAM, stdout=file.fileno())
    assert "━" in written and not any(line[:20] in written for line in LINES)
    assert (tmp_path / "lines").read_text().splitlines() == [*LINES, "after"]


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_elsewhere_only_the_lines_are_printed(term):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env={**os.environ, "TERM": term}, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [*LINES, "after"]
    assert done.stderr == ""


def test_a_line_is_there_when_the_program_is_killed():
    program = PROGRAM.replace('print("after")', "import os; os._exit(0)")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == LINES


def test_what_a_stopped_job_says_stands_in_place_of_its_bar_and_the_cursor_is_back():
    program = """
import os
from digits import stopping
from digits.commands.console import ProgressLine
with ProgressLine() as line:
    line.show("baseline epoch  2", 0.5)
    stopping.tell()
    os._exit(0)
"""
    written = run_on_terminal(program)
    assert screen(written, 100)[:1] == ["stopped by Ctrl-C or SIGTERM before anything was begun"]
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")


JOB = """
import sys
from dataclasses import dataclass
from digits.commands.console import run_job, show_table

@dataclass
class Settings:
    pass

def job(settings):
    show_table("Networks", ["network", "accuracy"], [["baseline", "98.5 ± 0.1 %"]])
    print("läuft", file=sys.stderr)
    return {"accuracy": 0.985}

run_job(Settings, job)
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_sign_that_cannot_be_shown_costs_no_result(encoding):
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    job = subprocess.run([sys.executable, "-c", JOB], cwd=ROOT, env=env, capture_output=True)
    assert job.returncode == 0, job.stderr
    lines = job.stdout.decode(encoding).splitlines()
    assert any("98.5 " in line and "0.1 %" in line for line in lines)
    assert lines[-1] == '{"accuracy": 0.985}'
