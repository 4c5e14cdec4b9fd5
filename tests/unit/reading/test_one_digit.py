"""A picture of one digit: both networks look at it, and the digit network answers only where a digit is seen."""

import contextlib
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from digits.errors import NoDigitFound, NotADigit, SeveralDigits
from digits.evaluation.corruptions import corrupt
from digits.evaluation.pages.score import edit_distance
from digits.evaluation.pages.simulated import CONDITIONS, simulated_page
from digits.evaluation.pages.without_digits import WITHOUT_DIGITS, page_without_digits
from digits.evaluation.photo_score import everyday_photos
from digits.evaluation.simulated_photos import PhotoConditions, photo_set
from digits.images import decode_with_size, encode_png, to_rgb
from digits.models.inference import Answers, Classifier
from digits.preprocessing.prepare import prepare
from digits.reading import networks, one_digit
from digits.reading.answer import ReadDigit
from digits.reading.confidence import Confidence
from digits.reading.detect import FINE_SIDE
from digits.reading.networks import APART, ASKED, TOGETHER, is_strange, read_photo, second_look, shipped
from digits.reading.one_digit import is_one_piece, look_at, look_at_box
from digits.reading.reader import too_many


def said(probabilities, familiarity=0.0):
    """What a digit network says that finds each image as familiar as this; probabilities (N, 10)."""
    return Answers(probabilities=probabilities, familiarity=np.full(len(probabilities), familiarity, np.float32))


def always(digit, familiarity=0.0):
    """A digit network that knows one digit."""

    def classify(images):
        assert images.shape[1:] == (28, 28) and images.dtype == np.uint8
        return said(
            np.where(np.arange(10) == digit, 0.91, 0.01).astype(np.float32)[None].repeat(len(images), 0), familiarity
        )

    return classify


def test_nearly_every_simulated_photo_of_a_digit_is_looked_at(reader, digits):
    images, labels = digits[0][:80], digits[1][:80]
    refused = 0
    for photo in everyday_photos(images, labels, seed=5):
        try:
            look = look_at(photo, reader)
        except (NotADigit, NoDigitFound, SeveralDigits):
            refused += 1
        else:
            assert look.image.shape == (28, 28) and look.image.dtype == np.uint8
            left, top, right, bottom = look.box
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert refused <= 8


def test_pictures_without_digits_are_mostly_refused():
    networks, answered = shipped(), 0
    pictures = [page_without_digits(kind, np.random.default_rng((82, n))) for n in range(4) for kind in WITHOUT_DIGITS]
    for picture in pictures:
        try:
            look_at(picture, networks.reader).answer(networks.classifier.answers)
            answered += 1
        except (NotADigit, NoDigitFound, SeveralDigits):
            pass
    assert answered <= 0.15 * len(pictures)


def test_pages_are_hardly_ever_taken_for_one_digit(digits):
    networks, one, several = shipped(), 0, 0
    names = [name for name in CONDITIONS if name not in ("one digit", "two in 28x28")]
    for place, name in enumerate(names):
        page = simulated_page(*digits, np.random.default_rng((83, place)), CONDITIONS[name])
        try:
            look_at(page.picture, networks.reader).answer(networks.classifier.answers)
            one += 1
        except SeveralDigits as error:
            assert re.search(r"shows \d+ digits", str(error))
            several += 1
        except (NotADigit, NoDigitFound):
            pass
    assert one <= 1 and several >= 0.6 * len(names)


def test_a_page_of_too_many_digits_is_not_taken_for_one_digit(reader, monkeypatch):
    def refuse(photo, size):
        raise too_many()

    monkeypatch.setattr(reader, "read_photo", refuse)
    monkeypatch.setattr(networks, "look_at", lambda *_: pytest.fail("a second look"))
    with pytest.raises(NotADigit) as refused:
        read_photo(np.zeros((30, 30, 3), np.uint8), (30, 30), reader, always(3), TOGETHER)
    assert refused.value.reason == "too_many"


