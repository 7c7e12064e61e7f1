"""Which model to keep: the chosen configuration's best seed, the soup of its seeds, or an ensemble of all finalists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.statistics.intervals import metric_intervals, overall_interval
from analysis.statistics.selection import Contender
from analysis.winner import ensemble
from analysis.winner.results import Candidate, Estimate, Kind
from analysis.winner.trained import Outputs, Trained
from model.config import TrialConfig
from model.data.tasks import Task
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.network.saved import member_folder, write_ensemble, write_model
from model.training.precision import ConcretePrecision
from search.records import TrialRecord


class Candidates:
    """The models that could be kept, what they say, and which one is."""

    def __init__(
        self,
        chosen: Contender,
        contenders: Sequence[Contender],
        records: Mapping[str, TrialRecord],
        trained: Trained,
        tasks: Sequence[Task],
    ) -> None:
        """`records` are those of the retrained trials, by name."""
        self._records, self._trained, self._tasks = records, trained, tasks
        self._labels = trained.labels("dev")
        self._chosen_on, self._judged_on = ensemble.halves(self._labels)
        said = {one.name: trained.outputs(records[one.name]) for each in contenders for one in each.seeds}
        best = max(chosen.seeds, key=lambda one: one.dev.overall)
        self._members: dict[Kind, list[str]] = {"single": [best.name]}
        self._outputs: dict[Kind, Outputs] = {"single": said[best.name]}
        self._soup: MultitaskBert | None = None
        if len(chosen.seeds) > 1:
            self._add_soup([one.name for one in chosen.seeds])
        if len(said) > 1:
            self._add_ensemble(said)
        self._gains: dict[Kind, Estimate] = {kind: self._gain(kind) for kind in self._outputs if kind != "single"}
        self.kept: Kind = ensemble.kept(self._gains) or "single"

    @property
    def kept_outputs(self) -> Outputs:
        """What the model that is kept says."""
        return self._outputs[self.kept]

    @property
    def combined_outputs(self) -> dict[Kind, Outputs]:
        """What the soup and the ensemble say."""
        return {kind: outputs for kind, outputs in self._outputs.items() if kind != "single"}

    def described(self) -> list[Candidate]:
        """The candidates with all their figures."""
        return [self._candidate(kind) for kind in self._outputs]

    def write(self, folder: Path, encoder: Encoder, precision: ConcretePrecision) -> None:
        """Writes the model that is kept to `folder` (model.network.saved)."""
        if self.kept == "soup":
            assert self._soup is not None, "it was judged"
            write_model(folder, self._soup, encoder, precision)
        elif self.kept == "single":
            (name,) = self._members["single"]
            write_model(folder, self._trained.model(self._records[name]), encoder, precision)
        else:
            counts = Counter(self._members["ensemble"])
            for name in counts:
                model = self._trained.model(self._records[name])
                write_model(member_folder(folder, name), model, encoder, precision)
            write_ensemble(folder, counts)

    def kept_configs(self) -> dict[str, TrialConfig]:
        """The configuration of each member of the model that is kept, by name."""
        return {name: TrialConfig.from_dict(self._records[name].config) for name in sorted(self._members[self.kept])}

    def kept_model(self) -> MultitaskBert:
        """The model that is kept; of an ensemble, the single one."""
        if self.kept == "soup" and self._soup is not None:
            return self._soup
        return self._trained.model(self._records[self._members["single"][0]])

    def _add_soup(self, names: list[str]) -> None:
        records = [self._records[name] for name in names]
        weights = ensemble.soup([self._trained.weights(record) for record in records])
        self._soup = self._trained.model(records[0], weights)
        self._members["soup"], self._outputs["soup"] = names, self._trained.ask(self._soup)

    def _add_ensemble(self, said: Mapping[str, Outputs]) -> None:
        on_dev = {name: outputs["dev"] for name, outputs in said.items()}
        members = ensemble.choose_members(self._tasks, self._labels, on_dev, self._chosen_on)
        if len(set(members)) == 1:
            return  # a single model, as it is
        self._members["ensemble"] = members
        splits = said[members[0]].keys()
        self._outputs["ensemble"] = {
            split: ensemble.combined({name: outputs[split] for name, outputs in said.items()}, members)
            for split in splits
        }

    def _gain(self, kind: Kind) -> Estimate:
        single, other = self._outputs["single"]["dev"], self._outputs[kind]["dev"]
        return ensemble.gain(self._tasks, self._labels, single, other, self._judged_on)

    def _candidate(self, kind: Kind) -> Candidate:
        outputs, trained = self._outputs[kind], self._trained
        labels, predicted = trained.labels("test"), trained.predictions("test", outputs)
        by_task = metric_intervals(self._tasks, labels, predicted)
        return Candidate(
            kind=kind,
            members=sorted(self._members[kind]),
            fitted=ensemble.overall_on(self._tasks, self._labels, outputs["dev"], self._chosen_on),
            gain=self._gains.get(kind),
            kept=kind == self.kept,
            dev=trained.figures("dev", outputs),
            test=trained.figures("test", outputs),
            test_overall=overall_interval(self._tasks, by_task),
            test_by_task=by_task,
        )
