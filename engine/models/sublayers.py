"""Where the sub-layers of a model end, by name: what a bottleneck adapter stands behind. Loads no library."""

from collections.abc import Iterable

from rung.engine.core.errors import EngineError

# The architectures' names for the layer that leads back to the model's width.
FEED_FORWARD = (
    "mlp.down_proj", "mlp.c_proj", "mlp.fc2", "mlp.dense_4h_to_h", "feed_forward.w2", "fc2", "ffn.down_proj",
)  # fmt: skip
ATTENTION = (
    "self_attn.o_proj", "attn.c_proj", "self_attn.dense", "self_attn.out_proj", "attention.dense",
    "self_attention.dense", "attention.o_proj", "attention.wo",
)  # fmt: skip


def sublayer_ends(names: Iterable[str], placement: str) -> list[str]:
    """Endings of the layers to stand behind: that of feed-forward, with `houlsby` that of attention too.

    Raises EngineError that lists the layers' last names where none of the known endings is among them.
    """
    known = list(names)
    found = [ending for ending in FEED_FORWARD if any(name.endswith(f".{ending}") for name in known)][:1]
    if placement == "houlsby":
        found += [ending for ending in ATTENTION if any(name.endswith(f".{ending}") for name in known)][:1]
    if len(found) < (2 if placement == "houlsby" else 1):
        raise EngineError(
            "It is not known which layers of this model a bottleneck adapter stands behind",
            f"layers there are: {', '.join(sorted({name.rpartition('.')[2] for name in known})) or 'none'}",
            "name them in adapter.target_modules, or train a LoRA (adapter.kind: lora)",
        )
    return found


def count_added(width: int, r: int) -> int:
    """Weights of one module behind a sub-layer of `width` outputs: 2·d·r + r + d."""
    return 2 * width * r + r + width
