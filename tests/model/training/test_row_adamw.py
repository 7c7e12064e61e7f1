"""AdamW row by row beside torch's own, which updates every row at every step."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from model.training.row_adamw import RowAdamW

ROWS, WIDTH = 40, 6


class Reader(nn.Module):
    """A matrix of which some rows are read, and something else that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(ROWS, WIDTH)
        self.output = nn.Linear(WIDTH, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.output(self.words(ids)).square().mean()


def groups(model: Reader, weight_decay: float) -> list[dict]:
    return [
        {"params": [model.output.bias], "lr": 1e-2, "weight_decay": 0.0},
        {"params": [model.words.weight, model.output.weight], "lr": 1e-2, "weight_decay": weight_decay},
    ]


def both(weight_decay: float) -> tuple[Reader, AdamW, Reader, RowAdamW]:
    torch.manual_seed(0)
    dense = Reader()
    sparse = copy.deepcopy(dense)
    sparse.words.sparse = True
    return (
        dense, AdamW(groups(dense, weight_decay), fused=True),
        sparse, RowAdamW(groups(sparse, weight_decay), sparse.words.weight),
    )  # fmt: skip


def steps(count: int) -> list[torch.Tensor]:
    """The rows of each step: some come often, some seldom, one of them early and then never again, some never."""
    generator = torch.Generator().manual_seed(1)
    found = [(torch.rand(5, generator=generator) ** 3 * (ROWS - 8)).long() for _ in range(count)]
    found[1] = torch.tensor([ROWS - 5, ROWS - 5, 3])
    return found


def set_rate(optimizer: AdamW, step: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = 1e-2 * min(1, (step + 1) / 10) * 0.99**step


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("settle_every", [300, 7, 1])
def test_the_rows_are_those_of_dense_adamw(weight_decay, settle_every):
    dense, dense_optimizer, sparse, sparse_optimizer = both(weight_decay)
    for step, ids in enumerate(steps(300)):
        sparse_optimizer.catch_up(ids)
        torch.testing.assert_close(sparse.words.weight[ids], dense.words.weight[ids], rtol=1e-5, atol=1e-6)
        for model, optimizer in ((dense, dense_optimizer), (sparse, sparse_optimizer)):
            set_rate(optimizer, step)
            model(ids).backward()
            optimizer.step()
            optimizer.zero_grad()
        if (step + 1) % settle_every == 0:
            sparse_optimizer.settle()
    sparse_optimizer.settle()
    for a, b in zip(dense.parameters(), sparse.parameters(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=2e-6)
    mine, theirs = (o.state_dict()["state"] for o in (sparse_optimizer, dense_optimizer))
    assert mine.keys() == theirs.keys()
    for index, state in theirs.items():
        assert {name: tensor.shape for name, tensor in mine[index].items()} == {n: t.shape for n, t in state.items()}
        for name, tensor in state.items():
            torch.testing.assert_close(mine[index][name], tensor, rtol=1e-4, atol=1e-8)


def test_rows_that_are_not_read_are_not_touched():
    _, _, model, optimizer = both(0.1)
    before = model.words.weight.detach().clone()
    model(torch.tensor([1, 4, 4])).backward()
    optimizer.step()
    changed = (model.words.weight != before).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [1, 4]
    optimizer.settle()
    assert (model.words.weight != before).any(dim=1).all(), "the others have decayed"


def test_a_state_goes_on_in_another_optimizer():
    """In the same bits, once it is settled."""
    _, _, model, optimizer = both(0.1)
    order = steps(20)

    def train(model, optimizer, order):
        for ids in order:
            optimizer.catch_up(ids)
            model(ids).backward()
            optimizer.step()
            optimizer.zero_grad()
        optimizer.settle()

    train(model, optimizer, order[:9])
    _, _, other, other_optimizer = both(0.1)
    other.load_state_dict(model.state_dict())
    other_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer, order[9:])
    train(other, other_optimizer, order[9:])
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_step_without_a_gradient_of_the_matrix_leaves_it_as_it_is():
    """As AdamW does with every parameter that has none."""
    dense, dense_optimizer, sparse, sparse_optimizer = both(0.1)
    for ids in (torch.tensor([1, 2]), None, torch.tensor([2, 3])):
        sparse_optimizer.catch_up(torch.arange(0) if ids is None else ids)
        for model, optimizer in ((dense, dense_optimizer), (sparse, sparse_optimizer)):
            (model.output.weight.sum() if ids is None else model(ids)).backward()
            optimizer.step()
            optimizer.zero_grad()
    sparse_optimizer.settle()
    torch.testing.assert_close(sparse.words.weight, dense.words.weight, rtol=1e-5, atol=1e-7)
