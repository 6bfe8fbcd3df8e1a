"""The segmenter's network: MONAI's 3D U-Net with a CT and a click as input, background and GTV as output.

It is described by a definition in MONAI's own form (`_target_` and arguments, as in a bundle's inference.json). Only what is on the list
below is ever built from one, and its arguments are plain numbers and words: no definition makes rt4d run code. Weights are a plain
state_dict in half precision, loaded as data (`weights_only`).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import pickle
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt4d.errors import InputError, NotFoundError
from rt4d.segmentation.whole_files import write_file

if TYPE_CHECKING:
    import torch

DYNUNET = "monai.networks.nets.DynUNet"
FILTERS = (16, 32, 64, 128, 160)
CHANNELS_IN, CHANNELS_OUT = 2, 2
"""CT in [0, 1] and click; background and GTV."""
ONLY_IN_TRAINING = "deep_supervision_heads."
TWICE_NAMED = "skip_layers."
"""DynUNet names each of its layers a second time below this; the parameters are the same ones."""
FEWEST_LEVELS = 3

Level = tuple[int, int, int]
"""Of one level of the network: a number along z, y and x."""


def definition(*, deep_supervision: bool = False, filters: Sequence[int] = FILTERS) -> dict[str, Any]:
    """The network in MONAI's form: one level per filter, each half as fine as the one before; heads on two deeper levels in training."""
    levels = len(filters)
    return {
        "_target_": DYNUNET,
        "spatial_dims": 3,
        "in_channels": CHANNELS_IN,
        "out_channels": CHANNELS_OUT,
        "kernel_size": [3] * levels,
        "strides": [1] + [2] * (levels - 1),
        "upsample_kernel_size": [2] * (levels - 1),
        "filters": list(filters),
        "norm_name": ["INSTANCE", {"affine": True}],
        "act_name": ["leakyrelu", {"inplace": True, "negative_slope": 0.01}],
        "deep_supervision": deep_supervision,
        "deep_supr_num": min(2, levels - 2),
        "res_block": False,
    }


@contextlib.contextmanager
def imported_beside() -> Iterator[None]:
    """Import PyTorch and MONAI, which takes seconds, in a thread beside what is done here, which must import neither of them itself."""
    thread = threading.Thread(target=_import, name="rt4d imports")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _import() -> None:
    with contextlib.suppress(Exception):  # whoever needs them meets it again
        importlib.import_module("monai.networks.nets.dynunet")
        importlib.import_module("monai.inferers.utils")


def strides_of(definition: Mapping[str, Any]) -> tuple[Level, ...]:
    """How much coarser each level of a DynUNet is than the one before. Refused (InputError): levels that give no answer of the CT's own size."""
    strides, kernels, back = (_levels(definition, key) for key in ("strides", "kernel_size", "upsample_kernel_size"))
    if len(strides) < FEWEST_LEVELS or len(kernels) != len(strides):
        raise _odd(definition, "kernel_size", f"as many levels as strides has ({len(strides)}), at least {FEWEST_LEVELS}")
    if strides[0] != (1, 1, 1):
        raise _odd(definition, "strides", "1 on the first level: else the answer is smaller than the CT")
    if back != strides[1:]:
        raise _odd(definition, "upsample_kernel_size", f"the strides of all levels but the first ({definition['strides'][1:]})")
    if not all(n % 2 and n + 1 >= step for kernel, level in zip(kernels, strides, strict=True) for n, step in zip(kernel, level, strict=True)):
        raise _odd(definition, "kernel_size", f"odd numbers, none below its stride by more than one ({definition['strides']})")
    return strides


def _levels(definition: Mapping[str, Any], key: str) -> tuple[Level, ...]:
    """What a definition says for each level: a whole number above 0, or three of them."""
    said = definition.get(key)
    each = [one if isinstance(one, (list, tuple)) else [one] * 3 for one in said] if isinstance(said, (list, tuple)) else [[]]
    if not all(len(one) == 3 and all(type(n) is int and n > 0 for n in one) for one in each):
        raise _odd(definition, key, "for each level a whole number above 0, or three (z y x)")
    return tuple((z, y, x) for z, y, x in each)


def _odd(definition: Mapping[str, Any], key: str, expected: str) -> InputError:
    found = definition.get(key, "none")
    return InputError("The network's levels do not go together", where=f"network_def.{key}", expected=expected, found=found)


