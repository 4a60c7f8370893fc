"""The rival in PyTorch: DIPN as a straightforward module, in an environment of its own.

nn.Embedding, nn.Linear, bidirectional nn.GRU (its form is our `reset_after=True`), matmul
attention, torch.optim.Adam. Needs PyTorch and NumPy only.

Letters: B batch, N positions of a window, D hidden units of one GRU direction, T tasks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from intent.schema import Schema

PAIRS = (("swipe", "browse"), ("swipe", "tap"), ("tap", "browse"))
FORMS = ("packed", "reversed")  # of the Bi-GRU


class Embedded(nn.Module):
    """Ids [..., F] -> [..., units]: an embedding per feature (id 0 gives 0), joined, one layer."""

    def __init__(self, features, units: int) -> None:
        super().__init__()
        self.names = [f.name for f in features]
        self.tables = nn.ModuleList(nn.Embedding(f.rows, f.embedding) for f in features)
        self.fc = nn.Linear(sum(f.embedding for f in features), units)

    def forward(self, ids):
        vectors = [
            table(ids[..., i]) * (ids[..., i : i + 1] > 0) for i, table in enumerate(self.tables)
        ]
        return torch.relu(self.fc(torch.cat(vectors, -1)))


class BiGRU(nn.Module):
    """Right-padded windows -> states [B, N, 2D], last state of each direction [B, D].

    "packed" is one bidirectional nn.GRU over packed sequences; "reversed" two over whole windows,
    the second reading each window's actions backwards, so that padding comes last in both.
    """

    def __init__(self, width: int, hidden: int, form: str) -> None:
        super().__init__()
        self.form = form
        if form == "packed":
            self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        else:
            self.ahead = nn.GRU(width, hidden, batch_first=True)
            self.back = nn.GRU(width, hidden, batch_first=True)

    def forward(self, x, real):
        n = real.sum(1)
        some = (n > 0).to(x.dtype)[:, None]
        if self.form == "packed":
            packed = pack_padded_sequence(x, n.clamp(min=1), True, enforce_sorted=False)
            h, last = self.gru(packed)
            h, _ = pad_packed_sequence(h, batch_first=True, total_length=x.shape[1])
            return h, last[0] * some, last[1] * some
        place = torch.arange(x.shape[1])[None]
        mirror = torch.where(real, n[:, None] - 1 - place, place)[..., None]
        ahead, _ = self.ahead(x)
        back, _ = self.back(x.gather(1, mirror.expand_as(x)))
        end = (n.clamp(min=1) - 1)[:, None, None].expand(-1, 1, ahead.shape[2])
        last = [h.gather(1, end)[:, 0] * some for h in (ahead, back)]
        return torch.cat([ahead, back.gather(1, mirror.expand_as(back))], -1), *last


class Window(nn.Module):
    """One view: embedding, Bi-GRU, intra-view attention (equations 1 to 3)."""

    def __init__(self, view, sizes: Mapping, form: str) -> None:
        super().__init__()
        width, hidden = sizes["action_width"], sizes["hidden"]
        self.marker, self.by_length = view.marker_column, sizes["attention_scale"] == "length"
        self.embedded = Embedded(view.features, width)
        self.gru = BiGRU(width, hidden, form)
        self.w_a = nn.Linear(hidden, 2 * hidden, bias=False)

    def forward(self, ids):
        """Ids [B, N, F] -> (v [B, N, 2D], real [B, N], last forward and backward state [B, D])."""
        real = ids[..., self.marker] > 0
        h, last, first = self.gru(self.embedded(ids), real)
        scores = torch.bmm(h, self.w_a(last)[..., None])[..., 0]
        a = scores.masked_fill(~real, -1e9).softmax(-1) * real
        if self.by_length:
            a = a * real.sum(1, keepdim=True)
        return h * a[..., None], real, last, first


def inter_view(v, v_real, u, u_real):
    """Equation (4)."""
    scores = torch.bmm(v, u.transpose(1, 2)) / v.shape[-1] ** 0.5
    of_u = scores.masked_fill(~u_real[:, None], -1e9).softmax(-1)
    of_v = scores.transpose(1, 2).masked_fill(~v_real[:, None], -1e9).softmax(-1)
    return torch.bmm(of_v, v) * torch.bmm(of_u, u) * (v_real & u_real)[..., None]


class TorchDIPN(nn.Module):
    """Inputs (source -> int64 ids) -> logits [B, T], tasks in the schema's order."""

    def __init__(self, schema: Schema, sizes: Mapping, form: str) -> None:
        super().__init__()
        state, kept = sizes["hidden"], sizes["position_width"]
        self.windows = nn.ModuleDict({v.name: Window(v, sizes, form) for v in schema.views})
        self.pairs = [p for p in PAIRS if set(p) <= set(self.windows)]
        names = ["_".join(p) for p in self.pairs] or list(self.windows)
        self.narrow = nn.ModuleDict(
            {n: nn.Linear(2 * state, kept, bias=False) for n in names} if kept else {}
        )
        self.contexts = nn.ModuleDict(
            {
                source: Embedded(getattr(schema, source), sizes["context_width"])
                for source in ("history", "profile")
                if getattr(schema, source)
            }
        )
        flat = len(names) * schema.length * (kept or 2 * state)
        wide = flat + len(self.contexts) * sizes["context_width"] + 2 * state * len(self.windows)
        widths = [wide, *sizes["branch_units"]]
        self.branches = nn.ModuleDict()
        for task in schema.tasks:
            steps: list[nn.Module] = []
            for a, b in zip(widths, widths[1:], strict=False):
                steps += [nn.Linear(a, b), nn.ReLU()]
            self.branches[task.name] = nn.Sequential(*steps, nn.Linear(widths[-1], 1))

    def forward(self, inputs):
        seen = {name: window(inputs[name]) for name, window in self.windows.items()}
        blocks = [inter_view(*seen[a][:2], *seen[b][:2]) for a, b in self.pairs]
        blocks = blocks or [v for v, *_ in seen.values()]
        if self.narrow:
            blocks = [d(b) for d, b in zip(self.narrow.values(), blocks, strict=True)]
        parts = [block.flatten(1) for block in blocks]
        parts += [context(inputs[name]) for name, context in self.contexts.items()]
        parts += [state for *_, last, first in seen.values() for state in (last, first)]
        z = torch.cat(parts, -1)
        return torch.cat([branch(z) for branch in self.branches.values()], -1)


