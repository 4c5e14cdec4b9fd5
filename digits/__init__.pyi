from digits.errors import NotADigit as NotADigit
from digits.reading.answer import Reading as Reading
from digits.reading.networks import read as read

__version__: str
