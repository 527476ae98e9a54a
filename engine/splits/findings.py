"""What is odd about rows that can be used: copies, thin answers, other languages, broken encodings, keys, imbalance."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rung.engine.data.content import content_of
from rung.engine.data.labels import Labelled
from rung.engine.data.languages import UNKNOWN, language_of
from rung.engine.data.preferences import Pair
from rung.engine.data.prompts import Prompted
from rung.engine.data.read import Row
from rung.engine.data.report import DataReport, LoadedData, example_hash, group_of
from rung.engine.data.row_text import plain_words
from rung.engine.data.secrets import secrets_in
from rung.engine.data.shapes import Passage
from rung.engine.splits.alike import near_pairs
from rung.engine.splits.leaks import find_leaks

KINDS = {
    "held out": "stands in the held-out set too",
    "secret": "has something that looks like a key",
    "encoding": "has characters that a wrong decoding leaves",
    "left out": "has something that the chat template doesn't write",
    "truncated": "loses its end at max_length",
    "duplicate": "says the same as another row",
    "near duplicate": "says nearly the same as another row",
    "short answer": "has an answer of one word, or none",
    "labels": "is of an unbalanced set",
    "columns": "has a column that nothing is made of",
    "language": "is in another language than most",
}
"""What each kind of finding says of a row; what harms most comes first."""
# UTF-8 read as Latin-1 or Windows-1252, the replacement character, control characters.
_BROKEN = re.compile("[ÃÂ][\x80-\xbf]|â€|\ufffd|ï»¿|[\x00-\x08\x0b\x0c\x0e-\x1f]")
_MOST_LABELS = 20
_LEAST_ROWS_A_LABEL = 5
_LARGEST_SHARE, _LARGEST_RATIO = 0.8, 10


@dataclass(frozen=True)
class Finding:
    """Something odd about a row that is used; line 0 stands for the whole source."""

    kind: str
    line: int
    reason: str
    source: str = ""
    unit: str = "line"


@dataclass(frozen=True)
class Examination:
    """Turns by role, rows by language, rows by label (where rows have one), and the findings by kind, then by line."""

    roles: dict[str, int]
    languages: dict[str, int]
    labels: dict[str, int]
    near_duplicates: int
    held_out: int | None
    findings: list[Finding]


def examine(
    data: LoadedData,
    rows: Sequence[Row] = (),
    held_out: Sequence[Mapping[str, Any]] | None = None,
    label: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Examination:
    """What is odd about the rows that are used.

    `rows` are those of the file, compared with the `held_out` ones; `label` names the column that has a class;
    `columns` is as in a recipe.
    """
    # One text may be in several windows, each with the same example.
    examples = list({id(example): example for example in data.examples}.values())
    texts = [_said(example) for example in examples]
    languages = [language_of(text) for text in texts]
    labels = _labels(examples, rows, label)
    units = data.report.units
    near = _near(examples, units)
    leaked = [] if held_out is None else _leaked(rows, held_out, columns)
    findings = [
        *leaked,
        *_copies(examples, units),
        *near,
        *_short(examples),
        *_cut(data),
        *_other_languages(examples, languages),
        *_broken(examples, texts),
        *_secret(examples, texts),
        *_unbalanced(labels),
        *_columns(data.report),
    ]
    findings = [replace(each, unit=units.get(each.source, "line")) for each in findings]
    order = list(KINDS)
    findings.sort(key=lambda finding: (order.index(finding.kind), finding.source, finding.line))
    return Examination(
        roles=dict(Counter(role for example in examples for role, _ in turns_of(example)).most_common()),
        languages=dict(Counter(languages).most_common()),
        labels=labels,
        near_duplicates=len(near),
        held_out=None if held_out is None else len(leaked),
        findings=findings,
    )


def turns_of(example: Any) -> list[tuple[str, str]]:
    """(role, text) of each turn of an example of any kind; a pair has two answers, running text one turn of its own."""
    if isinstance(example, Passage):
        return [("text", example.text)]
    if isinstance(example, Pair):
        turns = [*example.prompt, example.chosen, example.rejected]
    elif isinstance(example, Labelled):
        turns = [*example.prompt, example.answer]
    else:
        turns = example.prompt if isinstance(example, Prompted) else example.messages
    return [(str(turn["role"]), str(turn.get("content") or "")) for turn in turns]


def _said(example: Any) -> str:
    return "\n".join(text for _, text in turns_of(example))


def _copies(examples: Sequence[Any], units: Mapping[str, str]) -> Iterator[Finding]:
    first: dict[str, Any] = {}
    for example in examples:
        known = first.setdefault(example_hash(example), example)
        if known is not example:
            yield Finding("duplicate", example.line, f"the same as {_place(known, example, units)}", example.source)


def _near(examples: Sequence[Any], units: Mapping[str, str]) -> list[Finding]:
    found: dict[int, Finding] = {}
    hashes = [example_hash(example) for example in examples]
    for a, b, similarity in near_pairs([content_of(example) for example in examples]):
        one, other = examples[a], examples[b]
        # Answers to one prompt are meant to be compared; exact copies are reported as such.
        of_one_prompt = isinstance(one, (Pair, Labelled)) and group_of(one) == group_of(other)
        if not of_one_prompt and hashes[a] != hashes[b] and b not in found:
            reason = f"{similarity:.0%} the same as {_place(one, other, units)}"
            found[b] = Finding("near duplicate", other.line, reason, other.source)
    return list(found.values())


def _leaked(
    rows: Sequence[Row], held_out: Sequence[Mapping[str, Any]], columns: Mapping[str, str] | None
) -> list[Finding]:
    leaks = find_leaks([row.fields for row in rows], held_out, columns)
    return [
        Finding("held out", row.line, f"{leak.kind}: held-out row {leak.test_row}", row.source)
        for leak in leaks
        for row in (rows[leak.train_row - 1],)
    ]


def _short(examples: Sequence[Any]) -> Iterator[Finding]:
    for example in examples:
        if isinstance(example, (Passage, Prompted)):
            continue
        if isinstance(example, Pair):
            answers = [example.chosen, example.rejected]
        else:
            answers = [example.answer if isinstance(example, Labelled) else example.messages[-1]]
        for answer in answers:
            words = plain_words(str(answer["content"]))
            if len(words) <= 1 and not answer.get("tool_calls"):
                reason = f"the answer is one word: {words[0][:30]}" if words else "the answer has no word"
                yield Finding("short answer", example.line, reason, example.source)


def _cut(data: LoadedData) -> Iterator[Finding]:
    for item in data.encoded:
        if item.cut:
            reason = f"{item.cut} of {item.full_length} tokens are cut off"
            if item.answer_cut:
                reason += ", the end of an answer among them"
            yield Finding("truncated", item.line, reason, item.source)
        if missing := getattr(item, "left_out", ""):
            yield Finding("left out", item.line, f"the chat template doesn't write its {missing}", item.source)


def _other_languages(examples: Sequence[Any], languages: Sequence[str]) -> Iterator[Finding]:
    known = Counter(language for language in languages if language != UNKNOWN)
    if len(known) < 2:
        return
    most, count = known.most_common(1)[0]
    if count * 2 <= known.total():
        return  # A set in several languages: the counts say so.
    for example, language in zip(examples, languages, strict=True):
        if language not in (most, UNKNOWN):
            yield Finding("language", example.line, f"seems to be {language}; most rows are {most}", example.source)


def _broken(examples: Sequence[Any], texts: Sequence[str]) -> Iterator[Finding]:
    for example, text in zip(examples, texts, strict=True):
        if (found := _BROKEN.search(text)) is not None:
            around = text[max(0, found.start() - 10) : found.end() + 10]
            yield Finding("encoding", example.line, f"characters of a wrong decoding: {around!r}", example.source)


def _secret(examples: Sequence[Any], texts: Sequence[str]) -> Iterator[Finding]:
    for example, text in zip(examples, texts, strict=True):
        for reason in secrets_in(text):
            yield Finding("secret", example.line, reason, example.source)


def _labels(examples: Sequence[Any], rows: Sequence[Row], column: str | None) -> dict[str, int]:
    """Rows by label: KTO's, those of the named column, or answers where there are only a few different ones."""
    if examples and isinstance(examples[0], Labelled):
        return dict(Counter("good" if example.label else "bad" for example in examples).most_common())
    if column is not None:
        return dict(Counter(str(row.fields.get(column)) for row in rows).most_common())
    answers = Counter(
        str(example.messages[-1]["content"]).strip() for example in examples if hasattr(example, "messages")
    )
    few = 2 <= len(answers) <= _MOST_LABELS and answers.total() >= _LEAST_ROWS_A_LABEL * len(answers)
    return dict(answers.most_common()) if few else {}


def _unbalanced(labels: Mapping[str, int]) -> Iterator[Finding]:
    if len(labels) < 2:
        return
    largest, smallest = max(labels.values()), min(labels.values())
    total = sum(labels.values())
    if largest > _LARGEST_SHARE * total or largest >= _LARGEST_RATIO * smallest:
        name = max(labels, key=lambda label: labels[label])
        rarest = min(labels, key=lambda label: labels[label])
        reason = f"{name[:30]!r} has {largest} of {total} rows, {rarest[:30]!r} has {smallest}"
        yield Finding("labels", 0, reason)


def _columns(report: DataReport) -> Iterator[Finding]:
    for column in report.unused:
        if column.kind:
            yield Finding("columns", 0, f"{column.name} ({column.rows:,} rows) isn't used; {column.why}")


def _place(example: Any, seen_from: Any, units: Mapping[str, str]) -> str:
    place = f"{units.get(example.source, 'line')} {example.line}"
    return place + (f" of {example.source}" if example.source != seen_from.source else "")
