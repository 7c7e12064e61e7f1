"""What a search is given: a space, a corpus, an encoder. Read and checked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.data.contamination import Contaminated, contamination, describe
from model.data.corpus import Corpus, Split, holds_cs224n, read_corpus
from model.data.task_file import read_task_file
from model.data.tasks import CS224N_SOURCES, Source
from model.errors import UserError
from model.network.shape import LEAST_TOKENS, another_can_be_named, read_config
from model.problem import Problem
from search.flags import Flags
from search.run_folder import RunFolder, RunInfo
from search.space import Space, check_space, find_space, load_space

if TYPE_CHECKING:
    from model.network.pretrained import Encoder  # with torch, which takes seconds, and which a dry run can do without


SEARCHED: tuple[Split, ...] = ("train", "dev")
"""All that a search holds."""
CHECKED: tuple[Split, ...] = (*SEARCHED, "test", "unlabelled")


@dataclass(frozen=True)
class OfTest:
    """All that a search knows of test, to tell it: no trial is given any of it, and nothing is decided on it."""

    size: Mapping[str, int]
    """Examples by task name."""
    known: Sequence[str]
    """In words, which of its sentences stand in train or dev."""


@dataclass(frozen=True)
class Inputs:
    """A search's inputs, all but the encoder's weights."""

    space: Space
    sources: tuple[Source, ...]
    """The tasks, and where their examples lie."""
    corpus: Corpus
    leaks: Mapping[str, Contaminated]
    """By task, the dev rows that stand in train."""
    encoder_name: str
    max_tokens: int
    """Of a sequence, beyond which texts are cut."""
    problem: Problem
    test: OfTest | None = None
    """None for a run that goes on: it was told when it began."""

    def read_encoder(self) -> Encoder:
        """The encoder with its weights."""
        from model.network.pretrained import read_encoder

        return read_encoder(self.encoder_name)


def given(flags: Flags) -> Inputs:
    """What the flags name. Raises UserError for the first thing wrong with it."""
    sources = CS224N_SOURCES if flags.tasks is None else read_task_file(flags.tasks)
    # What is wrong with test is said now, not when the winner is evaluated on it. The search still never holds these
    # rows: they are let go of before anything else sees the corpus.
    checked = read_corpus(data_of(flags), CHECKED, sources=sources, skip_bad_rows=flags.skip_bad_rows)
    corpus = checked.only(SEARCHED)
    leaks, test = contamination(corpus, "dev"), _of_test(checked)
    shared = [*describe(leaks, "dev"), *test.known]
    if flags.strict and shared:
        out = "take these rows out of one of the two, or leave out --strict"
        raise UserError("\n".join(["--strict: the same sentences stand in two splits", *shared, out]))
    encoder_name = flags.encoder or ("demo" if corpus.name == "demo" else "bert-base-uncased")
    with another_can_be_named():
        shape = read_config(encoder_name)[1]
    most, max_tokens = shape.max_positions, flags.max_tokens or shape.max_positions
    if not LEAST_TOKENS <= max_tokens <= most:
        allowed = f"a whole number from {LEAST_TOKENS} to {most}, the encoder's positions"
        raise UserError(f"--max-tokens {max_tokens}: allowed is {allowed}")
    problem = Problem.of(corpus, shape)
    space = load_space(find_space(flags.space), problem)
    check_space(space, problem)
    return Inputs(space, sources, corpus, leaks, encoder_name, max_tokens, problem, test)


def _of_test(checked: Corpus) -> OfTest:
    known = [
        line for earlier in SEARCHED for line in describe(contamination(checked, "test", earlier), "test", earlier)
    ]
    return OfTest(checked.size("test"), known)


def data_of(flags: Flags) -> str:
    """Where the data is, as far as the flags leave it open: for the tasks of a file its folder, else what is there."""
    if flags.data is not None:
        return flags.data
    if flags.tasks is not None:
        return str(flags.tasks.parent)
    return "data" if holds_cs224n(Path("data")) else "demo"


def found_again(run: RunFolder, info: RunInfo) -> tuple[Inputs, Encoder]:
    """What a run was given when it began. Raises UserError where data or encoder are not what they were."""
    corpus = read_corpus(info.data, SEARCHED, sources=info.sources, skip_bad_rows=bool(info.skipped_rows))
    if corpus.fingerprint() != info.data_fingerprint:
        raise UserError(f"{info.data} has changed since the run began: its fingerprint differs")
    problem = Problem.of(corpus, read_config(info.encoder)[1])
    space = load_space(run.space, problem)
    leaks = contamination(corpus, "dev")
    inputs = Inputs(space, info.sources, corpus, leaks, info.encoder, info.max_tokens, problem)
    encoder = inputs.read_encoder()
    if encoder.fingerprint() != info.encoder_fingerprint:
        raise UserError(f"the encoder {info.encoder} has changed since the run began: its fingerprint differs")
    return inputs, encoder
