"""Settings that jobs share, and flags made from the dataclasses that describe the settings."""

import ast
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, make_dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from digits.config import DataConfig

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a command line changes in a dataclass of settings; a field that it leaves out is None."""

    def given(self) -> dict[str, Any]:
        """The fields that the command line gives."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}

    def applied_to(self, config: Config) -> Config:
        """The settings with these changes; ConfigurationError where they do not go together."""
        return replace(config, **self.given())


def descriptions(config: type) -> dict[str, str]:
    """The docstring under each field of a dataclass."""
    (definition,) = ast.parse(inspect.getsource(config)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        ast.unparse(each.target): inspect.cleandoc(ast.literal_eval(below.value))
        for each, below in pairwise(definition.body)
        if isinstance(each, ast.AnnAssign) and isinstance(below, ast.Expr)
    }


def flags_of(
    config: type,
    *,
    default: Callable[[str], object],
    called: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> type[Changes]:
    """A subclass of Changes that `tyro` parses: a flag for each field of a dataclass, described by its docstring.

    `default` gives, for the name of a field, what holds where the flag is left out; `called` names the flags that are
    not named as their fields are, and `without` the fields that get no flag.
    """
    described, hints = descriptions(config), get_type_hints(config)
    flags = []
    for name in (each.name for each in fields(config) if each.name not in without):
        flag = tyro.conf.arg(
            name=(called or {}).get(name),
            help=described[name],
            help_behavior_hint=f"(default: {default(name)})",
            metavar=metavar_of(hints[name]),
        )
        flags.append((name, Annotated[hints[name] | None, flag], None))
    return make_dataclass(f"{config.__name__}Flags", flags, bases=(Changes,), frozen=True, kw_only=True)


def metavar_of(hint: Any) -> str | None:
    """What stands for a value in --help; None where tyro lists the possible values."""
    kinds = {int: "INT", float: "FLOAT", str: "STR"}
    hints = (hint, *(get_args(hint) if get_origin(hint) is not tuple else ()))
    several = next((get_args(each) for each in hints if get_origin(each) is tuple), ())
    kind = next((kinds[kind] for kind in (*hints, *several) if kind in kinds), None)
    return f"[{kind} [{kind} ...]]" if several else kind


DataFlags = flags_of(DataConfig, called={"path": "data"}, default=lambda name: getattr(DataConfig(), name))
TRAINING_FLAGS = {"global_batch_size": "batch_size"}
"""Flags that are not named as their fields of TrainingConfig are."""


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Where a job writes."""

    storage_path: str | None = None
    """Folder or bucket for runs; left out: runs, or ~/digits-runs where a job runs in Ray's copy of its folder."""


@dataclass(frozen=True, kw_only=True)
class RunSettings(StorageSettings):
    """What training and search have in common."""

    seeds: tuple[int, ...] | None = None
    """Each network that is trained in full is trained once with each seed; left out, with seed 0."""
    num_workers: int | tuple[int, int] | None = None
    """Workers that train a network, or the least and the most of them; left out, networks share all GPUs or nodes."""
    resume: str | None = None
    """Name of an interrupted run in the storage path that is to go on; it keeps its own settings."""
    run_name: str | None = None
    """Name of the run: it begins or, where it is there already, goes on, so that a command can be repeated."""
    data: Annotated[Changes, tyro.conf.arg(name="", constructor=DataFlags)] = field(default_factory=DataFlags)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds that are trained with."""
        return (0,) if self.seeds is None else self.seeds
