"""What jobs/evaluate.py does with folders of pages and of pictures without digits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digits.commands.console import show_table
from digits.evaluation.pages.folder import LabelledPage, PageReading, pages_csv, read_files, score_of
from digits.evaluation.pages.score import edit_distance
from digits.images import decode_with_size
from digits.reading.networks import Networks
from digits.reporting.page import PAGE_SIDE, PageShown, thumbnail


def read_pages(
    networks: Networks, pages: Sequence[LabelledPage], without_digits: Sequence[Path]
) -> tuple[dict[str, Any], dict[str, bytes], list[PageReading]]:
    """Read both kinds of pictures and show how well.

    Returns the entries pages and not_digits of the job's JSON document (None for a kind without pictures), files for
    the run's folder, and what was read on each page.
    """
    document: dict[str, Any] = {"pages": None, "not_digits": None}
    files: dict[str, bytes] = {}
    readings = read_files(networks.read, [page.path for page in pages])
    if pages:
        score = score_of(pages, readings)
        document["pages"] = score.to_dict()
        files["pages.csv"] = pages_csv(pages, readings).encode()
        show_table(
            "Pages",
            ["pages", "exact", "lines exact", "digits", "edit distance", "character error rate"],
            [
                [
                    str(score.images),
                    str(score.exact),
                    str(score.lines_exact),
                    f"{score.digits:,}",
                    str(score.edit_distance),
                    f"{score.character_error_rate:.2%}",
                ]
            ],
        )
    if without_digits:
        answered = sum(one.reading is not None for one in read_files(networks.read, without_digits))
        document["not_digits"] = {"images": len(without_digits), "answered": answered}
        print(f"{answered} of {len(without_digits)} pictures without digits are answered", flush=True)
    return document, files, readings


def shown(page: LabelledPage, read: PageReading) -> PageShown:
    """What the report shows of a page."""
    photo, (width, height) = decode_with_size(page.path.read_bytes(), longer_side=PAGE_SIDE)
    digits = read.reading.digits if read.reading else ()
    return PageShown(
        name=page.path.name,
        photo=thumbnail(photo, PAGE_SIDE),
        boxes=tuple(
            (one.box[0] / width, one.box[1] / height, one.box[2] / width, one.box[3] / height) for one in digits
        ),
        digits=tuple(one.digit for one in digits),
        lines=tuple(read.lines),
        truth=page.lines,
        errors=edit_distance("".join(read.lines), "".join(page.lines)),
    )
