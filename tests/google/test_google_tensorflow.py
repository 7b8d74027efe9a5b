"""TensorFlow itself reads what is written here, and what it writes in parts and in several files is read here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from electra.commands.convert import convert
from electra.google.convert_config import ConvertConfig
from electra.google.tensorflow.bundle import Bundle, find_checkpoint
from tests.parity.google import SHAPES, drawn, write_checkpoint

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def tensorflow() -> str:
    """The path of a Python that has TensorFlow, which need not be this one."""
    given = os.environ.get("ELECTRA_TENSORFLOW_PYTHON")
    if given is None and importlib.util.find_spec("tensorflow") is None:
        pytest.skip(
            "no TensorFlow: `pip install tensorflow-cpu` in an environment of its own, and set "
            "ELECTRA_TENSORFLOW_PYTHON to the path of its python"
        )
    return given or sys.executable


def run(python: str, script: str, *arguments: Path) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [python, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


READ = """
import sys, numpy as np, tensorflow as tf
reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(sys.argv[1]))
shapes = reader.get_variable_to_shape_map()
np.savez(sys.argv[2], **{name.replace("/", "|"): reader.get_tensor(name) for name in shapes})
"""


def test_tensorflow_reads_the_same_bits(tensorflow: str, tmp_path: Path) -> None:
    values = drawn(SHAPES["pair"], slots=True)
    write_checkpoint(tmp_path / "from", values)
    convert(ConvertConfig(tmp_path / "from", tmp_path / "run", optimizer=True))
    convert(ConvertConfig(tmp_path / "run", tmp_path / "back", to="tensorflow", optimizer=True))
    run(tensorflow, READ, tmp_path / "back", tmp_path / "read.npz")
    with np.load(tmp_path / "read.npz") as file:
        found = {name.replace("|", "/"): file[name] for name in file}
    assert found.keys() == values.keys()
    assert len(found) > 200
    for name, value in values.items():
        assert found[name].dtype == value.dtype
        assert found[name].tobytes() == value.tobytes(), name


WRITE = """
import sys, numpy as np, tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
draw = tf.random_normal_initializer
rows = tf.get_variable("rows", [70, 5], initializer=draw(), partitioner=tf.fixed_size_partitioner(3, axis=0))
columns = tf.get_variable("columns", [4, 200], initializer=draw(), partitioner=tf.fixed_size_partitioner(2, axis=1))
with tf.device("/job:localhost/task:0"):
    whole = tf.get_variable("whole", [3], dtype=tf.float64, initializer=draw())
session = tf.Session()
session.run(tf.global_variables_initializer())
tf.train.Saver(sharded=True).save(session, sys.argv[1] + "/model.ckpt", write_meta_graph=False)
parts = {"rows": np.concatenate(session.run(list(rows)), 0), "columns": np.concatenate(session.run(list(columns)), 1)}
np.savez(sys.argv[1] + "/values.npz", whole=session.run(whole), **parts)
"""


def test_what_tensorflow_writes_in_parts_is_read(tensorflow: str, tmp_path: Path) -> None:
    run(tensorflow, WRITE, tmp_path)
    bundle = Bundle(find_checkpoint(tmp_path))
    assert bundle.shapes == {"columns": (4, 200), "rows": (70, 5), "whole": (3,)}
    with np.load(tmp_path / "values.npz") as file:
        for name in bundle.shapes:
            assert (bundle.read(name) == file[name]).all(), name
