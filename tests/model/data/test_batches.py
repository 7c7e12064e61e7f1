"""Batches, and which examples make up an epoch."""

import collections
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.processors import BertProcessing

from model.config import TaskMix, TasksPerStep
from model.data.batches import Plan, assemble, sequence_lengths
from model.data.tokens import Ragged, TokenizedSplit, Tokens
from tests.support import VOCABULARY, tiny_encoder

CLS, SEP = (VOCABULARY.index(token) for token in ("[CLS]", "[SEP]"))
FILM, GOOD = VOCABULARY.index("film"), VOCABULARY.index("good")
MIXES = ("in_turn", "proportional", "square_root", "annealed")


def ragged(sequences) -> Ragged:
    starts = np.concatenate(([0], np.cumsum([len(s) for s in sequences], dtype=np.int64)))
    return Ragged(np.array([i for s in sequences for i in s], dtype=np.int32), starts)


def split_of(*slots) -> TokenizedSplit:
    rows = len(slots[0])
    return TokenizedSplit(tuple(map(ragged, slots)), np.arange(rows, dtype=np.float32), np.zeros(rows, dtype=bool))


def tokens_up_to(max_length: int) -> Tokens:
    return Tokens((), {}, CLS, SEP, max_length)


# ------------------------------------------------------------------------------------------------------- assemble


def slow_assemble(slots, rows, pairs, max_length):
    """The obvious twin, without truncation of pairs: lists of lists."""
    if pairs == "cross":
        parts = [([CLS, *slots[0][i], SEP], [*slots[1][i], SEP]) for i in rows]
    else:
        parts = [([CLS, *slot[i][: max_length - 2], SEP], []) for slot in slots for i in rows]
    ids = [token for a, b in parts for token in (*a, *b)]
    segments = [segment for a, b in parts for segment in [0] * len(a) + [1] * len(b)]
    return ids, segments, [len(a) + len(b) for a, b in parts]


word = st.integers(5, len(VOCABULARY) - 1)


@given(st.data(), st.sampled_from([None, "cross", "bi"]))
def test_assemble_is_like_its_slow_twin(data, pairs):
    count = data.draw(st.integers(1, 5))
    sentences = st.lists(st.lists(word, max_size=9), min_size=count, max_size=count)
    slots = [data.draw(sentences) for _ in range(2 if pairs else 1)]
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=6)))
    max_length = 21 if pairs == "cross" else data.draw(st.integers(3, 12))
    batch = assemble(tokens_up_to(max_length), split_of(*slots), rows, pairs)
    ids, segments, lengths = slow_assemble(slots, rows, pairs, max_length)
    assert batch.ids.tolist() == ids
    assert batch.segments.tolist() == segments
    assert batch.labels.tolist() == rows.tolist()
    assert batch.packing.lengths.tolist() == lengths
    assert (batch.ids.dtype, batch.segments.dtype, batch.labels.dtype) == (torch.int64, torch.int64, torch.float32)


@given(st.data(), st.sampled_from(["cross", "bi"]), st.integers(6, 30))
def test_swapped_rows_are_like_those_of_data_with_the_sentences_swapped(data, pairs, max_length):
    count = data.draw(st.integers(1, 5))
    sentences = st.lists(st.lists(word, max_size=20), min_size=count, max_size=count)
    first, second = data.draw(sentences), data.draw(sentences)
    swapped = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    slots = [
        [pair[turn ^ slot] for pair, turn in zip(zip(first, second, strict=True), swapped, strict=True)]
        for slot in (0, 1)
    ]
    tokens, rows = tokens_up_to(max_length), np.arange(count)
    batch = assemble(tokens, split_of(first, second), rows, pairs, swapped)
    expected = assemble(tokens, split_of(*slots), rows, pairs)
    assert torch.equal(batch.ids, expected.ids)
    assert torch.equal(batch.segments, expected.segments)
    assert torch.equal(batch.labels, expected.labels)
    assert torch.equal(batch.packing.lengths, expected.packing.lengths)


