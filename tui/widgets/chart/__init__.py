"""A line chart in characters: braille, blocks or ASCII. numpy is imported when the first data come."""

from tui.widgets.chart.series import Series as Series
from tui.widgets.chart.widget import Chart as Chart
