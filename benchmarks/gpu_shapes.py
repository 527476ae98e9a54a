"""What benchmarks/gpu.py works on: models of known shapes with random weights, rows of known lengths, recipes.

Nothing is downloaded: weights are drawn on the device, and a word is a token, so that lengths are exact.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "<unk>", "<end>", "<user>", "<assistant>")
WORDS = 900  # of the vocabulary, those that rows are made of
TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}<assistant> {% generation %}{{ message['content'] + ' <end> ' }}"
    "{% endgeneration %}{%- else %}{{ '<user> ' + message['content'] + ' <end> ' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<assistant> ' }}{%- endif %}"
)


@dataclass(frozen=True)
class Shape:
    """A decoder's sizes, after a model that people use."""

    architecture: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    head_width: int
    biases: bool = False

    @property
    def matmul_weights(self) -> int:
        """Weights that each token is multiplied with: every linear layer and the head, not the embedding's rows."""
        attention = self.hidden * self.head_width * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.inner) + self.vocabulary * self.hidden

    def flops_a_token(self, length: float, passes: int) -> float:
        """Floating-point operations a real token: 2 a weight and pass, and causal attention over half of `length`.

        `passes`: 1 forward, 2 more for a backward with gradients of all weights, 1 more where the base is frozen (its
        weights' gradients are never computed). Recomputation by checkpointing is not counted, nor is padding.
        """
        attention = 2 * 2 * self.layers * self.heads * self.head_width * length / 2
        return passes * (2 * self.matmul_weights + attention)


SHAPES = {
    "tiny": Shape("llama", 64, 172, 2, 4, 2, 1000, 16),
    "1b": Shape("llama", 2048, 8192, 16, 32, 8, 128_256, 64),  # Llama-3.2-1B with a head of its own
    "qwen": Shape("llama", 1536, 8960, 28, 12, 2, 151_936, 128, True),  # Qwen2.5-1.5B's sizes, with a head of its own
    "8b": Shape("llama", 4096, 14336, 32, 32, 8, 128_256, 128),  # Llama-3.1-8B
}


def make_model(name: str, folder: Path) -> Path:
    """Save the shape with random weights (bfloat16, float32 without a GPU), its tokenizer and chat template."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    if (folder / "config.json").exists():
        return folder
    shape = SHAPES[name]
    words = [*SPECIAL, *(f"w{number}" for number in range(shape.vocabulary - len(SPECIAL)))]
    fast = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, eos_token="<end>", pad_token="<pad>", unk_token="<unk>", chat_template=TEMPLATE
    )
    config = AutoConfig.for_model(
        shape.architecture, vocab_size=shape.vocabulary, hidden_size=shape.hidden, intermediate_size=shape.inner,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_width, attention_bias=shape.biases, max_position_embeddings=8192, tie_word_embeddings=False,
        eos_token_id=2, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    gpu = torch.cuda.is_available()
    torch.manual_seed(0)
    with torch.device("cuda" if gpu else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16 if gpu else torch.float32)
    model.save_pretrained(folder, max_shard_size="4GB")
    tokenizer.save_pretrained(folder)
    return folder


def skewed_lengths(count: int, longest: int, seed: int) -> list[int]:
    """Lengths as chats have them: many short ones, a long tail cut at `longest` tokens; the mean is about a fifth."""
    draw = random.Random(seed)
    return [min(longest, max(16, int(longest * draw.lognormvariate(-1.8, 0.9)))) for _ in range(count)]


def write_chats(path: Path, lengths: Sequence[int], seed: int = 0) -> Path:
    """One chat a length, its prompt three times as long as its answer. The template adds four tokens."""
    draw = random.Random(seed)
    rows = []
    for length in lengths:
        prompt = max(1, (length - 4) * 3 // 4)
        messages = [_turn("user", prompt, draw), _turn("assistant", max(1, length - 4 - prompt), draw)]
        rows.append({"messages": messages})
    return _write(path, rows)


def write_pairs(path: Path, count: int, prompt: int, answer: int, seed: int = 0) -> Path:
    """Preference pairs with a long shared prompt."""
    draw = random.Random(seed)
    rows = [
        {"prompt": _text(prompt, draw), "chosen": _text(answer, draw), "rejected": _text(answer, draw)}
        for _ in range(count)
    ]
    return _write(path, rows)


def recipe_value(base: Path, train: Path, validation: Path, longest: int, **changes: Any) -> dict[str, Any]:
    """A recipe's fields; `changes` are merged into its blocks. Nothing beside the training but two evaluations."""
    value: dict[str, Any] = {
        "method": "sft",
        "model": {"name": str(base)},
        "data": {"train": str(train), "validation": str(validation), "max_length": longest},
        "training": {"per_device_train_batch_size": 8, "max_steps": 12, "eval_steps": 1000, "save_steps": 1000},
        "probe": {"source": None},
        "samples": {"every_steps": 1000, "max_new_tokens": 1},
    }
    for name, change in changes.items():
        merge = isinstance(value.get(name), dict) and isinstance(change, dict)
        value[name] = {**value[name], **change} if merge else change
    return value


def _turn(role: str, words: int, draw: random.Random) -> dict[str, str]:
    return {"role": role, "content": _text(words, draw)}


def _text(words: int, draw: random.Random) -> str:
    return " ".join(f"w{draw.randrange(WORDS)}" for _ in range(words))


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
