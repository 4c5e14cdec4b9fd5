"""The documents' commands, typed as they stand, in their order, on a machine with a fresh home.

"A machine" is a namespace of processes, network and Ray's folder, so the usual ports are free and no other Ray is seen.
Commands that take long are ended by Ctrl-C, as a terminal sends it, when the line appears that shows them at work.
"""

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from digits.config import RECIPES, DataConfig
from digits.data.files import find_digits
from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.models import checkpoints
from digits.storage import Storage
from digits.training.runs import Run
from digits.training.state import EpochResult
from digits.tuning.searches import Search
from tests.documents import ROOT, documented_commands
from tests.end_to_end.faults import below
from tests.end_to_end.quick_checkpoint import quickly_trained_weights
from tests.end_to_end.serve_cluster import wait_for

NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
SETUP = (
    "ip link set lo up && mkdir -p /tmp/ray && mount --bind {folder}/ray /tmp/ray && echo ready && exec sleep infinity"
)
PATIENCE_S = 240

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and iproute2"),
]


@dataclass(frozen=True)
class Rule:
    """What a command is to show."""

    pattern: str
    """Which commands: a regular expression for their beginning."""
    until: str = ""
    """Ctrl-C when this appears in its output; empty: it has to end by itself, with exit code 0."""
    stays: bool = False
    """It goes on beside the commands after it, to the end of its section."""


RULES = [
    Rule(r"make train\b", until=r"epoch +1/"),
    Rule(r"make test\b", until=r"test session starts"),
    Rule(r"make serve\b", until=r"Serving first", stays=True),
    Rule(r"ray start --head --block\b", until=r"block forever", stays=True),
    Rule(r"ray job submit jobs/tune\.py", until=r"epoch +1/"),
    Rule(r"python jobs/tune\.py +#", until=r"epoch +1/"),
    # The same job with other flags: that it accepts them, finds data and storage, and begins.
    Rule(r"python jobs/(train|tune)\.py", until=r"\| (run|search) \S*runs/"),
    Rule(r"python jobs/evaluate\.py", until=r"parameters, from"),
]
SETTINGS = {"train": Run.FILE, "tune": Search.FILE}
"""What each kind of run writes of itself when it begins."""
NEIGHBOUR = """
import time, ray
from digits import cluster
cluster.connect()
@ray.remote(num_cpus=0)
def clock():
    return time.time()
while True:
    print("alive at", ray.get(clock.remote()), flush=True)
    time.sleep(1)
"""
"""Another Ray of the same machine."""
CLUSTERS = "ps -C gcs_server -o stat= | awk '!/Z/' | wc -l"
"""How many clusters run; those that ended stay as zombies, since nobody in the namespace asks for them."""
STATE = re.compile(r"\. |export ")
"""Commands that change the terminal they are typed in."""


