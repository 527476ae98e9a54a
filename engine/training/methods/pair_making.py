"""A constitution run's pairs in the making: answered, criticised, revised, judged, and written."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import write_json_atomic, write_json_lines_atomic
from rung.engine.data.prompts import Prompted
from rung.engine.data.prompts import load_prompts as load_any_prompts
from rung.engine.data.report import LoadedData
from rung.engine.jobs.ending import obey_requests
from rung.engine.jobs.events import PairsMade, Phase, Warned
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.metrics.judge import judge_pairs
from rung.engine.metrics.judge_check import FEWEST_LABELS, check_judge, read_labels
from rung.engine.models.load import load_model, load_tokenizer
from rung.engine.recipe.schema import Recipe
from rung.engine.training.methods.constitution_settings import (
    ConstitutionSettings,
    constitution_settings,
    read_principles,
)
from rung.engine.training.methods.feedback import (
    NOT_PREFERRED,
    SAME,
    Revision,
    criterion_of,
    judge_case,
    judge_figures,
    reasons,
    revise,
    share_revised,
)
from rung.engine.training.methods.kept_replies import EndpointSpeaker, KeptReplies, LocalSpeaker, Speaker
from rung.engine.training.model import load_start

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAIRS = "pairs.jsonl"
VALIDATION_PAIRS = "validation_pairs.jsonl"
FOLDER = "feedback"
DROPPED = "dropped.jsonl"
SUMMARY = "summary.json"


def load_prompts(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The prompts of a data source that leave room for an answer."""
    data = recipe.data
    return load_any_prompts(
        path,
        tokenizer,
        shape=data.shape,
        columns=data.columns,
        max_prompt_length=data.max_length - answer_room(recipe),
        template_args=recipe.model.template_args,
    )


