"""What the Data screen says: the head, a row in the list, a row's text with its trained tokens, and the figures."""

from collections.abc import Mapping
from typing import Any

from textual.content import Content

from rung.tui.text.glyphs import Glyphs
from rung.tui.text.histogram import histogram_lines
from rung.tui.text.words import count, one_line, printable

PROBLEM = "problem"
PROBLEM_WORDS = "can't be used"
# The engine's kinds of findings in words; spelled here too, so that its modules load in the worker alone.
KIND_WORDS = {
    "held out": "in the held-out set too",
    "secret": "looks like a key",
    "encoding": "characters of a wrong decoding",
    "left out": "not written whole by the template",
    "truncated": "cut off at max_length",
    "duplicate": "the same as another row",
    "near duplicate": "nearly the same as another row",
    "short answer": "an answer of one word, or none",
    "labels": "unbalanced labels",
    "columns": "a column that isn't used",
    "language": "another language than most",
}


def kinds_of(report: Mapping[str, Any]) -> dict[str, int]:
    """Kinds of rows to look at, with how many there are: those that can't be used first."""
    kinds: dict[str, int] = {}
    if report["problems"]:
        kinds[PROBLEM] = len(report["problems"])
    for finding in report["findings"]:
        if finding["line"]:
            kinds[finding["kind"]] = kinds.get(finding["kind"], 0) + 1
    return kinds


def head_lines(report: Mapping[str, Any], split: str, path: str, shown: str, width: int) -> Content:
    """Two lines: what is read, and which of its rows are listed."""
    unused = report["rows"] - report["used"]
    said = f"{path} · {report['shape']} · {count(report['rows'])} rows, {count(unused)} can't be used"
    trained = f" · {count(report['trained_tokens'])} of {count(report['tokens'])} tokens trained"
    return Content.assemble(
        (f"{split} ", "bold $text-accent"), one_line(said + trained, width - len(split) - 1), "\n",
        (one_line(shown, width), "$muted"),
    )  # fmt: skip


def shown_line(kind: str | None, find: str, shown: int, total: int) -> str:
    """Which rows are listed, in words."""
    words = "all rows" if kind is None else f"rows {_words(kind)}"
    found = f" with {find!r}" if find else ""
    some = f", the first {count(shown)} here" if shown < total else ""
    return f"{words}{found}: {count(total)}{some}"


def entry_line(entry: Mapping[str, Any], kind: str | None, marks: Glyphs, width: int) -> Content:
    """A row in the list: its line, a mark, its tokens, and its beginning or what is wrong with it."""
    place = f"{entry['line']:>6} "
    if not entry["used"]:
        return Content.assemble(
            (place, "$muted"), (f"{marks.no} ", "bold $text-error"), one_line(entry["reasons"][0], width - 9)
        )
    reasons = [reason for reason in entry["reasons"] if kind is None or reason.startswith(kind)]
    tokens = f"{count(entry['trained_tokens'])}/{count(entry['tokens'])}"
    text = "; ".join(reasons) if kind is not None and reasons else entry["text"]
    return Content.assemble(
        (place, "$muted"),
        ("! " if reasons else "  ", "bold $text-warning"),
        (f"{tokens:<10} ", "$muted"),
        one_line(text, max(10, width - 20)),
    )


def row_text(row: Mapping[str, Any], marks: Glyphs, in_colour: bool, in_ascii: bool) -> Content:
    """The row as the model sees it, trained tokens coloured; without colour underlined, in plain ASCII in brackets."""
    lines = [_facts(row)]
    lines += [
        Content.styled(f"{marks.no if not row['used'] else '!'} {printable(reason)}", "$text-warning")
        for reason in row["reasons"]
    ]
    style = "$text-success" if in_colour else "underline"
    for part in row["parts"]:
        title = [Content.styled(printable(part["title"]), "bold $text-accent"), Content("\n")] if part["title"] else []
        pieces = [_piece(text, trained, style, in_ascii) for text, trained in part["pieces"]]
        lines.append(Content("").join([Content("\n"), *title, *pieces]))
    if any(trained for part in row["parts"] for _, trained in part["pieces"]):
        how = "in [[ ]]" if in_ascii else "green" if in_colour else "underlined"
        lines.insert(1, Content.styled(f"trained tokens are {how}; ⏎ is a trained line end", "$muted"))
    return Content("\n").join(lines)


def figure_lines(report: Mapping[str, Any], marks: Glyphs) -> Content:
    """The whole source: lengths, copies, roles, languages, labels, findings by kind, notes."""
    parts = [
        _titled(f"Tokens of a row (median {count(report['median_length'])})",
                histogram_lines(report["lengths"], report["max_length"], marks, 20)),
        _titled("Counts", [
            f"stop token trained in {count(report['stop_token_trained'])} rows, "
            f"{count(report['truncated'])} cut at {count(report['max_length'])}",
            f"copies: {count(report['duplicates'])} exact, {count(report['near_duplicates'])} near",
            *(f"{name}: {_counts(report[name])}" for name in ("roles", "languages", "labels") if report[name]),
            *([f"in the held-out set too: {count(report['held_out'])}"] if report["held_out"] is not None else []),
        ]),
        _titled("To look at (p)", [f"{count(rows)} {_words(kind)}" for kind, rows in kinds_of(report).items()]),
        _titled("Columns", [
            *(f"{field} is {column}" for field, column in report.get("columns", {}).items()),
            *(f"not used: {column['name']} ({count(column['rows'])} rows)" for column in report.get("unused", [])),
        ]),
        _titled("Notes", [*report["notes"], *(each["reason"] for each in report["findings"] if not each["line"])]),
    ]  # fmt: skip
    return Content("\n\n").join(part for part in parts if part)


def _words(kind: str) -> str:
    return PROBLEM_WORDS if kind == PROBLEM else f"{KIND_WORDS[kind]}"


def _facts(row: Mapping[str, Any]) -> Content:
    said = f"{row.get('unit', 'line')} {row['line']} of {row['source']}"
    if row["used"]:
        said += f" · {count(row['trained_tokens'])} of {count(row['tokens'])} tokens trained"
    return Content.styled(printable(said), "bold")


def _piece(text: str, trained: bool, style: str, in_ascii: bool) -> Content:
    said = printable(text)
    if not trained:
        return Content.styled(said, "$muted")
    if in_ascii:
        return Content.styled(f"[[{said}]]", style)
    return Content.styled(said.replace("\n", "⏎\n"), style)


def _titled(title: str, lines: list[str]) -> Content:
    if not lines:
        return Content("")
    return Content("\n").join(
        [Content.styled(title, "bold $text-accent"), *(Content(printable(line)) for line in lines)]
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name[:30]} {count(rows)}" for name, rows in counts.items())
