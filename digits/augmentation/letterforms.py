"""Digits in styles of writing that MNIST lacks, drawn from models of the pen's strokes.

MNIST is American handwriting of the 1980s; most of the world writes otherwise. Each function below is one
letterform, random in its proportions. Used by `augmentation.distort`, which then distorts the result further.
A letterform lives in a unit box, x to the right, y downwards, and is a list of strokes: float (K, 2) paths.
"""

import math
import random
from collections.abc import Callable

import numpy as np

from digits.augmentation.hand import NIBS, Hand, Strokes, add_tail, draw, slanted, smooth
from digits.config import IMAGE_SIZE

# 0


def plain_zero(hand: Hand) -> Strokes:
    """One turn, round or narrow, left open or overlapping at the top."""
    width = hand.between(0.4, 0.95)
    return [hand.loop(0.4, 0.5, width, 1.0, hand.near(-80, 25), hand.choose((-1, -1, 1)) * hand.between(330, 400))]


def slashed_zero(hand: Hand) -> Strokes:
    """With a stroke through it, inside or beyond the outline."""
    reach = hand.between(0.6, 1.25)
    x, y = 0.26 * reach, 0.36 * reach
    return [*plain_zero(hand), hand.line((0.4 - x, 0.5 + y), (0.4 + x, 0.5 - y))]


def curled_zero(hand: Hand) -> Strokes:
    """Closed by a small curl at the top, inside or outside."""
    width = hand.between(0.5, 0.9)
    outline = hand.loop(0.4, 0.5, width, 1.0, -70, -345)
    x, y = outline[-1]
    side = hand.choose((-1, 1))
    curl = hand.curve(
        (x, y), (x + side * hand.between(0.1, 0.2), y + 0.1), (x + side * hand.between(0.1, 0.35), y - 0.02)
    )
    return [outline, curl]


# 1


def _stem(hand: Hand) -> np.ndarray:
    lean, bow = hand.near(0, 0.06), hand.near(0, 0.03)
    return smooth(np.array([(0.5 + lean, 0.0), (0.5 + lean / 2 + bow, 0.5), (0.5 - lean, 1.0)]))


def _upstroke(hand: Hand, stem: np.ndarray, length: float, angle: float) -> np.ndarray:
    x, y = stem[0]
    away, down = length * math.cos(math.radians(angle)), length * math.sin(math.radians(angle))
    bow = hand.near(0, 0.04)
    return smooth(np.array([(x - away, y + down), (x - away / 2 + bow, y + down / 2 + bow), (x, y)]))


def flagged_one(hand: Hand) -> Strokes:
    """With a short up-stroke."""
    stem = _stem(hand)
    return [_upstroke(hand, stem, hand.between(0.12, 0.4), hand.between(28, 65)), stem]


def peaked_one(hand: Hand) -> Strokes:
    """With an up-stroke nearly as long as the stem, as in much of Europe."""
    stem = _stem(hand)
    return [_upstroke(hand, stem, hand.between(0.35, 0.95), hand.between(35, 72)), stem]


def footed_one(hand: Hand) -> Strokes:
    """With an up-stroke and a foot, as in print."""
    stem = _stem(hand)
    x, y = stem[-1]
    tilt = hand.near(0, 0.03)
    foot = hand.line((x - hand.between(0.1, 0.38), y + tilt), (x + hand.between(0.1, 0.38), y - tilt))
    strokes = [stem, foot]
    if hand.maybe(0.85):
        strokes.append(_upstroke(hand, stem, hand.between(0.12, 0.5), hand.between(10, 60)))
    return strokes


def hooked_one(hand: Hand) -> Strokes:
    """A bare stem, bent, hooked at an end, or with a curved flag."""
    stem = _stem(hand)
    x, y = stem[-1]
    if hand.maybe(0.5):
        return [stem, hand.curve((x, y - 0.03), (x + 0.05, y), (x + hand.between(0.08, 0.2), y - hand.between(0, 0.1)))]
    x, y = stem[0]
    reach = hand.between(0.15, 0.4)
    return [hand.curve((x - reach, y + reach * 0.7), (x - reach * 0.3, y + reach * 0.5), (x, y)), stem]


