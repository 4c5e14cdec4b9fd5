"""Which run a job begins or goes on with: by --resume, by --run-name, and never with other settings than its own."""

import json

import numpy as np
import pytest
import tyro

from digits.commands.preparation import prepare
from digits.commands.reader.training import TrainReaderSettings, workers_for
from digits.commands.reader.training import prepare as prepare_reader
from digits.commands.training import TrainSettings
from digits.commands.tuning import TuneSettings, TuningFlags
from digits.data import files
from digits.data.files import find_digits
from digits.data.shards import write_shards
from digits.errors import ConfigurationError
from digits.lease import Lease
from digits.storage import Storage
from digits.training.reader.run import epoch_name
from digits.training.runs import Run
from digits.tuning.searches import Search

TRAIN = "--architecture baseline --epochs 3 --seeds 0 1"
TUNE = "--num-samples 3 --max-epochs 4 --filters 8 16"


@pytest.fixture
def job(tiny_mnist, tmp_path):
    """What a command line, such as train --epochs 3, prepares, on few digits; `begin` also notes it in its folder."""

    def prepared(line, *, begin=False, data=tiny_mnist):
        name, _, flags = line.partition(" ")
        kind, settings = {"train": (Run, TrainSettings), "tune": (Search, TuneSettings)}[name]
        where = ["--storage-path", str(tmp_path), *(["--data", data] if data else [])]
        options = tyro.cli(settings, args=[*flags.split(), *where])
        found = prepare(options.run, kind, begin=options.begin, given=options.given(), name=name)
        if begin:
            found.work.write(found.run_dir)
        return found

    return prepared


@pytest.mark.parametrize("line", [f"train {TRAIN}", f"tune {TUNE}"])
def test_what_goes_on_keeps_its_settings_whether_they_are_given_again_or_left_out(job, line):
    begun = job(line, begin=True)
    left_out = job(f"{line.split()[0]} --resume {begun.run_dir.name}", data=None)
    given_again = job(f"{line} --resume {begun.run_dir.name} --num-workers 2")
    for found in (left_out, given_again):
        assert (found.work, found.run_dir) == (begun.work, begun.run_dir)


@pytest.mark.parametrize(
    ("line", "flags", "named"),
    [
        (f"train {TRAIN}", "--architecture baseline --epochs 8 --seeds 0 1", ["--epochs 3 and not 8"]),
        (f"train {TRAIN}", TRAIN + " --batch-size 64", ["--batch-size 32 and not 64"]),
        (f"train {TRAIN}", "--architecture baseline --epochs 3 --seeds 2", ["--seeds 0, 1 and not 2"]),
        (
            f"train {TRAIN}",
            TRAIN + " --filters 4 4 4",
            ["--filters 8 16 32 and not 4 4 4", "--architecture baseline and"],
        ),
        (f"tune {TUNE}", "--num-samples 40 --max-epochs 5 --filters 8 16", ["--max-epochs 4 and not 5"]),
        (f"tune {TUNE}", "--num-samples 40 --batch-size 64", ["--batch-size 64 128 256", "--filters 8 16 and not"]),
    ],
)
@pytest.mark.parametrize("flag", ["--resume", "--run-name"])
def test_other_settings_are_refused_by_their_flags(job, line, flags, named, flag):
    name = line.split()[0]
    job(f"{line} --run-name mine", begin=True)
    with pytest.raises(ConfigurationError) as refused:
        job(f"{name} {flags} {flag} mine")
    for words in named:
        assert words in refused.value.happened
    assert "--data" not in refused.value.happened
    assert flag in refused.value.remedy


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        (f"train {TRAIN}", "--seeds 0"),
        (f"train {TRAIN}", "--architecture recommended"),
        ("train --epochs 30 --learning-rate 0.01", "--epochs 14 --learning-rate 0.003"),
        ("train --distort --architecture baseline", "--architecture baseline"),
        ("tune --max-epochs 4 --seeds 0 1", "--seeds 0"),
        ("tune --max-epochs 4", "--max-epochs 12"),
    ],
)
def test_settings_that_are_named_count_even_where_they_are_the_defaults(job, line, flags):
    begun = job(line, begin=True)
    with pytest.raises(ConfigurationError, match="was begun with other settings"):
        job(f"{line.split()[0]} {flags} --resume {begun.run_dir.name}")


def test_what_differs_is_named_and_nothing_else_whatever_the_number_of_networks(job):
    begun = job("train --architecture both --seeds 1 2", begin=True)
    with pytest.raises(ConfigurationError) as refused:
        job(f"train --architecture both --seeds 1 --epochs 7 --resume {begun.run_dir.name}")
    told = refused.value.happened.partition(": ")[2].split("; ")
    assert told == ["--epochs 5, 4 and not 7", "--seeds 1, 2 and not 1"]


