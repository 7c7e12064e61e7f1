"""The card of a saved model: README.md in its folder, as Hugging Face's hub shows it.

Model Cards for Model Reporting (Mitchell et al. 2019, https://arxiv.org/abs/1810.03993): what it is, what it was
trained on, how good it is on what, how to use it, and where not to trust it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from analysis.winner.results import Estimate, Figures, Kind, OnTest, at_chance
from model.config import TrialConfig
from model.data.scores import SIGNED
from model.data.tasks import CS224N, METRIC_NAMES, Binary, Classes, Metric, Number, Task
from model.describe import describe
from model.training.precision import ConcretePrecision

_METRICS: dict[Metric, str] = {
    "accuracy": "accuracy",
    "macro_f1": "f1",
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}
"""As the hub calls them."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What there is to say of a saved model."""

    run: str
    """The run's name."""
    kind: Kind
    members: Mapping[str, Mapping[str, int]]
    """By task, then member: see `Candidate`."""
    dev: Figures | None
    """None where it was trained on dev too."""
    test: OnTest
    chance: Figures
    """On test (Results.chance)."""
    configs: Mapping[str, TrialConfig]
    """By member's name."""
    tasks: Sequence[Task]
    encoder: str
    """What the run was given (RunInfo): `demo`, a folder's absolute path, or a hub id."""
    data: str
    """`demo`, `hub`, or a folder's absolute path."""
    train_size: Mapping[str, int]
    """Examples it was trained on, by task."""
    test_size: Mapping[str, int]
    precision: ConcretePrecision
    """What its scores were computed in."""
    max_tokens: int
    """Of a sequence, beyond which it cuts texts."""