# 2


def round_two(hand: Hand) -> Strokes:
    """A round top and a straight or waved base, angular where they meet."""
    right, top = hand.between(0.5, 0.75), hand.between(0.22, 0.4)
    base = hand.between(0.94, 1.02)
    body = hand.curve((0.05, top), (0.2, 0.06), (0.4, 0.0), (right, 0.22), (0.42, 0.6), (0.02, base))
    if hand.maybe(0.5):
        return [body, hand.line(tuple(body[-1]), (hand.between(0.6, 0.9), hand.near(1, 0.04)))]
    return [body, hand.curve(tuple(body[-1]), (0.25, base - 0.06), (0.5, 1.02), (hand.between(0.65, 0.9), 0.95))]


def looped_two(hand: Hand) -> Strokes:
    """With a loop at the lower left, small or large, before the base."""
    size, right = hand.between(0.06, 0.2), hand.between(0.5, 0.72)
    return [
        hand.curve(
            (0.08, hand.between(0.12, 0.35)),
            (0.2, 0.05),
            (0.4, 0.0),
            (right, 0.2),
            (0.45, 0.6),
            (0.2, 0.93),
            (0.05, 1.0),
            (0.02, 1.0 - size),
            (0.18, 0.98 - size),
            (0.45, 0.97),
            (hand.between(0.65, 0.95), hand.near(0.95, 0.05)),
        )
    ]


def angular_two(hand: Hand) -> Strokes:
    """Written like a Z, its top hardly round."""
    right = hand.between(0.5, 0.7)
    top = hand.curve((0.05, hand.between(0.05, 0.2)), (0.3, 0.0), (right, 0.12), spread=0.025)
    return [top, hand.line(tuple(top[-1]), (0.02, 0.98), (hand.between(0.6, 0.85), hand.near(1, 0.04)))]


def curled_two(hand: Hand) -> Strokes:
    """Beginning with a curl inside the top."""
    x = hand.between(0.12, 0.3)
    return [
        hand.curve((x, 0.32), (x - 0.12, 0.28), (0.1, 0.1), (0.4, 0.0), (0.68, 0.22), (0.4, 0.65), (0.02, 0.98)),
        hand.line((0.02, 0.98), (hand.between(0.65, 0.9), hand.near(0.98, 0.05))),
    ]


# 3


def flat_three(hand: Hand) -> Strokes:
    """Flat-topped: a bar, a slanted stroke, a round belly."""
    right, waist = hand.between(0.5, 0.7), hand.between(0.34, 0.48)
    left = hand.between(0.2, 0.38)
    belly = hand.curve(
        (left, waist), (0.5, waist), (0.7, 0.7), (0.4, 1.0), (0.02, hand.between(0.8, 0.98)), spread=0.025
    )
    return [hand.line((hand.between(0, 0.12), hand.near(0.02, 0.03)), (right, 0.0), tuple(belly[0])), belly]


def round_three(hand: Hand) -> Strokes:
    """Two bows that meet in a point, a loop or a smooth waist."""
    upper, lower, waist = hand.between(0.45, 0.68), hand.between(0.52, 0.75), hand.between(0.38, 0.52)
    middle = hand.between(0.12, 0.35)
    start, end = hand.between(0.05, 0.28), hand.between(0.72, 0.97)
    join = [(middle, waist)] if hand.maybe(0.6) else [(middle, waist + 0.03), (middle, waist - 0.04)]
    return [
        hand.curve((0.03, start), (0.3, 0.0), (upper, 0.2), *join, (lower, 0.72), (0.33, 1.0), (0.0, end), spread=0.022)
    ]


def tailed_three(hand: Hand) -> Strokes:
    """With a small top and a large bow that curls up at its end."""
    return [
        hand.curve(
            (0.15, 0.1),
            (0.35, 0.0),
            (0.52, 0.12),
            (0.28, hand.between(0.3, 0.38)),
            (0.65, 0.6),
            (0.4, 0.98),
            (hand.between(-0.05, 0.1), 0.9),
            (hand.between(0.0, 0.14), hand.between(0.72, 0.82)),
        )
    ]


# 4


