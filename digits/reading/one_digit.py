"""A picture of one digit, looked at by both networks: the answer is what they agree on.

The digit network knows well which digit it sees, but is sure of one whatever it is shown. The page network, at a glance
at the reduced picture, knows whether a digit is there, or several. So the first is asked for the digit, and their
probabilities are pooled (a logarithmic opinion pool: Genest and Zidek, 1986); whether there is an answer is decided by
what the second sees and by how familiar the picture looks to the first.
Where a digit is seen but is too faint or in too much noise to be drawn as MNIST would, the second answers alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from digits.errors import NoDigitFound, NotADigit, SeveralDigits
from digits.models.inference import Answers
from digits.preprocessing.prepare import Prepared, prepare, prepared_already
from digits.reading.confidence import Confidence, log_odds
from digits.reading.cut_out import cut_out
from digits.reading.merge import Found, likely, merged
from digits.reading.reader import Reader
from digits.reading.tight import in_paper, shown, whole_of

GLANCE_SIDE = 192
"""Longer side of the reduced picture that is glanced at, in pixels."""
AGREEMENT = 0.235
"""Confidence of the page network at that place below which it does not answer alone; chosen on simulated pictures."""
LEAST = 1e-4
"""Of the page network's share for a digit: what it rules out is not quite impossible."""
SURE_OF_WHOLE = 0.9
"""The probability that a digit network which was not shown what is no digit gives a whole 28x28 picture, and which no
noise reaches: it answers whatever was glanced."""
WEIGHT = 0.5
"""Of the page network's logarithms in the pool, beside 1 for the digit network's."""
MARGIN = 0.4
"""Paper around a digit that preparation overlooked, as a fraction of its longer side."""
SPECK = 0.04
"""Fraction of the ink that a second piece of a digit in MNIST's form may have before it is looked at."""
GRAIN = 1.5
"""Standard deviation, in pixels, of the blur that takes the grain from a box in which a digit is known to be."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the picture's width and height."""
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
Classify = Callable[[np.ndarray], Answers]
"""What the digit network says of images uint8 (N, 28, 28)."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When there is a digit, by what speaks for one; chosen on simulated pictures."""

    familiar: float
    """What familiarity counts for, beside 1 for the page network's log-odds."""
    enough: float
    """What must speak for a digit where both networks answer."""
    enough_of_whole: float
    """The same where the digit network also sees a tiny picture as it is, clutter and all."""
    enough_of_page: float
    """What must speak for the digits of a page on average, without the share of the answer, or they are letters."""

    @classmethod
    def of(cls, answers: Answers) -> "Rule":
        """That of the digit network that answers."""
        return TAUGHT if answers.knows_none else UNTAUGHT

    def in_favour(self, found: Found, digit: int, familiarity: float) -> float:
        """What there is in favour of a digit at a place: log-odds that one is there, that it is this one, familiarity.

        What the digit network's images look like at their best is its `familiarity`.
        """
        share = max(LEAST, float(found.probabilities[digit] / found.probabilities.max()))
        return float(log_odds(found.confidence) + np.log(share) + self.familiar * familiarity)


