"""State on disk: whole or not at all, whatever happens to the writer, the disk and the files."""

import errno
import os
import shutil
import subprocess

import pytest
import torch
from safetensors import SafetensorError

from model.training import checkpoint
from model.training.checkpoint import Damaged, load_newest, load_state, save_state
from tests.support import refused

OLD, NEW = {"w": torch.arange(600.0).reshape(2, 300)}, {"w": torch.ones(3), "step": torch.tensor(7.0)}
FILES = ("state.safetensors", "state.json")


def same(tensors, others):
    return tensors.keys() == others.keys() and all(torch.equal(others[name], tensors[name]) for name in tensors)


def assert_state(folder, tensors, values):
    got, got_values = load_state(folder)
    assert same(got, tensors)
    assert got_values == values


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_goes_out_and_in(tmp_path):
    tensors = {
        "scalar": torch.tensor(3.0),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "empty": torch.empty(0),
        "needs gradient": torch.ones(2, requires_grad=True),
    }
    values = {"epoch": 3, "scaler": {"scale": 65536.0}, "none": None, "nested": [{"name": "é"}]}
    save_state(tmp_path / "deep" / "state", tensors, values)
    assert_state(tmp_path / "deep" / "state", tensors, values)
    newest = load_newest(tmp_path / "deep" / "state")
    assert same(newest.tensors, tensors)
    assert (newest.values, newest.passed_over) == (values, [])


def test_what_was_loaded_lives_on_without_its_file(tmp_path):
    save_state(tmp_path / "state", OLD, {})
    tensors, _ = load_state(tmp_path / "state")
    with (tmp_path / "state" / "state.safetensors").open("r+b") as file:
        file.truncate(0)
    assert same(tensors, OLD)


def test_takes_the_place_of_what_was_there(tmp_path):
    save_state(tmp_path / "state", OLD, {"epoch": 1})
    save_state(tmp_path / "state", NEW, {"epoch": 2})
    assert_state(tmp_path / "state", NEW, {"epoch": 2})
    assert names(tmp_path) == ["state"]


def test_keeps_the_one_before(tmp_path):
    for epoch in (1, 2, 3):
        save_state(tmp_path / "state", NEW if epoch == 3 else OLD, {"epoch": epoch}, keep_before=True)
    assert names(tmp_path) == ["state", "state.before"]
    assert_state(tmp_path / "state", NEW, {"epoch": 3})
    assert_state(tmp_path / "state.before", OLD, {"epoch": 2})


def test_says_where_there_is_none(tmp_path):
    for load in (load_state, load_newest):
        with pytest.raises(FileNotFoundError, match=r"no state was saved here: .*nothing"):
            load(tmp_path / "nothing")


@pytest.fixture
def two(tmp_path):
    """OLD, and NEW with it before."""
    folder = tmp_path / "state"
    save_state(folder, OLD, {"epoch": 1}, keep_before=True)
    save_state(folder, {"w": OLD["w"] + 1}, {"epoch": 2, "reports": [0.5, 0.75]}, keep_before=True)
    return folder


def assert_falls_back(folder, path):
    """From damage of `path`, which is named."""
    with pytest.raises(Damaged) as caught:
        load_state(folder)
    assert str(caught.value).startswith(f"{path}: ")
    newest = load_newest(folder)
    assert same(newest.tensors, OLD)
    assert (newest.values, newest.passed_over) == ({"epoch": 1}, [str(caught.value)])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut short", "bit flipped"])
def test_any_damage_is_seen(two, name, damage):
    path = two / name
    whole = path.read_bytes()
    for part in range(64):
        at = len(whole) * part // 64
        if damage == "cut short":
            path.write_bytes(whole[:at])
        else:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << part % 8]) + whole[at + 1 :])
        assert_falls_back(two, path)
    path.write_bytes(whole + b" ")
    assert_falls_back(two, path)
    path.write_bytes(whole)
    assert load_newest(two).values["epoch"] == 2


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_unreadable_file_is_damage(two, name):
    (two / name).unlink()
    assert_falls_back(two, two / name)
    (two / name).mkdir()
    assert_falls_back(two, two / name)


def test_says_what_is_wrong(two):
    path = two / "state.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with refused(f"{path}: not what was saved: 100 bytes of {len(whole)}", Damaged):
        load_state(two)
    path.write_bytes(whole[:-1] + b"x")
    with refused(f"{path}: not what was saved: its checksum does not fit", Damaged):
        load_state(two)
    path.unlink()
    with refused(f"{path}: No such file or directory", Damaged):
        load_state(two)


@pytest.mark.parametrize("values", [{"epoch": 1}, {"values": {}, "bytes": 0, "crc32": 0}])
def test_what_nobody_saved_is_damage(two, values):
    """Even with a checksum that fits."""
    (two / "state.safetensors").write_bytes(b"")
    (two / "state.json").write_bytes(checkpoint._to_json(values))
    with pytest.raises(Damaged, match="not what was saved"):
        load_state(two)


def test_says_of_each_state_what_is_wrong_where_none_is_whole(two):
    for folder in (two, two.with_name("state.before")):
        (folder / "state.json").write_text("{}")
    texts = [f"{two}{end}/state.json: not what was saved: its checksum does not fit" for end in ("", ".before")]
    with refused("; ".join(texts), Damaged):
        load_newest(two)


