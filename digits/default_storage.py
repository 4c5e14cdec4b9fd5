"""Where runs lie when nobody says so: in runs, or outside Ray's folders for a job that was uploaded to a cluster.

`ray job submit --working-dir .` runs a job in a copy of that folder, among Ray's own files, which Ray removes: what is
written there is lost.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from digits.errors import require
from digits.storage import Storage
from digits.uris import is_uri

RUNS = "runs"
"""Folder of the checkout, or of wherever a job is started."""
HOME = Path("~/digits-runs")
"""Folder of an uploaded job, on the node on which it runs."""
COPY = ("runtime_resources", "working_dir_files")
"""Folders of Ray, one in the other, that hold its copies of working directories."""


def is_copy(folder: Path) -> bool:
    """Whether a folder is Ray's copy of a working directory, or inside one."""
    return COPY in pairwise(folder.parts)


def is_default_of_a_copy(named: str | None) -> bool:
    """Whether a job that names no storage gets a folder of its own node, since it runs in Ray's copy of its folder."""
    return named is None and is_copy(Path.cwd())


def choose_storage(
    named: str | None, base: Path | None = None, *, holds: Callable[[Storage], bool] | None = None
) -> Storage:
    """The storage at a path that somebody `named`, or else the usual one; a relative path starts at `base`.

    The usual one is runs, or ~/digits-runs where `base`, by default the working directory, is Ray's copy of a folder.
    Where it does not hold what is looked for, but ~/digits-runs does, as `holds` says, it is that. ConfigurationError
    for a relative path in a job that runs in such a copy.
    """
    base = base or Path.cwd()
    if named is not None:
        relative = not is_uri(named) and not Path(named).expanduser().is_absolute()
        require(
            not (relative and is_copy(base)),
            f"the relative path {named} in a job that runs in Ray's copy of its folder, which Ray removes",
            "a path that stays: an absolute one, or a bucket",
            "name it in full, such as s3://bucket/runs; on one node, leave it out for ~/digits-runs",
        )
        return Storage.open(base / Path(named).expanduser() if relative else named)
    places = [Storage.open(place) for place in ([] if is_copy(base) else [base / RUNS]) + [HOME]]
    return next((place for place in places if holds is not None and holds(place)), places[0])
