"""One fit with one seed, in a folder of its own: evaluated, the best kept, stopped early, interrupted and resumed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from electra.finetuning.config import BATCH_SIZE, CHANGEABLE, EPOCHS, FinetuneConfig
from electra.finetuning.examples import Examples
from electra.finetuning.fit import Fitting, Objective
from electra.finetuning.network import Adapters, new_model
from electra.finetuning.objectives import single_labels
from electra.finetuning.scoring import best_threshold, outcomes, tells_nothing
from electra.hub.files import write_text, writing_folder
from electra.training.checkpoints import Checkpoint, restore
from electra.training.interruption import Interruption
from electra.training.loop import Every, Window
from electra.training.progress import Reporter, Stopwatch, clock
from electra.training.run import Run

SAVE_SECONDS = 300.0  # from one checkpoint to the next: a process that is killed loses no more
STEPS_TO_LEARN = 50  # a fit of fewer steps is not called a failure, whatever it learnt
UNLEARNT = 0.98  # a loss above this share of what it costs to know nothing is that of a model that learnt nothing


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        failure: why it is to be begun again with another seed; None: it is not.
        usable: whether there is a model (a failed one may be the best there is).
        main: the name of the score to choose by.
        step: after which the model was kept.
        threshold: by which the scores of several labels were decided, where that was done.
    """

    seed: int
    scores: dict[str, float] = field(default_factory=dict)
    main: str = ""
    step: int = 0
    seconds: float = 0.0
    threshold: float | None = None
    failure: str | None = None

    @property
    def usable(self) -> bool:
        return bool(self.scores)

    @property
    def rank(self) -> tuple[bool, float]:
        """What the best outcome has most of: not having failed, then the main score (no number: the worst)."""
        return self.failure is None, _comparable(self.scores.get(self.main, math.nan))

    def save(self, path: Path) -> None:
        write_text(path, json.dumps(vars(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Outcome:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class Diverged(Exception):
    """The loss is no longer a number."""


class Trial:
    """A fit with one seed. What `config` says, with `seed` in place of its own.

    The folder is a run (`config.toml`, `metrics.jsonl`, `checkpoints/`) with `outcome.json` and the model folder
    `fitted/` when it is done. Every checkpoint goes on to the same bits, at whatever step it was written.
    """

    def __init__(
        self,
        config: FinetuneConfig,
        examples: Examples,
        run: Run,
        seed: int,
        *,
        objective: Objective,
        device: torch.device,
        report: Reporter,
    ) -> None:
        self.config, self.examples, self.run, self.seed, self.report = config, examples, run, seed, report
        self.model = new_model(config.model, examples.task, seed=seed)
        self.adapters = None if config.lora is None else Adapters(self.model, config.lora, seed=seed)
        self.model.to(device)
        self.fitting = Fitting(
            self.model,
            examples.items,
            examples.task,
            config.rates(self.model.config.hidden_size),
            epochs=config.epochs or EPOCHS,
            batch_size=config.batch_size or BATCH_SIZE,
            weight_decay=config.weight_decay,
            seed=seed,
            objective=objective,
        )
        self.weights = self.fitting.optimizer.parameters
        self.window, self.best = Window(), dict[str, Tensor]()
        self.evaluations: list[tuple[float, int, dict[str, float]]] = []
        self.first_step = self._resume()
        self.watch = Stopwatch(self.first_step, self.fitting.steps)
        self.saved_at = time.monotonic()

    def finish(self, interruption: Interruption) -> Outcome:
        """Take the steps that are left, and write what came of it; leave with a signal's exit code if one comes."""
        steps = self.fitting.steps
        try:
            if self.first_step < steps and not self.enough():
                self._train(interruption)
        except Diverged as error:
            outcome = Outcome(self.seed, seconds=self._seconds(), failure=str(error))
        else:
            outcome = self._publish()
        outcome.save(self.run.folder / "outcome.json")
        return outcome

    def _train(self, interruption: Interruption) -> None:
        steps, evaluating = self.fitting.steps, self.evaluation_steps()
        with self.report.counting(f"fitting with seed {self.seed}") as count:
            taken = self.fitting.train(
                first_step=self.first_step,
                periodic=(
                    self.window.add,
                    lambda step, values: count(step, steps),
                    Every(max(1, steps // 10), self.log, last=steps),
                    lambda step, values: self.evaluate(step) if step in evaluating else None,
                    lambda step, values: self.save(step) if self._save_is_due() else None,
                ),
                stopped=lambda: interruption() or self.enough(),
            )
        if interruption() and taken < steps and not self.enough():
            self.save(taken)
            self.report.say(f"stopped after step {taken} of {steps}: the same command goes on from there")
            raise SystemExit(interruption.exit_code)

    def evaluation_steps(self) -> set[int]:
        """After which steps the model is evaluated: those that end an epoch or as was asked for, and the last."""
        steps, each = self.fitting.steps, self.config.evaluate_every
        if each is not None:
            return {*range(each, steps + 1, each), steps}
        per_epoch = len(self.examples.items) / self.fitting.batch_size
        return {steps, *(round(epoch * per_epoch) for epoch in range(1, 1 + int(steps / per_epoch)))} - {0}

    def log(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write and show the figures of the steps since the last time."""
        totals, seconds = self.window.read(), self.watch.lap()
        loss = totals["loss"] / max(1.0, totals["labels"])
        if not math.isfinite(loss) or not math.isfinite(totals["gradient_norm"]):
            raise Diverged(f"the loss is {loss} at step {step}")
        self.run.log(
            {
                "step": step,
                "split": "train",
                "loss": loss,
                "gradient_norm": totals["gradient_norm"] / totals["steps"],
                "learning_rate": self.fitting.rates.at(step - 1, self.fitting.steps),
                "seconds": seconds,
            }
        )
        left = clock(self.watch.remaining(step))
        self.report.say(f"step {step:,} of {self.fitting.steps:,}   loss {loss:.4f}   {left} left")

    def evaluate(self, step: int) -> None:
        """Score the model as it is now, and keep a copy of it if it is the best so far."""
        if not torch.nn.utils.get_total_norm(self.weights.values()).isfinite():
            raise Diverged(f"a weight is no longer a finite number at step {step}")
        found = outcomes(self.model, self.examples.tokenizer, self.examples.task, self.examples.held_out)
        scores, main = found.scores(), self.examples.metric or found.main
        self.run.log({"step": step, "split": "held_out", "main": main, **_json_numbers(scores)})
        self._remember(step, main, scores)
        if self.evaluations[-1] is self._best():
            self.best = {name: tensor.detach().clone() for name, tensor in self.weights.items()}
        self.report.say(f"step {step:,}: {shown(scores)}")

    def enough(self) -> bool:
        """Whether as many evaluations as is the patience were no better than the best before them."""
        later = [step for _, step, _ in self.evaluations if step > self._best()[1]] if self.evaluations else []
        return len(later) >= self.config.patience

    def save(self, step: int) -> None:
        """A checkpoint: all weights (of adapters, the rest too), the moments, the best weights, the open window."""
        groups: dict[str, Mapping[str, Tensor]] = {
            "network": dict(self.model.named_parameters()),
            "optimizer": self.fitting.optimizer.moments(),
            "window": self.window.totals,
            "best": self.best,
        }
        self.run.checkpoints.save(Checkpoint(step, {name: tensors for name, tensors in groups.items() if tensors}))
        self.saved_at = time.monotonic()

    def _save_is_due(self) -> bool:
        return time.monotonic() - self.saved_at > SAVE_SECONDS

    def _resume(self) -> int:
        """Take over the last checkpoint if there is one; the step to go on from."""
        found = self.run.checkpoints.latest()
        step = found.step if found else 0
        if found:
            device = self.model.device
            restore(dict(self.model.named_parameters()), found.tensors["network"])
            self.fitting.optimizer.load_moments(found.tensors["optimizer"])
            self.window = Window({name: total.to(device) for name, total in found.tensors.get("window", {}).items()})
            self.best = {name: tensor.to(device) for name, tensor in found.tensors.get("best", {}).items()}
            self.report.say(f"going on after step {step:,} of {self.fitting.steps:,}")
        self.run.rewind(step)
        for record in self.run.read_metrics():
            if record["split"] == "held_out":
                scores = {name: value for name, value in record.items() if name not in ("step", "split", "main")}
                self._remember(int(str(record["step"])), str(record["main"]), scores)
        return step

    def _remember(self, step: int, main: str, scores: Mapping[str, Any]) -> None:
        numbers = {name: math.nan if value is None else float(value) for name, value in scores.items()}
        self.main = main
        self.evaluations.append((_comparable(numbers[main]), step, numbers))

    def _best(self) -> tuple[float, int, dict[str, float]]:
        """The first of the best evaluations."""
        return max(self.evaluations, key=lambda evaluation: (evaluation[0], -evaluation[1]))

    def _publish(self) -> Outcome:
        """Write the best model as a folder, and judge whether it learnt anything."""
        _, step, scores = self._best()
        restore(self.weights, self.best)
        tuned = best_threshold(self.model, self.examples.tokenizer, self.examples.task, self.examples.held_out)
        if tuned is not None:
            name, threshold = tuned
            setattr(self.model.config, name, threshold)
            task = self.examples.task.with_options(**{name: threshold})
            scores = outcomes(self.model, self.examples.tokenizer, task, self.examples.held_out).scores()
        failure = self._nothing_learnt(scores)
        with writing_folder(self.run.folder / "fitted") as folder:
            model = self.model
            if self.adapters is not None:
                self.adapters.save(folder / "adapter")
                model = self.adapters.merged()
            model.save_pretrained(folder)
            self.examples.tokenizer.save_pretrained(folder)
        return Outcome(self.seed, scores, self.main, step, self._seconds(), tuned[1] if tuned else None, failure)

    def _nothing_learnt(self, scores: Mapping[str, float]) -> str | None:
        """Why the fit is a failure, if it is: the loss is that of knowing nothing, and so are the answers."""
        losses = [float(str(line["loss"])) for line in self.run.read_metrics() if line["split"] == "train"]
        if self.fitting.steps < STEPS_TO_LEARN or len(losses) < 2 or not tells_nothing(scores):
            return None
        nothing = _loss_of_frequencies(self.examples) or losses[0]
        if losses[-1] < UNLEARNT * nothing:
            return None
        return f"it learnt nothing: the loss is {losses[-1]:.3f}, and {nothing:.3f} without reading the texts"

    def _seconds(self) -> float:
        return sum(float(str(line["seconds"])) for line in self.run.read_metrics() if line["split"] == "train")


def run_trial(
    config: FinetuneConfig,
    examples: Examples,
    seed: int,
    *,
    objective: Objective,
    device: torch.device,
    report: Reporter,
    interruption: Interruption,
) -> Outcome:
    """The outcome of a seed: read, if that was done before, or worked for, from the last checkpoint on if there is one.

    Raises:
        ValueError: its folder holds work with other settings.
    """
    folder = config.unfinished / f"seed-{seed}"
    settings = {**config.settings(), **examples.digests, "seed": seed}
    done = folder / "outcome.json"
    run = Run(folder, settings, changeable=CHANGEABLE, keep=1)
    if done.is_file():
        if not run.unchanged:
            raise ValueError(
                f"{folder} holds a fit with other settings (see {run.config}): give those to go on, "
                f"another output, or remove {config.unfinished} to begin anew"
            )
        return Outcome.read(done)
    with run:
        trial = Trial(config, examples, run, seed, objective=objective, device=device, report=report)
        return trial.finish(interruption)


def shown(scores: Mapping[str, float]) -> str:
    """Scores for a reader: `accuracy 0.9123, matthews 0.8246`."""
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def _comparable(score: float) -> float:
    return -math.inf if math.isnan(score) else score


def _json_numbers(scores: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: it is null there."""
    return {name: None if math.isnan(value) else value for name, value in scores.items()}


def _loss_of_frequencies(examples: Examples) -> float | None:
    """What knowing only how frequent the labels are costs, in nats; None where labels are no classes."""
    labels = single_labels(examples.items)
    if labels is None:
        return None
    shares = torch.bincount(labels).double() / max(1, len(labels))
    return float(-(shares[shares > 0].log() * shares[shares > 0]).sum())
