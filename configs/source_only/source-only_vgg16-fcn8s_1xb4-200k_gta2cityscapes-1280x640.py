# "Source only (ours)" of PIT: 28.6 mIoU in its paper (Table 1); not trained by us. It is L_f
# alone, with PIT's schedule and batches.
_base_ = [
    '../_base_/models/fcn8s_vgg16_caffe.py',
    '../_base_/datasets/gta2cityscapes_image_labels.py',
    '../_base_/schedules/sgd_200k_pit.py', '../_base_/default_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model)
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            paramwise_cfg=dict(
                custom_keys=dict(_delete_=True, decode_head=dict(lr_mult=10.))))))
# The target as images alone: nothing here reads image-level labels.
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=_base_.target_scale, interpolation='bicubic', backend='pillow'),
    dict(type='PackUDAInputs')
]
train_dataloader = dict(target=dict(dataset=dict(pipeline=target_pipeline)))
