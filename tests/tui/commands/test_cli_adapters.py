"""`rung adapters` and `rung export` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.helpers.trained_runs import CHOSEN, light_run, lora_run, make_project, put_score

Cli = Callable[..., Ran]
CPT, SFT, OTHER = "20260101-030405-cpt-0a1b", "20260102-030405-sft-ab12", "20260103-030405-sft-cd34"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rung.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list_as_json_has_all_that_is_known(cli: Cli, root: Path) -> None:
    light_run(root, CPT)
    folder = light_run(root, SFT, start_from=f"run:{CPT}", r=8)
    put_score(root, SFT, 0.7)
    ran = cli("adapters", "--json")
    assert ran.code == 0
    first, second = json.loads(ran.out)
    assert (first["run"], first["score"], first["start_from"]) == (CPT, None, [])
    size = sum(file.stat().st_size for file in (folder.path / "adapter").iterdir())
    assert second.pop("forgetting") == pytest.approx(0.0202, abs=1e-4)
    assert second.pop("forgot")["of"] == "perplexity of general text"
    assert second == {
        "run": SFT, "path": str(folder.path / "adapter"), "base": "pocket", "revision": None, "method": "sft",
        "kind": "lora", "rank": 8, "quantization": "none", "bytes": size, "chosen": CHOSEN, "kl": 0.01,
        "start_from": [CPT], "combined": [], "name": None, "tags": [], "trouble": "", "candidate": "abcdef012345",
        "label": "tuned", "metric": "exact_match", "score": 0.7, "low": 0.6, "high": 0.7 + 0.1, "n": 50, "leaked": None,
    }  # fmt: skip


def test_the_list_groups_by_base_and_says_what_is_damaged(cli: Cli, root: Path) -> None:
    light_run(root, CPT)
    light_run(root, SFT, start_from=f"run:{CPT}")
    light_run(root, OTHER, model="Qwen/Qwen3-0.6B")
    (light_run(root, "20260104-030405-sft-bad0").path / "recipe.yaml").write_text("tags: {not a recipe")
    lines = cli("adapters").out.splitlines()
    assert [lines[0], lines[4], lines[9]] == ["Qwen/Qwen3-0.6B", "pocket", "unknown"]
    assert lines[6].split()[:5] == [CPT, "cpt", "LoRA", "r16", "3"]
    assert "+2.0%" in lines[6] and "base" in lines[6].split() and CPT in lines[7]
    assert lines[-1].startswith("20260104-030405-sft-bad0: ")


def test_a_project_without_results_says_how_to_get_one(cli: Cli, root: Path) -> None:
    assert "rung run RECIPE trains one" in cli("adapters").out
    assert cli("adapters", "--json").out == "[]\n"


def test_export_and_combine_write_what_they_say(cli: Cli, root: Path) -> None:
    project = make_project(root)
    lora_run(project, SFT)
    lora_run(project, OTHER, seed=1)
    ran = cli("export", "ab12", "--to", "out", "--json")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert said["path"] == str(root / "out") and said["kind"] == "adapter" and "copying the weights …" in ran.err
    ran = cli("export", "cd34")
    assert ran.out.splitlines()[0].startswith(f"adapter {root / 'exports' / OTHER}, ")
    ran = cli("adapters", "combine", "ab12=1", "cd34=-0.5", "--name", "less of it", "--json")
    assert ran.code == 0, ran.err
    made = json.loads(ran.out)
    rows = {row["run"]: row for row in json.loads(cli("adapters", "--json").out)}
    assert rows[made["run"]]["name"] == "less of it" and rows[made["run"]]["rank"] == 8
    again = cli("export", "ab12", "--to", "out")
    assert again.code == 2 and "is not empty" in again.err


def test_what_is_impossible_is_said_before_anything_is_started(cli: Cli, root: Path) -> None:
    light_run(root, SFT)
    light_run(root, OTHER, peft_type="BOTTLENECK")
    ran = cli("adapters", "merge", "cd34")
    assert ran.code == 2 and "A bottleneck adapter can't be merged" in ran.err
    ran = cli("adapters", "combine", "ab12=1", "cd34=1")
    assert ran.code == 2 and "is bottleneck" in ran.err
    ran = cli("adapters", "combine", "ab12", "cd34=1")
    assert ran.code == 2 and "ab12: it has no weight" in ran.err
    ran = cli("adapters", "combine", "ab12=much", "cd34=1")
    assert ran.code == 2 and "'much' is not a weight" in ran.err
    ran = cli("export", "ab12", "--dtype", "float16")
    assert ran.code == 2 and "Only a merged model" in ran.err
    assert cli("export", "nothing").code == 2
    assert not (root / "exports").exists()
    assert "convert_hf_to_gguf.py" in cli("export", "--help").out
