"""A confidence people can trust: one temperature, fitted on the validation digits, and how well it holds elsewhere.

C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. Dividing the logits by a temperature
changes no answer, only how sure it sounds.

How high the logits are is lost in the softmax, and tells digits from what is none: the energy score (W. Liu et al.,
"Energy-based Out-of-distribution Detection", NeurIPS 2020), for which the validation digits say what is usual.
"""

from dataclasses import dataclass

import numpy as np

from digits.errors import CalibrationError

_LOWEST, _HIGHEST = 0.05, 20.0
"""Range of the temperatures that are tried; a trained network needs one near 1."""
_LEAST_STD = 1e-3
"""Of energy scores: those of a network that says the same of every digit do not vary."""
_TOLERANCE = 1e-6
"""Width of the last interval of log temperature."""


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least negative log likelihood of `labels` int (N,) under logits float (N, 10).

    The loss is convex in 1 / temperature, so it has one valley over log temperature too: golden-section search
    finds it. If every row is right, colder is always better, until the loss is 0 in float64; the result is then small
    but finite.
    """
    logits, labels = _checked(logits, labels)
    golden = (np.sqrt(5) - 1) / 2
    low, high = np.log(_LOWEST), np.log(_HIGHEST)
    left, right = high - golden * (high - low), low + golden * (high - low)
    loss_left, loss_right = (_negative_log_likelihood(logits, labels, t) for t in np.exp([left, right]))
    while high - low > _TOLERANCE:
        if loss_left < loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - golden * (high - low)
            loss_left = _negative_log_likelihood(logits, labels, np.exp(left))
        else:
            low, left, loss_left = left, right, loss_right
            right = low + golden * (high - low)
            loss_right = _negative_log_likelihood(logits, labels, np.exp(right))
    return float(np.exp((low + high) / 2))


@dataclass(frozen=True, kw_only=True)
class UsualEnergy:
    """Energy scores of a network's validation digits."""

    mean: float
    std: float
    """Standard deviation, above 0."""

    @classmethod
    def of(cls, logits: np.ndarray) -> "UsualEnergy":
        """What is usual among logits float (N, 10), divided by the temperature."""
        scores = energy(logits)
        return cls(mean=float(scores.mean()), std=max(float(scores.std()), _LEAST_STD))

    def familiarity(self, logits: np.ndarray) -> np.ndarray:
        """How much like a digit images look, float32 (N,), by logits float (N, 10), divided by the temperature.

        In standard deviations of validation digits, of which the mean is 0.
        """
        return ((energy(logits) - self.mean) / self.std).astype(np.float32)


def energy(logits: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of exp(logits): float (N, 10) -> float64 (N,); high for what looks like a digit."""
    highest = logits.max(axis=1).astype(np.float64)
    scores: np.ndarray = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return scores


def held_out_calibration_error(logits: np.ndarray, labels: np.ndarray, halves: np.ndarray) -> float:
    """The expected calibration error with a temperature that is fitted on other digits than it is judged on.

    logits float (N, 10), labels int (N,), halves bool (N,): each half is judged with the temperature of the other one
    (twofold cross-validation; M. Stone, Journal of the Royal Statistical Society B 36, 1974). CalibrationError where
    one of them is empty.
    """
    logits, labels = _checked(logits, labels)
    probabilities = np.empty_like(logits)
    for half in (halves, ~halves):
        scaled = logits[half] / fit_temperature(logits[~half], labels[~half])
        odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities[half] = odds / odds.sum(axis=1, keepdims=True)
    return expected_calibration_error(probabilities, labels)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over `bins` equal intervals of confidence, weighted by number of rows.

    probabilities float (N, 10), labels int (N,); the result lies in 0..1, and 0 is perfect.
    """
    probabilities, labels = _checked(probabilities, labels)
    confidence = probabilities.max(axis=1)
    return calibration_gap(confidence, probabilities.argmax(axis=1) == labels, bins)


def calibration_gap(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """The expected calibration error of confidences float (N,) in answers that were right or not, bool (N,)."""
    # Intervals are (lower, upper], as in the paper.
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=confidence - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(correct))


def _negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    scaled = logits / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]))


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    fits = scores.ndim == 2 and labels.shape == scores.shape[:1] and len(labels) > 0
    if not (fits and labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < scores.shape[1]):
        raise CalibrationError(
            f"scores {scores.shape} and labels {labels.dtype} {labels.shape}",
            "scores (N, 10) and whole labels (N,) from 0 to 9, N at least 1",
            "give the logits and labels of the validation digits, row by row",
        )
    if not np.isfinite(scores).all():
        raise CalibrationError("a score is not finite", "finite numbers", "train again; the network diverged")
    return scores, labels
