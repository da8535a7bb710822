"""A small tabular network, trained by PyTorch on the CPU in float64."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract.records import Schema, Task
from families.family import QUIET, Journal, Matrix, Table, check_rows
from families.network import FILE, HYPERPARAMETERS, Network, hidden_widths, hide_some, pack_arrays, unpack_arrays


class TorchModel:
    """A trained network, its answers computed by PyTorch."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.schema = network.schema

    def predict(self, rows: Matrix) -> Matrix:
        import torch

        check_rows(rows, self.schema)
        numbers, slots = (torch.from_numpy(each) for each in self.network.inputs(rows))
        with torch.no_grad():
            scores = _forward(_parameters(self.network), numbers, slots)
            if self.schema.task == "classification":
                return np.asarray(torch.softmax(scores, dim=1).numpy())
            return np.asarray(scores.numpy()) * self.network.target_spread + self.network.target_middle

    def save(self, folder: Path) -> None:
        self.network.save(folder)

    def fast_form(self) -> bytes:
        return self.network.fast_form()


def _parameters(network: Network) -> tuple[list[Any], list[Any]]:
    """The tables and, in pairs, weights and offsets, as tensors of their own."""
    import torch

    tables = [torch.tensor(each) for each in network.tables]
    return tables, [torch.tensor(each) for layer in network.layers for each in layer]


def _forward(parameters: tuple[list[Any], list[Any]], numbers: Any, slots: Any) -> Any:
    import torch

    tables, layers = parameters
    flow = torch.cat([numbers, *(table[slots[:, at]] for at, table in enumerate(tables))], dim=1)
    for at in range(0, len(layers), 2):
        flow = flow @ layers[at] + layers[at + 1]
        if at < len(layers) - 2:
            flow = torch.relu(flow)
    return flow


class _Training:
    """A network under training: its parameters and the optimizer's memory, which together are the state to keep."""

    def __init__(self, network: Network, settings: Mapping[str, Any]) -> None:
        import torch

        self.network = network
        self.tables, self.layers = _parameters(network)
        self.parameters = [each.requires_grad_() for each in (*self.tables, *self.layers)]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
        )
        self.epochs = 0

    def epoch(self, numbers: Matrix, slots: Any, target: Matrix, batch: int, seed: int) -> float:
        import torch

        rng = np.random.default_rng([seed, self.epochs])
        order, shown = rng.permutation(len(target)), hide_some(slots, rng)
        losses: list[float] = []
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            scores = _forward(
                (self.tables, self.layers), torch.from_numpy(numbers[rows]), torch.from_numpy(shown[rows])
            )
            loss = self._loss(scores, torch.from_numpy(target[rows]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(float(loss.detach()))
        self.epochs += 1
        return float(np.mean(losses))

    def _loss(self, scores: Any, target: Any) -> Any:
        import torch

        if self.network.schema.task == "regression":
            return torch.nn.functional.mse_loss(scores[:, 0], target)
        return torch.nn.functional.cross_entropy(scores, target.long())

    def state(self) -> bytes:
        arrays = {f"parameter_{at}": each.detach().numpy() for at, each in enumerate(self.parameters)}
        for at, each in enumerate(self.parameters):
            kept = self.optimizer.state.get(each, {})
            arrays |= {f"{name}_{at}": value.numpy() for name, value in kept.items()}
        return pack_arrays(arrays | {"epochs": np.array(self.epochs)})

    def restore(self, state: bytes) -> None:
        import torch

        arrays = unpack_arrays(state)
        with torch.no_grad():
            for at, each in enumerate(self.parameters):
                each.copy_(torch.from_numpy(arrays[f"parameter_{at}"]))
                kept = ("step", "exp_avg", "exp_avg_sq")
                self.optimizer.state[each] = {name: torch.tensor(arrays[f"{name}_{at}"]) for name in kept}
        self.epochs = int(arrays["epochs"])

    def trained(self) -> Network:
        tables = [each.detach().numpy() for each in self.tables]
        layers = [each.detach().numpy() for each in self.layers]
        return self.network.with_weights(tables, list(zip(layers[::2], layers[1::2], strict=True)))


class PyTorch:
    name = "pytorch"
    about = "a small tabular network (PyTorch)"
    libraries = ("torch", "numpy")
    tasks: tuple[Task, ...] = ("classification", "regression")
    tolerance = 1e-9
    quick: Mapping[str, Any] = {"epochs": 8, "hidden": 16, "learning_rate": 0.01}
    hyperparameters = HYPERPARAMETERS

    def fit(self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET) -> TorchModel:
        import torch

        torch.set_num_threads(1)  # sums split over threads round differently on another machine
        network = Network.begin(table, hidden_widths(settings), seed=seed)
        training = _Training(network, settings)
        if (kept := journal.resume()) is not None:
            training.restore(kept)
        numbers, slots = network.inputs(table.rows)
        target = network.target_of(table)
        while training.epochs < settings["epochs"]:
            loss = training.epoch(numbers, slots, target, settings["batch"], seed)
            if training.epochs < settings["epochs"]:
                journal.checkpoint(training.epochs, settings["epochs"], training.state, {"loss": loss})
        return TorchModel(training.trained())

    def load(self, folder: Path, schema: Schema) -> TorchModel:
        return TorchModel(Network.from_bytes((folder / FILE).read_bytes(), schema))


FAMILY = PyTorch()
