"""What a process gives back between two trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.trainable import MinbertTrial, TrialSettings


@pytest.mark.parametrize(("device", "calls"), [("cpu", 0), ("cuda", 1)])
def test_memory_of_a_gpu_is_returned(monkeypatch: pytest.MonkeyPatch, device: str, calls: int) -> None:
    called = []
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: called.append(True))
    trial = MinbertTrial.__new__(MinbertTrial)
    trial._settings = TrialSettings(
        run=Path(), epochs=1, epoch_examples=1, seed=0, precision="fp32", threads=1, device=device
    )
    trial.cleanup()
    assert len(called) == calls
