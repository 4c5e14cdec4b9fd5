"""What decode_image makes of every kind of picture file, and of what is none."""

import contextlib
import io
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from digits import images
from digits.errors import UnreadableImage
from digits.images import (
    DECODED_SIZE,
    FORMATS,
    MAX_JPEG_SCANS,
    MAX_JPEG_SEGMENTS,
    MAX_PIXELS,
    TILE_SIDE,
    declared_pixels,
    decode_image,
    decode_with_size,
    encode_png,
    invert,
    is_picture,
    photo_with_size,
    resize_photo,
    to_rgb,
    upright_size,
)
from tests.unit.heic.making import heic, page

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # damaged files make Pillow talk


def encode(picture: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=format, **options)
    return buffer.getvalue()


def corner_picture(mode: str = "RGB") -> Image.Image:
    """White, 40 x 24 pixels, black in the upper left quarter."""
    pixels = np.full((24, 40, 3), 255, dtype=np.uint8)
    pixels[:12, :20] = 0
    return Image.fromarray(pixels).convert(mode)


def refusal(data: bytes) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        decode_image(data)
    assert "expected:" in str(caught.value) and "what to do:" in str(caught.value)
    return caught.value


def declared_png(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds no such pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_png_comes_back_exactly():
    pixels = np.random.default_rng(0).integers(0, 256, (17, 31, 3), dtype=np.uint8)
    decoded = decode_image(encode_png(pixels))
    assert decoded.dtype == np.uint8 and decoded.flags.writeable
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_decoded(format):
    decoded = decode_image(encode(corner_picture(), format))
    assert decoded.shape == (24, 40, 3)
    assert decoded[3, 3].max() < 40 and decoded[20, 35].min() > 215


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_png_mode_is_decoded(mode):
    decoded = decode_image(encode(corner_picture(mode)))
    assert decoded.shape == (24, 40, 3)
    assert decoded[3, 3].max() == 0 and decoded[20, 35].min() == 255


@pytest.mark.parametrize(("dtype", "format"), [(np.uint16, "PNG"), (np.uint16, "TIFF"), (np.int32, "TIFF")])
def test_deep_pixels_are_spread_over_the_range(dtype, format):
    values = np.array(corner_picture("L")).astype(dtype) * 16  # 12 bits in 16, as scanners write
    decoded = decode_image(encode(Image.fromarray(values), format))
    assert decoded.shape == (24, 40, 3)
    assert decoded[3, 3].max() == 0 and decoded[20, 35].min() == 255


def test_cmyk_and_ycbcr_jpegs_are_decoded():
    for mode in ("CMYK", "YCbCr", "L"):
        decoded = decode_image(encode(corner_picture(mode), "JPEG", quality=95))
        assert decoded[3, 3].max() < 40 and decoded[20, 35].min() > 215, mode


def test_float_tiff_is_spread_over_the_range_whatever_its_unit():
    values = np.array(corner_picture("L"), dtype=np.float32) / 255e3 - 0.5e-3
    values[0, 0] = np.nan
    decoded = decode_image(encode(Image.fromarray(values), "TIFF"))
    assert decoded[3, 3].max() == 0 and decoded[20, 35].min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turn_is_undone(orientation):
    upright = corner_picture()
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 1, 7: 3, 8: 3}
    stored = np.array(upright)
    if orientation in (2, 4, 5, 7):
        stored = stored[:, ::-1]
    stored = np.rot90(stored, turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        options = {"quality": 95} if format in ("JPEG", "WEBP") else {}
        decoded = decode_image(encode(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif, **options))
        assert decoded.shape == (24, 40, 3), format
        assert np.abs(decoded.astype(int) - np.array(upright)).mean() < 6, format


def test_damaged_exif_is_no_reason_to_refuse():
    decoded = decode_image(encode(corner_picture(), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff\x00"))
    assert decoded.shape == (24, 40, 3)
    assert decoded[:10, :18].max() < 20 and decoded[14:].min() > 235 and decoded[:, 22:].min() > 235  # not turned


def test_exif_that_cannot_be_read_turns_nothing(monkeypatch):
    def fail(picture):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    data = encode(corner_picture())
    np.testing.assert_array_equal(decode_image(data), np.asarray(corner_picture()))
    assert upright_size(data) == (40, 24)


def test_transparent_paper_is_white_under_dark_ink_and_black_under_light_ink():
    for ink, paper in ((0, 255), (255, 0)):
        pixels = np.full((20, 20, 4), ink, dtype=np.uint8)
        pixels[..., 3] = 0
        pixels[5:15, 9:12, 3] = 255
        decoded = decode_image(encode(Image.fromarray(pixels)))
        assert (decoded[0, 0] == paper).all() and (decoded[10, 10] == ink).all()


def test_a_photo_with_transparent_corners_lies_on_white():
    pixels = np.full((40, 40, 4), 230, dtype=np.uint8)
    pixels[10:30, 18:22, :3] = 30
    pixels[..., 3] = 255
    pixels[:4, :4, 3] = 0
    assert (decode_image(encode(Image.fromarray(pixels)))[0, 0] == 255).all()


@pytest.mark.parametrize(
    ("luminance", "alpha", "paper"),
    [(128, 255, 255), (129, 255, 0), (255, 128, 0), (255, 127, 255)],
    ids=["just seen on white", "just lost on white", "just visible", "just invisible"],
)
def test_what_is_visible_decides_the_paper(luminance, alpha, paper):
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[:10] = (luminance, luminance, luminance, alpha)
    assert decode_image(encode(Image.fromarray(pixels)))[15, 5, 0] == paper


def test_a_single_visible_pixel_decides_too():
    pixels = np.array([[[255, 255, 255, 255], [0, 0, 0, 0]]], np.uint8)
    assert decode_image(encode(Image.fromarray(pixels)))[0, :, 0].tolist() == [255, 0]
    pixels[..., 3] = 0
    assert decode_image(encode(Image.fromarray(pixels)))[0, :, 0].tolist() == [255, 255]


def test_a_hundredth_of_dark_ink_is_enough_for_white_paper():
    pixels = np.zeros((100, 100, 4), np.uint8)
    pixels[:50] = 255
    for number, paper in ((45, 0), (75, 255)):
        pixels[0, :number] = (0, 0, 0, 255)
        assert decode_image(encode(Image.fromarray(pixels)))[80, 5, 0] == paper


def test_of_an_animation_only_the_first_frame_is_decoded():
    frames = [Image.new("RGB", (30, 20), color) for color in ("red", "green", "blue")]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if format == "WEBP" else {}
        data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
        decoded = decode_image(data)
        assert decoded.shape == (20, 30, 3)
        assert (decoded[10, 10] == (255, 0, 0)).all(), format
    # The second half of the file is missing, and nobody asks for it.
    assert decode_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:])[:-8]).shape == (20, 30, 3)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(4000, 3000), (3000, 1000), (850, 3200)])
