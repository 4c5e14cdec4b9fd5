"""What `pip install` brings: reading needs four packages; each extra adds what its commands need, and no more."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.images import encode_png
from tests.end_to_end.faults import ROOT
from tests.end_to_end.ports import free_ports
from tests.end_to_end.serve_cluster import get_json, wait_for

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LIGHT_MB = 400
"""What `pip install .` may take in an empty environment."""
NOT_FOR_READING = ("onnx", "pyarrow", "matplotlib", "ray", "tensorflow", "keras", "rich", "tyro")
TWO_LINES = "from digits import read; print(read('page.png').text)"


def interpreters() -> tuple[str, str]:
    """The oldest and the newest Python at hand among those that digits runs on."""
    found = [sys.executable]
    for minor in (11, 12, 13):
        installed = sorted((Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python"))
        found += [path for path in (shutil.which(f"python3.{minor}"), *map(str, installed)) if path and runs(path)]
    found.sort(key=lambda path: runs(path))
    return found[0], found[-1]


def runs(python):
    """The version of an interpreter, such as (3, 13); empty for a name behind which there is none."""
    done = subprocess.run([python, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else 0


@pytest.fixture(scope="module")
def page(read_mnist):
    return simulated_page(*read_mnist("train-11-of-12"), np.random.default_rng((77, 0)), PLAIN)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    (file,) = folder.glob("*.whl")
    return file


def pip(*arguments, python=sys.executable):
    done = subprocess.run(
        [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def environment(python, folder, *requirements):
    """The interpreter of a new environment with some requirements in it."""
    subprocess.run([python, "-m", "venv", "--upgrade-deps", folder], check=True, timeout=120)
    inside = folder / "bin" / "python"
    pip("install", *requirements, python=inside)
    return inside


def outside(folder):
    """Environment variables of a process that must not find the checkout, nor a key or cluster of ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "RAY_"))}
    return {**kept, "HOME": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}


def megabytes(folder):
    """What an environment takes, pip and its kin apart."""
    tools = {"pip", "setuptools", "pkg_resources"}
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if not tools & set(path.parts)) / 1e6


def lowest(requirement):
    """The oldest versions that a range allows: numpy>=2.0,<3 -> numpy==2.0.*"""
    name, version = re.fullmatch(r"([\w-]+)>=([\d.]+),?.*", requirement).groups()
    return f"{name}=={version}.*"


@pytest.mark.slow
@pytest.mark.parametrize("age", ["oldest", pytest.param("newest", marks=pytest.mark.long)])
def test_two_lines_of_python_read_where_only_the_wheel_was_installed(age, wheel, page, tmp_path):
    """The oldest Python with the oldest packages that are allowed, and the newest with the newest."""
    old, new = interpreters()
    oldest = [lowest(requirement) for requirement in PROJECT["dependencies"]]
    python = environment(
        *((old, tmp_path / "env", wheel, *oldest) if age == "oldest" else (new, tmp_path / "env", wheel))
    )
    assert megabytes(tmp_path / "env") < LIGHT_MB
    (tmp_path / "page.png").write_bytes(encode_png(page.picture))
    (tmp_path / "empty").mkdir()
    for command in (
        [python, "-c", TWO_LINES.replace("page", "../page")],
        [python.with_name("digits"), "read", "../page.png"],
    ):
        done = subprocess.run(
            command, cwd=tmp_path / "empty", env=outside(tmp_path), capture_output=True, text=True, timeout=60
        )
        read = re.sub(r"^.*png: ", "", done.stdout).replace(" ", "").replace("|", "\n").split()
        assert read == list(page.lines), done.stderr
    installed = json.loads(subprocess.check_output([python, "-m", "pip", "list", "--format", "json"], timeout=60))
    assert not {package["name"].lower() for package in installed} & {*NOT_FOR_READING, "digits-mnist"}
    assert not list((tmp_path / "env").rglob("*.parquet"))


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"digits"}
    assert "digits/service/config.yaml" in names and "digits/shipped/grey.onnx" in names
    assert not [name for name in names if name.endswith(".parquet")]


