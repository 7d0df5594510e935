# HRDA on daformer.py, as in ../../hrda: the context at half the resolution, the detail in crops of
# half the training images' sides. Whole images are tested, in slides of the detail.
_base_ = ['./daformer.py']
model = dict(
    segmentor=dict(type='MultiResolutionSegmentor', detail_size=(96, 128), stride=4),
    regularizers=dict(feature_distance=dict(input_size=(96, 128))))  # of the context
