"""The next step once something was measured: it follows from the verdict, and every one names its figure.

Nothing is advised on a difference that its interval doesn't show.
"""

from collections.abc import Sequence

from rung.engine.ladder.advice_facts import (
    Advice,
    DataFacts,
    Evidence,
    LearningGain,
    MachineFacts,
    Reading,
    VerdictFacts,
    share_words,
    shown_above,
)  # fmt: skip
from rung.engine.ladder.spec import RUNGS, Rung
from rung.engine.stats.intervals import Estimate

FEW_ROWS = 100
"""Below this many training rows fine-tuning seldom helps more than the same rows do as examples in the prompt."""
RETRIEVAL_MISSES = 0.2
"""Where more than this share of the passages that the documents hold is shown to be missed, retrieval is mended."""
READING_FAILS = 0.2
"""Where more than this share of the answers is shown wrong though the passage was found, reading or form fails."""
STILL_LEARNING = 0.02
"""A smaller gain from the last training rows than this is not worth collecting more for, even where it is shown."""

_NAMES: dict[Rung, str] = {"prompt": "the prompt", "rag": "retrieval", "tune": "the tuned model"}
_STEPS: dict[Rung, str] = {"prompt": "the prompt", "rag": "retrieval", "tune": "fine-tuning"}


def next_steps(
    verdict: VerdictFacts, found: Evidence, data: DataFacts, machine: MachineFacts, target: float | None
) -> list[Advice]:
    """What follows from the verdict, the next step first."""
    if verdict.rung == "undecided":
        return _undecided(verdict, found, data, machine, target)
    if verdict.rung == "none":
        return _none(found, data, machine, target)
    score = found.rungs[verdict.rung]
    if target is not None:
        return [Advice("stop", f"Stop here: {_NAMES[verdict.rung]} is good enough.", _figures(score, target))]
    if verdict.rung == "tune":
        text = "Use the tuned model: every lower rung is shown worse."
        return [Advice("stop", text, _figures(score, None)), *_more_rows(found.learning)]
    missing = [rung for rung in verdict.not_measured if RUNGS.index(rung) > RUNGS.index(verdict.rung)]
    return _of_what_was_measured(verdict.rung, missing, found, data, machine)


def _of_what_was_measured(
    rung: Rung, missing: Sequence[Rung], found: Evidence, data: DataFacts, machine: MachineFacts
) -> list[Advice]:
    """To stop at the rung, unless a higher one that can be measured was not."""
    name, figures = _NAMES[rung], _figures(found.rungs[rung], None)
    ready = [one for one in missing if one != "tune" or _can_train(data, machine)]
    if ready:
        text = f"Of what was measured {name} is enough: measure {_steps(ready)} too before you settle on it."
        return [Advice("climb", text, figures)]
    if any(RUNGS.index(one) > RUNGS.index(rung) for one in found.rungs):
        text = f"Stop here: {name} is shown to be at most {found.margin:g} worse than any higher rung measured."
    else:
        text = f"Stop here: there is no higher rung to measure that {name} could be compared with."
        figures += f"; {data.documents:,} documents, {data.train_rows:,} training rows"
    return [Advice("stop", text, figures)]


def _steps(rungs: Sequence[Rung]) -> str:
    return " and ".join(_STEPS[rung] for rung in rungs)


def retrieval_advice(reading: Reading | None) -> list[Advice]:
    """To mend retrieval, where it is shown to miss passages that the documents hold."""
    if reading is None or reading.missed is None or reading.in_documents is None:
        return []
    if not shown_above(reading.missed, reading.in_documents, RETRIEVAL_MISSES):
        return []
    missed = f"retrieval misses {share_words(reading.missed, reading.in_documents)} of the passages that are there"
    text = "Mend retrieval: other chunk sizes, more chunks, or dense search beside words."
    return [Advice("fix_retrieval", text, missed)]


def machine_advice(machine: MachineFacts) -> list[Advice]:
    """That no way of training fits in memory here."""
    if not machine.nothing_fits:
        return []
    text = "No way of training fits in memory here: a smaller model, or a larger machine."
    too_large = f"forecast too large: {', '.join(machine.fits)} ({len(machine.fits)} of {len(machine.fits)})"
    return [Advice("bigger_machine", text, too_large)]