def closed_four(hand: Hand) -> Strokes:
    """The closed triangle of print."""
    x, bar = hand.between(0.45, 0.68), hand.between(0.55, 0.75)
    right, foot = hand.between(0.75, 0.98), hand.near(x, 0.04)
    top = (x, 0.0)
    return [hand.line(top, (0.0, bar), (right, hand.near(bar, 0.03))), hand.line(top, (foot, 1.0))]


def open_four(hand: Hand) -> Strokes:
    """Open at the top: a corner or a bowl, and a stem that crosses it or hangs from it."""
    left, bar = hand.between(0.0, 0.2), hand.between(0.42, 0.62)
    x, right = hand.between(0.48, 0.75), hand.between(0.72, 1.0)
    start = (hand.near(left + 0.05, 0.05), 0.0)
    if hand.maybe(0.6):
        corner = hand.line(start, (left, bar), (right, hand.near(bar, 0.04)))
    else:
        corner = hand.curve(start, (left, bar * 0.7), (left + 0.15, bar), (right, hand.near(bar - 0.02, 0.04)))
    return [corner, hand.line((hand.near(x, 0.03), hand.between(0.0, 0.35)), (hand.near(x - 0.03, 0.05), 1.0))]


def open_angled_four(hand: Hand) -> Strokes:
    """A long slanted stroke, a bar, and a short stem across the bar: much of Europe's four."""
    bar, x = hand.between(0.55, 0.75), hand.between(0.4, 0.65)
    slope = hand.line((hand.between(0.3, 0.6), 0.0), (hand.between(-0.02, 0.08), bar))
    right = hand.between(0.7, 0.95)
    stem_top = bar - hand.between(0.12, 0.4)
    return [
        np.concatenate([slope, hand.line((right, hand.near(bar, 0.03)))]),
        hand.line((hand.near(x, 0.02), stem_top), (hand.near(x - 0.05, 0.04), hand.between(0.92, 1.1))),
    ]


def single_stroke_four(hand: Hand) -> Strokes:
    """Written without lifting the pen: down, across, and back up into the stem by a loop or a corner."""
    bar, x = hand.between(0.45, 0.6), hand.between(0.55, 0.7)
    corner = hand.line((0.12, 0.0), (0.02, bar))
    turn = hand.curve((0.02, bar), (0.4, bar - 0.02), (x + 0.05, 0.3), (x, hand.between(0.05, 0.2)), (x - 0.02, 0.5))
    return [corner, turn, hand.line((x - 0.02, 0.5), (hand.near(x - 0.06, 0.04), 1.0))]


# 5


def barred_five(hand: Hand) -> Strokes:
    """Neck and belly in one stroke; the bar on top apart, attached or flying off to the right."""
    gap = hand.between(-0.02, 0.12) if hand.maybe(0.6) else 0.0
    neck = hand.between(0.12, 0.28)
    body = _five_body(hand, neck, hand.between(0.32, 0.48))
    start, end = (neck + gap, hand.near(-0.01, 0.03)), (hand.between(0.5, 0.95), hand.near(-0.03, 0.06))
    wave = hand.near(0, 0.03)
    return [body, hand.curve(start, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + wave), end, spread=0.01)]


def _five_body(hand: Hand, neck: float, shoulder: float) -> np.ndarray:
    neck_line = hand.line((neck, 0.0), (neck - hand.between(0.0, 0.1), shoulder))
    x, y = neck_line[-1]
    rise = hand.between(0.0, 0.08)
    belly = hand.curve((x, y), (0.35, y - rise), (hand.between(0.55, 0.72), 0.68), (0.35, 1.0))
    end = hand.curve(tuple(belly[-1]), (0.15, 0.99), (hand.between(-0.05, 0.08), hand.between(0.8, 0.97)))
    return np.concatenate([neck_line[:1], belly, end])


def serpentine_five(hand: Hand) -> Strokes:
    """Written like an S, without corners."""
    return [
        hand.curve(
            (hand.between(0.5, 0.75), hand.near(0.03, 0.03)),
            (0.3, 0.02),
            (0.12, 0.2),
            (0.25, 0.42),
            (0.55, 0.58),
            (0.55, 0.85),
            (0.3, 1.0),
            (0.0, hand.between(0.8, 0.98)),
            spread=0.022,
        )
    ]


