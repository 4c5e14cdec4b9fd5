"""The shipped reader, and digits that neither it nor its thresholds have seen."""

import pytest

from digits.reading.networks import shipped


@pytest.fixture(scope="module")
def reader():
    return shipped().reader


@pytest.fixture(scope="module")
def digits(read_mnist):
    return read_mnist("train-11-of-12")
