"""A line chart in characters: braille, blocks or ASCII. numpy is imported when the first data come."""

from rung.tui.chart.series import Series as Series
from rung.tui.chart.widget import Chart as Chart
