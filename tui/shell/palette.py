"""What the command palette offers: every screen, and every action of the screen one is on."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from rung.tui.settings.themes import THEMES
from rung.tui.shell.app import RungApp
from rung.tui.shell.screen_table import screens


class RungCommands(Provider):
    """Screens, the current screen's actions, themes, settings, help, quit."""

    async def discover(self) -> Hits:
        """All of it, before anything is typed."""
        for title, help_text, call in self._commands():
            yield DiscoveryHit(title, call, help=help_text)

    async def search(self, query: str) -> Hits:
        """What fits the words typed, best first."""
        matcher = self.matcher(query)
        for title, help_text, call in self._commands():
            fit = matcher.match(title)
            if fit > 0:
                yield Hit(fit, matcher.highlight(title), call, help=help_text)

    def _commands(self) -> list[tuple[str, str, Callable[[], object]]]:
        app = cast(RungApp, self.app)
        commands: list[tuple[str, str, Callable[[], object]]] = []
        for node, binding, enabled, tooltip in self.screen.active_bindings.values():
            if not enabled or not binding.description or binding.action.startswith(("open(", "command_palette")):
                continue
            title = f"{binding.description[0].upper()}{binding.description[1:]}  ({app.get_key_display(binding)})"
            commands.append((title, tooltip or "", partial(app.run_action, binding.action, node)))
        if not app.recorded:
            commands += [
                (f"Go to {entry.title}", entry.help, partial(app.open_screen, entry.name))
                for entry in screens().values()
                if entry.key
            ]
        commands += [
            (f"Theme: {theme.name}", "colours", partial(app.change_settings, replace(app.settings, theme=theme.name)))
            for theme in THEMES
        ]
        return commands
