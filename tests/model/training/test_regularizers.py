"""SMART, noise stability and the teacher beside slow twins written from the papers' formulas; random streams."""

import pytest
import torch
from torch import nn

from model.training.losses import Objective
from model.training.regularizers import Replay, Teacher, noise_stability, smart

BATCH, TOKENS, UNITS, CLASSES = 3, 4, 5, 3
CLASSIFIER = Objective(loss="cross_entropy", scale=1.0, threshold=0.5, binary=False)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


class Small(nn.Module):
    """Two layers and a head; dropout in each."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.layers = nn.ParameterList([normal(UNITS, UNITS, seed=i) for i in (1, 2)])
        self.head = nn.Parameter(normal(UNITS, CLASSES, seed=3))
        self.dropout = nn.Dropout(dropout)

    def trajectory(self, hidden):
        outputs = []
        for layer in self.layers:
            hidden = torch.tanh(self.dropout(hidden) @ layer.to(hidden.dtype))
            outputs.append(hidden)
        return outputs

    def forward(self, hidden):
        return self.dropout(self.trajectory(hidden)[-1]).mean(dim=1) @ self.head.to(hidden.dtype)


def same_value_and_gradients(fast, slow):
    """Of two functions of (model, hidden), wrt all parameters and hidden; the slow one in fp64."""
    results = []
    for function, dtype in ((fast, torch.float32), (slow, torch.float64)):
        model, hidden = Small().to(dtype), normal(BATCH, TOKENS, UNITS).to(dtype).requires_grad_()
        value = function(model, hidden)
        assert all(p.grad is None for p in (hidden, *model.parameters())), "a gradient left behind"
        gradients = torch.autograd.grad(value, [hidden, *model.parameters()], materialize_grads=True)
        results.append([value.detach().double(), *(gradient.double() for gradient in gradients)])
    assert results[0][0] > 1e-4
    assert results[0][1].abs().max() > 1e-4
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)


def kl(p, q):
    total = torch.zeros((), dtype=torch.float64)
    for row_p, row_q in zip(p, q, strict=True):
        big_p, big_q = torch.exp(row_p) / torch.exp(row_p).sum(), torch.exp(row_q) / torch.exp(row_q).sum()
        total = total + sum(a * torch.log(a / b) for a, b in zip(big_p, big_q, strict=True))
    return total / len(p)


def symmetric_kl(p, q):
    return kl(p, q) + kl(q, p)


def length(vector, norm):
    return max(abs(x) for x in vector) if norm == "linf" else sum(x**2 for x in vector) ** 0.5


def slow_smart(model, hidden, *, steps, step_size, noise, epsilon, norm, generator):
    clean, target = hidden.detach(), model(hidden).detach()
    moved = clean + noise * torch.randn(hidden.shape, generator=generator).double()
    for _ in range(steps):
        moved = moved.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(symmetric_kl(model(moved), target), moved)
        moved = moved.detach().clone()
        for b in range(BATCH):
            for t in range(TOKENS):
                step = step_size * gradient[b, t] / length(gradient[b, t].tolist(), norm)
                away = moved[b, t] + step - clean[b, t]
                if norm == "linf":
                    away = torch.tensor([min(max(x, -epsilon), epsilon) for x in away.tolist()]).double()
                elif length(away.tolist(), norm) > epsilon:
                    away = away * epsilon / length(away.tolist(), norm)
                moved[b, t] = clean[b, t] + away
    return symmetric_kl(model(hidden + (moved - clean)), model(hidden))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(("step_size", "epsilon"), [(0.1, 5.0), (0.5, 0.3)], ids=["inside", "projected"])
def test_smart_is_like_its_slow_twin(norm, steps, step_size, epsilon):
    parts = {"steps": steps, "step_size": step_size, "noise": 0.1, "epsilon": epsilon, "norm": norm}
    same_value_and_gradients(
        lambda model, hidden: smart(model, hidden, model(hidden), CLASSIFIER.divergence, **parts, generator=seeded()),
        lambda model, hidden: slow_smart(model, hidden, **parts, generator=seeded()),
    )


def slow_noise_stability(model, hidden, noise, generator):
    moved = hidden + noise * torch.randn(hidden.shape, generator=generator).double()
    total = 0
    for clean, noisy in zip(model.trajectory(hidden), model.trajectory(moved), strict=True):
        squares = [
            (noisy[b, t, c] - clean[b, t, c]) ** 2 for b in range(BATCH) for t in range(TOKENS) for c in range(UNITS)
        ]
        total = total + sum(squares) / len(squares)
    return total


def test_noise_stability_is_like_its_slow_twin():
    same_value_and_gradients(
        lambda model, hidden: noise_stability(
            model.trajectory, hidden, model.trajectory(hidden), noise=0.3, generator=seeded()
        ),
        lambda model, hidden: slow_noise_stability(model, hidden, 0.3, seeded()),
    )


def smart_term(model, hidden, logits, replay, generator):
    def predict(moved):
        with replay():
            return model(moved)

    parts = {"steps": 2, "step_size": 1e-3, "noise": 1e-5, "epsilon": 1e-6, "norm": "linf"}
    return smart(predict, hidden, logits, CLASSIFIER.divergence, **parts, generator=generator)


def noise_term(model, hidden, logits, replay, generator):
    def trajectory(moved):
        with replay():
            return model.trajectory(moved)

    return noise_stability(trajectory, hidden, trajectory(hidden), noise=0.05, generator=generator)


def trained(term, weight, steps=4):
    torch.manual_seed(0)
    model, generator = Small(dropout=0.5), seeded()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(steps):
        hidden, labels = torch.randn(BATCH, TOKENS, UNITS), torch.randint(CLASSES, (BATCH,)).float()
        replay = Replay(torch.device("cpu"))
        logits = model(hidden)
        loss = CLASSIFIER.batch_loss(logits, labels)
        if term is not None:
            loss = loss + weight * term(model, hidden, logits, replay, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("term", [smart_term, noise_term])
def test_a_weight_of_0_trains_as_without_the_term_in_the_same_bits(term):
    without = trained(None, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(trained(term, 0.0), without, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(trained(term, 1e3), without, strict=True))


def test_with_the_same_dropout_masks_smart_is_of_the_move_alone():
    model, hidden, terms = Small(dropout=0.5), normal(BATCH, TOKENS, UNITS), []
    for same in (True, False):
        replay = Replay(torch.device("cpu"))
        logits = model(hidden)
        terms.append(smart_term(model, hidden, logits if same else model(hidden), replay, seeded()).item())
    assert 0 <= terms[0] < terms[1] / 1000


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_smart_is_0_where_nothing_changes_the_prediction(norm):
    parameter = torch.ones(CLASSES, requires_grad=True)
    hidden = normal(BATCH, TOKENS, UNITS).requires_grad_()

    def predict(moved):
        return parameter + 0 * moved.sum(dim=(1, 2))[:, None]

    parts = {"steps": 2, "step_size": 1e-3, "noise": 1e-5, "epsilon": 1e-6, "norm": norm}
    term = smart(predict, hidden, predict(hidden), CLASSIFIER.divergence, **parts, generator=seeded())
    assert term == 0
    for gradient in torch.autograd.grad(term, [parameter, hidden]):
        assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_small_move_is_not_rounded_away_where_hidden_states_are_in_half_precision(norm):
    model, hidden, seen = Small(), normal(BATCH, TOKENS, UNITS).bfloat16() / 8, []

    def predict(moved):
        seen.append((moved - hidden.float()).detach())
        return model(moved)

    parts = {"steps": 1, "step_size": 1e-3, "noise": 1e-5, "epsilon": 1e-6, "norm": norm}
    smart(predict, hidden, model(hidden.float()), CLASSIFIER.divergence, **parts, generator=seeded())
    assert [move.dtype for move in seen] == [torch.float32] * 2
    assert seen[0].std().item() == pytest.approx(1e-5, rel=0.3)
    size = torch.linalg.vector_norm(seen[1], ord=torch.inf if norm == "linf" else 2, dim=-1)
    torch.testing.assert_close(size, torch.full_like(size, 1e-6), rtol=0.1, atol=0)


DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]


@pytest.mark.parametrize("device", DEVICES)
def test_replay_draws_again_and_leaves_no_trace(device):
    def draw():
        return torch.rand(3).tolist() + torch.rand(3, device=device).tolist()

    torch.manual_seed(0)
    expected = [draw() for _ in range(3)]
    torch.manual_seed(0)
    replay = Replay(torch.device(device))
    assert draw() == expected[0]
    for _ in range(2):
        with replay():
            assert [draw(), draw()] == expected[:2]
    assert draw() == expected[1]
    with pytest.raises(ZeroDivisionError), replay():
        assert draw()[0] / 0
    assert draw() == expected[2]


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.99, 1.0])
def test_the_teacher_is_like_its_slow_twin(momentum):
    model = Small()
    parameters = dict(model.named_parameters())
    teacher = Teacher(parameters, momentum)
    expected = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    for step in range(3):
        for name, parameter in parameters.items():
            torch.testing.assert_close(teacher.weights[name], expected[name])
            assert not teacher.weights[name].requires_grad
            with torch.no_grad():
                parameter += normal(*parameter.shape, seed=step)
        teacher.update()
        expected = {
            name: momentum * weight + (1 - momentum) * parameters[name].detach() for name, weight in expected.items()
        }
    for name, weight in teacher.weights.items():
        torch.testing.assert_close(weight, expected[name])
        if momentum == 0:
            assert torch.equal(weight, parameters[name])


def test_a_teacher_goes_on_in_the_same_bits():
    parameters = dict(Small().named_parameters())
    teacher = Teacher(parameters, 0.9)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.mul_(1.7)
    teacher.update()
    state = {name: tensor.clone() for name, tensor in teacher.state().items()}
    resumed = Teacher(parameters, 0.9)
    resumed.load_state(state)
    for each in (teacher, resumed):
        each.update()
    for name, weight in teacher.weights.items():
        assert torch.equal(resumed.weights[name], weight)
        assert not torch.equal(state[name], weight), "what was loaded must not be written to"
    with pytest.raises(KeyError):
        resumed.load_state({})
