"""Translation of a directory of images to the style of another."""

from mmseg_uda.stages.translation.directory import translate_folder
from mmseg_uda.stages.translation.stage import TranslateStage
from mmseg_uda.stages.translation.translators import TRANSLATORS

__all__ = ['TRANSLATORS', 'TranslateStage', 'translate_folder']
