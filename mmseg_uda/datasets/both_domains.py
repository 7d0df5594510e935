"""Images of both domains as one set, for scores that compare them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from mmseg_uda.structures import DOMAINS
from mmseg_uda.utils.arguments import expect

__all__ = ['BothDomains']


@DATASETS.register_module()
class BothDomains(Dataset[Any]):
    """Labelled images of the source, then images of the target without labels.

    The meta information ``domain`` of a sample names its domain. Labels of target images are
    removed, so that no score can see them.

    Args:
        datasets: Two datasets of packed samples, or their configs: source and target.

    Raises:
        ValueError: There are not two datasets.
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        expect(len(datasets) == 2, 'BothDomains.datasets', 'source and target', len(datasets))
        self.datasets = [
            DATASETS.build(each) if isinstance(each, dict) else each for each in datasets
        ]

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes and palette."""
        return self.datasets[1].metainfo

    def full_init(self) -> None:
        """Read the lists of images."""
        for each in self.datasets:
            each.full_init()

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    def __getitem__(self, index: int) -> dict[str, Any]:
        border = len(self.datasets[0])
        of_target = index >= border
        sample = dict(self.datasets[of_target][index - border * of_target])
        data_sample = sample['data_samples']
        data_sample.set_metainfo(dict(domain=DOMAINS[of_target]))
        if of_target and 'gt_sem_seg' in data_sample:
            del data_sample.gt_sem_seg
        return sample
