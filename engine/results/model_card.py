"""README.md of an exported folder: base, data with hashes, recipe, scores, what was forgotten, and how to load it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rung.engine.core.files import read_json, sha256_file, write_text_atomic
from rung.engine.jobs.fold import RunState
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reader import read_run
from rung.engine.ladder.board import read_board
from rung.engine.ladder.board_file import BOARD_FILE
from rung.engine.models.load import model_source
from rung.engine.models.weights_hash import weights_hash
from rung.engine.recipe.schema import Recipe
from rung.engine.results.adapters import TrainedAdapter, base_name, chain_of, read_adapter
from rung.engine.results.comparison import base_model, read_recipe
from rung.engine.results.exports import combined_words
from rung.engine.training.methods import method_of
from rung.engine.training.probe.forgot import forgot_words

_VERSIONS = ("torch", "transformers", "peft", "trl", "bitsandbytes")


def write_card(
    partial: Path, folder: RunFolder, recipe: Recipe, root: Path, merged: bool, facts: Mapping[str, Any]
) -> list[str]:
    """Write the card and give the notes that stand in it. `facts` are those of a merge."""
    rows = read_board(root)["scoreboard"] if (root / BOARD_FILE).exists() else []
    known = read_adapter(folder, root, rows)
    state, _ = read_run(folder)
    whole = merged or known.kind == "full"
    base = base_model(folder, read_recipe(folder), root)
    hub_id = _hub_id(base, root)
    notes = [*facts.get("notes", []), *_more_notes(known, whole, hub_id)]
    if known.standing is not None and known.standing.leaked is not None:
        notes.append(f"Its score says nothing of new rows: it {known.standing.leaked}.")
    if state.result.get("worse"):
        notes.append(f"The run {state.result['worse']}.")
    parts = [
        _front_matter(recipe, known, hub_id, whole),
        f"# {recipe.name or folder.id}\n\n{_what(recipe, known, merged)}",
        _use(recipe, known, whole, hub_id),
        "## How it was made\n\n" + _table(("", ""), _made(folder, recipe, known, state, base, root, facts)),
        "## Data\n\n" + _table(("rows", "file", "sha256"), list(_data(recipe, root))) + _changed(recipe, root, state),
        "## Scores on the held-out rows\n\n" + _scores([row for row in rows if row.get("run") == folder.id]),
        "## What was forgotten\n\n" + _forgotten(known, state),
    ]
    if notes:
        parts.append("## To be known\n\n" + "\n".join(f"- {note}" for note in notes))
    parts.append(f"## Recipe\n\n```yaml\n{folder.recipe.read_text(encoding='utf-8').strip()}\n```")
    write_text_atomic(partial / "README.md", "\n\n".join(parts) + "\n")
    return notes


def _hub_id(base: Mapping[str, Any], root: Path) -> str | None:
    name = str(base.get("name"))
    return None if Path(model_source(name, root)).is_dir() else name


def _front_matter(recipe: Recipe, known: TrainedAdapter, hub_id: str | None, whole: bool) -> str:
    task = method_of(recipe.method).task
    lines = [
        f"library_name: {'transformers' if whole else 'peft'}",
        f"pipeline_tag: {'text-generation' if task == 'CAUSAL_LM' else 'text-classification'}",
        f"tags: [rung, {recipe.method}, {known.kind}]",
    ]
    if hub_id is not None:
        # The hub takes only its own ids here.
        lines.insert(0, f"base_model: {json.dumps(hub_id)}")
    return "\n".join(["---", *lines, "---"])


def _what(recipe: Recipe, known: TrainedAdapter, merged: bool) -> str:
    if known.kind == "full":
        return f"`{known.base}`, tuned in full by `{recipe.method}`."
    thing = "an adapter"
    if known.combined:
        thing = "a weighted sum of adapters"
    form = f"{known.in_words}, {thing} of `{known.base}`"
    return f"`{known.base}` with {thing} ({known.in_words}) merged into its weights." if merged else f"{form}."


def _use(recipe: Recipe, known: TrainedAdapter, whole: bool, hub_id: str | None) -> str:
    scores = method_of(recipe.method).task == "SEQ_CLS"
    auto = "AutoModelForSequenceClassification" if scores else "AutoModelForCausalLM"
    if known.kind == "bottleneck":
        code = [
            "from pathlib import Path", "", "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "from rung.engine.models.attach import load_adapter", "",
            f"base = AutoModelForCausalLM.from_pretrained({json.dumps(hub_id or 'FOLDER OF THE BASE')})",
            'model = load_adapter(base, Path("THIS FOLDER"))',
        ]  # fmt: skip
    elif whole:
        code = [f"from transformers import {auto}, AutoTokenizer", "", f'model = {auto}.from_pretrained("THIS FOLDER")']
    else:
        peft = auto.replace("AutoModel", "AutoPeftModel")
        code = [
            f"from peft import {peft}", "from transformers import AutoTokenizer", "",
            f'model = {peft}.from_pretrained("THIS FOLDER"{", num_labels=1" if scores else ""})',
        ]  # fmt: skip
    code.append('tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")')
    return "## Use\n\n```python\n" + "\n".join(code) + "\n```"


def _made(
    folder: RunFolder, recipe: Recipe, known: TrainedAdapter, state: RunState, base: Mapping[str, Any], root: Path,
    facts: Mapping[str, Any],
) -> list[tuple[str, str]]:  # fmt: skip
    rows = [("run", folder.id), ("base", _base_in_words(base, root))]
    if known.combined:
        rows.append(("sum of", combined_words(folder)))
    else:
        rows += [("method", recipe.method), ("trained", known.in_words or known.kind)]
    rows += [("weights of the base while training", recipe.model.quantization)] * (recipe.model.quantization != "none")
    rows += [("checkpoint", known.chosen or "unknown"), ("seed", str(recipe.seed))]
    rows += [("went on from", run.id) for run in chain_of(folder, root)]
    rows += _measured(state)
    if "largest_difference" in facts:
        rows.append(("weights in this folder", str(facts["dtype"])))
        said = f"largest difference of a logit {facts['largest_difference']:.2g}, of {facts['largest_logit']:.3g}"
        rows.append(("merged against base and adapter", said))
    versions = _versions(folder)
    return [*rows, ("versions", versions)] if versions else rows


def _measured(state: RunState) -> list[tuple[str, str]]:
    """What training changed in one row; of a run from before that was written, each figure."""
    if state.result.get("outcome"):
        return [("measured", str(state.result["outcome"]))]
    metrics = state.result.get("metrics") or {}
    return [(name, f"{value:.4g}") for name, value in metrics.items() if value is not None]


def _base_in_words(base: Mapping[str, Any], root: Path) -> str:
    name, revision = base_name(base, root), base.get("revision")
    source = Path(model_source(str(base.get("name")), root))
    if source.is_dir():
        return f"{name}, weights {weights_hash(source)}"
    return f"{name}, revision {revision or 'main'}"


def _versions(folder: RunFolder) -> str:
    if not folder.environment.exists():
        return ""
    versions = read_json(folder.environment).get("versions") or {}
    return ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions)


def _data(recipe: Recipe, root: Path) -> Iterator[tuple[str, str, str]]:
    sources = {
        "training": recipe.data.train, "validation": recipe.data.validation, "replayed": recipe.data.replay.source,
    }  # fmt: skip
    for use, source in sources.items():
        if source is None:
            continue
        path = root / source
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            shown = source if file == path else str(file.relative_to(root))
            yield use, shown, sha256_file(file) if file.is_file() else "not a file of the project"


def _changed(recipe: Recipe, root: Path, state: RunState) -> str:
    """A sentence where a data file is younger than the run: its hash is then not that of what was learned."""
    sources = [source for source in (recipe.data.train, recipe.data.validation) if source is not None]
    started = state.started
    changed = [
        source
        for source in sources
        if started is not None and (root / source).is_file() and (root / source).stat().st_mtime > started
    ]
    return f"\n\nChanged since the run began: {', '.join(changed)}." if changed else ""


def _scores(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "Not measured."
    cells = [
        (
            str(row["label"]), str(row["metric"]), f"{row['score']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}",
            str(row["n"]), str(row["candidate"]),
        )
        for row in rows
    ]  # fmt: skip
    return _table(("asked", "metric", "score", "95 % interval", "n", "candidate"), cells)


def _forgotten(known: TrainedAdapter, state: RunState) -> str:
    changes = {name: value for name, value in (state.result.get("forgetting") or {}).items() if value is not None}
    if not changes:
        return "Not measured."
    rows = []
    for name, change in changes.items():
        curve = state.curves.get(f"probe/{name}")
        ends = (f"{curve.values[0]:.4f}", f"{curve.values[-1]:.4f}") if curve and len(curve.values) else ("", "")
        rows.append((name, *ends, f"{change:+.4f}"))
    table = _table(("general text and questions", "before", "after", "change"), rows)
    words = forgot_words(known.forgot)
    return table + (f"\n\nForgotten over this run alone: {words}." if words is not None else "")


def _more_notes(known: TrainedAdapter, whole: bool, hub_id: str | None) -> list[str]:
    if known.kind == "bottleneck":
        return ["PEFT has no bottleneck adapters of its own: this folder loads only where Rung is installed."]
    if not whole and hub_id is None:
        return ["The base is a folder of the machine this was made on: adapter_config.json names it."]
    return []


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
