# Weak supervision: it is given which classes an image shows.
_base_ = ['./pit_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180.py']
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='LoadImageLabels',
                label_file='work_dirs/image_labels/camvid_day2camvid_dusk_presence.npz',
                presence=True),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(segmentor=dict(auxiliary_head=dict(image_label='presence')))
