"""Masked language modelling: what an encoder learns from sentences alone, without labels.

"BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", Devlin et al. 2019,
https://arxiv.org/abs/1810.04805, section 3.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from model.config import PairEncoding
from model.data.batches import Batch, Plan, assemble, sequence_lengths
from model.data.tasks import Task
from model.data.tokens import Tokens
from model.errors import UserError
from model.network.bert import Bert
from model.network.pretrained import Encoder
from model.network.shape import BertShape
from model.training.precision import Precision, autocast, resolve_precision

MASKED, TO_MASK, TO_RANDOM = 0.15, 0.8, 0.1
"""Share of the tokens that are to be predicted; of these, the shares replaced by [MASK] and by a random token. The rest
stays as it is, so that the encoder can't tell which tokens it will be asked for."""
WARMUP, WEIGHT_DECAY = 0.1, 0.01
"""Share of the steps over which the step size rises, before it falls to 0; AdamW's decay of all but biases and
LayerNorms. (Devlin et al. 2019, A.2)"""
IGNORED = -100
"""The target of a token that is not to be predicted: what `cross_entropy` leaves out."""


def pretrain(
    encoder: Encoder,
    tokens: Tokens,
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    progress: Callable[[int, Tensor], None],
    precision: Precision = "auto",
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """The weights of `encoder`, under `Bert`'s names, after `steps` steps of masked language modelling on the `train`
    sentences of every task in `tokens`; a pair is one sequence of two segments.

    `progress` is called after each step with its number, from 1, and its loss, a scalar on `device`. The pooler, which
    no masked token can reach, stays as it was. There is no dropout: the masks, drawn anew each time, are noise enough.
    On a CPU the same arguments and the same number of threads give the same bits.

    Raises UserError where training leaves the finite numbers, or `device` can't compute in `precision`.
    """
    device = torch.device(device)
    concrete = resolve_precision(precision, device)
    generator = torch.Generator().manual_seed(seed)
    bert, head = Bert(encoder.shape), MaskedTokenHead(encoder.shape, generator)
    encoder.load_into(bert)
    bert, head = bert.to(device), head.to(device)
    mask_id = Tokenizer.from_str(encoder.tokenizer).token_to_id("[MASK]")
    assert mask_id is not None, "read_encoder checks for it"
    special = torch.tensor([tokens.cls_id, tokens.sep_id])

    decayed = [p for p in (*bert.parameters(), *head.parameters()) if p.ndim > 1]
    others = [p for p in (*bert.parameters(), *head.parameters()) if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=concrete == "fp16")
    warmup = max(1, round(WARMUP * steps))

    bert.train()
    for step, batch in enumerate(itertools.islice(_batches(tokens, batch_size, seed), steps)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
        # Masked before it is moved: which tokens are asked for is then known without waiting for the device.
        ids, targets = mask_tokens(batch.ids, special, mask_id, encoder.shape.vocab_size, generator)
        asked = (targets != IGNORED).nonzero().squeeze(1)
        answers = targets[asked].to(device)
        moved = replace(batch, ids=ids).to(device)
        with autocast(concrete, device):
            hidden = bert(moved.ids, moved.segments, moved.packing)  # (N, C)
            logits = head(hidden[asked.to(device)], bert.embeddings.word.weight)  # (masked, vocabulary)
        loss = F.cross_entropy(logits.float(), answers, reduction="sum") / max(1, len(asked))
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_((*decayed, *others), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        progress(step + 1, loss.detach())
    weights = {name: tensor.detach().cpu() for name, tensor in bert.state_dict().items()}
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise UserError(f"further pre-training left the finite numbers, with a learning rate of {learning_rate:g}")
    return weights


def mask_tokens(
    ids: Tensor, special: Tensor, mask_id: int, vocab_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """`ids` (N,) with some tokens hidden, and the targets, (N,): the tokens asked for, and IGNORED elsewhere.

    The ids in `special` are neither hidden nor asked for.
    """
    asked = (torch.rand(ids.shape, generator=generator) < MASKED) & ~torch.isin(ids, special)
    fate = torch.rand(ids.shape, generator=generator)
    random_ids = torch.randint(vocab_size, ids.shape, generator=generator)
    hidden = torch.where(fate < TO_MASK, mask_id, torch.where(fate < TO_MASK + TO_RANDOM, random_ids, ids))
    return torch.where(asked, hidden, ids), torch.where(asked, ids, IGNORED)


class MaskedTokenHead(nn.Module):
    """Dense, GELU and LayerNorm, then the word embeddings once more as the output layer. Needed for pre-training alone:
    no part of the encoder."""

    def __init__(self, shape: BertShape, generator: torch.Generator) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(shape.vocab_size))
        nn.init.normal_(self.dense.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.dense.bias)

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """From (N, C) to logits over the vocabulary, (N, V)."""
        return F.linear(self.norm(F.gelu(self.dense(hidden))), word_embeddings, self.bias)


def plan_of(tokens: Tokens, batch_size: int, seed: int) -> Plan:
    """One pass over the train sentences of every task; the passes that follow differ in their order alone."""
    train = {task.name: tokens.splits[task.name]["train"] for task in tokens.tasks}
    lengths = {task.name: sequence_lengths(train[task.name], _pairs(task), tokens.max_length) for task in tokens.tasks}
    examples = sum(map(len, train.values()))
    return Plan(lengths, "proportional", batch_size, examples, seed, epochs=1, tasks_per_step="one")


def _batches(tokens: Tokens, batch_size: int, seed: int) -> Iterator[Batch]:
    """The tasks' sentences in shuffled batches of like lengths, over and over."""
    plan = plan_of(tokens, batch_size, seed)
    pairs: dict[str, PairEncoding | None] = {task.name: _pairs(task) for task in tokens.tasks}
    for epoch in itertools.count(1):
        for ((name, rows),) in plan.epoch(epoch):
            yield assemble(tokens, tokens.splits[name]["train"], rows, pairs[name])


def _pairs(task: Task) -> PairEncoding | None:
    return "cross" if task.is_pair else None
