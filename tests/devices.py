"""A second device without a GPU: "meta" tensors that hold values.

PyTorch's own meta tensors have no values, so `torch.unique` and the like cannot run on
them. `Away` says that it is on "meta" and keeps its values in a CPU tensor. Like a GPU
it refuses to meet a tensor of the CPU, and NumPy.
"""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

META = torch.device("meta")


class Away(torch.Tensor):
    """A tensor on the second device."""

    @staticmethod
    def __new__(cls, values):
        made = torch.Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), dtype=values.dtype, device=META
        )
        made.values_ = values
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


def run(func, args, kwargs):
    """Run an operator of PyTorch with the values, on the device they say they are on.

    As on a GPU, a CPU tensor may join only if it is one number, and copies may cross.
    """
    device = kwargs.get("device")
    tensors = [
        a for a in tree_flatten((args, kwargs))[0] if isinstance(a, torch.Tensor)
    ]
    away = [a for a in tensors if isinstance(a, Away)]
    name = func.overloadpacket._qualified_op_name
    crosses = name in ("aten::_to_copy", "aten::copy_", "aten::set_")
    if (
        away
        and not crosses
        and any(a.dim() and not isinstance(a, Away) for a in tensors)
    ):
        raise RuntimeError(f"{name}: tensors on two devices, cpu and meta")
    there = bool(away) if device is None else torch.device(device) == META
    if name == "aten::copy_":
        there = isinstance(args[0], Away)
    if device is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    values = [tree_map(lambda a: getattr(a, "values_", a), x) for x in (args, kwargs)]
    out = func(*values[0], **values[1])
    if func._schema.name.endswith("_"):  # in place
        return args[0] if func._schema.returns else None
    if not there:
        return out
    return tree_map(lambda a: Away(a) if isinstance(a, torch.Tensor) else a, out)


class _Made(TorchFunctionMode):
    """These two make their tensor where no `TorchDispatchMode` sees it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.new_tensor:
            like, *args = args
            func, kwargs = torch.tensor, {"dtype": like.dtype, "device": like.device}
        if func is torch.tensor and "device" in kwargs:
            return func(*args, **kwargs | {"device": "cpu"}).to(kwargs["device"])
        return func(*args, **kwargs)


class SecondDevice(TorchDispatchMode):
    """Within it tensors can be made on, and sent to, the second device."""

    def __enter__(self):
        self.made = _Made()
        self.made.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.made.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if Away in types or (device is not None and torch.device(device) == META):
            return run(func, args, kwargs)
        return func(*args, **kwargs)