def test_a_wheel_takes_mnist_from_its_checkout_or_from_where_its_builder_says(tmp_path):
    def place_of_mnist(**environment):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            pip("wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT)
        (file,) = tmp_path.glob("digits-*.whl")
        (name,) = (name for name in zipfile.ZipFile(file).namelist() if name.endswith("/METADATA"))
        lines = zipfile.ZipFile(file).read(name).decode().splitlines()
        (place,) = {line.split(" @ ")[1].split(" ;")[0] for line in lines if "digits-mnist @" in line}
        return place

    assert place_of_mnist() == (ROOT / "mnist").as_uri()
    elsewhere = "https://files.example.org/digits_mnist-1.0.0-py3-none-any.whl"
    assert place_of_mnist(DIGITS_MNIST=elsewhere) == elsewhere


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_an_installed_wheel_trains_and_serves_from_an_empty_folder(wheel, tmp_path):
    """First what serves, which brings no TensorFlow, then what trains, into the same environment."""
    pins = ("--constraint", ROOT / "constraints.txt")
    python = environment(interpreters()[0], tmp_path / "env", *pins, f"{wheel}[serve]")
    assert not list((tmp_path / "env").rglob("site-packages/tensorflow"))
    (tmp_path / "empty").mkdir()
    command, port = python.with_name("digits"), free_ports(1)[0]
    where = {"cwd": tmp_path / "empty", "env": outside(tmp_path)}
    with subprocess.Popen([command, "serve", f"port={port}"], **where) as service:
        try:
            model = wait_for(lambda: get_json(f"http://127.0.0.1:{port}/model"), "the service")
        finally:
            service.terminate()
    assert model["name"] == "recommended-seed0"
    told = subprocess.run([command, "train", "--epochs", "1"], **where, capture_output=True, text=True, timeout=60)
    assert told.returncode == 2 and "pip install 'digits[train]'" in told.stderr
    pip("install", *pins, f"{wheel}[train]", python=python)
    train = [command, "train", "--architecture", "baseline", "--epochs", "1"]
    trained = subprocess.run(train, **where, capture_output=True, text=True, timeout=600)
    assert trained.returncode == 0, trained.stderr[-2000:]
    assert Path(json.loads(trained.stdout.splitlines()[-1])["runs"][0]["checkpoint"]).parts[-3] == "runs"


def lines_that_install():
    """Each `digits[...]` or `.[...]` that a file tells somebody or something to install: file, extras."""
    pages = (path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md"))
    for name in ("README.md", "cluster.yaml", "kuberay/Dockerfile", *pages):
        text = (ROOT / name).read_text(encoding="utf-8")
        yield from ((name, found) for found in re.findall(r"(?:digits|\.)\[([a-z,]+)\]", text))
        yield from ((name, found) for found in re.findall(r"EXTRAS=([a-z,]+)", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    yield from (("Makefile", found) for found in re.findall(r"\.venv/(\w+)(?=.*: pyproject.toml)", makefile))


def test_every_extra_that_is_told_to_be_installed_exists():
    named = [(name, extra) for name, extras in lines_that_install() for extra in extras.split(",")]
    assert {"Makefile", "cluster.yaml", "kuberay/Dockerfile"} <= {name for name, _ in named}
    assert {extra for _, extra in named} <= set(EXTRAS)


@pytest.mark.long
@pytest.mark.parametrize("extras", sorted({extras for _, extras in lines_that_install()}))
def test_the_extras_that_are_named_together_can_be_installed_together(extras):
    """Resolved with the project's own pins; nothing is downloaded but what packages say of themselves."""
    pip("install", "--dry-run", "--ignore-installed", "--constraint", ROOT / "constraints.txt", f"{ROOT}[{extras}]")


def test_reading_imports_neither_what_trains_nor_what_serves(page, tmp_path):
    """As where those packages are not installed: in a process that cannot import them."""
    (tmp_path / "page.png").write_bytes(encode_png(page.picture))
    blocked = f"import sys; sys.modules.update(dict.fromkeys({NOT_FOR_READING!r}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked}; {TWO_LINES}"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.replace(" ", "").split() == list(page.lines), done.stderr
