"""What a machine is told to have for training."""

from __future__ import annotations

import pytest


@pytest.mark.distributed
def test_the_doctor_tells_what_is_here_and_proves_that_ranks_can_talk() -> None:
    from training.doctor import diagnose

    lines = {line[:15].strip(): line[16:] for line in diagnose()}
    assert {"python", "torch", "megatron-core", "optional", "slurm"} <= set(lines)
    assert "transformers" in lines["optional"]
    assert lines["gloo"] == "two ranks summed their numbers"
