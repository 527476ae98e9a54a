"""The prompt rung: instructions and examples, tried on the validation rows."""

from rung.engine.jobs.ladder_events import Chosen
from rung.engine.ladder.bench import Bench, Trial
from rung.engine.ladder.spec import CandidateSpec, base_spec
from rung.engine.project.schema import FewShotSettings, ProjectSettings


def climb_prompt(bench: Bench) -> Trial:
    """The best way of asking the model as it is, by the validation rows.

    First the instructions are chosen, without examples; then examples are tried with the best instructions: trying
    every pair would cost their product and seldom find another winner.
    """
    by_system = instruction_variants(bench.project)
    num_examples = len(bench.pool.examples)
    # As many as with any instructions; the one without examples is answered by then.
    later = len(example_variants(bench.project, by_system[0], num_examples)) - 1
    first = bench.choose(by_system, bench.answers_of(later))
    by_shots = example_variants(bench.project, first.spec, num_examples)
    best = bench.choose(by_shots)
    notes = dict.fromkeys(note for note in (first.note, best.note) if note)
    why = "; ".join([f"best of {len(by_system) + len(by_shots) - 1} variants", *notes])
    bench.report(Chosen("prompt", best.spec.label, best.candidate, why))
    return best


def instruction_variants(project: ProjectSettings) -> list[CandidateSpec]:
    """The system prompts to try, the project's own first."""
    systems = dict.fromkeys([project.system_prompt, *project.prompt_trials.system_prompts])
    return [base_spec(project).model_copy(update={"system_prompt": system}) for system in systems]


def example_variants(project: ProjectSettings, plain: CandidateSpec, num_examples: int) -> list[CandidateSpec]:
    """`plain` with every number and choice of examples, none first; what rung.yaml declares is always among them.

    More examples than there are training rows are left out.
    """
    shots = [FewShotSettings(), project.few_shot]
    shots += [
        FewShotSettings(k=k, selection=selection, seed=project.few_shot.seed)
        for k in project.prompt_trials.k
        for selection in project.prompt_trials.selections
    ]
    possible = [FewShotSettings() if one.k == 0 else one for one in shots if one.k <= num_examples]
    ordered = sorted(_distinct(possible), key=lambda one: one.k)
    return [plain.model_copy(update={"few_shot": few_shot}) for few_shot in ordered]


def _distinct(shots: list[FewShotSettings]) -> list[FewShotSettings]:
    kept: list[FewShotSettings] = []
    for one in shots:
        if one not in kept:
            kept.append(one)
    return kept
