"""Our themes: a dark one, a light one, and one in the terminal's own 16 colours."""

from textual.theme import BUILTIN_THEMES, Theme

DARK = Theme(
    name="rung-dark",
    primary="#5aa9e6",
    secondary="#8f9aa8",
    accent="#e8b04b",
    success="#5fbf77",
    warning="#e8a33d",
    error="#e5626a",
    foreground="#d7dce2",
    background="#101418",
    surface="#161b21",
    panel="#1e252d",
    dark=True,
    variables={
        "border": "#3a4652",
        "border-blurred": "#2c353f",
        "footer-key-foreground": "#e8b04b",
        "block-cursor-text-style": "none",
        "series-1": "#5aa9e6",
        "series-2": "#e8b04b",
        "series-3": "#5fbf77",
        "series-4": "#c58af9",
        "series-5": "#e5626a",
        "series-6": "#56c7c7",
        "axis": "#7d8894",
        "muted": "#8f9aa8",
    },
)

LIGHT = Theme(
    name="rung-light",
    primary="#1f6fb2",
    secondary="#5c6773",
    accent="#a86400",
    success="#207a3c",
    warning="#a86400",
    error="#b3261e",
    foreground="#1d242b",
    background="#fafaf8",
    surface="#f1f1ee",
    panel="#e5e6e2",
    dark=False,
    variables={
        "border": "#b4bac0",
        "border-blurred": "#ced3d7",
        "footer-key-foreground": "#a86400",
        "block-cursor-text-style": "none",
        "series-1": "#1f6fb2",
        "series-2": "#a86400",
        "series-3": "#207a3c",
        "series-4": "#7a3db8",
        "series-5": "#b3261e",
        "series-6": "#0f7c80",
        "axis": "#6b7480",
        "muted": "#5c6773",
    },
)

_TERMINAL = BUILTIN_THEMES["ansi-dark"]
SIXTEEN = Theme(
    name="rung-16",
    primary="ansi_cyan",
    secondary="ansi_blue",
    accent="ansi_yellow",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    ansi=True,
    dark=True,
    variables=_TERMINAL.variables
    | {
        "border": "ansi_bright_black",
        "border-blurred": "ansi_bright_black",
        "footer-key-foreground": "ansi_yellow",
        "series-1": "ansi_cyan",
        "series-2": "ansi_yellow",
        "series-3": "ansi_green",
        "series-4": "ansi_magenta",
        "series-5": "ansi_red",
        "series-6": "ansi_blue",
        "axis": "ansi_white",
        "muted": "ansi_white",
    },
)

THEMES = (DARK, LIGHT, SIXTEEN)

# A theme that is not ours lacks our own tokens: these stand in.
OUR_TOKENS = {
    name: value for name, value in DARK.variables.items() if name.startswith("series-") or name in {"axis", "muted"}
}