def _undecided(
    verdict: VerdictFacts, found: Evidence, data: DataFacts, machine: MachineFacts, target: float | None
) -> list[Advice]:
    """First what was not measured, then what would tell the measured ones apart."""
    measured = ", ".join(f"{_NAMES[rung]} {_short(score)}" for rung, score in found.rungs.items())
    n = max(score.n for score in found.rungs.values())
    if verdict.examples_needed is None and verdict.start_from is None and not verdict.not_measured:
        # A scoreboard of an earlier version that today's rules could not be put to.
        return [Advice("climb", "Measure anew: what is on the scoreboard gives no verdict.", measured)]
    given = _unmeasured([rung for rung in verdict.not_measured if rung not in found.rungs], measured, data, machine)
    if not given or verdict.examples_needed is not None:
        given.append(_settle(verdict, measured, n, target))
    return [*given, *_improve(found)]


def _unmeasured(missing: Sequence[Rung], measured: str, data: DataFacts, machine: MachineFacts) -> list[Advice]:
    given: list[Advice] = []
    ready = [rung for rung in RUNGS if rung in missing and (rung != "tune" or _can_train(data, machine))]
    if ready:
        text = f"Measure {_steps(ready)} too: without that the verdict stays open."
        given.append(Advice("climb", text, f"measured so far: {measured}"))
    if "tune" in missing and "tune" not in ready:
        given += _before_training(data, machine)
    return given


def _settle(verdict: VerdictFacts, measured: str, n: int, target: float | None) -> Advice:
    """More held-out examples where an affordable number tells; else another target or margin."""
    meanwhile = ""
    if verdict.start_from is not None:
        meanwhile = f" Meanwhile start from {_STEPS[verdict.start_from]}, which is not shown to be enough."
    figure = f"{measured} on {n:,} held-out examples"
    if verdict.largest_gain is not None:
        figure += f"; climbing further gains at most {verdict.largest_gain:.3f} by the interval's end"
    if verdict.margin_settled is not None:
        figure += f"; this many can settle a margin of about {verdict.margin_settled:.2g}"
    if verdict.examples_needed is not None:
        in_groups = " in groups of their own" if verdict.examples_unit == "groups" else ""
        about = f"about {verdict.examples_needed:,} {verdict.examples_unit}{_between(verdict.examples_range)}"
        text = f"Collect more held-out examples{in_groups}: {about} would settle it.{meanwhile}"
        return Advice("more_examples", text, figure)
    few = "No affordable number of held-out examples is known to settle it:"
    if target is not None:
        return Advice("target", f"{few} set a target that is not so close to the scores.{meanwhile}", figure)
    return Advice("margin", f"{few} set a wider margin, or decide by cost.{meanwhile}", figure)


def _none(found: Evidence, data: DataFacts, machine: MachineFacts, target: float | None) -> list[Advice]:
    """What every rung's miss calls for: what is shown to be mendable first, then another model or target."""
    if target is not None and found.bounds is not None and not found.bounds[0] <= target <= found.bounds[1]:
        low, high = found.bounds
        figure = f"the metric lies between {low:g} and {high:g}, the target is {target:g}"
        return [Advice("target", "Set a target that the metric can give; 80 per cent are written 0.8.", figure)]
    given = _improve(found)
    if found.tune is None:
        given += _train(found, data, machine)
    elif 0 < data.train_rows < FEW_ROWS and not any(one.action == "more_data" for one in given):
        given.append(_few_rows(data))
    if found.bigger is not None and target is not None and _reaches(found.bigger, target, data.more_is_better):
        text = "Distil from the bigger model, or use it as it is: it reaches the target."
        given.append(Advice("distil", text, f"the bigger model scores {_figures(found.bigger, target)}"))
    rung, best = _best(found, data.more_is_better)
    figure = f"the best is {_NAMES[rung]} with {_figures(best, target)}"
    instead = "Otherwise try" if given else "Try"
    given.append(Advice("model", f"{instead} a more capable base model: no rung is good enough with this one.", figure))
    if target is not None:
        reached = best.claim_low if data.more_is_better else best.claim_high
        if found.bounds is not None and reached == found.bounds[0 if data.more_is_better else 1]:
            return given  # shown to reach the metric's worst: no target at all
        text = f"Or settle for less: a target of {reached:.3g} is what {_NAMES[rung]} is shown to reach."
        if rung in found.picked:
            text = "Or settle for less: set a lower target."
        given.append(Advice("target", text, figure))
    return given


