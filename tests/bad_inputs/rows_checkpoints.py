"""Files that are no checkpoint, or one of another network."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import torch
from bad_inputs.table import Change, Row

__all__ = ['ROWS']

TEST = 'test config.py model.pth'
LFS = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'
PAGE = '<!DOCTYPE html><html></html>'


class Thing:
    """A class that no checkpoint may ask for."""


def saved(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """What makes another checkpoint of a checkpoint."""

    def make(content: bytes) -> bytes:
        buffer = io.BytesIO()
        torch.save(change(torch.load(io.BytesIO(content), weights_only=True)), buffer)
        return buffer.getvalue()

    return make


def not_finite(content: dict[str, Any]) -> dict[str, Any]:
    next(iter(content['state_dict'].values())).fill_(float('nan'))
    return content


def renamed(content: dict[str, Any]) -> dict[str, Any]:
    return dict(state_dict={f'net.{k}': v for k, v in content['state_dict'].items()})


def five_classes(content: dict[str, Any]) -> dict[str, Any]:
    weights = content['state_dict']
    for key in [key for key in weights if 'decode_head' in key and weights[key].shape[0] == 4]:
        weights[key] = torch.cat([weights[key], weights[key][:1]])
    return content


KINDS: dict[str, Change] = {
    'pointer of Git LFS': LFS,
    'web page': PAGE,
    'empty file': b'',
    'truncated file': lambda content: content[:300],
    'text': 'weights',
    'pickle': lambda _: pickle.dumps(dict(state_dict=Thing())),
    'object': saved(lambda content: dict(content, hook=Thing())),
    'list': saved(lambda content: [1, 2]),
    'weights that are not finite': saved(not_finite),
    'weights of other names': saved(renamed),
    'weights of other classes': saved(five_classes),
    'no weights': saved(lambda content: dict(state_dict={}, meta={})),
}
LOAD = 'train config.py --cfg-options load_from=model.pth'
LABEL = 'generate_pseudo_labels config.py model.pth --out-dir out'
ADAPT = 'adabn config.py model.pth out.pth --num-workers 0'
EXPORT = 'export_segmentor model.pth out.pth'


def _row(name: str, kind: str, line: str, command: str = TEST) -> Row:
    slow = command in (TEST, LOAD, LABEL)
    return Row(f'checkpoint, {name}', command, line, files={'model.pth': KINDS[kind]}, slow=slow)


# fmt: off
ROWS = [
    _row('pointer of Git LFS', 'pointer of Git LFS', 'expected a PyTorch checkpoint, but got a Git LFS pointer (run git lfs pull): model.pth'),
    _row('web page', 'web page', 'expected a PyTorch checkpoint, but got an HTML page (download the file, not the page that shows it): model.pth'),
    _row('empty file', 'empty file', 'expected a PyTorch checkpoint, but got an empty file (copy or download it again): model.pth'),
    _row('truncated file', 'truncated file', 'expected a PyTorch checkpoint, but got a truncated file (copy or download it again): model.pth'),
    _row('text', 'text', 'expected a PyTorch checkpoint, but got a file that torch ... cannot read (Unsupported operand 119): model.pth'),
    _row('pickle', 'pickle', 'expected a PyTorch checkpoint, but got a file that torch ... cannot read (Unsupported operand 149): model.pth'),
    _row('object', 'object', 'expected a checkpoint of weights and records, but got one that asks for bad_inputs.rows_checkpoints.Thing, which could run any code: model.pth; let someone who trusts its author load it and save its state_dict'),
    _row('list', 'list', 'expected a checkpoint, which is a dict of weights, but got another object: model.pth; write the file of a checkpoint or of a state_dict'),
    _row('weights that are not finite', 'weights that are not finite', 'expected finite weights, but got NaN or infinity in student.backbone.stem.weight: model.pth; write an earlier checkpoint of that training'),
    _row('weights of other names', 'weights of other names', "Adversarial: expected a checkpoint of this method or of its segmentor, but 12 of 13 tensors are missing or of another shape, the first is student.backbone.stem.weight; write the config that wrote the checkpoint, or another checkpoint of EncoderDecoder, or take the backbone alone by segmentor.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., prefix='student.backbone.')"),
    _row('weights of other classes', 'weights of other classes', "Adversarial: expected a checkpoint of this method or of its segmentor, but 4 of 13 tensors are missing or of another shape, the first is student.decode_head.branches.0.weight; write the config that wrote the checkpoint, or another checkpoint of EncoderDecoder, or take the backbone alone by segmentor.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., prefix='student.backbone.')"),
    _row('no weights', 'no weights', "Adversarial: expected a checkpoint of this method or of its segmentor, but 12 of 13 tensors are missing or of another shape, the first is student.backbone.stem.weight; write the config that wrote the checkpoint, or another checkpoint of EncoderDecoder, or take the backbone alone by segmentor.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., prefix='student.backbone.')"),
    _row('pointer of Git LFS: load_from', 'pointer of Git LFS', 'expected a PyTorch checkpoint, but got a Git LFS pointer (run git lfs pull): model.pth', LOAD),
    _row('weights of other names: load_from', 'weights of other names', "Adversarial: expected a checkpoint of this method or of its segmentor, but 12 of 13 tensors are missing or of another shape, the first is student.backbone.stem.weight; write the config that wrote the checkpoint, or another checkpoint of EncoderDecoder, or take the backbone alone by segmentor.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., prefix='student.backbone.')", LOAD),
    _row('pointer of Git LFS: labels', 'pointer of Git LFS', 'expected a PyTorch checkpoint, but got a Git LFS pointer (run git lfs pull): model.pth', LABEL),
    _row('weights of other names: labels', 'weights of other names', 'build_labeller: model.pth: expected a checkpoint of this method or of its segmentor, but 18 of 19 tensors are missing or of another shape, the first is student.backbone.stem.weight; write the config that wrote the checkpoint, or another checkpoint of Adversarial', LABEL),
    _row('pointer of Git LFS: AdaBN', 'pointer of Git LFS', 'expected a PyTorch checkpoint, but got a Git LFS pointer (run git lfs pull): model.pth', ADAPT),
    _row('weights of other names: AdaBN', 'weights of other names', "Adversarial: expected a checkpoint of this method or of its segmentor, but 12 of 13 tensors are missing or of another shape, the first is student.backbone.stem.weight; write the config that wrote the checkpoint, or another checkpoint of EncoderDecoder, or take the backbone alone by segmentor.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., prefix='student.backbone.')", ADAPT),
    _row('pointer of Git LFS: export', 'pointer of Git LFS', 'expected a PyTorch checkpoint, but got a Git LFS pointer (run git lfs pull): model.pth', EXPORT),
    _row('weights of other names: export', 'weights of other names', "export_segmentor: expected weights of 'student' in model.pth, but got those of 'net'; pass a checkpoint that a method of mmseg_uda wrote, or another --module", EXPORT),
    Row('checkpoint, missing', 'test config.py modell.pth', 'expected a PyTorch checkpoint, but there is no file modell.pth', slow=True),
    Row('checkpoint, directory', 'test config.py data', 'expected a PyTorch checkpoint, but there is no file data', slow=True),
    Row('checkpoint, unknown key of a model zoo', 'test config.py open-mmlab://resnet50_v1', "expected a path, a URL, or a known key of torchvision://, open-mmlab://, mmcls:// or timm://, but got 'open-mmlab://resnet50_v1'; download the file and write its path", slow=True),
    Row('checkpoint, of another method', 'test attention.py model.pth', "CDANet: expected a checkpoint of this method or of its segmentor, but 17 of 26 tensors are missing or of another shape, the first is student.decode_head.reference; write the config that wrote the checkpoint, or another checkpoint of EncoderDecoder, or take the backbone alone by segmentor.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., prefix='student.backbone.')", slow=True),
    Row('checkpoint, weights alone to resume from', 'train config.py --resume --cfg-options load_from=model.pth', 'expected the state of a training, but got weights alone: model.pth', files={'model.pth': saved(lambda content: content['state_dict'])}),
    Row('checkpoint, pictures of attention', 'analysis_tools/show_attention attention.py model.pth', "CDANet: expected a checkpoint of this method or of its segmentor, but 17 of 26 tensors are missing or of another shape, the first is student.decode_head.reference; write the config that wrote the checkpoint, or another checkpoint of EncoderDecoder, or take the backbone alone by segmentor.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., prefix='student.backbone.')"),
    Row('checkpoint, model without attention', 'analysis_tools/show_attention config.py model.pth --kind points', 'show_attention: expected attention of points, but got DeepLabV2Head without; write the config of a model with it, or --kind plain_classes'),
    Row('checkpoint, features of a missing file', 'train_image_labels config.py --out new.npz --features config --weights none.pth', "train_image_labels: no file weights='none.pth'"),
    Row('checkpoint, module that is not there', 'export_segmentor model.pth out.pth --module techer', "export_segmentor: expected weights of 'techer' in model.pth, but got those of 'discriminators', 'student'; pass a checkpoint that a method of mmseg_uda wrote, or another --module"),
]
# fmt: on