def test_swapped_pairs_by_hand():
    split, rows, swapped = split_of([[10], [11]], [[20], [21]]), np.array([1, 0]), np.array([True, False])
    cross, bi = (assemble(tokens_up_to(8), split, rows, pairs, swapped) for pairs in ("cross", "bi"))
    assert cross.ids.tolist() == [CLS, 21, SEP, 11, SEP, CLS, 10, SEP, 20, SEP]
    assert bi.ids.tolist() == [token for i in (21, 10, 11, 20) for token in (CLS, i, SEP)]


def test_bi_encoded_pairs_are_first_sentences_then_second():
    split = split_of([[10], [11]], [[20], [21]])
    batch = assemble(tokens_up_to(8), split, np.array([1, 0]), "bi")
    assert batch.ids.tolist() == [token for i in (11, 10, 21, 20) for token in (CLS, i, SEP)]
    assert batch.labels.tolist() == [1, 0]
    assert batch.packing.lengths.tolist() == [3, 3, 3, 3]


def hugging_face_pairs(max_length: int) -> Tokenizer:
    """The tokenizers library, which transformers encodes and cuts pairs with."""
    tokenizer = Tokenizer.from_str(tiny_encoder().tokenizer)
    tokenizer.post_processor = BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    return tokenizer


@pytest.mark.parametrize("max_length", [15, 16])
def test_pairs_are_cut_as_transformers_cuts_them(max_length):
    tokenizer = hugging_face_pairs(max_length)
    for a, b in itertools.product(range(1, 20), repeat=2):
        batch = assemble(tokens_up_to(max_length), split_of([[FILM] * a], [[GOOD] * b]), np.array([0]), "cross")
        expected = tokenizer.encode("film " * a, "good " * b)
        assert batch.ids.tolist() == expected.ids, (a, b)
        assert batch.segments.tolist() == expected.type_ids


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.data(), st.sampled_from([None, "cross", "bi"]))
def test_sequence_lengths_are_those_of_the_assembled_rows(first, data, pairs):
    slots = [[[FILM] * length for length in first]]
    if pairs:
        slots.append([[GOOD] * data.draw(st.integers(0, 30)) for _ in first])
    split, tokens = split_of(*slots), tokens_up_to(20)
    lengths = sequence_lengths(split, pairs, tokens.max_length)
    assert lengths.tolist() == [
        assemble(tokens, split, np.array([i]), pairs).packing.longest for i in range(len(first))
    ]


# ----------------------------------------------------------------------------------------------------------- plan


def plan(
    sizes,
    mix: TaskMix = "proportional",
    batch_size=4,
    epoch_examples=30,
    seed=0,
    *,
    epochs=5,
    tasks_per_step: TasksPerStep = "one",
) -> Plan:
    rng = np.random.default_rng(5)
    lengths = {name: rng.integers(3, 60, size) for name, size in sizes.items()}
    return Plan(lengths, mix, batch_size, epoch_examples, seed, epochs=epochs, tasks_per_step=tasks_per_step)


def plans_of(*tasks_per_step: TasksPerStep):
    return st.builds(
        plan,
        st.lists(st.integers(1, 60), min_size=1, max_size=4).map(
            lambda sizes: {f"task{i}": n for i, n in enumerate(sizes)}
        ),
        st.sampled_from(MIXES),
        st.integers(1, 9),
        st.integers(1, 120),
        st.integers(0, 2**32 - 1),
        tasks_per_step=st.sampled_from(tasks_per_step),
    )


plans, plans_of_one, plans_of_all = plans_of("one", "all"), plans_of("one"), plans_of("all")


def batches(steps) -> list[tuple[str, np.ndarray]]:
    """All batches of all steps, one after the other."""
    return list(itertools.chain(*steps))


def counts(steps) -> dict[str, int]:
    count: collections.Counter[str] = collections.Counter()
    for task, rows in batches(steps):
        count[task] += len(rows)
    return dict(count)


