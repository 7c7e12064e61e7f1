"""docs/reference.md is what the code says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from model.checked import Checked
from model.config import EdgeConfig, EncoderConfig, TaskConfig, TrialConfig
from model.reference import field_docs, reference

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
COMMAND = ".venv/bin/python -m model.reference > docs/reference.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), f"docs/reference.md is not what the code says: {COMMAND}"


def test_every_field_of_every_part_is_in_it() -> None:
    page = reference()
    for part in (TrialConfig, *Checked.__subclasses__()):
        if part.__module__ == TrialConfig.__module__:
            section = page.split(f"## {part.__name__}\n")[1].split("\n## ")[0]
            rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
            assert rows == [field.name for field in dataclasses.fields(part)]


def test_a_row_says_what_is_allowed_and_where_it_comes_from() -> None:
    lines = reference().splitlines()
    assert (
        "| `layer_drop` | number from 0 to 0.9 | `0.0` | Probability of skipping a whole layer in a training step, "
        "above the frozen prefix. (Jetty, 4.3: 0.15) |"
    ) in lines
    rows = {line.split("`")[1]: line.split(" | ")[1:3] for line in lines if line.startswith("| `")}
    assert rows["tasks"] == ["[TaskConfig](#taskconfig) by name", "must be given"]
    assert rows["edges"] == ["one [EdgeConfig](#edgeconfig) or more", "must be given"]
    assert rows["encoder"] == ["[EncoderConfig](#encoderconfig)", "its defaults"]
    assert rows["adapter"] == ["[AdapterConfig](#adapterconfig), or `None`", "`None`"]
    assert rows["pair_order"] == ["`'given'`, `'both'`", "`'given'`"]
    assert rows["width"] == ["whole number from 1 to 8192, or `None`", "`None`"]
    assert rows["gradient_surgery"] == ["`True`, `False`", "`False`"]
    assert rows["decay"] == ["number above 0, up to 0.999", "`0.9`"]
    assert rows["upstream"] == ["text", "must be given"]


def test_bars_do_not_end_a_cell() -> None:
    (row,) = (line for line in reference().splitlines() if line.startswith("| `pair_features`"))
    assert r"with \|u-v\|" in row


def test_a_docstring_of_several_lines_is_read_whole() -> None:
    assert field_docs(EdgeConfig)["gradient_scale"].endswith("its\n    future work (6 and 7).")
    assert field_docs(TaskConfig).keys() == {field.name for field in dataclasses.fields(TaskConfig)}
    assert field_docs(EncoderConfig)["attention_dropout"].startswith("Probability of dropping an attention weight")