def answer_room(recipe: Recipe) -> int:
    """Tokens kept free for the answer."""
    return min(constitution_settings(recipe).max_new_tokens, recipe.data.max_length // 2)


class PairMaking:
    """One run's pairs in the making; every reply of a model is on disk before the next one is asked for."""

    def __init__(
        self,
        recipe: Recipe,
        settings: ConstitutionSettings,
        folder: RunFolder,
        root: Path,
        device: str,
        tokenizer: "PreTrainedTokenizerBase",
        reporter: Reporter,
    ) -> None:
        self._recipe, self._settings = recipe, settings
        self._folder, self._root, self._device = folder, root, device
        self._tokenizer, self._reporter = tokenizer, reporter
        self._metrics: dict[str, float] = {}

    def make(self) -> None:
        """Answer, criticise, revise, judge, and write the pairs."""
        prompts = self._prompts()
        (self._folder.path / FOLDER).mkdir(exist_ok=True)
        speaker = self._itself(self._settings.max_new_tokens, self._settings.temperature)
        try:
            revisions = self._revise([prompt for split in prompts.values() for prompt in split], speaker)
        finally:
            speaker.close()
        checked = self._judge(revisions)
        self._write(prompts, revisions, checked)

    def _prompts(self) -> dict[str, list[Prompted]]:
        from rung.engine.training.rows import tell

        data, found = self._recipe.data, {}
        for file, name, split in ((data.train, PAIRS, "training"), (data.validation, VALIDATION_PAIRS, "validation")):
            if file is not None:
                loaded = load_prompts(self._recipe, self._root / file, self._tokenizer)
                tell(loaded, split, self._reporter)
                found[name] = list(loaded.examples)
        return found

    def _revise(self, prompts: Sequence[Prompted], speaker: Speaker) -> list[Revision]:
        settings, seed = self._settings, self._recipe.seed
        principles, replies = read_principles(settings, self._root), self._kept("replies", speaker)
        revisions: list[Revision] = []
        for start in range(0, len(prompts), settings.batch_size):
            self._phase(start, len(prompts), "prompts answered and revised")
            asked = replies.asked
            slab = revise(prompts[start : start + settings.batch_size], principles, settings, seed, replies.ask)
            revisions += slab
            figures = share_revised(revisions)
            self._metrics |= figures
            if replies.asked > asked:
                self._tell("revised", len(revisions), len(prompts), figures, slab)
        return revisions

    def _judge(self, revisions: Sequence[Revision]) -> str:
        """Judge the pairs; gives how far the judge can be trusted, in words."""
        judge, settings = self._settings.judge, self._settings
        pairs = [revision for revision in revisions if revision.dropped is None]
        if judge is None or not pairs:
            return ""
        speaker = self._judge_speaker()
        replies = self._kept("verdicts", speaker)

        def generate(conversations: list[list[dict[str, str]]]) -> list[str]:
            return [reply.text for reply in replies.ask(conversations)]

        try:
            for start in range(0, len(pairs), settings.batch_size):
                self._phase(start, len(pairs), "pairs judged")
                asked, slab = replies.asked, pairs[start : start + settings.batch_size]
                cases = [judge_case(number, revision) for number, revision in enumerate(slab)]
                for revision, judgment in zip(slab, judge_pairs(generate, cases), strict=True):
                    revision.judgment = judgment
                done = [revision.judgment for revision in pairs if revision.judgment is not None]
                figures = judge_figures(done)
                self._metrics |= figures
                if replies.asked > asked:
                    self._tell("judged", len(done), len(pairs), figures, slab)
            criterion = criterion_of(read_principles(settings, self._root))
            if judge.labels is None:
                return (
                    f"unchecked: constitution.judge.labels names no pairs that you judged, {FEWEST_LABELS} are needed"
                )
            return check_judge(generate, read_labels(self._root / judge.labels), criterion).words
        finally:
            speaker.close()

    def _write(self, prompts: dict[str, list[Prompted]], revisions: list[Revision], checked: str) -> None:
        if self._settings.keep == "judged":
            for revision in revisions:
                if revision.dropped is None and (revision.judgment is None or revision.judgment.choice != "a"):
                    revision.dropped = NOT_PREFERRED
        self._tell_outcome(revisions, checked)
        place, dropped = self._folder.path, [one.dropped_row() for one in revisions if one.dropped is not None]
        write_json_lines_atomic(place / FOLDER / DROPPED, dropped)
        judge = self._settings.judge
        summary = {
            "prompts": len(revisions),
            "pairs": len(revisions) - len(dropped),
            "metrics": self._metrics,
            "dropped": reasons(revisions),
            "judge": judge.words if judge is not None else "",
            "checked": checked,
        }
        write_json_atomic(place / FOLDER / SUMMARY, summary)
        # The training pairs come last: where they are, everything is there.
        rest = list(revisions)
        rows: dict[str, list[dict[str, Any]]] = {}
        for name, split in prompts.items():
            mine, rest = rest[: len(split)], rest[len(split) :]
            rows[name] = [revision.row() for revision in mine if revision.dropped is None]
        for name in (VALIDATION_PAIRS, PAIRS):
            if name in rows:
                if not rows[name]:
                    raise self._no_pair(name, revisions)
                write_json_lines_atomic(place / name, rows[name])

    def _tell_outcome(self, revisions: Sequence[Revision], checked: str) -> None:
        dropped = [revision for revision in revisions if revision.dropped is not None]
        if dropped:
            self._reporter.write(
                Warned(
                    f"{len(dropped)} of {len(revisions)} prompts make no pair",
                    "; ".join(reasons(revisions)),
                    f"{FOLDER}/{DROPPED} in the run's folder lists them with what was said",
                )
            )
        agreement, steadiness = self._metrics.get("judge_agreement"), self._metrics.get("judge_steadiness")
        if self._metrics.get("judge_unreadable") == 1.0:
            said, hint = "The judge gave no verdict on any pair", "take a judge that follows instructions"
            self._reporter.write(Warned(said, "", f"{hint}: constitution.judge"))
        elif agreement is not None and steadiness is not None and (agreement < 0.5 or steadiness < 0.5):
            self._reporter.write(
                Warned(
                    f"The judge prefers the revised answer in {agreement:.0%} of the pairs only",
                    f"both orders gave the same verdict in {steadiness:.0%}; the judge is {checked}",
                    "read the pairs; clearer principles, a better judge, or keep: judged",
                )
            )

    def _no_pair(self, name: str, revisions: Sequence[Revision]) -> EngineError:
        return EngineError(
            f"No prompt of the {'training' if name == PAIRS else 'validation'} rows makes a pair",
            "\n".join(reasons(revisions)),
            "raise constitution.max_new_tokens where answers are cut off; where nothing is revised, take sharper "
            "principles, a temperature above 0, or a model that follows instructions",
        )

    def _kept(self, name: str, speaker: Speaker) -> KeptReplies:
        file = self._folder.path / FOLDER / f"{name}.jsonl"
        return KeptReplies(file, speaker, partial(obey_requests, self._folder, self._reporter))

    def _itself(self, max_new_tokens: int, temperature: float) -> Speaker:
        recipe = self._recipe
        return LocalSpeaker(
            {"model": recipe.model.model_dump(), "start_from": recipe.start_from},
            partial(load_start, recipe, self._root, self._device),
            self._tokenizer,
            template_args=recipe.model.template_args,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            batch_size=self._settings.batch_size,
            seed=recipe.seed,
            report=self._reporter.write,
        )

    def _judge_speaker(self) -> Speaker:
        judge = self._settings.judge
        assert judge is not None
        if judge.endpoint is not None:
            return EndpointSpeaker(judge.endpoint, judge.max_new_tokens)
        if judge.model is None:
            return self._itself(judge.max_new_tokens, 0.0)
        return LocalSpeaker(
            {"model": judge.model.model_dump()},
            partial(load_model, judge.model, self._root, self._device),
            load_tokenizer(judge.model, self._root),
            template_args=judge.model.template_args,
            max_new_tokens=judge.max_new_tokens,
            temperature=0.0,
            batch_size=self._settings.batch_size,
            seed=self._recipe.seed,
            report=self._reporter.write,
        )

    def _phase(self, done: int, total: int, unit: str) -> None:
        self._reporter.write(Phase("generate", done, total, unit))

    def _tell(self, stage: str, done: int, total: int, figures: dict[str, float], slab: Sequence[Revision]) -> None:
        """The figures so far, with a pair to read: one that was changed, where the slab has one."""
        shown = next((one for one in slab if one.dropped is None), None) or next(
            (one for one in slab if one.dropped == SAME), None
        )
        example = None if shown is None else shown.example()
        self._reporter.write(PairsMade(stage, done, total, dict(figures), example))
