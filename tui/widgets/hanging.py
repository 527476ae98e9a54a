"""Text with a label before it, wrapped so that the label stands alone at the left."""

from textual.content import Content

NARROWEST = 12


def hanging(label: Content, text: Content, width: int) -> Content:
    """`text` wrapped to `width` less the label's, its later lines indented by the label's width."""
    indent = label.cell_length
    if width - indent < NARROWEST:
        return Content.assemble(label, text)
    lines = [piece for line in text.split("\n", allow_blank=True) for piece in line.wrap(width - indent)]
    return Content.assemble(label, Content("\n" + " " * indent).join(lines))
