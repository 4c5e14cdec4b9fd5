"""From uploaded bytes to an answer, without HTTP and without Ray: load a checkpoint, decode, prepare, predict.

A model goes into service as a whole: it is loaded, verified and warmed up before the reference to it is swapped.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

import cv2
import numpy as np

from digits.errors import (
    CheckpointError,
    NoDigitFound,
    NotADigit,
    SeveralDigits,
    SheetError,
    UnreadableImage,
    UserError,
)
from digits.images import decode_image
from digits.models.checkpoints import is_of_storage
from digits.reading.answer import Reading
from digits.reading.one_digit import Look, look_at, look_at_once
from digits.reading.reader import Reader
from digits.service.inference.protocol import read_each_by_its_kind
from digits.service.metrics import Metrics, NoMetrics
from digits.service.model import BEST, REFRESH_S, Model, as_told, find_checkpoint, load_model, refresh_of
from digits.service.sheet import SheetRead, read_sheet
from digits.uris import public

_Said = TypeVar("_Said")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the network says about one picture."""

    digit: int
    confidence: float
    """Calibrated probability of `digit`."""
    probabilities: np.ndarray
    """float32 (10,)"""
    seen: np.ndarray
    """uint8 (28, 28): what the network saw."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a picture gets no answer. Not the exception itself: its traceback would keep the picture in memory."""

    reason: str
    """What a client is told in one word: that of UnreadableImage or SheetError, several_digits or not_a_digit."""
    counted: str
    """What is counted: the same, or which part of the work saw no digit, such as blank or noise."""
    detail: str

    @classmethod
    def because(cls, error: UserError) -> Self:
        """The refusal that tells a client of `error`."""
        reason = "not_a_digit" if isinstance(error, (NotADigit, NoDigitFound)) else error.reason
        counted = "not_a_digit" if isinstance(error, NotADigit) else error.reason
        return cls(reason=reason, counted=counted, detail=str(error))


