"""The flags of a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from model.errors import UserError
from search.run_folder import check_name


@dataclass(frozen=True)
class Flags:
    """Searches for the best way to fine-tune one BERT for several sentence tasks at once.

    Trials are drawn from a space (Optuna), trained many at a time (Ray Tune), and the weak ones stopped early (ASHA).
    All that is known of the run lies in RUNS_DIR/RUN. Without any flag: a small search on the built-in demo data."""

    space: Path = Path("spaces/full.py")
    """Python file that says what may vary: space(trial, problem) -> TrialConfig."""
    data: Annotated[
        str | None, arg(metavar="FOLDER", help_behavior_hint="(default: data/ where it holds them, else demo)")
    ] = None
    """Folder with the CS224N files, or 'demo', the built-in corpus."""
    encoder: Annotated[
        str | None, arg(metavar="NAME", help_behavior_hint="(default: bert-base-uncased; demo with the demo data)")
    ] = None
    """Pretrained BERT: a Hugging Face id, a folder in its layout, or 'demo', the built-in one."""
    pretrain_epochs: int = 0
    """Passes over all train sentences in which the encoder is first pre-trained further, by masked language modelling;
    every trial starts from what comes of it."""
    trials: int = 20
    """Configurations to try."""
    epochs: int = 6
    """The most epochs a trial may take; weak ones are stopped after 2 (or 6, 18, ...)."""
    early_stopping: Annotated[bool, arg(help_behavior_hint="(default: weak ones are stopped)")] = True
    """Train every trial to its last epoch, however weak it is: for comparisons in which each trial counts."""
    epoch_examples: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint="(default: a third of all, but at most 10000)")
    ] = None
    """Training examples in an epoch, the same for every trial."""
    concurrent: Annotated[
        int | None,
        arg(
            metavar="INT", help_behavior_hint="(default: what the GPUs take; on CPUs one for every 4 cores, at least 2)"
        ),
    ] = None
    """Trials at a time."""
    trials_per_gpu: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: 1)")] = None
    """Trials that share a GPU."""
    address: Annotated[str | None, arg(metavar="ADDRESS", help_behavior_hint="(default: this machine alone)")] = None
    """A running Ray cluster to use, such as 'auto' or 'host:6379', all of whose nodes see the folder of the runs."""
    run: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: date and time)")] = None
    """Name of the run."""
    runs_dir: Path = Path("runs")
    """Where runs lie."""
    seed: int = 0
    """Of the draws and of the training."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """What trials compute in. auto: bf16 where the hardware has it, fp16 on other GPUs, else fp32."""
    dry_run: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: no dry run)")] = None
    """Print N configurations, the POINTS, then random draws, and train none."""


def check_flags(flags: Flags) -> None:
    """Raises UserError for the first flag out of its range."""
    for name in ("trials", "epochs", "epoch_examples", "concurrent", "trials_per_gpu", "dry_run"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value}: allowed is a whole number from 1")
    if flags.pretrain_epochs < 0:
        raise UserError(f"--pretrain-epochs {flags.pretrain_epochs}: allowed is a whole number from 0")
    if not 0 <= flags.seed < 2**32:
        raise UserError(f"--seed {flags.seed}: allowed is a whole number from 0 to {2**32 - 1}")
    if flags.run is not None:
        check_name(flags.runs_dir, flags.run)
