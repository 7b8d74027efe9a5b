"""Pretraining recipes for small compute, compared by fine-tuned GLUE scores; the plan and the results are efficient.md.

    python experiments/efficient.py prepare WORK [--data ../shared/data]
    python experiments/efficient.py pretrain WORK NAME key=value ...   # Recipe's fields; resumes from its checkpoint
    python experiments/efficient.py finetune WORK NAME TASK [key=value ...]   # Fit's fields; appends to scores.jsonl
    python experiments/efficient.py table WORK

A lean training loop for one thread: full sequences of 128 tokens, bfloat16 copies of the matrices, float32 master
weights. Random numbers depend on seed and step alone, so a resumed run sees what an uninterrupted one sees.
"""

from __future__ import annotations

import gzip
import json
import lzma
import math
import os
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.config import ElectraConfig
from electra.models import ElectraForMaskedLM, ElectraForPreTraining
from electra.nn.initialize import initialize_like_google
from electra.objective.replaced_token_detection import ReplacedTokenDetection
from electra.pretraining.cost import step_flops
from electra.text.tokenizer import ElectraTokenizer
from electra.training.memory import keep_freed_memory
from electra.training.optimizer import Adam

LENGTH, VOCABULARY = 128, 8192


@dataclass
class Recipe:
    """One pretraining run."""

    text: str = "small"  # or large
    segments: int = 1  # two: one separator more in the middle of the sequence
    types: int = 1  # whether the second segment has token type 1
    tokens: float = 3e6  # of the default recipe; other arms get as many operations
    batch: int = 64
    seed: int = 0
    mask: float = 0.15
    objective: str = "rtd"  # or mlm
    optimizer: str = "muon"  # or google
    lr: float = 3e-3  # of Adam
    muon_lr: float = 0.02
    generator_lr: float = 1.0  # factor on the learning rates of the generator's own parameters
    warmup: float = 0.1
    biases: int = 1  # output biases from the frequencies
    narrow: float = 0.0  # fraction of the embedding's dimensions from counts of neighbours
    wide: float = 0.0  # from counts of pairs 2 to 8 apart
    local: float = 0.0  # gain of the two local heads of the first layer; brings sinusoidal positions
    sinusoids: int = 0
    mimetic: float = 0.0  # standard deviation of the query matrices that equal the key matrices; 0: as Google
    freed: float = 0.0  # fraction of the run after which the local heads are re-initialised
    unigram: float = 0.0  # replacements by unigram counts before this fraction of the run,
    ngram: float = 0.0  # then by both neighbours' counts before this one, then by the generator
    mixed: float = 0.0  # fraction of the generator's replacements that neighbours' counts sample instead
    rtd_weight: float = 50.0
    pair_weight: float = 0.0  # of the loss that tells whether the second segment belongs to the first
    decay: str = "linear"
    save_at: str = ""  # fractions of the run at which the discriminator is saved besides, as 0.3,0.6


@dataclass
class Fit:
    """One fine-tuning fit."""

    lr: float = 3e-4
    seed: int = 0
    epochs: int = 4
    fold: int = 0  # 1: train on four fifths of the training set, score on the last fifth
    types: int = 1
    layer_decay: float = 0.8
    limit: int = 6000
    step: str = ""  # a saved fraction of the run


def parse(kind: type, arguments: list[str]) -> Any:
    """A dataclass from key=value arguments."""
    known = {f.name: type(f.default) for f in fields(kind)}
    return kind(**{key: known[key](value) for key, value in (a.split("=", 1) for a in arguments)})


# ---------------------------------------------------------------- text


def prepare(work: Path, data: Path) -> None:
    """Token ids of the two texts, and where documents start."""
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = ElectraTokenizer.from_pretrained(work / "vocabulary")
    for name, files in (("small", ["small"]), ("large", ["large-00", "large-01"])):
        ids, starts = [], [0]
        for file in files:
            with lzma.open(data / "corpus" / f"{file}.txt.xz", "rt", encoding="utf-8") as opened:
                text = opened.read()
            documents = [d.replace("\n", " ") for d in text.split("\n\n") if d.strip()]
            for first in range(0, len(documents), 256):
                for row in tokenizer(documents[first : first + 256], add_special_tokens=False)["input_ids"]:
                    ids.append(np.asarray(row, dtype=np.uint16))
                    starts.append(starts[-1] + len(row))
        np.save(work / f"{name}_ids.npy", np.concatenate(ids))
        np.save(work / f"{name}_starts.npy", np.array(starts))


def cached(path: Path, make: Any) -> list[np.ndarray]:
    """The arrays that make() returns, from a file where they have been made before."""
    if not path.exists():
        made = make()
        unfinished = path.with_suffix(f".{os.getpid()}.tmp.npz")
        np.savez(unfinished, *made)
        os.replace(unfinished, path)
    with np.load(path) as file:
        return [file[k] for k in file.files]


