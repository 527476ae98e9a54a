"""The wizard's tune page: method, what is trained, rate, epochs, replay; the gate and the forecast; start."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Select

from rung.tui.text.words import count, gibibytes, printable
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.page import Edited, FieldLine, Wanted, WizardPage, Wrong, number

if TYPE_CHECKING:
    from rung.engine.project.follow import Advised
    from rung.engine.recipe.schema import Recipe
    from rung.tui.wizard.view import WizardView

METHODS = {"sft": "SFT on your answers", "dpo": "DPO on preference pairs", "cpt": "continued pretraining on text"}
FIELDS = {"rate": "training.learning_rate", "epochs": "training.num_train_epochs"}
TRAINED = {
    "lora": "LoRA: a small adapter, the usual choice",
    "dora": "DoRA: LoRA with a trained magnitude",
    "qlora": "QLoRA: LoRA over 4-bit weights",
    "bottleneck": "bottleneck adapters",
    "full": "every weight",
}


class TunePage(WizardPage):
    """The recipe's main knobs; y shows all of it."""

    PAGE = "tune"
    WHY = (
        "Why here: fine-tuning teaches form and manner well, and facts poorly. The check reads every row as training "
        "would and forecasts the memory; replay mixes general text in, against forgetting, which is measured."
    )
    ACTIONS = ("tune", "distil", "preference", "not_tune", "bigger_machine", "fix_retrieval")
    # A select tells its first value before anybody has chosen: only what differs from the recipe is a change.
    _chosen: dict[str, str] = {}
    _source: str | None = None

    def compose_fields(self) -> ComposeResult:
        yield Select(_options("method", METHODS), id="method", allow_blank=False, compact=True)
        yield Select(_options("trained", TRAINED), id="trained", allow_blank=False, compact=True)
        yield FieldLine("rate", "learning rate", "step size; empty: the recommended one", "recommended")
        yield FieldLine("epochs", "epochs", "passes over the training rows; empty: recommended", "recommended")
        yield FieldLine("replay", "replay", "share of general rows mixed in, 0 to 0.9", "0")
        yield TextPanel(id="advised")
        with Horizontal(classes="buttons"):
            yield Button("Check it", id="check", compact=True)
            yield Button("Train and measure", id="measure", variant="primary", compact=True)
        yield TextPanel(id="standing")
        yield TextPanel(id="gate")

    def show(self, view: "WizardView") -> None:
        super().show(view)
        recipe = view.recipe
        for name in ("method", "trained", "rate", "epochs", "replay", "check"):
            self.query_one(f"#{name}").disabled = recipe is None
        self.say("standing", view.standing("tune"))
        if recipe is None:
            self.say("gate", view.recipe_fault)
            return
        self._chosen = {"method": recipe.method, "trained": trained_of(recipe)}
        method = self.query_one("#method", Select)
        with method.prevent(Select.Changed):
            if recipe.method not in METHODS:
                method.set_options(
                    _options("method", METHODS | {recipe.method: f"{recipe.method}, as the recipe has it"})
                )
            method.value = recipe.method
        trained = self.query_one("#trained", Select)
        with trained.prevent(Select.Changed):
            trained.value = trained_of(recipe)
        self._source = recipe.data.replay.source
        drafts = view.state.drafts
        self.put("rate", f"{recipe.training.learning_rate:g}", drafts)
        self.put("epochs", f"{recipe.training.num_train_epochs:g}", drafts)
        self.put("replay", f"{recipe.data.replay.ratio:g}", drafts)
        self.say("advised", advised_lines(view.advised, recipe))
        self.say("gate", gate_lines(view.gate, view.room.free, view.gating, view.marks.yes, view.marks.no))

    def on_select_changed(self, event: Select.Changed) -> None:
        before = self._chosen.get(str(event.select.id))
        if before is None or not isinstance(event.value, str) or event.value == before:
            return
        self._chosen = self._chosen | {str(event.select.id): event.value}
        is_method = event.select.id == "method"
        self.post_message(Edited("recipe", "method", event.value) if is_method else Wanted("trained", event.value))

    def read(self, field: str, text: str) -> list[Edited]:
        if field == "replay":
            share = number(text) if text.strip() else 0.0
            if not 0 <= share < 1:
                raise Wrong("a share of the training rows: at least 0, below 1")
            source = [Edited("recipe", "data.replay.source", "builtin")] if share and self._source is None else []
            return [Edited("recipe", "data.replay.ratio", share), *source]
        value = number(text) if text.strip() else None
        if value is not None and value <= 0:
            raise Wrong("more than 0")
        return [Edited("recipe", FIELDS[field], value)]

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.post_message(Wanted("gate") if event.button.id == "check" else Wanted("measure", "tune"))


