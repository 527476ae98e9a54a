"""The keys at the foot: as many as fit, and always `?` and `q`."""

from dataclasses import dataclass

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

ALWAYS = ("question_mark", "q")


@dataclass(frozen=True)
class _Key:
    key: str
    shown: str
    description: str
    tooltip: str

    @property
    def width(self) -> int:
        return len(self.shown) + len(self.description) + 3


class KeyFooter(Widget):
    """One line of keys, most specific first; a click is the key."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[tuple[int, int, _Key]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, _: Screen[object]) -> None:
        self.refresh()

    def render(self) -> Content:
        width = self.content_size.width
        always, others = self._keys()
        tail = sum(key.width for key in always)
        self._spans = []
        parts: list[tuple[str, str]] = []
        at = 0
        for position, key in enumerate(others):
            last = position == len(others) - 1
            if at + key.width > width - tail - (0 if last else 2):
                parts.append(("…" if not self.app.has_class("-ascii") else "~", "$muted"))
                at += 1
                break
            at = self._place(key, at, parts)
        parts.append((" " * max(0, width - tail - at), ""))
        at = max(at, width - tail)
        for key in always:
            at = self._place(key, at, parts)
        return Content.assemble(*parts)

    def _place(self, key: _Key, at: int, parts: list[tuple[str, str]]) -> int:
        parts += [(f" {key.shown}", "bold $footer-key-foreground"), (f" {key.description} ", "$footer-foreground")]
        self._spans.append((at, at + key.width, key))
        return at + key.width

    def _keys(self) -> tuple[list[_Key], list[_Key]]:
        always: dict[str, _Key] = {}
        others: dict[str, _Key] = {}
        for node, binding, enabled, tooltip in self.screen.active_bindings.values():
            if not enabled or not (binding.show or binding.key in ALWAYS):
                continue
            key = _Key(binding.key, self._shown(binding), binding.description, tooltip)
            if binding.key in ALWAYS:
                always[binding.key] = key
            else:
                # The screen's own keys first, then the focused widget's, then the app's.
                others.setdefault(f"{0 if node is self.screen else 2 if node is self.app else 1}{binding.action}", key)
        ranked = sorted(others, key=lambda rank: rank[0])
        return [always[name] for name in ALWAYS if name in always], [others[rank] for rank in ranked]

    def _shown(self, binding: Binding) -> str:
        return self.app.get_key_display(binding)

    def on_click(self, event: events.Click) -> None:
        key = self._key_at(event.x)
        if key is not None:
            self.app.simulate_key(key.key)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        key = self._key_at(event.x)
        self.tooltip = key.tooltip if key is not None and key.tooltip else None

    def _key_at(self, x: int) -> _Key | None:
        return next((key for start, end, key in self._spans if start <= x < end), None)
