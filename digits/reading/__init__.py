"""Reads every digit of a picture: where it is, which one, in which line and number; or says that there is none.

`digits.read` is the way in (`digits.reading.networks`); on the command line: python -m digits.reading FILE...
"""
