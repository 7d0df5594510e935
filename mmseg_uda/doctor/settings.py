"""Checks of a config's numbers against each other and against the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.config.check import check_config
from mmseg_uda.config.datasets import iter_datasets
from mmseg_uda.config.domains import domain_loaders
from mmseg_uda.config.method import segmentor_of
from mmseg_uda.doctor.finding import Finding, look, ok, wrong

__all__ = ['check_batch_norm', 'check_paper', 'check_settings', 'crop_of', 'loader_of']

SIZES = 1.2  # ratio of the sides in training and in validation
RESIZES = ('Resize', 'ResizeShortestEdge')
LOADERS = ('LoadAnnotations', 'LoadMappedAnnotations')
RATES = 1.5  # ratio of batch x learning rate to the paper's


def check_settings(cfg: Config) -> Iterator[Finding]:
    """Check the config itself, its evaluation, its crops and its schedule."""
    problems = check_config(cfg)
    for problem in problems:
        yield wrong('config', str(problem), 'correct it')
    if not problems:
        yield ok('config', 'every part fits its constructor and the others')
    yield from _check_evaluation(cfg)
    yield from _check_crops(cfg)
    yield from _check_schedule(cfg)


def _steps(loader: Any) -> list[Any]:
    dataset = (loader or {}).get('dataset')
    if not isinstance(dataset, Mapping):
        return []
    return list(next(each for _, each in iter_datasets(dataset)).get('pipeline') or [])


def _kind(step: Any) -> str:
    kind = step.get('type')
    return kind.split('.')[-1] if isinstance(kind, str) else getattr(kind, '__name__', '')


def _setting(steps: list[Any], kind: str, key: str) -> Any:
    return next((step.get(key) for step in steps if _kind(step) == kind), None)


def loader_of(cfg: Config, domain: str) -> Any:
    """Give the config of a domain's dataloader, of several sources that of the first one."""
    return next((loader for _, loader in domain_loaders(cfg.get('train_dataloader'), domain)), {})


def crop_of(cfg: Config, domain: str) -> Any:
    """Give the height and width of a domain's random crops; None if it has none."""
    return _setting(_steps(loader_of(cfg, domain)), 'RandomCrop', 'crop_size')


def _check_evaluation(cfg: Config) -> Iterator[Finding]:
    """Validation has the images' size in training, the classes of the network, and full labels."""
    steps, trained = _steps(cfg.get('val_dataloader')), _steps(loader_of(cfg, 'target'))
    if not steps:
        yield look(
            'evaluation',
            'there is no validation',
            'write val_dataloader, val_evaluator and val_cfg if the target has any labels',
        )
        return
    size, own = _resize(steps), _resize(trained)
    text = f'images are {_resized(size)} in validation, {_resized(own)} in training'
    differ = bool(size) != bool(own) or (size and own and _ratio(max(size), max(own)) > SIZES)
    if differ and 'RandomResize' not in map(_kind, trained):
        remedy = 'write the same Resize in the validation and in the target pipeline'
        yield wrong('evaluation', text, remedy)
        return
    kinds = [_kind(step) for step in steps]
    labels = next((i for i, kind in enumerate(kinds) if kind in LOADERS), len(kinds))
    if {*RESIZES} & {*kinds[labels:]}:
        remedy = 'load them after Resize, as papers score at full size'
        yield look('evaluation', 'labels are resized with their images', remedy)
        return
    metrics = cfg.get('val_evaluator')
    metrics = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    names = ', '.join(_kind(each) for each in metrics if each)
    classes = (segmentor_of(cfg).get('decode_head') or {}).get('num_classes')
    network = f'{classes} classes' if classes else 'the classes of the network'
    yield ok('evaluation', f'{names} over {network}; {text}')


def _resize(steps: list[Any]) -> tuple[int, ...]:
    """Size to which a pipeline resizes images, of the short edge alone, or () for none."""
    scale = next(filter(None, (_setting(steps, kind, 'scale') for kind in RESIZES)), ())
    return (scale,) if isinstance(scale, int) else tuple(scale)


def _resized(size: tuple[int, ...]) -> str:
    return f'resized to {" x ".join(map(str, size))}' if size else 'not resized'


def _ratio(one: float, other: float) -> float:
    return max(one, other) / max(1e-12, min(one, other))


