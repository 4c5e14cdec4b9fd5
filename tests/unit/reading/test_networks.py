"""Both networks of a checkpoint together: two lines of Python, every form of a picture, light and thread-safe."""

import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import digits as package
from digits.errors import ConfigurationError, NotADigit, UnreadableImage
from digits.evaluation.pages.simulated import CONDITIONS, PLAIN, simulated_page
from digits.heic import decoder
from digits.images import encode_png
from digits.models import checkpoints
from digits.models.registry import SHIPPED
from digits.reading.networks import Networks, read, shipped
from tests.unit.heic.making import heic

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


@pytest.mark.parametrize("kind", ["transparent", "palette", "16 bits", "float"])
def test_an_opened_image_is_read_as_its_file_is(digits, tmp_path, kind):
    images, labels = digits
    seven = cv2.resize(images[list(labels).index(7)], (112, 112), interpolation=cv2.INTER_LINEAR)
    file = tmp_path / ("seven.tif" if kind == "float" else "seven.png")
    if kind == "transparent":
        Image.fromarray(np.dstack([np.zeros((112, 112, 3), np.uint8), seven])).save(file)
    elif kind == "palette":
        Image.fromarray(np.where(seven > 127, 0, 1).astype(np.uint8)).convert("P").save(file, transparency=1)
    elif kind == "16 bits":
        Image.fromarray((255 - seven).astype(np.uint16) * 16).save(file)
    else:
        Image.fromarray((255 - seven).astype(np.float32) / 1e3).save(file)
    by_file, by_pillow = read(file), read(Image.open(file))
    assert by_file.text == by_pillow.text == "7"
    assert by_file.digits[0].box == by_pillow.digits[0].box
    np.testing.assert_array_equal(by_file.digits[0].probabilities, by_pillow.digits[0].probabilities)


@pytest.mark.parametrize("form", ["file", "image"])
def test_boxes_of_a_turned_tiff_lie_where_its_digits_are_shown(page, tmp_path, form):
    file = tmp_path / "page.tif"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(page.picture))).save(file, exif=exif)
    expected = read(page.picture)
    reading = read(file if form == "file" else Image.open(file))
    assert [one.box for one in reading.digits] == [one.box for one in expected.digits]


def test_boxes_of_a_large_image_are_told_in_its_own_pixels(page):
    larger = Image.fromarray(page.picture).resize(
        [4000 * side // max(page.picture.shape) for side in page.picture.shape[1::-1]]
    )
    assert max(larger.size) == 4000
    reading = read(larger)
    right = max(one.box[0] + one.box[2] for one in reading.digits) / larger.width
    expected = max(one.box[0] + one.box[2] for one in read(page.picture).digits) / page.picture.shape[1]
    assert right == pytest.approx(expected, abs=0.02)


def test_reading_an_image_leaves_it_as_it_was(page):
    image = Image.open(io.BytesIO(encode_png(page.picture)))
    read(image)
    assert image.mode == "RGB" and image.size == page.picture.shape[1::-1]
    np.testing.assert_array_equal(np.asarray(image), page.picture)


def test_a_file_is_decoded_once(page, monkeypatch):
    asked = []
    monkeypatch.setattr(
        decoder, "ask", lambda *arguments, ask=decoder.ask: (asked.append(arguments), ask(*arguments))[1]
    )
    data = heic(Image.fromarray(page.picture))
    text = read(data).text
    assert len(asked) == 1
    assert shipped().reader.read(data).text == text
    assert len(asked) == 2


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
    with pytest.raises(ConfigurationError, match="no pixels"):
        read(Image.new("RGB", (3, 0)))
    closed = Image.new("RGB", (3, 3))
    closed.close()
    with pytest.raises(UnreadableImage):
        read(closed)


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
