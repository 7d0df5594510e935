"""The student segmentor of a method: building it, predicting as it, loading checkpoints into it."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, ClassVar, Iterable

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType, OptMultiConfig, OptSampleList, SampleList
from torch import Tensor, nn

from mmseg_uda.artifacts.checkpoint import raise_mismatch
from mmseg_uda.models.decode_heads.wrapping_head import check_logits_alone
from mmseg_uda.models.decode_loss import has_stock_loss
from mmseg_uda.models.direct_prediction import TEST_RESIZES, predict_directly
from mmseg_uda.models.memory_format import use_channels_last
from mmseg_uda.models.pretrained import explain_missing_weights
from mmseg_uda.models.uda.head_checks import check_decode_head
from mmseg_uda.structures import DOMAINS, SegOutput
from mmseg_uda.utils.arguments import check_choice, check_number

__all__ = [
    'StudentSegmentor',
    'auxiliary_heads',
    'build_student',
    'check_auxiliary_weight',
    'fit_checkpoint',
    'level_logits',
    'level_weights',
]

BACKBONE_HINT = (
    ", or take the backbone alone by segmentor.backbone.init_cfg=dict(type='Pretrained', "
    "checkpoint=..., prefix='student.backbone.')"
)


class StudentSegmentor(BaseSegmentor):
    """A segmentor that owns another one, the student, and predicts as it.

    Args:
        segmentor: Config of the student: any mmseg segmentor with one decode head that computes
            logits, at least two per pixel.
        channels_last: True to train and test with channels innermost in memory, see
            :func:`~mmseg_uda.models.memory_format.use_channels_last`.
        data_preprocessor: Config of a :class:`UDADataPreprocessor`; by default both domains take
            the segmentor's own.
        test_resize: Resize of the scores at test time: ``'twice'`` as in mmseg, to the size of the
            input and to that of the ground truth; or once, of ``'logits'`` or of
            ``'probabilities'`` (see :func:`predict_directly`).
        pretrained: None, which ``mmseg.apis.init_model`` writes into every config.
        train_cfg: None, likewise.
        init_cfg: As for every mmengine module.

    Raises:
        TypeError: The segmentor has several decode heads, or one without logits of each pixel.
        ValueError: A value is out of range, or the segmentor does not suit a method.
    """

    domains: ClassVar[tuple[str, ...]] = DOMAINS
    """Domains that a method trains on; the loop loads no other."""

    def __init__(
        self,
        segmentor: ConfigType,
        *,
        channels_last: bool = False,
        data_preprocessor: OptConfigType = None,
        test_resize: str = 'twice',
        pretrained: None = None,
        train_cfg: None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        name = type(self).__name__
        for key, value in dict(pretrained=pretrained, train_cfg=train_cfg).items():
            if value is not None:
                raise ValueError(
                    f'{name}.{key}: expected None, but got {value!r}; write it into segmentor'
                )
        check_choice(f'{name}.test_resize', test_resize, TEST_RESIZES)
        student, data_preprocessor = build_student(name, segmentor, data_preprocessor)
        data_preprocessor = dict(data_preprocessor, domains=self.domains)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.student = student
        self.channels_last = channels_last
        self._is_channels_last = False
        self.test_resize = test_resize

    @property
    def tested(self) -> Any:
        """Segmentor that predicts, and that tools test and export."""
        return self.student

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict the labels of images (N, 3, H, W)."""
        self._put_channels_last()  # weights that were loaded, not initialised
        if self.test_resize == 'twice' or data_samples is None:
            return self.tested.predict(inputs, data_samples)
        return predict_directly(self.tested, inputs, data_samples, self.test_resize)

    def encode_decode(self, inputs: Tensor, batch_data_samples: list[dict[str, Any]]) -> Tensor:
        """Compute logits (N, C, H, W), at the size of the images."""
        return self.tested.encode_decode(inputs, batch_data_samples)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the features that the decode head gets."""
        return self.tested.extract_feat(inputs)

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Tensor:
        return self.tested._forward(inputs, data_samples)

    # The interface of mmseg's segmentors; test-time augmentation reads out_channels.
    backbone = property(attrgetter('tested.backbone'))
    decode_head = property(attrgetter('tested.decode_head'))
    num_classes = property(attrgetter('tested.num_classes'))
    out_channels = property(attrgetter('tested.out_channels'))
    align_corners = property(attrgetter('tested.align_corners'))

    def init_weights(self) -> None:
        """Initialise weights; the error for a missing pretrained file names its URL."""
        with explain_missing_weights(self, dict(student='segmentor')):
            super().init_weights()
        self._put_channels_last()  # not before: random numbers fill tensors in the order of memory

    def _put_channels_last(self) -> None:
        if self.channels_last and not self._is_channels_last:
            use_channels_last(self)
            self._is_channels_last = True

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        fit_checkpoint(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


def build_student(
    owner: str, segmentor: ConfigType, data_preprocessor: OptConfigType
) -> tuple[Any, ConfigType]:
    """Build a method's student, and complete the config of the method's data preprocessor.

    Args:
        owner: Name of the method, for errors.
        segmentor: Config of a mmseg segmentor.
        data_preprocessor: Config of a :class:`UDADataPreprocessor`; None for one that treats both
            domains as the segmentor's own does. One of mmseg's is taken for both domains if the
            segmentor has none.

    Returns:
        The student, and the config of the data preprocessor with the classes of the student.

    Raises:
        TypeError: The segmentor has several decode heads, or one without logits of each pixel.
        ValueError: There is no data preprocessor or ``test_cfg``; the decode head has one output;
            an auxiliary head has other classes than the decode head.
    """
    segmentor = dict(segmentor)
    own_preprocessor = segmentor.pop('data_preprocessor', None)
    check_decode_head(owner, segmentor)
    student = MODELS.build(segmentor)
    _check_student(owner, student)
    if data_preprocessor is None or _is_of_one_domain(data_preprocessor):
        # mmengine passes the top-level one of mmseg's base models; the student's own comes first.
        own_preprocessor = own_preprocessor or data_preprocessor
        if own_preprocessor is None:
            raise ValueError(
                f'{owner}.segmentor.data_preprocessor: expected a config, but got None; write '
                "dict(type='SegDataPreProcessor', mean=..., std=...)"
            )
        data_preprocessor = dict(type='UDADataPreprocessor', source=own_preprocessor)
    labels = dict(num_classes=student.num_classes, ignore_index=student.decode_head.ignore_index)
    return student, {**labels, **data_preprocessor}


def _check_student(owner: str, student: Any) -> None:
    head = student.decode_head
    if getattr(student, 'test_cfg', {}) is None:  # mmseg would fail in the first validation
        raise ValueError(
            f"{owner}.segmentor.test_cfg: expected a dict, but got None; write dict(mode='whole')"
        )
    if head.out_channels == 1:  # a softmax over one output is 1 everywhere
        raise ValueError(
            f'{owner}.segmentor.decode_head.out_channels: expected at least 2, but got 1; write '
            'num_classes=2, out_channels=2 and a loss_decode without use_sigmoid'
        )
    check_logits_alone(f'{owner}.segmentor.decode_head', head)
    for i, auxiliary in enumerate(all_auxiliary_heads(student)):
        # Heads of mmseg with a loss of their own may have other classes (STDC's boundaries).
        comparable = has_stock_loss(auxiliary) or hasattr(auxiliary, 'method_trains')
        if comparable and auxiliary.num_classes != head.num_classes:
            raise ValueError(
                f'{owner}.segmentor.auxiliary_head[{i}].num_classes: expected '
                f'{head.num_classes}, as decode_head has, but got {auxiliary.num_classes}'
            )


def _is_of_one_domain(data_preprocessor: ConfigType) -> bool:
    cls = data_preprocessor.get('type')
    cls = MODELS.get(cls) if isinstance(cls, str) else cls
    return isinstance(cls, type) and issubclass(cls, SegDataPreProcessor)


def all_auxiliary_heads(student: Any) -> list[Any]:
    heads = getattr(student, 'auxiliary_head', None) or []
    return list(heads) if isinstance(heads, (list, nn.ModuleList)) else [heads]


def auxiliary_heads(student: Any) -> list[Any]:
    """List the heads that learn the pixels' labels beside the decode head.

    Heads with ``method_trains``, whose losses a method computes itself, are left out.
    """
    return [
        head for head in all_auxiliary_heads(student) if not getattr(head, 'method_trains', False)
    ]


def check_auxiliary_weight(owner: str, auxiliary_weight: float | None) -> None:
    """Check the weight of auxiliary heads, which may be None."""
    if auxiliary_weight is not None:
        check_number(f'{owner}.auxiliary_weight', auxiliary_weight, '[0, inf)')


def level_weights(owner: str, student: Any, auxiliary_weight: float | None) -> dict[str, float]:
    """Weight the outputs of a student that a method aligns: ``main`` by 1, others ``aux_{i}``.

    Args:
        owner: Name of the method, for errors.
        student: A segmentor.
        auxiliary_weight: Weight of the auxiliary heads; None for the decode head alone.

    Raises:
        ValueError: Auxiliary heads are missing or compute no class maps.
    """
    if auxiliary_weight is None:
        return {'main': 1.0}
    channels = [head.out_channels for head in auxiliary_heads(student)]
    if set(channels) != {student.out_channels}:
        raise ValueError(
            f'{owner}.segmentor.auxiliary_head: expected heads with {student.out_channels} '
            f'outputs, but got {channels or None}; write auxiliary_weight=None to align the decode '
            'head alone'
        )
    return {'main': 1.0, **{f'aux_{i}': auxiliary_weight for i in range(len(channels))}}


def level_logits(student: Any, output: SegOutput, names: Iterable[str]) -> dict[str, Tensor]:
    """Compute the logits (N, C, h, w) of levels of a student pass, ``main`` first."""
    heads = auxiliary_heads(student)
    return {
        name: head.forward(output.features) if head else output.seg_logits
        for name, head in zip(names, [None, *heads])
    }


def fit_checkpoint(method: Any, state_dict: dict[str, Tensor], prefix: str = '') -> None:
    """Rename the weights of a stock mmseg checkpoint, in place, and refuse another network's.

    If the checkpoint has no teacher, a method's teacher starts as a copy of the student.

    Args:
        method: A :class:`StudentSegmentor`.
        state_dict: The checkpoint's weights, with or without ``student.`` before the names.
        prefix: Prefix of the method's own names.

    Raises:
        ValueError: A tensor of the student or of the teacher is missing, or a parameter has another
            shape.
    """
    student: nn.Module = method.student
    of_student = f'{prefix}student.'
    if state_dict and not any(key.startswith(of_student) for key in state_dict):
        children = tuple(f'{prefix}{name}.' for name, _ in student.named_children())
        for key in [key for key in state_dict if key.startswith(children)]:
            state_dict[of_student + key[len(prefix) :]] = state_dict.pop(key)
    name = type(method).__name__
    raise_mismatch(name, student, state_dict, of_student, BACKBONE_HINT)
    if not hasattr(method, 'teacher'):
        return
    of_teacher = f'{prefix}teacher.'
    if not any(key.startswith(of_teacher) for key in state_dict):
        state_dict.update(
            {
                f'{of_teacher}module.{key}': state_dict[of_student + key].clone()
                for key in student.state_dict()
                if of_student + key in state_dict
            }
        )
        state_dict[f'{of_teacher}steps'] = torch.zeros_like(method.teacher.steps)
    raise_mismatch(name, method.teacher, state_dict, of_teacher, BACKBONE_HINT)
