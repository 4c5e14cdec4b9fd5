"""Where the shipped MNIST lies: a checkout has it, elsewhere the package digits-mnist does."""

import importlib.util
from pathlib import Path

from digits.errors import DataError

PACKAGE = "digits_mnist"
IN_CHECKOUT = Path(__file__).resolve().parents[2] / "mnist" / PACKAGE


def find_mnist() -> Path:
    """The folder of the shipped Parquet files; DataError where there is none.

    A checkout's own come first: Ray copies a submitted checkout to each node, and brings no packages.
    """
    if IN_CHECKOUT.is_dir():
        return IN_CHECKOUT
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError(
            "MNIST is not installed here",
            "the package digits-mnist, which comes with the extra train",
            "add it with: pip install 'digits[train]', or name digits of your own with --data",
        )
    return Path(spec.origin).parent
