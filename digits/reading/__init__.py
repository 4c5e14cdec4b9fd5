"""Reads every digit of a picture: where it is, which one, in which line and number; or says that there is none."""

from digits.reading.answer import NotADigit, ReadDigit, Reading
from digits.reading.reader import Reader, read

__all__ = ["NotADigit", "ReadDigit", "Reader", "Reading", "read"]
