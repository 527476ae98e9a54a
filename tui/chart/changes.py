"""What differs between two pictures, as regions to repaint."""

from textual.geometry import Region

from rung.tui.chart.axis import GUTTER
from rung.tui.chart.picture import Picture


def changed_cells(old: Picture, new: Picture) -> list[Region]:
    """One region a row, from its first to its last changed cell."""
    import numpy as np

    changed = (old.characters != new.characters) | (old.owners != new.owners)
    rows = np.flatnonzero(changed.any(axis=1))
    regions = []
    for row in rows.tolist():
        cells = np.flatnonzero(changed[row])
        first, last = int(cells[0]), int(cells[-1])
        regions.append(Region(GUTTER + first, row + 1, last - first + 1, 1))
    return regions