class Service:
    """The model in service, and what is counted about it; its methods block, so call them in a thread.

    All but `recognise_at_once`, and `predict` of a few images, which take less time than that.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        # Requests already run side by side: threads within one would only wait for each other.
        cv2.setNumThreads(1)
        self.metrics = metrics or NoMetrics()
        self.model: Model | None = None
        self.refused: str | None = None
        """Why the last checkpoint was refused; None when the last one is in service."""
        self.choice: Mapping[str, Any] = {}
        self.tried: str | None = None
        """Where the last checkpoint lies that was taken or refused; None where none was found or read to its end."""
        self.refresh_s = REFRESH_S
        """How often `follow` is to be called, in seconds; 0 for never."""
        self._changes = threading.RLock()
        """One change at a time: what is named while the best one is being loaded comes after it, and stays."""

    def swap(self, choice: Mapping[str, Any]) -> None:
        """Take the checkpoint that `choice` names (see `find_checkpoint`) into service.

        One that cannot serve is refused, whatever is wrong with it: the old model stays and `refused` says why. Only if
        there is no old model does this method raise why, a UserError.
        """
        with self._changes:
            self._swap(choice)

    def _swap(self, choice: Mapping[str, Any]) -> None:
        self.choice, self.tried = choice, None
        try:
            with _told_as_its_fault():
                self.refresh_s = refresh_of(choice)
                found = find_checkpoint(choice)
                self.tried = public(str(found))
                model = load_model(found)
        except (UserError, OSError) as error:
            if is_of_storage(error):
                self.tried = None  # nothing is known of the checkpoint: `follow` tries it again
            self.metrics.swapped(accepted=False)
            told = as_told(error, choice)
            self.refused = str(told)
            if self.model is None:
                raise told from None  # Ray shows what it came from to everybody who asks for the status
        else:
            # One assignment, last: every request sees the whole old model or the whole new one.
            self.model, self.refused = model, None
            self.metrics.swapped(accepted=True)

    def follow(self) -> bool:
        """Where "best" was chosen, take what is the best by now, if it is another one; whether one was tried.

        Storage that cannot be read now is no reason to change anything; `refused` says so until it can be read again.
        """
        with self._changes:
            return self.choice.get("checkpoint", BEST) == BEST and self._follow()

    def _follow(self) -> bool:
        try:
            with _told_as_its_fault():
                best = str(find_checkpoint(self.choice))
        except (UserError, OSError) as error:
            self.refused = str(as_told(error, self.choice))
            return False
        if best != self.tried:
            self.swap(self.choice)
            return True
        if self.model is not None and best == self.model.path:
            self.refused = None
        return False

    def recognise(self, model: Model, pictures: Sequence[bytes]) -> list[Answer | Refusal]:
        """One answer for each picture file, in order; a file without one digit, or that cannot be read, is refused."""
        looks = [self._look(model.networks.reader, data) for data in pictures]
        answers = [look if isinstance(look, Refusal) else self._answer(model, look) for look in looks]
        self._count([answer.probabilities for answer in answers if isinstance(answer, Answer)])
        return answers

    def recognise_at_once(self, model: Model, picture: bytes) -> Answer | None:
        """As `recognise`, of one picture file that is clearly a digit in MNIST's form; None for any other."""
        start = time.perf_counter()
        try:
            look = look_at_once(decode_image(picture))
        except UnreadableImage:
            return None
        if look is None:
            return None
        answer = _answer_of(look, look.answer(model.networks.classifier.answers))
        self.metrics.took("at_once", time.perf_counter() - start)
        self._count([answer.probabilities])
        return answer

    def read(self, model: Model, pictures: Sequence[bytes], *, explain: bool = False) -> list[Reading | Refusal]:
        """Every digit of each picture file, in order; a file without digits, or that cannot be read, is refused."""
        return [self._read(model, data, explain) for data in pictures]

    def predict(self, model: Model, images: np.ndarray) -> np.ndarray:
        """Probabilities of prepared images uint8 (N, 28, 28), or of a client's tensor (N, 28, 28, 3), counted.

        float32 (N, 10); what is grey in a tensor is read as grey, whatever stands beside it.
        """
        read = model.networks.classifier.probabilities
        if images.ndim == 4:
            read = partial(read_each_by_its_kind, read)
        probabilities = self._timed(read, images)
        self._count(probabilities)
        return probabilities

    def _timed(self, read: Callable[[np.ndarray], _Said], images: np.ndarray) -> _Said:
        """What the digit network says of images, timed."""
        start = time.perf_counter()
        said = read(images)
        self.metrics.took("predict", time.perf_counter() - start)
        return said

    def _count(self, answers: Iterable[np.ndarray]) -> None:
        """Count answers, float32 (10,) each."""
        for probabilities in answers:
            self.metrics.predicted(int(probabilities.argmax()), float(probabilities.max()))

    def _look(self, reader: Reader, data: bytes) -> Look | Refusal:
        """What the network is to see of a picture file."""
        start = time.perf_counter()
        try:
            photo = decode_image(data)
            decoded = time.perf_counter()
            look = look_at(photo, reader)
        except (UnreadableImage, NoDigitFound, NotADigit, SeveralDigits) as error:
            return self._refuse(error)
        self.metrics.took("decode", decoded - start)
        self.metrics.took("prepare", time.perf_counter() - decoded)
        return look

    def _answer(self, model: Model, look: Look) -> Answer | Refusal:
        """What both networks make of a picture together."""
        try:
            probabilities = look.answer(partial(self._timed, model.networks.classifier.answers))
        except NotADigit as error:
            return self._refuse(error)
        return _answer_of(look, probabilities)

    def _read(self, model: Model, data: bytes, explain: bool) -> Reading | Refusal:
        """Every digit of a picture file, counted."""
        start = time.perf_counter()
        try:
            reading = model.networks.read(data, pictures=explain)
        except (UnreadableImage, NotADigit) as error:
            return self._refuse(error)
        self.metrics.took("read", time.perf_counter() - start)
        for one in reading.digits:
            self.metrics.predicted(one.digit, one.confidence)
        return reading

    def read_sheets(self, model: Model, pictures: Sequence[bytes]) -> list[SheetRead | Refusal]:
        """The boxes of the sheet in each picture file, in order, read by the model and by the baseline, counted."""
        return [self._read_sheet(model, data) for data in pictures]

    def _read_sheet(self, model: Model, data: bytes) -> SheetRead | Refusal:
        """One of them; what the baseline says is not counted."""
        start = time.perf_counter()
        try:
            sheet = read_sheet(model.networks, data)
        except (UnreadableImage, SheetError) as error:
            return self._refuse(error)
        self.metrics.took("sheet", time.perf_counter() - start)
        for one in sheet.boxes:
            if one.digit is not None and one.confidence is not None:
                self.metrics.predicted(one.digit, one.confidence)
        return sheet

    def _refuse(self, error: UserError) -> Refusal:
        """Note and tell why a picture gets no answer."""
        refusal = Refusal.because(error)
        self.metrics.rejected(refusal.counted)
        return refusal


def _answer_of(look: Look, probabilities: np.ndarray) -> Answer:
    """What the probabilities of a picture, float32 (10,), say."""
    digit = int(probabilities.argmax())
    return Answer(digit=digit, confidence=float(probabilities[digit]), probabilities=probabilities, seen=look.image)


@contextlib.contextmanager
def _told_as_its_fault() -> Iterator[None]:
    """Raise CheckpointError for what goes wrong inside, while a checkpoint is loaded; UserError and OSError stay."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        raise CheckpointError(f"the checkpoint cannot be used: {type(error).__name__}: {error}") from error