def angular_five(hand: Hand) -> Strokes:
    """Bar, neck and belly in one stroke with corners."""
    neck, shoulder = hand.between(0.08, 0.2), hand.between(0.35, 0.5)
    body = _five_body(hand, neck, shoulder)
    return [np.concatenate([hand.line((hand.between(0.5, 0.8), hand.near(0.0, 0.04))), body])]


# 6


def straight_six(hand: Hand) -> Strokes:
    """A straight or slightly bent stem and a round bowl."""
    width, height = hand.between(0.4, 0.7), hand.between(0.38, 0.58)
    y = 1.0 - height / 2
    bowl = hand.loop(width / 2, y, width, height, 180, -hand.between(320, 380))
    top = (hand.between(0.1, 0.65), 0.0)
    x, y = bowl[0]
    return [np.concatenate([hand.curve(top, ((top[0] + x) / 2 - hand.between(0, 0.1), y / 2), (x, y)), bowl])]


def curled_six(hand: Hand) -> Strokes:
    """One curve from a hooked top, its bowl left open or curling in."""
    low = hand.between(0.5, 0.64)
    points = [
        (hand.between(0.5, 0.7), 0.1),
        (0.42, 0.0),
        (0.12, 0.3),
        (0.02, 0.7),
        (0.28, 1.0),
        (0.58, 0.8),
        (0.38, low),
    ]
    points.append((hand.between(0.05, 0.2), hand.between(0.65, 0.85)))
    return [hand.curve(*(points if hand.maybe(0.7) else points[:-1]))]


# 7


def _seven_strokes(hand: Hand) -> Strokes:
    right, foot = hand.near(0.7, 0.07), hand.between(0.1, 0.45)
    corner = (right, hand.near(0.0, 0.03))
    wave = hand.near(0, 0.04)
    bar = hand.curve((0.0, hand.near(0.04, 0.04)), (0.35, wave), corner, spread=0.01)
    bend = hand.near(0.0, 0.06)
    leg = hand.curve(corner, ((right + foot) / 2 + bend, 0.5), (foot, 1.0), spread=0.012)
    strokes = [bar, leg]
    if hand.maybe(0.3):
        strokes.append(hand.line(tuple(bar[0]), (hand.near(-0.02, 0.03), hand.between(0.1, 0.28))))
    return strokes


def plain_seven(hand: Hand) -> Strokes:
    """A bar, straight or waved, with or without a serif, and a leg, straight or bent."""
    return _seven_strokes(hand)


