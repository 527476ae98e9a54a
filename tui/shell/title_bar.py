"""The top line of every screen: where you are on the left, what you look at on the right."""

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class TitleBar(Widget):
    """`Rung  invoices ▸ runs ▸ 1123-sft-3f2a` and, at the right, a few facts; the right side is never cut."""

    where: reactive[tuple[str, ...]] = reactive(())
    facts: reactive[Content] = reactive(Content(""))

    def render(self) -> Content:
        width = self.content_size.width
        separator = " > " if self.app.has_class("-ascii") else " ▸ "
        path = separator.join(self.where)
        room = max(0, width - 7 - self.facts.cell_length - 2)
        if len(path) > room:
            # The last part says where one is; what is before it may go.
            path = separator.join(self.where[-1:]) if len(self.where[-1:]) else ""
            path = path[:room]
        left = Content.assemble((" Rung  ", "bold $text-accent"), path)
        gap = max(1, width - left.cell_length - self.facts.cell_length)
        return Content.assemble(left, " " * gap, self.facts)
