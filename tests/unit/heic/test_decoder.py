"""HEIC pictures: the same as in other formats; and a decoder that breaks, hangs or lies costs one picture."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits.errors import UnreadableImage
from digits.heic import child, decoder
from digits.images import DECODED_SIZE, MAX_PIXELS, decode_image, is_picture, upright_size
from tests.unit.heic.making import declaring, exif, heic, page, several, with_exif_orientation

BRANDS = b"\x00\x00\x00\x1cftyp%b\x00\x00\x00\x00%b%b"
PHOTO = heic(page())
CHILD = child.__file__


def png(picture: Image.Image, orientation: int = 1) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif(orientation))
    return file.getvalue()


def assert_alike(data: bytes, other: bytes, **options) -> None:
    """Both files show the same picture, but for compression."""
    seen, expected = decode_image(data, **options), decode_image(other, **options)
    assert seen.dtype == np.uint8 and seen.shape == expected.shape
    assert np.abs(seen.astype(int) - expected).mean() < 2
    assert upright_size(data) == upright_size(other)


def refusal(data: bytes) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        decode_image(data)
    return caught.value


def instead_of_the_child(monkeypatch, tmp_path, program: str) -> None:
    """Start another program in its place; `bound()` is how the child bounds itself."""
    script = tmp_path / "child.py"
    start = f"import os, runpy, sys, time\nchild = runpy.run_path({CHILD!r})\n"
    script.write_text(f"{start}bound = lambda: child['bound_this_process'](1000)\n{program}\n")
    monkeypatch.setattr(child, "__file__", str(script))


def answering(line: str, pixels: str = "b''") -> str:
    return f"sys.stdout.buffer.write({line.encode()!r} + {pixels})"


def test_a_photo_is_what_it_is_as_a_png():
    assert_alike(PHOTO, png(page()))


@pytest.mark.parametrize("orientation", [2, 6, 7])
def test_a_photo_that_a_camera_turned_is_turned_once(orientation):
    assert_alike(heic(page(), orientation), png(page(), orientation))


def test_a_photo_is_turned_by_its_own_properties_whatever_exif_says():
    turned = heic(page(), 6)
    assert with_exif_orientation(turned, 1) != turned
    assert_alike(with_exif_orientation(turned, 1), png(page(), 6))
    assert_alike(with_exif_orientation(PHOTO, 6), png(page()))


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA"])
def test_grey_deep_and_transparent_pictures_are_what_they_are_as_a_png(mode):
    picture = page()
    if mode == "RGBA":
        picture.putalpha(Image.fromarray(np.repeat(np.uint8([[0] * 180 + [255] * 180]), 240, axis=0)))
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    assert_alike(heic(picture), png(picture))


def test_a_larger_photo_comes_reduced_as_others_do():
    large = page(DECODED_SIZE * 2 + 100, 300)
    assert decode_image(heic(large)).shape == (150, DECODED_SIZE + 50, 3)
    assert_alike(heic(large), png(large))
    assert_alike(heic(large), png(large), longer_side=400)


def test_of_several_pictures_the_primary_one_is_read():
    for primary in (0, 1):
        pictures = [page(), page().transpose(Image.Transpose.ROTATE_180)]
        assert_alike(several(*pictures, primary=primary), png(pictures[primary]))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (PHOTO[:30], True),
        (BRANDS % (b"heic", b"mif1", b"miaf"), True),
        (BRANDS % (b"mif1", b"mif1", b"heic"), True),
        (BRANDS % (b"mif1", b"heic", b"miaf"), True),
        (BRANDS % (b"msf1", b"msf1", b"hevc"), True),
        (BRANDS % (b"avif", b"mif1", b"heic"), False),
        (BRANDS % (b"mif1", b"avif", b"miaf"), False),
        (BRANDS % (b"isom", b"iso2", b"mp41"), False),
        (BRANDS[:4] + b"free" + b"heic" * 4, False),
        (b"\x00\x00\x00\x14ftypisom" + bytes(8) + b"heic", False),
        (b"\xff\xff\xff\xffftypisom" + b"mp41" * 246 + b"heic", True),  # at byte 996
        (b"\xff\xff\xff\xffftypisom" + b"mp41" * 247 + b"heic", False),
        (b"", False),
    ],
)
def test_a_file_is_heic_by_the_brands_at_its_beginning(head, expected):
    assert decoder.is_heic(head) == expected


def test_a_heic_file_is_a_picture_whatever_it_is_called(monkeypatch):
    monkeypatch.setattr(sys, "path", [])  # so no decoder is found
    assert is_picture(PHOTO[:100])


def test_avif_is_read_without_the_process(monkeypatch):
    file = io.BytesIO()
    page().save(file, "AVIF")
    monkeypatch.setattr(child, "__file__", "/nowhere")
    assert decode_image(file.getvalue()).shape == (240, 360, 3)


@pytest.mark.parametrize("call", [decode_image, upright_size])
def test_without_the_extra_a_photo_is_refused_with_the_way_to_add_it(monkeypatch, call):
    installed = [folder for folder in sys.path if "site-packages" in folder]
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder not in installed])
    with pytest.raises(UnreadableImage) as caught:
        call(PHOTO)
    assert caught.value.reason == "no_heic_decoder"
    assert str(caught.value) == (
        "the picture is a HEIC file, and no decoder for it is installed\n"
        "  expected: a picture that needs none, or the decoder\n"
        "  what to do: add it with: pip install 'digits[heic]', or send the picture as JPEG or PNG"
    )


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated_files_are_refused(share):
    assert refusal(PHOTO[: int(len(PHOTO) * share)]).reason == "damaged"


def test_files_changed_at_random_are_read_or_refused():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(12):
        data = np.frombuffer(PHOTO, np.uint8).copy()
        places = rng.integers(0, len(data), 12)
        data[places] = rng.integers(0, 256, 12)
        data[4:12] = list(b"ftypheic")
        try:
            assert decode_image(data.tobytes()).dtype == np.uint8
            seen.add("read")
        except UnreadableImage as error:
            seen.add(error.reason)
    assert seen <= {"read", "damaged", "too_many_pixels"} and "damaged" in seen


def test_more_pixels_than_are_read_are_refused_before_they_are_decoded(monkeypatch):
    bomb = declaring(PHOTO, 30_000, 30_000)
    for call in (decode_image, upright_size):
        with pytest.raises(UnreadableImage, match="30000 x 30000") as caught:
            call(bomb)
        assert caught.value.reason == "too_many_pixels"
    assert decoder.heic_size(PHOTO, 360 * 240) == (360, 240)
    with pytest.raises(UnreadableImage, match="360 x 240"):
        decoder.decode_heic(PHOTO, 360 * 240 - 1)


@pytest.mark.parametrize("size", [(7_000, 8_000), (2**31 - 1, 2**31 - 1), (1, 1), (0, 0)])
def test_a_declared_size_that_is_not_the_true_one_is_refused(size):
    assert refusal(declaring(PHOTO, *size)).reason in ("damaged", "too_many_pixels")


def test_a_decoder_that_crashes_is_a_damaged_file(monkeypatch, tmp_path):
    instead_of_the_child(monkeypatch, tmp_path, "os.kill(os.getpid(), 11)")
    assert refusal(PHOTO).reason == "damaged"
    assert "exit code -11" in str(refusal(PHOTO))


def test_a_decoder_that_crashes_after_its_answer_is_not_believed(monkeypatch, tmp_path):
    instead_of_the_child(
        monkeypatch, tmp_path, answering("L 1 1\n", "b'0'") + "; sys.stdout.flush(); os.kill(os.getpid(), 11)"
    )
    assert refusal(PHOTO).reason == "damaged"


def test_nobody_waits_longer_than_a_minute():
    assert decoder.PATIENCE_S == 60


def test_a_decoder_that_hangs_is_killed(monkeypatch, tmp_path):
    instead_of_the_child(
        monkeypatch, tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(100)"
    )
    monkeypatch.setattr(decoder, "PATIENCE_S", 2)
    assert "within 2 s" in str(refusal(PHOTO))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("line", "pixels", "reason"),
    [
        ("", "b''", "damaged"),
        ("", "bytes([255]) + b' 2 2' + bytes([10])", "damaged"),
        ("RGB 2 2", "b''", "damaged"),
        ("RGB 2 -2\n", "b'0' * 12", "damaged"),
        ("RGB -2 2\n", "b'0' * 12", "damaged"),
        ("RGB two 2\n", "b'0' * 12", "damaged"),
        ("RGB 2 two\n", "b'0' * 12", "damaged"),
        ("RGB 2\n", "b'0' * 12", "damaged"),
        ("RGB 2 2\n", "b'0' * 11", "damaged"),
        ("RGB 0 2\n", "b'0' * 12", "damaged"),
        ("P 2 2\n", "b'0' * 4", "damaged"),
        ("x" * 200, "b''", "damaged"),
        (f"L {MAX_PIXELS} 2\n", "b'0' * 12", "too_many_pixels"),
    ],
)
def test_an_answer_that_cannot_be_is_not_believed(monkeypatch, tmp_path, line, pixels, reason):
    instead_of_the_child(monkeypatch, tmp_path, answering(line, pixels))
    assert refusal(PHOTO).reason == reason


def test_the_process_gets_the_file_and_no_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    program = "known = b'secret' in open('/proc/self/environ', 'rb').read() or '' in sys.path\n"
    program += "whole = sys.stdin.buffer.read()[-4:] == " + repr(PHOTO[-4:]) + "\n"
    instead_of_the_child(monkeypatch, tmp_path, program + answering("L 2 1\n", "bytes([known, whole])"))
    assert decode_image(PHOTO)[0, :, 0].tolist() == [0, 1]


def test_the_process_finds_the_libraries_that_are_found_here(monkeypatch, tmp_path):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/libraries")
    program = "found = os.environ.get('LD_LIBRARY_PATH') == '/opt/libraries'\n"
    instead_of_the_child(monkeypatch, tmp_path, program + answering("L 1 1\n", "bytes([found])"))
    assert decode_image(PHOTO)[0, 0, 0] == 1
    monkeypatch.delenv("LD_LIBRARY_PATH")
    program = "found = 'LD_LIBRARY_PATH' in os.environ\n"
    instead_of_the_child(monkeypatch, tmp_path, program + answering("L 1 1\n", "bytes([found])"))
    assert decode_image(PHOTO)[0, 0, 0] == 0


def test_the_process_says_nothing_and_hears_no_control_c(monkeypatch, tmp_path, capfd):
    program = f"apart = os.getsid(0) != {os.getsid(0)}\nprint('noise of a library', file=sys.stderr)\n"
    instead_of_the_child(monkeypatch, tmp_path, program + answering("L 1 1\n", "bytes([apart])"))
    assert decode_image(PHOTO)[0, 0, 0] == 1
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "program",
    [
        "held = bytearray(child['MAX_ADDRESS_SPACE'])",
        "sys.stdout.buffer.write(bytes(6000)); sys.stdout.flush(); sys.stdout.buffer.seek(0)",
    ],
    ids=["memory", "output"],
)
def test_the_process_is_bounded(monkeypatch, tmp_path, program):
    answer = answering("L 1 1\n", "b'0'")
    instead_of_the_child(monkeypatch, tmp_path, f"{program}\n{answer}")
    assert decode_image(PHOTO).shape == (1, 1, 3)
    instead_of_the_child(monkeypatch, tmp_path, f"bound()\n{program}\n{answer}")
    assert refusal(PHOTO).reason == "damaged"


def test_its_processor_time_is_bounded_and_bounds_of_before_are_kept():
    program = (
        "import resource, runpy\nresource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        f"runpy.run_path({CHILD!r})['bound_this_process'](10**6)\n"
        "print(*(resource.getrlimit(getattr(resource, f'RLIMIT_{kind}')) for kind in ('CPU', 'FSIZE', 'CORE')))"
    )
    told = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True).stdout
    most = child.MAX_PROCESSOR_S
    assert told.strip() == f"({most}, {most}) (500, 500) (0, 0)"


def test_the_library_keeps_its_own_limits():
    """In all our sources, nothing turns them off."""
    sources = Path(decoder.__file__).parents[2].glob("[djs]*/**/*.py")
    assert not [path for path in sources if "DISABLE_SECURITY_LIMITS" in path.read_text()]
