"""The dataloaders of each domain: one, or those of several sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmseg_uda.config.problems import Problem
from mmseg_uda.structures import DOMAINS

__all__ = ['check_sources', 'domain_dataset', 'domain_loaders', 'unequal_arguments']

Config = Mapping[str, Any]

# Arguments of a source that are not its loader's.
OF_ONE_SOURCE = ('dataset', 'num_images', 'ratio', 'sampling', 'shuffle', 'skip_broken')
SHARES = 'shares of the images are written as ratio'


def domain_loaders(loaders: Config | None, domain: str) -> list[tuple[str, Config]]:
    """Find the dataloaders of a domain.

    Args:
        loaders: ``train_dataloader`` of a config; a stock config's one loader is the source's.
        domain: ``'source'`` or ``'target'``.

    Returns:
        Place and config of each: several of a list of sources, none if the config has none.

    Example:
        >>> domain_loaders(dict(source=[dict(ratio=1), dict(ratio=2)]), 'source')
        [('train_dataloader.source.0', {'ratio': 1}), ('train_dataloader.source.1', {'ratio': 2})]
    """
    place, found = 'train_dataloader', loaders or {}
    if set(DOMAINS) & found.keys():
        place, found = f'{place}.{domain}', found.get(domain) or {}
    elif domain == 'target':
        return []
    if isinstance(found, (list, tuple)):
        return [(f'{place}.{i}', each) for i, each in enumerate(found)]
    return [(place, found)] if found else []


def domain_dataset(loaders: Config | None, domain: str) -> dict[str, Any] | None:
    """Give the config of a domain's training set, which joins those of several sources.

    Args:
        loaders: As for :func:`domain_loaders`.
        domain: ``'source'`` or ``'target'``.
    """
    found = [each['dataset'] for _, each in domain_loaders(loaders, domain) if each.get('dataset')]
    if len(found) < 2:
        return found[0] if found else None
    # What sources may differ in.
    ignored = ['label_map', 'palette', 'reduce_zero_label']
    return dict(type='ConcatDataset', datasets=found, ignore_keys=ignored)


def check_sources(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Both domains have images, and one loader reads those of several sources."""
    loaders = content.get('train_dataloader') or {}
    sources = domain_loaders(loaders, 'source')
    for domain in DOMAINS if set(DOMAINS) & loaders.keys() else ():
        # A config that trains nothing, of a tool that reads one domain, may have that one only.
        is_read = domain in loaders or content.get('train_cfg')
        if is_read and not loaders.get(domain):
            text = f'UDATrainLoop: expected images of the {domain}, but got none; '
            yield Problem(f'train_dataloader.{domain}', f'{text}write dict(dataset=...)')
    for place, expected, got in unequal_arguments(sources):
        text = f'UDATrainLoop: expected {expected}, but got {got!r}; write the same ({SHARES})'
        yield Problem(place, text)


def unequal_arguments(sources: Sequence[tuple[str, Config]]) -> Iterator[tuple[str, str, Any]]:
    """Find the arguments of dataloaders that differ from those of the first source.

    Args:
        sources: Place and config of each, from :func:`domain_loaders`.

    Yields:
        Place, what is expected there, and the value.
    """
    for place, other in sources[1:]:
        first_place, first = sources[0]
        for key in {**first, **other}:
            if key not in OF_ONE_SOURCE and first.get(key) != other.get(key):
                expected = f'{first.get(key)!r}, as in {first_place}, because one loader reads all'
                yield f'{place}.{key}', f'{expected} sources', other.get(key)
