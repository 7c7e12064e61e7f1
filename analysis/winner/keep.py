"""Which model to keep: the chosen configuration's best seed, the soup of its seeds, or an ensemble of all finalists."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from analysis.statistics.intervals import SeedNoise, gain
from analysis.statistics.selection import Contender
from analysis.winner import ensemble
from analysis.winner.results import Candidate, Estimate, Gain, Kind
from analysis.winner.trained import Outputs, Trained
from model.config import PairEncoding, TrialConfig
from model.data.batches import sequence_lengths
from model.data.corpus import Split
from model.data.tasks import Task
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.network.saved import member_folder, write_ensemble, write_model
from model.training.evaluate import decide
from model.training.precision import ConcretePrecision
from search.records import TrialRecord


@dataclass(frozen=True)
class Combination:
    """One trained model, or several as one."""

    kind: Kind
    members: ensemble.Counts
    """By task, then a member's name."""
    records: Mapping[str, TrialRecord]
    """Of the members at least, by name."""
    trained: Trained

    @property
    def names(self) -> list[str]:
        """The members, each once."""
        return sorted({name for counts in self.members.values() for name in counts})

    @cached_property
    def outputs(self) -> Outputs:
        """What it says of dev, test and unlabelled."""
        if self.kind == "soup":
            return self.trained.ask(self.model())
        said = {name: self.trained.outputs(self.records[name]) for name in self.names}
        if self.kind == "single":
            return said[self.names[0]]
        splits = said[self.names[0]].keys()
        return {
            split: ensemble.combined({name: outputs[split] for name, outputs in said.items()}, self.members)
            for split in splits
        }

    def read(self, split: Split) -> dict[str, list[int | None]]:
        """By task, the tokens after which a member cut each example of `split`; None for one that all read whole."""
        tokens, configs = self.trained.tokens, self.configs()
        most, read = tokens.max_length, {}
        for task, counts in self.members.items():
            encodings: set[PairEncoding | None] = {configs[name].tasks[task].pair_encoding for name in counts}
            lengths = [sequence_lengths(tokens.splits[task][split], one, most + 1) for one in encodings]
            read[task] = [most if longest > most else None for longest in np.max(lengths, axis=0).tolist()]
        return read

    def model(self) -> MultitaskBert:
        """Of a single model or a soup: itself."""
        assert self.kind != "ensemble", "it is several"
        records = [self.records[name] for name in self.names]
        weights = ensemble.soup([self.trained.weights(record) for record in records])
        return self.trained.model(records[0], weights)

    def write(self, folder: Path, encoder: Encoder, precision: ConcretePrecision) -> None:
        """Writes it to `folder` (model.network.saved)."""
        most = self.trained.tokens.max_length
        if self.kind != "ensemble":
            write_model(folder, self.model(), encoder, precision, most)
            return
        for name in self.names:
            write_model(member_folder(folder, name), self.trained.model(self.records[name]), encoder, precision, most)
        write_ensemble(folder, self.members)

    def configs(self) -> dict[str, TrialConfig]:
        """The configuration of each member, by name."""
        return {name: TrialConfig.from_dict(self.records[name].config) for name in self.names}


class Candidates:
    """The models that could be kept, and the one that is."""

    def __init__(
        self,
        chosen: Contender,
        contenders: Sequence[Contender],
        records: Mapping[str, TrialRecord],
        trained: Trained,
        tasks: Sequence[Task],
        noise: SeedNoise,
    ) -> None:
        """`records` are those of the retrained trials, by name; `noise` is between trainings of a configuration."""
        self._records, self._trained, self._tasks = records, trained, tasks
        self._labels = trained.labels("dev")
        self._gains: dict[Kind, Gain] = {}
        best = max(chosen.seeds, key=lambda one: one.dev.overall)
        self._luck = noise.luck * (best.dev.overall - statistics.fmean(one.dev.overall for one in chosen.seeds))
        self.single = self.kept = self._alike("single", [best.name])
        self._found = [self.single]
        if len(chosen.seeds) > 1:
            soup = self._alike("soup", [one.name for one in chosen.seeds])
            if ensemble.soup_helps(self._add(soup, soup.outputs["dev"])):
                self.kept = soup
        names = [one.name for each in contenders for one in each.seeds]
        if len(names) > 1:
            together, judged = self._ensemble(names)
            if len(together.names) > 1 and ensemble.ensemble_helps(self._add(together, judged)):
                self.kept = together

    @property
    def combined_outputs(self) -> dict[Kind, Outputs]:
        """What the soup and the ensemble say."""
        return {one.kind: one.outputs for one in self._found if one is not self.single}

    def described(self) -> list[Candidate]:
        """The candidates with all their figures."""
        return [
            Candidate(
                kind=one.kind,
                members=one.members,
                gain=self._gains.get(one.kind),
                kept=one is self.kept,
                dev=self._trained.figures("dev", one.outputs),
                test=self._trained.on_test(one.outputs),
            )
            for one in self._found
        ]

    def _alike(self, kind: Kind, names: Sequence[str]) -> Combination:
        """Of members that count alike in all tasks."""
        counts = {task.name: dict.fromkeys(names, 1) for task in self._tasks}
        return Combination(kind, counts, self._records, self._trained)

    def _ensemble(self, names: Sequence[str]) -> tuple[Combination, ensemble.ByTask]:
        """The ensemble, and what it is judged by: what that of each half says of the other half."""
        said = {name: self._trained.outputs(self._records[name])["dev"] for name in names}
        halves = ensemble.halves(self._labels)
        members, judged = dict[str, dict[str, int]](), dict[str, np.ndarray]()
        for task in self._tasks:
            members[task.name], judged[task.name] = ensemble.cross_fitted(
                task,
                self._labels[task.name],
                {name: outputs[task.name] for name, outputs in said.items()},
                (halves[0][task.name], halves[1][task.name]),
            )
        return Combination("ensemble", members, self._records, self._trained), judged

    def _add(self, other: Combination, judged: ensemble.ByTask) -> Estimate:
        """Takes in a candidate, whose outputs `judged` are compared with those of the one that is best so far."""
        predicted, above = (
            {task.name: decide(task, outputs[task.name]) for task in self._tasks}
            for outputs in (judged, self.kept.outputs["dev"])
        )
        gained = gain(self._tasks, self._labels, predicted, above)
        if self.kept is self.single:
            gained = Estimate(gained.value + self._luck, gained.low + self._luck, gained.high + self._luck)
        self._gains[other.kind] = Gain(self.kept.kind, gained)
        self._found.append(other)
        return gained
