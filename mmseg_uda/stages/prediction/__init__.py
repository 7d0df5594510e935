"""Predictions of a trained segmentor on images, directories and videos."""

from mmseg_uda.stages.prediction.predictor import Predictor, find_config
from mmseg_uda.stages.prediction.run import PredictOptions, run_prediction

__all__ = ['PredictOptions', 'Predictor', 'find_config', 'run_prediction']
