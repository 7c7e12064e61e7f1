"""The flags of a search."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from model.data.corpus import NAMED
from model.errors import UserError
from search.budget import Budget
from search.pareto import OBJECTIVES, OVERALL_ALONE, Objective
from search.run_folder import check_name

Search = Literal["freeze-thaw", "tpe", "random", "one-epoch"]


@dataclass(frozen=True)
class Flags:
    """Searches for the best way to fine-tune one BERT for several sentence tasks at once.

    Trials are drawn from a space (Optuna), trained many at a time (Ray Tune), and the weak ones stopped early.
    All that is known of the run lies in RUNS_DIR/RUN. Without any flag: a small search on the built-in demo data."""

    resume: Annotated[str | None, arg(metavar="[RUN]", help_behavior_hint="(without a name: the newest run)")] = None
    """Go on with a run that was interrupted or killed, or with more --trials or --budget than it had."""
    space: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: spaces/full.py)")] = None
    """Python file that says what may vary: space(trial, problem) -> TrialConfig. Those of this package are found from
    any folder: spaces/full.py, spaces/papers.py, spaces/smoke.py, ..."""
    data: Annotated[
        str | None,
        arg(metavar="FOLDER", help_behavior_hint="(default: data/ where it holds them, else demo; that of --tasks)"),
    ] = None
    """Folder with the tasks' files, of --tasks or CS224N; 'demo', the built-in corpus; or 'hub', CS224N's tasks
    from the Hugging Face hub."""
    tasks: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: the three of CS224N)")] = None
    """TOML file with your own tasks: columns, labels, metric and files of each."""
    encoder: Annotated[
        str | None, arg(metavar="NAME", help_behavior_hint="(default: bert-base-uncased; demo with the demo data)")
    ] = None
    """Pretrained BERT: a Hugging Face id, a folder in its layout, or 'demo', the built-in one."""
    max_tokens: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint="(default: as many as the encoder takes)")
    ] = None
    """Tokens of a sequence beyond which texts are cut: fewer are faster to train on."""
    skip_bad_rows: bool = False
    """Leave out rows of the data that can't be read, and count them; without it, the first one is an error."""
    strict: bool = False
    """Refuse data of which rows of dev stand in train too, or rows of test in train or dev; by default they are counted
    and reported."""
    pretrain_epochs: int = 0
    """Passes over all train sentences in which the encoder is first pre-trained further, by masked language modelling;
    every trial starts from what comes of it."""
    trials: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint="(default: 20; with --budget as many as it takes)")
    ] = None
    """Configurations to try."""
    budget: Annotated[str | None, arg(metavar="BUDGET", help_behavior_hint="(default: no limit)")] = None
    """The most that the run may take in all: a time such as 2h or 1h30m, or a number of epochs such as 300epochs."""
    search: Search = "freeze-thaw"
    """How trials are chosen. freeze-thaw: a model of all learning curves says what is tried next, who is paused and who
    goes on (docs/search.md). tpe, random: Optuna's TPE, or draws that learn nothing; both with ASHA, which stops weak
    trials. one-epoch: random draws, one epoch for all, then the best 3 in full."""
    objectives: Annotated[
        tuple[Objective, ...], arg(metavar="{overall,seconds,parameters} ...", help_behavior_hint="(default: overall)")
    ] = OVERALL_ALONE
    """What is searched for: with several, the trials that no other one beats in all of them (docs/search.md). overall:
    the best score of a trial. seconds: of training in an epoch. parameters: how many are trained, and so are to be
    stored. Of the last two, lower is better."""
    epochs: int = 6
    """The most epochs a trial may take; weak ones are paused or stopped after 2 (or 4, 8, ...; by ASHA 6, 18, ...)."""
    early_stopping: Annotated[bool, arg(help_behavior_hint="(default: weak ones are stopped)")] = True
    """Train every trial to its last epoch, however weak it is: for comparisons in which each trial counts."""
    epoch_examples: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint="(default: a third of all, but at most 10000)")
    ] = None
    """Training examples in an epoch, the same for every trial."""
    concurrent: Annotated[
        int | None,
        arg(
            metavar="INT",
            help_behavior_hint="(default: what the GPUs take; on CPUs one for every 4 cores, at least 2; "
            "on a cluster also more, on nodes that join)",
        ),
    ] = None
    """Trials at a time."""
    trials_per_gpu: Annotated[
        int | Literal["auto"] | None, arg(metavar="INT|auto", help_behavior_hint="(default: 1)")
    ] = None
    """Trials that share a GPU. auto: as many as were measured to find room in its memory, up to 8."""
    address: Annotated[str | None, arg(metavar="ADDRESS", help_behavior_hint="(default: this machine alone)")] = None
    """A running Ray cluster to use, such as 'auto' or 'host:6379', all of whose nodes see the folder of the runs."""
    run: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: date and time)")] = None
    """Name of the run."""
    runs_dir: Path = Path("runs")
    """Where runs lie."""
    seed: int = 0
    """Of the draws and of the training."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """What trials compute in. auto: bf16 where the hardware is faster in it, fp16 on other GPUs, else
    fp32."""
    cache_gb: Annotated[float | None, arg(metavar="GB", help_behavior_hint="(default: 8)")] = None
    """Disk, on each node, for what frozen layers put out (in ~/.cache/minbert-search): that is computed once for all
    trials and runs. 0: it is computed anew in every step."""
    dry_run: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: no dry run)")] = None
    """Print what was found in the inputs and N configurations, the POINTS, then random draws, and train none."""


_MAY_CHANGE = ("resume", "trials", "budget", "concurrent", "trials_per_gpu", "address", "cache_gb", "runs_dir")
"""What a resumed run may be given anew: how much there is to do, and with what."""
_FOR_TRIALS = (
    *("trials", "budget", "search", "objectives", "epochs", "early_stopping", "epoch_examples", "concurrent"),
    *("trials_per_gpu", "address", "run", "runs_dir", "precision", "cache_gb"),
)
"""Of no effect where none is trained."""


def check_flags(flags: Flags) -> None:
    """Raises UserError for the first flag out of its range, or without effect."""
    for name in ("trials", "epochs", "epoch_examples", "concurrent", "trials_per_gpu", "max_tokens", "dry_run"):
        value = getattr(flags, name)
        if isinstance(value, int) and value < 1:
            raise UserError(f"{_typed(name)} {value}: allowed is a whole number from 1{_OR_AUTO.get(name, '')}")
    if flags.pretrain_epochs < 0:
        raise UserError(f"--pretrain-epochs {flags.pretrain_epochs}: allowed is a whole number from 0")
    if flags.cache_gb is not None and not 0 <= flags.cache_gb < math.inf:
        raise UserError(f"--cache-gb {flags.cache_gb}: allowed is a number from 0")
    if not 0 <= flags.seed < 2**32:
        raise UserError(f"--seed {flags.seed}: allowed is a whole number from 0 to {2**32 - 1}")
    if flags.tasks is not None and flags.data in NAMED:
        raise UserError(f"--data {flags.data} has tasks of its own; leave out --tasks, or give a folder")
    Budget.parse(flags.budget)
    if flags.search == "one-epoch":
        if flags.budget and not flags.trials:
            raise UserError("--search one-epoch must know how many trials all is: give --trials with --budget")
        if not flags.early_stopping:
            raise UserError("--no-early-stopping can't be given with --search one-epoch, which is to stop trials early")
    _check_objectives(flags)
    if flags.resume is not None:
        for name in _given(flags):
            if name not in _MAY_CHANGE:
                allowed = ", ".join(_typed(name) for name in _MAY_CHANGE if name != "resume")
                raise UserError(
                    f"{_typed(name)} can't be given with --resume: the run goes on as it began; allowed: {allowed}"
                )
    elif flags.run is not None and flags.dry_run is None:  # which makes no run
        check_name(flags.runs_dir, flags.run)


def without_effect(flags: Flags) -> list[str]:
    """What was typed that a dry run makes nothing of. It is not refused: to see what a search would try, --dry-run is
    added to its command."""
    return [] if flags.dry_run is None else [_typed(name) for name in _given(flags) if name in _FOR_TRIALS]


def _given(flags: Flags) -> list[str]:
    """The fields that are not at their default."""
    return [field.name for field in fields(flags) if getattr(flags, field.name) != field.default]


def _check_objectives(flags: Flags) -> None:
    given = f"--objectives {' '.join(flags.objectives)}".strip()
    if "overall" not in flags.objectives or len({*flags.objectives}) < len(flags.objectives):
        others = " or ".join(objective for objective in OBJECTIVES if objective != "overall")
        raise UserError(f"{given}: allowed is overall, alone or with {others} or both, each once")
    if len(flags.objectives) > 1 and flags.search != "freeze-thaw":
        raise UserError(f"{given}: --search {flags.search} knows overall alone; allowed: --search freeze-thaw")


_OR_AUTO = {"trials_per_gpu": ", or auto"}


def _typed(name: str) -> str:
    return "--no-early-stopping" if name == "early_stopping" else "--" + name.replace("_", "-")
