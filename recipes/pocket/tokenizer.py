"""The pocket model's tokenizer: a known word is one token, everything else goes byte by byte."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from recipes.pocket import chats

SPECIALS = ["<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = """{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
<|assistant|>{% generation %}{{- ' ' + message['content'] + eos_token -}}{% endgeneration %}
{%- elif message['role'] in ['system', 'user'] -%}
{{- '<|' + message['role'] + '|> ' + message['content'] + eos_token -}}
{%- else -%}
{{- raise_exception('The pocket model knows the roles system, user and assistant, not ' + message['role']) -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""


def build(sample: Iterable[str], num_words: int) -> Tokenizer:
    """A tokenizer of the special tokens, the 256 bytes and the `num_words` most frequent known words."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    counts: Counter[str] = Counter()
    for text in sample:
        counts.update(piece for piece, _ in splitter.pre_tokenize_str(text))
    known = [piece for piece, count in counts.most_common() if count >= 8 and _is_word(piece)]
    vocabulary = SPECIALS + sorted(pre_tokenizers.ByteLevel.alphabet()) + sorted(dict.fromkeys(known[:num_words]))
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(vocabulary)}, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def sample_text(seed: int, num_chats: int) -> Iterable[str]:
    """The message contents of `num_chats` chats."""
    for chat in islice(chats.stream(seed), num_chats):
        for message in chat:
            yield message["content"]


def save(tokenizer: Tokenizer, directory: Path) -> PreTrainedTokenizerFast:
    """Writes the tokenizer's files and chat_template.jinja; gives the tokenizer that Transformers loads."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|bos|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        extra_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"],
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(directory)
    return fast


def _is_word(piece: str) -> bool:
    letters = piece.lstrip("Ġ")
    return len(letters) > 1 and letters.isascii() and letters.isalpha()


if __name__ == "__main__":
    built = build(sample_text(11, 30_000), 1500)
    save(built, Path(__file__).parent / "model")
    print(built.get_vocab_size(), "tokens")