def _reaches(score: Estimate, target: float, more_is_better: bool) -> bool:
    return score.claim_low >= target if more_is_better else score.claim_high <= target


def _train(found: Evidence, data: DataFacts, machine: MachineFacts) -> list[Advice]:
    """To fine-tune where it was not measured, or what it lacks; for reading where that is shown to fail."""
    if not _can_train(data, machine):
        return _before_training(data, machine)
    rows = f"{data.train_rows:,} training rows"
    reading = found.reading
    if reading is not None and _reading_fails(reading) and not _led_astray(reading):
        text = "Fine-tune on answers from passages: the passage is there, and reading it or the answer's form fails."
        return [Advice("tune", text, f"{_wrong_words(reading)}; {rows}")]
    return [Advice("tune", "Fine-tune: it was not measured, and no other rung is good enough.", rows)]


def _improve(found: Evidence) -> list[Advice]:
    """What is shown to be mendable in the rungs that were measured."""
    given: list[Advice] = []
    if found.rag is not None and found.reading is not None:
        given += retrieval_advice(found.reading)
        if not given and _reading_fails(found.reading) and _led_astray(found.reading):
            text = "Show fewer or better passages: the others lead the model astray (distractors)."
            given.append(Advice("rag", text, _wrong_words(found.reading)))
    return [*given, *(_more_rows(found.learning) if found.tune is not None else [])]


def _more_rows(gain: LearningGain | None) -> list[Advice]:
    if gain is None or gain.low <= 0 or gain.difference <= STILL_LEARNING:
        return []
    text = "Get more training rows: the score still improves with them."
    figure = (
        f"{gain.more:,} rows against {gain.fewer:,}: better by {gain.difference:.3f} "
        f"[{gain.low:.3f}, {gain.high:.3f}] on {gain.n:,} validation rows"
    )
    return [Advice("more_data", text, figure)]


def _reading_fails(reading: Reading) -> bool:
    return shown_above(reading.wrong_when_found, reading.found, READING_FAILS)


def _led_astray(reading: Reading) -> bool:
    """Whether most of the wrong answers are shown to become right with the right passage alone."""
    return shown_above(reading.right_with_gold_alone or 0, reading.wrong_when_found, 0.5)


def _wrong_words(reading: Reading) -> str:
    wrong = reading.wrong_when_found
    said = f"the right passage was found and the answer is wrong for {share_words(wrong, reading.found)}"
    if reading.right_with_gold_alone is None:
        return said
    return f"{said}; the right passage alone mends {share_words(reading.right_with_gold_alone, wrong)}"


def _can_train(data: DataFacts, machine: MachineFacts) -> bool:
    return data.train_rows >= FEW_ROWS and not machine.nothing_fits


def _before_training(data: DataFacts, machine: MachineFacts) -> list[Advice]:
    return [*machine_advice(machine), *([_few_rows(data)] if data.train_rows < FEW_ROWS else [])]


def _few_rows(data: DataFacts) -> Advice:
    text = f"Collect at least {FEW_ROWS} training rows: fewer do as much as examples in the prompt."
    return Advice("more_data", text, f"{data.train_rows} training rows")


def _best(found: Evidence, more_is_better: bool) -> tuple[Rung, Estimate]:
    """The best score; of equal ones the lowest rung's."""
    sign = 1.0 if more_is_better else -1.0
    return max(found.rungs.items(), key=lambda item: sign * item[1].score)


def _between(examples: tuple[int, int | None] | None) -> str:
    if examples is None:
        return ""
    fewest, most = examples
    return f" (likely {fewest:,} to {most:,})" if most is not None else f" (likely {fewest:,} or more)"


def _short(score: Estimate) -> str:
    return f"{score.score:.3f} [{score.low:.3f}, {score.high:.3f}]"


def _figures(score: Estimate, target: float | None) -> str:
    said = f"{_short(score)} on {score.n:,} held-out examples"
    return said if target is None else f"{said}, target {target:g}"