def test_a_digit_in_mnists_form_needs_no_glance(reader, digits, monkeypatch):
    monkeypatch.setattr(one_digit, "glance", lambda *_: pytest.fail("a glance"))
    whole = digits[0][list(digits[1]).index(1)]
    look = look_at(to_rgb(whole), reader)
    assert look.found is None and np.array_equal(look.image, whole)
    assert look.as_it_came and look.answer(always(3)).argmax() == 3


def test_a_second_piece_is_looked_at(digits):
    one, two = (digits[0][row] for row in (0, 1))
    together = np.zeros((28, 28), np.uint8)
    for left, image in ((0, one), (14, two)):
        together[4:24, left : left + 13] = cv2.resize(image[4:24, 4:24], (13, 20))
    together[:, 13] = 0
    assert not is_one_piece(together)
    assert is_one_piece(np.zeros((28, 28), np.uint8))


def test_too_small_a_picture_is_refused_by_preparation(reader):
    with pytest.raises(NoDigitFound, match="6 x 6"):
        look_at(np.zeros((3, 3, 3), np.uint8), reader)


def test_a_single_digit_is_read_with_its_box_in_pixels_of_the_file(reader, digits):
    page = simulated_page(*digits, np.random.default_rng((84, 1)), CONDITIONS["one digit"])
    photo, size = decode_with_size(encode_png(page.picture), longer_side=FINE_SIDE)
    reading = read_photo(photo, size, reader, always(int(page.digits)), TOGETHER)
    (one,) = reading.digits
    left, top, width, height = page.boxes[0]
    assert one.box[0] + one.box[2] / 2 == pytest.approx(left + width / 2, abs=0.25 * height)
    assert one.box[1] + one.box[3] / 2 == pytest.approx(top + height / 2, abs=0.25 * height)
    assert reading.text == page.digits and one.seen.shape == (28, 28)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (900, 1, 3), (6, 6, 3), (28, 28, 3), (700, 40, 3)])
def test_no_picture_crashes_it(reader, shape):
    rng = np.random.default_rng(0)
    for picture in (rng.integers(0, 256, shape).astype(np.uint8), np.full(shape, 255, np.uint8)):
        try:
            reading = read_photo(picture, shape[1::-1], reader, always(4), TOGETHER)
        except NotADigit as refusal:
            assert "what to do" in str(refusal)
        else:
            assert reading.digits


def test_networks_that_disagree_give_no_answer(reader, digits):
    page = simulated_page(*digits, np.random.default_rng((84, 2)), CONDITIONS["one digit"])
    look = look_at(page.picture, reader)
    right = int(page.digits)
    agreed = look.answer(always(right))
    assert agreed.argmax() == right and agreed.sum() == pytest.approx(1, abs=1e-5) and agreed[right] > 0.95
    other = np.full(10, 1e-9, np.float32)
    other[(right + 1) % 10] = 1
    with pytest.raises(NotADigit):
        look.judge(said(other[None]))


def test_in_a_box_that_is_known_to_hold_a_digit_one_is_read_however_unlike(reader, digits):
    page = simulated_page(*digits, np.random.default_rng((84, 2)), CONDITIONS["one digit"])
    other = np.full(10, 1e-9, np.float32)
    other[(int(page.digits) + 1) % 10] = 1
    assert look_at_box(page.picture, reader).judge(said(other[None])).argmax() == (int(page.digits) + 1) % 10

    bar = np.full((126, 126, 3), 230, np.uint8)
    bar[40:80, 20:110] = 30
    with pytest.raises((NotADigit, NoDigitFound, SeveralDigits)):
        look_at(bar, reader).answer(always(4))
    assert look_at_box(bar, reader).answer(always(4)).argmax() == 4
    with pytest.raises(NoDigitFound, match="nothing that differs"):
        look_at_box(np.full((126, 126, 3), 230, np.uint8), reader)


