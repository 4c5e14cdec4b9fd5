"""What jobs/make_sheet.py does: writes the sheet to print, and at wish a photo of one, filled by the simulator."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from digits.data.mnist import find_mnist
from digits.data.sources import read_file
from digits.errors import require
from digits.evaluation.pages.filled_sheet import SheetPhoto, simulated_sheet
from digits.sheet.printed import pdf

BEND_MM, TURN = 1.0, 12.0
"""Of the paper in the simulated photo."""
SEED = 7
JPEG_QUALITY = 90


@dataclass(frozen=True, kw_only=True)
class MakeSheetSettings:
    """Makes the sheet to repeat the article's experiment with: print it, write fifty digits, photograph it.

    jobs/evaluate.py --photos and jobs/make_shards.py take the photo as it is, and so does the service's page. Where
    each digit stands says what it is: nothing has to be labelled.
    """

    output: Path = Path("sheet.pdf")
    """File for the sheet, a PDF of one page."""
    paper: Literal["a4", "letter"] = "a4"
    """What it is printed on."""
    simulated_photo: Path | None = None
    """Also write a simulated photo of the sheet, filled with MNIST's digits, as a JPEG: to try the rest with."""


def make_sheet(settings: MakeSheetSettings) -> dict[str, Any]:
    """Write what the command line names; returns the job's JSON document."""
    files = {settings.output: pdf(settings.paper)}
    if settings.simulated_photo is not None:
        files[settings.simulated_photo] = photo_of(settings.paper)
    for path, data in files.items():
        require(
            not path.exists() or path.read_bytes() == data,
            f"there is a file {path} already",
            "a name that is not taken",
            "name another file, or remove that one",
        )
        require(
            path.absolute().parent.is_dir(), f"there is no folder {path.absolute().parent}", "a folder", "make it first"
        )
    for path, data in files.items():
        path.write_bytes(data)
    print(f"print {settings.output} on {settings.paper.title()} paper, fill it with a pen, and photograph it")
    photo = settings.simulated_photo
    return {"output": str(settings.output), "paper": settings.paper, "simulated_photo": photo and str(photo)}


def photo_of(paper: str) -> bytes:
    """A simulated photo of a sheet, filled with MNIST's test digits, as a JPEG file; the same at every time."""
    (source,) = read_file(find_mnist() / "test-00-of-02.parquet")
    assert source.images is not None, "shards hold arrays"
    rng = np.random.default_rng(SEED)
    photo = simulated_sheet(source.images, source.labels, rng, SheetPhoto(paper=paper, bend_mm=BEND_MM, turn=TURN))
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
