"""Writes docs/recipes.md from the recipe's fields: `python -m rung.engine.training.recipe_page > docs/recipes.md`."""

from pydantic import BaseModel

from rung.engine.recipe.field_tables import field_section, field_tables
from rung.engine.recipe.rates import rates_table
from rung.engine.recipe.schema import Recipe
from rung.engine.recipe.trl_honoured import HONOURED, SHARED_HONOURED
from rung.engine.training.methods.constitution_settings import ConstitutionSettings
from rung.engine.training.methods.distill_settings import DistillSettings

_PREFACE = """# Recipes

A recipe declares one job completely: a YAML file that `rung run` starts, `rung check` examines and the screens fill
in. This page is generated from the fields in `engine/recipe/schema.py`, and from those of the methods' own blocks, by
`python -m rung.engine.training.recipe_page`.

- Names and meanings follow TRL, PEFT and Transformers. `training:` takes more arguments of Transformers'
  TrainingArguments, the method's own block more of TRL's configuration: those that Rung does, listed below. Any other
  is refused with the reason and what to set instead; none is taken and not done.
- An unknown field is refused, with the nearest known name; all faults are told at once, with their lines.
- `--set training.learning_rate=1e-4` overrides a field; a bare name is accepted where only one block has it.
- Paths are relative to the project's folder, or to the recipe outside a project.
- The resolved recipe, the seed and the versions are kept with every run.

## Recommended rates and epochs

`rung new` and the wizard write them; `learning_rate: null` and `num_train_epochs: null`, or no such line, mean them.
They follow when another method, adapter or model is chosen, in the wizard or with `--set method=dpo`: a value that is
the recommended one for what was chosen before becomes the recommended one for what is chosen now, and any other value
is yours and is kept. So does `data.max_length`: 1,024 tokens, or what the model reads where that is less. A small model
has fewer than 50 million weights.

The wizard changes single values of a recipe and of rung.yaml and leaves every other character of the file as it is; a
block that it takes away, such as `adapter` for a training of every weight, stays as lines that begin with `#|`, and
comes back from them.

""" + rates_table()


_OWN_BLOCKS: dict[str, type[BaseModel]] = {"distill": DistillSettings, "constitution": ConstitutionSettings}


def recipes_page() -> str:
    """The whole page as Markdown."""
    sections = [_PREFACE, *field_tables(Recipe, "The recipe itself")]
    sections += [field_section(name, Recipe.model_fields[name], block, level=2) for name, block in _OWN_BLOCKS.items()]
    return "\n".join([*sections, _honoured_section()])


def _honoured_section() -> str:
    """Which further arguments each block takes."""
    rows = [("training", SHARED_HONOURED), *HONOURED.items()]
    lines = [f"| {place} | {', '.join(f'`{name}`' for name in sorted(names))} |" for place, names in rows]
    return "\n".join(["## Further arguments of TRL's", "", "| block | arguments |", "|---|---|", *lines]) + "\n"


if __name__ == "__main__":
    print(recipes_page(), end="")
