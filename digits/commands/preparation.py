"""What training and search do before their work: all checks, then the cluster and what its workers need.

What goes on, a run or a search, is asked for nothing else than what it was begun with.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import ray

from digits import cluster
from digits.commands.settings import Changes, RunSettings
from digits.config import MNIST, DataConfig, Paths
from digits.data.files import find_digits, find_same_digits
from digits.data.read import read_without_ray
from digits.data.split import Split, evenly
from digits.default_storage import choose_storage, is_default_of_a_copy
from digits.errors import ConfigurationError, require
from digits.images import Digits
from digits.lease import FILE as LEASE
from digits.lease import Lease
from digits.models import registry
from digits.storage import Storage
from digits.training.resources import Workers, choose_workers
from digits.training.runs import Noted, Resumable
from digits.training.score_photos import read_originals, start_photo_digits
from digits.uris import is_uri, public

Work = TypeVar("Work", bound=Resumable)
CALLED = {"global_batch_size": "batch_size", "path": "data", "seed": "seeds", "architecture_name": "architecture"}
"""Flags whose names differ from the setting's."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Of a run: a folder of any storage, and no path."""
NUM_JUDGED = 50_000
"""Most originals that a job itself holds, to calibrate and picture finished networks: 78 MB with their copies.

Workers validate every epoch on all that validate.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared(Generic[Work]):
    """A job when everything has been checked that can be checked without Ray."""

    work: Work
    """What is to be done: a run or a search."""
    run_dir: Storage
    """Its folder."""
    split: Split
    lease: Lease
    """To be held from before Ray starts until the work is done: taking it refuses a second job at once."""


def prepare(
    settings: RunSettings,
    kind: type[Work],
    *,
    begin: Callable[[DataConfig, str], Work],
    given: bool,
    name: str,
) -> Prepared[Work]:
    """Read what is resumed, or `begin` anew with the data and their fingerprint, in a folder named after `name`.

    What goes on keeps its settings, and others are refused; `given` says whether any but the data are named.
    Raises ConfigurationError or DataError for settings, data or storage that cannot be used.
    """
    name_of_run = Path(settings.resume).name if settings.resume else settings.run_name
    holds = (lambda storage: (storage / name_of_run / kind.FILE).exists()) if name_of_run else None
    storage = choose_storage(settings.storage_path, holds=holds)
    named, goes_on = folder_of(storage, resume=settings.resume, run_name=settings.run_name, file=kind.FILE)
    check_seeds(settings.all_seeds)
    data = independent_of_this_folder(data_of(settings.data))
    noted = replace(data, path=each_path(data.path, public))
    if named and goes_on:
        work = kind.read(named)
        if settings.run_name or given:
            asked = work.apart_from_length(begin(noted, work.fingerprint))
            require_same(named.name, work, asked, flag="--run-name" if settings.run_name else "--resume")
        elif settings.data.given():
            require_same(named.name, work, replace(work, data=noted), flag="--resume")
        # Where its data lie was noted without keys: they may be named again.
        path = data.path if data.path and noted.path == work.data.path else work.data.path
        files = find_same_digits(path, work.fingerprint, named.name)
    else:
        files = find_digits(data.path)
        work = begin(noted, files.fingerprint)
    split = Split.make(files, work.data)
    storage.check_writable()
    run_dir = named or storage.new_folder(name)
    return Prepared(work=work, run_dir=run_dir, split=split, lease=Lease(run_dir, tell=print))


def data_of(flags: Changes) -> DataConfig:
    """The digits that a command line names; ConfigurationError where what it says of the split has no effect."""
    data, given = flags.applied_to(DataConfig()), flags.given()
    idle = [f"--{name.replace('_', '-')} {given[name]}" for name in registry.ONLY_OF_ARTICLE if name in given]
    require(
        data.protocol == "article" or not idle,
        f"{' and '.join(idle)} under the protocol {data.protocol}, whose files say which digits validate",
        "settings of a random split only where there is one",
        "leave them out, or use --protocol article",
    )
    return data


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise ConfigurationError if there are no seeds, or if one appears twice."""
    require(
        len(seeds) > 0 and len(set(seeds)) == len(seeds),
        f"seeds {tuple(seeds)}",
        "one or more different seeds",
        "give --seeds 0 1 2, for example",
    )


def independent_of_this_folder(data: DataConfig) -> DataConfig:
    """The same data by absolute paths, so that a run goes on, and a checkpoint is judged, in whatever folder.

    ConfigurationError where mnist may mean the digits that come with digits, or a folder.
    """
    path = each_path(data.path, absolute)
    return replace(data, path=None if path == MNIST else path)


def absolute(path: str) -> str:
    """A source of digits in words that mean the same in any folder."""
    if path != MNIST:
        return path if is_uri(path) else str(Path(path).expanduser().absolute())
    require(
        not any(Path(MNIST).glob("*.parquet")),
        f"--data {MNIST} names the digits that come with digits, and there is a folder {MNIST} here, too",
        "one meaning",
        f"write ./{MNIST} for the folder, or rename it",
    )
    return path


