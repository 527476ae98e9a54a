"""The chart widget: keeps the window and the cursor, paints a picture, repaints only the regions that changed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from rung.tui.chart.axis import GUTTER, legend, step_labels, value_labels
from rung.tui.chart.changes import changed_cells
from rung.tui.chart.picture import CURSOR, NOBODY, Frame, Picture
from rung.tui.chart.pyramid import MinMaxPyramid
from rung.tui.chart.raster import MODES
from rung.tui.chart.series import Series
from rung.tui.chart.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_AROUND = 2  # the legend above, the steps below


class Chart(Widget, can_focus=True):
    """Curves over steps. Give it series with `show`; it redraws at once, so the caller sets the pace."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--axis",
        "chart--cursor",
        *(f"chart--series-{n}" for n in range(1, 7)),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move_cursor(-1)", "cursor", key_display="← →", tooltip="read values at a step"),
        Binding("right", "move_cursor(1)", show=False),
        Binding("shift+left", "pan(-0.25)", "pan", key_display="⇧← →", tooltip="move a zoomed chart"),
        Binding("shift+right", "pan(0.25)", show=False),
        Binding("home", "jump(0)", show=False),
        Binding("end", "jump(1)", show=False),
    ]

    log_scale: reactive[bool] = reactive(False)
    cursor: reactive[float | None] = reactive(None)
    window: reactive[Window] = reactive(Window())
    mode: reactive[str] = reactive("braille")
    placeholder: reactive[str] = reactive("")

    class Changed(Message):
        """What is shown of the curves changed by the user's hand."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._series: tuple[Series, ...] = ()
        self._total: float | None = None
        self._pyramids: dict[str, MinMaxPyramid] = {}
        self._picture: Picture | None = None
        self._texts: tuple[object, ...] = ()
        self._last = 0.0

    def show(self, series: Sequence[Series], total: float | None = None) -> None:
        """Draw these series now. `total` is the last step to come, where that is known."""
        self._series = tuple(each for each in series if each.count)
        self._total = total
        for gone in self._pyramids.keys() - {each.key for each in self._series}:
            del self._pyramids[gone]
        for each in self._series:
            self._pyramids.setdefault(each.key, MinMaxPyramid())
        last = max((each.steps[each.count - 1] for each in self._series), default=0.0)
        self.set_reactive(Chart.window, self.window.followed(self._last, last))
        self._last = last
        self._draw()

    def span(self) -> tuple[float, float]:
        """The first and the last step shown."""
        first = min((each.steps[0] for each in self._series if each.count), default=0.0)
        return self.window.span(first, self._last, self._total)

    def action_move_cursor(self, cells: int) -> None:
        """Move the cursor by cells, at least one step; the first move puts it at the newest step."""
        if not self._series:
            return
        left, right = self.span()
        if self.cursor is None:
            self.cursor = min(self._last, right)
            return
        step = max(1.0, (right - left) / max(1, self._plot_width))
        self.cursor = min(max(self.cursor + cells * step, left), min(right, self._last))

    def action_jump(self, end: int) -> None:
        """Put the cursor at the first or the newest step in sight."""
        left, right = self.span()
        if self._series:
            self.cursor = min(right, self._last) if end else left

    def action_pan(self, share: float) -> None:
        """Move the window by a share of its width."""
        self.window = self.window.panned(share, self.span(), self._last)

    def action_zoom(self, factor: float) -> None:
        """Show fewer steps (factor < 1) or more, around the cursor or the newest step."""
        if self._series:
            self.window = self.window.zoomed(factor, self.cursor, self.span(), self._last)

    def action_reset_view(self) -> None:
        """Show everything, without a cursor."""
        self.window = Window()
        self.cursor = None

    def action_toggle_log(self) -> None:
        """Logarithmic or linear values."""
        self.log_scale = not self.log_scale

    def on_click(self, event: events.Click) -> None:
        left, right = self.span()
        share = (event.x - GUTTER) / max(1, self._plot_width - 1)
        if self._series and 0 <= share <= 1:
            self.cursor = min(left + (right - left) * share, self._last)

    def on_resize(self) -> None:
        self._picture = None
        self._draw()

    def watch_log_scale(self) -> None:
        self._changed()

    def watch_cursor(self) -> None:
        self._changed()

    def watch_window(self) -> None:
        self._changed()

    def watch_mode(self) -> None:
        self._changed()

    def watch_placeholder(self) -> None:
        if not self._series:
            self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        picture = self._picture
        if picture is None:
            return self._placeholder_line(y)
        height = picture.owners.shape[0]
        axis = self.get_component_rich_style("chart--axis")
        if y == 0:
            return self._filled(self._legend_segments())
        if y <= height:
            labels, _, _ = self._texts
            assert isinstance(labels, tuple)
            return self._filled([Segment(labels[y - 1], axis), *self._row(picture, y - 1)])
        if y == height + 1:
            return self._filled([Segment(str(self._texts[1]), axis)])
        return Strip.blank(width, self.rich_style)

    def _filled(self, segments: list[Segment]) -> Strip:
        # No segment may go without a style: the NO_COLOR filter takes each one's style as given.
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)

    @property
    def _plot_width(self) -> int:
        return max(0, self.size.width - GUTTER)

    def _changed(self) -> None:
        if self.is_mounted:
            self._draw()
            self.post_message(self.Changed())

    def _draw(self) -> None:
        width, height = self._plot_width, self.size.height - ROWS_AROUND
        if not self._series or width < 4 or height < 2:
            if self._picture is not None or not self._series:
                self._picture = None
                self.refresh()
            return
        # The first data are there: only now is numpy needed.
        from rung.tui.chart.picture import paint

        left, right = self.span()
        mode = MODES[self.mode]
        frame = Frame(width, height, left, max(right, left + 1), self.log_scale, mode, self.cursor)
        picture = paint(self._series, self._pyramids, frame)
        texts = (
            tuple(value_labels(picture.scale, height, mode.name)),
            step_labels(frame),
            tuple(legend(self._series, mode.name, self.cursor)),
        )
        old, old_texts = self._picture, self._texts
        self._picture, self._texts = picture, texts
        if old is None or old.owners.shape != picture.owners.shape:
            self.refresh()
            return
        regions = [*changed_cells(old, picture), *self._changed_texts(old_texts, texts, height)]
        if regions:
            self.refresh(*regions)

    def _changed_texts(self, old: tuple[object, ...], new: tuple[object, ...], height: int) -> list[Region]:
        width = self.size.width
        regions = [Region(0, 0, width, 1)] if old[2] != new[2] else []
        if old[1] != new[1]:
            regions.append(Region(0, height + 1, width, 1))
        if old[0] != new[0]:
            regions.append(Region(0, 1, GUTTER, height))
        return regions

    def _row(self, picture: Picture, row: int) -> list[Segment]:
        import numpy as np

        owners: NDArray[np.int8] = picture.owners[row]
        text = picture.characters[row].tobytes().decode("utf-32-le")
        starts = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(text)]
        return [
            Segment(text[start:end], self._style_of(int(owners[start])))
            for start, end in zip(starts, starts[1:], strict=False)
        ]

    def _legend_segments(self) -> list[Segment]:
        pieces = self._texts[2]
        assert isinstance(pieces, tuple)
        plain = self.rich_style
        return [
            Segment(" " * GUTTER, plain),
            *(Segment(text, plain if owner is None else self._style_of(owner)) for text, owner in pieces),
        ]

    def _style_of(self, owner: int) -> Style:
        if owner == NOBODY:
            return self.rich_style
        if owner == CURSOR:
            return self.get_component_rich_style("chart--cursor")
        series = self._series[owner]
        style = self.get_component_rich_style(f"chart--series-{series.color}")
        return style + Style(dim=True) if series.dim else style

    def _placeholder_line(self, y: int) -> Strip:
        width = self.size.width
        lines = self.placeholder.split("\n")
        at = y - max(0, (self.size.height - len(lines)) // 2)
        if not 0 <= at < len(lines):
            return Strip.blank(width, self.rich_style)
        axis = self.get_component_rich_style("chart--axis")
        return self._filled([Segment(lines[at].center(width)[:width], axis)])
