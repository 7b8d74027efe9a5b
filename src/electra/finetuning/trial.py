"""One fit with one seed, in a folder of its own: evaluated, the best weights kept, stopped early, resumed"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from electra.files.atomic import writing_folder
from electra.finetuning.failures import nothing_learnt
from electra.finetuning.finetune_config import BATCH_SIZE, CHANGEABLE, EPOCHS, OLD_NAMES, FinetuneConfig
from electra.finetuning.finetuning_examples import Examples
from electra.finetuning.fit import Fitting, Objective
from electra.finetuning.notices import without_notices
from electra.finetuning.output.outcome import Evaluation, Outcome, best_evaluation, shown
from electra.finetuning.scoring import outcomes, require_metric, with_threshold
from electra.finetuning.task_network import Adapters, new_model
from electra.labelled.fitted_task import remember
from electra.training.distributed.processes import Processes
from electra.training.interruption import Interruption
from electra.training.progress import Reporter, Stopwatch, clock
from electra.training.run.checkpoints import restore
from electra.training.run.run_folder import Run
from electra.training.trainer import AtSteps, Diverged, Every, Record, Trainer, Work

SAVE_SECONDS = 300.0
"""From one checkpoint to the next: a process that is killed loses no more."""


class Trial(Trainer):
    """A fit with one seed: what `config` says, with `seed` in place of its own.

    The folder is a run (`config.toml`, `metrics.jsonl`, `checkpoints/`) with `outcome.json` and the model folder
    `fitted/` when it is done. Rank 0 alone evaluates.
    """

    WEIGHTS = "network"

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
        interruption: Interruption | None = None,
    ) -> None:
        self.config, self.examples, self.seed = config, examples, seed
        self.what = f"fine-tuning with seed {seed}"
        with without_notices(seed != config.seed):  # that the head is new is logged once
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
        super().__init__(
            self.model,
            self.fitting.optimizer,
            steps=self.fitting.steps,
            run=run,
            report=report,
            processes=processes,
            interruption=interruption or Interruption(),
            save_seconds=SAVE_SECONDS,
        )
        self.trainable = self.fitting.optimizer.parameters
        self.best: dict[str, Tensor] = {}
        """The trainable weights of the best evaluation, in rank 0."""
        self.evaluations: list[Evaluation] = []
        self.first_step = self.resume()
        self.watch = Stopwatch(self.first_step, self.steps)

    def finish(self) -> Outcome:
        """Take the steps that are left, and write the outcome.

        Raises:
            SystemExit: a signal came; the code is that of the signal.
        """
        failure = None
        try:
            if self.first_step < self.steps and not self.finished:
                if self.first_step == 0:
                    self._check_metric()
                self.run_to_the_end()
        except Diverged as error:
            failure = str(error)
        return self.processes.broadcast(self._outcome(failure) if self.processes.is_rank_zero else None)

    def take_steps(self, *periodic: Work, stopped: Callable[[], bool] = lambda: False) -> int:
        """Take the steps from `first_step` on, with this work after each; the number of steps taken since step 0."""
        return self.fitting.train(first_step=self.first_step, periodic=periodic, stopped=stopped)

    def schedule(self) -> Sequence[Work]:
        """A report ten times in a fit, and the evaluations."""
        return (
            Every(max(1, self.steps // 10), self.log, last=self.steps),
            AtSteps(self.evaluation_steps(), self.evaluate),
        )

    def evaluation_steps(self) -> set[int]:
        """The steps after which the model is evaluated: the ends of epochs, or as configured, and the last step."""
        steps, each = self.steps, self.config.evaluate_every
        if each is not None:
            return {*range(each, steps + 1, each), steps}
        per_epoch = len(self.examples.items) / self.fitting.batch_size
        return {steps, *(round(epoch * per_epoch) for epoch in range(1, 1 + int(steps / per_epoch)))} - {0}

    def loss_of(self, totals: Mapping[str, float]) -> float:
        """The mean loss of a label."""
        return totals["loss"] / max(1.0, totals["labels"])

    def figures(self, step: int, totals: Mapping[str, float]) -> tuple[Record, str]:
        """The line of the metrics for the steps since the last one, and the same for a person."""
        loss = self.loss_of(totals)
        record = {
            "step": step,
            "split": "train",
            "loss": loss,
            "gradient_norm": totals["gradient_norm"] / totals["steps"],
            "learning_rate": self.fitting.rates.at(step - 1, self.steps),
            "seconds": self.watch.lap(),
        }
        left = clock(self.watch.remaining(step))
        return record, f"step {step:,} of {self.steps:,}   loss {loss:.4f}   {left} left"

    def evaluate(self, step: int, values: Mapping[str, Tensor] | None = None) -> None:
        """Score the model as it is now, and keep a copy of its weights if it is the best so far."""
        self.check_weights(step)
        evaluation = self.processes.broadcast(self._scored(step) if self.processes.is_rank_zero else None)
        self.evaluations.append(evaluation)
        self.finished = self._out_of_patience()
        if not self.processes.is_rank_zero:
            return
        self.run.log(evaluation.record())
        if best_evaluation(self.evaluations) is evaluation:
            self.best = {name: tensor.detach().clone() for name, tensor in self.trainable.items()}
        self.report.say(f"step {step:,}: {shown(evaluation.scores)}")

    def _scored(self, step: int) -> Evaluation:
        scored = outcomes(self.model, self.examples.tokenizer, self.examples.task, self.examples.held_out)
        return Evaluation(step, self.examples.metric or scored.main, scored.scores())

    def _check_metric(self) -> None:
        """Before any step: the score to choose by exists."""
        metric, examples = self.examples.metric, self.examples
        if metric is not None and self.processes.is_rank_zero:
            require_metric(self.model, examples.tokenizer, examples.task, examples.held_out, metric)

    def _out_of_patience(self) -> bool:
        """Whether `patience` evaluations in a row were no better than the best before them."""
        if not self.evaluations:
            return False
        best = best_evaluation(self.evaluations)
        return sum(each.step > best.step for each in self.evaluations) >= self.config.patience

    def state(self) -> dict[str, Mapping[str, Tensor]]:
        """All weights (beside adapters, those of the network too), the moments, the open window, the best weights."""
        groups = {**super().state(), "best": self.best}
        return {name: tensors for name, tensors in groups.items() if tensors}

    def load_state(self, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over what `state` returned."""
        super().load_state(groups)
        self.best = self.on_device(groups.get("best", {}))

    def resume(self) -> int:
        """Take over the last checkpoint and the evaluations before it; the number of steps that it has taken."""
        step = super().resume()
        evaluations = (
            [Evaluation.of_record(line) for line in self._lines("held_out")] if self.processes.is_rank_zero else []
        )
        self.evaluations = self.processes.broadcast(evaluations)
        self.finished = self._out_of_patience()
        return step

    def _outcome(self, failure: str | None) -> Outcome:
        """How the fit ended, written into its folder."""
        seconds = sum(line["seconds"] for line in self._lines("train"))
        outcome = Outcome(self.seed, seconds=seconds, failure=failure) if failure else self._publish(seconds)
        outcome.save(self.run.folder / "outcome.json")
        return outcome

    def _publish(self, seconds: float) -> Outcome:
        """Write the best model as a folder, and judge whether it learnt anything."""
        examples, best = self.examples, best_evaluation(self.evaluations)
        restore(self.trainable, self.best)
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
        failure = nothing_learnt(scores, losses, examples.items, self.steps)
        return Outcome(self.seed, scores, best.main, best.step, seconds, threshold, failure)

    def _lines(self, split: str) -> list[dict[str, Any]]:
        """The lines of the metrics of a split."""
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
    """The outcome of a seed: read if it is there already, else fitted, from the last checkpoint on if there is one.

    Raises:
        ValueError: its folder holds a fit with other settings.
    """

    def new_run() -> Run:
        settings = {**config.settings(), **examples.digests, "seed": seed}
        folder = config.unfinished / f"seed-{seed}"
        return Run(folder, settings, changeable=CHANGEABLE, renamed=OLD_NAMES, keep=1)

    own = new_run() if processes.is_rank_zero else None
    outcome = processes.broadcast(None if own is None else _outcome_before(own, config))
    if outcome is not None:
        return outcome
    with own or nullcontext() as opened:
        processes.barrier()
        run = opened or new_run()  # not opened in the other ranks: rank 0 saves
        trial = Trial(
            config,
            examples,
            run,
            seed,
            objective=objective,
            processes=processes,
            report=report,
            interruption=interruption,
        )
        return trial.finish()


def _outcome_before(run: Run, config: FinetuneConfig) -> Outcome | None:
    """The outcome of a seed that was fitted to the end before; None if it was not."""
    path = run.folder / "outcome.json"
    if not path.is_file():
        return None
    if not run.unchanged:
        raise ValueError(
            f"{run.folder} holds a fit with other settings (see {run.config}): give those to resume it, "
            f"another output, or remove {config.unfinished} to restart"
        )
    return Outcome.read(path)