def each_path(path: Paths, change: Callable[[str], str]) -> Paths:
    """What --data names, each source changed."""
    if path is None or isinstance(path, str):
        return path and change(path)
    return tuple(map(change, path))


@dataclass(frozen=True, kw_only=True, eq=False)
class Started:
    """The cluster of a job, what its workers need, and the digits that the job itself looks at."""

    resources: dict[str, float]
    """As `ray.cluster_resources()`."""
    num_nodes: int
    workers: Workers
    """The workers of a training in full."""
    photo_digits: list[ray.ObjectRef[Digits]]
    """The simulated photos of the photo score, which are being made."""
    judged: np.ndarray
    """Which originals validate the finished networks here: bool (num_digits,), see `NUM_JUDGED`."""
    validation: Digits
    """Those originals, each followed by its inverted copy where the data have them."""


def start(
    prepared: Prepared[Work], settings: RunSettings, *, on_demand_gpus: bool = False, state_api: bool = False
) -> Started:
    """Connect to the cluster, check that it can do the job, and start making simulated photos.

    Ray starts in other processes: digits are read meanwhile.
    """
    split = prepared.split
    with ThreadPoolExecutor(max_workers=1) as pool:
        originals = pool.submit(read_originals, split)
        judged = evenly(split.validates, NUM_JUDGED)
        validation = pool.submit(read_without_ray, split.files, judged, inverted_copies=split.inverted_copies)
        resources, num_nodes = cluster.connect(state_api=state_api)
    cluster.check_shared(
        prepared.run_dir.parent, split.files.local_paths, alone=is_default_of_a_copy(settings.storage_path)
    )
    workers = choose_workers(settings.num_workers, resources, num_nodes, on_demand_gpus=on_demand_gpus)
    return Started(
        resources=resources,
        num_nodes=num_nodes,
        workers=workers,
        photo_digits=start_photo_digits(originals.result()),
        judged=judged,
        validation=validation.result(),
    )


def folder_of(storage: Storage, *, resume: str | None, run_name: str | None, file: str) -> tuple[Storage | None, bool]:
    """The folder that a command line names, if it does, and whether what lies there goes on.

    `file` is what a run notes itself in. Raises ConfigurationError for names that cannot be meant.
    """
    if resume is not None:
        require(run_name is None, "--resume and --run-name", "one of them", "leave out --run-name to go on with a run")
        return storage / Path(resume).name, True
    if run_name is None:
        return None, False
    require(
        bool(NAME.fullmatch(run_name)) and run_name != registry.FOLDER,
        f"--run-name {run_name!r}",
        f"letters, digits, dots, dashes and underscores, a letter or digit first, and not {registry.FOLDER}",
        "choose another name; the folder that holds the run is --storage-path",
    )
    folder = storage / run_name
    if (folder / file).exists():
        return folder, True
    others = [name for name in [*folder.files(), *folder.folders()] if name != LEASE and not name.endswith(".tmp")]
    require(
        not others,
        f"{folder} is no run that can go on: it holds {', '.join(others[:3])} and no {file}",
        "the name of a new run, or of one that this job began",
        "choose another --run-name",
    )
    return folder, False


def require_same(name: str, begun: Noted, asked: Noted, *, flag: str) -> None:
    """ConfigurationError, which names the flags, where what is asked for is not what `name` was begun with."""
    differences = differing(asdict(begun), asdict(asked))
    if not differences:
        return
    listed = "; ".join(f"{each} {words(have)} and not {words(wanted)}" for each, (have, wanted) in differences.items())
    resumed = flag == "--resume"
    raise ConfigurationError(
        f"{name} was begun with other settings: {listed}",
        "the settings that it was begun with" + (", or none: it keeps them" if resumed else ""),
        "leave them out to go on with it, or start anew without --resume" if resumed else "give another --run-name",
    )


def differing(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, tuple[list[Any], list[Any]]]:
    """Flags whose values differ, with all values that each side has."""
    sides: list[dict[str, list[Any]]] = [{}, {}]
    for side, settings in zip(sides, (begun, asked), strict=True):
        for name, value in leaves(settings):
            side.setdefault("--" + CALLED.get(name, name).replace("_", "-"), []).append(value)
    # Another number of networks repeats what they share.
    have, wanted = ({flag: list(dict.fromkeys(values)) for flag, values in side.items()} for side in sides)
    return {
        flag: (have.get(flag, []), wanted.get(flag, []))
        for flag in {**have, **wanted}
        if have.get(flag) != wanted.get(flag)
    }


def leaves(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every single setting, by its own name, whatever it lies in."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from leaves(value)
        elif isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
            for each in value:
                yield from leaves(each)
        else:
            yield name, tuple(value) if isinstance(value, list) else value


def words(values: Sequence[Any]) -> str:
    """Values as a command line has them, each once."""
    texts = [" ".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in values]
    return ", ".join(dict.fromkeys(texts)) or "none"
