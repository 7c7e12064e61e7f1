"""Losses and divergences beside slow twins, for value and gradients; what outputs say and come to."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from model.config import TaskConfig
from model.data.tasks import CS224N
from model.training.evaluate import decide
from model.training.losses import Objective, objective, ranking_loss, together
from tests.support import refused

SENTIMENT, PARAPHRASE, SIMILARITY = CS224N
WIDTH = {"cross_entropy": 3, "bce": 1, "mse": 1, "mae": 1, "cosine_embedding": 1}
SCALE = 5.0
LABELS = {
    "cross_entropy": st.integers(0, 2),
    "bce": st.integers(0, 1),
    "mse": st.floats(0, 5, width=32),
    "mae": st.floats(0, 5, width=32),
    "cosine_embedding": st.sampled_from([0.0, 2.5, 2.625, 5.0]),
}
every_loss = pytest.mark.parametrize("loss", WIDTH)


def of(loss, binary=False):
    return Objective(loss=loss, scale=1.0 if binary else SCALE, threshold=0.5 if binary else 2.5, binary=binary)


def bi(**parts):
    return TaskConfig(pair_encoding="bi", **parts)


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def slow_loss(loss, row, label):
    if loss == "cross_entropy":
        return -torch.log(torch.exp(row[int(label)]) / torch.exp(row).sum())
    if loss == "bce":
        return -torch.log(sigmoid(row[0]) if label else 1 - sigmoid(row[0]))
    if loss == "mse":
        return (row[0] - label) ** 2
    if loss == "mae":
        return row[0] - label if row[0] > label else label - row[0]
    cosine = row[0] / SCALE
    if label > 2.5:
        return 1 - cosine
    return cosine if cosine > 0 else 0 * cosine


def numbers(most):
    """None so near 0 that it would vanish beside others in fp32; 0 itself is a kink of its own."""
    return st.integers(-1000, 1000).filter(bool).map(lambda n: n * most / 1000)


def same_value_and_gradients(fast, slow, inputs):
    """Of two functions of the same tensors; the slow one in fp64."""
    once = [x.clone().requires_grad_() for x in inputs]
    again = [x.double().requires_grad_() for x in inputs]
    value, expected = fast(*once), slow(*again)
    assert (value.shape, value.dtype) == ((), torch.float32)
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-5)
    gradients, expected = torch.autograd.grad(value, once), torch.autograd.grad(expected, again)
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


@given(st.data(), st.sampled_from(list(WIDTH)), st.integers(1, 5))
def test_losses_are_like_their_slow_twins(data, loss, count):
    row = st.lists(numbers(12.0), min_size=WIDTH[loss], max_size=WIDTH[loss])
    logits = torch.tensor(data.draw(st.lists(row, min_size=count, max_size=count)))
    labels = [float(x) for x in data.draw(st.lists(LABELS[loss], min_size=count, max_size=count))]
    same_value_and_gradients(
        lambda logits: of(loss).batch_loss(logits, torch.tensor(labels)),
        lambda logits: sum(slow_loss(loss, row, y) for row, y in zip(logits, labels, strict=True)) / count,
        [logits],
    )


def slow_divergence(loss, p, q):
    if loss not in ("cross_entropy", "bce"):
        return (p[0] - q[0]) ** 2
    if loss == "bce":  # two classes, of which the logit is one's
        zero = 0 * p
        p, q = torch.cat([p, zero]), torch.cat([q, zero])
    big_p, big_q = torch.exp(p) / torch.exp(p).sum(), torch.exp(q) / torch.exp(q).sum()
    there = sum(a * torch.log(a / b) for a, b in zip(big_p, big_q, strict=True))
    back = sum(b * torch.log(b / a) for a, b in zip(big_p, big_q, strict=True))
    return there + back


@given(st.data(), st.sampled_from(list(WIDTH)), st.integers(1, 4))
def test_divergences_are_like_their_slow_twins(data, loss, count):
    row = st.lists(numbers(8.0), min_size=WIDTH[loss], max_size=WIDTH[loss])
    p, q = (torch.tensor(data.draw(st.lists(row, min_size=count, max_size=count))) for _ in range(2))
    same_value_and_gradients(
        of(loss).divergence,
        lambda p, q: sum(slow_divergence(loss, *rows) for rows in zip(p, q, strict=True)) / count,
        [p, q],
    )


@every_loss
def test_a_divergence_is_symmetric_and_0_between_the_same(loss):
    p, q = torch.randn(2, 4, WIDTH[loss], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(of(loss).divergence(p, q), of(loss).divergence(q, p))
    assert of(loss).divergence(p, q) > 0.1
    assert of(loss).divergence(p, p) == 0


@pytest.mark.parametrize("loss", ["cross_entropy", "bce"])
def test_a_divergence_is_finite_where_probabilities_are_0_or_1(loss):
    p = torch.zeros(1, WIDTH[loss])
    p[0, 0] = 300.0
    q = (-p).requires_grad_()
    got = of(loss).divergence(p, q)
    assert got.item() == pytest.approx(600.0)
    (gradient,) = torch.autograd.grad(got, q)
    assert gradient.isfinite().all()


def test_a_divergence_tells_close_outputs_apart():
    """Regularizers compare outputs that differ in the sixth digit; the difference of two entropies would be noise."""
    p = torch.tensor([[0.3, -1.2, 2.0]])
    q = p + torch.tensor([[1e-4, 0.0, -1e-4]])
    expected = slow_divergence("cross_entropy", p[0].double(), q[0].double())
    torch.testing.assert_close(of("cross_entropy").divergence(p, q).double(), expected, rtol=0.05, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_loss
def test_losses_are_in_fp32_whatever_the_logits(dtype, loss):
    logits = torch.full((2, WIDTH[loss]), 1.5, dtype=dtype, requires_grad=True)
    for got in (of(loss).batch_loss(logits, torch.tensor([1.0, 0.0])), of(loss).divergence(logits, logits)):
        assert got.dtype == torch.float32
        got.backward()
        assert logits.grad is not None


@pytest.mark.parametrize("logit", [300.0, -300.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_bce_stays_finite_where_the_sigmoid_is_0_or_1(logit, label):
    expected = 300.0 if (logit > 0) != bool(label) else 0.0
    assert of("bce").batch_loss(torch.tensor([[logit]]), torch.tensor([label])).item() == pytest.approx(expected)


def test_the_cosine_embedding_loss_is_torchs():
    first, second = torch.randn(2, 9, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0.0, 5.0, 2.5, 2.6, 1.0, 4.0, 5.0, 0.0, 3.0])
    logits = SCALE * F.cosine_similarity(first, second)[:, None]
    similar = torch.where(labels > 2.5, 1, -1)
    expected = torch.nn.CosineEmbeddingLoss()(first, second, similar)
    torch.testing.assert_close(of("cosine_embedding").batch_loss(logits, labels), expected)


@pytest.mark.parametrize(
    ("loss", "binary", "logits", "expected"),
    [
        ("cross_entropy", False, [[0.0, 1.0, 0.0], [9.0, 9.0, 9.0]], [[0.2119, 0.5761, 0.2119], [1 / 3] * 3]),
        ("cross_entropy", True, [[0.0, 1.0], [1.0, 0.0], [3.0, 3.0]], [0.7311, 0.2689, 0.5]),
        ("bce", True, [[1.0], [-1.0], [0.0], [500.0]], [0.7311, 0.2689, 0.5, 1.0]),
        ("mse", False, [[4.2], [-7.0]], [4.2, -7.0]),
        ("mae", False, [[4.2], [-7.0]], [4.2, -7.0]),
        ("cosine_embedding", False, [[4.2], [-0.5]], [4.2, -0.5]),
        ("cosine_embedding", True, [[0.51], [0.5], [-0.9], [1.0078125]], [0.51, 0.5, 0.0, 1.0]),
    ],
)
def test_outputs(loss, binary, logits, expected):
    for dtype in (torch.float32, torch.bfloat16):
        got = of(loss, binary).outputs(torch.tensor(logits, dtype=dtype))
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, torch.tensor(expected), rtol=0.01, atol=0.0001)


def decided_by(loss, binary, logits):
    """What logits mean, without a look at probabilities."""
    if loss == "cross_entropy":
        return float(max(range(len(logits)), key=lambda i: logits[i]))
    if loss == "bce":
        return float(logits[0] > 0)
    if binary:
        return float(logits[0] > 0.5)
    return logits[0]


NEAR = st.sampled_from([0.0, 1e-45, 1e-30, 1e-9, 1e-8, 6e-8, 0.5, 0.5 + 2**-24, 1.0, 1.0 + 2**-23, 80.0, 1e30])
DECIDED = [
    ("cross_entropy", False, 5, SENTIMENT),
    ("cross_entropy", True, 2, PARAPHRASE),
    ("bce", True, 1, PARAPHRASE),
    ("cosine_embedding", True, 1, PARAPHRASE),
    ("mse", False, 1, SIMILARITY),
]


@given(st.data(), st.sampled_from(DECIDED))
def test_no_decision_is_lost_in_rounding(data, case):
    """Logits so near each other, or near 0, that their probabilities are the same in fp32."""
    loss, binary, width, task = case
    row = st.lists(NEAR.flatmap(lambda x: st.sampled_from([x, -x])), min_size=width, max_size=width)
    logits = torch.tensor(data.draw(st.lists(row, min_size=1, max_size=4)))
    decided = decide(task, of(loss, binary).outputs(logits).numpy())
    assert decided.tolist() == [decided_by(loss, binary, row) for row in logits.tolist()]


def test_the_first_of_the_largest_probabilities_is_that_of_the_largest_logit():
    logits = torch.tensor([[0.0, 1e-9, 0.0, 5e-9, -1e-9]])
    assert logits.softmax(dim=-1).argmax() == 0, "or this would test nothing"
    assert of("cross_entropy").outputs(logits).argmax() == 3
    assert of("bce", True).outputs(torch.tensor([[1e-9]])) > 0.5


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@every_loss
def test_what_is_not_finite_says_nothing(loss, broken):
    logits = torch.ones(2, WIDTH[loss])
    logits[1, -1] = broken
    got = of(loss).outputs(logits)
    assert got[0].isfinite().all()
    assert got[1].isnan().all()


@pytest.mark.parametrize(
    ("task", "config", "expected"),
    [
        (SENTIMENT, TaskConfig(), Objective("cross_entropy", 1.0, 2.5, False)),
        (PARAPHRASE, bi(loss="bce"), Objective("bce", 1.0, 0.5, True)),
        (
            PARAPHRASE,
            bi(loss="cosine_embedding", cosine="alone"),
            Objective("cosine_embedding", 1.0, 0.5, True),
        ),
        (
            SIMILARITY,
            bi(loss="cosine_embedding", cosine="alone", threshold=3.5),
            Objective("cosine_embedding", 5.0, 3.5, False),
        ),
    ],
)
def test_the_objective_of_a_task(task, config, expected):
    assert objective(task, config) == expected


def test_what_is_a_regression():
    assert [loss for loss in WIDTH if of(loss).is_regression] == ["mse", "mae", "cosine_embedding"]


def test_the_pairs_that_belong_together():
    assert together(PARAPHRASE, torch.tensor([0.0, 1.0])).tolist() == [False, True]
    assert together(SIMILARITY, torch.tensor([0.0, 3.99, 4.0, 5.0])).tolist() == [False, False, True, True]
    with refused("sentiment: no pair belongs together by Classes(count=5)", ValueError):
        together(SENTIMENT, torch.tensor([0.0]))


def slow_ranking(first, second, chosen, scale):
    losses = []
    for i in range(len(first)):
        if chosen[i]:
            scores = []
            for candidate in second:
                length = torch.sqrt((first[i] ** 2).sum()) * torch.sqrt((candidate**2).sum())
                scores.append(scale * (first[i] * candidate).sum() / length)
            losses.append(-torch.log(torch.exp(scores[i]) / torch.exp(torch.stack(scores)).sum()))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("chosen", [[True] * 5, [False, True, False, False, True], [True] + 4 * [False]])
@pytest.mark.parametrize("scale", [20.0, 1.0])
def test_the_ranking_loss_is_like_its_slow_twin(chosen, scale):
    same_value_and_gradients(
        lambda first, second: ranking_loss(first, second, torch.tensor(chosen), scale=scale),
        lambda first, second: slow_ranking(first, second, chosen, scale),
        list(torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))),
    )


@pytest.mark.parametrize(("count", "chosen"), [(3, [False] * 3), (1, [True]), (1, [False])])
def test_the_ranking_loss_is_0_where_there_is_nothing_to_rank(count, chosen):
    first, second = torch.randn(2, count, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = ranking_loss(first, second, torch.tensor(chosen))
    assert loss == 0
    for gradient in torch.autograd.grad(loss, [first, second]):
        assert gradient.abs().max() < 1e-6