@pytest.mark.parametrize("flags", ["--num-samples 40", f"{TUNE} --num-samples 40"])
def test_a_search_goes_on_where_it_is_to_be_longer_whatever_else_it_was_begun_with(job, flags):
    begun = job(f"tune {TUNE}", begin=True)
    longer = job(f"tune --resume {begun.run_dir.name} {flags}")
    assert longer.work == begun.work
    extended = TuneSettings(tuning=TuningFlags(num_samples=40)).extended(longer.work)
    assert extended.candidates[:3] == begun.work.candidates and len(extended.candidates) == 40
    extended.write(begun.run_dir)
    assert job(f"tune --resume {begun.run_dir.name}").work == extended


def test_a_run_name_begins_a_run_and_then_goes_on_with_it(job, tmp_path):
    first = job(f"train {TRAIN} --run-name mine", begin=True)
    assert first.run_dir == Storage.open(tmp_path) / "mine"
    again = job(f"train {TRAIN} --run-name mine")
    assert (again.run_dir, again.work) == (first.run_dir, first.work)
    # The same words that begin it are what describes it: none are not enough.
    with pytest.raises(ConfigurationError, match="--architecture baseline and not recommended"):
        job("train --run-name mine")


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "s3://bucket", "-x", "two words", "registry"])
def test_a_name_that_is_no_folder_is_refused(job, tmp_path, name):
    options = TrainSettings()
    object.__setattr__(options.run, "run_name", name)
    object.__setattr__(options.run, "storage_path", str(tmp_path))
    with pytest.raises(ConfigurationError, match="--run-name"):
        prepare(options.run, Run, begin=options.begin, given=True, name="train")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_no_run_and_one_that_a_job_left_before_it_began_is(job, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "7_a.png").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"it holds 7_a\.png and no run\.json"):
        job("train --run-name photos")
    job(f"tune {TUNE} --run-name search", begin=True)
    with pytest.raises(ConfigurationError, match=r"it holds search\.json"):
        job(f"train {TRAIN} --run-name search")
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "job.json").write_bytes(b"")
    (tmp_path / "early" / "run.json.0f.tmp").write_bytes(b"")
    assert job(f"train {TRAIN} --run-name early").run_dir.name == "early"


def test_resume_and_run_name_do_not_go_together(job):
    with pytest.raises(ConfigurationError, match="--resume and --run-name"):
        job("train --resume a --run-name b")


@pytest.mark.parametrize("flag", ["--run-name", "--resume"])
def test_a_run_on_which_a_job_works_is_refused_to_a_second_one_before_ray_starts(job, flag):
    first = job(f"train {TRAIN} --run-name mine", begin=True)
    with Lease(first.run_dir, tell=print), pytest.raises(ConfigurationError, match="is in use"):
        job(f"train {TRAIN} {flag} mine").lease.__enter__()
    with job(f"train {TRAIN} {flag} mine").lease:
        pass


def test_the_reader_goes_on_with_more_epochs_and_refuses_other_settings(tmp_path):
    def reader(flags):
        return prepare_reader(tyro.cli(TrainReaderSettings, args=[*flags.split(), "--storage-path", str(tmp_path)]))

    run, run_dir, _ = reader("--squares-per-epoch 80 --epochs 2 --run-name mine")
    run.write(run_dir)
    for flags in ("--squares-per-epoch 80 --epochs 2 --run-name mine", "--resume mine"):
        again, folder, _ = reader(flags)
        assert (again.training, folder) == (run.training, run_dir)
    assert reader("--resume mine --epochs 5")[0].training.epochs == 5
    for flags in ("--resume mine --learning-rate 0.01", "--run-name mine --squares-per-epoch 80 --learning-rate 0.01"):
        with pytest.raises(ConfigurationError, match=r"--learning-rate 0\.003 and not 0\.01"):
            reader(flags)


@pytest.fixture
def own_digits(tmp_path, read_mnist, monkeypatch):
    """Two folders of digits, mine and more, in the folder that commands are typed in; mnist names a third one."""
    images, labels = read_mnist("train-00-of-12")
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("mine", "more", "shipped")):
        (tmp_path / name).mkdir()
        rows = slice(600 + 60 * number, 660 + 60 * number)
        write_shards(images[rows], labels[rows], tmp_path / name, "train")
    monkeypatch.setattr(files, "find_mnist", lambda: tmp_path / "shipped")
    return tmp_path


