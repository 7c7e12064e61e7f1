"""The README of a saved model: what people and Hugging Face's hub read of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from huggingface_hub import ModelCard as HubCard
from huggingface_hub import ModelCardData

from analysis.winner.model_card import ModelCard, write_model_card
from analysis.winner.results import Estimate, Figures, OnTest
from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.network.saved import member_folder, write_ensemble, write_model
from tests.support import tiny_config, tiny_encoder

DEV = Figures(
    by_task={"sentiment": 0.5311, "paraphrase": 0.8911, "similarity": 0.8811},
    overall=0.7875,
    overall_2023=0.7678,
    clean_by_task={"sentiment": 0.53, "paraphrase": 0.89, "similarity": 0.88},
    clean_overall=0.7867,
)
TEST = Figures(
    by_task={"sentiment": 0.52, "paraphrase": 0.88, "similarity": 0.87},
    overall=0.7783,
    overall_2023=0.7567,
    clean_by_task={"sentiment": 0.51, "similarity": 0.86},
    clean_overall=None,
)
TESTED = OnTest(
    figures=TEST,
    overall=Estimate(0.7783, 0.7671, 0.7895),
    by_task={
        "sentiment": Estimate(0.52, 0.4991, 0.5409),
        "paraphrase": Estimate(0.88, 0.8741, 0.8857),
        "similarity": Estimate(0.87, 0.8533, 0.8852),
    },
)
CHANCE = Figures(
    by_task={"sentiment": 0.2308, "paraphrase": 0.6284, "similarity": 0.0},
    overall=0.4531,
    overall_2023=0.2864,
    clean_by_task={},
    clean_overall=None,
)
TASKS = ("sentiment", "paraphrase", "similarity")
CARD = ModelCard(
    run="full",
    kind="single",
    members={task: {"t007-seed-2": 1} for task in TASKS},
    dev=DEV,
    test=TESTED,
    chance=CHANCE,
    configs={"t007-seed-2": tiny_config()},
    tasks=CS224N,
    encoder="google-bert/bert-base-uncased",
    data="/home/someone/cs224n",
    train_size={"sentiment": 8544, "paraphrase": 141498, "similarity": 6040},
    test_size={"sentiment": 2210, "paraphrase": 20215, "similarity": 863},
    precision="bf16",
    max_tokens=128,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    encoder = tiny_encoder()
    write_model(tmp_path / "model", MultitaskBert(tiny_config(), CS224N, encoder), encoder, "bf16")
    return tmp_path / "model"


def written(folder: Path, card: ModelCard) -> str:
    write_model_card(folder, card)
    return (folder / "README.md").read_text()


def test_the_hub_reads_its_head(model: Path) -> None:
    write_model_card(model, CARD)
    head = HubCard.load(model / "README.md").data
    assert isinstance(head, ModelCardData)
    assert head.language == "en"
    assert head.base_model == "google-bert/bert-base-uncased"
    assert head.tags == ["bert", "multi-task", "sentiment", "paraphrase", "similarity"]
    assert head.metrics == ["accuracy", "pearsonr"]
    assert head.eval_results is not None
    assert {(one.task_name, one.metric_type, one.metric_value) for one in head.eval_results} == {
        ("sentiment", "accuracy", 0.52),
        ("paraphrase", "accuracy", 0.88),
        ("similarity", "pearsonr", 0.87),
    }


def test_macro_f1_is_not_taken_for_that_of_one_class(model: Path) -> None:
    tasks = (dataclasses.replace(CS224N[0], metric="macro_f1"), *CS224N[1:])
    write_model_card(model, dataclasses.replace(CARD, tasks=tasks))
    head = HubCard.load(model / "README.md").data
    assert isinstance(head, ModelCardData)
    assert head.eval_results is not None
    told = {one.task_name: (one.metric_type, one.metric_name, one.metric_args) for one in head.eval_results}
    assert told["sentiment"] == ("f1", "macro F1", {"average": "macro"})
    assert told["similarity"] == ("pearsonr", "Pearson's r", None)


def test_each_member_pools_in_its_own_way(model: Path) -> None:
    mean = tiny_config(encoder={"pooling": "mean"})
    card = dataclasses.replace(CARD, kind="ensemble", configs={"t001": tiny_config(), "t002": mean, "t003": mean})
    assert (
        "a sentence's vector is in t001 the state of its [CLS] through the pooler (`pooler_output`), in t002 and "
        "t003 the mean of all its tokens' states" in written(model, card)
    )


def test_scores_stand_beside_their_intervals(model: Path) -> None:
    text = written(model, CARD)
    assert "| sentiment, accuracy | 2210 | 0.5200 | 0.4991 to 0.5409 | 0.2308 | 0.5100 | 0.5311 |" in text
    assert "| paraphrase, accuracy | 20215 | 0.8800 | 0.8741 to 0.8857 | 0.6284 |  | 0.8911 |" in text
    assert "| similarity, Pearson's r | 863 | 0.8700 | 0.8533 to 0.8852 | 0.0000 | 0.8600 | 0.8811 |" in text
    assert "| overall (2024) |  | 0.7783 | 0.7671 to 0.7895 | 0.4531 |  | 0.7875 |" in text
    assert "| overall (2023) |  | 0.7567 |  | 0.2864 |  | 0.7678 |" in text
    assert "Dev was used to choose this model" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows if "test" in line or "0." in line} == {8}
    assert "better than chance" not in text


def test_what_is_not_shown_to_be_better_than_chance_is_told(model: Path) -> None:
    chance = dataclasses.replace(CHANCE, by_task={**CHANCE.by_task, "sentiment": 0.5})
    told = "**Not shown to be better than chance on test: sentiment (0.4991 to 0.5409, chance 0.5000).** Neither"
    assert told in written(model, dataclasses.replace(CARD, chance=chance))


def test_dev_that_was_trained_on_is_no_score(model: Path) -> None:
    text = written(model, dataclasses.replace(CARD, dev=None))
    assert "| sentiment, accuracy | 2210 | 0.5200 | 0.4991 to 0.5409 | 0.2308 | 0.5100 |\n" in text
    assert "0.5311" not in text
    assert "Dev was used" not in text
    assert "Trained on train and dev: sentiment 8544, paraphrase 141498 and similarity 6040 examples." in text


def test_what_a_person_needs_to_know(model: Path) -> None:
    text = written(model, CARD)
    for line in (
        "# full: one BERT for sentiment, paraphrase and similarity",
        "A single model, t007-seed-2.",
        "| similarity | `sentence1` and `sentence2` | a number, 0 to 5 |",
        "| sentiment | `sentence` | a class from 0 to 4, and the probability of each |",
        "python -m analysis.predict MODEL FILE --task similarity",
        "FILE a comma- or tab-separated table, or JSON lines (.jsonl), with the columns that the task reads",
        'encoder = AutoModel.from_pretrained("MODEL/encoder")',
        "head_learning_rate 0.01",
        "Found by the Python package minbert-search, which searches for",
        'model = load("MODEL")\nmodel.predict([("A text.", "Its other text.")], task="similarity")',
        "a sentence's vector is the state of its [CLS] through the pooler",
        "128 tokens",
        "computed in bf16",
    ):
        assert line in text
    assert "/home/someone" not in text, "a path is of one machine"
    assert "not part of it" not in text
    assert "It costs" not in text


def test_names_of_ones_own_end_no_cell(model: Path) -> None:
    binary = dataclasses.replace(CS224N[1], label_names=("a|b", "c"), sentence_columns=("one|two", "three"))
    named = dataclasses.replace(CS224N[0], label_names=("a|b", "c\nd", "e", "f", "g"))
    text = written(model, dataclasses.replace(CARD, tasks=(named, binary, CS224N[2])))
    assert "| paraphrase | `one\\|two` and `three` | a\\|b or c, and the probability of c |" in text
    assert "| sentiment | `sentence` | one of a\\|b, c d, e, f, g, and the probability of each |" in text


def test_an_encoder_of_ones_own_is_not_on_the_hub(model: Path) -> None:
    text = written(model, dataclasses.replace(CARD, encoder="/home/someone/my-bert"))
    assert "from the encoder `my-bert`" in text
    assert "base_model" not in text


def test_a_soup(model: Path) -> None:
    names = ["winner-seed-1", "winner-seed-2", "winner-seed-3"]
    members = dict.fromkeys(TASKS, dict.fromkeys(names, 1))
    card = dataclasses.replace(CARD, kind="soup", members=members, configs=dict.fromkeys(names, tiny_config()))
    text = written(model, card)
    assert (
        "The mean of the weights of 3 trainings of one configuration: winner-seed-1, winner-seed-2 and winner-seed-3."
    ) in text
    assert text.count("head_learning_rate") == 1, "one configuration is told once"


def test_an_ensemble(tmp_path: Path) -> None:
    encoder = tiny_encoder()
    configs = {
        "t001": tiny_config(encoder={"branch_layers": 1}),
        "t007": tiny_config(head={"common_layers": 1}),
    }
    for name, config in configs.items():
        model = MultitaskBert(config, CS224N, encoder)
        write_model(member_folder(tmp_path, name), model, encoder, "bf16")
    members = {"sentiment": {"t007": 2, "t001": 1}, "paraphrase": {"t001": 1}, "similarity": {"t007": 1}}
    write_ensemble(tmp_path, members)
    text = written(tmp_path, dataclasses.replace(CARD, kind="ensemble", members=members, configs=configs))
    assert (
        "The means of the outputs of 2 models: for sentiment, t001 and t007 (2 times); paraphrase, t001; similarity, "
        "t007."
    ) in text
    assert (
        "Encoders here: `members/t001/encoders/paraphrase`, `members/t001/encoders/sentiment`, "
        "`members/t001/encoders/similarity` and `members/t007/encoder`."
    ) in text
    assert "branch_layers 1" in text
    assert "common_layers 1" in text
    assert "It costs as much as its 2 models, of each task those that count there." in text


def test_adapters_are_not_in_the_encoder(model: Path) -> None:
    config = type(tiny_config()).from_dict(tiny_config().to_dict() | {"encoder": {"adapter": {"lhuc": True}}})
    assert "The adapters inside its layers are not part of it" in written(
        model, dataclasses.replace(CARD, configs={"t007-seed-2": config})
    )
