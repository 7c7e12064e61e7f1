"""Further pre-training: the command, and the encoder it writes."""

from __future__ import annotations

import io
import re

import pytest

from model.console import Console
from model.network.pretrained import read_encoder
from model.training.pretrain import further_pretrained, main, save_encoder
from tests.support import tiny_encoder, write_corpus


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    monkeypatch.setattr("model.training.pretrain.usable_cores", lambda: 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory):
    """Train files alone: nothing else is read."""
    folder = tmp_path_factory.mktemp("corpus") / "data"
    write_corpus(folder, corpus)
    for file in [*folder.glob("*-dev.csv"), *folder.glob("*-test-student.csv")]:
        file.unlink()
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "start"
    save_encoder(folder, tiny_encoder())
    return folder


def argv(data, start, output, *more):
    return ["--data", str(data), "--encoder", str(start), "--output", str(output), "--precision", "fp32", *more]


def losses(said):
    return [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", said)]


def test_the_command_writes_an_encoder_that_has_learnt(data, start, tmp_path, capsys):
    output = tmp_path / "new" / "further"
    more = ["--epochs", "6", "--learning-rate", "3e-3", "--batch-size", "16"]
    main(argv(data, start, output, *more))
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"wrote {output}"
    # A tenth of some 60 sentences a task is cut as test, which leaves 4 batches of each.
    assert re.search(r"^further pre-training  step 72/72  loss ", said, re.MULTILINE)
    assert 10 <= len(losses(said)) <= 11
    assert losses(said)[-1] < losses(said)[0] - 0.5
    before, after = read_encoder(str(start)), read_encoder(str(output))
    assert after.shape == before.shape
    assert after.tokenizer == before.tokenizer
    assert after.fingerprint() != before.fingerprint()
    main(argv(data, start, tmp_path / "again", *more))
    assert read_encoder(str(tmp_path / "again")).fingerprint() == after.fingerprint()
    main(argv(data, start, tmp_path / "other", *more, "--seed", "1"))
    assert read_encoder(str(tmp_path / "other")).fingerprint() != after.fingerprint()


def test_what_is_written_is_what_was_learnt(tokens, tmp_path):
    said = io.StringIO()
    encoder = further_pretrained(
        tiny_encoder(), tokens, name="further", epochs=1, seed=0, precision="fp32", console=Console(file=said)
    )
    save_encoder(tmp_path / "saved", encoder)
    assert encoder.name == "further"
    assert read_encoder(str(tmp_path / "saved")).fingerprint() == encoder.fingerprint()


def test_a_terminal_shows_a_bar(tokens):
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=100)
    further_pretrained(tiny_encoder(), tokens, name="further", epochs=1, seed=0, precision="fp32", console=console)
    drawn = re.sub(r"\x1b\[[?\d;]*\w", "", said.getvalue()).split("\r")
    assert re.fullmatch(r"further pre-training ━+ 6/6 loss \d\.\d{3} 0:00:00\n", drawn[-1])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--epochs", "0"), "--epochs 0: allowed is a whole number from 1"),
        (("--batch-size", "0"), "--batch-size 0: allowed is a whole number from 1 to 1024"),
        (("--learning-rate", "0"), "--learning-rate 0: allowed is a number above 0, up to 1"),
        (("--learning-rate", "nan"), "--learning-rate nan: allowed is a number above 0, up to 1"),
        (("--seed", "-1"), "--seed -1: allowed is a whole number from 0 to 4294967295"),
        (("--precision", "fp16"), "--precision fp16: for GPUs only; on a CPU allowed are auto, fp32 and bf16"),
        (("--data", "nowhere"), "--data nowhere: no such folder; give a folder with the CS224N files, 'demo' or 'hub'"),
        (
            ("--tasks", "tasks.toml", "--data", "demo"),
            "--data demo has tasks of its own; leave out --tasks, or give a folder",
        ),
        (("--tasks", "tasks.toml"), "tasks.toml: no such file"),
        (("--encoder", "no/such/place"), "--encoder no/such/place: no such folder"),
        (("--output", "."), ". exists; name another folder with --output"),
    ],
)
def test_one_message_and_no_folder(data, start, tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit) as exit_:
        main(argv(data, start, tmp_path / "further", *flags))
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not (tmp_path / "further").exists()


def test_an_encoder_without_a_mask_token(data, tmp_path, capsys):
    encoder = tiny_encoder()
    save_encoder(tmp_path / "start", encoder)
    for name in ("tokenizer.json", "vocab.txt"):
        file = tmp_path / "start" / name
        file.write_text(file.read_text().replace("[MASK]", "[HIDE]"))
    with pytest.raises(SystemExit) as exit_:
        main(argv(data, tmp_path / "start", tmp_path / "further"))
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'start'}/tokenizer.json: the tokenizer has no [MASK] token\n"


def test_a_folder_that_can_not_be_made(data, start, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(argv(data, start, tmp_path / "file" / "further"))
    said = f"error: {tmp_path / 'file' / 'further'}: can't make the folder (Not a directory)\n"
    assert capsys.readouterr().err == said


def test_control_c_leaves_no_folder(data, start, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        assert (tmp_path / "further").is_dir(), "made before the work"
        raise KeyboardInterrupt

    monkeypatch.setattr("model.training.pretrain.further_pretrained", interrupted)
    with pytest.raises(SystemExit) as exit_:
        main(argv(data, start, tmp_path / "further"))
    assert exit_.value.code == 130
    assert not (tmp_path / "further").exists()
