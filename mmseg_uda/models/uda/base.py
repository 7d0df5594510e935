"""What all adaptation methods share."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Iterator

import torch
from mmengine.model import ModuleDict
from mmengine.optim import OptimWrapper
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType, OptMultiConfig, OptSampleList, SampleList
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.models.adversary import build_adversary, discriminate, fool
from mmseg_uda.models.contexts import frozen_bn_stats, set_domain
from mmseg_uda.models.decode_heads.wrapping_head import class_scores
from mmseg_uda.models.decode_loss import decode_loss
from mmseg_uda.models.pretrained import explain_missing_weights
from mmseg_uda.models.uda.student import auxiliary_heads, build_student, fit_checkpoint
from mmseg_uda.structures import DOMAINS, DomainBatch, ImageBatch, Losses, SegOutput

__all__ = ['BaseUDASegmentor']


class BaseUDASegmentor(BaseSegmentor):
    """A segmentor that owns a student segmentor and yields its losses.

    A method implements :meth:`losses`, a generator with one ``dict`` of losses per step of the
    paper's algorithm. Each of them is back-propagated, and its graph freed, before the next one is
    computed (``backward='sequential'``), or all are summed first (``'joint'``); the gradients are
    the same. Everything that tests or exports the model sees the student alone.

    Args:
        segmentor: Config of the student, any mmseg segmentor whose decode head gives logits.
        discriminator: Config of the discriminators, one of which is built for each of
            :attr:`views`; None for a method that has no adversary.
        adversarial_loss: Config of the adversarial loss; with ``discriminator`` only.
        regularizers: Configs by name of modules that see every student pass (a
            :class:`~mmseg_uda.structures.SegOutput`) and give ``dict`` of further losses.
        norm_statistics: Whose images the running statistics of batch norm, with which the student
            is tested, come from: ``'both'`` domains in turn, as in AdaptSegNet and its heirs, or
            the ``'target'`` alone; in training each batch is normalised by its own in either case.
            ``'frozen'`` keeps them, and normalises by them in training too (rounds of DAST).
        backward: ``'sequential'`` (memory of about one pass) or ``'joint'``.
        channels_last: Keep weights, and hence feature maps, with channels innermost in memory: the
            same arithmetic, and faster convolutions on a CPU and in half precision.
        data_preprocessor: Config of a :class:`UDADataPreprocessor`; by default both domains take
            the segmentor's own.
        init_cfg: As for every mmengine module.
    """

    domains: ClassVar[tuple[str, ...]] = DOMAINS
    """Domains that :meth:`losses` reads; the loop loads no other, and ``batch`` has None for it."""

    def __init__(
        self,
        segmentor: ConfigType,
        *,
        discriminator: OptConfigType = None,
        adversarial_loss: OptConfigType = None,
        regularizers: OptConfigType = None,
        norm_statistics: str = 'both',
        backward: str = 'sequential',
        channels_last: bool = False,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        name = type(self).__name__
        if backward not in ('sequential', 'joint'):
            raise ValueError(f"{name}.backward got {backward!r}; write 'sequential' or 'joint'")
        if norm_statistics not in ('both', 'target', 'frozen'):
            raise ValueError(
                f"{name}.norm_statistics got {norm_statistics!r}; write 'both', "
                "'target' or 'frozen'"
            )
        student, data_preprocessor = build_student(name, segmentor, data_preprocessor)
        data_preprocessor = dict(data_preprocessor, domains=self.domains)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.student = student
        self.backward_mode = backward
        self.norm_statistics = norm_statistics
        self.channels_last = channels_last
        self.discriminators, self.adversarial_loss = build_adversary(
            name, self.views, discriminator, adversarial_loss
        )
        self.regularizers = ModuleDict(
            {key: MODELS.build(cfg) for key, cfg in (regularizers or {}).items()}
        )
        self._passes: list[SegOutput] = []  # of the step under way

    # ------------------------------------------------------------------ what a method is made of

    @property
    def views(self) -> tuple[str, ...]:
        """What the adversary looks at, one discriminator each: none by default."""
        return ()

    @abstractmethod
    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Yield the losses of one iteration, one dict per step of the paper's algorithm."""

    def segment(self, batch: ImageBatch, domain: str) -> SegOutput:
        """Run the student on images of one domain; logs and regularisers have its name."""
        with self.domain_pass(domain):
            features = self.student.extract_feat(batch.images)
            scores, upsample = class_scores(self.student.decode_head, features)
            seg_logits = upsample(scores)
        return self.record(SegOutput(features, seg_logits, domain, scores))

    @contextmanager
    def domain_pass(self, domain: str) -> Iterator[None]:
        """Student passes inside are of one domain.

        Layers that treat domains differently know it, and batch norm updates its running statistics
        only if ``norm_statistics`` has them.
        """
        with set_domain(self.student, domain), ExitStack() as also:
            if self.norm_statistics == 'target' and domain == 'source':
                also.enter_context(frozen_bn_stats(self.student))
            yield

    def record(self, output: SegOutput) -> SegOutput:
        """Show a student pass to the regularisers."""
        if not isinstance(output.seg_logits, Tensor):
            raise TypeError(
                f'{type(self).__name__}.segmentor.decode_head: '
                f'{type(self.student.decode_head).__name__}.forward gives '
                f'{type(output.seg_logits).__name__}, not logits (N, C, h, w); write a decode head '
                'that gives one map of logits'
            )
        self._passes.append(output)
        return output

    def supervised(
        self,
        output: SegOutput,
        labels: Tensor,
        pixel_weight: Tensor | None = None,
    ) -> Losses:
        """Losses of the decode head and the auxiliary heads against (pseudo) labels.

        Args:
            output: A student pass.
            labels: Shape (N, H, W), int64; logits are upsampled to it.
            pixel_weight: Shape (N, H, W), or None for 1.

        Returns:
            ``{domain}.decode.loss_*``, ``{domain}.aux_{i}.loss_*``.
        """
        losses = self.decode_losses(
            output.seg_logits, labels, f'{output.domain}.decode', pixel_weight
        )
        for i, head in enumerate(auxiliary_heads(self.student)):
            part = decode_loss(head, head.forward(output.features), labels, pixel_weight)
            losses.update({f'{output.domain}.aux_{i}.{k}': v for k, v in part.items()})
        return losses

    def decode_losses(
        self, seg_logits: Tensor, labels: Tensor, prefix: str, pixel_weight: Tensor | None = None
    ) -> Losses:
        """Losses of the decode head alone, on logits (N, C, h, w) of any resolution."""
        part = decode_loss(self.student.decode_head, seg_logits, labels, pixel_weight)
        return {f'{prefix}.{key}': value for key, value in part.items()}

    def probabilities(self, seg_logits: Tensor, images: Tensor) -> Tensor:
        """Softmax of logits upsampled to the size of the images: (N, C, H, W), in fp32."""
        logits = resize(
            seg_logits.float(),
            size=images.shape[2:],
            mode='bilinear',
            align_corners=self.student.align_corners,
        )
        return logits.softmax(1)

    def adversary(self, name: str) -> Any:
        """The discriminator of that name: of a view, unless the method has others elsewhere."""
        return self.discriminators[name]

    def fool(self, name: str, target_prob: Tensor, weight: Tensor | None = None) -> Losses:
        """The segmentor's adversarial loss; discriminator ``name`` learns nothing from it."""
        return fool(name, self.adversary(name), self.adversarial_loss, target_prob, weight)

    def discriminate(self, name: str, source_prob: Tensor, target_prob: Tensor) -> Losses:
        """The discriminator's loss; the segmentor learns nothing from it."""
        return discriminate(
            name, self.adversary(name), self.adversarial_loss, source_prob, target_prob
        )

    # -------------------------------------------------------------------------- one iteration

    def train_step(
        self, data: dict[str, Any], optim_wrapper: OptimWrapper, forward: nn.Module | None = None
    ) -> dict[str, Tensor]:
        """Back-propagate the losses step by step, update once, and give the log variables.

        Args:
            data: ``dict(source=..., target=...)`` from the loop.
            optim_wrapper: With a plain wrapper, which steps after each backward, the losses are
                summed first.
            forward: What to call instead of this module: a distributed wrapper of it.
        """
        forward = forward or self
        data = self.data_preprocessor(data, True)
        if self.backward_mode == 'joint' or not getattr(
            optim_wrapper, 'takes_several_backwards', False
        ):
            with optim_wrapper.optim_context(forward):
                losses = forward(**data, mode='loss')
            total, log_vars = self.parse_losses(losses)
            optim_wrapper.update_params(total)
            return log_vars
        steps = self._steps(DomainBatch.collect(**data))
        log_vars, total = {}, 0.0
        while True:
            try:
                with optim_wrapper.optim_context(forward):
                    losses = forward(steps, mode='step')
            except StopIteration:
                break
            loss, logs = self.parse_losses(losses)
            del losses
            optim_wrapper.backward(loss)
            total = total + loss.detach()
            log_vars.update({key: value.detach() for key, value in logs.items()})
        optim_wrapper.step()
        return {**log_vars, 'loss': total}

    def _steps(self, batch: DomainBatch) -> Iterator[Losses]:
        """The method's steps, with the regularisers' losses of the passes made in each."""
        for losses in self.losses(batch):
            extra = {
                f'{output.domain}.{name}.{key}': value
                for output in self._passes
                for name, regularizer in self.regularizers.items()
                for key, value in regularizer(output).items()
            }
            self._passes.clear()
            yield {**losses, **extra}

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """As in mmseg; ``mode='step'`` runs the generator ``inputs`` to its next losses.

        Raises:
            StopIteration: There are no more. A distributed wrapper that got None instead would go
                on to expect a backward, and stumble over the next one that it need not synchronise.
        """
        if mode == 'step':
            return next(inputs)
        return super().forward(inputs, data_samples, mode)

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]) -> Losses:
        """All losses of an iteration at once, for stock wrappers and loops."""
        merged: Losses = {}
        for losses in self._steps(DomainBatch.collect(inputs, data_samples)):
            twice = merged.keys() & losses.keys()
            if twice:
                raise ValueError(
                    f'{type(self).__name__}.losses yields {sorted(twice)} twice; give '
                    'each loss its own name'
                )
            merged.update(losses)
        return merged

    # ----------------------------------------------------------- what everybody else sees: student

    @property
    def tested(self) -> Any:
        """The segmentor that everybody else sees."""
        return self.student

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """The student's prediction."""
        return self.tested.predict(inputs, data_samples)

    def encode_decode(self, inputs: Tensor, batch_data_samples: list[dict[str, Any]]) -> Tensor:
        """The student's logits at the size of its input."""
        return self.tested.encode_decode(inputs, batch_data_samples)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The student's features."""
        return self.tested.extract_feat(inputs)

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Tensor:
        return self.tested._forward(inputs, data_samples)

    @property
    def backbone(self) -> nn.Module:
        """The student's backbone."""
        return self.tested.backbone

    @property
    def decode_head(self) -> Any:
        """The student's decode head."""
        return self.tested.decode_head

    @property
    def num_classes(self) -> int:
        """Classes that the student predicts."""
        return self.student.num_classes

    @property
    def align_corners(self) -> bool:
        """How the student resizes logits."""
        return self.student.align_corners

    def init_weights(self) -> None:
        """Initialise; a pretrained file that is missing is named, with where to get it."""
        with explain_missing_weights(self, dict(student='segmentor')):
            super().init_weights()
        if self.channels_last:  # not before: random numbers fill tensors in the order of memory
            self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> BaseUDASegmentor:
        """As in PyTorch; batch norm of the student stays in evaluation mode where it is frozen."""
        super().train(mode)
        if self.norm_statistics == 'frozen':
            for layer in self.student.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Take a stock mmseg checkpoint as the student's, and refuse another network's."""
        fit_checkpoint(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