def _options(name: str, texts: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"{name}: {text}", key) for key, text in texts.items()]


def trained_of(recipe: "Recipe") -> str:
    """Which of `TRAINED` a recipe trains."""
    if recipe.adapter is None:
        return "full"
    return "qlora" if recipe.adapter.kind == "lora" and recipe.model.quantization == "nf4" else recipe.adapter.kind


def recipe_changes(trained: str, recipe: "Recipe") -> dict[str, Any]:
    """The recipe's fields that one of `TRAINED` means."""
    from rung.engine.recipe.schema import AdapterSettings

    if trained == "full":
        return {"adapter": None, "model.quantization": "none"}
    kind: Any = "lora" if trained == "qlora" else trained
    changes: dict[str, Any] = {"adapter.kind": kind} if recipe.adapter is not None else {}
    if recipe.adapter is None:
        changes["adapter"] = AdapterSettings(kind=kind)
    if trained == "qlora" or trained_of(recipe) == "qlora":
        changes["model.quantization"] = "nf4" if trained == "qlora" else "none"
    return changes


def advised_lines(advised: "Mapping[str, Advised]", recipe: "Recipe") -> Content:
    """The recommended rate and epochs with their reasons, and which of them are the person's own."""
    lines = []
    for field, label in (("learning_rate", "learning rate"), ("num_train_epochs", "epochs")):
        each = advised[f"training.{field}"]
        own = getattr(recipe.training, field) != each.value
        said = f"yours; recommended: {each.value:g}" if own else "recommended"
        parts = (f"{label}  ", "$muted"), (said, "bold" if own else ""), (f"  {each.reason}", "$muted")
        lines.append(Content.assemble(*parts))
    return Content("\n").join(lines)


def gate_lines(gate: Mapping[str, Any] | None, free: int, gating: bool, yes: str, no: str) -> Content:
    """Problems that would stop the launch, the rows, and the memory forecast part by part against what is free."""
    if gate is None:
        return Content.styled("reading every row as training would …" if gating else "", "$muted")
    lines = [
        Content.assemble((f"{no} {printable(each['field'])}: ", "bold $text-error"), printable(each["reason"]),
                         (f"  what to do: {printable(each['hint'])}" if each["hint"] else "", "$muted"))
        for each in gate["problems"]
    ] or [Content.styled(f"{yes} nothing would stop the launch", "bold $text-success")]  # fmt: skip
    train = gate["data"].get("train")
    if train is not None:
        lines.append(
            Content(
                f"rows {count(train['rows'])}, used {count(train['used'])}; learned "
                f"{count(train['trained_tokens'])} of {count(train['tokens'])} tokens; {count(train['truncated'])} cut"
            )
        )
    forecast = gate["forecast"]
    if forecast is not None:
        total = forecast["total_bytes"]
        parts = " · ".join(f"{name} {gibibytes(size)}" for name, size in forecast["memory_bytes"].items() if size)
        fits = f"{yes} fits" if total <= free else f"{no} does not fit"
        lines.append(Content.assemble((f"{fits}: ", "bold"), f"{gibibytes(total)} of {gibibytes(free)} free; {parts}"))
    return Content("\n").join(lines)
