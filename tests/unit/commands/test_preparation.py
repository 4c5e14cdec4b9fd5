"""Which run a job begins or goes on with: by --resume, by --run-name, and never with other settings than its own."""

import pytest
import tyro

from digits.commands.preparation import prepare
from digits.commands.reader.training import TrainReaderSettings
from digits.commands.reader.training import prepare as prepare_reader
from digits.commands.training import TrainSettings
from digits.commands.tuning import TuneSettings
from digits.errors import ConfigurationError
from digits.lease import Lease
from digits.storage import Storage
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
        found = prepare(options.run, kind, begin=options.begin, unchanged=settings().begin, name=name)
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
        (f"tune {TUNE}", "--num-samples 40 --max-epochs 4 --filters 8 16", ["--num-samples 3 and not 40"]),
        (f"tune {TUNE}", "--num-samples 40", ["--num-samples 3 and not 40", "--filters 8 16 and not"]),
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
        prepare(options.run, Run, begin=options.begin, unchanged=options.begin, name="train")
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