def test_a_mixture_is_noted_with_its_sources_weights_and_fingerprints_and_goes_on_anywhere(
    job, own_digits, monkeypatch, tmp_path_factory
):
    begun = job("train --data mine mnist --weights 1 3 --run-name mixed", begin=True, data=None)
    noted = json.loads((begun.run_dir / "run.json").read_bytes())
    assert noted["data"]["path"] == [str(own_digits / "mine"), "mnist"] and noted["data"]["weights"] == [1, 3]
    parts = [find_digits(name).fingerprint for name in ("mine", "mnist")]
    assert noted["fingerprint"] == "+".join(parts)
    assert [each.drawn for each in begun.split.training().stretches] == [24, 72]
    again = job("train --data mine mnist --weights 1 3 --run-name mixed", data=None)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    resumed = job("train --resume mixed", data=None)
    for found in (again, resumed):
        assert found.work == begun.work
        np.testing.assert_array_equal(found.split.training().rows, begun.split.training().rows)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--data mine mnist --weights 1 2", "--weights 1.0 3.0 and not 1.0 2.0"),
        ("--data mnist mine --weights 1 3", "mine mnist and not mnist"),
        ("--data mine more --weights 1 3", "--data"),
        ("--data mine", "--weights 1.0 3.0 and not None"),
    ],
)
@pytest.mark.parametrize("flag", ["--resume", "--run-name"])
def test_a_mixture_goes_on_with_no_other_sources_or_weights(job, own_digits, flags, named, flag):
    job("train --data mine mnist --weights 1 3 --run-name mixed", begin=True, data=None)
    with pytest.raises(ConfigurationError) as refused:
        job(f"train {flags} {flag} mixed", data=None)
    assert named in refused.value.happened


def test_a_mixture_whose_digits_changed_does_not_go_on(job, own_digits):
    job("train --data mine more --run-name mixed", begin=True, data=None)
    shard = next((own_digits / "more").iterdir())
    shard.write_bytes(next((own_digits / "shipped").iterdir()).read_bytes())
    with pytest.raises(ConfigurationError, match=r"the digits of .*mine and .*more changed since mixed began"):
        job("train --resume mixed", data=None)


@pytest.mark.parametrize("line", ["train", "tune"])
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--data mine more --weights 1", r"1 weights \(1\) for 2 sources"),
        ("--data mine more --weights 1 -1", "--weights 1 -1"),
        ("--data mine more --weights 0 0", "--weights 0 0"),
        ("--weights 1 1", "2 weights .* for 0 sources"),
        ("--data mine nowhere --weights 1 1", "there are no Parquet files in .*nowhere"),
        ("--data mine ./mine", "names a folder twice"),
        ("--data mine more --weights 1 0.0000001", "training digits of .*more are shown"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused_before_anything_is_written(job, own_digits, line, flags, told):
    with pytest.raises(ConfigurationError, match=told):
        job(f"{line} {flags}", data=None)
    assert sorted(path.name for path in own_digits.iterdir()) == ["mine", "more", "shipped"]


def test_mnist_is_the_shipped_one_unless_a_folder_has_that_name(job, own_digits):
    assert job("train --data mnist", data=None).work == job("train", data=None).work
    (own_digits / "mine").rename(own_digits / "mnist")
    with pytest.raises(ConfigurationError, match="there is a folder mnist here, too") as refused:
        job("train --data mnist", data=None)
    assert "./mnist" in refused.value.remedy
    assert job("train --data ./mnist", data=None).work.data.path == str(own_digits / "mnist")


@pytest.mark.parametrize(
    ("requested", "gpus", "num_nodes", "taken"),
    [(None, 0, 1, 1), (None, 0, 3, 2), (None, 5, 1, 4), (None, 16, 2, 16), (2, 4, 1, 2)],
)
def test_a_reader_is_trained_by_all_that_divide_its_squares(requested, gpus, num_nodes, taken):
    workers = workers_for(requested, 16, {"CPU": 8.0 * num_nodes, "GPU": float(gpus)}, num_nodes)
    assert workers.num_workers == taken


def test_no_workers_are_refused():
    with pytest.raises(ConfigurationError, match="0 to 0 workers"):
        workers_for(0, 16, {"CPU": 8.0}, 1)


@pytest.mark.parametrize("flags", [{"learning_rate": 0.003}, {"squares_per_epoch": 4000}, {"seed": 0}])
def test_settings_of_a_reader_that_are_named_count_even_where_they_are_the_defaults(tmp_path, flags):
    begun = TrainReaderSettings(storage_path=str(tmp_path), learning_rate=0.001, squares_per_epoch=8000, seed=3)
    run, folder, _ = prepare_reader(begun)
    run.write(folder)
    with pytest.raises(ConfigurationError, match="was begun with other settings"):
        prepare_reader(TrainReaderSettings(storage_path=str(tmp_path), resume=folder.name, **flags))
    goes_on, _, _ = prepare_reader(TrainReaderSettings(storage_path=str(tmp_path), resume=folder.name))
    assert goes_on.training == run.training


def test_a_reader_that_none_of_its_epochs_could_become_is_refused_before_ray_starts(tmp_path):
    run, folder, _ = prepare_reader(TrainReaderSettings(storage_path=str(tmp_path), epochs=30))
    run.write(folder)
    for number in (1, 2):
        (folder / epoch_name(number) / "epoch.json").write_bytes(b"[]")
    for epochs in (1, 2):
        with pytest.raises(ConfigurationError, match="2 epochs, none of them judged") as refused:
            prepare_reader(TrainReaderSettings(storage_path=str(tmp_path), resume=folder.name, epochs=epochs))
        assert "--epochs 3" in refused.value.remedy
    longer = TrainReaderSettings(storage_path=str(tmp_path), resume=folder.name, epochs=3)
    assert prepare_reader(longer)[0].training.epochs == 3
