"""Both networks of a checkpoint together: two lines of Python, every form of a picture, light and thread-safe."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import digits as package
from digits.errors import ConfigurationError, NotADigit, UnreadableImage
from digits.evaluation.pages.simulated import CONDITIONS, PLAIN, simulated_page
from digits.images import encode_png
from digits.models import checkpoints
from digits.models.registry import SHIPPED
from digits.reading.networks import Networks, read, shipped

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def page(digits):
    return simulated_page(*digits, np.random.default_rng((77, 0)), PLAIN)


def test_every_form_of_a_picture_is_read_alike(page, tmp_path):
    png = encode_png(page.picture)
    file = tmp_path / "page.png"
    file.write_bytes(png)
    expected = read(page.picture).text
    assert expected.replace(" ", "").splitlines() == list(page.lines)
    for form in (png, file, str(file), Image.open(file), Image.open(file).convert("RGBA")):
        assert package.read(form).text == expected


def test_a_photo_that_was_turned_by_its_camera_is_read_upright(page, tmp_path):
    image = Image.fromarray(np.ascontiguousarray(np.rot90(page.picture)))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "page.jpg", exif=exif, quality=95)
    by_path, by_pillow = read(tmp_path / "page.jpg"), read(Image.open(tmp_path / "page.jpg"))
    assert by_path.text == by_pillow.text
    assert by_path.rotation == by_pillow.rotation == 0


def test_a_picture_of_one_digit_is_read_by_both_networks(digits):
    right = 0
    for seed in range(8):
        one = simulated_page(*digits, np.random.default_rng((83, seed)), CONDITIONS["one digit"])
        try:
            reading = read(one.picture)
        except NotADigit:
            continue
        right += reading.text == one.digits and reading.digits[0].seen is not None
    assert right >= 6


def test_refusals_are_errors_with_reasons(tmp_path):
    with pytest.raises(NotADigit) as refused:
        read(np.full((60, 60), 200, np.uint8))
    assert refused.value.reason == "blank"
    assert package.NotADigit is NotADigit
    with pytest.raises(ConfigurationError, match=r"nowhere\.png cannot be read"):
        read("nowhere.png")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(tmp_path)
    with pytest.raises(UnreadableImage):
        read(b"no picture")
    with pytest.raises(ConfigurationError, match="expected: uint8"):
        read(np.zeros((4, 4)))


def test_several_threads_read_as_one_does(digits):
    pages = [simulated_page(*digits, np.random.default_rng((84, n)), PLAIN).picture for n in range(4)]
    expected = [read(picture).text for picture in pages]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda picture: read(picture).text, pages * 3)) == expected * 3


def test_reading_imports_neither_tensorflow_nor_ray_and_nothing_before_it_is_used():
    program = (
        "import json, sys, time\nstarted = time.process_time()\nfrom digits import read\n"
        "print(json.dumps([time.process_time() - started, sorted({name.split('.')[0] for name in sys.modules})]))\n"
        "import digits; assert not hasattr(digits, 'nothing')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    _, modules = json.loads(done.stdout)
    assert not {"tensorflow", "keras", "ray", "matplotlib", "fastapi"} & set(modules)
    light = "import sys, digits; print(sorted(set(sys.modules) & {'numpy', 'cv2', 'PIL', 'onnxruntime'}))"
    done = subprocess.run([sys.executable, "-c", light], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_checkpoint_without_a_page_network_reads_with_the_shipped_one(tmp_path, page):
    checkpoint = checkpoints.load(str(SHIPPED))
    record = {key: value for key, value in checkpoint.record.items() if key not in ("sha256", "format")}
    checkpoints.write(checkpoint.folder.open(tmp_path) / "alone", weights=checkpoint.weights, record=record)
    networks = Networks.load(str(tmp_path / "alone"))
    assert not networks.has_own_reader and shipped().has_own_reader
    assert networks.read(page.picture).text == shipped().read(page.picture).text