def test_a_faint_digit_in_a_noisy_box_is_read_without_its_grain(reader, digits):
    """Preparation refuses some of them as noise."""
    rng, refused, found = np.random.default_rng(3), 0, 0
    pencil = PhotoConditions(pen="pencil", contrast=0.2, stroke_width=0.04, gradient=0, noise=0)
    for photo in photo_set(digits[0][:24], 2, pencil):
        grainy = np.clip(photo + rng.normal(0, 20, (*photo.shape[:2], 1)), 0, 255).astype(np.uint8)
        try:
            look_at(grainy, reader)
        except NoDigitFound:
            refused += 1
            found += bool(look_at_box(grainy, reader).images.any())
        except (NotADigit, SeveralDigits):
            continue
    assert refused >= 6 and found >= refused - 1


@pytest.mark.parametrize(("conditions", "least"), [({"contrast": 0.06}, 12), ({"noise": 50.0}, 14)])
def test_a_faint_or_noisy_digit_is_read_by_the_page_network_alone(reader, digits, conditions, least):
    """Preparation refuses all of these."""
    images, labels = digits[0][:18], digits[1][:18]
    right = alone = 0
    for photo, label in zip(photo_set(images, 1, PhotoConditions(**conditions)), labels, strict=True):
        try:
            look = look_at(photo, reader)
        except NoDigitFound:
            continue
        alone += not look.is_prepared
        # Whatever the digit network makes of a picture that is only cut out.
        right += look.answer(always((label + 1) % 10)).argmax() == label
    assert alone >= least and right >= alone - 1


@pytest.mark.parametrize(("family", "least"), [("stripe", 26), ("zigzag", 29), ("impulse_noise", 36)])
def test_a_cluttered_picture_of_28x28_is_read_as_a_whole_too(digits, family, least):
    networks = shipped()
    cluttered = corrupt(digits[0][:40], family, 1)
    right = 0
    for image, label in zip(cluttered, digits[1][:40], strict=True):
        try:
            right += look_at(to_rgb(image), networks.reader).answer(networks.classifier.answers).argmax() == label
        except (NotADigit, NoDigitFound, SeveralDigits):
            continue
    assert right >= least


def test_noise_of_28x28_is_no_digit():
    networks, rng, answered = shipped(), np.random.default_rng(0), 0
    for _ in range(30):
        try:
            picture = to_rgb(rng.integers(0, 256, (28, 28), np.uint8))
            answered += look_at(picture, networks.reader).answer(networks.classifier.answers).max() > 0
        except (NotADigit, NoDigitFound, SeveralDigits):
            continue
    assert answered <= 1


