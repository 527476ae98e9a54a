"""Held-out questions that stand with their answers, word for word, in the documents or the prompt: told, not refused.

That a passage holds the answer is what retrieval is for; where it holds the question too, the row itself is looked up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, read_json, sha256_file, sha256_text, write_json_atomic
from rung.engine.data.row_text import plain_words
from rung.engine.jobs.events import Warned
from rung.engine.ladder.examples import EvaluationExample, read_examples
from rung.engine.project.load import load_project
from rung.engine.project.root import is_project
from rung.engine.project.schema import ProjectSettings
from rung.engine.retrieval.documents import UnreadableFile
from rung.engine.retrieval.loaders import read_file
from rung.engine.retrieval.scan import SourceFile, scan
from rung.engine.splits.frozen import HELD_OUT
from rung.engine.splits.split_record import is_frozen, read_splits

MEMORY_FILE = "evaluations/answers_in_documents.json"
_MOST_SHOWN, _MOST_REMEMBERED = 5, 50
# The answer begins within so many words after its question, or ends so many before it.
_AFTER, _BEFORE = 30, 5
# A question of fewer words stands in statements too ("the inventor of the Gak is Ida"): there its answer follows at
# once, or after one of these words.
_QUESTION_WORDS = 6
_MARKS = frozenset({"a", "answer", "reply", "response", "output", "assistant"})
_START = 6


@dataclass(frozen=True)
class Given:
    """How many held-out questions stand with their answers in what candidates are given, and the first in words."""

    count: int
    first: tuple[str, ...]

    @property
    def warning(self) -> Warned:
        """What to tell of them."""
        ones = "question stands with its answer" if self.count == 1 else "questions stand with their answers"
        return Warned(
            f"{self.count} held-out {ones}, word for word, in the documents or the prompt",
            "\n".join(self.first),
            "take them out there: a score on them is that of looking up the row itself",
        )


def answers_given(root: Path, project: ProjectSettings) -> Given:
    """The held-out rows whose question and answer stand in the documents or in rung.yaml's prompts.

    Searched once for each content of both.
    """
    held_out = [file for file in _held_out_files(root, project) if (root / file).exists()]
    prompts = _prompts(project)
    documents = project.documents
    folder = root / documents.path if documents is not None and documents.path is not None else None
    files = scan(folder)[0] if folder is not None and folder.exists() else []
    if not held_out or not (prompts or files):
        return Given(0, ())
    columns = documents.model_dump(include={"text_column", "title_column"}) if documents is not None else {}
    searched = [sha256_file(root / file) for file in held_out]
    told = [(file.path, sha256_file(file.absolute)) for file in files]
    reading = project.data.model_dump(include={"shape", "columns"})
    key = sha256_text(canonical_json([searched, told, prompts, columns, reading]))[:16]
    memory = root / MEMORY_FILE
    known: dict[str, Any] = read_json(memory) if memory.exists() else {}
    if not isinstance(known.get(key), dict):
        found = _search(root, project, held_out, prompts, files, columns)
        known[key] = {"count": len(found), "first": found[:_MOST_SHOWN]}
        write_json_atomic(memory, dict(list(known.items())[-_MOST_REMEMBERED:]))
    return Given(known[key]["count"], tuple(known[key]["first"]))


def given_in_project(root: Path) -> list[str]:
    """The same for a recipe's check, in lines; none outside a project, or where nothing is given."""
    if not is_project(root):
        return []
    try:
        found = answers_given(root, load_project(root))
    except EngineError:
        return []  # rows that can't be answered stop a climb, which says why; no recipe
    return [f"{found.warning.message}: {'; '.join(found.first)}"] if found.count else []


def _held_out_files(root: Path, project: ProjectSettings) -> list[str]:
    if is_frozen(root):
        splits = read_splits(root).splits
        return [splits[name].file for name in HELD_OUT if name in splits]
    return [project.data.test] if project.data.test is not None else []


def _prompts(project: ProjectSettings) -> dict[str, str]:
    """What rung.yaml puts around every question, by the field's name."""
    fields = {
        "system_prompt": project.system_prompt,
        "prompt_template": project.prompt_template,
        "rag_prompt.frame": project.rag_prompt.frame,
        "rag_prompt.chunk": project.rag_prompt.chunk,
        "prompt_trials.system_prompts": "\n\n".join(project.prompt_trials.system_prompts),
    }
    return {name: text for name, text in fields.items() if text}


def _search(
    root: Path,
    project: ProjectSettings,
    held_out: Sequence[str],
    prompts: dict[str, str],
    files: Sequence[SourceFile],
    columns: dict[str, Any],
) -> list[str]:
    """One line for each held-out row that is given, in their order."""
    examples = [(file, example) for file in held_out for example in read_examples(root / file, project.data).examples]
    rows = QuestionsWithAnswers([(example.question, example.reference) for _, example in examples])
    places: dict[int, str] = {}
    texts = [(f"{name} of rung.yaml", text) for name, text in prompts.items()]
    for place, text in (*texts, *_documents(files, columns)):
        for row in rows.found_in(text):
            places.setdefault(row, place)
    return [
        f"{examples[row][0]} line {examples[row][1].line} stands in {places[row]}: {_excerpt(examples[row][1])}"
        for row in sorted(places)
    ]


class QuestionsWithAnswers:
    """Held-out questions and answers, looked up in texts by the question's first words."""

    def __init__(self, rows: Sequence[tuple[str, str]]) -> None:
        self._rows = [(plain_words(question), plain_words(answer)) for question, answer in rows]
        self._by_start: dict[tuple[str, ...], list[int]] = {}
        for row, (question, answer) in enumerate(self._rows):
            if question and answer:
                self._by_start.setdefault(tuple(question[:_START]), []).append(row)
        self._lengths = sorted({len(start) for start in self._by_start})

    def found_in(self, text: str) -> set[int]:
        """The rows of which the question stands in the text, word for word, and the answer close to it."""
        words = plain_words(text)
        found: set[int] = set()
        for length in self._lengths:
            starts = zip(*(words[shift:] for shift in range(length)), strict=False)
            for at, start in enumerate(starts):
                if start in self._by_start:
                    found.update(row for row in self._by_start[start] if _is_answered(words, at, *self._rows[row]))
        return found


def _is_answered(words: Sequence[str], at: int, question: Sequence[str], answer: Sequence[str]) -> bool:
    """Whether the question stands at this place, and its answer close to it."""
    end = at + len(question)
    if words[at:end] != question:
        return False
    if len(question) < _QUESTION_WORDS:
        marks = 1 if _MARKS.intersection(words[end : end + 1]) else 0
        return any(words[first : first + len(answer)] == answer for first in (end, end + marks))
    after = words[end : end + _AFTER + len(answer)]
    return _holds(after, answer) or _holds(words[max(0, at - _BEFORE - len(answer)) : at], answer)


def _documents(files: Sequence[SourceFile], columns: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each document's source and text; what can't be read is told when it is indexed."""
    for file in files:
        try:
            for document in read_file(file, lambda _: None, **columns):
                yield f"documents {document.source}", f"{document.title}\n{document.text}"
        except (UnreadableFile, EngineError):
            continue


def _holds(words: Sequence[str], wanted: Sequence[str]) -> bool:
    return f" {' '.join(wanted)} " in f" {' '.join(words)} "


def _excerpt(example: EvaluationExample, length: int = 80) -> str:
    flat = " ".join(f"{example.question} {example.reference}".split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
