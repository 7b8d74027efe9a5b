"""Alarms: what in a run's metrics shows that it does not learn, each with its reason and remedy, raised once"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, median

Record = Mapping[str, object]

RECENT = 10  # reports that must agree before an alarm is raised, because one is noise
BEFORE = 20  # reports that a gradient norm is compared with
NORMS_IN_A_ROW = 3  # reports with a large gradient norm: a single one is clipped and does no harm

LOWEST_RECALL = 0.001
LOWEST_AUC = 0.55
LOWEST_GAIN = 0.02  # nats below the entropy of the tokens' frequencies
LARGEST_RISE = 0.5  # nats above the lowest mean
HIGHEST_SAMPLED_ACCURACY = 0.8
LARGEST_NORM_RATIO = 10.0


@dataclass(frozen=True)
class Alarm:
    """An alarm.

    Attributes:
        step: of the report that raised it.
        name: the kind, in one word.
        reason: what was measured.
        remedy: what to do.
    """

    step: int
    name: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"alarm at step {self.step}, {self.name}: {self.reason}. {self.remedy}"

    def record(self) -> dict[str, object]:
        """Its line of the metrics."""
        return {
            "step": self.step,
            "split": "alarm",
            "alarm": self.name,
            "reason": self.reason,
            "remedy": self.remedy,
        }


# In a run of `tiny` that learns (experiments/learning.md) the area under the curve was lowest, 0.582, after 5 million
# tokens, and the recall, 0.019, after 6; from there on both rose, slowly. In a short one at a learning rate that is too
# high, 1e-3, they were 0.52 and 0 after half a million tokens, and stayed there. LOWEST_AUC and LOWEST_RECALL separate
# the two; 20 million leave room for text and sizes whose dip is deeper or later.
GRACE_TOKENS = 20_000_000


def grace(warmup_steps: int) -> int:
    """The steps in which no alarm about learning is raised: twice the warm-up, and no fewer than 5,000.

    Nor is one raised before 20 million tokens were seen. A healthy generator first learns how frequent tokens are;
    as soon as it has, replaced tokens are no longer the rare ones, and the discriminator's area under the curve falls
    from 0.8 back to 0.55 and its recall to 0, until both networks learn to read context. That takes thousands of steps
    and, in small batches, more. So a shorter run gets no alarm but `gradients`.
    """
    return max(2 * warmup_steps, 5000)


class Alarms:
    """Checks every line of the metrics and raises each alarm once. A report is a line of the split "train".

    - `recall`: after `grace_steps`, the discriminator found fewer than 1 of 1000 replaced tokens in each of the last 10
      reports. It calls everything original, for instance when the learning rate is too high (5e-4 for base).
    - `discriminator`: after `grace_steps`, the mean area under the curve of the last 10 reports is below 0.55, where
      chance is 0.5.
    - `generator`: after `grace_steps`, the mean loss of the last 10 reports is not 0.02 nats below the entropy of the
      tokens' frequencies (what knowing no context costs); where that is not known, not 0.1 below the first report's.
    - `forgetting`: after `grace_steps`, the mean generator loss of the last 10 reports is 0.5 nats above the lowest
      that it was: the run has diverged without NaN.
    - `replacements`: after `grace_steps`, the generator's samples were right for more than 8 of 10 masked tokens in
      each of the last 10 reports, so that at most 3 of 100 tokens are replaced (at 15 % masked). Those of the paper's
      models are right for 5 to 6 of 10.
    - `gradients`: after the warm-up, the gradients' norm before clipping was more than 10 times the median of the 20
      reports before in each of the last 3.

    Args:
        warmup_steps: in which the learning rate rises.
        unigram_entropy: of the training text's tokens, in nats; None: not known.
        grace_steps: by default those of `grace`; alarms "after" them also wait for 20 million tokens.
    """

    def __init__(
        self, *, warmup_steps: int, unigram_entropy: float | None = None, grace_steps: int | None = None
    ) -> None:
        self.warmup_steps = warmup_steps
        self.grace_steps = grace(warmup_steps) if grace_steps is None else grace_steps
        self.unigram_entropy = unigram_entropy
        self.raised: set[str] = set()
        """The names of the alarms so far."""
        self._reports: list[Record] = []
        self._first_loss: float | None = None
        self._lowest_loss = float("inf")

    def catch_up(self, records: Iterable[Record]) -> None:
        """Take over the lines of a resumed run, so that no alarm is raised twice."""
        for record in records:
            if record.get("split") == "alarm":
                self.raised.add(str(record.get("alarm")))
            elif record.get("split") == "train":
                self._remember(record)

    def check(self, record: Record) -> list[Alarm]:
        """The alarms that a new line of the metrics raises: usually none."""
        if record.get("split") != "train":
            return []
        self._remember(record)
        step, new = int(str(record["step"])), []
        for name, (rule, remedy) in RULES.items():
            if name not in self.raised and (reason := rule(self, step)):
                self.raised.add(name)
                new.append(Alarm(step, name, reason, remedy))
        return new

    def _remember(self, record: Record) -> None:
        self._reports = [*self._reports, record][-(BEFORE + NORMS_IN_A_ROW) :]
        losses = self._recent("generator_loss", 1)
        if losses and self._first_loss is None:
            self._first_loss = losses[0]
        if recent := self._recent("generator_loss"):
            self._lowest_loss = min(self._lowest_loss, fmean(recent))

    def _recent(self, name: str, reports: int = RECENT) -> list[float]:
        """A metric in the last reports; empty unless it is defined in that many."""
        values = [report.get(name) for report in self._reports[-reports:]]
        numbers = [float(value) for value in values if isinstance(value, (int, float))]
        return numbers if len(numbers) == reports else []

    def _settled(self, step: int) -> bool:
        tokens = self._reports[-1].get("tokens_seen")
        return step > self.grace_steps and (not isinstance(tokens, int) or tokens > GRACE_TOKENS)

    def _recall(self, step: int) -> str | None:
        recalls = self._recent("discriminator_recall")
        if self._settled(step) and recalls and max(recalls) < LOWEST_RECALL:
            return f"the discriminator found almost none of the replaced tokens in the last {RECENT} reports"
        return None

    def _discriminator(self, step: int) -> str | None:
        curve = self._recent("discriminator_auc")
        if self._settled(step) and curve and fmean(curve) < LOWEST_AUC:
            return f"the discriminator's AUC was {fmean(curve):.3f} over the last {RECENT} reports; 0.5 is chance"
        return None

    def _generator(self, step: int) -> str | None:
        losses = self._recent("generator_loss")
        if not self._settled(step) or not losses or self._first_loss is None:
            return None
        if self.unigram_entropy is not None and fmean(losses) > self.unigram_entropy - LOWEST_GAIN:
            return (
                f"the generator's loss was {fmean(losses):.2f} over the last {RECENT} reports; predicting every token "
                f"from the tokens' frequencies alone gives {self.unigram_entropy:.2f}"
            )
        if self.unigram_entropy is None and fmean(losses) > self._first_loss - 0.1:
            return f"the generator's loss was {self._first_loss:.2f} at the start and is {fmean(losses):.2f} now"
        return None

    def _forgetting(self, step: int) -> str | None:
        losses = self._recent("generator_loss")
        if self._settled(step) and losses and fmean(losses) > self._lowest_loss + LARGEST_RISE:
            return f"the generator's loss rose from {self._lowest_loss:.2f} to {fmean(losses):.2f} and stayed there"
        return None

    def _replacements(self, step: int) -> str | None:
        right = self._recent("generator_sampled_accuracy")
        if self._settled(step) and right and min(right) > HIGHEST_SAMPLED_ACCURACY:
            return f"the generator predicts {fmean(right):.0%} of the masked tokens correctly, so few are replaced"
        return None

    def _gradients(self, step: int) -> str | None:
        norms = self._recent("gradient_norm", BEFORE + NORMS_IN_A_ROW)
        if step <= self.warmup_steps or not norms:
            return None
        usual, last = median(norms[:BEFORE]), norms[BEFORE:]
        if min(last) > LARGEST_NORM_RATIO * usual:
            return f"the gradient norm was {min(last):.3g} or more in {NORMS_IN_A_ROW} reports, and {usual:.3g} before"
        return None


RULES: dict[str, tuple[Callable[[Alarms, int], str | None], str]] = {
    "recall": (
        Alarms._recall,
        "Restart with a lower learning_rate (2e-4 for base and large) or more warmup_steps; "
        "if the AUC is well above 0.5 and rising, wait",
    ),
    "discriminator": (
        Alarms._discriminator,
        "Check that the samples in the report are text that a reader could judge; "
        "then restart with a lower learning_rate or more warmup_steps",
    ),
    "generator": (
        Alarms._generator,
        "Check the prepared text: from lines in random order, with a tokenizer of another language or with many "
        "unknown tokens nothing can be learnt. Otherwise restart with another learning_rate",
    ),
    "forgetting": (
        Alarms._forgetting,
        "Stop, and restart with a lower learning_rate, more warmup_steps or precision float32",
    ),
    "replacements": (
        Alarms._replacements,
        "Restart with a smaller generator_fraction or a larger mask_fraction; "
        "repeated text has the same effect: remove duplicates",
    ),
    "gradients": (
        Alarms._gradients,
        "If the loss does not recover, restart with a lower learning_rate or more warmup_steps",
    ),
}
