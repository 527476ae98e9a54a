"""What a data source holds under a model's tokenizer and template: the report, and single rows to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.data.hub import training_source
from rung.engine.data.kinds_of_problems import by_kind
from rung.engine.data.load import load_any
from rung.engine.data.read import Problem, Row, read_rows
from rung.engine.data.report import LoadedData, NothingUsable, with_stops
from rung.engine.data.row_view import Part, parts_of
from rung.engine.data.running_text import is_documents
from rung.engine.models.load import generation_stop_ids, load_tokenizer, model_config
from rung.engine.recipe.schema import DataSettings, ModelSettings
from rung.engine.splits.findings import KINDS, Examination, Finding, examine, turns_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEFAULT_MAX_LENGTH = 1024
_BEGINNING = 160


@dataclass(frozen=True)
class Entry:
    """A row, used or not: what the list of rows says of it."""

    number: int
    line: int
    source: str
    used: bool
    tokens: int
    trained_tokens: int
    cut: int
    kinds: tuple[str, ...]
    reasons: tuple[str, ...]
    text: str
    unit: str = "line"

    def to_json(self) -> dict[str, Any]:
        """The entry with no more than the beginning of its text."""
        return asdict(self) | {"text": self.text[:_BEGINNING]}


class CheckedData:
    """A data source, read and examined as the question asks."""

    def __init__(self, asked: dict[str, Any]) -> None:
        root = Path(asked["root"])
        settings = ModelSettings.model_validate(asked["model"])
        self.tokenizer, notes = _tokenizer(settings, root)
        limit = asked.get("max_length") or context_of(settings.name, root) or DEFAULT_MAX_LENGTH
        hub = {name: asked[name] for name in ("split", "revision", "streaming", "max_rows") if asked.get(name)}
        path = training_source(DataSettings(train=asked["path"], **hub), root)
        loaded = _load(path, self.tokenizer, asked, limit, settings.template_args)
        self.data = with_stops(_without_used(loaded, asked), generation_stop_ids(settings, root))
        self.rows = [] if is_documents(path) else read_rows(path)[0]
        self.examination = examine(
            self.data, self.rows, _held_out(asked, root, path), asked.get("label"), asked.get("columns")
        )
        self.report = _report(self.data, self.examination, notes) | {"max_length": limit, "model": settings.name}
        self.entries = list(_entries(self.data, self.rows, self.examination.findings))

    def listed(self, find: str = "", kind: str | None = None) -> list[Entry]:
        """The rows that contain `find` (whatever case) and are of a kind: a finding's, `problem`, or None for all."""
        wanted = find.casefold()
        return [
            entry
            for entry in self.entries
            if (kind is None or kind in entry.kinds) and (not wanted or wanted in entry.text.casefold())
        ]

    def row(self, number: int) -> dict[str, Any]:
        """An entry with its text in parts: each with a title and pieces of (text, whether it is trained)."""
        entry = self.entries[number]
        if number < len(self.data.encoded):
            parts = parts_of(self.data.examples[number], self.data.encoded[number], self.tokenizer)
        else:
            parts = [Part("the row as it is", [(entry.text, False)])]
        return entry.to_json() | {"parts": [asdict(part) for part in parts]}


def context_of(name: str, root: Path) -> int | None:
    """The model's context in tokens, where its files are here and say so."""
    config = model_config(name, root)
    config = config.get("text_config", config)
    for key in ("max_position_embeddings", "n_positions"):
        if isinstance(config.get(key), int):
            return int(config[key])
    return None


def _tokenizer(settings: ModelSettings, root: Path) -> tuple["PreTrainedTokenizerBase", list[str]]:
    tokenizer = load_tokenizer(settings, root)
    if tokenizer.chat_template:
        return tokenizer, []
    plain = settings.model_copy(update={"chat_template": "plain"})
    return load_tokenizer(plain, root), ["the tokenizer has no chat template: counted under the built-in plain one"]


