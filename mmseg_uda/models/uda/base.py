"""Base class of all adaptation methods."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar, Iterator

from mmengine.model import ModuleDict
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor

from mmseg_uda.models.contexts import batch_norms, frozen, frozen_bn_stats, set_domain
from mmseg_uda.models.decode_loss import decode_loss, scale_losses
from mmseg_uda.models.stepwise import StepwiseModel
from mmseg_uda.models.student_pass import student_pass
from mmseg_uda.models.uda.student import StudentSegmentor, auxiliary_heads
from mmseg_uda.structures import ImageBatch, Losses, MixedBatch, SegOutput
from mmseg_uda.utils.arguments import check_choice

__all__ = ['BaseUDASegmentor']


class BaseUDASegmentor(StepwiseModel, StudentSegmentor):
    """A segmentor that owns a student segmentor and yields its losses.

    A method implements :meth:`losses`, a generator with one ``dict`` of losses per step of the
    paper's algorithm, see :class:`~mmseg_uda.models.stepwise.StepwiseModel`. At test time the model
    is the student.

    Args:
        segmentor: Config of the student, as for :class:`StudentSegmentor`.
        discriminator: Config of a discriminator, which is built once for each of :attr:`views`;
            None for a method without one.
        adversarial_loss: Config of the adversarial loss; with ``discriminator`` only.
        regularizers: Configs by name of modules that get every student pass (a
            :class:`~mmseg_uda.structures.SegOutput`) and compute a ``dict`` of further losses.
        norm_statistics: Domains that update the batch-norm running statistics used at test time:
            ``'both'`` in turn, as in AdaptSegNet and its heirs, or the ``'target'`` alone, without
            the passes :attr:`unlike_test`; training normalises each batch by its own statistics in
            either case. ``'frozen'`` keeps the running statistics, and normalises by them in
            training too (rounds of DAST).
        kwargs: As for :class:`StepwiseModel` and :class:`StudentSegmentor`.

    Raises:
        ValueError: An argument is unknown, missing, or of no use to the method.
    """

    passes: ClassVar[tuple[str, ...]] = ('source', 'target')
    """Names of its student passes, those that only a regulariser asks for included."""
    unlike_test: ClassVar[tuple[str, ...]] = ('source',)
    """Passes whose images are unlike those of a test, see ``norm_statistics``."""

    def __init__(
        self,
        segmentor: ConfigType,
        *,
        discriminator: OptConfigType = None,
        adversarial_loss: OptConfigType = None,
        regularizers: OptConfigType = None,
        norm_statistics: str = 'both',
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_choice(f'{name}.norm_statistics', norm_statistics, ('both', 'target', 'frozen'))
        super().__init__(segmentor, **kwargs)
        self.norm_statistics = norm_statistics
        parts = dict(discriminator=discriminator, adversarial_loss=adversarial_loss)
        for key, value in parts.items():
            if bool(self.views) != bool(value):
                expected = 'a config' if self.views else 'None, because the method has no adversary'
                raise ValueError(f'{name}.{key}: expected {expected}, but got {value}')
        self.discriminators = ModuleDict({view: MODELS.build(discriminator) for view in self.views})
        self.adversarial_loss: Any = MODELS.build(adversarial_loss) if adversarial_loss else None
        self.regularizers = ModuleDict(
            {key: MODELS.build(cfg) for key, cfg in (regularizers or {}).items()}
        )
        self.check_regularizers(self.passes)
        self._passes: list[SegOutput] = []  # student passes of the current step

    def check_regularizers(self, passes: Sequence[str]) -> None:
        """Check that all passes that regularisers ask for are made.

        Raises:
            ValueError: One asks for another pass, which would silently give no loss.
        """
        for key, regularizer in self.regularizers.items():
            for each in _requested_passes(regularizer):
                place = f'{type(self).__name__}.regularizers.{key}: domain of a pass'
                check_choice(place, each, tuple(passes))

    def is_requested(self, domain: str) -> bool:
        """Tell whether a regulariser asks for the pass of a domain."""
        return any(domain in _requested_passes(each) for each in self.regularizers.values())

    # --------------------------------------------------------------------- parts of an algorithm

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the maps with a discriminator each; none by default."""
        return ()

    def segment(self, batch: ImageBatch | MixedBatch, domain: str) -> SegOutput:
        """Run the student on images (N, 3, H, W); ``domain`` names the pass in the log."""
        with self.domain_pass(domain):
            return self.record(student_pass(self.student, batch, domain))

    @contextmanager
    def domain_pass(self, domain: str) -> Iterator[None]:
        """Declare that the student passes inside are of one domain.

        Layers whose behaviour depends on the domain get its name, and batch norm updates its
        running statistics only if ``norm_statistics`` includes the domain.
        """
        skipped = self.norm_statistics == 'target' and domain in self.unlike_test
        statistics = frozen_bn_stats(self.student) if skipped else nullcontext()
        with set_domain(self.student, domain), statistics:
            yield

    def record(self, output: SegOutput) -> SegOutput:
        """Pass a student pass on to the regularisers.

        Raises:
            TypeError: The decode head's output is no tensor.
        """
        if not isinstance(output.seg_logits, Tensor):
            raise TypeError(
                f'{type(self).__name__}.segmentor.decode_head: expected logits (N, C, h, w), but '
                f'{type(self.student.decode_head).__name__}.forward computes '
                f'{type(output.seg_logits).__name__}; write another decode head'
            )
        self._passes.append(output)
        return output

    def supervised_losses(
        self, output: SegOutput, labels: Tensor, pixel_weight: Tensor | None = None
    ) -> Losses:
        """Compute the losses of the decode head and the auxiliary heads on (pseudo) labels.

        Args:
            output: A student pass.
            labels: Shape (N, H, W), int64; logits are upsampled to this size.
            pixel_weight: Shape (N, H, W), or None for 1.

        Returns:
            ``{domain}.decode.loss_*``, ``{domain}.detail.loss_*`` with several resolutions,
            ``{domain}.aux_{i}.loss_*``.
        """
        losses: Losses = {}
        for name, logits, share, cut in output.parts():
            weight = None if pixel_weight is None else cut(pixel_weight)
            part = self.decode_losses(logits, cut(labels), f'{output.domain}.{name}', weight)
            losses.update(scale_losses(part, share))
        for i, head in enumerate(auxiliary_heads(self.student)):
            part = decode_loss(head, head.forward(output.features), labels, pixel_weight)
            losses.update({f'{output.domain}.aux_{i}.{k}': v for k, v in part.items()})
        return losses

    def decode_losses(
        self, seg_logits: Tensor, labels: Tensor, prefix: str, pixel_weight: Tensor | None = None
    ) -> Losses:
        """Compute the losses of the decode head alone, on logits (N, C, h, w) of any resolution."""
        part = decode_loss(self.student.decode_head, seg_logits, labels, pixel_weight)
        return {f'{prefix}.{key}': value for key, value in part.items()}

    def probabilities(self, seg_logits: Tensor, images: Tensor) -> Tensor:
        """Upsample logits (N, C, h, w) to images (N, 3, H, W): softmax (N, C, H, W), in fp32."""
        logits = resize(
            seg_logits.float(),
            size=images.shape[2:],
            mode='bilinear',
            align_corners=self.student.align_corners,
        )
        return logits.softmax(1)

    def get_discriminator(self, name: str) -> Any:
        """Return the discriminator of a view; methods with others elsewhere override this."""
        return self.discriminators[name]

    def generator_losses(self, name: str, target: Tensor, weight: Tensor | None = None) -> Losses:
        """Compute the segmentor's adversarial loss, which does not train the discriminator.

        Args:
            name: Name of the discriminator.
            target: Its input on the target domain, shape (N, C, H, W).
            weight: Weight of each position, shape (N, 1, H', W') of any resolution; None for 1.

        Returns:
            ``adv.loss_{name}``.
        """
        discriminator = self.get_discriminator(name)
        with frozen(discriminator):
            score = discriminator(target)  # (N, 1, h, w)
        return {f'adv.loss_{name}': self.adversarial_loss.generator_loss(score.float(), weight)}

    def discriminator_losses(self, name: str, source: Tensor, target: Tensor) -> Losses:
        """Compute the discriminator's loss, which does not train the segmentor.

        Args:
            name: Name of the discriminator.
            source: Its input on the source domain, shape (N, C, H, W).
            target: Its input on the target domain.

        Returns:
            ``disc.loss_{name}``, and the accuracies ``disc.acc_{source,target}_{name}`` in [0, 1].
        """
        discriminator, loss = self.get_discriminator(name), self.adversarial_loss
        scores = [discriminator(x.detach()).float() for x in (source, target)]  # (N, 1, h, w)
        correct = [scores[0] < loss.boundary, scores[1] > loss.boundary]
        return {
            f'disc.loss_{name}': loss.discriminator_loss(*scores),
            f'disc.acc_source_{name}': correct[0].float().mean(),
            f'disc.acc_target_{name}': correct[1].float().mean(),
        }

    def extra_losses(self) -> Losses:
        """Compute the regularisers' losses of the passes made in the current step."""
        losses = {
            f'{output.domain}.{name}.{key}': value
            for output in self._passes
            for name, regularizer in self.regularizers.items()
            for key, value in regularizer(output).items()
        }
        self._passes.clear()  # frees their features
        return losses

    def train(self, mode: bool = True) -> BaseUDASegmentor:
        """Switch modes as in PyTorch, but keep frozen batch norm in evaluation mode."""
        super().train(mode)
        if self.norm_statistics == 'frozen':
            for name in ('student', 'teacher'):
                for layer in batch_norms(getattr(self, name)) if hasattr(self, name) else ():
                    layer.eval()
        return self


def _requested_passes(regularizer: Any) -> tuple[str, ...]:
    """Return the passes that a regulariser names; none if it takes all that there are."""
    named = getattr(regularizer, 'domains', None) or getattr(regularizer, 'domain_weights', None)
    return tuple(named or ())
