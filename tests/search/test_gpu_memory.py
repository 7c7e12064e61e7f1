"""How many trials share a GPU: what is measured, and what comes of the figures. No GPU is needed: theirs are given."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from model.config import TrialConfig
from model.data.tasks import CS224N
from model.network.pretrained import Encoder
from model.problem import Problem
from model.training import memory
from model.training.memory import CONTEXT, Memory, measure
from search import gpu_memory
from search.gpu_memory import DRAWS, candidates, that_fit
from search.resources import Machine, Node
from search.space import load_space
from spaces import full

GB = 10**9


def machine(cores: int = 16, gpus: int = 1) -> Machine:
    return Machine((Node(cores=cores, gpus=gpus), Node(cores=64, gpus=0)))


@pytest.mark.parametrize(
    ("taken", "there", "expected"),
    [
        ([2, 11, 5], machine(), 6),  # 72 of 80 GB, 11 each
        ([2, 3], machine(), 8),  # more would be in each other's way
        ([2, 3], machine(cores=8, gpus=2), 4),  # a core for each
        ([2, 75], machine(), 1),  # one at least
    ],
)
def test_as_many_as_the_largest_allows(taken: list[int], there: Machine, expected: int) -> None:
    found = that_fit([Memory(size * GB, 80 * GB) for size in taken], there)
    assert found.trials == expected
    assert found.largest == max(taken) * GB


def test_says_what_was_measured() -> None:
    found = that_fit([Memory(2 * GB, 80 * GB), Memory(int(11.26 * GB), 79 * GB)], machine())
    assert str(found) == "6 to a GPU: the largest of 2 configurations takes 11.3 GB of 79.0"


def test_the_points_and_random_draws_are_measured() -> None:
    problem = Problem(
        tasks=CS224N, num_layers=6, hidden_size=384, num_heads=12,
        train_size={task.name: 5000 for task in CS224N}, dev_size={task.name: 500 for task in CS224N},
    )  # fmt: skip
    space = load_space(Path(full.__file__), problem)
    found = candidates(space, problem)
    assert len(found) == len(space.points) + DRAWS
    assert len({str(config) for config in found}) == len(found)
    assert [c.to_dict() for c in found] == [c.to_dict() for c in candidates(space, problem)]


def stand_in_for_a_gpu(monkeypatch: pytest.MonkeyPatch, *, total: int, others: int, peak: int) -> None:
    for name, value in {
        "empty_cache": None, "reset_peak_memory_stats": None, "memory_reserved": 10, "max_memory_reserved": peak,
        "mem_get_info": (total - others - CONTEXT - 10, total),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)


def test_what_a_process_takes_and_what_others_leave(monkeypatch: pytest.MonkeyPatch, config, tokens, encoder) -> None:
    stepped: list[tuple[str, int]] = []
    train = memory.train

    def on_cpu(*args, **kwargs):
        training = train(*args, **{**kwargs, "device": "cpu"})
        step = training._step
        monkeypatch.setattr(
            training, "_step",
            lambda parts, *rest: (stepped.extend((task, len(rows)) for task, rows in parts), step(parts, *rest))[1],
        )  # fmt: skip
        return training

    monkeypatch.setattr(memory, "train", on_cpu)
    stand_in_for_a_gpu(monkeypatch, total=80 * GB, others=5 * GB, peak=3 * GB)
    assert measure(config, tokens, encoder, precision="fp32") == Memory(3 * GB + CONTEXT, 75 * GB)
    assert [task for task, _ in stepped] == [task.name for task in CS224N]

    def too_large(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(memory, "train", too_large)
    assert measure(config, tokens, encoder, precision="fp32") == Memory(75 * GB, 75 * GB)


def test_the_longest_examples_are_stepped_on(config: TrialConfig, tokens, encoder: Encoder, monkeypatch) -> None:
    from model.training.loop import train

    training = train(config, tokens, encoder, epochs=1, epoch_examples=1, seed=0, precision="fp32")
    seen: dict[str, list[int]] = {}
    monkeypatch.setattr(
        training, "_step_loss",
        type("Seen", (), {
            "begin_epoch": lambda self, seed: None,
            "after_step": lambda self: None,
            "__call__": lambda self, task, batch: (
                seen.setdefault(task, batch.packing.lengths.tolist()), [torch.zeros(()), torch.zeros(())],
            )[1],
        })(),
    )  # fmt: skip
    training.rehearse()
    size = config.optimization.batch_size
    for task, lengths in seen.items():
        whole = training._plan.lengths[task]
        assert max(lengths) == whole.max()
        assert len(lengths) >= min(size, len(whole))
    assert seen.keys() == {task.name for task in CS224N}


def test_is_measured_on_a_gpu_under_ray(
    monkeypatch: pytest.MonkeyPatch, config: TrialConfig, tokens, encoder: Encoder
) -> None:
    asked: dict[str, object] = {}

    class Remote:
        def remote(self, configs, *_):
            asked["configs"] = len(configs)
            return [Memory(10 * GB, 80 * GB)] * len(configs)

    def remote(**options):
        asked.update(options)
        return lambda function: Remote()

    monkeypatch.setattr(gpu_memory.ray, "remote", remote)
    monkeypatch.setattr(gpu_memory.ray, "get", lambda found: found)
    monkeypatch.setattr(gpu_memory, "candidates", lambda space, problem: [config] * 3)
    found = gpu_memory.trials_that_fit(
        machine(), None, None, tokens, encoder, "bf16", Console(quiet=True)  # type: ignore[arg-type]
    )  # fmt: skip
    assert found.trials == 7
    assert asked == {"num_gpus": 1, "num_cpus": 1, "max_retries": 0, "configs": 3}
    assert found.largest == 10 * GB