def _check_crops(cfg: Config) -> Iterator[Finding]:
    """Methods mix both domains pixel by pixel, and networks expect one size."""
    crops = {domain: crop_of(cfg, domain) for domain in ('source', 'target')}
    if not any(crops.values()):
        return
    if crops['source'] != crops['target']:
        text = f'source is cropped to {crops["source"]}, target to {crops["target"]}'
        if cfg.model.get('mixer'):
            yield wrong('crop', text, 'write one crop_size: their images are mixed')
        else:
            yield look('crop', text, 'write one crop_size if you changed only one of them')
    else:
        yield ok('crop', f'both domains: {crops["source"]} (height, width)')


def _check_schedule(cfg: Config) -> Iterator[Finding]:
    """A schedule lasts as long as the training."""
    iterations = (cfg.get('train_cfg') or {}).get('max_iters')
    schedules = cfg.get('param_scheduler') or []
    if isinstance(schedules, Mapping):
        grouped = [
            each for group in schedules.values() if isinstance(group, list) for each in group
        ]
        schedules = [schedules] if 'type' in schedules else grouped
    ends = [each.get('end') for each in schedules if each.get('end')]
    if not iterations or not ends:
        return
    last, text = max(ends), f'max_iters={iterations}, schedules end at {max(ends)}'
    if last < iterations:
        share = 1 - last / iterations
        text += f': the last {share:.0%} of the training have the smallest learning rate'
        yield wrong('schedule', text, f'write end={iterations}, or max_iters={last}')
    elif last > 4 * iterations:
        text += ': the learning rate hardly falls'
        yield look('schedule', text, f'write end={iterations} if you shortened the training')
    else:
        yield ok('schedule', text)


def check_batch_norm(cfg: Config, model: nn.Module) -> Iterator[Finding]:
    """Find batch norm that learns its statistics from a batch of one image."""
    batch = loader_of(cfg, 'source').get('batch_size', 1)
    network = getattr(model, 'student', model).train()
    layers = [
        name
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.training
    ]
    if not layers or batch > 1:
        yield ok('batch norm', f'batch {batch}, {len(layers)} layers with statistics of the batch')
        return
    pooled = [name for name in layers if 'image_pool' in name or '.psp_modules' in name]
    text = f'batch 1, and {len(layers)} layers normalise by the statistics of one image'
    if pooled:
        text += f'; {pooled[0]} by those of a single pixel, which PyTorch refuses'
        yield wrong('batch norm', text, 'write batch_size=2, or norm_cfg of GN')
    else:
        remedy = 'write batch_size=2 or backbone.norm_eval=True, unless the paper has batch 1'
        yield look('batch norm', text, remedy)


def check_paper(cfg: Config, paper: Config) -> Iterator[Finding]:
    """Compare the numbers that decide a result with those of a reference config.

    Args:
        cfg: The config.
        paper: The reference, such as the shipped config of the paper's cell.
    """
    own, reference = _numbers(cfg), _numbers(paper)
    changed = [key for key in reference if own.get(key) != reference[key]]
    text = ', '.join(f'{key} {reference[key]} -> {own.get(key)}' for key in changed)
    factor = _ratio(own['batch'] * own['lr'], reference['batch'] * reference['lr'])
    if not changed:
        yield ok('paper', "batch, learning rate, iterations and network are the reference's")
    elif 'backbone' in changed:
        yield wrong('paper', text, 'write the backbone of the reference')
    elif len({'batch', 'lr'} & set(changed)) == 1 and factor > RATES:
        yield wrong('paper', text, 'change batch_size and lr together: lr grows with the batch')
    else:
        yield look('paper', text, "expect other numbers than the reference's")


def _numbers(cfg: Config) -> dict[str, Any]:
    wrapper = cfg.get('optim_wrapper') or {}
    optimizers = wrapper.get('optimizers') or {'student': wrapper}
    student = optimizers.get('student') or next(iter(optimizers.values()))
    backbone = segmentor_of(cfg).get('backbone') or {}
    return {
        'method': cfg.model.get('type'),
        'backbone': f'{_kind(backbone)} {backbone.get("depth", "")}'.strip(),
        'batch': loader_of(cfg, 'source').get('batch_size', 1),
        'lr': (student.get('optimizer') or {}).get('lr', 0.0),
        'iterations': (cfg.get('train_cfg') or {}).get('max_iters'),
    }
