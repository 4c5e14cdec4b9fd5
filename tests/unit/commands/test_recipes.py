"""Command lines of training and search: every part of a network and of its training, and what does not go together."""

import pytest
import tyro

from digits.commands.preparation import data_of
from digits.commands.training import TrainSettings, train
from digits.commands.tuning import TuneSettings
from digits.config import BASELINE, IMPROVED, RECIPES, Architecture, DataConfig, TrainingConfig
from digits.errors import ConfigurationError


def run_of(arguments):
    """The run that a command line of jobs/train.py asks for."""
    return tyro.cli(TrainSettings, args=arguments.split()).begin(DataConfig(), "fingerprint")


def network_of(arguments):
    """The one network of such a run."""
    (network,) = run_of(arguments).networks
    return network


def test_without_flags_the_recommended_recipe_is_trained():
    network = network_of("")
    assert network.recipe == RECIPES["recommended"]
    assert network.name == "recommended-seed0"


def test_every_part_of_a_network_can_be_set():
    network = network_of(
        "--filters 32 64 64 --dropouts 0.15 0.18 0.2 --dense-units 128 --dense-dropout 0.15 --pool-after 0 1"
    )
    assert network.recipe.architecture == IMPROVED
    assert network.recipe.training == RECIPES["recommended"].training


def test_what_is_left_out_stays_as_the_recipe_has_it_and_the_name_says_what_differs():
    first, second = run_of("--architecture both --dropouts 0.1 0 0.25").networks
    assert first.recipe.architecture == Architecture(filters=BASELINE.filters, dropouts=(0.1, 0, 0.25))
    assert first.recipe.training == RECIPES["baseline"].training
    assert first.name == "baseline-dropouts-0.1-0-0.25-seed0"
    assert second.name == "improved-dropouts-0.1-0-0.25-seed0"
    without_dense_layer = network_of("--architecture improved --dense-units 0 --dense-dropout 0 --seeds 3")
    assert without_dense_layer.recipe.architecture.dense_units is None
    assert without_dense_layer.name == "improved-dense-0-dense-dropout-0-seed3"
    without_pooling = network_of("--architecture baseline --filters 8 16 --dropouts 0 0 --pool-after")
    assert without_pooling.recipe.architecture.pool_after == ()
    assert without_pooling.name == "baseline-filters-8-16-dropouts-0-0-pool-none-seed0"
    assert network_of("--architecture baseline --filters 8 16 32").name == "baseline-seed0"


def test_every_part_of_a_training_can_be_set():
    network = network_of(
        "--architecture baseline --epochs 7 --learning-rate 0.01 --learning-rate-schedule cosine --batch-size 64"
        " --distort --clean-tail 0.5 --select-by photo_score --seeds 4"
    )
    assert network.recipe.training == TrainingConfig(
        epochs=7,
        learning_rate=0.01,
        learning_rate_schedule="cosine",
        global_batch_size=64,
        seed=4,
        distort=True,
        clean_tail=0.5,
        select_by="photo_score",
    )
    assert not network_of("--no-distort").recipe.training.distort


def test_every_part_of_the_data_can_be_set():
    arguments = "--data d --protocol literature --validation-fraction 0.3 --split-seed 5 --inverted-copies False"
    parsed = tyro.cli(TrainSettings, args=arguments.split())
    assert parsed.run.data.applied_to(DataConfig()) == DataConfig(
        path="d", protocol="literature", validation_fraction=0.3, split_seed=5, inverted_copies=False
    )


SCRIPTS = {
    TrainSettings: """--architecture both --epochs 1 --seeds 0 1 --learning-rate 0.001 --batch-size 32 --distort
        --num-workers 1 4 --on-demand-gpus --storage-path s --data d --protocol article --resume r""",
    TuneSettings: """--num-samples 3 --max-epochs 2 --reduction-factor 4 --train-images 100 --validation-images 40
        --workers-per-trial 1 --gpus-per-trial 0.25 --search-seed 0 --filters 8 128 --dropouts 0 0.5 --dense-units 0 256
        --dense-dropout 0 0.5 --learning-rate 3e-4 1e-2 --max-parameters 100000 --seeds 0 1 --epochs 1 --batch-size 20
        --distort True --num-workers 2 --storage-path s --data d --protocol literature --resume r""",
}
"""All flags that scripts could use before flags followed from dataclasses."""


@pytest.mark.parametrize("settings", SCRIPTS)
def test_flags_that_scripts_use_go_on_working(settings):
    parsed = tyro.cli(settings, args=SCRIPTS[settings].split())
    assert (parsed.run.storage_path, parsed.run.resume, parsed.run.data.given()["path"]) == ("s", "r", "d")
    assert parsed.run.seeds == (0, 1)
    assert parsed.training.given()["epochs"] == 1
    if settings is TrainSettings:
        assert parsed.begin(DataConfig(), "").networks[0].recipe.training.distort
        assert parsed.run.num_workers == (1, 4)
        assert tyro.cli(settings, args=["--no-distort", "--no-on-demand-gpus"]).no_distort
    else:
        search = parsed.begin(DataConfig(), "")
        assert {search.network(number).recipe.training.global_batch_size for number in range(3)} == {20}
        assert search.space.max_parameters == 100_000


MISTAKES = [
    ("--dropouts 0.1 0.1", "2 dropout rates for 5 convolutions"),
    ("--architecture baseline --dense-dropout 0.5", "without a dense layer"),
    ("--architecture improved --dense-units 0", "without a dense layer"),
    ("--architecture baseline --dropouts 0.1 0.1 1.5", "dropout rate = 1.5"),
    (
        "--architecture baseline --pool-after 0 1 2 --filters 8 8 8 8 --dropouts 0 0 0 0",
        "leave nothing of a 28x28 image",
    ),
    ("--architecture baseline --clean-tail 0.2", "no epoch is distorted"),
    ("--distort --no-distort", "one of them at most"),
    ("--validation-fraction 1", "validation fraction = 1"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES)
def test_what_does_not_go_together_is_one_message_before_ray_starts(arguments, words, refusal):
    assert words in refusal(TrainSettings, train, arguments.split())


@pytest.mark.parametrize(
    ("settings", "flags", "told"),
    [
        (TrainSettings, "--architecture baseline --distortion 1.7", "distortion = 1.7 where no epoch is distorted"),
        (TrainSettings, "--no-distort --distortion 1", "distortion = 1 where no epoch is distorted"),
        (TrainSettings, "--architecture baseline --outliers 0.1", "outliers = 0.1 where no epoch is distorted"),
        (TuneSettings, "--distort False --clean-tail 0.5", "clean tail = 0.5 where no epoch is distorted"),
        (TuneSettings, "--workers-per-trial 2 --gpus-per-trial 0.5", "--gpus-per-trial 0.5 for trials of 2 workers"),
    ],
)
def test_a_setting_without_effect_is_refused(settings, flags, told):
    with pytest.raises(ConfigurationError, match=told):
        tyro.cli(settings, args=flags.split()).begin(DataConfig(), "fingerprint")


@pytest.mark.parametrize("flags", ["--validation-fraction 0.5", "--split-seed 3 --validation-fraction 0.2"])
def test_a_split_by_chance_cannot_be_set_where_files_say_which_digits_validate(flags):
    data = tyro.cli(TrainSettings, args=f"--protocol literature {flags}".split()).run.data
    with pytest.raises(ConfigurationError, match=f"{flags.split()[0]} .* under the protocol literature"):
        data_of(data)
    assert data_of(tyro.cli(TrainSettings, args=flags.split()).run.data).protocol == "article"