def test_large_pictures_come_at_a_reduced_scale_with_their_shape(format, size):
    small = corner_picture().resize((size[0] // 10, size[1] // 10), Image.Resampling.NEAREST)
    decoded = decode_image(encode(small.resize(size, Image.Resampling.NEAREST), format))
    height, width = decoded.shape[:2]
    assert DECODED_SIZE <= max(width, height) < 2 * DECODED_SIZE
    assert width / height == pytest.approx(size[0] / size[1], rel=0.01)
    assert decoded[height // 4, width // 4].max() < 20 and decoded[-height // 4, -width // 4].min() > 235


@pytest.mark.parametrize(
    ("format", "size", "shape"),
    [
        ("PNG", (2 * DECODED_SIZE - 1, 20), (20, 2 * DECODED_SIZE - 1, 3)),
        ("PNG", (2 * DECODED_SIZE, 20), (10, DECODED_SIZE, 3)),
        ("PNG", (4000, 3000), (600, 800, 3)),
        ("PNG", (4000, 1), (1, 800, 3)),
        ("PNG", (1, 4000), (800, 1, 3)),
        ("JPEG", (4000, 3000), (750, 1000, 3)),  # a quarter, by the decoder itself, which is quicker
        ("JPEG", (3000, 4000), (1000, 750, 3)),
        ("JPEG", (1600, 20), (10, 800, 3)),
    ],
)
def test_pictures_are_reduced_as_far_as_their_longer_side_allows(format, size, shape):
    assert decode_image(encode(Image.new("RGB", size), format)).shape == shape


def test_small_pictures_keep_every_pixel():
    assert decode_image(encode(Image.new("L", (1, 1)))).shape == (1, 1, 3)
    assert decode_image(encode(Image.new("L", (DECODED_SIZE, 3)))).shape == (3, DECODED_SIZE, 3)


def test_a_very_long_strip_is_decoded():
    assert decode_image(encode(Image.new("L", (50_000, 1)), "PNG")).shape[0] == 1
    assert decode_image(encode(Image.new("L", (60_000, 1)), "JPEG")).shape[0] == 1


def test_too_many_pixels_are_refused_before_they_are_decoded():
    side = int(MAX_PIXELS**0.5) + 1
    for width, height in ((side, side), (20_000, 20_000), (2**31 - 1, 2**31 - 1)):
        assert refusal(declared_png(width, height)).reason == "too_many_pixels"
    assert refusal(declared_png(side - 2, side - 2)).reason == "damaged"  # allowed, but there are no pixels


def test_bounds_are_what_the_documents_and_a_replicas_memory_count_on():
    assert (MAX_PIXELS, MAX_JPEG_SCANS, MAX_JPEG_SEGMENTS, TILE_SIDE) == (60_000_000, 100, 10_000, 1000)


def test_as_many_pixels_as_are_read_are_read(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 960)
    assert decode_image(encode(corner_picture())).shape == (24, 40, 3)
    monkeypatch.setattr(images, "MAX_PIXELS", 959)
    refused = refusal(encode(corner_picture()))
    assert refused.reason == "too_many_pixels" and "40 x 24 pixels" in str(refused)
    with pytest.raises(UnreadableImage, match="40 x 24 pixels"):
        upright_size(encode(corner_picture()))


def test_a_file_tells_its_size_before_it_is_decoded():
    assert declared_pixels(encode(corner_picture())) == 960
    assert declared_pixels(b"no picture") == declared_pixels(b"") == 0
    assert upright_size(encode(corner_picture())) == (40, 24)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100.0, 550.0, 1100.0], [23, 127, 255]),  # from 0
        ([-1.0, 0.0, 1.0], [0, 127, 255]),  # or from the least
        ([0.2, 0.4, 0.8], [63, 127, 255]),
        ([np.nan, 1.0, 2.0], [0, 127, 255]),
        ([np.inf, -np.inf, 2.0], [255, 0, 255]),
        ([np.inf, -np.inf, np.nan], [255, 0, 0]),
        ([-np.inf, -4.0, 4.0], [0, 0, 255]),
        ([np.nan, -4.0, 4.0], [0, 0, 255]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
    ],
)
def test_deep_pixels_are_spread_from_black_to_white(values, expected):
    data = encode(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert decode_image(data)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("format", "options"),
    [
        *((format, {}) for format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")),
        ("MPO", {"save_all": True, "append_images": [Image.new("RGB", (20, 12))]}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
    ids=["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "MPO", "packed TIFF"],
)
def test_a_turned_file_tells_the_size_in_which_it_is_shown(format, options, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encode(corner_picture(), format, exif=tags, **options)
    expected = (24, 40) if orientation >= 5 else (40, 24)
    photo, size = decode_with_size(data)
    assert upright_size(data) == size == photo.shape[1::-1] == expected
    assert photo_with_size(Image.open(io.BytesIO(data)))[1] == expected


def test_a_tiff_that_only_xmp_turns_tells_its_size_upright():
    tags = {700: b'<x:xmpmeta><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'}
    data = encode(corner_picture(), "TIFF", tiffinfo=tags)
    photo, size = decode_with_size(data)
    assert upright_size(data) == size == photo.shape[1::-1] == (24, 40)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_a_reduced_photo_comes_with_the_size_of_the_whole(format):
    tags = Image.Exif()
    tags[0x0112] = 6
    data = encode(corner_picture().resize((2000, 1200)), format, exif=tags)  # the JPEG decoder reduces it to 250
    photo, size = decode_with_size(data, longer_side=100)
    assert size == upright_size(data) == (1200, 2000)
    assert 100 <= photo.shape[0] < 200 and photo.shape == decode_image(data, longer_side=100).shape


def test_a_file_is_decoded_once_for_photo_and_size(monkeypatch):
    loads = []
    load_end = PngImagePlugin.PngImageFile.load_end
    monkeypatch.setattr(
        PngImagePlugin.PngImageFile, "load_end", lambda picture: (loads.append(picture), load_end(picture))
    )
    assert decode_with_size(encode(corner_picture()))[1] == (40, 24)
    assert len(loads) == 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB", "CMYK", "I;16", "I", "F"])
def test_an_opened_image_becomes_the_same_photo_as_its_file(mode):
    picture = corner_picture()
    if mode in ("LA", "RGBA"):
        picture = picture.convert("RGBA")
        picture.putalpha(Image.eval(picture.convert("L"), lambda grey: 255 - grey))
        picture = picture.convert(mode)
    elif mode == "I;16":
        picture = Image.fromarray(np.array(picture.convert("L")).astype(np.uint16) * 16)
    data = encode(picture.convert(mode), "TIFF")
    opened = Image.open(io.BytesIO(data))
    assert opened.mode == mode
    photo, size = photo_with_size(opened)
    assert size == (40, 24) and opened.mode == mode
    np.testing.assert_array_equal(photo, decode_image(data))
    assert (photo[3, 3] == 0).all() and (photo[20, 35] == 255).all()
    assert photo_with_size(opened, longer_side=10)[0].shape == (6, 10, 3)


def test_an_image_that_is_no_file_is_refused_by_its_name():
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise))
    with pytest.raises(UnreadableImage, match="the PNG file is truncated") as caught:
        photo_with_size(Image.open(io.BytesIO(data[: len(data) // 2])))
    assert caught.value.reason == "damaged"
    closed = Image.new("RGB", (3, 3))
    closed.close()
    with pytest.raises(UnreadableImage, match="the Pillow image is truncated") as caught:
        photo_with_size(closed)
    assert caught.value.reason == "damaged"


def test_pictures_are_known_by_their_beginning_even_if_they_are_damaged():
    assert all(is_picture(encode(corner_picture(), format)[:100]) for format in ("PNG", "JPEG", "WEBP", "GIF"))
    assert is_picture(declared_png(2**31 - 1, 2**31 - 1))
    assert not is_picture(b"no picture at all") and not is_picture(b"")


def test_heic_is_read_beside_the_others():
    data = heic(page())
    height, width = decode_image(data).shape[:2]
    assert is_picture(data[:40]) and upright_size(data) == (width, height) and declared_pixels(data) == MAX_PIXELS
    assert max(decode_image(data, longer_side=100).shape) < 200


def with_scans(number: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are so many."""
    data = encode(corner_picture(), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (number - data.count(b"\xff\xda")) + b"\xff\xd9"


def test_an_excessively_progressive_jpeg_is_refused():
    assert decode_image(with_scans(11)).shape == (24, 40, 3)
    assert decode_image(with_scans(MAX_JPEG_SCANS)).shape == (24, 40, 3)
    assert refusal(with_scans(MAX_JPEG_SCANS + 1)).reason == "too_many_scans"
    assert refusal(with_scans(MAX_JPEG_SCANS + 1)[:-2]).reason == "too_many_scans"  # the end is missing
    assert refusal(with_scans(11)[:-2]).reason == "damaged"


SCANS = b"\xff\xda" * (MAX_JPEG_SCANS + 1)


def test_what_follows_a_jpeg_is_not_counted_as_scans():
    film = b"\x00\x00\x00\x18ftypmp42" + SCANS
    for progressive in (False, True):
        photo = encode(corner_picture(), "JPEG", progressive=progressive)
        np.testing.assert_array_equal(decode_image(photo + film), decode_image(photo))
    several = encode(corner_picture(), "MPO", save_all=True, append_images=[corner_picture()])
    assert decode_image(several + film).shape == (24, 40, 3)
    assert decode_image(encode(corner_picture()) + SCANS).shape == (24, 40, 3)


@pytest.mark.parametrize(
    "segment",
    [
        b"\xff\xe1" + (len(SCANS) + 2).to_bytes(2, "big") + SCANS,
        b"\xff\xfe" + (len(SCANS) + 4).to_bytes(2, "big") + SCANS + b"\xff\xff",
        b"\xff\xff\xff\xfe" + (len(SCANS) + 2).to_bytes(2, "big") + SCANS,
    ],
    ids=["a thumbnail", "a comment", "behind fill bytes"],
)
def test_what_lies_inside_a_segment_is_not_counted_as_scans(segment):
    photo = with_scans(MAX_JPEG_SCANS)
    first = photo.index(b"\xff\xda")
    np.testing.assert_array_equal(decode_image(photo[:first] + segment + photo[first:]), decode_image(photo))


@pytest.mark.parametrize(
    "filling",
    [
        b"\xff\x00",  # 255 among the pixels
        b"\xff\xd0\xff\xd7",  # restarts have no length
        b"\xff\x01\x00\x10",
        b"\xff\x02\xff\xf0",  # libjpeg looks for the next marker right behind those that it does not know
        b"\xff\xd8",
        b"\xff\xff",
        b"\xff\xfe\x00\x00",  # a length that is too small is its own two bytes
        b"\xff\xfe\x00\x01",
        b"\xff\xfe\x00\x02",
    ],
)
def test_scans_do_not_hide_behind_other_bytes(filling):
    photo = with_scans(MAX_JPEG_SCANS)
    last = photo[photo.rindex(b"\xff\xda") : -2]
    assert refusal(photo[:-2] + filling + last + b"\xff\xd9").reason == "too_many_scans"
    end = photo[:-2] + filling + b"\xff\xd9"  # nor does the end
    try:
        decode_image(end + SCANS)
    except UnreadableImage as error:
        assert error.reason == "damaged"


def test_segments_of_a_jpeg_are_looked_at_up_to_a_bound(monkeypatch):
    photo = encode(corner_picture(), "JPEG")
    first = photo.index(b"\xff\xdb")
    parts = sum(photo.count(bytes((0xFF, kind))) for kind in (0xE0, 0xDB, 0xC0, 0xC4, 0xDA, 0xD9))
    monkeypatch.setattr(images, "MAX_JPEG_SEGMENTS", parts + 5)
    for number, reason in ((5, ""), (6, "too_many_scans")):
        data = photo[:first] + b"\xff\xfe\x00\x02" * number + photo[first:]
        if reason:
            assert refusal(data).reason == reason
        else:
            assert decode_image(data).shape == (24, 40, 3)


@pytest.mark.parametrize("part", [b"\xff\xfe\x00\x02", b"\xff\x00", b"\xff", b"\x00", b"\xff\xd0", b"\xff\xfe\x00\x00"])
def test_scans_are_counted_within_a_second_whatever_the_bytes(part):
    data = b"\xff\xd8" + part * (20_000_000 // len(part))
    started = time.process_time()
    with contextlib.suppress(UnreadableImage):
        images._refuse_too_many_scans(data)
    assert time.process_time() - started < 1


def deep(height: int, width: int, dtype: type) -> np.ndarray:
    values = np.random.default_rng(4).integers(0, 4000, (height, width)).astype(dtype)
    values[: height // 2] //= 4
    return values


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize(("height", "width"), [(30, 47), (47, 30), (3, 50), (1, 64), (64, 1), (5, 5)])
def test_deep_pixels_are_reduced_as_others_are(monkeypatch, dtype, height, width):
    values = deep(height, width, dtype)
    data = encode(Image.fromarray(values), "TIFF")
    whole = decode_image(data, longer_side=10)
    stretched = Image.fromarray((values.astype(float) * 255 / values.max()).astype(np.uint8))
    np.testing.assert_allclose(whole, decode_image(encode(stretched), longer_side=10), atol=1)
    for side in (1, 2, 7, 11):
        monkeypatch.setattr(images, "TILE_SIDE", side)
        np.testing.assert_array_equal(decode_image(data, longer_side=10), whole)
        assert max(tile.size for _, _, tile in images._tiles(Image.fromarray(values), (2, 3))) <= max(side, 3) ** 2


def test_the_range_of_deep_pixels_is_that_of_the_whole_picture():
    values = np.full((40, 40), 100, np.uint16)
    values[35, 35] = 1000
    decoded = decode_image(encode(Image.fromarray(values)))
    assert decoded[0, 0, 0] == 25 and decoded[35, 35, 0] == 255
    assert decode_image(encode(Image.fromarray(values)), longer_side=10)[0, 0, 0] == 25


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
def test_sixteen_bits_take_little_more_memory_than_the_pixels_themselves(tmp_path):
    file = tmp_path / "deep.png"
    Image.fromarray(np.pad(deep(1000, 1000, np.uint16), (0, 6700))).save(file, compress_level=1)
    program = (
        "import re, sys\nfrom pathlib import Path\nfrom digits.images import decode_image\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1000\n"
        "data = Path(sys.argv[1]).read_bytes()\nbefore = peak()\n"
        "assert decode_image(data).shape == (856, 856, 3)\nprint(peak() - before)"
    )
    told = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, check=True).stdout
    assert float(told) < 250  # MB, of which 119 are 7700 x 7700 pixels of 16 bits; it took 1,080


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is text",
        b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='5'/></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"%PDF-1.7\n",
        b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1jpeg",
        b"PK\x03\x04",
        b"\x00",
        bytes(10_000),
    ],
)
def test_what_is_no_picture_is_refused_as_an_unknown_format(data):
    assert refusal(data).reason == "unknown_format"


def test_zero_bytes_are_refused():
    assert refusal(b"").reason == "empty"


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "GIF"])
def test_truncated_files_are_refused(format):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format)
    assert refusal(data[: len(data) // 2]).reason in ("damaged", "unknown_format")


SAMPLES = [encode(corner_picture(), format) for format in FORMATS] + [
    encode(corner_picture("P")),
    encode(corner_picture("CMYK"), "TIFF", compression="tiff_lzw"),
    encode(corner_picture("L"), "JPEG", progressive=True),
    encode(corner_picture("RGBA"), "WEBP", lossless=True),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sample=st.sampled_from(SAMPLES),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    length=st.floats(0, 1),
)
def test_no_damage_raises_anything_but_unreadable_image(sample, edits, length):
    data = bytearray(sample[: int(len(sample) * min(1.0, length * 1.5))])
    for position, value in edits:
        if data:
            data[int(position * len(data))] = value
    try:
        decoded = decode_image(bytes(data))
    except UnreadableImage as error:
        assert error.reason in ("empty", "unknown_format", "damaged", "too_many_pixels", "too_many_scans")
    else:
        assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_unreadable_image(data):
    try:
        decode_image(data)
    except UnreadableImage as error:
        assert error.reason


def test_invert_exchanges_dark_and_light_and_is_its_own_inverse():
    values = np.arange(256, dtype=np.uint8)
    assert invert(values).dtype == np.uint8
    np.testing.assert_array_equal(invert(values), 255 - np.arange(256))
    np.testing.assert_array_equal(invert(invert(values)), values)


def test_to_rgb_repeats_one_channel_three_times():
    grey = np.random.default_rng(2).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    rgb = to_rgb(grey)
    assert rgb.shape == (2, 28, 28, 3)
    for channel in range(3):
        np.testing.assert_array_equal(rgb[..., channel], grey)


def test_resize_photo_keeps_a_28x28_picture_and_squeezes_others():
    digit = np.random.default_rng(3).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_photo(digit), digit)
    squeezed = resize_photo(np.array(corner_picture()))
    assert squeezed.shape == (28, 28, 3)
    assert squeezed[5, 5].max() < 20 and squeezed[20, 20].min() > 235
