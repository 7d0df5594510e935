"""How good predicted image-level labels are, where the target's true ones are known.

Both are files of ``tools/train_image_labels.py``; the true ones of ``--from-labels share``. What
helps PIT is a label that knows more of an image than that the domain is like the source: compare
the first row with the second.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

from mmseg_uda.artifacts.image_labels import ImageLabels
from mmseg_uda.stages.image_labels.regression import has_labels, soft_cross_entropy


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('predicted', help='file of predicted labels (.npz)')
    parser.add_argument('true', help='file of the shares of the same images (.npz)')
    return parser.parse_args(argv)


def read_pair(predicted: str, true: str) -> tuple[ImageLabels, Tensor, Tensor]:
    """The predicted labels; and both, shape (M, C), of the images that have a pixel with a class.

    Raises:
        ValueError: They are of other images, classes or kinds.
    """
    labels, truth = ImageLabels.read(predicted), ImageLabels.read(true)
    if 'source_mean' not in labels.recipe:
        raise ValueError(
            f'image_label_quality: predicted got {predicted!r}, which holds no '
            'predictions; write what tools/train_image_labels.py predicted'
        )
    if truth.kind != 'share':
        raise ValueError(
            f'image_label_quality: true got {true!r}, labels of kind {truth.kind!r}; '
            'make them with --from-labels share'
        )
    if labels.names != truth.names or labels.num_classes != truth.num_classes:
        raise ValueError(
            f'image_label_quality: {predicted!r} has {len(labels.names)} images and '
            f'{labels.num_classes} classes, {true!r} others ({len(truth.names)} and '
            f'{truth.num_classes}); make both with one config'
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
    found = {}
    print(f'{len(true)} images{"":<18}{"cross entropy":>15}{"|error|":>10}')
    for row, guess in (
        ('predicted', predicted),
        ("always the source's mean", source),
        ("always the target's mean", true.mean(0)),
    ):
        guess = guess.expand_as(true)
        found[row] = (soft_cross_entropy(guess, true), float((guess - true).abs().sum(1).mean()))
        print(f'{row:<28}{found[row][0]:>15.3f}{found[row][1]:>10.3f}')
    print(
        f'\n{"mean share in %":<20}{"source":>10}{"target":>10}{"predicted":>11}{"correlation":>13}'
    )
    for index, name in enumerate(labels.recipe['classes']):
        means = [
            100 * float(mean)
            for mean in (source[index], true[:, index].mean(), predicted[:, index].mean())
        ]
        if max(means[:2]) == 0:
            continue
        with np.errstate(invalid='ignore', divide='ignore'):  # a class of one share everywhere
            correlation = np.corrcoef(predicted[:, index], true[:, index])[0, 1]
        print(f'{name:<20}{means[0]:>10.1f}{means[1]:>10.1f}{means[2]:>11.1f}{correlation:>13.2f}')
    return found


if __name__ == '__main__':
    main()
