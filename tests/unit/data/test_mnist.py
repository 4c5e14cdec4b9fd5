"""Where MNIST is looked for: in the checkout, then in its package; without either, what to do is said."""

import sys

import pytest

from digits.data import mnist
from digits.data.files import find_digits
from digits.errors import DataError


def test_a_checkout_has_its_own():
    assert len(list(mnist.find_mnist().glob("*.parquet"))) == 14
    assert mnist.find_mnist() == mnist.IN_CHECKOUT


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder where packages are found, with no checkout around it."""
    monkeypatch.setattr(mnist, "IN_CHECKOUT", tmp_path / "mnist" / "digits_mnist")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(path for path in sys.path if "site-packages" not in path)])
    return tmp_path


def test_elsewhere_its_package_is_taken(installed):
    (installed / mnist.PACKAGE).mkdir()
    (installed / mnist.PACKAGE / "__init__.py").touch()
    assert mnist.find_mnist() == installed / mnist.PACKAGE


@pytest.mark.parametrize("remains", [(), (mnist.PACKAGE,)])
def test_without_either_the_extra_is_named(installed, remains):
    """An uninstalled package may leave its folder behind."""
    for name in remains:
        (installed / name).mkdir()
    with pytest.raises(DataError, match="MNIST is not installed here") as refused:
        find_digits()
    assert "pip install 'digits[train]'" in refused.value.remedy and "--data" in refused.value.remedy
