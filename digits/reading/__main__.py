"""Reads pictures on the command line: python -m digits.reading FILE... prints a line of JSON for each.

Exit code 1 where a file cannot be read; a picture without digits is an answer.
"""

import json
import sys
from pathlib import Path
from typing import Any

from digits.errors import ConfigurationError, NotADigit, UnreadableImage
from digits.reading.reader import Reader


def answer_of(reader: Reader, path: Path) -> dict[str, Any]:
    """What is printed for one picture."""
    try:
        reading = reader.read(path.read_bytes())
    except NotADigit as refusal:
        return {"file": str(path), "error": "not_a_digit", "reason": refusal.reason}
    return {
        "file": str(path),
        "text": reading.text,
        "numbers": reading.numbers,
        "rotation": reading.rotation,
        "digits": [
            {
                "digit": one.digit,
                "confidence": round(one.confidence, 4),
                "box": [round(value, 1) for value in one.box],
                "probabilities": [round(float(value), 4) for value in one.probabilities],
                "line": one.line,
                "number": one.number,
            }
            for one in reading.digits
        ],
    }


def main(arguments: list[str]) -> int:
    """Read each file; returns the exit code."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__, file=sys.stderr)
        return 0 if arguments else 2
    reader, code = Reader.load(), 0
    for argument in arguments:
        try:
            print(json.dumps(answer_of(reader, Path(argument))), flush=True)
        except (OSError, UnreadableImage, ConfigurationError) as error:
            print(f"error: {argument}: {error}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
