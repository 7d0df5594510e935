# A round of DAST: a fifth of the iterations with pseudo labels, from the previous stage on, with
# frozen batch norm, a fifth of the rate and clipped gradients, as in ../../dast.
_base_ = ['./dast.py']
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPseudoLabels', pseudo_dir='work_dirs/pseudo_labels'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='RandomCrop', crop_size=_base_.crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(norm_statistics='frozen')
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            optimizer=dict(lr=5e-5), clip_grad=dict(max_norm=10.),
            paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=1.))))))
train_cfg = dict(max_iters=400)
