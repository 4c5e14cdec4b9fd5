"""The page in a real browser: a digit drawn, a picture given, an error shown to the person."""

import base64
import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.images import decode_image, encode_png

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SEVEN = [(0.3, 0.25), (0.5, 0.25), (0.7, 0.25), (0.64, 0.4), (0.57, 0.55), (0.5, 0.7), (0.45, 0.82)]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the chromium of the system's package manager")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser, request):
    context = browser.new_context(**getattr(request, "param", {}))
    yield context
    context.close()


@pytest.fixture
def page(context, plain_server):
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    foreign: list[str] = []
    page.on(
        "request",
        lambda sent: foreign.append(sent.url) if not sent.url.startswith((plain_server, "data:", "blob:")) else None,
    )
    page.goto(plain_server)
    yield page
    assert problems == [], "the page's script failed"
    assert foreign == [], "the page asked another host"


def draw(page: Page, points: list[tuple[float, float]]) -> None:
    box = page.locator("#canvas").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def give(page: Page, name: str, data: bytes, kind: str = "image/png") -> None:
    page.set_input_files("#file", files=[{"name": name, "mimeType": kind, "buffer": data}])


def photo_of_seven() -> bytes:
    photo = np.full((900, 700, 3), 225, np.uint8)
    photo[250:290, 200:480] = 40
    for row in range(290, 640):
        left = 440 - (row - 290) * 2 // 5
        photo[row, left : left + 42] = 40
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG")
    return buffer.getvalue()


def expect_digit(page: Page, digit: int) -> None:
    expect(page.locator("#digit")).to_have_text(str(digit))
    expect(page.locator("#bars .best b")).to_have_text(str(digit))
    expect(page.locator("#took")).to_contain_text("ms")


def test_a_digit_drawn_with_the_mouse_is_read_at_once(page):
    expect(page.locator("#say")).to_have_text("Nothing to read yet.")
    draw(page, SEVEN)
    expect_digit(page, 7)
    expect(page.locator("#say")).to_contain_text("seven")
    assert page.locator("#bars li").count() == 10


def test_the_page_shows_what_the_network_saw(page):
    draw(page, SEVEN)
    expect_digit(page, 7)
    seen = decode_image(base64.b64decode(page.locator("#seen").get_attribute("src").partition(",")[2]))
    assert seen.shape == (28, 28, 3) and seen[0].max() == 0 and seen.max() > 200


def test_undo_and_clear_take_the_answer_back(page):
    draw(page, SEVEN)
    expect_digit(page, 7)
    page.click("#undo")
    expect(page.locator("#say")).to_have_text("Nothing to read yet.")
    draw(page, SEVEN)
    expect_digit(page, 7)
    page.click("#clear")
    expect(page.locator("#digit")).to_have_text("?")
    expect(page.locator("#clear")).to_be_disabled()


