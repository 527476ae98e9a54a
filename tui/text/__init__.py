"""Values as text for a terminal: figures, phases, climbs, small charts in one line."""
