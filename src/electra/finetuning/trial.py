"""One fit with one seed, in a folder of its own: evaluated, the best kept, stopped early, interrupted and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from electra.files.atomic import writing_folder
from electra.finetuning.failures import Diverged, nothing_learnt
from electra.finetuning.finetune_config import BATCH_SIZE, CHANGEABLE, EPOCHS, FinetuneConfig
from electra.finetuning.finetuning_examples import Examples
from electra.finetuning.fit import Fitting, Objective
from electra.finetuning.notices import without_notices
from electra.finetuning.output.outcome import Evaluation, Outcome, best_evaluation, shown
from electra.finetuning.scoring import outcomes, require_metric, with_threshold
from electra.finetuning.task_network import Adapters, new_model
from electra.labelled.fitted_task import remember
from electra.training.distributed.processes import Processes
from electra.training.interruption import Interruption
from electra.training.loop import EVERYWHERE, Every, Window
from electra.training.memory import keep_freed_memory
from electra.training.progress import Reporter, Stopwatch, clock
from electra.training.run.checkpoints import Checkpoint, restore
from electra.training.run.run_folder import Run

SAVE_SECONDS = 300.0  # from one checkpoint to the next: a process that is killed loses no more
SAVE = 1  # what the first process asks the others for; no exit code of a signal is 1


class Trial:
    """A fit with one seed. What `config` says, with `seed` in place of its own.

    The folder is a run (`config.toml`, `metrics.jsonl`, `checkpoints/`) with `outcome.json` and the model folder
    `fitted/` when it is done. Every checkpoint goes on to the same bits, at whatever step it was written.

    processes: those that compute every batch together, each a share of it. All of them call the same methods at the
    same steps and decide the same; the first one alone evaluates, talks and writes.
    """

    def __init__(
        self,
        config: FinetuneConfig,
        examples: Examples,
        run: Run,
        seed: int,
        *,
        objective: Objective,
        processes: Processes,
        report: Reporter,
    ) -> None:
        self.config, self.examples, self.run, self.seed, self.report = config, examples, run, seed, report
        self.processes = processes
        with without_notices(seed != config.seed):  # that the head is new is said once
            self.model = new_model(config.model, examples.task, seed=seed, dropout=config.dropout)
        self.adapters = None if config.lora is None else Adapters(self.model, config.lora, seed=seed)
        self.model.to(processes.device)
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
            processes=processes,
        )
        self.weights = self.fitting.optimizer.parameters
        self.window = Window()
        self.best: dict[str, Tensor] = {}
        """The weights of the best evaluation, in the first process."""
        self.evaluations: list[Evaluation] = []
        self.first_step = self._resume()
        self.watch = Stopwatch(self.first_step, self.fitting.steps)
        self.saved_at = time.monotonic()
        self._exit_code = 0

    def finish(self, interruption: Interruption) -> Outcome:
        """Take the steps that are left, and write what came of it; leave with a signal's exit code if one comes."""
        failure = None
        try:
            if self.first_step < self.fitting.steps and not self.enough():
                self._train(interruption)
        except Diverged as error:
            failure = str(error)
        return self.processes.tell(self._outcome(failure) if self.processes.first else None)

    def _train(self, interruption: Interruption) -> None:
        if self.first_step == 0:
            self._check_metric()
        steps, evaluating = self.fitting.steps, self.evaluation_steps()
        if self.processes.device.type == "cpu":
            keep_freed_memory()
        with self.report.counting(f"fitting with seed {self.seed}") as count:
            taken = self.fitting.train(
                first_step=self.first_step,
                periodic=(
                    self.window.add,
                    lambda step, values: count(step, steps),
                    Every(max(1, steps // 10), self.log, last=steps),
                    lambda step, values: self.evaluate(step) if step in evaluating else None,
                    lambda step, values: self._listen(step, interruption),
                ),
                stopped=lambda: self._exit_code > 0 or self.enough(),
            )
        if self._exit_code and taken < steps and not self.enough():
            self.save(taken)
            self.report.say(f"stopped after step {taken} of {steps}: the same command goes on from there")
            raise SystemExit(self._exit_code)

    def _listen(self, step: int, interruption: Interruption) -> None:
        """Hear whether any process has been sent a signal, or a checkpoint is due: all hear it after the same step."""
        heard = self.processes.highest(interruption.exit_code or SAVE * self._save_is_due())
        if heard == SAVE:
            self.save(step)
        else:
            self._exit_code = heard

    def _save_is_due(self) -> bool:
        """Whether the last checkpoint is old, by the first process's clock; it says so once."""
        due = self.processes.first and time.monotonic() - self.saved_at > SAVE_SECONDS
        if due:
            self.saved_at = time.monotonic()
        return due

    def evaluation_steps(self) -> set[int]:
        """After which steps the model is evaluated: those that end an epoch or as was asked for, and the last."""
        steps, each = self.fitting.steps, self.config.evaluate_every
        if each is not None:
            return {*range(each, steps + 1, each), steps}
        per_epoch = len(self.examples.items) / self.fitting.batch_size
        return {steps, *(round(epoch * per_epoch) for epoch in range(1, 1 + int(steps / per_epoch)))} - {0}

    def log(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write and show the figures of the steps since the last time."""
        self.window.totals = self.processes.totals(self.window.totals, once=EVERYWHERE)
        totals, seconds = self.window.read(), self.watch.lap()
        loss = totals["loss"] / max(1.0, totals["labels"])
        if not math.isfinite(loss) or not math.isfinite(totals["gradient_norm"]):
            raise Diverged(f"the loss is {loss} at step {step}")
        if not self.processes.first:
            return
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
        """Score the model as it is now, and keep a copy of its weights if it is the best so far."""
        if not torch.nn.utils.get_total_norm(self.weights.values()).isfinite():
            raise Diverged(f"a weight is no longer a finite number at step {step}")
        found = self.processes.tell(self._scored(step) if self.processes.first else None)
        self.evaluations.append(found)
        if not self.processes.first:
            return
        self.run.log(found.record())
        if best_evaluation(self.evaluations) is found:
            self.best = {name: tensor.detach().clone() for name, tensor in self.weights.items()}
        self.report.say(f"step {step:,}: {shown(found.scores)}")

    def _scored(self, step: int) -> Evaluation:
        found = outcomes(self.model, self.examples.tokenizer, self.examples.task, self.examples.held_out)
        return Evaluation(step, self.examples.metric or found.main, found.scores())

    def _check_metric(self) -> None:
        """Before any work: the score to choose by is one that there is."""
        metric, examples = self.examples.metric, self.examples
        if metric is not None and self.processes.first:
            require_metric(self.model, examples.tokenizer, examples.task, examples.held_out, metric)

    def enough(self) -> bool:
        """Whether as many evaluations as is the patience were no better than the best before them."""
        if not self.evaluations:
            return False
        best = best_evaluation(self.evaluations)
        return sum(each.step > best.step for each in self.evaluations) >= self.config.patience

    def save(self, step: int) -> None:
        """A checkpoint: all weights (of adapters, the rest too), the moments, the best weights, the open window."""
        self.window.totals = self.processes.totals(self.window.totals, once=EVERYWHERE)
        if self.processes.first:
            groups: dict[str, Mapping[str, Tensor]] = {
                "network": dict(self.model.named_parameters()),
                "optimizer": self.fitting.optimizer.moments(),
                "window": self.window.totals,
                "best": self.best,
            }
            self.run.checkpoints.save(Checkpoint(step, {name: tensors for name, tensors in groups.items() if tensors}))
        else:
            self.window.totals = {}  # the first one has counted it
        self.processes.wait()

    def _resume(self) -> int:
        """Take over the last checkpoint if there is one; the step to go on from."""
        found = self.run.checkpoints.latest() if self.processes.first else None
        step = self.processes.tell(found.step if found else 0)
        if found:
            device = self.processes.device
            restore(dict(self.model.named_parameters()), found.tensors["network"])
            self.fitting.optimizer.load_moments(found.tensors["optimizer"])
            self.window = Window({name: total.to(device) for name, total in found.tensors.get("window", {}).items()})
            self.best = {name: tensor.to(device) for name, tensor in found.tensors.get("best", {}).items()}
            self.report.say(f"going on after step {step:,} of {self.fitting.steps:,}")
        if step:
            self.processes.spread([*self.model.parameters(), *self.fitting.optimizer.moments().values()])
        if self.processes.first:
            self.run.rewind(step)
            self.evaluations = [Evaluation.of_record(line) for line in self._lines("held_out")]
        self.evaluations = self.processes.tell(self.evaluations)
        return step

    def _outcome(self, failure: str | None) -> Outcome:
        """What came of it, written down."""
        seconds = sum(line["seconds"] for line in self._lines("train"))
        outcome = Outcome(self.seed, seconds=seconds, failure=failure) if failure else self._publish(seconds)
        outcome.save(self.run.folder / "outcome.json")
        return outcome

    def _publish(self, seconds: float) -> Outcome:
        """Write the best model as a folder, and judge whether it learnt anything."""
        examples, best = self.examples, best_evaluation(self.evaluations)
        restore(self.weights, self.best)
        remember(self.model.config, examples.task, examples.files)
        scores, threshold = best.scores, None
        tuned = with_threshold(self.model, examples.tokenizer, examples.task, examples.held_out, examples.metric)
        if tuned is not None:
            name, threshold, scores = tuned
            setattr(self.model.config, name, threshold)
        with writing_folder(self.run.folder / "fitted") as folder:
            model = self.model
            if self.adapters is not None:
                self.adapters.save(folder / "adapter")
                model = self.adapters.merged()
            model.save_pretrained(folder)
            examples.tokenizer.save_pretrained(folder)
        losses = [line["loss"] for line in self._lines("train")]
        failure = nothing_learnt(scores, losses, examples.items, self.fitting.steps)
        return Outcome(self.seed, scores, best.main, best.step, seconds, threshold, failure)

    def _lines(self, split: str) -> list[dict[str, Any]]:
        """The metrics' lines of a split."""
        return [dict(line) for line in self.run.read_metrics() if line["split"] == split]


def run_trial(
    config: FinetuneConfig,
    examples: Examples,
    seed: int,
    *,
    objective: Objective,
    processes: Processes,
    report: Reporter,
    interruption: Interruption,
) -> Outcome:
    """The outcome of a seed: read, if that was done before, or worked for, from the last checkpoint on if there is one.

    Raises:
        ValueError: its folder holds work with other settings.
    """

    def folder() -> Run:
        settings = {**config.settings(), **examples.digests, "seed": seed}
        return Run(config.unfinished / f"seed-{seed}", settings, changeable=CHANGEABLE, keep=1)

    own = folder() if processes.first else None
    done = processes.tell(None if own is None else _done(own, config))
    if done is not None:
        return done
    with own or nullcontext() as opened:
        processes.wait()
        run = opened or folder()  # the others' is not opened: the first one writes
        trial = Trial(config, examples, run, seed, objective=objective, processes=processes, report=report)
        return trial.finish(interruption)


def _done(run: Run, config: FinetuneConfig) -> Outcome | None:
    """The outcome of a seed that came to its end before."""
    path = run.folder / "outcome.json"
    if not path.is_file():
        return None
    if not run.unchanged:
        raise ValueError(
            f"{run.folder} holds a fit with other settings (see {run.config}): give those to go on, "
            f"another output, or remove {config.unfinished} to begin anew"
        )
    return Outcome.read(path)
