"""Errors that name the config key that caused them, and the line that an error becomes."""

from __future__ import annotations

import dis
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

__all__ = ['REFUSALS', 'describe_error', 'error_context']

# Classes of the errors with which checks refuse what a user wrote.
REFUSALS = (ValueError, TypeError, FileNotFoundError, FileExistsError, ImportError)
PACKAGE = Path(__file__).parents[1]
# The end of the traceback that another process sends as text: a file, and its line of code.
REMOTE = re.compile(r'File "([^"]+)", line \d+, in .+\n +(.*)')
ADDRESS = re.compile(r' <[\w.]+ object at 0x[0-9a-f]+>')  # says nothing to a reader
REMOTE_MESSAGE = re.compile(r'.*^(?:\w+\.)*\w+: (.*)', re.DOTALL | re.MULTILINE)


@contextmanager
def error_context(key: str) -> Iterator[None]:
    """Put a config key before the message of an error that the block raises.

    Args:
        key: The key, e.g. ``'LoadPseudoLabels.pseudo_dir'``.

    Raises:
        FileNotFoundError: The block raised one.
        ValueError: The same.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{key}: {error}') from error
    except ValueError as error:
        raise ValueError(f'{key}: {error}') from error


def describe_error(error: Exception, tools: Path) -> tuple[str, bool]:
    """Describe an error in one line.

    Args:
        error: The error, with its traceback.
        tools: Directory of the tool that runs; its checks count as this package's.

    Returns:
        The line, and True if a check of this package or of its tools refused what the user wrote.
        The line of any other error begins with its class; if a network or a step of a pipeline
        raised it, it names that part of the config or the files of that sample.
    """
    error = _without_wrappers(error)
    frames = [(frame, tb.tb_lasti) for tb, frame in _walk(error)]
    remote = str(error.__cause__ or '') + str(error)
    sent = REMOTE.findall(remote)
    text = str(error)
    if sent:  # by a worker
        place, code = sent[-1]
        raises = code.startswith('raise ')
        message = REMOTE_MESSAGE.fullmatch(text) if 'Original Traceback' in text else None
        text = message[1] if message else text
    else:
        frame, last = frames[-1]
        place = frame.f_code.co_filename
        raises = frame.f_code.co_code[last] == dis.opmap['RAISE_VARARGS']
    ours = any(Path(place).is_relative_to(directory) for directory in (PACKAGE, tools))
    refused = ours and raises and isinstance(error, REFUSALS)
    text = ' '.join(ADDRESS.sub('', text).split()) or 'no message'
    if not refused:
        part = _describe_part([frame for frame, _ in frames], text)
        text = f'{type(error).__name__}{part}: {text}'
    return text, refused


def _walk(error: Exception) -> Iterator[tuple[Any, FrameType]]:
    tb = error.__traceback__
    while tb is not None:
        yield tb, tb.tb_frame
        tb = tb.tb_next


def _without_wrappers(error: Exception) -> Exception:
    """Find the error that a toolbox raised again with more words, such as a hook's address."""
    inner = error.__context__
    while isinstance(inner, type(error)) and str(inner) and str(inner) in str(error):
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get('__name__', '').split('.')[0] != 'mmengine':
            break
        error, inner = inner, inner.__context__
    return error


def _describe_part(frames: list[FrameType], text: str) -> str:
    """Name the part of the network, or the files of the sample, on which the code worked."""
    owners = [frame.f_locals.get('self') for frame in frames]
    modules = [owner for owner in owners if isinstance(owner, nn.Module)]
    if modules:
        names = {id(module): name for name, module in modules[0].named_modules()}
        known = [module for module in modules if names.get(id(module))]
        if known:
            name = re.sub(r'^(module\.)*(student\b)?', _segmentor, names[id(known[-1])])
            return f' in model.{name} ({type(known[-1]).__name__})'
    for frame in reversed(frames):
        sample = frame.f_locals.get('results')
        if isinstance(sample, dict) and 'img_path' in sample:
            files = [str(sample[key]) for key in ('img_path', 'seg_map_path') if sample.get(key)]
            return '' if files[0] in text else f' in the sample {", ".join(files)}'
    return ''


def _segmentor(match: re.Match[str]) -> str:
    return 'segmentor' if match[2] else ''
