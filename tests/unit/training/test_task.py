"""Which group of workers trains which network, where several train side by side."""

from digits.config import RECIPES, DataConfig
from digits.training.runs import Run
from digits.training.task import Turns

NETWORKS = Run.of(RECIPES, (0,), DataConfig(), "fingerprint").networks


def test_each_group_takes_the_next_network_when_it_is_free():
    turns = Turns(NETWORKS)
    first, second, third = NETWORKS
    assert [turns.take(1, 0), turns.take(0, 0), turns.take(1, 1)] == [first, second, third]
    assert turns.take(0, 1) is None and turns.take(1, 2) is None


def test_workers_that_start_again_get_the_networks_of_their_group_again_and_no_others():
    turns = Turns(NETWORKS)
    taken = [turns.take(0, 0), turns.take(0, 1)]
    others = turns.take(1, 0)
    assert [turns.take(0, turn) for turn in (0, 1, 2)] == [*taken, None]
    assert turns.last_taken(0) == taken[1] and turns.last_taken(1) == others and turns.last_taken(2) is None
