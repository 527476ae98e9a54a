"""The table of runs: of a cell that changes the cell is repainted, not the table."""

from typing import Any, Self

from rich.text import Text
from textual.geometry import Region
from textual.widgets import DataTable


class RunsTable(DataTable[Text]):
    """Textual's table repaints itself whole for each cell: 9 kB on the wire for every figure of a live run."""

    _patching = False

    def update_cell(self, row_key: Any, column_key: Any, value: Text, *, update_width: bool = False) -> None:
        """Put a new value into a cell of a fixed width, and repaint that cell."""
        self._patching = not update_width
        try:
            super().update_cell(row_key, column_key, value, update_width=update_width)
        finally:
            self._patching = False
        self.refresh_coordinate(self.get_cell_coordinate(row_key, column_key))

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """As Textual has it, but not for the cell that is being put."""
        if self._patching:
            return self
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