def crossed_seven(hand: Hand) -> Strokes:
    """With a bar across the leg."""
    strokes = _seven_strokes(hand)
    leg = strokes[1]
    x, y = leg[len(leg) // 2]
    left, right, tilt = hand.between(0.1, 0.35), hand.between(0.1, 0.35), hand.near(0.03, 0.05)
    y += hand.near(0, 0.06)
    return [*strokes, hand.line((x - left, y + tilt), (x + right, y - tilt))]


# 8


def stacked_eight(hand: Hand) -> Strokes:
    """Two separate circles, one on the other."""
    upper, width = hand.between(0.38, 0.52), hand.between(0.3, 0.55)
    lower = 1.0 - upper + hand.near(0.02, 0.02)
    base = width * hand.between(0.95, 1.4)
    return [
        hand.loop(0.35, upper / 2, width, upper, hand.between(0, 360), hand.between(345, 385)),
        hand.loop(hand.near(0.35, 0.03), 1.0 - lower / 2, base, lower, hand.near(-90, 40), hand.between(345, 385)),
    ]


def crossing_eight(hand: Hand) -> Strokes:
    """One S-shaped stroke that closes on itself, or nearly, at the upper right."""
    waist, upper, lower = hand.between(0.4, 0.52), hand.between(0.22, 0.34), hand.between(0.24, 0.4)
    gap = hand.between(-0.06, 0.14)
    return [
        hand.curve(
            (0.35 + upper, 0.16),
            (0.35, 0.0),
            (0.35 - upper, 0.2),
            (0.35, waist),
            (0.35 + lower, 0.75),
            (0.35, 1.0),
            (0.35 - lower, 0.76),
            (0.35, waist + 0.02),
            (0.35 + upper - gap * 0.5, 0.16 + gap),
        )
    ]


# 9


def _bowl(hand: Hand) -> np.ndarray:
    width, height = hand.between(0.4, 0.68), hand.between(0.36, 0.54)
    return hand.loop(0.4, height / 2, width, height, hand.between(-55, 0), -hand.between(300, 390))


def curled_nine(hand: Hand) -> Strokes:
    """With a tail that curls to the left, and sometimes up again."""
    bowl = _bowl(hand)
    right = bowl[:, 0].max()
    tail = [(right, 0.2), (right + hand.near(0.0, 0.03), 0.6), (right - hand.between(0.02, 0.12), 0.9)]
    tail.append((right - hand.between(0.2, 0.35), 1.0))
    tail.append((right - hand.between(0.42, 0.65), hand.between(0.78, 0.98)))
    return [bowl, hand.curve(*tail)]


def straight_nine(hand: Hand) -> Strokes:
    """With a straight leg, upright or slanted."""
    bowl = _bowl(hand)
    right = bowl[:, 0].max()
    return [bowl, hand.line((right, hand.between(0.0, 0.2)), (right - hand.near(0.05, 0.08), 1.0))]


def open_nine(hand: Hand) -> Strokes:
    """With a bowl that stays open at the upper right."""
    width, height = hand.between(0.45, 0.65), hand.between(0.38, 0.52)
    bowl = hand.loop(0.35, height / 2, width, height, hand.between(-75, -40), -hand.between(230, 290))
    right = 0.35 + width / 2
    end = right - hand.between(0.0, 0.4)
    return [bowl, hand.curve((right, hand.between(0.02, 0.15)), (right, 0.5), (end + 0.02, 0.95), (end - 0.05, 1.0))]


LETTERFORMS: dict[int, dict[Callable[[Hand], Strokes], float]] = {
    0: {plain_zero: 2, slashed_zero: 2, curled_zero: 1},
    1: {flagged_one: 2, peaked_one: 3, footed_one: 3, hooked_one: 1},
    2: {round_two: 1, looped_two: 2, angular_two: 1, curled_two: 1},
    3: {flat_three: 2, round_three: 1, tailed_three: 1},
    4: {closed_four: 1, open_four: 2, open_angled_four: 2, single_stroke_four: 1},
    5: {barred_five: 3, serpentine_five: 1, angular_five: 1},
    6: {straight_six: 1, curled_six: 1},
    7: {plain_seven: 1, crossed_seven: 3},
    8: {stacked_eight: 1, crossing_eight: 1},
    9: {curled_nine: 3, straight_nine: 1, open_nine: 1},
}
"""The letterforms of each label, with their relative frequencies."""

SLANT = (0.12, 0.15)
"""Mean and standard deviation of the slant: most people's writing leans to the right."""
TAILED = 0.15
"""Probability of a short tail at the end of a stroke, as where the pen comes from or goes to a neighbour."""
BROAD = 0.25
"""Probability of a broad nib, whose line is wide in one direction and fine in the other."""
_FORMS = {label: (list(forms), list(forms.values())) for label, forms in LETTERFORMS.items()}


def synthesise(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One newly written digit for each of the integer labels (N,): uint8 (N, 28, 28), light ink on black.

    Equal generators give equal pixels. Each is fitted as in MNIST: a box of 20 pixels, centred by mass.
    """
    chance = random.Random(int(rng.integers(2**63)))
    written = np.empty((len(labels), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for index, label in enumerate(labels):
        forms, weights = _FORMS[int(label)]
        hand = Hand(chance.getrandbits(64))
        slant = hand.near(*SLANT)
        strokes = [slanted(stroke, slant) for stroke in chance.choices(forms, weights)[0](hand)]
        if hand.maybe(TAILED):
            add_tail(hand, strokes)
        written[index] = draw(strokes, hand.between(2.5, 8.0), hand.choose(NIBS) if hand.maybe(BROAD) else None)
    return written