def _load(
    path: Path, tokenizer: "PreTrainedTokenizerBase", asked: dict[str, Any], limit: int, template_args: dict[str, Any]
) -> LoadedData:
    try:
        return load_any(
            path,
            tokenizer,
            shape=asked.get("shape") or "auto",
            columns=asked.get("columns"),
            max_length=limit,
            loss_on=asked.get("loss_on") or "assistant",
            template_args=template_args,
        )
    except NothingUsable as error:
        # Just then one wants to see the rows, each with its reason.
        return LoadedData([], [], error.report)


def _without_used(data: LoadedData, asked: dict[str, Any]) -> LoadedData:
    """The data, with no column told as unused that the project uses for something else than turns."""
    used = {*asked.get("used_elsewhere", ())}
    unused = [column for column in data.report.unused if column.name not in used]
    return replace(data, report=replace(data.report, unused=unused))


def _held_out(asked: dict[str, Any], root: Path, path: Path) -> list[dict[str, Any]] | None:
    """The rows of the project's held-out set, unless they are what is checked."""
    name = asked.get("held_out")
    file = root / name if name else None
    if file is None or not file.exists() or file.resolve() == path.resolve() or is_documents(path):
        return None
    return [row.fields for row in read_rows(file)[0]]


def _report(data: LoadedData, found: Examination, notes: Sequence[str]) -> dict[str, Any]:
    report = data.report.to_json()
    alone = ["prompts without answers: for methods that answer themselves; sft learns nothing from them"]
    said = [*report["notes"], *(alone if data.report.shape == "prompts" else []), *notes]
    examined = asdict(found)
    return report | examined | {"notes": said, "kinds": by_kind(report["problems"], examined["findings"])}


def _entries(data: LoadedData, rows: Sequence[Row], findings: Sequence[Finding]) -> Iterator[Entry]:
    """Every used row in its order, then every row that can't be used."""
    units = data.report.units
    by_place: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        by_place.setdefault((finding.source, finding.line), []).append(finding)
    for number, (example, item) in enumerate(zip(data.examples, data.encoded, strict=True)):
        odd = by_place.get((item.source, item.line), [])
        text = "\n".join(said for _, said in turns_of(example))
        yield Entry(
            number, item.line, item.source, True, item.tokens, item.trained_tokens, item.cut,
            tuple(finding.kind for finding in odd), tuple(f"{finding.kind}: {finding.reason}" for finding in odd), text,
            units.get(item.source, "line"),
        )  # fmt: skip
    fields = {(row.source, row.line): row.fields for row in rows}
    for number, problem in enumerate(data.report.problems, start=len(data.encoded)):
        text = _as_lines(fields.get((problem.source, problem.line), {}))
        yield Entry(
            number, problem.line, problem.source, False, 0, 0, 0, ("problem",), (_said(problem),), text, problem.unit
        )  # fmt: skip


def _said(problem: Problem) -> str:
    return f"{problem.field}: {problem.reason}" if problem.field else problem.reason


def _as_lines(fields: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in fields.items())


def check_data(asked: dict[str, Any]) -> dict[str, Any]:
    """The report that `rung check DATA` prints. Raises EngineError when there is nothing that can be read."""
    return CheckedData(asked).report


def answer(checked: CheckedData, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request of the Data screen: a part of the list of rows, or one row."""
    if "row" in request:
        if not 0 <= request["row"] < len(checked.entries):
            raise EngineError(f"There is no row {request['row']}")
        return {"row": checked.row(request["row"])}
    kind = request.get("kind")
    if kind is not None and kind != "problem" and kind not in KINDS:
        raise EngineError(f"There is no kind of finding {kind}")
    found = checked.listed(request.get("find", ""), kind)
    start = request.get("start", 0)
    shown = found[start : start + request.get("count", len(found))]
    return {"rows": [entry.to_json() for entry in shown], "total": len(found)}
