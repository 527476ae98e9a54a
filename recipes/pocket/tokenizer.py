"""The pocket model's tokenizer: a known word is one token, any other word goes syllable by syllable or by byte.

The pieces of an unknown word don't depend on what stands before it: a space in front is a token of its own. So a
made-up name is the same few tokens wherever it stands, which is what makes it easy to find again and to copy.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rung.recipes.pocket import chats, names

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
    """A tokenizer of the special tokens, the 256 bytes, syllables, and the `num_words` most frequent known words."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    counts: Counter[str] = Counter()
    for text in sample:
        counts.update(piece for piece, _ in splitter.pre_tokenize_str(text))
    known = [piece for piece, count in counts.most_common() if count >= 8 and _is_word(piece)][:num_words]
    merges = _merges()
    pieces = [left + right for left, right in merges]
    vocabulary = list(dict.fromkeys([*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *pieces, *sorted(known)]))
    # ignore_merges: a whole word of the vocabulary is taken as it is, also where no merge leads to it.
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(vocabulary)}, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def _merges() -> list[tuple[str, str]]:
    """Letters into onsets, vowels and codas, then these into syllables and endings; in either case of the first."""
    small = [part for part in (*names.ONSETS, *names.VOWELS, *names.CODAS) if len(part) == 2]
    made: dict[tuple[str, str], None] = {}
    for part in small:
        made[part[0], part[1]] = None
    for onset in names.ONSETS:
        if len(onset) == 2:
            made[onset[0].upper(), onset[1]] = None
    for onset in names.ONSETS:
        for vowel in dict.fromkeys(names.VOWELS):
            made[onset, vowel] = None
            made[onset.capitalize(), vowel] = None
    for ending in dict.fromkeys(e for endings in names.ENDINGS.values() for e in endings if len(e) > 2):
        _lead_to(ending, made)
    return list(made)


def _lead_to(word: str, merges: dict[tuple[str, str], None]) -> None:
    """Adds the merges that make one token of a word, from the pieces that the merges so far leave it in."""
    pieces = list(word)
    for left, right in merges:
        at = 0
        while at < len(pieces) - 1:
            if (pieces[at], pieces[at + 1]) == (left, right):
                pieces[at : at + 2] = [left + right]
            at += 1
    while len(pieces) > 1:
        merges[pieces[0], pieces[1]] = None
        pieces[:2] = [pieces[0] + pieces[1]]


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
    built = build(sample_text(11, 30_000), 1100)
    save(built, Path(__file__).parent / "model")
    print(built.get_vocab_size(), "tokens")
