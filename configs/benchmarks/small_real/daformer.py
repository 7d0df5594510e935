# DACS with rare class sampling, feature distance and margins, as in ../../daformer. An image shows a
# class if 250 of its 172,800 pixels do. CamVid's car has no bonnet: the margins are the borders
# alone. The teacher's average is that of the other mean teachers here.
_base_ = ['./dacs.py']
train_dataloader = dict(
    source=dict(
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/synth_street.npz',
            temperature=0.01,
            min_pixels=250,
            min_crop_ratio=0.5)),
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='IgnoreMargins', top=0.03, bottom=0.03, left=0.015, right=0.015),
            dict(type='RandomCrop', crop_size=_base_.crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(
    teacher=dict(mode='batch_statistics'),
    regularizers=dict(
        feature_distance=dict(
            type='FeatureDistance',
            backbone=_base_.model.segmentor.backbone,
            domain_weights=dict(source=0.005))))
