"""What the service counts, as a protocol: the API knows no Ray, so the deployment plugs in Ray's metrics."""

from typing import Protocol


class Metrics(Protocol):
    """Receives everything worth counting; called from several threads."""

    def predicted(self, digit: int, confidence: float) -> None:
        """One image was answered with `digit`, at `confidence` in 0..1."""

    def rejected(self, reason: str) -> None:
        """One input was refused; `reason` is one of a few words, fit for a label."""

    def took(self, stage: str, seconds: float) -> None:
        """One stage of a request took `seconds`: decode, prepare, predict, at_once (these three), read or sheet."""

    def swapped(self, accepted: bool) -> None:
        """A checkpoint was taken into service, or refused while the old one goes on."""


class NoMetrics:
    """Counts nothing: for tests, and for the service without a collector."""

    def predicted(self, digit: int, confidence: float) -> None:
        pass

    def rejected(self, reason: str) -> None:
        pass

    def took(self, stage: str, seconds: float) -> None:
        pass

    def swapped(self, accepted: bool) -> None:
        pass