class Typed:
    """A command that was typed in a terminal."""

    def __init__(self, command: list[str], log: Path, cwd: Path, env: dict[str, str], shown: bool) -> None:
        """Start it. What it prints goes into a file; if `shown`, by way of a terminal: Ray tells it more quickly."""
        self.log = log
        terminal, output = pty.openpty() if shown else (-1, os.open(log, os.O_WRONLY | os.O_CREAT))
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # As in a terminal, also where the tests themselves were started in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(output)
        if shown:
            log.touch()
            threading.Thread(target=self._copy, args=(terminal,), daemon=True).start()

    def _copy(self, terminal: int) -> None:
        """Write what appears on a terminal into the file, until nobody is left who writes there."""
        with self.log.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while data := os.read(terminal, 65536):
                file.write(data)
        os.close(terminal)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str) -> None:
        """Until it has shown this."""
        self.wait_for_end_or(pattern)
        assert re.search(pattern, self.output), self.output

    def wait_for_end_or(self, pattern: str) -> None:
        """Until it has shown this, or has ended; an empty pattern is never shown."""
        wait_for(
            lambda: self.process.poll() is not None or (pattern and re.search(pattern, self.output)),
            f"{pattern or 'the end'} of {self.log}",
            PATIENCE_S,
        )

    def read(self) -> str:
        """Its output when it has ended, with exit code 0."""
        assert self.process.wait(PATIENCE_S) == 0, self.output
        return self.output

    def goes_on(self, text: str) -> None:
        """Wait until it has shown this three more times."""
        before = self.output.count(text)
        wait_for(lambda: self.output.count(text) >= before + 3, f"more of {text}", 30)

    def press_control_c(self) -> None:
        """To the whole foreground group, as a terminal does; ends when everything has ended that it started."""
        started = [psutil.Process(pid) for pid in below(self.process.pid)]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)
        wait_for(lambda: not any(map(is_alive, started)), f"the end of what {self.output} started", 60)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still does something; in a namespace, nobody takes note of those that have ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Machine:
    """A machine of its own with a checkout, a home and a virtual environment in which the checkout is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.checkout = folder, folder / "home", folder / "digits"
        for path in (self.home, self.checkout, folder / "ray"):
            path.mkdir()
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in map(os.fsdecode, tracked.split(b"\0")):
            if name and (ROOT / name).is_file():
                (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.checkout / name)
        self.install()
        self.state: list[str] = []
        self.number = 0
        setup = SETUP.format(folder=shlex.quote(str(folder)))
        self.holder = subprocess.Popen([*NAMESPACES, "sh", "-c", setup], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout is not None and self.holder.stdout.readline() == "ready\n"
        first, *_ = psutil.Process(self.holder.pid).children()
        self.enter = ["nsenter", f"--target={first.pid}", "--net", "--mount", "--pid"]

    def install(self) -> None:
        """What `make install` does, with the packages that are already on this machine."""
        venv = self.checkout / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        (packages,) = venv.glob("lib/python*/site-packages")
        there = Path(sys.prefix).resolve()
        (installed,) = there.glob("lib/python*/site-packages")
        lines = [str(self.checkout), f"import site; site.addsitedir({str(installed)!r})"]
        (packages / "digits.pth").write_text("\n".join(lines))
        for script in (there / "bin").iterdir():
            ours = venv / "bin" / script.name
            if ours.exists() or not script.is_file():
                continue
            if script.read_bytes().startswith(b"#!"):
                _, text = script.read_bytes().split(b"\n", 1)
                ours.write_bytes(b"#!" + os.fsencode(venv / "bin" / "python") + b"\n" + text)
                ours.chmod(0o755)
            else:
                ours.symlink_to(script)
        for extra in ("serve", "train", "dev"):
            (venv / extra).touch()

    def type(self, command: str) -> Typed:
        """Start a command in a terminal in which what changes a terminal was typed before."""
        self.number += 1
        script = "\n".join([f"cd {shlex.quote(str(self.checkout))}", *self.state, command])
        env = {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
        log = self.folder / f"{self.number}.log"
        shown = command.startswith("ray job submit")
        return Typed([*self.enter, "bash", "-c", script], log, self.checkout, env, shown)

    def end(self) -> None:
        """The kernel ends every process of the namespace with its first one."""
        self.holder.kill()
        self.holder.wait()


def write_earlier_training(runs: Path) -> None:
    """The best checkpoint of a storage path, `first`, with the record that a training of the baseline leaves."""
    recipe = RECIPES["baseline"]
    figures = {field.name: 0.5 for field in fields(EpochResult)} | {"epoch": 1}
    record = {
        "name": "first",
        "architecture_name": "baseline",
        "architecture": recipe.architecture.to_dict(),
        "parameters": recipe.architecture.num_parameters(),
        "training": {**asdict(recipe.training), "num_workers": 1},
        "data": {**asdict(DataConfig()), "fingerprint": find_digits(None).fingerprint},
        "history": [EpochResult(**figures).to_dict()],
        "calibration": {"temperature": 1.2, "expected_calibration_error": 0.1},
    }
    checkpoints.write(Storage.open(runs / "first"), weights=quickly_trained_weights(seed=0), record=record)
    (runs / "best.json").write_text('{"checkpoint": "first"}')


def write_sheets(checkout: Path, test_digits: tuple[np.ndarray, np.ndarray]) -> None:
    """A photographed sheet, a folder of such, one of labelled ones, and one of pictures without a digit."""
    page = simulated_page(test_digits[0][..., 0], test_digits[1], np.random.default_rng(0), PLAIN)
    sheet = Image.fromarray(page.picture)
    sheet.save(checkout / "sheet.jpg")
    for folder in ("my_sheets", "my_pages", "my_others"):
        (checkout / folder).mkdir()
    sheet.save(checkout / "my_sheets" / "monday.png")
    sheet.save(checkout / "my_pages" / "sheet.png")
    (checkout / "my_pages" / "labels.csv").write_text(f"file,text\nsheet.png,{'|'.join(page.lines)}\n")
    Image.new("RGB", (200, 200), "white").save(checkout / "my_others" / "wall.png")


@pytest.fixture
def machine(test_digits) -> Iterator[Machine]:
    # Not in /tmp/ray, and short: Ray's sockets lie below it.
    folder = Path(tempfile.mkdtemp(prefix="digits-", dir="/var/tmp"))
    machine = Machine(folder)
    # What people have who type these commands: photos, pictures, and the result of an earlier training.
    write_earlier_training(machine.checkout / "runs")
    photos = machine.checkout / "my_photos"
    photos.mkdir()
    for index, (image, label) in enumerate(zip(test_digits[0][:4], test_digits[1][:4], strict=True)):
        Image.fromarray(255 - image).resize((112, 112)).save(photos / f"{label}_{index}.png")
    for name in ("seven.jpg", "another.png"):
        Image.fromarray(test_digits[0][0]).save(machine.checkout / name)
    write_sheets(machine.checkout, test_digits)
    try:
        yield machine
    finally:
        machine.end()
        shutil.rmtree(folder, ignore_errors=True)


def fill_in(machine: Machine, command: str) -> str:
    """A command with what its reader has to fill in: names that earlier commands printed."""
    if name := re.search(r"--resume (\S+)", command):
        kind = name[1].split("-")[0]
        # Those that began: one that was ended before has no settings yet.
        *_, newest = sorted(file.parent for file in (machine.checkout / "runs").glob(f"{kind}-*/{SETTINGS[kind]}"))
        newest.rename(newest.with_name(name[1]))
    if re.search(r"\bID\b", command.partition("#")[0]):
        listing = machine.type("ray job list").read()
        command = re.sub(r"\bID\b", re.search(r"raysubmit_\w+", listing)[0], command)
    return command


def test_every_documented_command_works_in_its_order(machine):
    seen: set[str] = set()
    for section, commands in documented_commands():
        staying: list[Typed] = []
        neighbour = None
        if section.endswith("A cluster of this machine"):
            neighbour = machine.type(f". .venv/bin/activate\npython -c {shlex.quote(NEIGHBOUR)}")
            neighbour.wait_for("alive")
        for documented in commands:
            started = time.monotonic()
            if STATE.match(documented):
                machine.state.append(documented)
                continue
            command = fill_in(machine, documented)
            rule = next((rule for rule in RULES if re.match(rule.pattern, command)), Rule(""))
            bare = command.partition(" #")[0].strip()
            if bare in seen and not rule.stays:
                continue  # another document says it too
            seen.add(bare)
            typed = run(machine, command, rule)
            assert "Traceback" not in typed.output, f"{section}: {command}\n{typed.output}"
            if rule.stays:
                staying.append(typed)
                wait_until_it_answers(machine, typed, command)
            elif rule.until:
                typed.press_control_c()
            print(f"{time.monotonic() - started:6.1f} s  {command.splitlines()[0]}")
            if not section.endswith("A cluster of this machine"):
                assert not (machine.home / ".ray").exists(), f"{command} left a token behind"
        for typed in staying:
            typed.press_control_c()
        if neighbour:
            wait_for(lambda: machine.type(CLUSTERS).read() == "1\n", "the end of the cluster", 30)
            neighbour.goes_on("alive")


def run(machine: Machine, command: str, rule: Rule) -> Typed:
    """Type a command until it has shown what it is to show; again while a young cluster says to try again later."""
    while True:
        typed = machine.type(command)
        typed.wait_for_end_or(rule.until)
        if command.startswith("ray job submit") and "No available agent" in typed.output:
            time.sleep(1)
            continue
        if rule.until:
            typed.wait_for(rule.until)
        else:
            typed.read()
        return typed


def wait_until_it_answers(machine: Machine, typed: Typed, command: str) -> None:
    """Until what a command started takes requests."""
    if command.startswith("make serve"):
        question = "curl --silent --fail http://127.0.0.1:8000/health"
    else:
        question = "ray job list"
    end = time.monotonic() + PATIENCE_S
    while machine.type(question).process.wait(60) != 0:
        assert typed.process.poll() is None and time.monotonic() < end, f"{command} does not answer\n{typed.output}"
        time.sleep(1)
