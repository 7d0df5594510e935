# A round of self-training. It continues from the previous stage with that stage's pseudo labels:
#   --cfg-options load_from=CHECKPOINT train_dataloader.target.dataset.pipeline.1.pseudo_dir=DIR
_base_ = ['./dast_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180.py']
pseudo_dir = '{{$MMSEG_UDA_PSEUDO_LABELS:work_dirs/pseudo_labels}}/camvid_day2camvid_dusk'

train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPseudoLabels', pseudo_dir=pseudo_dir),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(norm_statistics='frozen')
# As in the published code, the classifier has the backbone's rate, and the round covers a fifth of
# the decay. The published rate, 0.8 of the first stage's, diverges here because batch norm no
# longer normalises by the batch. Hence a fifth of that rate, and clipped gradients.
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            optimizer=dict(lr=8e-4), clip_grad=dict(max_norm=10.), paramwise_cfg=None)))
train_cfg = dict(max_iters=300)
default_hooks = dict(checkpoint=dict(interval=50))  # a sixth of the round
