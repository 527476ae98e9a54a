"""Adapters and full fine-tunes of tiny models, with weights drawn at random instead of trained."""

from pathlib import Path
from typing import Any


def make_adapter(model_dir: Path, directory: Path, *, seed: int = 0, scale: float = 0.4, **options: Any) -> Path:
    """Save a LoRA adapter of the model, its weights drawn from a normal distribution, and give its folder.

    `options` go to PEFT's LoraConfig (`use_dora=True`, `init_lora_weights="pissa"`, `task_type="SEQ_CLS"`).
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_dir)
    settings = {"task_type": "CAUSAL_LM", "target_modules": "all-linear", "r": 4, "lora_alpha": 8} | options
    wrapped = get_peft_model(model, LoraConfig(**settings))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name and "init_lora_weights" not in options:
                torch.nn.init.normal_(parameter, std=scale)
    wrapped.save_pretrained(directory)
    return directory


def make_bottleneck(model_dir: Path, directory: Path, *, seed: int = 0, scale: float = 0.4) -> Path:
    """Save a bottleneck adapter of the model, its weights drawn at random, and give its folder."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    from rung.engine.models.attach import peft_config
    from rung.engine.recipe.schema import AdapterSettings

    wrapped = get_peft_model(
        AutoModelForCausalLM.from_pretrained(model_dir), peft_config(AdapterSettings(kind="bottleneck", r=4))
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=scale)
    wrapped.save_pretrained(directory)
    return directory


def make_full_tune(model_dir: Path, directory: Path, *, seed: int = 0, scale: float = 0.3) -> Path:
    """Save a copy of the model with noise added to every weight, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(model_dir)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(model_dir).save_pretrained(directory)
    return directory
