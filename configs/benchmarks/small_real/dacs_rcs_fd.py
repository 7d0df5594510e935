# dacs_rcs.py with the feature distance on things.
_base_ = ['./dacs_rcs.py']
model = dict(
    regularizers=dict(
        feature_distance=dict(
            type='FeatureDistance',
            backbone=_base_.model.segmentor.backbone,
            domain_weights=dict(source=0.005))))