@given(plans, st.integers(1, 5))
def test_an_epoch_has_its_number_of_examples_whatever_the_mix(plan, number):
    steps = plan.epoch(number)
    shares = plan.examples_by_task(number)
    assert sum(shares.values()) == plan.epoch_examples
    assert counts(steps) == {task: count for task, count in shares.items() if count}
    assert len(steps) == plan.steps_in(number)
    assert all(1 <= len(rows) <= plan.batch_size for _, rows in batches(steps))
    assert all(((rows >= 0) & (rows < len(plan.lengths[task]))).all() for task, rows in batches(steps))


@given(plans)
def test_every_example_comes_once_before_any_comes_twice(plan):
    """So each epoch goes on in the stream where the one before it stopped, also where the shares change."""
    seen = {task: collections.Counter() for task in plan.lengths}
    for number in range(1, 6):
        for task, rows in batches(plan.epoch(number)):
            seen[task].update(rows.tolist())
        for task, lengths in plan.lengths.items():
            times = [seen[task][row] for row in range(len(lengths))]
            assert max(times) - min(times) <= 1


@given(plans)
@settings(max_examples=30)
def test_steps_are_counted_without_being_made(plan):
    made = [len(plan.epoch(number)) for number in range(1, plan.epochs + 1)]
    assert [plan.first_step(number) for number in range(1, 6)] == [0, *itertools.accumulate(made[:-1])]
    assert plan.total_steps == sum(made)


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        task == other_task and np.array_equal(rows, other_rows)
        for (task, rows), (other_task, other_rows) in zip(batches(one), batches(other), strict=True)
    )


@given(plans, st.integers(1, 4))
@settings(max_examples=30)
def test_an_epoch_is_a_function_of_seed_and_number(plan, number):
    again = dataclasses.replace(plan)
    again.epoch(number + 1)
    assert same(plan.epoch(number), again.epoch(number))


@pytest.mark.parametrize(("change", "number"), [({}, 2), ({"seed": 1}, 1)])
def test_another_epoch_or_seed_is_another_order(change, number):
    sizes = {"a": 50, "b": 50}
    one, other = plan(sizes).epoch(1), plan(sizes, **change).epoch(number)
    assert [rows.tolist() for _, rows in batches(one)] != [rows.tolist() for _, rows in batches(other)]


def test_the_rows_of_an_epoch_are_the_same_for_good():
    """The same trial is trained on the same rows whatever else the plan has learned to do."""
    steps = plan({"a": 3, "b": 9}, "square_root", batch_size=3, epoch_examples=11).epoch(2)
    expected = [("b", [1, 2]), ("a", [2, 2]), ("b", [0, 0]), ("a", [1, 1]), ("b", [6, 7, 4])]
    assert [(task, rows.tolist()) for ((task, rows),) in steps] == expected


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        ("in_turn", {"a": 100, "b": 100, "c": 100}),
        ("proportional", {"a": 33, "b": 67, "c": 200}),
        ("square_root", {"a": 62, "b": 87, "c": 151}),
    ],
)
def test_tasks_get_their_shares(mix, expected):
    sizes = {"a": 100, "b": 200, "c": 600}
    assert all(plan(sizes, mix, epoch_examples=300).examples_by_task(number) == expected for number in (1, 2, 5))


@pytest.mark.parametrize(
    ("number", "exponent"),
    [(1, 1.0), (2, 0.8), (3, 0.6), (4, 0.4), (5, 0.2)],  # 1 - 0.8 (e - 1) / (E - 1)
)
def test_annealed_shares_go_from_the_proportion_of_the_sets_to_nearly_equal_ones(number, exponent):
    sizes = {"a": 100, "b": 200, "c": 600}
    shares = plan(sizes, "annealed", epoch_examples=3000, epochs=5).examples_by_task(number)
    total = sum(size**exponent for size in sizes.values())
    assert sum(shares.values()) == 3000
    for task, size in sizes.items():
        assert abs(shares[task] - 3000 * size**exponent / total) <= 1


def test_an_annealed_trial_of_one_epoch_keeps_the_proportion():
    sizes = {"a": 100, "b": 200, "c": 600}
    assert plan(sizes, "annealed", epoch_examples=900, epochs=1).examples_by_task(1) == sizes


