"""A small tabular network, trained by TensorFlow through Keras on the CPU in float64."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract.records import Schema, Task
from families.family import QUIET, Journal, Matrix, Table, check_rows
from families.network import FILE, HYPERPARAMETERS, Network, Slots, hidden_widths, hide_some, pack_arrays, unpack_arrays

AT_ONCE = 8192


class KerasModel:
    """A trained network, its answers computed by Keras."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.schema = network.schema

    def predict(self, rows: Matrix) -> Matrix:
        check_rows(rows, self.schema)
        model = _build(self.network)
        given = _as_inputs(*self.network.inputs(rows))
        scores = np.asarray(model.predict(given, batch_size=AT_ONCE, verbose=0), dtype=np.float64)
        if self.schema.task == "regression":
            return scores * self.network.target_spread + self.network.target_middle
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def save(self, folder: Path) -> None:
        self.network.save(folder)

    def fast_form(self) -> bytes:
        return self.network.fast_form()


def _as_inputs(numbers: Matrix, slots: Slots) -> list[Any]:
    return [numbers, *(slots[:, at] for at in range(slots.shape[1]))]


def _build(network: Network) -> Any:
    """The Keras model with the network's weights."""
    import keras

    keras.config.set_floatx("float64")  # else Keras rounds what it is given on its way in
    numbers = keras.Input((2 * len(network.middle),), dtype="float64")
    levels = [keras.Input((), dtype="int64") for _ in network.tables]
    looked_up = [
        keras.layers.Embedding(*table.shape, dtype="float64", name=f"table_{at}")(levels[at])
        for at, table in enumerate(network.tables)
    ]
    flow = keras.layers.Concatenate(dtype="float64")([numbers, *looked_up]) if looked_up else numbers
    for at, (weights, _) in enumerate(network.layers):
        bend = "relu" if at < len(network.layers) - 1 else None
        flow = keras.layers.Dense(weights.shape[1], activation=bend, dtype="float64", name=f"layer_{at}")(flow)
    model = keras.Model([numbers, *levels], flow)
    for at, table in enumerate(network.tables):
        model.get_layer(f"table_{at}").set_weights([table])
    for at, layer in enumerate(network.layers):
        model.get_layer(f"layer_{at}").set_weights(list(layer))
    return model


def _trained(model: Any, network: Network) -> Network:
    tables = [model.get_layer(f"table_{at}").get_weights()[0] for at in range(len(network.tables))]
    layers = [tuple(model.get_layer(f"layer_{at}").get_weights()) for at in range(len(network.layers))]
    return network.with_weights(tables, layers)


class TensorFlow:
    name = "tensorflow"
    about = "a small tabular network (TensorFlow, Keras)"
    libraries = ("tensorflow-cpu", "keras", "numpy")
    tasks: tuple[Task, ...] = ("classification", "regression")
    tolerance = 1e-9
    quick: Mapping[str, Any] = {"epochs": 6, "hidden": 16, "learning_rate": 0.01}
    hyperparameters = HYPERPARAMETERS

    def fit(self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET) -> KerasModel:
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(seed)
        tf.config.experimental.enable_op_determinism()
        network = Network.begin(table, hidden_widths(settings), seed=seed)
        model = _build(network)
        regression = table.schema.task == "regression"
        loss: Any = "mse" if regression else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = keras.optimizers.AdamW(settings["learning_rate"], weight_decay=settings["weight_decay"])
        model.compile(optimizer, loss)
        done = _restore(model, journal.resume())
        numbers, slots = network.inputs(table.rows)
        target = network.target_of(table) if regression else table.labels
        for epoch in range(done, settings["epochs"]):
            rng = np.random.default_rng([seed, epoch])
            order, shown = rng.permutation(len(target)), hide_some(slots, rng)
            given = _as_inputs(numbers[order], shown[order])
            seen = model.fit(given, target[order], batch_size=settings["batch"], shuffle=False, verbose=0)
            if epoch + 1 < settings["epochs"]:
                scores = {"loss": float(seen.history["loss"][-1])}
                journal.checkpoint(epoch + 1, settings["epochs"], lambda done=epoch + 1: _state(model, done), scores)
        return KerasModel(_trained(model, network))

    def load(self, folder: Path, schema: Schema) -> KerasModel:
        return KerasModel(Network.from_bytes((folder / FILE).read_bytes(), schema))


def _state(model: Any, epochs: int) -> bytes:
    arrays = {f"weight_{at}": each for at, each in enumerate(model.get_weights())}
    arrays |= {f"memory_{at}": np.asarray(each) for at, each in enumerate(model.optimizer.variables)}
    return pack_arrays(arrays | {"epochs": np.array(epochs)})


def _restore(model: Any, state: bytes | None) -> int:
    """Put kept weights and the optimizer's memory back; how many epochs they had seen."""
    if state is None:
        return 0
    arrays = unpack_arrays(state)
    model.set_weights([arrays[f"weight_{at}"] for at in range(len(model.get_weights()))])
    model.optimizer.build(model.trainable_variables)
    for at, variable in enumerate(model.optimizer.variables):
        variable.assign(arrays[f"memory_{at}"])
    return int(arrays["epochs"])


FAMILY = TensorFlow()
