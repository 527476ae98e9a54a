"""What `rung check DATA` says: every row used, or reported with its line and the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, sha256_text
from rung.engine.data.encode import Encoded, LossOn, encode, stop_ids
from rung.engine.data.kinds_of_problems import by_kind
from rung.engine.data.read import Problem
from rung.engine.data.shaped import ShapedRows, learnable, read_shaped
from rung.engine.data.shapes import Example, Passage
from rung.engine.data.template import TurnsRefused
from rung.engine.data.unused import UnusedColumn
from rung.engine.recipe.data_needs import METHOD_SHAPES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class DataReport:
    """Counts over one data source under one tokenizer and `max_length`. Lengths are in tokens."""

    shape: str
    rows: int
    used: int
    tokens: int
    trained_tokens: int
    truncated: int
    answers_cut: int
    duplicates: int
    longest: int
    median_length: int
    stop_token_trained: int
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    """Of every row that could be tokenised, in ascending order; also of those that are too long to be used."""
    columns: dict[str, str] = field(default_factory=dict)
    """The fields that stand in a column of another name, with that name."""
    unused: list[UnusedColumn] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    """What a place is called in the files whose rows are not lines."""

    def to_json(self) -> dict[str, Any]:
        """The report as CONTRACTS' `check DATA` prints it."""
        bins = [asdict(each) for each in length_bins(self.lengths)]
        problems = [problem.to_json() for problem in self.problems]
        return asdict(self) | {"problems": problems, "lengths": bins, "kinds": by_kind(problems)}


@dataclass(frozen=True)
class LengthBin:
    """How many rows have `low` to `high` tokens."""

    low: int
    high: int
    rows: int


class NothingUsable(EngineError):
    """No row of a data source can be used; the report says why, row by row."""

    def __init__(self, message: str, details: str, hint: str, report: DataReport) -> None:
        super().__init__(message, details, hint)
        self.report = report


