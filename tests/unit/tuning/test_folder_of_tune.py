"""Where Ray Tune writes: its pickles hold the keys of a bucket, and do not get into it."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from pyarrow import fs

from digits.storage import Storage
from digits.tuning.driver import folder_of_tune
from digits.tuning.searches import TUNE


def test_in_a_folder_it_writes_beside_the_trials(tmp_path):
    run_dir = Storage.open(tmp_path)
    with folder_of_tune(run_dir) as folder:
        assert folder == run_dir / TUNE


@pytest.mark.parametrize("fault", [None, RuntimeError], ids=["the end", "an error"])
def test_a_bucket_gets_the_events_and_nothing_else(fault):
    run_dir = Storage(fs.SubTreeFileSystem("/", fs._MockFileSystem()), "bucket/run", "s3://bucket", len("bucket"))
    with pytest.raises(fault) if fault else nullcontext(), folder_of_tune(run_dir) as folder:
        assert folder.is_local
        (folder / "tuner.pkl").write_bytes(b"keys")
        (folder / "trial-00" / "params.pkl").write_bytes(b"keys")
        (folder / "trial-00" / "events.out.tfevents.1.here").write_bytes(b"events")
        if fault:
            raise fault
    assert not Path(folder.path).exists()
    assert (run_dir / TUNE).files() == [] and (run_dir / TUNE).folders() == ["trial-00"]
    assert (run_dir / TUNE / "trial-00").files() == ["events.out.tfevents.1.here"]