class Text:
    """Pieces of documents of a fixed number of tokens; the last hundredth of the documents is held out."""

    def __init__(self, work: Path, name: str, room: int, seed: int) -> None:
        self.ids, starts = np.load(work / f"{name}_ids.npy"), np.load(work / f"{name}_starts.npy")
        documents = np.random.default_rng(0).permutation(len(starts) - 1)
        kept = len(documents) - max(20, len(documents) // 100)
        self.train = self._pieces(starts, np.sort(documents[:kept]), room)
        self.held_out = self._pieces(starts, documents[kept:], room)
        inside = np.zeros(len(self.ids), bool)
        for d in documents[:kept]:
            inside[starts[d] : starts[d + 1]] = True
        first = np.zeros(len(self.ids), bool)
        first[starts[:-1]] = True
        self.stream = self.ids[inside][:6_000_000].astype(np.int64)  # what counts are taken from
        self.first = first[inside][:6_000_000]
        self.room, self.seed, self.epoch, self.cache = room, seed, -1, work / f"{name}_counts"
        self.cache.mkdir(exist_ok=True)

    @staticmethod
    def _pieces(starts: np.ndarray, documents: np.ndarray, room: int) -> np.ndarray:
        return np.concatenate([np.arange(starts[d], starts[d + 1] - room + 1, room) for d in documents])

    def batch(self, step: int, size: int) -> Tensor:
        """int64 [size, room], the same for every arm of a seed and a batch size."""
        steps = len(self.train) // size
        if (epoch := step // steps) != self.epoch:
            self.epoch, self.order = epoch, np.random.default_rng((self.seed, epoch)).permutation(self.train)
        at = self.order[step % steps * size : (step % steps + 1) * size]
        return torch.from_numpy(self.ids[at[:, None] + np.arange(self.room)].astype(np.int64))

    def evaluation(self, size: int) -> Tensor:
        at = np.random.default_rng(1).permutation(self.held_out)[:size]
        return torch.from_numpy(self.ids[at[:, None] + np.arange(self.room)].astype(np.int64))


class Counts:
    """Neighbours' counts of the training text: probabilities, samples and word vectors."""

    def __init__(self, text: Text, vocabulary: int) -> None:
        self.V, ids, first = vocabulary, text.stream, text.first
        self.cache = text.cache
        self.ids, self.first = ids, first
        self.unigram = np.bincount(ids, minlength=vocabulary).astype(np.float64)
        pairs = (ids[:-1] * vocabulary + ids[1:])[~first[1:]]
        self.keys, self.n = cached(self.cache / "pairs.npz", lambda: np.unique(pairs, return_counts=True))
        left, right = self.keys // vocabulary, self.keys % vocabulary
        self.kinds_after = np.bincount(left, minlength=vocabulary)  # different tokens that follow
        self.kinds_before = np.bincount(right, minlength=vocabulary)
        self.after = np.bincount(left, self.n, vocabulary)
        self.before = np.bincount(right, self.n, vocabulary)
        self.starts = np.searchsorted(left, np.arange(vocabulary + 1))  # keys are sorted by their left token
        by_right = np.argsort(right, kind="stable")
        self.left_of, self.left_n = left[by_right], np.cumsum(self.n[by_right])
        self.starts_left = np.searchsorted(right[by_right], np.arange(vocabulary + 1))
        self.right_n = np.cumsum(self.n)

    def _count(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        key = a * self.V + b
        at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[at] == key, self.n[at], 0)

    def log_next(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """ln p(b after a), absolute discounting by 0.75, backing off to how many tokens b follows."""
        base = (self.kinds_before[b] + 0.5) / (len(self.keys) + 0.5 * self.V)
        whole = np.maximum(self.after[a], 1)
        rest = np.where(self.after[a] > 0, 0.75 * self.kinds_after[a] / whole, 1.0)
        return np.log(np.maximum(self._count(a, b) - 0.75, 0) / whole + rest * base)

    def sample(self, left: np.ndarray, right: np.ndarray, draw: np.random.Generator, tries: int = 16) -> np.ndarray:
        """Tokens that fit between two others: about p(x | left) p(right | x).

        Candidates come half from what follows the left token and half from what stands before the right one; one of
        them is sampled by its weight over that of its proposal.
        """
        size, half = len(left), tries // 2
        u = draw.random((size, tries))
        anywhere = np.searchsorted(np.cumsum(self.unigram), u * self.unigram.sum()).clip(max=self.V - 1)

        def conditional(token: np.ndarray, u: np.ndarray, starts: np.ndarray, sums: np.ndarray, what: np.ndarray):
            low, high = starts[token], starts[token + 1]
            before = np.where(low > 0, sums[np.maximum(low, 1) - 1], 0)[:, None]
            whole = np.where(high > low, sums[np.maximum(high, 1) - 1] - before[:, 0], 0)[:, None]
            at = np.searchsorted(sums, before + u * whole, side="right").clip(max=len(what) - 1)
            return np.where(whole > 0, what[at], -1)

        follows = conditional(left, u[:, :half], self.starts, self.right_n, self.keys % self.V)
        stands = conditional(right, u[:, half:], self.starts_left, self.left_n, self.left_of)
        x = np.concatenate([follows, stands], 1)
        x = np.where(x < 0, anywhere, x)
        wide_left, wide_right = np.broadcast_to(left[:, None], x.shape), np.broadcast_to(right[:, None], x.shape)
        next_, last = self.log_next(wide_left, x), self.log_next(x, wide_right)
        prior = np.log((self.unigram[x] + 0.5) / self.unigram.sum())
        before_right = last + prior - np.log((self.unigram[wide_right] + 0.5) / self.unigram.sum())
        weight = next_ + last - np.logaddexp(next_, before_right)
        gumbel = -np.log(-np.log(draw.random(x.shape) + 1e-12) + 1e-12)
        return x[np.arange(size), (weight + gumbel).argmax(1)]

    def detector(self, ids: np.ndarray) -> np.ndarray:
        """[B, L] -> [B, L - 2]: how badly each inner token fits both neighbours."""
        prior = np.log((self.unigram[ids[:, 1:-1]] + 0.5) / self.unigram.sum())
        last = self.log_next(ids[:, 1:-1], ids[:, 2:])
        prior_next = np.log((self.unigram[ids[:, 2:]] + 0.5) / self.unigram.sum())
        return -(self.log_next(ids[:, :-2], ids[:, 1:-1]) - prior) - (last - prior_next)

    def vectors(self, width: int, reach: tuple[int, int]) -> Tensor:
        """[V, width]: SVD of positive pointwise mutual information of tokens that far apart; standard deviation 1."""
        (found,) = cached(
            self.cache / f"vectors_{width}_{reach[0]}_{reach[1]}.npz", lambda: (self._vectors(width, reach).numpy(),)
        )
        return torch.from_numpy(found)

    def _vectors(self, width: int, reach: tuple[int, int]) -> Tensor:
        codes, document = [], np.cumsum(self.first)
        for distance in range(reach[0], reach[1] + 1):
            same = document[:-distance] == document[distance:]
            codes.append((self.ids[:-distance] * self.V + self.ids[distance:])[same])
        directed = reach == (1, 1)
        code = np.concatenate(codes)
        if not directed:
            code = np.concatenate([code, code % self.V * self.V + code // self.V])
        keys, n = np.unique(code, return_counts=True)
        if not directed:
            keys, n = keys[n > 2], n[n > 2]
        a, b = keys // self.V, keys % self.V
        q = np.bincount(b, n, self.V) ** 0.75
        value = np.log(n / np.bincount(a, n, self.V)[a] / (q / q.sum())[b])
        keep = value > 0
        where = torch.from_numpy(np.stack([a[keep], b[keep]]))
        matrix = torch.sparse_coo_tensor(where, torch.from_numpy(value[keep]).float(), (self.V, self.V)).coalesce()
        torch.manual_seed(0)
        k = width // 2 if directed else width
        u, s, w = torch.svd_lowrank(matrix, q=k + 16, niter=3)

        def even(x: Tensor) -> Tensor:
            norm = x.norm(dim=1, keepdim=True)
            return x / (norm + 0.3 * norm.median())

        sides = [even((u * s.sqrt())[:, :k])] + ([even((w * s.sqrt())[:, :k])] if directed else [])
        v = torch.cat(sides[::-1], 1)
        v = v / v.std()
        return v + 0.15 * torch.randn_like(v)


# ---------------------------------------------------------------- networks


def sinusoids(positions: int, width: int) -> tuple[Tensor, Tensor]:
    """[positions, width] with standard deviation 1, and the frequencies."""
    f = torch.exp(torch.linspace(math.log(2 * math.pi / 2.5), math.log(2 * math.pi / 512), width // 2))
    angle = torch.arange(positions)[:, None] * f
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1) * math.sqrt(2), f


def local_heads(model: nn.Module, gain: float) -> None:
    """In the first layer, one head attends to the token before and one to the token after."""
    electra: Any = model.electra
    width = electra.embeddings.position_embeddings.weight.shape[1]
    _, f = sinusoids(2, width)
    back = torch.linalg.pinv(electra.embeddings_project.weight.detach())
    attention = electra.encoder.layer[0].attention.self
    size = electra.config.hidden_size // electra.config.num_attention_heads
    for head, distance in zip(range(electra.config.num_attention_heads), (-1, 1), strict=False):
        turn = torch.block_diag(
            *[torch.tensor([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]) for a in (distance * f).tolist()]
        )
        rows = slice(head * size, head * size + min(size, width))
        with torch.no_grad():
            attention.query.weight[rows] = (gain * turn @ back)[: min(size, width)]
            attention.key.weight[rows] = (gain * back)[: min(size, width)]


def build(recipe: Recipe, tokenizer: ElectraTokenizer, counts: Counts) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Both networks with tied embeddings, and the head of the pair loss, which is discarded."""
    config = ElectraConfig.preset(
        "tiny",
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    alone = recipe.objective == "mlm"
    generator, discriminator = (
        ElectraForMaskedLM(config if alone else config.generator()),
        ElectraForPreTraining(config),
    )
    networks = ReplacedTokenDetection(generator, discriminator, tokenizer=tokenizer)
    initialize_like_google(networks, config.initializer_range, torch.Generator().manual_seed(recipe.seed))
    torch.manual_seed(recipe.seed + 1)
    embeddings = discriminator.electra.embeddings
    scale, width = config.initializer_range, config.embedding_size
    with torch.no_grad():
        parts = [int(recipe.narrow * width) // 2 * 2, int(recipe.wide * width)]
        table = torch.randn(len(tokenizer), width)
        if parts[0]:
            table[:, : parts[0]] = counts.vectors(parts[0], (1, 1))
        if parts[1]:
            table[:, parts[0] : sum(parts)] = counts.vectors(parts[1], (2, 8))
        if sum(parts):
            embeddings.word_embeddings.weight.copy_(table * scale)
        if recipe.sinusoids or recipe.local:
            embeddings.position_embeddings.weight.copy_(sinusoids(config.max_position_embeddings, width)[0] * scale)
        for model in (generator, discriminator):
            if recipe.local:
                local_heads(model, recipe.local)
            for layer in model.electra.encoder.layer:
                if recipe.mimetic:
                    query, key = layer.attention.self.query.weight, layer.attention.self.key.weight
                    key.copy_(query.normal_(0, recipe.mimetic))
        if recipe.biases:
            p = torch.from_numpy(counts.unigram).float() + 0.5
            generator.generator_lm_head.bias.copy_((p / p.sum()).log())
            q = recipe.mask * 0.93
            discriminator.discriminator_predictions.dense_prediction.bias.fill_(math.log(q / (1 - q)))
    pair = nn.ModuleDict(
        {"dense": nn.Linear(config.hidden_size, config.hidden_size), "out": nn.Linear(config.hidden_size, 1)}
    )
    for layer in pair.values():
        nn.init.normal_(layer.weight, 0, scale)
        nn.init.zeros_(layer.bias)
    return generator, discriminator, pair


class Lean:
    """The forward pass of one network on full sequences, from leaves that may be bfloat16 copies."""

    def __init__(self, leaves: dict[str, Tensor], config: ElectraConfig) -> None:
        self.w, self.heads, self.layers = leaves, config.num_attention_heads, config.num_hidden_layers

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(
            x,
            x.shape[-1:],
            self.w[name + ".weight"],
            self.w[name + ".bias"],
            1e-12 if x.dtype == torch.float32 else 1e-6,
        )

    def encode(self, ids: Tensor, types: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """[B, L] -> [B, L, H] in bfloat16. bias: added to the scores of attention, [B, 1, 1, L]."""
        e, length = "electra.embeddings.", ids.shape[1]
        x = F.embedding(ids, self.w[e + "word_embeddings.weight"]) + self.w[e + "position_embeddings.weight"][:length]
        kinds = self.w[e + "token_type_embeddings.weight"]
        x = self.norm(x + (kinds[0] if types is None else F.embedding(types, kinds)), e + "LayerNorm").bfloat16()
        if "electra.embeddings_project.weight" in self.w:
            x = self.linear(x, "electra.embeddings_project")
        for i in range(self.layers):
            layer = f"electra.encoder.layer.{i}."
            names = [layer + f"attention.self.{k}" for k in ("query", "key", "value")]
            w, b = torch.cat([self.w[n + ".weight"] for n in names]), torch.cat([self.w[n + ".bias"] for n in names])
            q, k, v = F.linear(x, w, b).view(*ids.shape, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            scores = (q * q.shape[-1] ** -0.5) @ k.mT
            mixed = (scores if bias is None else scores + bias).softmax(-1) @ v
            mixed = self.linear(mixed.transpose(1, 2).flatten(2), layer + "attention.output.dense")
            x = self.norm(x + mixed, layer + "attention.output.LayerNorm")
            wide = F.gelu(self.linear(x, layer + "intermediate.dense"))
            x = self.norm(x + self.linear(wide, layer + "output.dense"), layer + "output.LayerNorm")
        return x


class Masters:
    """float32 parameters, and bfloat16 copies of those that are multiplied with."""

    def __init__(self, named: dict[str, nn.Parameter]) -> None:
        self.named = named
        exact = ("embeddings.", "LayerNorm", "lm_head.bias", "head.", "pair.")
        chosen = {id(p): p for n, p in named.items() if not any(e in n for e in exact)}
        self.masters = list(chosen.values())
        self.copies = [p.detach().bfloat16().requires_grad_() for p in self.masters]
        by_id = {id(p): c for p, c in zip(self.masters, self.copies, strict=False)}
        self.leaves = {n: by_id.get(id(p), p) for n, p in named.items()}

    def part(self, prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): leaf for n, leaf in self.leaves.items() if n.startswith(prefix)}

    @torch.no_grad()
    def refresh(self) -> None:
        torch._foreach_copy_(self.copies, self.masters)

    def collect(self) -> None:
        for master, copy in zip(self.masters, self.copies, strict=False):
            if copy.grad is not None:
                master.grad, copy.grad = copy.grad.float(), None


def orthogonal(g: Tensor) -> Tensor:
    """Newton-Schulz iterations of Muon on [n, rows, columns]."""
    x = g.bfloat16()
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True).bfloat16() + 1e-7)
    if tall := x.shape[-2] > x.shape[-1]:
        x = x.mT
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ x
    return (x.mT if tall else x).float()


class Optimizer:
    """Google's Adam, or Muon for the layers' matrices with AdamW for the rest."""

    def __init__(self, recipe: Recipe, named: dict[str, nn.Parameter]) -> None:
        self.recipe = recipe
        unique = list({id(p): (n, p) for n, p in reversed(named.items())}.values())
        self.parameters = [p for _, p in unique]

        def factor(n):
            return recipe.generator_lr if n.startswith("generator.") else 1.0

        self.muon: dict[tuple, list[nn.Parameter]] = {}
        self.google = self.adam = None
        if recipe.optimizer == "google":
            self.google = Adam(unique, multiplier=factor)
            return
        groups: dict[tuple, list[nn.Parameter]] = {}
        for n, p in unique:
            if p.ndim == 2 and "encoder.layer" in n:
                self.muon.setdefault((tuple(p.shape), factor(n)), []).append(p)
            else:
                groups.setdefault((0.0 if "bias" in n or "LayerNorm" in n else 0.01, factor(n)), []).append(p)
        self.momentum = [torch.zeros(len(ps), *shape) for (shape, _), ps in self.muon.items()]
        self.factors = [f for _, f in groups]
        self.adam = torch.optim.AdamW(
            [{"params": ps, "weight_decay": d} for (d, _), ps in groups.items()],
            lr=0.0,
            betas=(0.9, 0.98),
            eps=1e-6,
            fused=True,
        )

    def step(self, scale: float) -> float:
        norm = float(nn.utils.clip_grad_norm_([p for p in self.parameters if p.grad is not None], 1.0))
        if self.google:
            self.google.step(scale * self.recipe.lr)
        else:
            for group, f in zip(self.adam.param_groups, self.factors, strict=False):
                group["lr"] = scale * self.recipe.lr * f
            self.adam.step()
            with torch.no_grad():
                for ((shape, f), ps), m in zip(self.muon.items(), self.momentum, strict=False):
                    if ps[0].grad is None:
                        continue
                    grad = torch.stack([p.grad for p in ps])
                    m.lerp_(grad, 0.05)
                    lr = scale * self.recipe.muon_lr * f * max(1.0, shape[0] / shape[1]) ** 0.5
                    for p, update in zip(ps, orthogonal(grad.lerp(m, 0.95)), strict=False):
                        p.mul_(1 - lr * 0.01).add_(update, alpha=-lr)
        for p in self.parameters:
            p.grad = None
        return norm

    def state(self) -> dict[str, Any]:
        return (
            {"google": self.google.moments()}
            if self.google
            else {"adam": self.adam.state_dict(), "momentum": self.momentum}
        )

    def load(self, state: dict[str, Any]) -> None:
        if self.google:
            self.google.load_moments(state["google"])
        else:
            self.adam.load_state_dict(state["adam"])
            self.momentum = state["momentum"]


# ---------------------------------------------------------------- pretraining


class TokenLoss(torch.autograd.Function):
    """Mean cross-entropy and the probabilities, which samples are taken from: one softmax for both."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        p = logits.softmax(-1)
        ctx.save_for_backward(target)
        ctx.p = p
        ctx.mark_non_differentiable(p)
        return -p.gather(1, target[:, None]).clamp(min=1e-30).log().mean(), p

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Any) -> tuple[Tensor, None]:
        (target,) = ctx.saved_tensors
        scale = scale / len(target)
        grad = ctx.p.mul_(scale)  # the samples have been taken
        grad[torch.arange(len(target)), target] -= scale
        return grad, None


def sample(p: Tensor, u: Tensor) -> Tensor:
    """One token for each distribution [M, V] by inverting its distribution function, first by blocks of 64 tokens."""
    blocks = p.view(len(p), -1, 64)
    sums = blocks.sum(-1).cumsum(-1)
    u = u[:, None] * sums[:, -1:]
    block = torch.searchsorted(sums, u).clamp(max=sums.shape[1] - 1)
    before = torch.where(block > 0, sums.gather(1, (block - 1).clamp(min=0)), 0.0)
    inner = blocks[torch.arange(len(p)), block[:, 0]].cumsum(-1)
    return block[:, 0] * 64 + torch.searchsorted(inner, u - before)[:, 0].clamp(max=63)


def schedule(recipe: Recipe, u: float) -> float:
    rise = min(1.0, u / recipe.warmup)
    return rise * (1 - u) if recipe.decay == "linear" else rise * min(1.0, (1 - u) / 0.5)


def save_model(folder: Path, model: nn.Module, tokenizer: ElectraTokenizer) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class Run:
    """One pretraining run: batches, losses, checkpoints."""

    def __init__(self, work: Path, name: str, recipe: Recipe) -> None:
        self.folder, self.recipe, self.name = work / "runs" / name, recipe, name
        self.tokenizer = ElectraTokenizer.from_pretrained(work / "vocabulary")
        self.special = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id, self.tokenizer.mask_token_id)
        self.text = Text(work, recipe.text, LENGTH - 1 - recipe.segments, recipe.seed)
        self.counts = Counts(self.text, len(self.tokenizer))
        self.generator, self.discriminator, self.pair = build(recipe, self.tokenizer, self.counts)
        named = {f"generator.{n}": p for n, p in self.generator.named_parameters()}
        if recipe.objective == "rtd":
            named |= {f"discriminator.{n}": p for n, p in self.discriminator.named_parameters()}
        if recipe.pair_weight:
            named |= {f"pair.{n}": p for n, p in self.pair.named_parameters()}
        # A tied parameter keeps one name for each network in the leaves, and one place in the optimizer.
        self.masters = Masters(named)
        self.optimizer = Optimizer(recipe, named)
        self.lean_generator = Lean(self.masters.part("generator."), self.generator.config)
        self.lean = Lean(self.masters.part("discriminator."), self.discriminator.config)
        self.unigram = torch.from_numpy(self.counts.unigram / self.counts.unigram.sum()).cumsum(0)
        small, full = self.generator.config, self.discriminator.config
        both = step_flops(generator=full.generator(), discriminator=full, length=LENGTH, mask_fraction=0.15)
        self.budget = both * recipe.tokens
        needs = recipe.objective == "mlm" or max(recipe.unigram, recipe.ngram) < 1
        self.cost = step_flops(
            generator=small if needs else None,
            discriminator=full if recipe.objective == "rtd" else None,
            length=LENGTH,
            mask_fraction=recipe.mask,
        )
        self.has_generator = needs
        self.steps = max(1, round(self.budget / self.cost / (recipe.batch * LENGTH)))
        self.step = 0
        self.seconds = 0.0

    def frame(self, pieces: Tensor, cut: int, rolled: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Sequences with [CLS] and [SEP], and their types; rolled: bool [B], whose second segment is another's."""
        size = len(pieces)
        cls, sep = pieces.new_full((size, 1), self.special[0]), pieces.new_full((size, 1), self.special[1])
        if self.recipe.segments == 1:
            return torch.cat([cls, pieces, sep], 1), None
        second = pieces[:, cut:]
        if rolled is not None:
            second = torch.where(rolled[:, None], second.roll(1, 0), second)
        types = torch.zeros(size, LENGTH, dtype=torch.long)
        types[:, cut + 2 :] = 1
        return torch.cat([cls, pieces[:, :cut], sep, second, sep], 1), types if self.recipe.types else None

    def replacements(self, kind: str, ids: Tensor, at: Tensor, p: Tensor | None, draw: np.random.Generator) -> Tensor:
        """Tokens for the flat positions `at`."""
        if kind == "unigram":
            return torch.searchsorted(self.unigram, torch.from_numpy(draw.random(len(at)))).clamp(
                max=len(self.tokenizer) - 1
            )
        if kind == "ngram":
            flat = ids.flatten().numpy()
            return torch.from_numpy(self.counts.sample(flat[at.numpy() - 1], flat[at.numpy() + 1], draw))
        assert p is not None
        return sample(p, torch.from_numpy(draw.random(len(at))).float())

    def masked(self, ids: Tensor, draw: np.random.Generator) -> Tensor:
        """Flat positions, the same number in each sequence."""
        score = torch.from_numpy(draw.random(ids.shape))
        for token in self.special:
            score[ids == token] = 2.0
        k = round(self.recipe.mask * ids.shape[1])
        chosen = score.topk(k, 1, largest=False).indices.sort(1).values
        return (chosen + torch.arange(len(ids))[:, None] * ids.shape[1]).flatten()

    def generator_logits(self, shown: Tensor, types: Tensor | None, at: Tensor) -> Tensor:
        g, lean = "generator_predictions.", self.lean_generator
        h = lean.encode(shown, types).flatten(0, 1)[at]
        h = lean.norm(F.gelu(lean.linear(h, g + "dense")), g + "LayerNorm")
        table = lean.w["electra.embeddings.word_embeddings.weight"].bfloat16()
        return F.linear(h, table).float() + lean.w["generator_lm_head.bias"]

    def discriminator_logits(self, hidden: Tensor) -> Tensor:
        d = "discriminator_predictions."
        return (
            self.lean.linear(F.gelu(self.lean.linear(hidden, d + "dense")), d + "dense_prediction").squeeze(-1).float()
        )

    def train_step(self) -> dict[str, float]:
        recipe, u = self.recipe, self.step / self.steps
        draw = np.random.default_rng((recipe.seed, 7, self.step))
        pieces = self.text.batch(self.step, recipe.batch)
        cut = int(draw.integers(20, self.text.room - 20))
        rolled = torch.from_numpy(draw.random(len(pieces)) < 0.5) if recipe.pair_weight else None
        ids, types = self.frame(pieces, cut, rolled)
        at = self.masked(ids, draw)
        original = ids.flatten()[at]
        loss, report, p = torch.zeros(()), {}, None
        self.masters.refresh()
        if self.has_generator:
            hide = torch.from_numpy(draw.random(len(at)) < 0.85)
            shown = ids.flatten().index_put((at[hide],), torch.tensor(self.special[2])).view_as(ids)
            logits = self.generator_logits(shown, types, at)
            loss, p = TokenLoss.apply(logits, original)
            report |= {"mlm": float(loss.detach())}
        if recipe.objective == "rtd":
            kind = "unigram" if u < recipe.unigram else "ngram" if u < recipe.ngram else "generator"
            new = self.replacements(kind, ids, at, p, draw)
            if kind == "generator" and recipe.mixed:
                other = self.replacements("ngram", ids, at, None, draw)
                new = torch.where(torch.from_numpy(draw.random(len(at)) < recipe.mixed), other, new)
            seen = ids.flatten().index_put((at,), new).view_as(ids)
            label = (seen != ids).float()
            hidden = self.lean.encode(seen, types)
            rtd = F.binary_cross_entropy_with_logits(self.discriminator_logits(hidden), label)
            loss = loss + recipe.rtd_weight * rtd
            report |= {"rtd": float(rtd.detach()), "replaced": float(label.mean())}
            if rolled is not None:
                z = self.pair["out"](F.gelu(self.pair["dense"](hidden[:, 0].float()))).squeeze(-1)
                told = F.binary_cross_entropy_with_logits(z, rolled.float())
                loss = loss + recipe.pair_weight * told
                report |= {"pair": float(told.detach()), "paired": float(((z > 0) == rolled).float().mean())}
        loss.backward()
        self.masters.collect()
        report["norm"] = self.optimizer.step(schedule(recipe, u))
        if recipe.freed and u < recipe.freed <= (self.step + 1) / self.steps:
            self.free()
        return report

    @torch.no_grad()
    def free(self) -> None:
        """Re-initialise what was the local heads."""
        for model in (self.generator, self.discriminator):
            attention = model.electra.encoder.layer[0].attention.self
            for part in (attention.query, attention.key):
                part.weight.normal_(0, 0.05)

    @torch.inference_mode()
    def yardstick(self, kinds: tuple[str, ...] = ("unigram", "ngram"), size: int = 192) -> dict[str, float]:
        """AUC on held-out text corrupted once by counts, and that of the neighbours' counts themselves."""
        from sklearn.metrics import roc_auc_score

        found = {}
        self.masters.refresh()
        pieces = self.text.evaluation(size)
        for kind in kinds:
            draw = np.random.default_rng(5)
            ids, types = self.frame(pieces, 60)
            at = self.masked(ids, draw)
            seen = ids.flatten().index_put((at,), self.replacements(kind, ids, at, None, draw)).view_as(ids)
            label = (seen != ids)[:, 1:-1].numpy().ravel()
            z = torch.cat(
                [
                    self.discriminator_logits(
                        self.lean.encode(seen[i : i + 64], None if types is None else types[i : i + 64])
                    )
                    for i in range(0, size, 64)
                ]
            )
            found[kind] = float(roc_auc_score(label, z[:, 1:-1].numpy().ravel()))
            if self.step == 0:
                found[kind + "_counts"] = float(roc_auc_score(label, self.counts.detector(seen.numpy()).ravel()))
        return found

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "named": {n: p.detach() for n, p in self.masters.named.items()},
            "optimizer": self.optimizer.state(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / "checkpoint.tmp")
        os.replace(self.folder / "checkpoint.tmp", self.folder / "checkpoint.pt")

    def resume(self) -> None:
        if (path := self.folder / "checkpoint.pt").exists():
            state = torch.load(path, weights_only=True)
            with torch.no_grad():
                for n, p in self.masters.named.items():
                    p.copy_(state["named"][n])
            self.optimizer.load(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]

    def write(self, suffix: str = "") -> None:
        model = self.generator if self.recipe.objective == "mlm" else self.discriminator
        save_model(self.folder / f"discriminator{suffix}", model, self.tokenizer)

    def train(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / "done").exists():
            return
        (self.folder / "recipe.json").write_text(json.dumps(asdict(self.recipe)))
        self.resume()
        marks = {round(float(f) * self.steps): f for f in self.recipe.save_at.split(",") if f}
        log, sums, n = (self.folder / "log.jsonl").open("a"), {}, 0
        if self.step == 0 and self.recipe.objective == "rtd":
            log.write(json.dumps({"step": 0, "steps": self.steps, **self.yardstick()}) + "\n")
        saved = time.time()
        while self.step < self.steps:
            before = time.process_time()
            report = self.train_step()
            self.seconds += time.process_time() - before
            self.step, n = self.step + 1, n + 1
            for k, v in report.items():
                sums[k] = sums.get(k, 0.0) + v
            if self.step in marks:
                self.write("-" + marks[self.step])
            if self.step % max(1, self.steps // 8) == 0 or self.step == self.steps:
                line = {
                    "step": self.step,
                    "tokens": self.step * self.recipe.batch * LENGTH,
                    "seconds": round(self.seconds, 1),
                    **{k: round(v / n, 4) for k, v in sums.items()},
                }
                if self.recipe.objective == "rtd":
                    line |= {k: round(v, 3) for k, v in self.yardstick().items()}
                log.write(json.dumps(line) + "\n")
                log.flush()
                sums, n = {}, 0
            if time.time() - saved > 120:
                self.save()
                saved = time.time()
        self.write()
        (self.folder / "done").write_text(
            json.dumps({"operations": self.cost * self.steps * self.recipe.batch * LENGTH, "seconds": self.seconds})
        )
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)


# ---------------------------------------------------------------- fine-tuning


def examples(data: Path, task: str, split: str) -> tuple[list[tuple[str, str | None]], list[Any]]:
    with gzip.open(data / "glue" / task / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return [(e["text"], None) if "text" in e else (e["text_a"], e["text_b"]) for e in found], [
        e["label"] for e in found
    ]


def grid(rows: list[list[int]], chosen: np.ndarray) -> tuple[Tensor, Tensor | None]:
    """Padded sequences and what is added to the scores of attention, None without padding."""
    length = -(-max(len(rows[i]) for i in chosen) // 8) * 8
    ids = torch.zeros(len(chosen), length, dtype=torch.long)
    for j, i in enumerate(chosen):
        ids[j, : len(rows[i])] = torch.tensor(rows[i])
    real = torch.arange(length) < torch.tensor([len(rows[i]) for i in chosen])[:, None]
    bias = torch.zeros(ids.shape, dtype=torch.bfloat16).masked_fill(~real, -1e30)[:, None, None, :]
    return ids, None if bool(real.all()) else bias


def batches(lengths: np.ndarray, size: int, draw: np.random.Generator) -> list[np.ndarray]:
    """Batches of sequences of similar length, in random order."""
    order, found = draw.permutation(len(lengths)), []
    for first in range(0, len(order), size * 20):
        pool = order[first : first + size * 20]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        found += [pool[i : i + size] for i in range(0, len(pool) - size + 1, size)]
    draw.shuffle(found)
    return found


def finetune(work: Path, data: Path, name: str, task: str, fit: Fit) -> float:
    """The score of one fit."""
    from scipy.stats import spearmanr
    from sklearn.metrics import matthews_corrcoef

    folder = work / "runs" / name / ("discriminator" + (f"-{fit.step}" if fit.step else ""))
    tokenizer = ElectraTokenizer.from_pretrained(folder)
    kind = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = (ElectraForMaskedLM if "Masked" in kind else ElectraForPreTraining).from_pretrained(folder)
    config = model.config
    regression = task == "stsb"

    def encoded(split: str) -> tuple[list[list[int]], list[list[int]], list[Any]]:
        texts, labels = examples(data, task, split)
        second = None if texts[0][1] is None else [b for _, b in texts]
        rows = tokenizer([a for a, _ in texts], second, truncation=True, max_length=128)
        return rows["input_ids"], rows["token_type_ids"], labels

    rows, types, labels = encoded("train")
    order = np.random.default_rng(99).permutation(len(rows))
    train, score_on = order[: fit.limit], None
    if fit.fold:
        fifth = len(train) // 5
        train, score_on = train[fifth:], train[:fifth]
    classes = [] if regression else sorted(set(labels))

    def target(labels):
        return torch.tensor([x / 5 if regression else classes.index(x) for x in labels])

    y = target(labels)
    torch.manual_seed(1000 + fit.seed)
    hidden = config.hidden_size
    head = nn.ModuleDict({"dense": nn.Linear(hidden, hidden), "out": nn.Linear(hidden, max(1, len(classes)))})
    for layer in head.values():
        nn.init.normal_(layer.weight, 0, 0.05)
        nn.init.zeros_(layer.bias)
    named = {n: p for n, p in model.named_parameters() if n.startswith("electra.")} | {
        f"head.{n}": p for n, p in head.named_parameters()
    }
    masters = Masters(named)
    lean = Lean(masters.part(""), config)
    groups: dict[tuple, list[nn.Parameter]] = {}
    for n, p in named.items():
        depth = (
            config.num_hidden_layers + 1
            if n.startswith("head")
            else 0
            if ".layer." not in n
            else 1 + int(n.split(".layer.")[1].split(".")[0])
        )
        factor = fit.layer_decay ** (config.num_hidden_layers + 1 - depth)
        groups.setdefault((factor, 0.0 if "bias" in n or "LayerNorm" in n else 0.01), []).append(p)
    optimizer = torch.optim.AdamW(
        [{"params": ps, "weight_decay": d} for (_, d), ps in groups.items()], lr=0.0, eps=1e-6, fused=True
    )
    factors = [f for f, _ in groups]

    def outputs(rows: list[list[int]], types: list[list[int]], chosen: np.ndarray) -> Tensor:
        ids, bias = grid(rows, chosen)
        kinds = grid(types, chosen)[0] if fit.types and rows_have_pairs else None
        h = lean.encode(ids, kinds, bias)[:, 0].float()
        return head["out"](F.gelu(head["dense"](h)))

    rows_have_pairs = any(t[-1] for t in types[:1])
    lengths = np.array([len(rows[i]) for i in train])
    draw = np.random.default_rng(fit.seed)
    total, step = fit.epochs * (len(train) // 32), 0
    for _ in range(fit.epochs):
        for local in batches(lengths, 32, draw):
            chosen = train[local]
            masters.refresh()
            z = outputs(rows, types, chosen)
            loss = F.mse_loss(z.squeeze(-1), y[chosen].float()) if regression else F.cross_entropy(z, y[chosen])
            loss.backward()
            masters.collect()
            scale = min(1.0, (step + 1) / (0.1 * total)) * (1 - step / total)
            for group, f in zip(optimizer.param_groups, factors, strict=False):
                group["lr"] = fit.lr * scale * f
            nn.utils.clip_grad_norm_([p for p in named.values() if p.grad is not None], 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    if score_on is None:
        rows, types, labels = encoded("dev")
        y, score_on = target(labels), np.arange(len(rows))
    by_length = score_on[np.argsort([len(rows[i]) for i in score_on], kind="stable")]
    masters.refresh()
    with torch.inference_mode():
        z = torch.cat([outputs(rows, types, by_length[i : i + 64]) for i in range(0, len(by_length), 64)])
    truth, guess = y[by_length].numpy(), z.argmax(-1).numpy()
    if regression:
        return float(spearmanr(z.squeeze(-1).numpy(), truth)[0])
    return float(matthews_corrcoef(truth, guess)) if task == "cola" else float((truth == guess).mean())


def scored(work: Path, data: Path, name: str, task: str, fit: Fit) -> float:
    """finetune's score; fits that are in scores.jsonl already are not computed again."""
    path, key = work / "scores.jsonl", {"name": name, "task": task, **asdict(fit)}
    if path.exists():
        for line in path.read_text().splitlines():
            done = json.loads(line)
            if {k: done.get(k) for k in key} == key:
                return done["score"]
    begin = time.process_time()
    score = finetune(work, data, name, task, fit)
    line = json.dumps({**key, "score": round(score, 4), "seconds": round(time.process_time() - begin, 1)})
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)
    return score


def judge(
    work: Path,
    data: Path,
    name: str,
    tasks: list[str],
    *,
    seeds: int,
    rates: list[float],
    like: str = "",
    step: str = "",
    **more: Any,
) -> None:
    """Choose the learning rate by one fit on each fold (of run `like`, if given); fit on the training set."""
    for task in tasks:
        by_rate = (
            {lr: scored(work, data, like or name, task, Fit(lr=lr, fold=1, step=step, **more)) for lr in rates}
            if len(rates) > 1
            else {rates[0]: 0.0}
        )
        best = max(by_rate, key=lambda lr: (by_rate[lr] == by_rate[lr], by_rate[lr]))
        for seed in range(seeds):
            scored(work, data, name, task, Fit(lr=best, seed=seed, step=step, **more))


def table(work: Path) -> None:
    """Means of what has been scored on development sets."""
    found: dict[tuple, dict[str, list[float]]] = {}
    for line in (work / "scores.jsonl").read_text().splitlines():
        s = json.loads(line)
        if not s["fold"]:
            key = (s["name"], s["step"], s["epochs"], s["types"])
            found.setdefault(key, {}).setdefault(f"{s['task']}@{s['lr']:g}", []).append(s["score"])
    for key, tasks in sorted(found.items()):
        print(
            *key, "|", "  ".join(f"{t} {np.mean(v):.3f} {[round(x, 3) for x in v]}" for t, v in sorted(tasks.items()))
        )


def main() -> None:
    verb, work, *rest = sys.argv[1:]
    work, data = Path(work), Path(os.environ.get("ELECTRA_SHARED", "../shared")) / "data"
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    keep_freed_memory()
    if verb == "prepare":
        prepare(work, data)
    elif verb == "pretrain":
        Run(work, rest[0], parse(Recipe, rest[1:])).train()
    elif verb == "none":  # a network without pretraining
        run = Run(work, rest[0], parse(Recipe, rest[1:]))
        run.write()
        (run.folder / "done").write_text("{}")
    elif verb == "judge":  # NAME TASKS SEEDS RATES [like=NAME] [key=value of Fit]
        name, tasks, seeds, rates, *more = rest
        options = dict(a.split("=", 1) for a in more)
        like = options.pop("like", "")
        fit = asdict(parse(Fit, [f"{k}={v}" for k, v in options.items()]))
        judge(
            work,
            data,
            name,
            tasks.split(","),
            seeds=int(seeds),
            rates=[float(r) for r in rates.split(",")],
            like=like,
            **{k: fit[k] for k in options},
        )
    elif verb == "table":
        table(work)


if __name__ == "__main__":
    main()
