"""State on disk: whole or not at all."""

import os

import pytest
import torch

from model.training import checkpoint
from model.training.checkpoint import load_state, save_state

OLD, NEW = {"w": torch.arange(6.0).reshape(2, 3)}, {"w": torch.ones(3), "step": torch.tensor(7.0)}


def assert_state(folder, tensors, values):
    got, got_values = load_state(folder)
    assert got.keys() == tensors.keys()
    assert all(torch.equal(got[name], tensor) for name, tensor in tensors.items())
    assert got_values == values


def test_goes_out_and_in(tmp_path):
    tensors = {
        "scalar": torch.tensor(3.0),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "empty": torch.empty(0),
        "needs gradient": torch.ones(2, requires_grad=True),
    }
    values = {"epoch": 3, "scaler": {"scale": 65536.0}, "none": None}
    save_state(tmp_path / "deep" / "state", tensors, values)
    assert_state(tmp_path / "deep" / "state", tensors, values)


def test_takes_the_place_of_what_was_there(tmp_path):
    save_state(tmp_path / "state", OLD, {"epoch": 1})
    save_state(tmp_path / "state", NEW, {"epoch": 2})
    assert_state(tmp_path / "state", NEW, {"epoch": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("where", ["before the tensors", "amid the tensors", "amid the values"])
def test_an_interruption_leaves_the_old_state_whole(tmp_path, monkeypatch, where):
    save_state(tmp_path / "state", OLD, {"epoch": 1})

    def interrupted(_tensors, path):
        if where == "amid the tensors":
            path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    epoch = object() if where == "amid the values" else 2
    with monkeypatch.context() as patch:
        if where != "amid the values":
            patch.setattr(checkpoint, "save_file", interrupted)
        with pytest.raises((KeyboardInterrupt, TypeError)):
            save_state(tmp_path / "state", NEW, {"epoch": epoch})
    assert_state(tmp_path / "state", OLD, {"epoch": 1})
    save_state(tmp_path / "state", NEW, {"epoch": 2})  # what the interrupted one left is no hindrance
    assert_state(tmp_path / "state", NEW, {"epoch": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize(
    "renames",
    [0, 1],
)
def test_an_interruption_between_the_renames_leaves_a_state(tmp_path, monkeypatch, renames):
    save_state(tmp_path / "state", OLD, {"epoch": 1})
    rename, done = os.replace, []

    def interrupted(source, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(rename(source, target))

    for _ in range(2):  # and once more, while the first interruption's remains lie about
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", interrupted)
            with pytest.raises(KeyboardInterrupt):
                save_state(tmp_path / "state", NEW, {"epoch": 2})
        assert load_state(tmp_path / "state")[1]["epoch"] in (1, 2)
    save_state(tmp_path / "state", NEW, {"epoch": 3})
    assert_state(tmp_path / "state", NEW, {"epoch": 3})


def test_says_where_there_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_state(tmp_path / "nothing")
