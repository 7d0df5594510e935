"""SAM's loss: distance of predictions from the output of a frozen self-attention."""

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

from mmseg_uda.artifacts.checkpoint import describe_mismatch, load_weights
from mmseg_uda.models.layers.precision import widen
from mmseg_uda.structures import DOMAINS, SegOutput
from mmseg_uda.utils.arguments import check_choice, check_integer, check_number, expect

__all__ = ['SelfAttentionLoss']


def _kl(output: Tensor, target: Tensor) -> Tensor:
    """KL(softmax(target) || softmax(output)), mean over pixels; gradients reach both."""
    divergence = F.kl_div(
        output.log_softmax(1), target.log_softmax(1), reduction='none', log_target=True
    )  # (N, C, h, w)
    return divergence.sum(1).mean()


def _reversed_kl(output: Tensor, target: Tensor) -> Tensor:
    return _kl(target, output)


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
    from the sign of :math:`\hat o` and never vanishes; the equation is printed that way.

    Args:
        self_attention: Config of the :class:`SelfAttentionModule` of stage A, with
            ``in_channels``: the number of classes, or of channels of the feature map.
        checkpoint: File of stage A; weights below any name that ends in ``self_attention.`` are
            read. With None, or if the file is gone, they must come from the checkpoint that the
            model resumes or loads.
        form: ``'residual'`` for eq. (8), ``'attended'`` for eq. (9).
        loss_type: ``'l1'``, ``'l2'`` (squared) and ``'smooth_l1'`` are means over all elements;
            ``'kl'`` (between the softmaxes) and ``'cosine'`` (1 - cosine) are means over pixels
            (Table A.5). The text of the paper lost its norm; l1 is our choice.
        direction: Of ``'kl'``: ``'target_output'`` for KL(target || output), or
            ``'output_target'``. This is a guess: our copy of the text lost the order.
        layer: ``'logits'`` before upsampling, or ``'features'`` (Table A.5; for both, write two
            regularisers).
        in_index: Index of the feature map, with ``layer='features'``.
        domains: Domains of the passes that it regularises: both for eq. (10), the target for
            eq. (11).
        loss_weight: :math:`\lambda`; 0.1 in the paper for DeepLab-v2, 0.001 for FCN-8s.
        allow_untrained: True to train even if no checkpoint gave weights, for experiments.

    Raises:
        ValueError: An argument is unknown, or ``checkpoint`` is given for a module without weights.

    Examples:
        >>> attention = dict(type='SelfAttentionModule', in_channels=2, with_conv=False)
        >>> loss = SelfAttentionLoss(attention, form='attended')
        >>> logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)
        >>> loss(SegOutput((), logits, 'target', logits))  # each pixel resembles only itself
        {'loss_self_attention': tensor(0.)}
    """

    def __init__(
        self,
        self_attention: ConfigType,
        checkpoint: str | None = None,
        *,
        form: str = 'residual',
        loss_type: str = 'l1',
        direction: str = 'target_output',
        layer: str = 'logits',
        in_index: int = -1,
        domains: Sequence[str] = DOMAINS,
        loss_weight: float = 0.1,
        allow_untrained: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_choice(f'{name}.form', form, ('residual', 'attended'))
        check_choice(f'{name}.loss_type', loss_type, tuple(DISTANCES))
        check_choice(f'{name}.direction', direction, ('target_output', 'output_target'))
        check_choice(f'{name}.layer', layer, ('logits', 'features'))
        check_integer(f'{name}.in_index', in_index)
        check_number(f'{name}.loss_weight', loss_weight, '[0, inf)')
        is_list = bool(domains) and not isinstance(domains, str)
        expect(is_list, f'{name}.domains', "a list such as ['target']", domains)
        self.self_attention = MODELS.build(self_attention).requires_grad_(False).eval()
        has_weights = bool(self.self_attention.state_dict())
        expect(
            checkpoint is None or has_weights,
            f'{name}.checkpoint',
            'None, because self_attention has no weights',
            checkpoint,
        )
        self.checkpoint = checkpoint
        self.residual = form == 'residual'
        distance = DISTANCES[loss_type]
        if loss_type == 'kl' and direction == 'output_target':
            distance = _reversed_kl
        self.distance = distance
        self.layer = layer
        self.in_index = in_index
        self.domains = tuple(domains)
        self.loss_weight = loss_weight
        self._trained = allow_untrained or not has_weights

    def forward(self, output: SegOutput) -> dict[str, Tensor]:
        """Compute the loss of one student pass.

        Args:
            output: The pass.

        Returns:
            ``loss_self_attention``, or nothing for a domain that is not listed.

        Raises:
            FileNotFoundError: ``checkpoint`` does not exist, and no other checkpoint gave weights.
            ValueError: The same without a ``checkpoint``.
        """
        if output.domain not in self.domains:
            return {}
        if not self._trained:
            self._raise_untrained()
        value = widen(self.attended_map(output))  # o, (N, in_channels, h, w)
        with torch.no_grad():
            target = self.self_attention(value)
            if self.residual:
                target = value + target
        return dict(loss_self_attention=self.loss_weight * self.distance(value, target))

    def attended_map(self, output: SegOutput) -> Tensor:
        """Select the map o of a student pass, shape (N, in_channels, h, w)."""
        return output.raw_logits if self.layer == 'logits' else output.features[self.in_index]

    def train(self, mode: bool = True) -> SelfAttentionLoss:
        """Switch modes as in PyTorch, but keep the self-attention in evaluation mode."""
        super().train(mode)
        self.self_attention.eval()
        return self

    # --------------------------------------------------------------------------------- weights

    def init_weights(self) -> None:
        """Read the weights of stage A.

        A missing file is an error only when the loss is computed: a run that resumes has the
        weights in its own checkpoint, which is read after this call.
        """
        super().init_weights()
        if self.checkpoint is not None and Path(self.checkpoint).is_file():
            self.self_attention.load_state_dict(self._read(self.checkpoint))
            self._trained = True

    def _read(self, path: str) -> dict[str, Tensor]:
        """Find the self-attention's weights in a checkpoint, whatever prefix their names have.

        Raises:
            ValueError: No module or several have such weights, or they do not fit.
        """
        found: dict[str, dict[str, Tensor]] = {}  # weights by prefix
        for key, value in load_weights(path).items():
            match = re.fullmatch(r'((?:.*\.)?self_attention\.)(.+)', key)
            if match:
                found.setdefault(match[1], {})[match[2]] = value
        key = f'SelfAttentionLoss.checkpoint: expected one self-attention in {path}, but got'
        if len(found) != 1:
            raise ValueError(
                f'{key} {sorted(found) or "none"}; write the checkpoint of a model whose decode '
                'head is a SelfAttentionHead'
            )
        ((prefix, weights),) = found.items()
        mismatch = describe_mismatch(self.self_attention, weights)
        if mismatch:
            raise ValueError(
                f'{key} {prefix}* of another shape: {mismatch}; write the self_attention config '
                'with which it was trained'
            )
        return weights

    def _raise_untrained(self) -> None:
        if self.checkpoint is None:
            raise ValueError(
                'SelfAttentionLoss.checkpoint: expected a checkpoint of stage A, but got None, and '
                'the model was loaded from no checkpoint with such weights; write its path'
            )
        raise FileNotFoundError(
            f'SelfAttentionLoss.checkpoint: expected a checkpoint of stage A, but '
            f'{self.checkpoint} does not exist; train stage A first, or write its path'
        )

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        own = self.self_attention.state_dict(prefix=f'{prefix}self_attention.')
        self._trained |= own.keys() <= state_dict.keys()  # some of them are not enough
        super()._load_from_state_dict(state_dict, prefix, *args)
