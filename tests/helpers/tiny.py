"""Tiny models made on the spot: random weights, a byte-level tokenizer, a chat template with generation marks."""

from pathlib import Path
from typing import Any, Literal

Architecture = Literal["llama", "qwen2", "qwen3", "mistral", "gemma2", "phi3", "gpt2"]

SPECIAL_TOKENS = ("<pad>", "<bos>", "<|im_start|>", "<|im_end|>")

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- '<|im_start|>assistant\n' }}"
    "{%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}"
    "{{- '\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)


def make_tiny_model(
    directory: Path,
    *,
    architecture: Architecture = "llama",
    hidden_size: int = 32,
    layers: int = 2,
    context: int = 512,
    chat_template: str | None = CHAT_TEMPLATE,
    seed: int = 0,
) -> Path:
    """Save a randomly initialised causal model with its tokenizer in `directory` and give that folder.

    264 rows (a few unused, as in real models) for 260 tokens: `<pad>`, `<bos>`, `<|im_start|>`, `<|im_end|>` (the end
    of an answer) and the 256 bytes. The same arguments give the same weights. `chat_template=None` saves a tokenizer
    without one.
    """
    import torch
    from transformers import AutoModelForCausalLM

    directory.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(_config(architecture, hidden_size, layers, context))
    model.save_pretrained(directory)
    make_byte_tokenizer(chat_template, context).save_pretrained(directory)
    return directory


def make_byte_tokenizer(chat_template: str | None = CHAT_TEMPLATE, context: int = 512) -> Any:
    """A fast tokenizer with one token a byte and `SPECIAL_TOKENS` in front; round-trips every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # Without merges, byte-level BPE is exactly one token a byte.
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = chat_template
    return fast


def _config(architecture: Architecture, hidden_size: int, layers: int, context: int) -> Any:
    from transformers import AutoConfig

    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3}
    # Rows to spare: some tokenizer classes of transformers add an end-of-text token of their own.
    size = 264
    if architecture == "gpt2":
        return AutoConfig.for_model(
            "gpt2", vocab_size=size, n_embd=hidden_size, n_layer=layers, n_head=4, n_positions=context, **special
        )
    extra: dict[str, Any] = {}
    if architecture in ("qwen3", "gemma2"):
        extra["head_dim"] = hidden_size // 4
    if architecture in ("mistral", "gemma2"):
        extra["sliding_window"] = context
    return AutoConfig.for_model(
        architecture,
        vocab_size=size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        **special,
        **extra,
    )
