"""SHA-256 digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmseg_uda.artifacts.digest import digest_config, digest_path, digest_weights, sha256


def test_parts_by_hand() -> None:
    values = np.arange(6, dtype=np.int16).reshape(2, 3)
    expected = hashlib.sha256('ä'.encode() + b'x' + values.T.tobytes() + values.tobytes())
    assert sha256(['ä', b'x', values.T, torch.from_numpy(values)]) == expected.hexdigest()


def test_config() -> None:
    assert digest_config(dict(a=1, b=[2])) == digest_config(dict(b=(2,), a=1))
    assert digest_config(dict(a=1)) != digest_config(dict(a=2))
    expected = '[{"a": {"b": 1}}, null]'
    assert digest_config(dict(a=dict(b=1)), None) == hashlib.sha256(expected.encode()).hexdigest()


def test_weights() -> None:
    network = nn.BatchNorm2d(2)
    before = digest_weights(network)
    expected = b''.join(
        name.encode() + value.numpy().tobytes() for name, value in network.state_dict().items()
    )
    assert before == hashlib.sha256(expected).hexdigest()
    network.running_mean += 1
    assert digest_weights(network) != before


def test_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000  # more than one block
    (tmp_path / 'a').write_bytes(content)
    assert digest_path(tmp_path / 'a') == hashlib.sha256(content).hexdigest()
    assert digest_path(tmp_path / 'b') is None


def test_directory(tmp_path: Path) -> None:
    digests = []
    for name, content in (('a', 'x'), ('b', 'x'), ('b', 'xy'), ('b.tmp', '')):
        (tmp_path / name).write_text(content)
        digests.append(digest_path(tmp_path))
    assert len(set(digests)) == 3  # what is not finished yet does not count


def test_directory_by_hand(tmp_path: Path) -> None:
    """Names and sizes of files, those of a directory before those below, and the manifest."""
    for name, content in (('z', 'x'), ('b/c', 'xyz'), ('manifest.json', '{}')):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    expected = 'manifest.json 2\nz 1\nb/c 3\n{}'
    assert digest_path(tmp_path) == hashlib.sha256(expected.encode()).hexdigest()


def test_configs_may_have_keys_that_json_cannot_write() -> None:
    """Colours, or ids beside names; configs without such keys keep their digests."""
    colours = digest_config({(128, 64, 128): 'road', (0, 0, 0): 'ignore'})
    assert colours == digest_config({(0, 0, 0): 'ignore', (128, 64, 128): 'road'})
    assert colours != digest_config({(128, 64, 129): 'road', (0, 0, 0): 'ignore'})
    assert digest_config({7: 'road', 'others': 'ignore'}) != digest_config({'others': 'ignore'})
    assert digest_config({6: 1, 10: 2}) == sha256(['[{"6": 1, "10": 2}]'])