def copy_weights(model: TorchDIPN, ours: Mapping[str, np.ndarray]) -> None:
    """Sets `model` to the weights of ours, by path; ValueError if one is left over."""
    left = set(ours)

    def put(parameter: torch.Tensor, path: str, change=lambda a: a) -> None:
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(change(ours[path]))))
        left.discard(path)

    def linear(layer: nn.Linear, path: str) -> None:
        put(layer.weight, f"{path}/kernel", np.transpose)
        put(layer.bias, f"{path}/bias")

    def embedded(layer: Embedded, name: str) -> None:
        for feature, table in zip(layer.names, layer.tables, strict=True):
            put(table.weight, f"{name}/tables/{feature}")
        linear(layer.fc, f"{name}/fc")

    def gru(layer: nn.GRU, suffix: str, cell: str) -> None:
        put(getattr(layer, f"weight_ih_l0{suffix}"), f"{cell}/kernel", _gates)
        put(getattr(layer, f"weight_hh_l0{suffix}"), f"{cell}/recurrent_kernel", _gates)
        put(getattr(layer, f"bias_ih_l0{suffix}"), f"{cell}/bias", lambda b: _gates(b[0]))
        put(getattr(layer, f"bias_hh_l0{suffix}"), f"{cell}/bias", lambda b: _gates(b[1]))

    for name, window in model.windows.items():
        embedded(window.embedded, f"{name}_embedding")
        packed = window.gru.form == "packed"
        forward = window.gru.gru if packed else window.gru.ahead
        backward = window.gru.gru if packed else window.gru.back
        gru(forward, "", f"{name}_bigru/forward/gru_cell")
        gru(backward, "_reverse" if packed else "", f"{name}_bigru/backward/gru_cell")
        put(window.w_a.weight, f"{name}_intra_view/w_a")
    for name, layer in model.narrow.items():
        put(layer.weight, f"{name}_narrow/kernel", np.transpose)
    for name, context in model.contexts.items():
        embedded(context, f"{name}_context")
    for task, branch in model.branches.items():
        layers = [layer for layer in branch if isinstance(layer, nn.Linear)]
        for i, layer in enumerate(layers):
            linear(layer, f"{task}/{'logit' if layer is layers[-1] else f'fc_{i}'}")
    if left:
        raise ValueError(f"the PyTorch module has no place for {sorted(left)} of ours")


def _gates(ours: np.ndarray) -> np.ndarray:
    """Keras's [..., (z, r, n)] -> PyTorch's [(r, z, n), ...]."""
    z, r, n = np.split(ours, 3, axis=-1)
    return np.concatenate([r, z, n], axis=-1).T


def losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Equation (6) over a batch; labels [B, T] floats."""
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(0).sum()