def build(definition: Mapping[str, Any]) -> torch.nn.Module:
    """The network of a definition, with untrained weights. Refused (InputError): a target that is not on the list, arguments it does not have."""
    from monai.networks.nets.dynunet import DynUNet

    from rt4d.segmentation.normalising import quickened

    allowed = {DYNUNET: DynUNet}
    target = definition.get("_target_")
    if target not in allowed:
        raise InputError("A network that is not on the list", where="_target_", expected=" or ".join(allowed), found=target)
    arguments = {name: value for name, value in definition.items() if name != "_target_"}
    _require_plain(arguments, where="network_def")
    if arguments.get("spatial_dims") != 3 or (arguments.get("in_channels"), arguments.get("out_channels")) != (CHANNELS_IN, CHANNELS_OUT):
        found = f"{arguments.get('spatial_dims')} dimensions, {arguments.get('in_channels')} to {arguments.get('out_channels')} channels"
        raise InputError("Not a network of the segmenter", expected=f"3 dimensions, {CHANNELS_IN} to {CHANNELS_OUT} channels", found=found)
    strides_of(definition)
    try:
        network: torch.nn.Module = allowed[target](**arguments)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise InputError("The network's definition cannot be built", where=target, found=error) from error
    return quickened(network)


def save_weights(network: torch.nn.Module, path: Path) -> Path:
    """Write a network's weights as a state_dict of half-precision numbers, each once and without the heads of training; whole or not at all."""
    return save_state(network.state_dict(), path)


def save_state(state: Mapping[str, torch.Tensor], path: Path) -> Path:
    """As `save_weights`, of a state_dict. Equal weights make equal bytes."""
    import torch

    kept = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items() if _is_kept(name)}
    if not all(bool(torch.isfinite(value).all()) for value in kept.values()):
        do = "Train again with a lower learning rate"
        raise InputError("Weights that are not finite in half precision are not written", where=path.name, do=do)
    buffer = io.BytesIO()
    torch.save(kept, buffer)
    return write_file(path, buffer.getbuffer())


def load_weights(network: torch.nn.Module, path: Path) -> torch.nn.Module:
    """The same network with the weights of a file in it, which is read as data and never executed. Heads of training are left as they are.

    Raises NotFoundError where there is no file, InputError where it holds anything but this network's weights.
    """
    state = _read_state(path)
    mine = {name: tuple(value.shape) for name, value in network.state_dict().items() if _is_kept(name)}
    theirs = {name: tuple(value.shape) for name, value in state.items() if _is_kept(name)}
    if mine != theirs:
        odd = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        found = ", ".join(odd[:3]) + (f" and {len(odd) - 3} more" if len(odd) > 3 else "")
        raise InputError("Weights of another network", where=path, found=f"{found} differ", do="Take the weights of the same bundle")
    network.load_state_dict({name: value for name, value in state.items() if _is_kept(name)}, strict=False)
    return network


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    import torch

    if not path.is_file():
        raise NotFoundError("No such file of weights", where=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd pickles: they are refused below
            state = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError("Not a file of weights only", where=path, found=str(error).strip().splitlines()[0][:120]) from error
    if not isinstance(state, dict) or not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()):
        raise InputError("Not a file of weights only", where=path, expected="a state_dict", found=type(state).__name__)
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise InputError("Weights must be finite", where=path)
    return state


def _is_kept(name: str) -> bool:
    return ONLY_IN_TRAINING not in name and not name.startswith(TWICE_NAMED)


def _require_plain(value: object, *, where: str) -> None:
    """Refuse anything but numbers, words, lists and mappings, and what MONAI would evaluate ('$…', '_target_')."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if str(name).startswith("_"):
                raise InputError("A definition within the network's definition is not built", where=f"{where}.{name}")
            _require_plain(each, where=f"{where}.{name}")
    elif isinstance(value, (list, tuple)):
        for each in value:
            _require_plain(each, where=where)
    elif isinstance(value, str) and value.startswith(("$", "@", "%")):
        raise InputError("An expression in the network's definition is not evaluated", where=where, found=value)
    elif not isinstance(value, (str, int, float, bool, type(None))):
        raise InputError("The network's definition holds numbers and words only", where=where, found=type(value).__name__)
