"""Measure the quality of predicted image-level labels where the target's true ones are known.

Both are files of ``tools/train_image_labels.py``; the true ones of ``--from-labels share``. PIT
gains by labels that know more of an image than that its domain is like the source: compare the
first row with the second.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

from mmseg_uda.artifacts.image_labels import ImageLabels
from mmseg_uda.stages.image_labels.regression import has_labels, soft_cross_entropy
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('predicted', help='file of predicted labels (.npz)')
    parser.add_argument('true', help='file of the shares of the same images (.npz)')
    return parser.parse_args(argv)


def read_pair(predicted: str, true: str) -> tuple[ImageLabels, Tensor, Tensor]:
    """Read predicted and true labels.

    Returns:
        The predicted labels; and both, shape (M, C), of the images that have a labelled pixel.

    Raises:
        ValueError: They are of other images, classes or kinds.
    """
    labels, truth = ImageLabels.read(predicted), ImageLabels.read(true)
    if 'source_mean' not in labels.recipe:
        raise ValueError(
            f'image_label_quality: expected predictions in {predicted!r}, but got none; write a '
            'file that tools/train_image_labels.py predicted'
        )
    if truth.kind != 'share':
        raise ValueError(
            f"image_label_quality: expected labels of kind 'share' in {true!r}, but got "
            f'{truth.kind!r}; make them with --from-labels share'
        )
    if labels.names != truth.names or labels.num_classes != truth.num_classes:
        raise ValueError(
            f'image_label_quality: expected the {len(labels.names)} images and '
            f'{labels.num_classes} classes of {predicted!r} in {true!r}, but got others '
            f'({len(truth.names)} and {truth.num_classes}); make both with one config'
        )
    shares = torch.from_numpy(truth.labels)
    known = has_labels(shares)
    return labels, torch.from_numpy(labels.labels)[known], shares[known]


def main(argv: list[str] | None = None) -> dict[str, tuple[float, float]]:
    """Print the comparison.

    Returns:
        Cross entropy, and the mean of the absolute errors' sum over classes, by row.
    """
    args = parse_args(argv)
    labels, predicted, true = read_pair(args.predicted, args.true)
    source = torch.tensor(labels.recipe['source_mean'])
    guesses = {
        'predicted': predicted,
        "always the source's mean": source.expand_as(true),
        "always the target's mean": true.mean(0).expand_as(true),
    }
    found = {}
    print(f'{len(true)} images{"":<18}{"cross entropy":>15}{"|error|":>10}')
    for row, guess in guesses.items():
        found[row] = (soft_cross_entropy(guess, true), float((guess - true).abs().sum(1).mean()))
        print(f'{row:<28}{found[row][0]:>15.3f}{found[row][1]:>10.3f}')
    columns = f'{"source":>10}{"target":>10}{"predicted":>11}{"correlation":>13}'
    print(f'\n{"mean share in %":<20}{columns}')
    for index, name in enumerate(labels.recipe['classes']):
        own, guess = true[:, index], predicted[:, index]
        means = [100 * float(mean) for mean in (source[index], own.mean(), guess.mean())]
        if max(means[:2]) == 0:
            continue
        with np.errstate(invalid='ignore', divide='ignore'):  # a class of one share everywhere
            correlation = np.corrcoef(guess, own)[0, 1]
        print(f'{name:<20}{means[0]:>10.1f}{means[1]:>10.1f}{means[2]:>11.1f}{correlation:>13.2f}')
    return found


if __name__ == '__main__':
    run_main(main)
