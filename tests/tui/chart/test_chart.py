"""The chart's arithmetic: reduction, smoothing, windows, scales, and the characters they become."""

import math
from array import array

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rung.tui.chart.axis import step_labels, value_at, value_labels
from rung.tui.chart.picture import CURSOR, NOBODY, Frame, paint
from rung.tui.chart.pyramid import MinMaxPyramid
from rung.tui.chart.raster import ASCII, BLOCK, BRAILLE, MODES
from rung.tui.chart.scale import Scale, nice, scale_over, short
from rung.tui.chart.series import Series
from rung.tui.chart.smooth import Smoothed
from rung.tui.chart.window import Window


def series(values: list[float], steps: list[float] | None = None, **options: object) -> Series:
    at = list(range(len(values))) if steps is None else steps
    return Series("a", "a", array("d", at), array("d", values), **options)  # type: ignore[arg-type]


def rows(drawn: Series, frame: Frame) -> list[str]:
    picture = paint([drawn], {"a": MinMaxPyramid()}, frame)
    return ["".join(map(chr, row)) for row in picture.characters]


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=3000),
    st.integers(1, 60),
    st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_columns_are_the_true_minima_and_maxima(values: list[float], columns: int, parts: int) -> None:
    array_of = np.array(values)
    pyramid = MinMaxPyramid()
    for part in range(1, parts + 1):
        pyramid.extend(array_of[: len(values) * part // parts])
    cuts = np.linspace(0, len(values), columns + 1).astype(np.intp)
    low, high, counts = pyramid.columns(array_of, cuts)
    for column in range(columns):
        piece = array_of[cuts[column] : cuts[column + 1]]
        finite = piece[~np.isnan(piece)]
        assert counts[column] == len(piece)
        # Short series are reduced exactly; in longer ones blocks at an edge may count for the neighbour.
        if len(values) < 16 * 4 * columns:
            assert (low[column] == finite.min()) if len(finite) else math.isnan(low[column])
            assert (high[column] == finite.max()) if len(finite) else math.isnan(high[column])
    if not np.isnan(array_of).all():
        assert np.nanmin(low) == np.nanmin(array_of) and np.nanmax(high) == np.nanmax(array_of)


def test_a_million_points_are_reduced_from_blocks_and_no_extreme_is_lost() -> None:
    values = np.sin(np.arange(1_000_003) / 20_000)
    values[[123_456, 700_001, 1_000_002]] = (9.0, -9.0, 5.0)
    pyramid = MinMaxPyramid()
    pyramid.extend(values[:600_000])
    pyramid.extend(values)
    cuts = np.linspace(0, len(values), 241).astype(np.intp)
    low, high, _ = pyramid.columns(values, cuts)
    exact_low = np.minimum.reduceat(values, cuts[:-1])
    exact_high = np.maximum.reduceat(values, cuts[:-1])
    assert (high.max(), low.min(), high[-1]) == (9.0, -9.0, 5.0)
    ordinary = (exact_high < 2) & (exact_low > -2) & (high < 2) & (low > -2)
    assert ordinary.sum() >= 234
    # A quarter of a column at most is told to the neighbour: the smooth curve moves by less than that.
    slope = np.abs(np.diff(values[:100_000])).max() * len(values) / 240
    assert np.abs(low - exact_low)[ordinary].max() <= slope
    assert np.abs(high - exact_high)[ordinary].max() <= slope


def test_smoothing_is_the_debiased_average_and_goes_on_where_it_was() -> None:
    raw = array("d", [2.0, 4.0, float("nan"), 6.0])
    smoothed = Smoothed(0.5)
    smoothed.extend(raw[:2])
    first = list(smoothed.values)
    smoothed.extend(raw)
    assert first == [2.0, pytest.approx((0.5 * 2 + 4) / 1.5)]
    assert list(smoothed.values)[:2] == first
    assert math.isnan(smoothed.values[2])
    assert smoothed.values[3] == pytest.approx((0.25 * 2 + 0.5 * 4 + 6) / 1.75)


def test_a_rising_line_in_braille() -> None:
    frame = Frame(4, 2, 0, 7, False, BRAILLE)
    assert rows(series([0, 1, 2, 3, 4, 5, 6, 7]), frame) == ["  ⡠⠊", "⡠⠊  "]


def test_a_rising_line_in_blocks_and_in_ascii() -> None:
    assert rows(series([0, 1, 2, 3]), Frame(2, 2, 0, 3, False, BLOCK)) == [" ▞", "▞ "]
    assert rows(series([0, 1, 2]), Frame(3, 3, 0, 2, False, ASCII)) == ["  *", " * ", "*  "]


def test_a_nan_is_a_gap_and_a_missing_step_is_not() -> None:
    frame = Frame(9, 1, 0, 8, False, ASCII)
    assert rows(series([1, 1, 1, float("nan"), 1, 1, 1, 1, 1]), frame) == ["*** *****"]
    assert rows(series([1, 1], [0, 8]), frame) == ["*********"]
    assert rows(series([1, float("nan"), 1], [0, 4, 8]), frame) == ["*       *"]
    assert rows(series([1, 1], [0, 8], line="points"), frame) == ["*       *"]


def test_lines_to_points_outside_the_window_are_drawn() -> None:
    frame = Frame(9, 1, 2, 6, False, ASCII)
    assert rows(series([1, 1], [0, 8]), frame) == ["*********"]


def test_what_has_no_logarithm_is_a_gap() -> None:
    frame = Frame(5, 1, 0, 4, True, ASCII)
    assert rows(series([1, 1, 0, -1, 1]), frame) == ["**  *"]


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
@pytest.mark.parametrize(
    "values", [[float("nan")], [5.0], [0.0, 0.0], [-3.0, -3.0], [1e300, -1e300], [float("inf"), 1.0]]
)
@pytest.mark.parametrize("log", [False, True])
def test_odd_data_are_drawn_without_a_word(mode: object, values: list[float], log: bool) -> None:
    frame = Frame(10, 4, 0, 10, log, mode)  # type: ignore[arg-type]
    with np.errstate(all="raise", under="ignore"):
        assert len(rows(series(values), frame)) == 4


def test_series_are_told_apart_without_colour() -> None:
    flat = [1.0] * 60
    frame = Frame(30, 3, 0, 59, False, BRAILLE)
    drawn = {line: "".join(rows(series(flat, line=line), frame)).strip() for line in ("solid", "dashed", "dotted")}
    assert len(set(drawn.values())) == 3
    marked = "".join(rows(series([1.0, 1.0, 1.0], [0, 30, 59], mark="◆", marked=True), frame))
    assert marked.count("◆") == 3


def test_marks_too_many_to_tell_apart_are_left_out() -> None:
    assert "◆" not in "".join(rows(series([1.0] * 60, mark="◆", marked=True), Frame(30, 3, 0, 59, False, BRAILLE)))


def test_the_newer_series_lies_over_the_older() -> None:
    old, new = series([1.0, 1.0]), series([1.0, 1.0], mark="n")
    frame = Frame(4, 1, 0, 1, False, ASCII)
    picture = paint([old, new], {"a": MinMaxPyramid()}, frame)
    assert set(picture.owners.flatten().tolist()) == {1}


def test_the_cursor_stands_only_where_nothing_is_drawn() -> None:
    frame = Frame(5, 3, 0, 4, False, ASCII, cursor=2)
    picture = paint([series([0, 0, 1, 2, 2])], {"a": MinMaxPyramid()}, frame)
    assert picture.owners[:, 2].tolist() == [CURSOR, 0, CURSOR]
    assert picture.owners[0, 0] == NOBODY


def test_scales_are_round_and_stand_still_for_small_changes() -> None:
    assert scale_over(0.13, 2.31, False) == scale_over(0.16, 2.29, False)
    scale = scale_over(0.61, 2.31, False)
    assert scale.low <= 0.61 and scale.high >= 2.31
    assert scale_over(3.0, 3.0, False).low < 3.0 < scale_over(3.0, 3.0, False).high
    decades = scale_over(1e-5, 1e-1, True)
    assert [decades.label(tick) for tick in decades.ticks(6)] == ["1e-5", "0.0001", "0.001", "0.01", "0.1"]


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.integers(1, 12), st.booleans())
@example(6.103515625e-05, 6.103515625e-05, 3, False)
@example(-0.00125, 1e-3, 3, False)
def test_every_scale_has_labels_that_fit(low: float, spread: float, most: int, log: bool) -> None:
    scale = scale_over(abs(low) + 1e-9 if log else low, (abs(low) if log else low) + spread + 1e-9, log)
    ticks = scale.ticks(most)
    assert 2 <= len(ticks) <= most + 3
    assert all(len(scale.label(tick)) <= 7 for tick in ticks)


@pytest.mark.parametrize(
    ("value", "text"), [(0.642, "0.642"), (18_420, "18.4k"), (1.6e-5, "1.6e-5"), (0, "0"), (2.5e7, "2.5e7"), (12, "12")]
)
def test_short_numbers(value: float, text: str) -> None:
    assert short(value) == text


@given(st.floats(1e-12, 1e12))
def test_nice_numbers_are_at_or_above(rough: float) -> None:
    assert rough * 0.998 <= nice(rough) <= rough * 2.6


def test_labels_stand_on_the_rows_of_their_values() -> None:
    labels = value_labels(Scale(0.0, 2.0, False), 9, "ascii")
    assert [label.strip() for label in labels] == ["2+", "|", "|", "|", "1+", "|", "|", "|", "0+"]
    line = step_labels(Frame(40, 5, 0, 400, False, ASCII))
    assert line.split() == ["0", "200", "400"]
    assert all(len(label) == 8 for label in labels)


def test_the_value_at_the_cursor_is_the_nearest_points() -> None:
    points = series([1.0, 2.0, 3.0], [10, 20, 30])
    assert [value_at(points, step) for step in (None, 0, 14, 16, 99)] == [3.0, 1.0, 1.0, 2.0, 3.0]


def test_the_unzoomed_window_grows_in_jumps_and_never_past_the_total() -> None:
    ends = [Window().span(0, last, None)[1] for last in range(1, 1000)]
    assert all(end >= last for last, end in enumerate(ends, start=1))
    assert len(set(ends)) < 25
    assert Window().span(0, 95, 100)[1] == 100
    assert Window().span(0, 120, 100)[1] >= 120


def test_zooming_keeps_what_it_is_around_and_stays_over_the_data() -> None:
    span = Window().span(0, 400, None)
    zoomed = Window().zoomed(0.5, 100, span, 400)
    assert zoomed.left is not None and zoomed.right is not None
    assert zoomed.left <= 100 <= zoomed.right
    assert zoomed.right - zoomed.left == pytest.approx((span[1] - span[0]) / 2)
    assert zoomed.panned(-10, zoomed.span(0, 400, None), 400).left == 0
    assert zoomed.zoomed(4, None, zoomed.span(0, 400, None), 400) == Window()
    assert Window().panned(0.5, span, 400) == Window()


def test_a_zoomed_window_follows_the_newest_step_only_while_it_is_in_sight() -> None:
    at_end = Window(300, 400)
    assert at_end.followed(399, 402).right == 425
    assert at_end.followed(399, 400) == at_end
    past = Window(100, 200)
    assert past.followed(399, 402) == past
