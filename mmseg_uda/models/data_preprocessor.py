"""One data preprocessor per domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import ConfigType, OptConfigType, SampleList
from torch import Tensor

from mmseg_uda.structures import DOMAINS, NOWHERE
from mmseg_uda.utils.arguments import check_integer

__all__ = ['UDADataPreprocessor']

LABEL_FIELDS = {'source': 'gt_sem_seg', 'target': 'pseudo_sem_seg'}


@MODELS.register_module()
class UDADataPreprocessor(BaseDataPreprocessor):
    """Normalises each domain, and refuses a target batch that carries ground truth.

    A training batch is ``dict(source=dict(inputs, data_samples), target=dict(inputs,
    data_samples))`` and becomes ``dict(inputs=dict(source=Tensor, target=Tensor),
    data_samples=dict(...))``; in validation and test it is a stock batch of the target domain.

    Args:
        source: Config of a ``SegDataPreProcessor`` for source images.
        target: The same for target images; None for the source's.
        num_classes: If given, labels outside 0..num_classes-1 (and ``ignore_index``) are refused.
        ignore_index: Label of the pixels that no loss counts.
        domains: Domains to train on; the batch of any other is neither read nor returned.
        labels: False for a model that learns without labels: a source batch that carries ground
            truth is refused, too.
    """

    def __init__(
        self,
        source: ConfigType,
        target: OptConfigType = None,
        num_classes: int | None = None,
        ignore_index: int = 255,
        domains: Sequence[str] = DOMAINS,
        labels: bool = True,
    ) -> None:
        super().__init__()
        if num_classes is not None:
            check_integer('UDADataPreprocessor.num_classes', num_classes, 1)
        check_integer('UDADataPreprocessor.ignore_index', ignore_index)
        self.source = self._build(source)
        self.target = self._build(source if target is None else target)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.domains = tuple(domains)
        self.labels = labels

    @staticmethod
    def _build(cfg: ConfigType) -> BaseDataPreprocessor:
        cfg = dict(cfg)
        if cfg.get('size') is None:
            cfg.setdefault('size_divisor', 1)  # pad to the largest image of the batch
        return MODELS.build(cfg)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise, pad and move to the device.

        Args:
            data: A batch; see the class.
            training: True for a batch of both domains.

        Raises:
            ValueError: A target sample carries ground truth; a domain is missing; a label is out of
                range.
        """
        if not training:
            for sample in data.get('data_samples') or ():
                self._check_label(sample, 'gt_sem_seg')
            if data.get('data_samples'):
                self._check_channels('target', data)
            return self.target(data, False)
        if set(data) != set(DOMAINS):
            raise ValueError(
                "UDADataPreprocessor: expected the keys 'source' and 'target', but got "
                f"{sorted(data)}; write train_cfg.type='UDATrainLoop'"
            )
        inputs, data_samples = {}, {}
        for domain in self.domains:
            self._check(domain, data[domain]['data_samples'])
            self._check_channels(domain, data[domain])
            sizes = [image.shape[-2:] for image in data[domain]['inputs']]
            batch = getattr(self, domain)(data[domain], True)
            inputs[domain], data_samples[domain] = batch['inputs'], batch['data_samples']
            if domain == 'target':
                fields = dict(
                    pseudo_sem_seg=self.ignore_index, prior_positions=NOWHERE, label_mask=0
                )
                _pad_fields(inputs[domain], data_samples[domain], fields)
                _mask_padding(inputs[domain], data_samples[domain], sizes)
        return dict(inputs=inputs, data_samples=data_samples)

    def scale(self, domain: str = 'target') -> dict[str, Any]:
        """Describe a domain's normalisation: ``mean``, ``std``, and ``bgr``, the channel order."""
        own = getattr(self, domain)
        mean, std = (own.mean, own.std) if own._enable_normalize else (0.0, 1.0)
        to_rgb = any(
            getattr(own, key, False)  # by mmseg's name or by mmengine's
            for key in ('channel_conversion', '_channel_conversion')
        )
        return dict(mean=mean, std=std, bgr=not to_rgb)  # loaders give BGR

    def pictures(self, images: Tensor, domain: str = 'target') -> Tensor:
        """Undo the normalisation of images (N, C, H, W): RGB if C is 3, in [0, 1].

        If a pixel is above 255, as in images of 16 bits, the largest one becomes 1.
        """
        scale = self.scale(domain)
        pixels = images * scale['std'] + scale['mean']
        pixels = pixels / pixels.amax().clamp(min=255)
        return (pixels.flip(1) if scale['bgr'] and images.shape[1] == 3 else pixels).clamp(0, 1)

    def normalize(self, pictures: Tensor, domain: str = 'target') -> Tensor:
        """Normalise pictures (N, 3, H, W), RGB in [0, 1], as images of a domain."""
        scale = self.scale(domain)
        pixels = (pictures.flip(1) if scale['bgr'] else pictures) * 255
        return (pixels - scale['mean']) / scale['std']

    def _check(self, domain: str, samples: SampleList) -> None:
        for sample in samples:
            name = sample.metainfo.get('img_path', 'an image')
            labelled = domain == 'source' and self.labels
            if not labelled and 'gt_sem_seg' in sample:
                raise ValueError(
                    f'UDADataPreprocessor: the {domain} sample {name} carries ground truth '
                    f'(gt_sem_seg); remove LoadAnnotations from train_dataloader.{domain}.dataset.'
                    'pipeline'
                )
            if labelled and 'gt_sem_seg' not in sample:
                raise ValueError(
                    f'UDADataPreprocessor: the source sample {name} has no label (gt_sem_seg); add '
                    'LoadAnnotations to train_dataloader.source.dataset.pipeline'
                )
            self._check_label(sample, LABEL_FIELDS[domain])

    def _check_channels(self, domain: str, batch: dict[str, Any]) -> None:
        means = getattr(getattr(self, domain), 'mean', torch.zeros(1)).numel()
        for image, sample in zip(batch['inputs'], batch['data_samples']):
            if means not in (1, len(image)):
                raise ValueError(
                    f'UDADataPreprocessor.{domain}.mean: expected {len(image)} numbers, as '
                    f'{sample.metainfo.get("img_path", "an image")} has channels, but got {means}; '
                    'write mean, std and backbone.in_channels for these images, or '
                    "color_type='color' in LoadImageFromFile"
                )

    def _check_label(self, sample: SegDataSample, field: str) -> None:
        if self.num_classes is None or field not in sample:
            return
        label = sample.get(field).data  # still on the CPU: reading its values stalls no device
        wrong = label[(label >= self.num_classes) & (label != self.ignore_index) | (label < 0)]
        if wrong.numel():
            name = sample.metainfo.get('img_path', 'an image')
            raise ValueError(
                f'UDADataPreprocessor: the label of {name} has the value {int(wrong[0])}, but the '
                f'student predicts {self.num_classes} classes (0..{self.num_classes - 1}, ignore '
                f'{self.ignore_index}); convert labels to train ids with tools/dataset_converters'
            )


def _pad_fields(images: Tensor, samples: SampleList, fields: dict[str, int]) -> None:
    """Pad maps to the size of the images; stock padding covers ``gt_sem_seg`` only."""
    for sample in samples:
        for field in (field for field in fields if field in sample):
            pixels = sample.get(field)
            height, width = (
                full - part for full, part in zip(images.shape[-2:], pixels.data.shape[-2:])
            )
            if height or width:
                # Bottom and right, as the images are padded.
                padded = F.pad(pixels.data, (0, width, 0, height), value=fields[field])
                sample.set_field(PixelData(metainfo=pixels.metainfo, data=padded), field)


def _mask_padding(images: Tensor, samples: SampleList, sizes: list[torch.Size]) -> None:
    """Let a teacher's labels of padded pixels count as little as those of margins."""
    padded = any(size != images.shape[-2:] for size in sizes)
    if not padded or 'label_mask' in samples[0]:
        return
    for sample, (height, width) in zip(samples, sizes):
        mask = torch.zeros_like(images[:1, 0], dtype=torch.bool)  # (1, H, W)
        mask[:, :height, :width] = True
        sample.label_mask = PixelData(data=mask)