class Killed(BaseException):
    """Nothing runs after it: neither the rest nor any cleaning up."""


@pytest.fixture
def save_killed(monkeypatch):
    """Saves, and is killed before its step `last`, with the step half done where it can be. Whether it was killed."""
    replace, rmtree, write = os.replace, shutil.rmtree, checkpoint._write

    def save(last, *arguments, **options):
        steps = 0

        def killable(whole, half):
            def step(*args, **kwargs):
                nonlocal steps
                steps += 1
                if steps == last:
                    half(*args)
                if steps >= last:
                    raise Killed
                return whole(*args, **kwargs)

            return step

        def remove_half(folder):
            for path in sorted(folder.iterdir())[:1] if folder.exists() else []:
                path.unlink()

        def write_half(folder, tensors, values):
            write(folder, tensors, values)
            os.truncate(folder / "state.json", 20)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killable(replace, lambda *_: None))
            patch.setattr(shutil, "rmtree", killable(rmtree, remove_half))
            patch.setattr(checkpoint, "_write", killable(write, write_half))
            try:
                save_state(*arguments, **options)
            except Killed:
                return True
        return False

    return save


@pytest.mark.parametrize("keep_before", [True, False])
def test_a_kill_at_any_moment_leaves_a_whole_state(tmp_path, save_killed, keep_before):
    """And a second kill, at any moment of the next attempt, too."""
    folder, first = tmp_path / "state", 0
    killed = True
    while killed:
        first, second, killed_again = first + 1, 0, True
        while killed_again:
            second += 1
            shutil.rmtree(tmp_path)
            for epoch in (1, 2):
                save_state(folder, OLD, {"epoch": epoch}, keep_before=keep_before)
            killed = save_killed(first, folder, NEW, {"epoch": 3}, keep_before=keep_before)
            after_one = load_newest(folder)
            assert after_one.values["epoch"] in ((2, 3) if killed else (3,))
            killed_again = save_killed(second, folder, NEW, {"epoch": 4}, keep_before=keep_before)
            after_two = load_newest(folder)
            assert after_two.values["epoch"] in ((after_one.values["epoch"], 4) if killed_again else (4,))
            for newest in (after_one, after_two):
                assert same(newest.tensors, OLD if newest.values["epoch"] == 2 else NEW)
                assert newest.passed_over == []
        assert second > 4
        assert names(tmp_path) == (["state", "state.before"] if keep_before else ["state"])  # what lay about is gone
    assert first > 4


def test_a_kill_while_the_newest_is_damaged_leaves_a_whole_state(two, save_killed):
    """The one before, which is all there is, goes only when the next one stands."""
    last, killed = 0, True
    shutil.copytree(two.parent, copy := two.parent.with_name("copy"))
    while killed:
        last += 1
        shutil.rmtree(two.parent)
        shutil.copytree(copy, two.parent)
        (two / "state.json").write_text("{}")
        killed = save_killed(last, two, NEW, {"epoch": 3}, keep_before=True)
        assert load_newest(two).values["epoch"] in ((1, 3) if killed else (3,))


def test_values_that_are_not_jsons_leave_the_old_state(tmp_path):
    save_state(tmp_path / "state", OLD, {"epoch": 1})
    with pytest.raises(TypeError):
        save_state(tmp_path / "state", NEW, {"epoch": object()})
    assert_state(tmp_path / "state", OLD, {"epoch": 1})
    assert names(tmp_path) == ["state"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("tensors", "values"),
    [({"w": torch.ones(100_000)}, {}), (NEW, {"much": "x" * 400_000})],
    ids=["amid the tensors", "amid the values"],
)
def test_a_full_disk_leaves_the_last_good_state(small_disk, tensors, values):
    for epoch in (1, 2):
        save_state(small_disk / "state", OLD, {"epoch": epoch}, keep_before=True)
    with pytest.raises(OSError, match="No space left on device") as caught:
        save_state(small_disk / "state", tensors, values, keep_before=True)
    assert caught.value.errno == errno.ENOSPC
    assert names(small_disk) == ["state", "state.before"]
    assert_state(small_disk / "state", OLD, {"epoch": 2})
    save_state(small_disk / "state", NEW, {"epoch": 3}, keep_before=True)
    assert load_newest(small_disk / "state").values == {"epoch": 3}


@pytest.mark.parametrize(
    ("said", "kind"), [("I/O error: Disk quota exceeded (os error 122)", OSError), ("HeaderTooLarge", SafetensorError)]
)
def test_what_safetensors_says_of_the_system_is_an_error_of_the_system(tmp_path, monkeypatch, said, kind):
    def save_file(_tensors, path):
        path.write_bytes(b"half of it")
        raise SafetensorError(f"Error while serializing: {said}")

    save_state(tmp_path / "state", OLD, {"epoch": 1})
    monkeypatch.setattr(checkpoint, "save_file", save_file)
    with pytest.raises(kind) as caught:
        save_state(tmp_path / "state", NEW, {"epoch": 2})
    if isinstance(caught.value, OSError):
        assert caught.value.errno == errno.EDQUOT
        assert caught.value.filename == str(tmp_path / "state.partial" / "state.safetensors")
    assert names(tmp_path) == ["state"]
    assert_state(tmp_path / "state", OLD, {"epoch": 1})