@pytest.mark.parametrize("context", [{"has_touch": True, "viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_finger_draws_on_a_phone(page, context):
    box = page.locator("#canvas").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    touch = context.new_cdp_session(page)
    at = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in SEVEN]
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at[:1]})
    for point in at[1:]:
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect_digit(page, 7)
    expect(page.locator("#photograph")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_digit_can_be_written_by_keyboard_alone(page):
    while page.evaluate("document.activeElement.id") != "canvas":
        page.keyboard.press("Tab")
    for key, times in (("Space", 1), ("ArrowDown", 24), ("Space", 1)):
        for _ in range(times):
            page.keyboard.press(key)
    expect_digit(page, 1)
    page.keyboard.press("Escape")
    expect(page.locator("#digit")).to_have_text("?")


def test_a_photo_that_is_chosen_is_shown_and_read(page):
    give(page, "seven.jpg", photo_of_seven(), "image/jpeg")
    expect_digit(page, 7)
    expect(page.locator("#photo")).to_be_visible()
    draw(page, SEVEN)
    expect(page.locator("#photo")).to_be_hidden()


def moved(points: list[tuple[float, float]], x: float, y: float, scale: float) -> list[tuple[float, float]]:
    return [(x + scale * left, y + scale * top) for left, top in points]


@pytest.fixture(scope="module")
def sheet(test_digits):
    images, labels = test_digits
    return simulated_page(images[..., 0], labels, np.random.default_rng((95, 1)), PLAIN)


def test_several_digits_can_be_drawn(page):
    draw(page, moved(SEVEN, -0.1, 0.15, 0.6))
    expect_digit(page, 7)
    draw(page, [(0.75, 0.3), (0.75, 0.65)])
    expect(page.locator("#text")).to_have_text("71")
    expect(page.locator("#say")).to_contain_text("2 digits")
    expect(page.locator("#boxes button")).to_have_count(2)
    # The pen goes through the boxes: a bar across the seven, and no new choice by it.
    draw(page, [(0.15, 0.45), (0.33, 0.45)])
    expect(page.locator("#undo")).to_be_enabled()
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect_digit(page, 7)
    expect(page.locator("#text")).to_be_hidden()


def test_a_sheet_is_shown_with_a_box_for_each_digit_and_its_numbers_as_text(page, context, sheet):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    give(page, "sheet.png", encode_png(sheet.picture))
    boxes = page.locator("#boxes button")
    expect(boxes).to_have_count(len(sheet.digits))
    text = page.locator("#text").inner_text()
    assert text.replace(" ", "").splitlines() == list(sheet.lines)
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == text

    # Each box lies over its digit, as the picture is shown.
    shown, (height, width) = page.locator("#photo").bounding_box(), sheet.picture.shape[:2]
    scale = min(shown["width"] / width, shown["height"] / height)
    corner = [shown["x"] + (shown["width"] - width * scale) / 2, shown["y"] + (shown["height"] - height * scale) / 2]
    for index, (left, top, wide, high) in enumerate(sheet.boxes):
        box = boxes.nth(index).bounding_box()
        assert abs(box["x"] + box["width"] / 2 - corner[0] - (left + wide / 2) * scale) < 0.35 * high * scale
        assert abs(box["y"] + box["height"] / 2 - corner[1] - (top + high / 2) * scale) < 0.35 * high * scale

    # A tap shows one in full, and so do the arrow keys.
    boxes.nth(2).click()
    expect(page.locator("#bars .best b")).to_have_text(sheet.digits[2])
    expect(page.locator("#seen")).to_have_attribute("src", re.compile("^data:image/png"))
    page.keyboard.press("ArrowRight")
    expect(boxes.nth(3)).to_be_focused()
    expect(page.locator("#bars .best b")).to_have_text(sheet.digits[3])
    page.click("#clear")
    expect(boxes).to_have_count(0)
    expect(page.locator("#text")).to_be_hidden()


@pytest.mark.parametrize("context", [{"has_touch": True, "viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_sheet_is_read_on_a_phone(page, sheet):
    give(page, "sheet.png", encode_png(sheet.picture))
    boxes = page.locator("#boxes button")
    expect(boxes).to_have_count(len(sheet.digits))
    boxes.nth(1).tap()
    expect(page.locator("#bars .best b")).to_have_text(sheet.digits[1])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


DISPATCH = """([type, data]) => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "seven.jpg", { type: "image/jpeg" }));
  const event = type === "paste" ? new ClipboardEvent(type, { clipboardData: transfer, bubbles: true })
                                 : new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_picture_can_be_pasted_and_dropped(page, way):
    page.evaluate(DISPATCH, [way, base64.b64encode(photo_of_seven()).decode()])
    expect_digit(page, 7)


def test_a_file_that_is_no_picture_is_named_and_explained(page):
    give(page, "letter.txt", b"Dear network", "text/plain")
    expect(page.locator("#say.problem")).to_contain_text("not a picture")
    expect(page.locator("#name")).to_have_text("letter.txt")
    expect(page.locator("#digit")).to_have_text("?")


def test_a_photo_without_a_digit_is_explained(page):
    give(page, "wall.png", encode_png(np.full((300, 300, 3), 200, np.uint8)))
    expect(page.locator("#say.problem")).to_be_visible()
    expect(page.locator("#digit")).to_have_text("?")


def test_a_service_that_went_away_is_reported(page, context):
    page.wait_for_load_state("networkidle")
    context.set_offline(True)
    draw(page, SEVEN)
    expect(page.locator("#say.problem")).to_contain_text("does not answer")
    context.set_offline(False)
    page.click("#clear")
    draw(page, SEVEN)
    expect_digit(page, 7)


def test_the_api_is_described_offline_too(page):
    page.click("text=API")
    expect(page.locator("article")).to_have_count(16)
    for path in ("/predict", "/read", "/sheet"):
        expect(page.locator("article", has_text=path).first).to_contain_text("multipart/form-data")


@pytest.mark.parametrize("context", [{"has_touch": True, "viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_photo_of_the_sheet_of_fifty_boxes_is_known_and_scored_beside_the_articles_network(page, filled_sheet):
    photo = io.BytesIO()
    Image.fromarray(filled_sheet).save(photo, "JPEG", quality=90)
    give(page, "sheet.jpg", photo.getvalue(), "image/jpeg")
    boxes = page.locator("#grades button")
    expect(boxes).to_have_count(50, timeout=30_000)
    score = re.fullmatch(r"The article.s network reads (\d+) of your 48, this one (\d+)\.", words_of(page))
    misread, baseline_misread = 48 - int(score[2]), 48 - int(score[1])
    assert baseline_misread > 8
    expect(page.locator("#say")).to_contain_text("2 boxes are empty")
    expect(page.locator("#grades .empty")).to_have_count(2)
    # What either misreads has both answers below it, and the wrong ones are marked.
    expect(page.locator("#grades .misread")).to_have_count(misread)
    expect(page.locator("#grades .wrong")).to_have_count(misread + baseline_misread)
    assert page.locator("#grades b").count() >= 2 * max(misread, baseline_misread)

    boxes.nth(0).tap()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(boxes.nth(11)).to_be_focused()
    expect(page.locator("#caption")).to_have_text(re.compile("^One, row 2: the article.s network says [0-9], this one"))
    expect(page.locator("#seen")).to_have_attribute("src", re.compile("^data:image/jpeg"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#clear")
    expect(boxes).to_have_count(0)
    draw(page, SEVEN)
    expect_digit(page, 7)


def words_of(page: Page) -> str:
    """What the page says, without the small print."""
    return page.evaluate("document.getElementById('say').firstChild.textContent")


def test_the_sheet_to_print_is_a_click_away(page):
    with page.expect_response("**/sheet.pdf") as answered:
        page.evaluate("fetch(document.querySelector('a[href=\"sheet.pdf\"]').href)")
    assert answered.value.headers["content-type"] == "application/pdf"


@pytest.mark.parametrize("context", [{"color_scheme": "dark"}], indirect=True)
def test_the_night_is_dark_and_the_ink_is_light(page):
    background, ink = (
        page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{name}")
        for selector, name in (("body", "backgroundColor"), ("#sheet", "color"))
    )
    assert max(eval(background.removeprefix("rgb"))) < 60 < 200 < min(eval(ink.removeprefix("rgb")))
    draw(page, SEVEN)
    expect_digit(page, 7)