TAUGHT = Rule(familiar=2.0, enough=-6.0, enough_of_whole=-6.0, enough_of_page=-1.5)
"""Of a digit network that was shown what is no digit."""
UNTAUGHT = Rule(familiar=1.3, enough=-3.1, enough_of_whole=-3.6, enough_of_page=0.3)
"""Of one that was not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What both networks are shown of one picture, and what the page network made of it."""

    images: np.ndarray
    """uint8 (K, 28, 28): what the digit network reads, the digit as MNIST would draw it. A picture of 28x28 is itself
    the last one, since what is drawn of it lacks what clutter touches; so is a smaller one, with paper around it."""
    box: Box
    found: Found | None
    """The likeliest digit at that place; None where no glance was needed, or nothing was seen."""
    as_it_came: bool = False
    """Whether the picture is in MNIST's form: who sends that knows that it is a digit."""
    is_whole: bool = False
    """Whether the last of the images is the whole picture."""
    is_prepared: bool = True
    """Whether the images are drawn as MNIST would; else the only one is cut out of the photo, for people."""
    is_digit: bool = False
    """Whether a digit is known to be there: then it is read, however unlike one it looks."""
    scale: Confidence = field(default_factory=Confidence)
    """How sure what both networks answer together may sound."""

    @property
    def image(self) -> np.ndarray:
        """uint8 (28, 28): what people are shown as what the network saw."""
        return self.images[0]

    def answer(self, classify: Classify) -> np.ndarray:
        """Probabilities of the ten digits, float32 (10,), by both networks; NotADigit where they do not agree."""
        return self.judge(classify(self.images))

    def judge(self, answers: Answers) -> np.ndarray:
        """From what the digit network says of the images to the probabilities of both networks, float32 (10,)."""
        probabilities, doubt = self.weigh(answers)
        return probabilities if doubt is None else self.scale.of_answer(probabilities, doubt)

    def weigh(self, answers: Answers) -> tuple[np.ndarray, float | None]:
        """As `judge`, before they are scaled; and how doubtful it is that there is a digit, 0 where nothing is.

        That is None where the digit network answers alone, as surely as it is calibrated to sound.
        """
        mean: np.ndarray = answers.probabilities.mean(axis=0)
        sure = self.is_whole and not answers.knows_none and answers.probabilities[-1].max() >= SURE_OF_WHOLE
        if self.as_it_came or sure or (self.found is None and self.is_digit):
            return mean, None
        if self.found is None:
            raise unlike()
        seen, doubt = self.found.probabilities, 0.0
        pooled = mean * seen**WEIGHT if self.is_prepared else seen
        if self.is_prepared:
            rule = Rule.of(answers)
            favour = rule.in_favour(self.found, int(pooled.argmax()), float(answers.familiarity.max()))
            enough = favour >= (rule.enough_of_whole if self.is_whole else rule.enough)
            doubt = max(0.0, -favour)
        else:
            enough = self.found.confidence >= AGREEMENT
        if not (enough or self.is_digit):
            raise unlike()
        return pooled / pooled.sum(), 0.0 if self.is_digit else doubt


def look_at(photo: np.ndarray, reader: Reader) -> Look:
    """Prepare the digit in a photo, uint8 (H, W, 3), and glance at what is there.

    Raises SeveralDigits, NotADigit where the page network sees no digit, and NoDigitFound where preparation finds
    nothing to prepare.
    """
    return replace(_look_at(photo, reader), scale=reader.confidence_of_one)


def look_at_once(photo: np.ndarray) -> Look | None:
    """A photo, uint8 (H, W, 3), that is clearly one digit in MNIST's form; None for all that needs a glance."""
    prepared = prepared_already(photo)
    return _as_it_came(prepared) if prepared is not None and _is_one_digit(prepared) else None


def _is_one_digit(prepared: Prepared) -> bool:
    """Whether a picture in MNIST's form needs no glance that tells it from a "10"."""
    return is_one_piece(prepared.image) and not is_wide(prepared.box)


def _as_it_came(prepared: Prepared) -> Look:
    return Look(images=prepared.image[None], box=prepared.box, found=None, as_it_came=True)


def _look_at(photo: np.ndarray, reader: Reader) -> Look:
    refusal: NoDigitFound | None = None
    as_it_came: Look | None = None
    try:
        prepared = prepare(photo)
    except NoDigitFound as error:
        refusal = error
    else:
        if prepared.as_it_came:
            as_it_came = _as_it_came(prepared)
            if _is_one_digit(prepared):
                return as_it_came
    if refusal is not None and refusal.reason in ("not_a_photo", "too_small"):
        raise refusal
    every, shape = glance(photo, reader)
    answered = likely(every, reader.thresholds)
    if len(answered) > 1:
        raise SeveralDigits(f"the picture shows {len(answered)} digits", reason="several_digits")
    if as_it_came is not None:
        return as_it_came
    whole = whole_of(photo) if refusal is None or refusal.reason != "blank" else None
    if refusal is not None and whole is not None:
        found = answered[0] if answered else None
        return Look(images=whole, box=box_of(found, shape) if found else WHOLE, found=found, is_whole=True)
    if refusal is not None or (answered and share_of_smaller(prepared.box, box_of(answered[0], shape)) < 0.25):
        if not answered:
            assert refusal is not None
            raise refusal
        try:
            prepared = prepare_at(photo, box_of(answered[0], shape))
        except NoDigitFound:
            return seen_alone(photo, answered[0], shape)
    here = [one for one in every if share_of_smaller(prepared.box, box_of(one, shape)) > 0.5]
    found = max(here, key=lambda one: one.confidence, default=None)
    whole = whole if whole is not None else in_paper(photo)
    if whole is not None:
        images = np.concatenate([prepared.image[None], whole])
        return Look(images=images, box=prepared.box, found=found, is_whole=True)
    if found is None:
        raise unlike()
    return Look(images=prepared.image[None], box=prepared.box, found=found)


