"""Fixtures of the whole suite: one real Spark session, and the folder of real pages where it is present."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REPOSITORY = Path(__file__).resolve().parents[1]

# No example has a time limit: a busy machine is no bug.
settings.register_profile("headwater", deadline=None)
settings.load_profile("headwater")


@pytest.fixture(scope="session")
def spark() -> SparkSession:
    """A local session with Delta, two cores and four shuffle partitions."""
    session_module = pytest.importorskip(
        "spark_jobs.lake.session", reason="pyspark is not installed: pip install headwater[spark]"
    )
    config = session_module.SessionConfig(master="local[2]", driver_memory="3g", shuffle_partitions=4)
    session = session_module.start_session(config, app_name="tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real WARCs and texts that are kept beside the checkout, not in it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder of real pages at ../shared/data")
    return folder
