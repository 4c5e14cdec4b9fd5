"""Reads every digit of a picture: where it is, which one, in which line and number; or says that there is none.

`digits.reading.reader.read` is the way in; on the command line: python -m digits.reading FILE...
"""
