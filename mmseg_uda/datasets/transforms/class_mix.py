"""ClassMix of two samples of one dataset."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.arguments import check_number

__all__ = ['SampleClassMix']


@TRANSFORMS.register_module()
class SampleClassMix(BaseTransform):
    """Paste all pixels of some classes of another labelled sample, image and label.

    ClassMix (`arXiv:2007.07936 <https://arxiv.org/abs/2007.07936>`_) within one labelled dataset,
    for stock models. It stands in the pipeline of mmseg's ``MultiImageMixDataset``, which adds
    ``mix_results``; the inner dataset's pipeline loads, and crops all samples to one size. Between
    domains, a method's ``mixer=dict(type='ClassMix')`` mixes whole batches.

    Required keys: ``img`` (H, W, 3), ``gt_seg_map`` (H, W), ``mix_results``, one sample of the same
    size. Modified keys: ``img``, ``gt_seg_map``.

    Args:
        share: Share of the other sample's classes, rounded up, in (0, 1]. The ignore index is no
            class.

    Example:
        >>> other = dict(img=np.full((1, 3, 3), 9), gt_seg_map=np.array([[0, 0, 255]]))
        >>> sample = dict(img=np.zeros((1, 3, 3)), gt_seg_map=np.array([[1, 1, 1]]))
        >>> SampleClassMix()(dict(sample, mix_results=[other]))['gt_seg_map']
        array([[0, 0, 1]])

        Use in a config::

            dataset = dict(
                type='MultiImageMixDataset',
                dataset=dict(type='CityscapesDataset', ..., pipeline=[
                    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                    dict(type='RandomCrop', crop_size=(512, 512))]),
                pipeline=[dict(type='SampleClassMix'), dict(type='PackSegInputs')])
    """

    loads_labels = False
    is_random = True

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        check_number('SampleClassMix.share', share, '(0, 1]')
        self.share = share

    def get_indices(self, dataset: Any) -> int:
        """Choose the other sample; ``MultiImageMixDataset`` asks for it."""
        return int(np.random.randint(len(dataset)))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix two samples.

        Raises:
            ValueError: There is no other sample, or it has another size.
        """
        if 'mix_results' not in results:
            raise ValueError(
                'SampleClassMix: expected another sample, but got none; write it into the pipeline '
                "of dict(type='MultiImageMixDataset', dataset=..., pipeline=[...])"
            )
        (other,) = results['mix_results']
        label, pasted = results['gt_seg_map'], other['gt_seg_map']  # (H, W)
        if label.shape != pasted.shape:
            raise ValueError(
                f'SampleClassMix: expected samples of one size, but got {label.shape} and '
                f'{pasted.shape}; write RandomCrop or Resize into the inner pipeline'
            )
        present = np.setdiff1d(pasted, [IGNORE_INDEX])
        # A little less, because 0.3 * 10 may be above 3 in floating point.
        number = math.ceil(self.share * len(present) - 1e-4)
        mask = np.isin(pasted, np.random.permutation(present)[:number])  # (H, W)
        results['img'] = np.where(mask[..., None], other['img'], results['img'])
        results['gt_seg_map'] = np.where(mask, pasted, label)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(share={self.share})'