class EncodedRow(Protocol):
    """What every method's encoded rows tell about themselves, in tokens."""

    @property
    def source(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def full_length(self) -> int: ...
    @property
    def cut(self) -> int: ...
    @property
    def trained_tokens(self) -> int: ...
    @property
    def learned(self) -> list[int]: ...
    @property
    def answer_cut(self) -> bool: ...


@dataclass(frozen=True)
class LoadedData:
    """Examples with their encodings, row for row, and the report on them; of which kind is the method's to know."""

    examples: list[Any]
    encoded: list[Any]
    report: DataReport


def load_data(
    path: Path,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    shape: str = "auto",
    columns: dict[str, str] | None = None,
    max_length: int = 1024,
    loss_on: LossOn = "assistant",
    template_args: dict[str, Any] | None = None,
    model_stop_ids: Sequence[int] = (),
) -> LoadedData:
    """All usable examples of `path`, encoded, and the report. Raises EngineError when nothing can be used."""
    read = read_shaped(path, shape, columns)
    examples, problems, notes = learnable(path, read, shape, METHOD_SHAPES["sft"])
    encoded: list[Encoded] = []
    kept: list[Example] = []
    lengths: list[int] = []
    for example in examples:
        try:
            item = encode(example, tokenizer, max_length, loss_on, template_args)
        except TurnsRefused as error:
            problems.append(read.problem(example, "chat template", error.reason))
            continue
        lengths.append(item.full_length)
        if item.trained_tokens == 0:
            problems.append(read.problem(item, "answer", _why_untrained(item, max_length)))
            continue
        encoded.append(item)
        kept.append(example)
    stops = stop_ids(tokenizer, model_stop_ids)
    return LoadedData(kept, encoded, checked(path, make_report(read, kept, encoded, problems, stops, notes, lengths)))


def _why_untrained(item: Encoded, max_length: int) -> str:
    if item.full_length <= max_length:
        return "no answer of it is to be learned: their weight is 0"
    return f"no trained token is left: {item.full_length} tokens, max_length {max_length}"


def checked(path: Path, report: DataReport) -> DataReport:
    """The report itself. Raises NothingUsable when no row can be used."""
    if report.used == 0:
        first = report.problems[:5]
        details = "\n".join(f"{p.source} {p.place}: {p.field}: {p.reason}" for p in first)
        message = f"No row of {path} can be used"
        raise NothingUsable(message, details, "mend the rows, or raise data.max_length", report)
    return report


def subset(data: LoadedData, numbers: Sequence[int]) -> LoadedData:
    """Some of the examples with their encodings; counts of the report follow, its problems stay with the whole."""
    encoded = [data.encoded[number] for number in numbers]
    report = replace(
        data.report,
        used=_count_rows(encoded),
        tokens=sum(item.tokens for item in encoded),
        trained_tokens=sum(item.trained_tokens for item in encoded),
        truncated=sum(1 for item in encoded if item.cut),
        answers_cut=sum(1 for item in encoded if item.answer_cut),
        problems=[],
        notes=[],
    )
    return LoadedData([data.examples[number] for number in numbers], encoded, report)


def with_stops(data: LoadedData, stops: Sequence[int]) -> LoadedData:
    """The data with its stop tokens counted by these ids, where none of the tokenizer's own was found."""
    if data.report.stop_token_trained or not stops:
        return data
    count = sum(1 for item in data.encoded if not set(stops).isdisjoint(item.learned))
    return replace(data, report=replace(data.report, stop_token_trained=count))


def make_report(
    read: ShapedRows,
    examples: Sequence[Any],
    encoded: Sequence[EncodedRow],
    problems: Sequence[Problem],
    stops: set[int],
    notes: Sequence[str] = (),
    lengths: Sequence[int] | None = None,
) -> DataReport:
    """The report on rows of any kind. `lengths`: of all rows, where some are too long to be used."""
    used = sorted(item.full_length for item in encoded)
    cut = [item for item in encoded if item.cut > 0]
    said = list(notes)
    if cut:
        said.append(f"rows longer than max_length that lose their end: {len(cut)} ({lines_of(cut, read.units)})")
    return DataReport(
        shape=read.shape,
        rows=read.count,
        used=_count_rows(encoded),
        tokens=sum(item.tokens for item in encoded),
        trained_tokens=sum(item.trained_tokens for item in encoded),
        truncated=len(cut),
        answers_cut=sum(1 for item in cut if item.answer_cut),
        duplicates=len(examples) - len({example_hash(example) for example in examples}),
        longest=used[-1] if used else 0,
        median_length=used[len(used) // 2] if used else 0,
        stop_token_trained=sum(1 for item in encoded if not stops.isdisjoint(item.learned)),
        problems=sorted(problems, key=lambda problem: (problem.source, problem.line)),
        notes=said,
        lengths=used if lengths is None else sorted(lengths),
        columns=read.columns,
        unused=read.unused,
        units=read.units,
    )


def length_bins(lengths: Sequence[int], most: int = 12) -> list[LengthBin]:
    """A histogram of at most `most` bins of one width (1, 2 or 5 times a power of ten), from the shortest length on."""
    if not lengths:
        return []
    low, high = min(lengths), max(lengths)
    widths = (step * 10**power for power in range(19) for step in (1, 2, 5))
    width = next(width for width in widths if high // width - low // width < most)
    counts = [0] * (high // width - low // width + 1)
    for length in lengths:
        counts[length // width - low // width] += 1
    start = low // width * width
    return [LengthBin(start + at * width, start + (at + 1) * width - 1, count) for at, count in enumerate(counts)]


def _count_rows(encoded: Sequence[EncodedRow]) -> int:
    """Rows of the source that are used; one may have become several."""
    return len({(item.source, item.line) for item in encoded})


def lines_of(rows: Sequence[Any], units: Mapping[str, str], most: int = 8) -> str:
    """`lines 3, 9, …` of rows or problems; `units` says what a place in their file is called, where it's no line."""
    unit = units.get(rows[0].source, "line")
    return (
        (f"{unit} " if len(rows) == 1 else f"{unit}s ")
        + ", ".join(str(row.line) for row in rows[:most])
        + (", …" if len(rows) > most else "")
    )


def example_hash(example: Any) -> str:
    """A hash of what the example says, wherever it stands."""
    said = {name: value for name, value in vars(example).items() if name not in ("source", "line")}
    return sha256_text(canonical_json(said))


def group_of(example: Any) -> str:
    """What must not be torn apart between training and validation: rows that begin with the same user's turn."""
    if isinstance(example, Passage):
        return example_hash(example)
    first = next((turn["content"] for turn in example.prompt if turn["role"] == "user"), "")
    return sha256_text(canonical_json(first))
