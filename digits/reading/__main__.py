"""Reads pictures on the command line: python -m digits.reading FILE... prints a line of JSON for each.

Exit code 1 where a file cannot be read; a picture without digits is an answer.
"""

import json
import sys
from pathlib import Path
from typing import Any

from digits.errors import ConfigurationError, NotADigit, UnreadableImage
from digits.reading.networks import Networks, shipped


def answer_of(networks: Networks, path: Path) -> dict[str, Any]:
    """What is printed for one picture."""
    try:
        reading = networks.read(path.read_bytes())
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


def line_of(answer: dict[str, Any]) -> str:
    """The same for people: file and digits, lines joined by |."""
    text = answer.get("text", f"no digits ({answer.get('reason')})")
    return f"{answer['file']}: {text.replace(chr(10), ' | ')}"


def main(arguments: list[str], *, as_json: bool = True) -> int:
    """Read each file; returns the exit code."""
    arguments = [argument for argument in arguments if argument != "--json"]
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__, file=sys.stderr)
        return 0 if arguments else 2
    networks, code = shipped(), 0
    for argument in arguments:
        try:
            answer = answer_of(networks, Path(argument))
            print(json.dumps(answer) if as_json else line_of(answer), flush=True)
        except (OSError, UnreadableImage, ConfigurationError) as error:
            print(f"error: {argument}: {error}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
