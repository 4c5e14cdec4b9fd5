"""Every error that a person can cause and mend, told in three parts: what happened, what was expected, what to do.

Jobs print such an error without a traceback and end with exit code 1; the service answers with its text.
"""

import contextlib
from collections.abc import Iterator
from typing import ClassVar


class UserError(ValueError):
    """The base of all errors below; `str` gives the three parts, a line each.

    `reason` is one word for counting, where a kind of error has several. A subclass may name what is usually expected
    and what usually helps, for errors that do not say so themselves.
    """

    usually_expected: ClassVar[str] = ""
    usual_remedy: ClassVar[str] = ""

    def __init__(self, happened: str, expected: str = "", remedy: str = "", *, reason: str = "") -> None:
        self.happened = happened
        self.expected = expected or self.usually_expected
        self.remedy = remedy or self.usual_remedy
        self.reason = reason
        assert self.expected and self.remedy, "an error says what was expected and what to do"
        super().__init__(self.happened, self.expected, self.remedy)  # what pickle makes it from in another process

    def __str__(self) -> str:
        return f"{self.happened}\n  expected: {self.expected}\n  what to do: {self.remedy}"


class ConfigurationError(UserError):
    """A setting that cannot work."""


class MachineError(ConfigurationError):
    """A machine of the cluster that lacks what it counts: no other start of the same work would find it."""


class DataError(ConfigurationError):
    """Parquet files that do not hold digits as expected; the message names file and column."""

    usual_remedy = "mend or remove that file, or name another folder"


class PhotoFolderError(ConfigurationError):
    """A folder without labelled photos, or a label that is not a digit."""


class UnreadableImage(UserError):
    """Bytes that cannot safely be read as a picture.

    `reason` is empty, unknown_format, no_heic_decoder, too_many_pixels, too_many_scans or damaged.
    """


class NoDigitFound(UserError):
    """A photo in which nothing looks like one handwritten digit.

    `reason` is not_a_photo, too_small, blank, noise or clutter.
    """


class NotADigit(UserError):
    """A picture in which no digit is read.

    `reason` is blank (nothing stands out of the paper), unlike (something does, but not enough like a digit), or
    too_many (more digits than are read in one picture).
    """

    usually_expected = "at least one handwritten digit"
    usual_remedy = "photograph the digits from nearer, in even light, and nothing else beside them"


class SeveralDigits(UserError):
    """A picture of several digits where one is asked for."""

    usually_expected = "a picture of one digit"
    usual_remedy = "ask for all of them with POST /read, or send the part that shows one"


class SheetError(UserError):
    """A photo from which the fifty boxes of the sheet cannot be cut.

    `reason` is not_a_sheet, marks_missing, two_sheets, not_flat, too_small or unwritten.
    """

    usually_expected = "one photo of one sheet, lying flat, with its four marks in view"
    usual_remedy = "photograph the whole sheet again, from nearby, in even light and in focus"


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged or not ours."""

    usually_expected = "a checkpoint folder written by digits"
    usual_remedy = "name another checkpoint, or make one with: make train"


class InferenceError(UserError):
    """Weights or images that a network cannot be run with."""


class CalibrationError(UserError):
    """Scores and labels that a temperature cannot be fitted to."""


class TrainingError(UserError):
    """A training or a search that ended without its result."""


class RequestError(UserError):
    """An HTTP request that cannot be answered; `reason` is one of a few words, fit for the label of a metric."""


class BenchmarkError(UserError):
    """A program under measurement that failed; the message holds the end of its output."""


def require(condition: bool, happened: str, expected: str, remedy: str) -> None:
    """Raise ConfigurationError in three parts unless `condition` holds."""
    if not condition:
        raise ConfigurationError(happened, expected, remedy)


@contextlib.contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Where a package is missing inside, raise ConfigurationError: `what` needs it, and which extra brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "digits"):
            raise  # a fault of ours
        raise missing_package(package, extra, what) from error


def missing_package(package: str, extra: str, what: str) -> ConfigurationError:
    """The error where a package of one of digits' extras is not installed, and `what` needs it."""
    return ConfigurationError(
        f"{what} needs the package {package}, which is not installed here",
        f"digits with its extra {extra}",
        f"pip install 'digits[{extra}]', or in a checkout: pip install --constraint constraints.txt '.[{extra}]'",
    )
