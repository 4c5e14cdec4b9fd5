"""Batches: every digit once an epoch, the same batches for any number of workers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.data.batches import Columns


def global_batches(num_groups, group_size, batch_size, world_size, seed=0, epoch=0):
    """The set of rows of each global batch, from what every worker would train on."""
    batches = None
    for rank in range(world_size):
        columns = Columns(
            num_groups=num_groups, group_size=group_size, global_batch_size=batch_size, rank=rank, world_size=world_size
        )
        order = columns.order(seed, epoch)
        first = columns.owned_groups.start * group_size
        rows = [[first + row for row in step if row >= 0] for step in order]
        batches = rows if batches is None else [a + b for a, b in zip(batches, rows, strict=True)]
    return [sorted(batch) for batch in batches]


@given(
    num_groups=st.integers(1, 60),
    group_size=st.sampled_from([1, 2]),
    batch_size=st.integers(1, 40),
    world_size=st.integers(1, 5),
)
def test_every_row_is_in_exactly_one_batch_of_an_epoch(num_groups, group_size, batch_size, world_size):
    batches = global_batches(num_groups, group_size, batch_size, world_size)
    assert sorted(row for batch in batches for row in batch) == list(range(num_groups * group_size))
    sizes = Columns(num_groups=num_groups, group_size=group_size, global_batch_size=batch_size).batch_sizes()
    assert [len(batch) for batch in batches] == sizes.tolist()


@given(num_groups=st.integers(1, 60), batch_size=st.integers(1, 40), world_size=st.integers(2, 5))
def test_any_number_of_workers_sees_the_same_batches(num_groups, batch_size, world_size):
    assert global_batches(num_groups, 2, batch_size, world_size) == global_batches(num_groups, 2, batch_size, 1)


def test_epochs_and_seeds_differ_and_repeat():
    columns = Columns(num_groups=500, group_size=2, global_batch_size=16)
    assert not np.array_equal(columns.order(0, 0), columns.order(0, 1))
    assert not np.array_equal(columns.order(0, 0), columns.order(1, 0))
    assert np.array_equal(columns.order(3, 7), columns.order(3, 7))


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_workers_hold_contiguous_parts_that_cover_all_data(world_size):
    parts = [
        Columns(num_groups=100, group_size=2, global_batch_size=8, rank=rank, world_size=world_size).owned_groups
        for rank in range(world_size)
    ]
    assert [group for part in parts for group in part] == list(range(100))


def test_a_worker_without_a_column_has_no_rows():
    columns = Columns(num_groups=10, group_size=2, global_batch_size=1, rank=0, world_size=2)
    assert len(columns.owned_groups) == 0
    order = columns.order(0, 0)
    assert order.shape == (20, 1)
    assert (order == -1).all()


def test_a_worker_owns_its_part_of_the_columns_of_all_digits():
    columns = Columns.of(100, 8, inverted_copies=True)
    assert (columns.num_groups, columns.group_size, columns.global_batch_size) == (100, 2, 8)
    assert list(columns.owned) == list(range(8))
    assert [list(columns.of_worker(rank, 2).owned) for rank in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert Columns.of(100, 8, inverted_copies=False).group_size == 1