def eight_by_eight(image):
    """A digit uint8 (28, 28) as scikit-learn's load_digits has it: cut to its ink, as high as the frame."""
    large = (cv2.resize(image, (112, 112), interpolation=cv2.INTER_CUBIC) > 110).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(large)
    wide = min(32, max(1, round(32 * width / height)))
    cut = cv2.resize(255 * large[y : y + height, x : x + width], (wide, 32), interpolation=cv2.INTER_AREA) > 127
    bitmap = np.zeros((32, 32), np.uint8)
    bitmap[:, (32 - wide) // 2 : (32 - wide) // 2 + wide] = cut
    return (bitmap.reshape(8, 4, 8, 4).sum((1, 3)) * 255 // 16).astype(np.uint8)


@pytest.mark.parametrize(
    "enlarged",
    [
        lambda tiny: tiny,
        lambda tiny: 255 - tiny,
        lambda tiny: cv2.resize(tiny, (28, 28), interpolation=cv2.INTER_CUBIC),
    ],
    ids=["8x8", "dark on light", "28x28"],
)
def test_a_digit_of_8x8_pixels_that_touches_its_frame_is_read(digits, enlarged):
    networks, right = shipped(), 0
    for image, label in zip(digits[0][:40], digits[1][:40], strict=True):
        try:
            look = look_at(to_rgb(enlarged(eight_by_eight(image))), networks.reader)
            right += look.answer(networks.classifier.answers).argmax() == label
        except (NotADigit, NoDigitFound, SeveralDigits):
            continue
    assert right >= 36


def test_a_digit_that_touches_its_frame_has_its_box_in_the_picture(reader, digits):
    read = 0
    for image, label in zip(digits[0][:20], digits[1][:20], strict=True):
        tiny = eight_by_eight(image)
        try:
            (one,) = reader.read(tiny).digits
        except (NotADigit, ValueError):
            continue
        left, top, width, height = one.box
        read += one.digit == label
        assert min(left, top) >= 0 and max(left + width, top + height) <= 8
        assert height > 6 and abs(left + width / 2 - 4) < 1.5
    assert read >= 14


def test_a_digit_of_a_page_of_which_the_page_network_is_unsure_is_asked_of_the_digit_network_too(reader, digits):
    """Whichever way the page lies: simulated pages have fewer errors."""
    alone, both = 0, 0
    for seed, name in ((21, "table"), (31, "show-through"), (21, "turned")):
        place = list(CONDITIONS).index(name)
        for number in range(4):
            page = simulated_page(*digits, np.random.default_rng((seed, place, number)), CONDITIONS[name])
            alone += edit_distance("".join(reader.read(page.picture).text.split()), page.digits)
            both += edit_distance("".join(shipped().read(page.picture).text.split()), page.digits)
    assert both < alone


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_only_an_unsure_digit_gets_a_second_look(digits, turns):
    page = simulated_page(*digits, np.random.default_rng((84, 1)), CONDITIONS["one digit"])
    photo = np.ascontiguousarray(np.rot90(page.picture, turns))
    right, other = int(page.digits), (int(page.digits) + 1) % 10
    left, top, width, height = page.boxes[0]
    for _ in range(turns):
        left, top, width, height = top, photo.shape[0] - left - width, height, width
    shares = np.full(10, 0.02, np.float32)
    shares[other], shares[right] = 0.44, 0.4
    unsure = ReadDigit(
        box=(left, top, width, height), digit=other, confidence=0.5, probabilities=shares, line=0, number=0
    )
    classify, size = shipped().classifier.answers, photo.shape[1::-1]
    settled = second_look(unsure, photo, size, turns, classify, TOGETHER)
    assert settled.digit == right and settled.probabilities.sum() == pytest.approx(1, abs=1e-5)
    sure = replace(unsure, probabilities=np.eye(10, dtype=np.float32)[other])
    assert second_look(sure, photo, size, turns, classify, TOGETHER) is sure
    nothing = np.full_like(photo, 200)
    assert second_look(unsure, nothing, size, turns, classify, TOGETHER) is unsure
    assert (
        second_look(
            unsure, photo, size, turns, lambda images: said(np.eye(10)[[right, other][: len(images)]]), TOGETHER
        )
        is unsure
    )
    rather_sure = replace(unsure, probabilities=np.where(np.arange(10) == other, 0.73, 0.03).astype(np.float32))
    assert second_look(rather_sure, photo, size, turns, classify, APART) is rather_sure


@pytest.mark.parametrize("own", [True, False])
def test_a_network_that_was_not_packed_with_the_reader_has_less_to_say_on_a_page(digits, monkeypatch, own):
    page, opinions = simulated_page(*digits, np.random.default_rng((84, 3)), CONDITIONS["plain"]), []

    def note(one, photo, size, turns, classify, opinion):
        opinions.append(opinion)
        return one

    monkeypatch.setattr(networks, "second_look", note)
    replace(shipped(), has_own_reader=own).read(page.picture)
    assert set(opinions) == {TOGETHER if own else APART}


def test_a_network_of_which_it_is_not_known_what_looks_strange_to_it_refuses_no_page(digits, monkeypatch):
    page, opinions = simulated_page(*digits, np.random.default_rng((84, 3)), CONDITIONS["plain"]), []

    def note(one, photo, size, turns, classify, opinion):
        opinions.append(opinion)
        return one

    monkeypatch.setattr(networks, "second_look", note)
    checkpoint = shipped().checkpoint
    before = Classifier(checkpoint.architecture, checkpoint.weights, graphs=checkpoint.graphs)
    replace(shipped(), classifier=before).read(page.picture)
    assert set(opinions) == {replace(TOGETHER, veto=False)}


def test_what_looks_strange_to_the_digit_network_must_be_seen_more_surely(reader, digits):
    page = simulated_page(*digits, np.random.default_rng((84, 2)), CONDITIONS["one digit"])
    right = int(page.digits)
    certain = np.where(np.arange(10) == right, 0.9991, 0.0001).astype(np.float32)[None]
    look = look_at(page.picture, reader)
    hardly, surely = (replace(look, found=replace(look.found, confidence=each)) for each in (0.1, 0.9))
    assert hardly.judge(said(certain, familiarity=0)).argmax() == right
    with pytest.raises(NotADigit):
        hardly.judge(said(certain, familiarity=-2.5))
    assert surely.judge(said(certain, familiarity=-2.5)).argmax() == right


def test_a_network_that_knows_what_is_no_digit_has_more_to_say(reader, digits):
    """What it finds familiar needs less of the page network, and what it finds strange needs more."""
    page = simulated_page(*digits, np.random.default_rng((84, 2)), CONDITIONS["one digit"])
    certain = np.where(np.arange(10) == int(page.digits), 0.9991, 0.0001).astype(np.float32)[None]
    look = look_at(page.picture, reader)
    places = [replace(look, found=replace(look.found, confidence=each)) for each in np.linspace(0.001, 0.999, 400)]

    def least(familiarity, knows_none):
        """The least confidence of the page network that gives an answer."""
        answers = replace(said(certain, familiarity=familiarity), knows_none=knows_none)
        for place in places:
            with contextlib.suppress(NotADigit):
                place.judge(answers)
                return place.found.confidence
        return 1.0

    assert least(-1.0, True) < least(-1.0, False)
    assert least(-8.0, True) == 1.0
    assert least(-4.0, True) > least(-2.0, True) > 0


def test_signs_look_strange_to_the_digit_network(digits):
    """Of what preparation finds in photos a digit looks more familiar than a sign, nearly always."""
    rng, network = np.random.default_rng(7), shipped().classifier
    of_digits, of_signs = [], []
    for photo in photo_set(digits[0][:60], 4, None):
        with contextlib.suppress(NoDigitFound):
            of_digits.append(network.answers(prepare(photo).image[None]).familiarity[0])
    for number in range(60):
        with contextlib.suppress(NoDigitFound):
            sign = page_without_digits(("letters", "shapes")[number % 2], rng)
            of_signs.append(network.answers(prepare(sign).image[None]).familiarity[0])
    assert min(len(of_digits), len(of_signs)) > 40
    assert np.mean(np.array(of_digits)[:, None] > np.array(of_signs)) > 0.95


@pytest.mark.parametrize(("opinion", "stays"), [(TOGETHER, False), (APART, True)])
def test_a_single_digit_of_which_the_page_network_is_rather_sure_needs_the_digit_network_it_came_with(
    reader, digits, opinion, stays
):
    page = simulated_page(*digits, np.random.default_rng((84, 1)), CONDITIONS["one digit"])
    size, strange = page.picture.shape[1::-1], always(int(page.digits), familiarity=-9.0)
    alone = reader.read_photo(page.picture, size)
    rather_sure = replace(reader, confidence=Confidence(slope=0, offset=2.0))
    assert alone.digits[0].confidence > 0.98
    assert read_photo(page.picture, size, reader, strange, opinion).text == alone.text
    if stays:
        assert read_photo(page.picture, size, rather_sure, strange, opinion).text == alone.text
    else:
        with pytest.raises(NotADigit) as refused:
            read_photo(page.picture, size, rather_sure, strange, opinion)
        assert refused.value.reason == "unlike"


def test_an_answer_sounds_less_sure_the_less_speaks_for_a_digit_unless_one_is_known_to_be_there(reader, digits):
    page = simulated_page(*digits, np.random.default_rng((84, 2)), CONDITIONS["one digit"])
    certain = np.where(np.arange(10) == int(page.digits), 0.9991, 0.0001).astype(np.float32)[None]
    look = replace(look_at(page.picture, reader), scale=Confidence(slope=0.7, offset=0.3, doubt=-0.4))
    look = replace(look, found=replace(look.found, confidence=0.5))
    familiar, strange = (replace(said(certain, familiarity=each), knows_none=True) for each in (0.0, -2.0))
    assert look.weigh(familiar)[1] == 0 and look.weigh(strange)[1] == pytest.approx(4, abs=0.1)
    assert look.judge(strange).max() < look.judge(familiar).max() - 0.002
    known = replace(look, is_digit=True)
    assert known.judge(strange).max() == known.judge(familiar).max()


def test_what_both_networks_answer_sounds_as_sure_as_the_reader_says(reader, digits):
    page = simulated_page(*digits, np.random.default_rng((84, 2)), CONDITIONS["one digit"])
    humble = replace(reader, confidence_of_one=Confidence(slope=0.5, offset=0.3))
    raw, scaled = (
        replace(look_at(page.picture, humble), scale=scale).answer(shipped().classifier.answers)
        for scale in (Confidence(), humble.confidence_of_one)
    )
    assert look_at(page.picture, humble).scale == humble.confidence_of_one
    assert scaled.argmax() == raw.argmax() == int(page.digits)
    assert scaled.max() == pytest.approx(humble.confidence_of_one(float(raw.max())), abs=1e-6) and scaled.max() < 0.995
    in_mnists_form = cv2.cvtColor(digits[0][0], cv2.COLOR_GRAY2RGB)
    as_it_is = shipped().classifier.probabilities(digits[0][:1])[0]
    answer = look_at(in_mnists_form, humble).answer(shipped().classifier.answers)
    assert np.allclose(answer, as_it_is, atol=1e-6)


def test_letters_that_are_read_as_a_page_of_digits_are_mostly_refused(reader):
    """The page network alone reads digits in more of them."""
    alone = both = 0
    for number in range(100):
        picture = page_without_digits(("words", "letters")[number % 2], np.random.default_rng((87, number)))
        with contextlib.suppress(NotADigit):
            alone += len(reader.read(picture).digits) > 1
        with contextlib.suppress(NotADigit):
            both += len(shipped().read(picture).digits) > 1
    assert alone >= 3 and both <= alone / 2


def test_a_page_that_is_read_surely_is_not_asked_about_nor_is_one_that_looks_familiar(reader, digits):
    page = simulated_page(*digits, np.random.default_rng((84, 3)), CONDITIONS["plain"])
    size = page.picture.shape[1::-1]
    sure = reader.read_photo(page.picture, size)
    doubtful = replace(sure, digits=tuple(replace(one, confidence=0.9) for one in sure.digits))

    def strange(images):
        asked.append(len(images))
        return said(np.full((len(images), 10), 0.1), familiarity=-2.5)

    asked = []
    assert not is_strange(sure, page.picture, size, strange) and not asked
    assert is_strange(doubtful, page.picture, size, strange) and 1 < asked[0] <= ASKED
    assert not is_strange(doubtful, page.picture, size, always(3, familiarity=0))
    blank = np.full_like(page.picture, 255)
    assert is_strange(doubtful, blank, size, lambda images: pytest.fail("nothing there"))
    assert not is_strange(doubtful, page.picture[:28, :28], (28, 28), strange)
    with pytest.raises(NotADigit) as refused:
        read_photo(page.picture, size, replace(reader, confidence=Confidence(slope=0, offset=2.2)), strange, TOGETHER)
    assert refused.value.reason == "unlike"
    read_photo(page.picture, size, replace(reader, confidence=Confidence(slope=0, offset=2.2)), strange, APART)
