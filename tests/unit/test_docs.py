"""The documents keep to the code: links, anchors, paths, symbols, flags, keys, figures and pictures."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.unit.pages import (
    DOCS,
    PAGES,
    ROOT,
    SOURCES,
    anchors_of,
    blocks_of,
    fields_of,
    keys_in,
    name_of,
    prose_of,
    rows_of,
    section_of,
    spans_of,
    symbols_of,
    text_of,
)

JOB_NAMES = (
    *(
        "train",
        "train_reader",
        "tune",
        "read",
        "evaluate",
        "choose",
        "pack",
        "check",
        "benchmark",
        "load_test",
        "scale",
    ),
    "make_shards",
    "make_sheet",
)
JOBS = [f"jobs/{name}.py" for name in JOB_NAMES]
FOREIGN_FLAGS = {
    *("--constraint", "--cpus", "--dashboard-agent-listen-port", "--help", "--logdir", "--working-dir"),
}
"""Flags of other programs that the text, outside blocks of commands, mentions."""
FIGURE = re.compile(r"\d[\d.,]*( (times|ms|s|MB|GB|images/s)| ?%|/s)(?![\w-])")
"""A figure with a unit, as measurements have."""


def load_script(name: str) -> ModuleType:
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, DOCS / name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def flags() -> ModuleType:
    return load_script("flags.py")


@pytest.fixture(scope="module")
def flags_by_job(flags) -> dict[str, set[str]]:
    return {job: {name for flag in flags.flags_of(job) for name in flag.option_strings} for job in JOBS}


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def test_the_readme_is_short_and_each_subject_has_a_page_that_it_links_to():
    assert len(text_of(ROOT / "README.md").splitlines()) <= 150
    expected = {"why", "results", "training", "search", "serving", "cluster", "performance", "architecture", "log"}
    subjects = {page.stem for page in DOCS.glob("*.md")}
    assert expected <= subjects
    for subject in subjects:
        assert f"(docs/{subject}.md)" in text_of(ROOT / "README.md")


@every_page
def test_every_link_and_anchor_resolves(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose_of(page)) + re.findall(r'src="([^"]+)"', prose_of(page))
    for target in targets:
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name_of(page)} links to {target}, which does not exist"
        assert not anchor or anchor in anchors_of(file), f"{name_of(page)} links to {target}: no such heading"


@every_page
def test_headings_of_a_page_differ(page):
    assert len(anchors_of(page)) == len(set(anchors_of(page)))


@every_page
def test_every_path_that_a_page_names_exists(page):
    folders = ("digits/", "jobs/", "serve/", "tests/", "docs/", "kuberay/", ".ci/")
    for span in spans_of(page):
        if span.startswith(folders) and re.fullmatch(r"[\w./-]+", span):
            assert (ROOT / span).exists(), f"{name_of(page)} names {span}"


@every_page
def test_every_symbol_that_a_page_places_in_a_file_is_there(page):
    for symbol, path in re.findall(r"`(\w+)` in `([\w/.]+\.\w+)`", prose_of(page)):
        assert symbol in symbols_of(ROOT / path), f"{name_of(page)} says that {symbol} is in {path}"


def test_what_to_open_for_a_change_exists_with_its_symbols():
    rows = rows_of(section_of(DOCS / "architecture.md", "to-change-something-open"))
    assert len(rows) >= 20
    for change, where, symbols in rows:
        for path in re.findall(r"`([^`]+)`", where):
            assert (ROOT / path).is_file(), f"{change}: {path} does not exist"
            for symbol in re.findall(r"`([^`]+)`", symbols):
                assert symbol in symbols_of(ROOT / path), f"{change}: {symbol} is not in {path}"


def test_maps_name_folders_and_files_that_exist_with_a_comment_each():
    for page in (ROOT / "README.md", DOCS / "architecture.md"):
        (block,) = [block for block in blocks_of(page) if block.startswith("digits/ ")]
        folders: dict[int, Path] = {}
        for line in block.splitlines():
            indent, name, comment = re.fullmatch(r"( *)([\w./]+) {2,}(\S.*)", line).groups()
            parents = [depth for depth in folders if depth < len(indent)]
            path = (folders[max(parents)] if parents else ROOT) / name
            assert path.exists() and comment, f"{name_of(page)}: {line}"
            folders = {depth: folder for depth, folder in folders.items() if depth < len(indent)} | {len(indent): path}


def test_the_map_of_the_architecture_names_every_package_and_module():
    (block,) = [block for block in blocks_of(DOCS / "architecture.md") if block.startswith("digits/ ")]
    named = set(re.findall(r"[\w.]+", block))
    for path in (ROOT / "digits").rglob("*.py"):
        if path.name != "__init__.py" and path.parent.name != "sides":
            assert path.name in named, f"{name_of(path)} is missing on the map"


def test_the_order_of_imports_is_the_one_that_is_tested():
    tree = ast.parse(text_of(ROOT / "tests" / "unit" / "test_architecture.py"))
    (order,) = [ast.literal_eval(node.value) for node in tree.body if ast.unparse(node).startswith("ORDER:")]
    tested = [[room.removeprefix("digits.") for room in floor] for floor in order if floor != ("digits",)]
    (block,) = [block for block in blocks_of(DOCS / "architecture.md") if block.startswith("errors") and " < " in block]
    assert [sorted(re.findall(r"\w+", floor)) for floor in block.split("<")] == [sorted(floor) for floor in tested]


def test_the_glossary_gives_each_word_once():
    words = [row[0] for row in rows_of(section_of(DOCS / "architecture.md", "glossary"))]
    assert len(words) >= 20 and len(words) == len(set(words))


@pytest.mark.parametrize(
    ("anchor", "text"),
    [
        ("docs/training.md#set-the-parts-of-a-network", "--dropouts"),
        ("docs/evaluation.md#how-preparation-works", "prepare_photo"),
        ("docs/evaluation.md#add-a-corruption", "FAMILIES"),
        ("docs/serving.md#deploy-to-a-running-cluster", "serve deploy serve/config.yaml"),
    ],
    ids=["a dropout rate", "a photo becomes 28x28", "a corruption", "a running cluster"],
)
def test_a_newcomer_finds_in_one_click(anchor, text):
    assert f"({anchor})" in text_of(ROOT / "README.md")
    page, _, heading = anchor.partition("#")
    assert text in section_of(ROOT / page, heading)


def test_every_flag_of_every_job_has_its_row_as_the_job_describes_it(flags):
    tables = [job for page in PAGES for _, job, _ in flags.TABLE.findall(text_of(page))]
    assert sorted(tables) == sorted(JOBS)
    for page in PAGES:
        assert flags.updated(text_of(page)) == text_of(page), f"{name_of(page)}: run python docs/flags.py"


@every_page
def test_commands_use_flags_that_their_job_has(page, flags_by_job):
    for block in blocks_of(page):
        for line in block.replace("\\\n", " ").splitlines():
            job = re.search(r"\bjobs/\w+\.py", line)
            if job and job[0] in flags_by_job:
                used = set(re.findall(r"(?<!\S)--[a-z][\w-]*", line[job.end() :].partition("#")[0]))
                assert used <= flags_by_job[job[0]], f"{name_of(page)}: {line}"


@every_page
def test_jobs_are_submitted_in_a_way_that_needs_no_permission_to_run_a_file(page):
    """But for one line, which shows that it works where files keep that permission."""
    lines = [line for text in (*blocks_of(page), *spans_of(page)) for line in text.splitlines()]
    submitted = [line for line in lines if "ray job submit" in line and "jobs/" in line]
    bare = [line for line in submitted if not re.search(r" -- python jobs/\w+\.py", line)]
    assert [line.partition("#")[0].strip() for line in bare] == (
        ["ray job submit jobs/tune.py"] if page.name == "cluster.md" else []
    )


def test_no_checkout_ends_the_lines_of_a_program_as_windows_does():
    scripts = ["jobs/train.py", "Makefile", "kuberay/Dockerfile", "cluster.yaml", ".ci/run"]
    command = ["git", "-c", "core.autocrlf=true", "check-attr", "eol", "--", *scripts]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == [f"{script}: eol: lf" for script in scripts]


@every_page
def test_flags_that_the_text_names_exist(page, flags_by_job):
    known = set().union(*flags_by_job.values()) | FOREIGN_FLAGS
    named = {flag for span in spans_of(page) for flag in re.findall(r"(?<!\S)--[a-z][\w-]*", span)}
    assert named <= known


def test_settings_of_the_service_that_a_page_names_exist_and_all_of_args_are_named():
    config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text(encoding="utf-8"))
    of_args = fields_of("Arguments") | fields_of("Limits")
    sources = " ".join(path.read_text(encoding="utf-8") for path in SOURCES)
    for span in spans_of(DOCS / "serving.md"):
        key = re.match(r"[a-z]+(?:_[a-z]+)+(?=$|:)", span)
        if key and "digits_" in key[0]:
            assert f'"{key[0].removeprefix("ray_").removesuffix("_total")}"' in sources, f"no metric {key[0]}"
        elif key:
            known = key[0] in keys_in(config) | of_args or f'"{key[0]}"' in sources  # or the reason of a refusal
            assert known, f"{key[0]} is no setting of the service"
    assert of_args <= {word for span in spans_of(DOCS / "serving.md") for word in re.findall(r"\w+", span)}


@every_page
def test_every_make_target_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([\w-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    text = "\n".join([*blocks_of(page), *spans_of(page)])
    assert set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE)) <= targets


def test_a_measured_mean_stands_on_one_page_but_for_the_table_of_the_readme():
    places: dict[str, set[str]] = {}
    for page in PAGES[1:]:
        for figure in re.findall(r"\d[\d.]* ± \d[\d.]*", text_of(page)):
            places.setdefault(figure, set()).add(name_of(page))
    assert {figure: pages for figure, pages in places.items() if len(pages) > 1} == {}
    rows = [row for row in text_of(ROOT / "README.md").splitlines() if row.startswith("|") and "±" in row]
    assert rows and set(rows) <= set(text_of(DOCS / "results.md").splitlines())


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_the_head_of_a_module_holds_no_measured_figure(path):
    head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert not (found := FIGURE.search(head)), f"{found[0]}: put it into docs/ and point there"


def test_code_points_to_pages_and_headings_that_exist():
    files = [*SOURCES, ROOT / "cluster.yaml", *(ROOT / "kuberay").iterdir(), ROOT / "serve" / "config.yaml"]
    pointers = [
        pointer for path in files for pointer in re.findall(r"(docs/\w+\.md)(?:, \"([^\"]+)\")?", text_of(path))
    ]
    assert pointers
    for page, heading in pointers:
        assert (ROOT / page).is_file(), page
        assert not heading or f" {heading}\n" in text_of(ROOT / page), f"{page} has no heading {heading}"


def test_pictures_without_a_network_are_drawn_by_their_script(tmp_path):
    load_script("pictures/draw.py").main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"photo_to_28x28.png", "distorted.png", "sheet.png"}
    for drawn in tmp_path.iterdir():
        with Image.open(drawn) as new, Image.open(DOCS / "pictures" / drawn.name) as shown:
            assert new.size == shown.size
            pixels = [np.asarray(image.convert("L"), float) for image in (new, shown)]
        assert np.abs(pixels[0] - pixels[1]).mean() < 1, f"{drawn.name}: run python docs/pictures/draw.py"


def test_every_picture_is_shown_on_a_page():
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^]]+\]\(([^)]+)\)", text_of(page)) + re.findall(r'src="([^"]+)"', text_of(page))
    }
    assert set((DOCS / "pictures").glob("*.png")) == shown
