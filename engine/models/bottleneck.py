"""Bottleneck adapters as a PEFT method, which PEFT itself has none of. Importing this module registers it.

Two small layers with a non-linearity between them stand behind a sub-layer, with a skip connection around them:
h + W_up f(W_down h + b_down) + b_up. After attention and after feed-forward (Houlsby et al. 2019), or after
feed-forward alone (Pfeiffer et al. 2021). W_up starts at zero, so that a new adapter changes nothing. A module adds
2·d·r + r + d weights for a sub-layer of d outputs. Only workers import this: it loads PEFT.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import PeftType, register_peft_method
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from rung.engine.models.merging import merge_refused
from rung.engine.models.sublayers import sublayer_ends

NAME = "BOTTLENECK"
BASE = "__base__"
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


def _add_to_peft_types() -> None:
    """PEFT's kinds are a closed enum: a member is put in by hand, as the registration asks for one."""
    if NAME in PeftType.__members__:
        return
    member = str.__new__(PeftType, NAME)
    member._name_, member._value_ = NAME, NAME
    member._sort_order_ = len(PeftType._member_names_)
    PeftType._member_map_[NAME] = member
    PeftType._value2member_map_[NAME] = member
    PeftType._member_names_.append(NAME)
    type.__setattr__(PeftType, NAME, member)


_add_to_peft_types()


@dataclass
class BottleneckConfig(PeftConfig):
    """A bottleneck adapter: its width `r`, where it stands, and its non-linearity."""

    r: int = field(default=16, metadata={"help": "width of the bottleneck"})
    placement: str = field(default="pfeiffer", metadata={"help": "pfeiffer or houlsby"})
    activation: str = field(default="relu", metadata={"help": ", ".join(ACTIVATIONS)})
    dropout: float = field(default=0.0, metadata={"help": "share of the adapter's inputs dropped while training"})
    target_modules: list[str] | str | None = field(default=None, metadata={"help": "layers to stand behind"})
    exclude_modules: list[str] | str | None = field(default=None, metadata={"help": "layers to leave alone"})
    layers_to_transform: list[int] | None = field(default=None, metadata={"help": "numbers of the blocks to adapt"})
    layers_pattern: str | None = field(default=None, metadata={"help": "name of the list of blocks"})
    modules_to_save: list[str] | None = field(default=None, metadata={"help": "layers trained and saved in full"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PeftType[NAME]
        if isinstance(self.target_modules, set):
            self.target_modules = sorted(self.target_modules)


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """A linear layer with bottleneck adapters behind it."""

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("bottleneck_r",)

    def __init__(self, base_layer: nn.Module, name: str, config: BottleneckConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.bottleneck_down = nn.ModuleDict()
        self.bottleneck_up = nn.ModuleDict()
        self.bottleneck_act = nn.ModuleDict()
        self.bottleneck_r: dict[str, int] = {}
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self.width = output_width(self.get_base_layer())
        self._active_adapter = name
        self.update_layer(name, config)

    def update_layer(self, name: str, config: BottleneckConfig) -> None:
        """Add an adapter. It gives the layer's own output until it is trained."""
        self.bottleneck_r[name] = config.r
        self.bottleneck_down[name] = nn.Linear(self.width, config.r)
        self.bottleneck_up[name] = nn.Linear(config.r, self.width)
        self.bottleneck_act[name] = nn.Sequential(ACTIVATIONS[config.activation](), nn.Dropout(config.dropout))
        nn.init.zeros_(self.bottleneck_down[name].bias)
        nn.init.zeros_(self.bottleneck_up[name].weight)
        nn.init.zeros_(self.bottleneck_up[name].bias)
        self._move_adapter_to_device_of_base_layer(name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def delete_adapter(self, adapter_name: str) -> None:
        """Remove an adapter with its activation."""
        super().delete_adapter(adapter_name)
        self.bottleneck_act.pop(adapter_name)

    def forward(self, x: torch.Tensor, *args: Any, adapter_names: Sequence[str] | None = None, **kwargs: Any) -> Any:
        """The layer's output through the active adapters one after the other, or each row's through its own."""
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return result
        if adapter_names is not None:
            return self._mixed(result, adapter_names)
        for name in self.active_adapters:
            if name in self.bottleneck_down:
                result = self._adapted(result, name)
        return result

    def _mixed(self, result: torch.Tensor, adapter_names: Sequence[str]) -> torch.Tensor:
        if len(result) != len(adapter_names):
            raise ValueError(f"{len(adapter_names)} adapter_names for {len(result)} rows")
        mixed = result.clone()
        for name in sorted(set(adapter_names) - {BASE}):
            if name in self.bottleneck_down:
                rows = [row for row, wanted in enumerate(adapter_names) if wanted == name]
                mixed[rows] = self._adapted(result[rows], name)
        return mixed

    def _adapted(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        down, up = self.bottleneck_down[name], self.bottleneck_up[name]
        narrow = self.bottleneck_act[name](down(hidden.to(down.weight.dtype)))
        return hidden + up(narrow).to(hidden.dtype)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refused: no weight of the base does what a non-linear layer behind it does."""
        raise merge_refused()

    def unmerge(self) -> None:
        """Nothing to take back: nothing is ever merged."""

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """No: it is not a product of two matrices."""
        return False


class BottleneckModel(BaseTuner):
    """A model with bottleneck adapters behind its sub-layers."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, list[str]] = {}

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict[str, Any]) -> Any:
        if peft_config.target_modules is None:
            names = [name for name, module in self.model.named_modules() if output_width(module)]
            peft_config.target_modules = sublayer_ends(names, peft_config.placement)
        return peft_config

    def _create_and_replace(
        self, config: Any, adapter_name: str, target: Any, target_name: str, parent: Any, **_rest: Any
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.update_layer(adapter_name, config)
            return
        new = BottleneckLayer(target, adapter_name, config)
        if adapter_name not in self.active_adapters:
            new.requires_grad_(False)
        self._replace_module(parent, target_name, new, target)

    @contextmanager
    def _enable_peft_forward_hooks(self, *_args: Any, **kwargs: Any) -> Iterator[None]:
        """`adapter_names`, one a row, are handed to every layer for the time of one call."""
        names = kwargs.pop("adapter_names", None)
        if names is None:
            yield
            return
        if self.training:
            raise ValueError("adapter_names are for inference: the model is in training mode")
        layers = [module for module in self.modules() if isinstance(module, BottleneckLayer)]
        unknown = set(names) - {BASE} - {name for layer in layers for name in layer.bottleneck_down}
        if unknown:
            raise ValueError(f"there is no adapter {', '.join(sorted(unknown))}")
        beams = kwargs.get("num_beams")
        repeated = [name for name in names for _ in range(beams)] if isinstance(beams, int) and beams > 1 else names
        hooked = [*layers, *(module for module in self.modules() if isinstance(module, AuxiliaryTrainingWrapper))]
        hook = partial(_with_adapter_names, names=repeated)
        handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in hooked]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _check_merge_allowed(self) -> None:
        raise merge_refused()


def output_width(layer: nn.Module) -> int:
    """How many outputs a linear layer (torch's, GPT-2's Conv1D, or a quantised one) has; 0 for anything else."""
    return int(getattr(layer, "out_features", 0) or getattr(layer, "nf", 0) or 0)


def _with_adapter_names(_module: nn.Module, args: Any, kwargs: Any, names: Sequence[str]) -> tuple[Any, Any]:
    return args, {**kwargs, "adapter_names": names}


register_peft_method(name="bottleneck", config_cls=BottleneckConfig, model_cls=BottleneckModel, prefix="bottleneck_")