def write_model_card(folder: Path, card: ModelCard) -> None:
    """Writes the README.md of the model in `folder`, where all its files lie already."""
    encoders = [path.parent.relative_to(folder) for path in sorted(folder.rglob("tokenizer.json"))]
    names = _listed([task.name for task in card.tasks])
    sections = [
        f"---\n{_metadata(card)}\n---",
        f"# {card.run}: one BERT for {names}",
        f"{_what_it_is(card)} Found by the Python package minbert-search, which searches for the best way to fine-tune "
        f"one BERT for several sentence tasks at once, on the data `{_short(card.data)}` from the encoder "
        f"`{_short(card.encoder)}`.",
        "## Tasks\n\n" + _table(["task", "reads", "says"], [[t.name, _reads(t), _says(t)] for t in card.tasks]),
        f"## Scores\n\n{_scores(card)}",
        f"## Training\n\n{_training(card)}",
        f"## Use\n\n{_use(card, encoders)}",
        f"## Limits\n\n{_limits(card)}",
    ]
    (folder / "README.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _metadata(card: ModelCard) -> str:
    """The YAML that the hub reads."""
    test = card.test.figures.by_task
    on_hub = card.encoder != "demo" and not Path(card.encoder).is_absolute()
    data = ModelCardData(
        language="en" if tuple(card.tasks) == CS224N else None,
        base_model=card.encoder if on_hub else None,
        tags=["bert", "multi-task", *(task.name for task in card.tasks)],
        metrics=sorted({_METRICS[task.metric] for task in card.tasks}),
        model_name=card.run,
        eval_results=[
            EvalResult(
                task_type="sentence-similarity" if task.is_pair and task.kind == "number" else "text-classification",
                task_name=task.name,
                dataset_type=_short(card.data),
                dataset_name=f"{_short(card.data)}, {task.name}",
                dataset_config=task.name,  # the hub takes results on one configuration for one task's
                dataset_split="test",
                metric_type=_METRICS[task.metric],
                metric_name=METRIC_NAMES[task.metric],
                metric_args={"average": "macro"} if task.metric == "macro_f1" else None,
                metric_value=round(test[task.name], 4),
            )
            for task in card.tasks
        ],
    )
    return data.to_yaml()


def _what_it_is(card: ModelCard) -> str:
    match card.kind:
        case "single":
            return f"A single model, {_listed(card.configs)}."
        case "soup":
            return f"The mean of the weights of {len(card.configs)} trainings of one configuration: " + (
                f"{_listed(card.configs)}."
            )
        case "ensemble":
            by_task = "; ".join(f"{task}, {_counted(counts)}" for task, counts in card.members.items())
            return f"The means of the outputs of {len(card.configs)} models: for {by_task}."


def _counted(counts: Mapping[str, int]) -> str:
    return _listed([name if count == 1 else f"{name} ({count} times)" for name, count in sorted(counts.items())])


def _scores(card: ModelCard) -> str:
    test, chance, dev, rows = card.test.figures, card.chance, card.dev, []
    for task in card.tasks:
        by_chance, clean = _number(chance.by_task[task.name]), _number(test.clean_by_task.get(task.name))
        own = [by_chance, clean, *([_number(dev.by_task[task.name])] if dev else [])]
        name = f"{task.name}, {METRIC_NAMES[task.metric]}"
        rows.append([name, str(card.test_size[task.name]), *_interval(card.test.by_task[task.name]), *own])
    own = [_number(chance.overall), _number(test.clean_overall), *([_number(dev.overall)] if dev else [])]
    both_formulas = test.overall_2023 is not None
    rows.append(["overall (2024)" if both_formulas else "overall", "", *_interval(card.test.overall), *own])
    if both_formulas:
        old = [_number(test.overall_2023), "", _number(chance.overall_2023), ""]
        rows.append(["overall (2023)", "", *old, *([_number(dev.overall_2023)] if dev else [])])
    columns = [
        "",
        "test sentences or pairs",
        "test",
        "95% interval",
        "chance",
        "test, clean",
        *(["dev"] if dev else []),
    ]
    correlations = ", with (r + 1) / 2 for correlations r" if any(task.metric in SIGNED for task in card.tasks) else ""
    not_better = at_chance(card.test, chance)
    return (
        f"{_table(columns, rows)}\n\n"
        + (f"**{not_better}** " if not_better else "")
        + "Neither the search nor training was given test. Chance: what one and the same prediction for every row "
        "scores at best. Clean: without the rows that stand in train or dev too. Overall is the mean of the scores"
        + correlations
        + (" (2024) or r as it is (2023)." if both_formulas else ".")
        + (" Dev was used to choose this model, and flatters it." if dev else "")
    )


def _training(card: ModelCard) -> str:
    sizes = _listed([f"{task.name} {card.train_size[task.name]}" for task in card.tasks])
    by_config: dict[str, list[str]] = {}
    for name, config in card.configs.items():
        by_config.setdefault("\n".join(describe(config)), []).append(name)
    blocks = [f"{_listed(names)}:\n\n```\n{lines}\n```" for lines, names in by_config.items()]
    split = "train" if card.dev else "train and dev"
    return (
        f"Trained on {split}: {sizes} examples. Its configuration, but for fields at their default, by member:\n\n"
        + "\n\n".join(blocks)
    )


def _use(card: ModelCard, encoders: Sequence[Path]) -> str:
    task = card.tasks[-1]
    adapted = any(config.encoder.adapter is not None for config in card.configs.values())
    texts = '("A text.", "Its other text.")' if task.is_pair else '"A text.", "Another text."'
    return (
        "With the package minbert-search installed:\n\n"
        f"```\npython -m analysis.predict MODEL FILE --task {task.name}\n```\n\n"
        "MODEL is this folder, FILE a comma- or tab-separated table, or JSON lines (.jsonl), with the columns that "
        "the task reads. In Python:\n\n"
        "```python\nfrom analysis.predict import load\n\n"
        f'model = load("MODEL")\nmodel.predict([{texts}], task="{task.name}")\n```\n\n'
        "The encoder alone, a BERT in Hugging Face's layout, gives states of tokens"
        f"{_pooled(card)}:\n\n"
        "```python\nfrom transformers import AutoModel, AutoTokenizer\n\n"
        f'encoder = AutoModel.from_pretrained("MODEL/{encoders[0]}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("MODEL/{encoders[0]}")\n```'
        + (f"\n\nEncoders here: {_listed([f'`{path}`' for path in encoders])}." if len(encoders) > 1 else "")
        + ("\n\nThe adapters inside its layers are not part of it: they lie with the heads." if adapted else "")
    )


def _pooled(card: ModelCard) -> str:
    """What the model makes a sentence's vector of."""
    ways = {
        "mean": "the mean of all its tokens' states, [CLS] and [SEP] included",
        "pooler": "the state of its [CLS] through the pooler (`pooler_output`)",
    }
    used: dict[str, list[str]] = {}
    for name, config in card.configs.items():
        used.setdefault(ways[config.encoder.pooling], []).append(name)
    if len(used) == 1:
        return f"; a sentence's vector is {next(iter(used))}"
    return "; a sentence's vector is " + ", ".join(f"in {_listed(names)} {way}" for way, names in used.items())


def _limits(card: ModelCard) -> str:
    lines = [
        f"Sentences like those of `{_short(card.data)}`: what the scores are on others is not known.",
        f"It reads the first {card.max_tokens} tokens of a text, special ones included; of a pair that is read as one "
        "sequence the longer text is cut.",
        f"Its scores were computed in {card.precision}, in which it predicts as well. The same file gives the same "
        "predictions on the same machine; on another one the last digits may differ.",
        "What a pretrained encoder took up from its texts, prejudice included, is still in it.",
    ]
    if any(isinstance(task.label, Number) for task in card.tasks):
        lines.append("Predicted numbers are not cut to their range.")
    if card.kind == "ensemble":
        lines.append(f"It costs as much as its {len(card.configs)} models, of each task those that count there.")
    return "\n".join(f"- {line}" for line in lines)


def _reads(task: Task) -> str:
    return _listed([f"`{column}`" for column in task.sentence_columns])


def _says(task: Task) -> str:
    match task.label:
        case Classes(count=count):
            classes = f"one of {_few(task.classes)}" if task.label_names else f"a class from 0 to {count - 1}"
            return f"{classes}, and the probability of each"
        case Binary():
            return f"{' or '.join(task.classes)}, and the probability of {task.classes[1]}"
        case Number(low=low, high=high):
            return f"a number, {low:g} to {high:g}"


def _few(names: Sequence[str]) -> str:
    """All of them, or where they are many the first."""
    return ", ".join(names) if len(names) <= 10 else f"{', '.join(names[:8])} and {len(names) - 8} others"


def _short(place: str) -> str:
    """Of a folder its name alone: a path is of one machine."""
    return Path(place).name if Path(place).is_absolute() else place


def _interval(estimate: Estimate) -> list[str]:
    return [f"{estimate.value:.4f}", f"{estimate.low:.4f} to {estimate.high:.4f}"]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _listed(items: Mapping[str, object] | Sequence[str]) -> str:
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """What of one's own may stand in it, names of classes and columns, ends neither the cell nor the row."""
    return text.replace("|", "\\|").replace("\n", " ")
