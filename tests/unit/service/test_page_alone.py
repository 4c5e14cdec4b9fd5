"""The page in a browser without a service: what it does with answers that no service of ours gives."""

import json
import shutil

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from digits.service.api import STATIC
from tests.unit.service.pictures import SEVEN

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ADDRESS = "http://digits.test/"
DIGIT = {"digit": 7, "confidence": 0.99, "probabilities": [0.0] * 7 + [1.0, 0.0, 0.0], "box": [0, 0, 1, 1]}
READ = {"text": "7", "numbers": ["7"], "digits": [DIGIT], "rotation": 0, "model": "ours"}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the chromium of the system's package manager")


class Answers:
    """Plays the service: the page, and whatever else it is to answer."""

    def __init__(self):
        self.status, self.body = 200, json.dumps(READ)

    def __call__(self, route: Route) -> None:
        if route.request.method == "GET":
            route.fulfill(status=200, content_type="text/html", body=(STATIC / "index.html").read_text("utf-8"))
        else:
            route.fulfill(status=self.status, body=self.body)


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def page(answers):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.route("**/*", answers)
        page.goto(ADDRESS)
        yield page
        browser.close()


def give(page: Page) -> None:
    page.set_input_files("#file", files=[{"name": "seven.png", "mimeType": "image/png", "buffer": SEVEN}])


def test_an_answer_that_is_not_json_is_told_and_the_next_picture_is_read(page, answers):
    answers.body = "<html>Please sign in.</html>"
    give(page)
    expect(page.locator("#say")).to_contain_text("Something else than the service answered.")
    expect(page.locator("#say")).to_contain_text("choose the picture again")
    answers.body = json.dumps(READ)
    give(page)
    expect(page.locator("#say")).to_contain_text("seven")


def test_an_answer_of_another_form_does_not_keep_the_page_from_asking_again(page, answers):
    answers.body = "null"
    with page.expect_event("pageerror"):
        give(page)
    answers.body = json.dumps(READ)
    give(page)
    expect(page.locator("#say")).to_contain_text("seven")


@pytest.mark.parametrize("status", [500, 502])
def test_an_error_that_is_not_json_is_told(page, answers, status):
    answers.status, answers.body = status, "Bad Gateway"
    give(page)
    expect(page.locator("#say")).to_contain_text("The service cannot answer.")
