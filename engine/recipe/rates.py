"""Learning rates and epochs by method, by what is trained, and by the model's size: the one table of them.

Where a figure comes from:

- Adapter, billions of weights. `sft`, `distill` 2e-4: QLoRA (Dettmers et al. 2023, table 9) up to 13 B, and LoRA's
  usual rate since. `cpt` half of it: every token is learned. `dpo`, `kto`, `constitution` 5e-6: TRL's and the KTO
  paper's (Ethayarajh et al. 2024) rates lie between 5e-7 and 5e-6 in full, an adapter takes the upper end.
  `orpo` 2e-5: its loss holds the answers' likelihood too (Hong et al. 2024: 5e-6 to 8e-6 in full). `reward` 1e-4: TRL's
  for LoRA. `grpo`, `rloo` 1e-5: ten times TRL's 1e-6 in full.
- In full, billions of weights: TRL's and the papers' own; 1e-5 for examples, 1e-6 for pairs and rewards.
- Below 50 million weights an update of the usual size changes too little in a few hundred steps. Measured with the
  pocket model (3.1 million weights, one epoch, batches of 8), validation figure and general perplexity (2.558 before):
  `sft` adapter 3e-3: docs/log.md. In full, loss 6.75 before: 1e-5 6.09; 3e-4 0.62; 1e-3 0.099, general 2.68; 3e-3
  0.023, general 5.27.
  `cpt` adapter, loss 1.146 before: 2e-4 1.116; 1e-3 0.915, general 2.69; 3e-3 0.857, general 2.96.
  `kto` adapter, margin: 5e-6 .0006; 1e-4 .014; 3e-4 .066, general 2.59; 1e-3 1.06, but general 3.55.
  `orpo` adapter, loss of the preferred answer: 3e-4 1.083; 1e-3 0.595, general 2.94; 3e-3 0.505, general 3.08.
  `dpo` adapter, margin: 3e-4 .040, general 2.58. In full: 1e-5 .011; 3e-5 .032; 1e-4 .112, general 2.61.
  `reward` 3e-3, `grpo` 1e-3: the demo's, docs/log.md. Not measured, by their likeness: `distill` as `sft`,
  `constitution` as `dpo`, `rloo` as `grpo`, `kto` in full as `dpo`; else in full a tenth to a third of the adapter's.
"""

from dataclasses import dataclass

SMALL_MODEL = 50_000_000
"""Weights below which a model is small here."""


@dataclass(frozen=True)
class Rates:
    """A method's learning rates: of an adapter and in full, of usual and of small models; its epochs, and why."""

    adapter: float
    full: float
    small_adapter: float
    small_full: float
    epochs: float
    why: str


_EXAMPLES = "few weights are trained, from zero, so the steps may be large"
_PAIRS = "a preference is sharper than an example, so the steps are small"
_REWARDS = "rewards are noisy, so the steps are small"
RATES: dict[str, Rates] = {
    "sft": Rates(2e-4, 1e-5, 3e-3, 1e-3, 2.0, _EXAMPLES),
    "cpt": Rates(1e-4, 1e-5, 1e-3, 3e-4, 2.0, "text is learned more gently than answers"),
    "distill": Rates(2e-4, 1e-5, 3e-3, 1e-3, 2.0, _EXAMPLES),
    "dpo": Rates(5e-6, 1e-6, 3e-4, 1e-4, 1.0, _PAIRS),
    "constitution": Rates(5e-6, 1e-6, 3e-4, 1e-4, 1.0, _PAIRS),
    "kto": Rates(5e-6, 1e-6, 3e-4, 1e-4, 1.0, _PAIRS),
    "orpo": Rates(2e-5, 5e-6, 1e-3, 1e-4, 1.0, "it learns answers too, so the steps are larger than in dpo"),
    "reward": Rates(1e-4, 1e-5, 3e-3, 3e-4, 1.0, "a new head is learned with the adapter"),
    "grpo": Rates(1e-5, 1e-6, 1e-3, 1e-4, 1.0, _REWARDS),
    "rloo": Rates(1e-5, 1e-6, 1e-3, 1e-4, 1.0, _REWARDS),
}


def is_small(parameters: int | None) -> bool:
    """Whether a model is small; one of unknown size is not, since a rate that is too large does the harm."""
    return parameters is not None and parameters < SMALL_MODEL


def learning_rate(method: str, in_full: bool, parameters: int | None = None) -> float:
    """The recommended rate; `parameters` are the model's weights, None where they are not known."""
    rates = RATES[method]
    if is_small(parameters):
        return rates.small_full if in_full else rates.small_adapter
    return rates.full if in_full else rates.adapter


def rate_reason(method: str, in_full: bool, parameters: int | None = None) -> str:
    """Why the rate is what it is, short enough to stand behind it in a recipe."""
    if is_small(parameters):
        return "a model below 50 million weights takes larger steps than is usual"
    return "every weight moves, so the steps are small" if in_full else RATES[method].why


def epochs(method: str, rows: int | None = None) -> float:
    """The recommended passes over so many training rows, None where their number is not known."""
    if method != "sft" or rows is None:
        return RATES[method].epochs
    return 3.0 if rows < 1_000 else 2.0 if rows < 10_000 else 1.0


def epochs_reason(method: str, rows: int | None = None) -> str:
    """Why there are so many."""
    if method == "sft" and rows is not None:
        return f"{rows:,} rows: 3 passes below 1,000, 2 below 10,000, else 1"
    return "passes over the training rows"


def rates_table() -> str:
    """The table as Markdown."""
    head = "| method | adapter | every weight | adapter, small model | every weight, small model | epochs |"
    rows = [
        f"| `{name}` | {each.adapter:g} | {each.full:g} | {each.small_adapter:g} | {each.small_full:g} | "
        f"{'3, 2 or 1 by rows' if name == 'sft' else f'{each.epochs:g}'} |"
        for name, each in RATES.items()
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *rows]) + "\n"
