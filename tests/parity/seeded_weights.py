"""Deterministic pseudo-random weights and inputs, keyed by name.

Used to compare two implementations of one network: both fill their parameters
from the same rule, so no checkpoint has to be shared.  Needs numpy only.

Rule for a state-dict key ``K`` with shape ``S`` (``salt`` is "" for this set):

    rng = np.random.default_rng(zlib.crc32((K + salt).encode()))
    n   = rng.standard_normal(S).astype(float32)

    num_batches_tracked          -> int64 zero
    running_mean                 -> 0.02 * n
    running_var                  -> 1 + 0.1 * |n|
    ndim >= 2                    -> n / sqrt(prod(S[1:]))
    1-D, key ends in "bias"      -> 0.02 * n
    1-D, key ends in "weight"    -> 1 + 0.02 * n      (norm scales)

Computed buffers (sinusoid tables) are left out of the result: the model keeps
the table it computed itself.
"""

import math
import zlib

import numpy as np

#: keys of buffers that are computed by the model, never seeded
COMPUTED = ("pos_encoder.pe", "encoder.positional_embedding")


def is_computed(key):
    """True for a sinusoid table that the model computes for itself."""
    return key.endswith(COMPUTED)


def seeded_tensor(key, shape, salt=""):
    """The value of one state-dict entry (see the module's docstring)."""
    shape = tuple(int(s) for s in shape)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    rng = np.random.default_rng(zlib.crc32((key + salt).encode()))
    n = rng.standard_normal(shape).astype(np.float32)
    f32 = np.float32
    if key.endswith("running_mean"):
        return f32(0.02) * n
    if key.endswith("running_var"):
        return f32(1) + f32(0.1) * np.abs(n)
    if len(shape) >= 2:
        return n * f32(1.0 / math.sqrt(math.prod(shape[1:])))
    if key.endswith("bias"):
        return f32(0.02) * n
    if key.endswith("weight"):
        return f32(1) + f32(0.02) * n
    raise ValueError(f"no rule for {key} with shape {shape}")


def seeded_state_dict(shapes, salt=""):
    """``{key: shape}`` -> ``{key: array}``; computed buffers are left out."""
    return {k: seeded_tensor(k, s, salt) for k, s in shapes.items() if not is_computed(k)}


def seeded_input(name, shape, salt=""):
    """A standard-normal float32 input array, keyed by its name."""
    rng = np.random.default_rng(zlib.crc32(("input:" + name + salt).encode()))
    return rng.standard_normal(tuple(shape)).astype(np.float32)


def seeded_pcm(name, seconds, salt="", rate=16000):
    """A mono int16 test signal: a pulsed chirp with harmonics, noise, silence.

    The last tenth of every second is digital silence, so that floors and
    clips of a log spectrum are exercised.
    """
    n = round(seconds * rate)
    t = np.arange(n) / rate
    rng = np.random.default_rng(zlib.crc32(("pcm:" + name + salt).encode()))
    f0, sweep, pulse = rng.uniform(90, 220), rng.uniform(4, 12), rng.uniform(2, 5)
    phase = 2 * np.pi * (f0 * t + sweep * t * t)
    tone = sum(np.sin(k * phase) / k for k in (1, 2, 3, 5, 8))
    envelope = 0.5 - 0.5 * np.cos(2 * np.pi * pulse * t)
    s = 0.22 * tone * envelope + 0.01 * rng.standard_normal(n)
    s[(t % 1.0) >= 0.9] = 0.0
    return np.clip(np.round(s * 32767.0), -32768, 32767).astype(np.int16)