def test_tasks_of_equal_shares_take_strict_turns():
    steps = plan({"a": 40, "b": 7, "c": 90}, "in_turn", batch_size=5, epoch_examples=90).epoch(3)
    assert [task for ((task, _),) in steps] == ["a", "b", "c"] * 6


@given(plans_of_all)
def test_all_tasks_a_step(plan):
    shares = plan.examples_by_task(2)
    assert max(shares.values()) - min(shares.values()) <= 1
    assert plan.steps_in(2) == math.ceil(max(shares.values()) / plan.batch_size)
    steps = plan.epoch(2)
    for task, share in shares.items():
        sizes = [len(rows) for name, rows in batches(steps) if name == task]
        assert len(sizes) == min(share, len(steps))
        assert not sizes or max(sizes) - min(sizes) <= 1
    order = list(plan.lengths)
    assert all([task for task, _ in step] == [t for t in order if t in dict(step)] for step in steps)


def test_all_tasks_a_step_by_hand():
    steps = plan({"a": 3, "b": 50}, batch_size=4, epoch_examples=20, tasks_per_step="all").epoch(1)
    assert [[task for task, _ in step] for step in steps] == [["a", "b"]] * 3
    for task in ("a", "b"):
        assert sorted(len(dict(step)[task]) for step in steps) == [3, 3, 4]
    drawn = collections.Counter(row for task, rows in batches(steps) if task == "a" for row in rows.tolist())
    assert sorted(drawn.values()) == [3, 3, 4], "a small set is begun anew as often as it takes"


def test_few_examples_leave_tasks_out():
    few = plan({"a": 9, "b": 9, "c": 9}, batch_size=4, epoch_examples=2, tasks_per_step="all")
    assert few.examples_by_task(1) == {"a": 1, "b": 0, "c": 1}
    assert [[task for task, _ in step] for step in few.epoch(1)] == [["a", "c"]]


def test_swaps_are_coin_tosses_by_task_epoch_and_seed():
    sizes = {"a": 4000, "b": 4000}
    tosses = [plan(sizes).swaps("a", 1), plan(sizes).swaps("b", 1), plan(sizes).swaps("a", 2)]
    tosses.append(plan(sizes, seed=1).swaps("a", 1))
    for one, other in itertools.combinations(tosses, 2):
        assert one.dtype == bool
        assert one.shape == (4000,)
        assert abs(one.mean() - 0.5) < 0.03
        assert abs((one == other).mean() - 0.5) < 0.03
    np.testing.assert_array_equal(plan(sizes).swaps("a", 1), tosses[0])


@given(plans_of_one)
def test_turns_are_spread_like_their_slow_twin(plan):
    """At each step the task comes that is furthest behind its share, the first of them in a tie."""
    steps = [task for ((task, _),) in plan.epoch(1)]
    total = collections.Counter(steps)
    done: collections.Counter[str] = collections.Counter()
    order = {task: i for i, task in enumerate(plan.lengths)}
    for task in steps:
        due = min(
            (name for name in total if done[name] < total[name]), key=lambda n: ((done[n] + 0.5) / total[n], order[n])
        )
        assert task == due
        done[task] += 1


def test_batches_hold_like_lengths_in_random_order():
    big = plan({"a": 2000}, batch_size=16, epoch_examples=2000)
    lengths = [big.lengths["a"][rows] for _, rows in batches(big.epoch(1))]
    padded, real = sum(len(b) * b.max() for b in lengths), sum(b.sum() for b in lengths)
    assert padded / real < 1.06  # unsorted batches: about 1.8
    longest = [int(b.max()) for b in lengths]
    assert longest != sorted(longest)


def test_a_task_without_a_share_is_left_out():
    lopsided = plan({"a": 1, "b": 10_000}, "proportional", epoch_examples=20)
    assert lopsided.examples_by_task(1) == {"a": 0, "b": 20}
    assert {task for task, _ in batches(lopsided.epoch(1))} == {"b"}