def look_at_box(photo: np.ndarray, reader: Reader) -> Look:
    """As `look_at`, of a photo that is known to show one digit, such as a written box of a form.

    Where the page network sees none, or several, the digit network reads alone what preparation makes of the whole;
    where noise hides a faint digit, of the whole without its finest grain. Raises NoDigitFound where that is nothing.
    """
    try:
        return replace(look_at(photo, reader), is_digit=True)
    except (NotADigit, SeveralDigits):
        prepared = prepare(photo)
    except NoDigitFound:
        prepared = prepare(cv2.GaussianBlur(photo, (0, 0), GRAIN))
    return Look(images=prepared.image[None], box=prepared.box, found=None, is_digit=True)


def seen_alone(photo: np.ndarray, found: Found, shape: tuple[int, ...]) -> Look:
    """What only the page network can read, found in a reduced photo of this height and width."""
    height, width = photo.shape[:2]
    scale = (width / shape[1], height / shape[0])
    corner = (found.x - found.width / 2, found.y - found.height / 2, found.width, found.height)
    return Look(images=cut_out(photo, corner, scale, 0)[None], box=box_of(found, shape), found=found, is_prepared=False)


def unlike() -> NotADigit:
    """The refusal of what stands out, but not as a digit does."""
    return NotADigit("what stands out in the picture is not enough like a handwritten digit", reason="unlike")


def is_one_piece(image: np.ndarray) -> bool:
    """Whether a digit in MNIST's form, uint8 (28, 28), has next to all of its ink in one piece: so it is no "10"."""
    count, labels = cv2.connectedComponents((image > 64).astype(np.uint8), connectivity=8)
    if count <= 2:
        return True
    ink = np.sort(np.bincount(labels.ravel(), image.ravel(), count)[1:])
    return bool(ink[:-1].sum() <= SPECK * ink.sum())


def is_wide(box: Box) -> bool:
    """Whether what stands in a square picture is wider than high, as two digits that touch are, and few single ones."""
    left, top, right, bottom = box
    return right - left > bottom - top


def glance(photo: np.ndarray, reader: Reader) -> tuple[list[Found], tuple[int, ...]]:
    """All that may be digits in a photo, reduced to GLANCE_SIDE; the reduced picture's height and width."""
    scale = GLANCE_SIDE / max(photo.shape[:2])
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in photo.shape[1::-1])
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    seen = shown(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))
    return seen.as_it_came(merged(reader.detector.whole(seen.grey, (0,)), seen.grey.shape)), photo.shape[:2]


def prepare_at(photo: np.ndarray, box: Box, around: float = MARGIN, turns: int = 0) -> Prepared:
    """Prepare what is at a place of a photo, with paper around it as a fraction of its longer side.

    The place is turned clockwise by quarter turns before. NoDigitFound where preparation sees nothing there.
    """
    height, width = photo.shape[:2]
    left, top, right, bottom = np.array(box) * (width, height, width, height)
    margin = around * max(right - left, bottom - top)
    x0, y0 = max(0, int(left - margin)), max(0, int(top - margin))
    x1, y1 = min(width, int(np.ceil(right + margin))), min(height, int(np.ceil(bottom + margin)))
    prepared = prepare(np.ascontiguousarray(np.rot90(photo[y0:y1, x0:x1], -turns)))
    return Prepared(image=prepared.image, box=box, as_it_came=False)


def box_of(found: Found, shape: tuple[int, ...]) -> Box:
    """Where a digit is, as fractions of a picture of this height and width."""
    half_width, half_height = found.width / 2, found.height / 2
    height, width = shape[:2]
    return (
        max(0.0, (found.x - half_width) / width),
        max(0.0, (found.y - half_height) / height),
        min(1.0, (found.x + half_width) / width),
        min(1.0, (found.y + half_height) / height),
    )


def share_of_smaller(one: Box, other: Box) -> float:
    """Area that two boxes share, as a fraction of the smaller one's."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(0.0, width) * max(0.0, height) / max(smaller, 1e-9)
