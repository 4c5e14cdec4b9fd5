"""A benchmark's folder: benchmark.json holds what was measured so far, so that one that was stopped can go on."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from digits.benchmarks.measuring import Figure, Results
from digits.errors import BenchmarkError, require
from digits.machine import usable_cores
from digits.storage import Storage
from digits.training.runs import PACKAGES

FILE = "benchmark.json"
SAME_MACHINE = ("processor", "cores", "memory_gb", "python", "versions")
"""What must not change within one benchmark."""
MAY_CHANGE = ("parts", "storage_path", "resume")
"""Settings that may be others when a benchmark goes on."""


@dataclass(kw_only=True)
class Record:
    """What a benchmark measured so far, where, and with what settings."""

    folder: Path
    machine: dict[str, Any]
    settings: dict[str, Any]
    results: Results = field(default_factory=Results)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """For each part that was measured to its end: seconds, and load, the machine's mean number of busy processes
    when it began."""

    @classmethod
    def begin(cls, storage_path: str, settings: dict[str, Any]) -> Self:
        """A new folder inside a storage path."""
        folder = Path(Storage.open(storage_path).new_folder("benchmark").path)
        return cls(folder=folder, machine=describe_machine(), settings=settings)

    @classmethod
    def resume(cls, storage_path: str, name: str, settings: dict[str, Any]) -> Self:
        """What the benchmark of this name measured; ConfigurationError where its figures would not belong together."""
        folder = Path(Storage.open(storage_path).path) / Path(name).name
        file, machine = folder / FILE, describe_machine()
        require(file.is_file(), f"there is no {file}", "the name of a benchmark in the storage path", "start a new one")
        try:
            document = json.loads(file.read_text())
            found = cls(
                folder=folder,
                machine=document["machine"],
                settings=settings,
                results=Results(
                    figures=[Figure.from_document(figure) for figure in document["figures"]],
                    details=document["details"],
                ),
                parts=document["parts"],
            )
            begun = {**document["settings"], **{name: settings[name] for name in MAY_CHANGE}}
            other_machine = [name for name in SAME_MACHINE if found.machine[name] != machine[name]]
        except (ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(
                f"{file} cannot be read: {error!r}", "what a benchmark of this version wrote", "start a new one"
            ) from error
        anew = "start a new one, so that its figures belong together"
        require(not other_machine, f"{', '.join(other_machine)} changed since {name} began", "the same machine", anew)
        require(begun == settings, f"the settings are not those of {name}", f"{begun}", "give the same, or " + anew)
        return found

    def document(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "machine": self.machine,
            "settings": self.settings,
            "parts": self.parts,
            "figures": [figure.document() for figure in self.results.figures],
            "details": self.results.details,
            "folder": str(self.folder),
        }

    def write(self) -> None:
        """Keep it, whole or not at all."""
        partial = self.folder / f"{FILE}.partial"
        partial.write_text(json.dumps(self.document(), indent=1))
        partial.replace(self.folder / FILE)


def describe_machine() -> dict[str, Any]:
    """What the figures are measured on, and with."""
    model = [line.partition(":")[2].strip() for line in read("/proc/cpuinfo").splitlines() if "model name" in line]
    return {
        "processor": model[0] if model else platform.machine(),
        "cores": usable_cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def read(path: str) -> str:
    """A file of the system, or nothing where the system has no such file."""
    file = Path(path)
    return file.read_text() if file.exists() else ""


def to_json(settings: Any) -> dict[str, Any]:
    """Settings as JSON gives them back."""
    return dict(json.loads(json.dumps(asdict(settings), default=str)))
