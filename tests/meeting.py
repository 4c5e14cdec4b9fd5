"""Networks that train side by side wait for each other: none has an epoch before all have begun."""

import time
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE_S = 200.0
"""How long they wait; then training fails."""


class Meeting:
    """To be told the events of a training whose `photos` score its epochs: they come when so many networks train.

    All are then at the end of their first epoch. `file` is made meanwhile.
    """

    def __init__(self, file: Path, count: int) -> None:
        self.file, self.count = file, count
        self.begun: set[str] = set()

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["fraction"] == 1.0:
            self.begun.add(event["network"])
            if len(self.begun) == self.count:
                self.file.touch()

    def photos(self) -> list[Any]:
        """The photos, as `digits.training.driver.train` takes them; there have to be a Ray."""
        import ray

        return [ray.remote(num_cpus=0)(photos_when).remote(self.file)]


def photos_when(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ten black photos, when there is a file."""
    deadline = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert time.monotonic() < deadline, "no second network began beside the first one"
        time.sleep(0.1)
    return np.zeros((10, 28, 28), np.uint8), np.arange(10)
