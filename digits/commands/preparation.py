"""What training and search do before their work: all checks, then the cluster and what its workers need."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import ray

from digits import cluster
from digits.commands.settings import RunSettings
from digits.config import DataConfig, check_seeds
from digits.data.files import find_digits, find_same_digits
from digits.data.split import Split
from digits.default_storage import choose_storage, is_default_of_a_copy
from digits.images import Digits
from digits.storage import Storage
from digits.training.resources import Workers, choose_workers
from digits.training.runs import Resumable
from digits.training.score_photos import start_photo_digits
from digits.uris import is_uri, public

Work = TypeVar("Work", bound=Resumable)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared(Generic[Work]):
    """A job when everything has been checked that can be checked without Ray."""

    work: Work
    """What is to be done: a run or a search."""
    run_dir: Storage
    """Its folder."""
    split: Split


def prepare(
    settings: RunSettings, kind: type[Work], *, begin: Callable[[DataConfig, str], Work], name: str
) -> Prepared[Work]:
    """Read what is resumed, or `begin` anew with the data and their fingerprint, in a folder named after `name`.

    Raises ConfigurationError or DataError for settings, data or storage that cannot be used.
    """
    run_dir: Storage | None
    if settings.resume:
        run = Path(settings.resume).name
        storage = choose_storage(settings.storage_path, holds=lambda storage: (storage / run / kind.FILE).exists())
        run_dir = storage / run
        work = kind.read(run_dir)
        # Where its data lie was noted without keys: they may be named again.
        again = settings.data.applied_to(DataConfig()).path
        path = again if again and public(again) == work.data.path else work.data.path
        files = find_same_digits(path, work.fingerprint, run_dir.name)
    else:
        storage = choose_storage(settings.storage_path)
        check_seeds(settings.seeds)
        data = independent_of_this_folder(settings.data.applied_to(DataConfig()))
        files = find_digits(data.path)
        work = begin(replace(data, path=data.path and public(data.path)), files.fingerprint)
        run_dir = None
    split = Split.make(files, work.data)
    storage.check_writable()
    return Prepared(work=work, run_dir=run_dir or storage.new_folder(name), split=split)


def independent_of_this_folder(data: DataConfig) -> DataConfig:
    """The same data by an absolute path, so that a run goes on, and a checkpoint is judged, in whatever folder."""
    if data.path is None or is_uri(data.path):
        return data
    return replace(data, path=str(Path(data.path).expanduser().absolute()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Started:
    """The cluster of a job, and what its workers need."""

    resources: dict[str, float]
    """As `ray.cluster_resources()`."""
    num_nodes: int
    workers: Workers
    """The workers of a training in full."""
    photo_digits: list[ray.ObjectRef[Digits]]
    """The simulated photos of the photo score, which are being made."""


def start(
    prepared: Prepared[Work], settings: RunSettings, *, on_demand_gpus: bool = False, state_api: bool = False
) -> Started:
    """Connect to the cluster, check that it can do the job, and start making simulated photos."""
    resources, num_nodes = cluster.connect(state_api=state_api)
    cluster.check_shared(
        prepared.run_dir.parent, prepared.split.files.local_paths, alone=is_default_of_a_copy(settings.storage_path)
    )
    workers = choose_workers(settings.num_workers, resources, num_nodes, on_demand_gpus=on_demand_gpus)
    photo_digits = start_photo_digits(prepared.split)
    return Started(resources=resources, num_nodes=num_nodes, workers=workers, photo_digits=photo_digits)
