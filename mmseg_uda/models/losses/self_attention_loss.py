"""SAM's loss: predictions follow what a frozen self-attention makes of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from mmseg_uda.artifacts.checkpoint import load_weights
from mmseg_uda.structures import DOMAINS, SegOutput

__all__ = ['SelfAttentionLoss']


def _kl(output: Tensor, target: Tensor) -> Tensor:
    """KL(softmax(target) || softmax(output)), mean over pixels."""
    divergence = F.kl_div(
        output.log_softmax(1), target.log_softmax(1), reduction='none', log_target=True
    )
    return divergence.sum(1).mean()


def _cosine(output: Tensor, target: Tensor) -> Tensor:
    """1 - cosine, mean over pixels."""
    return 1 - F.cosine_similarity(output, target, dim=1).mean()


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = dict(
    l1=F.l1_loss, l2=F.mse_loss, smooth_l1=F.smooth_l1_loss, kl=_kl, cosine=_cosine
)


@MODELS.register_module()
class SelfAttentionLoss(BaseModule):
    r"""The self-attention loss of SAM (`arXiv:2110.10916 <https://arxiv.org/abs/2110.10916>`_).

    .. math::
        L_{sa} = \|o - \operatorname{sg}[o + \hat o]\| \quad (8), \qquad
        L_{sa} = \|o - \operatorname{sg}[\hat o]\| \quad (9)

    with :math:`\hat o` the output of a :class:`SelfAttentionModule` that was trained on the source
    (stage A), and no gradient through the target (sg). The module is never trained here: it is
    frozen, always in evaluation mode, and part of the model's own checkpoints, so that resuming a
    run and testing it need no file of stage A.

    (8) with the l1 distance is the mean of :math:`|\hat o|`, whose gradient pushes each score away
    from the sign of :math:`\hat o` and never vanishes; that is how the equation is printed.

    Args:
        self_attention: Config of the :class:`SelfAttentionModule` of stage A, with
            ``in_channels``: the number of classes, or of channels of the feature map.
        checkpoint: Stage A's file, from which weights below any name ending in
            ``self_attention.`` are taken. With None, or where the file is gone, they must come
            from the checkpoint that the model resumes or loads.
        form: ``'residual'`` for eq. (8), ``'attended'`` for eq. (9).
        loss_type: ``'l1'``, ``'l2'`` (squared) and ``'smooth_l1'`` are means over all elements;
            ``'kl'`` (of the softmax of the output from that of the target) and ``'cosine'``
            (1 - cosine) are means over pixels (Table A.5). The norm of the paper did not survive in
            its text; l1 is our choice.
        layer: ``'logits'`` before upsampling, or ``'features'`` (Table A.5; for both, write two
            regularisers).
        in_index: Which of the feature maps, with ``layer='features'``.
        domains: Passes it looks at: both for eq. (10), the target for eq. (11).
        loss_weight: :math:`\lambda`; 0.1 in the paper for DeepLab-v2, 0.001 for FCN-8s.
        allow_untrained: Train also where no checkpoint gave weights, for tests.
    """

    def __init__(
        self,
        self_attention: ConfigType,
        checkpoint: str | None = None,
        *,
        form: str = 'residual',
        loss_type: str = 'l1',
        layer: str = 'logits',
        in_index: int = -1,
        domains: Sequence[str] = DOMAINS,
        loss_weight: float = 0.1,
        allow_untrained: bool = False,
    ) -> None:
        super().__init__()
        options = dict(
            form=(form, ('residual', 'attended')),
            loss_type=(loss_type, tuple(DISTANCES)),
            layer=(layer, ('logits', 'features')),
        )
        for key, (value, choices) in options.items():
            if value not in choices:
                raise ValueError(f'SelfAttentionLoss.{key} got {value!r}; write one of {choices}')
        if isinstance(domains, str) or not domains:
            raise ValueError(
                f'SelfAttentionLoss.domains got {domains!r}; write a list of names, '
                "such as ['target']"
            )
        self.self_attention = MODELS.build(self_attention).requires_grad_(False).eval()
        has_weights = bool(self.self_attention.state_dict())
        if checkpoint is not None and not has_weights:
            raise ValueError(
                f'SelfAttentionLoss.checkpoint got {checkpoint!r}, but self_attention '
                'has no weights; remove it'
            )
        self.checkpoint = checkpoint
        self.residual = form == 'residual'
        self.distance = DISTANCES[loss_type]
        self.layer = layer
        self.in_index = in_index
        self.domains = tuple(domains)
        self.loss_weight = loss_weight
        self._trained = allow_untrained or not has_weights

    def forward(self, output: SegOutput) -> dict[str, Tensor]:
        """Loss of one student pass; empty for a domain that is not listed.

        Raises:
            FileNotFoundError: There is no ``checkpoint``, nor did the model's own give weights.
            ValueError: The same, where no ``checkpoint`` is written.
        """
        if output.domain not in self.domains:
            return {}
        if not self._trained:
            self._refuse_untrained()
        value = self.observed(output)
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        with torch.no_grad():
            target = self.self_attention(value)
            if self.residual:
                target = value + target
        return dict(loss_self_attention=self.loss_weight * self.distance(value, target))

    def observed(self, output: SegOutput) -> Tensor:
        """What of a student pass the self-attention compares, shape (N, in_channels, h, w)."""
        if self.layer == 'features':
            return output.features[self.in_index]
        return output.seg_logits if output.scores is None else output.scores

    def train(self, mode: bool = True) -> SelfAttentionLoss:
        """As in PyTorch, but for the self-attention, which stays in evaluation mode."""
        super().train(mode)
        self.self_attention.eval()
        return self

    # ---------------------------------------------------------------------- where weights are from

    def init_weights(self) -> None:
        """Take stage A's weights.

        A file that is gone is an error only once it is needed: a run that resumes has the weights
        in its own checkpoint, which is read after this.
        """
        super().init_weights()
        if self.checkpoint is not None and Path(self.checkpoint).is_file():
            self.self_attention.load_state_dict(self._read(self.checkpoint))
            self._trained = True

    def _read(self, path: str) -> dict[str, Tensor]:
        """The self-attention's weights in a checkpoint, whatever stands before their names.

        Raises:
            ValueError: There are none, several modules have some, or they are of another shape.
        """
        found: dict[str, dict[str, Tensor]] = {}
        for key, value in load_weights(path).items():
            match = re.fullmatch(r'((?:.*\.)?self_attention\.)(.+)', key)
            if match:
                found.setdefault(match[1], {})[match[2]] = value
        where = f'SelfAttentionLoss.checkpoint got {path}, which holds'
        if len(found) != 1:
            what = (
                f'several self-attentions ({", ".join(sorted(found))})'
                if found
                else 'no weights of a self_attention'
            )
            raise ValueError(
                f'{where} {what}; write the checkpoint of a model whose decode head '
                'is a SelfAttentionHead'
            )
        ((prefix, weights),) = found.items()
        expected = _shapes(self.self_attention.state_dict())
        if _shapes(weights) != expected:
            raise ValueError(
                f'{where} {prefix}* of shapes {_shapes(weights)}, not {expected}; '
                'write the self_attention config with which it was trained'
            )
        return weights

    def _refuse_untrained(self) -> None:
        if self.checkpoint is None:
            raise ValueError(
                'SelfAttentionLoss.checkpoint is missing, and the model was loaded '
                "from none that has its weights; write stage A's checkpoint"
            )
        raise FileNotFoundError(
            f'SelfAttentionLoss.checkpoint got {self.checkpoint}, which does '
            "not exist; train stage A first, or write its checkpoint's path"
        )

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        own = self.self_attention.state_dict(prefix=f'{prefix}self_attention.')
        self._trained |= own.keys() <= state_dict.keys()
        super()._load_from_state_dict(state_dict, prefix, *args)


def _shapes(weights: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in sorted(weights.items())}
