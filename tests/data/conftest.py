import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data files, where there is one."""
    folder = os.environ.get("NNSCRATCH_DATA", "").split(os.pathsep)[0] or Path(__file__).parents[2] / ".." / "shared" / "data"
    if not Path(folder).is_dir():
        pytest.skip("no real data files (set NNSCRATCH_DATA)")
    return Path(folder)


@pytest.fixture
def isolated(tmp_path, monkeypatch):
    """No data files anywhere, and no network."""
    import pooch

    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.delenv("NNSCRATCH_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(pooch, "retrieve", no_network)
    return tmp_path
