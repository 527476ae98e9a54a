"""The metrics there are: what each says, which options it takes, and where its scores can lie."""

from collections.abc import Set
from dataclasses import dataclass

from rung.engine.stats.intervals import ZERO_TO_ONE, Bounds


@dataclass(frozen=True)
class MetricKind:
    """A metric's one-line help, the options it takes and needs, its bounds, and whether more is better.

    `computed_elsewhere`: its per-example scores need a model, so they come from the worker or from the judge.
    `version` grows where the same answer may score otherwise than before: kept scores of an earlier one are not used.
    """

    help: str
    options: Set[str] = frozenset()
    required: Set[str] = frozenset()
    bounds: Bounds | None = ZERO_TO_ONE
    higher_is_better: bool = True
    computed_elsewhere: bool = False
    version: int = 1


METRICS: dict[str, MetricKind] = {
    "exact_match": MetricKind("the answer is the reference, but for spaces", {"casefold"}),
    "normalized_match": MetricKind(
        "the answer is the reference, but for capitals, articles, punctuation and spaces, as SQuAD compares"
    ),
    "contains": MetricKind(
        "the reference stands somewhere in the answer, as words or numbers of its own", {"casefold"}, version=2
    ),
    "regex": MetricKind(
        "a pattern is found in the answer; what its group named answer captured, if it has one, is the reference",
        {"pattern", "casefold"},
        {"pattern"},
    ),
    "token_f1": MetricKind("overlap of words with the reference, as SQuAD counts it"),
    "rouge_l": MetricKind("longest common subsequence of words with the reference (F)"),
    "bleu": MetricKind("sentence BLEU against the reference, 0 to 1"),
    "chrf": MetricKind("character n-gram F against the reference, 0 to 1"),
    "numeric": MetricKind(
        "the last number of the answer is the reference's, however both are written",
        {"tolerance", "decimals"},
        version=2,
    ),
    "json_valid": MetricKind("the answer is JSON and nothing else", {"code_fence"}),
    "json_schema": MetricKind("the answer is JSON that fits a schema", {"schema_", "code_fence"}, {"schema_"}),
    "json_fields": MetricKind(
        "share of the reference's JSON fields that the answer has with the same value",
        {"fields", "casefold", "code_fence"},
    ),
    "label_accuracy": MetricKind("the answer names the right label, and doesn't deny it", {"labels"}, version=2),
    "macro_f1": MetricKind("F1 of each label, averaged over the labels", {"labels"}, version=2),
    "function": MetricKind(
        "a Python function of your own",
        {"function", "range", "higher_is_better"},
        {"function"},
        bounds=None,
    ),
    "judge": MetricKind(
        "a model's preference over the reference answer: 1 better, 0.5 tie, 0 worse", computed_elsewhere=True
    ),
    "reference_perplexity": MetricKind(
        "how surprised the model is by the reference answer, per token",
        bounds=None,
        higher_is_better=False,
        computed_elsewhere=True,
    ),
}
COMMON_OPTIONS = frozenset({"name", "references", "reasoning_tags"})
"""What every metric takes."""
