"""How sure a reading sounds: from what the networks say of a digit to the probability that it is right.

Platt scaling (J. Platt, Probabilistic outputs for support vector machines, 1999), fitted on simulated pages.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

MOST = 1 - 1e-4
"""What the networks say is taken to lie between this and what it lacks to 1."""
TIE = 1e-12
"""Added to each other digit's probability, so that what an answer lacks to 1 has somewhere to go."""
STEPS = 50
"""Of Newton's method, which needs fewer than ten."""
HALVED = 20
"""How often a step is halved until it leads to a likelier scale; at the likeliest one none does."""
PRIOR = 1e-3
"""Strength with which slope 1, offset and doubt 0 are kept, so that digits that are all right have a slope too."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """P(right) = 1 / (1 + exp(-(slope x + offset + doubt d))).

    Here x are the log-odds of what the networks say, and d how doubtful it is that there is a digit: 0 where it is not.
    """

    slope: float = 1.0
    offset: float = 0.0
    doubt: float = 0.0

    def __call__(self, said: float, doubt: float = 0.0) -> float:
        """The probability, 0..1, that a digit of which the networks say `said`, 0..1, is right."""
        return float(1 / (1 + np.exp(-(self.slope * log_odds(said) + self.offset + self.doubt * doubt))))

    def of_answer(self, probabilities: np.ndarray, doubt: float = 0.0) -> np.ndarray:
        """Probabilities of the ten digits, float32 (10,), of which the likeliest has what this scale says of it."""
        digit = int(probabilities.argmax())
        others = np.delete(probabilities, digit) + TIE
        # No other digit becomes the likeliest one.
        answered = max(self(float(probabilities[digit]), doubt), 1.001 * others.max() / (others.sum() + others.max()))
        return np.insert(others / others.sum() * (1 - answered), digit, answered).astype(np.float32)

    @classmethod
    def fit(cls, said: np.ndarray, right: np.ndarray, doubts: np.ndarray | None = None) -> Self:
        """The likeliest scale for what was said, float (N,), of digits that were right, bool (N,).

        `doubts`, float (N,), are how doubtful it was that there was a digit; left out, they have no say.
        """
        columns = [log_odds(said), np.ones(len(said)), *([] if doubts is None else [doubts])]
        x, prior = np.stack(columns, 1), np.array([1.0, 0.0, 0.0])[: len(columns)]
        at = prior

        def cost(at: np.ndarray) -> float:
            away = at - prior
            return float(np.sum(np.logaddexp(0, np.where(right, -1, 1) * (x @ at))) + PRIOR / 2 * away @ away)

        for _ in range(STEPS):
            p = 1 / (1 + np.exp(-(x @ at)))
            gradient = x.T @ (p - right) + PRIOR * (at - prior)
            hessian = x.T @ (x * (p * (1 - p))[:, None]) + PRIOR * np.eye(len(at))
            step = np.linalg.solve(hessian, gradient)
            # Where next to all digits are right, a whole step can lead away, and back, for ever.
            shorter = (at - step / 2**halved for halved in range(HALVED))
            at = next((tried for tried in shorter if cost(tried) < cost(at)), at)
        return cls(**dict(zip(("slope", "offset", "doubt"), at.tolist(), strict=False)))


def log_odds(said: np.ndarray | float) -> np.ndarray:
    """log(p / (1 - p)) of 0..1, finite."""
    p = np.clip(said, 1 - MOST, MOST)
    return np.log(p / (1 - p))
