"""Where numbers are shown: event files byte by byte, and a real request to the Prometheus endpoint."""

from __future__ import annotations

import importlib.util
import struct
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from schemas.plumbing.errors import UsageError
from training.settings.watching import WatchConfig
from training.watching.event_file import EventFile, masked_checksum, record, scalars
from training.watching.prometheus import Endpoint, exposition
from training.watching.trackers import Trackers, open_trackers, require_trackers


def test_checksums_are_those_of_the_standard() -> None:
    # RFC 3720, appendix B.4: CRC-32C of 32 zero bytes is 8a9136aa, of 32 bytes 0xff 62a8ab43; here rotated and masked.
    for data, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (b"123456789", 0xE3069283)):
        assert masked_checksum(data) == (((crc >> 15 | crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def test_scalars_are_a_summary_in_the_wire_format() -> None:
    assert scalars({"loss": 2.5}) == bytes.fromhex("0a0b 0a04 6c6f7373 15 00002040".replace(" ", ""))


def test_an_event_file_is_records_that_hold_events(tmp_path: Path) -> None:
    file = EventFile(tmp_path, 7)
    file.write(300, {"loss": 2.5})
    file.close()
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("events.out.tfevents.")
    data, events = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        events.append(data[12 : 12 + length])
        assert data[: 16 + length] == record(events[-1])
        data = data[16 + length :]
    # After the wall time (9 bytes): step, then what happened.
    assert [event[9:] for event in events] == [
        b"\x10\x00\x1a\x0dbrain.Event:2",
        b"\x10\x08\x3a\x02\x08\x01",
        b"\x10\xac\x02\x2a\x0d" + scalars({"loss": 2.5}),
    ]


def test_tensorboard_reads_the_file_and_forgets_what_was_rolled_back(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = EventFile(tmp_path, 0)
    for step in range(1, 6):
        file.write(step, {"loss": float(step), "source_loss/web": 1.0})
    file.rewind(2)
    file.write(3, {"loss": 30.0})
    file.close()
    read = EventAccumulator(str(tmp_path)).Reload()
    assert [(one.step, one.value) for one in read.Scalars("loss")] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_the_endpoint_answers_with_the_newest_step() -> None:
    endpoint = Endpoint("127.0.0.1", 0, {"run": 'a "name"'})
    try:
        endpoint.write(1, {"loss": 3.0})
        endpoint.write(2, {"loss": 2.5, "source_loss/web": 2.25, "source_loss/books": 3.0})
        with urllib.request.urlopen(endpoint.address, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(endpoint.address + "/else", timeout=10)
    finally:
        endpoint.close()
    assert text.splitlines() == [
        "# TYPE headwater_loss gauge",
        'headwater_loss{run="a \\"name\\""} 2.5',
        "# TYPE headwater_source_loss gauge",
        'headwater_source_loss{run="a \\"name\\"",of="books"} 3.0',
        'headwater_source_loss{run="a \\"name\\"",of="web"} 2.25',
        "# TYPE headwater_step gauge",
        'headwater_step{run="a \\"name\\""} 2.0',
    ]


def test_values_that_are_not_finite_are_shown_nowhere(tmp_path: Path) -> None:
    trackers = open_trackers(WatchConfig(prometheus_port=0), tmp_path, 0, {})
    trackers.write(1, {"loss": float("nan"), "gradient_norm": 1.0})
    trackers.close()
    (path,) = (tmp_path / "tensorboard").iterdir()
    assert b"gradient_norm" in path.read_bytes() and b"loss" not in path.read_bytes()
    assert exposition({"a b": 1}, {}) == "# TYPE headwater_a_b gauge\nheadwater_a_b{} 1.0\n"


def test_a_tracker_that_fails_is_left_out_and_ends_nothing(tmp_path: Path) -> None:
    good = EventFile(tmp_path, 0)

    class Broken:
        calls = 0

        def write(self, step: int, numbers: object) -> None:
            self.calls += 1
            raise OSError("no space left")

        def rewind(self, step: int) -> None: ...

        def close(self) -> None: ...

    broken = Broken()
    trackers = Trackers([broken, good])
    for step in (1, 2):
        trackers.write(step, {"loss": 1.0})
    trackers.close()
    assert broken.calls == 1
    assert next(tmp_path.iterdir()).read_bytes().count(b"loss") == 2


def test_a_port_that_is_taken_is_no_reason_not_to_train(tmp_path: Path) -> None:
    endpoint = Endpoint("127.0.0.1", 0, {})
    try:
        port = int(endpoint.address.split(":")[2].split("/")[0])
        trackers = open_trackers(WatchConfig(prometheus_port=port), tmp_path, 0, {})
        trackers.write(1, {"loss": 1.0})
        trackers.close()
    finally:
        endpoint.close()
    assert b"loss" in next((tmp_path / "tensorboard").iterdir()).read_bytes()


def test_a_tracker_that_is_not_installed_is_refused_by_its_key() -> None:
    if importlib.util.find_spec("wandb") is None:
        with pytest.raises(
            UsageError, match=r"watch.wandb_project: wandb is not installed; pip install headwater\[wandb\]"
        ):
            require_trackers(WatchConfig(wandb_project="runs"))
    require_trackers(WatchConfig())


def test_weights_and_biases_keeps_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install headwater[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    trackers = open_trackers(WatchConfig(tensorboard=False, wandb_project="runs"), tmp_path, 0, {"steps": 2})
    for step in (1, 2, 1):
        trackers.write(step, {"loss": 1.0})
    trackers.close()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_mlflow_keeps_one_run_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking", reason="mlflow is not installed: pip install headwater[mlflow]")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for loss in (2.0, 1.0):
        trackers = open_trackers(
            WatchConfig(tensorboard=False, mlflow_experiment="runs"), tmp_path / "run", 0, {"model": {"layers": 2}}
        )
        trackers.write(1, {"loss": loss})
        trackers.close()
    client = tracking.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("runs").experiment_id])
    assert found.data.metrics["loss"] == 1.0 and found.data.params["model.layers"] == "2"
