"""What decode_image makes of every kind of picture file, and of what is none."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from digits import images
from digits.errors import UnreadableImage
from digits.images import (
    DECODED_SIZE,
    FORMATS,
    MAX_JPEG_SCANS,
    MAX_PIXELS,
    declared_pixels,
    decode_image,
    encode_png,
    invert,
    is_picture,
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
    assert (MAX_PIXELS, MAX_JPEG_SCANS) == (60_000_000, 100)


def test_as_many_pixels_as_are_read_are_read(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 960)
    assert decode_image(encode(corner_picture())).shape == (24, 40, 3)
    monkeypatch.setattr(images, "MAX_PIXELS", 959)
    refused = refusal(encode(corner_picture()))
    assert refused.reason == "too_many_pixels" and "40 x 24 pixels" in str(refused)


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
def test_a_turned_file_tells_its_size_upright(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encode(corner_picture(), "JPEG", exif=tags)
    assert upright_size(data) == ((24, 40) if orientation >= 5 else (40, 24))


def test_pictures_are_known_by_their_beginning_even_if_they_are_damaged():
    assert all(is_picture(encode(corner_picture(), format)[:100]) for format in ("PNG", "JPEG", "WEBP", "GIF"))
    assert is_picture(declared_png(2**31 - 1, 2**31 - 1))
    assert not is_picture(b"no picture at all") and not is_picture(b"")


def test_heic_is_read_beside_the_others():
    data = heic(page())
    height, width = decode_image(data).shape[:2]
    assert is_picture(data[:40]) and upright_size(data) == (width, height) and declared_pixels(data) == MAX_PIXELS
    assert max(decode_image(data, longer_side=100).shape) < 200


def test_an_excessively_progressive_jpeg_is_refused():
    data = encode(corner_picture(), "JPEG", progressive=True)
    assert decode_image(data).shape == (24, 40, 3)
    left = MAX_JPEG_SCANS - data.count(b"\xff\xda")
    assert decode_image(data + b"\xff\xda" * left).shape == (24, 40, 3)
    assert refusal(data + b"\xff\xda" * (left + 1)).reason == "too_many_scans"
    png = encode(corner_picture())
    assert decode_image(png + b"\xff\xda" * (MAX_JPEG_SCANS + 1)).shape == (24, 40, 3)


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
