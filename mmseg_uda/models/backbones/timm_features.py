"""Networks of timm as backbones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import OptMultiConfig
from torch import Tensor

from mmseg_uda.artifacts.checkpoint import describe_mismatch
from mmseg_uda.compat import import_timm
from mmseg_uda.models.contexts import MaskableTokens
from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence, expect

__all__ = ['TimmFeatures']


@MODELS.register_module()
class TimmFeatures(BaseModule):
    """A network of `timm <https://github.com/huggingface/pytorch-image-models>`_: DINOv2 and other
    vision transformers, ConvNeXt, EfficientNet, Swin.

    Parameters are named ``model.`` and as timm names them. Files of timm and of the networks'
    authors load into it, through ``init_cfg=dict(type='Pretrained', checkpoint=...)`` with a path,
    a URL or ``timm://NAME``; position and patch embeddings are resampled to the network's size.
    mmseg's ``TIMMBackbone`` reads files by timm, and has none of the following options.

    Args:
        model_name: Name in timm, such as ``'vit_base_patch14_dinov2'``; ``_reg4_`` has registers.
        out_indices: Feature maps to give: blocks of a vision transformer or stages of another
            network, from 0; negative ones count from the last. Later layers are removed.
        norm: True to apply the final layer norm of a vision transformer to each feature map.
        input_scale: Factor by which images are resized, down to whole patches; 1.1 of VFM-UDA makes
            1120 of 1024. None for images whose sides are multiples of the patch.
        with_cp: True to compute activations again in the backward pass, which saves memory.
        frozen: True for a network that is not trained, and always in evaluation mode.
        init_cfg: MMEngine's initialisation; None for random weights.
        kwargs: Arguments of timm's class. Vision transformers need ``dynamic_img_size=True`` to
            take images of several sizes; with ``img_size`` the position embedding has that size.

    Raises:
        ImportError: timm is missing, or cannot be imported.
        ValueError: An argument is out of range, timm cannot build the network, images do not
            consist of whole patches, or a file of weights is of another network.
    """

    def __init__(
        self,
        model_name: str,
        *,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        norm: bool = False,
        input_scale: float | None = None,
        with_cp: bool = False,
        frozen: bool = False,
        init_cfg: OptMultiConfig = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        check_sequence('TimmFeatures.out_indices', out_indices, check_integer)
        if input_scale is not None:
            check_number('TimmFeatures.input_scale', input_scale, '(0, inf)')
        timm = import_timm()
        key, known = 'TimmFeatures.model_name', f'a network of timm {timm.__version__}'
        expect(timm.is_model(model_name), key, known, model_name)
        try:
            self.model: Any = timm.create_model(
                model_name, pretrained=False, num_classes=0, **kwargs
            )
            whole = {*self.model.state_dict()}
            self.out_indices = self.model.prune_intermediate_layers(
                list(out_indices), prune_norm=not norm
            )
        except (AssertionError, AttributeError, TypeError) as error:
            raise ValueError(
                f'{key}: {known} cannot be built as {model_name!r} with '
                f'out_indices={tuple(out_indices)} and {kwargs} ({error}); write other arguments'
            ) from error
        classifiers = self.model.pretrained_cfg.get('classifier') or ()
        classifiers = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
        # Layers of a file that this network has not.
        self.removed = (
            *(whole - {*self.model.state_dict()}),
            *(f'{each}.' for each in classifiers),
        )
        if with_cp:
            self.model.set_grad_checkpointing()
        self.norm = norm
        self.input_scale = input_scale
        self.frozen = frozen
        embedding = getattr(self.model, 'patch_embed', None)
        size = getattr(embedding, 'patch_size', 1)
        self.patch_size = (size, size) if isinstance(size, int) else tuple(size)
        if embedding is not None and getattr(self.model, 'dynamic_img_size', False):
            embedding.norm = MaskableTokens(embedding.norm)
        if frozen:
            self.model.requires_grad_(False)
        self.train()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute feature maps (N, C, h, w) of images (N, 3, H, W)."""
        images = self._fit(images)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            norm = dict(norm=True) if self.norm else {}
            return tuple(
                self.model.forward_intermediates(
                    images, indices=self.out_indices, intermediates_only=True, **norm
                )
            )

    def _fit(self, images: Tensor) -> Tensor:
        """Resize images to whole patches."""
        size = tuple(images.shape[2:])
        # In integers, which exported files with free sizes keep.
        scale = Fraction(self.input_scale or 1).limit_denominator(1000)
        fitted = tuple(
            side * scale.numerator // (scale.denominator * patch) * patch
            for side, patch in zip(size, self.patch_size)
        )
        if fitted == size:
            return images
        if self.input_scale is None:
            raise ValueError(
                'TimmFeatures: expected images whose height and width are multiples of '
                f'{self.patch_size}, but got {size}; write other crops, or input_scale=1.0, which '
                'resizes them'
            )
        return F.interpolate(images, fitted, mode='bilinear', align_corners=False)

    def train(self, mode: bool = True) -> TimmFeatures:
        """Switch modes as in PyTorch; a frozen network stays in evaluation mode."""
        super().train(mode and not self.frozen)
        return self

    def adopt_weights(self, state_dict: dict[str, Tensor], prefix: str = '') -> bool:
        """Rename the weights of a file of timm or of the network's authors, in place.

        Returns:
            False if the names are this class's, or there are none.
        """
        keys = [key for key in state_dict if key.startswith(prefix)]
        if not keys or any(key.startswith(f'{prefix}model.') for key in keys):
            return False
        weights: Any = {key[len(prefix) :]: state_dict.pop(key) for key in keys}
        # Resamples embeddings, and knows the names that authors gave.
        convert = getattr(sys.modules[type(self.model).__module__], 'checkpoint_filter_fn', None)
        weights = weights if convert is None else convert(weights, self.model)
        state_dict.update(
            {
                f'{prefix}model.{key}': value
                for key, value in weights.items()
                if not key.startswith(self.removed)
            }
        )
        return True

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        adopted = self.adopt_weights(state_dict, prefix)
        wrong = adopted and describe_mismatch(self, state_dict, prefix)
        if wrong:  # mmengine would leave the rest random
            raise ValueError(
                f'TimmFeatures: expected weights of {type(self.model).__name__}, but {wrong}; '
                'write a file of this network'
            )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
