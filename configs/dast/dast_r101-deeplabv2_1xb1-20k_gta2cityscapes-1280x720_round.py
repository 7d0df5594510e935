# A round of self-training. It continues from the previous stage with that stage's pseudo labels:
#   --cfg-options load_from=CHECKPOINT train_dataloader.target.dataset.pipeline.1.pseudo_dir=DIR
# After three rounds: 49.6 mIoU in the paper (Table 1); not trained by us.
_base_ = ['./dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py']
pseudo_dir = '{{$MMSEG_UDA_PSEUDO_LABELS:work_dirs/pseudo_labels}}/gta2cityscapes'

train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPseudoLabels', pseudo_dir=pseudo_dir),
            dict(
                type='Resize',
                scale=_base_.target_scale,
                interpolation='bicubic',
                backend='pillow'),
            dict(type='PackUDAInputs')
        ])))
# Batch norm, rate and decay: the published code. The paper gives the 20,000 iterations only.
model = dict(norm_statistics='frozen')
optim_wrapper = dict(
    optimizers=dict(student=dict(optimizer=dict(lr=2e-4), paramwise_cfg=None)))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=100000, by_epoch=False)
]
train_cfg = dict(max_iters=20000)  # Implementation Details
