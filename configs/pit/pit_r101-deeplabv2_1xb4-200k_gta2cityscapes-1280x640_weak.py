# Weak supervision: it is given which classes an image shows, of both domains: 52.9 mIoU in the
# paper (Table 5); not trained by us.
# The file: tools/train_image_labels.py CONFIG --out FILE --from-labels, or the pipeline, of which
# the first stage alone reads labels of the target.
_base_ = ['./pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640.py']
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='LoadImageLabels',
                label_file='work_dirs/image_labels/cityscapes_presence.npz',
                presence=True),
            dict(type='Resize', scale=_base_.target_scale, interpolation='bicubic'),
            dict(type='PackUDAInputs')
        ])))
model = dict(segmentor=dict(auxiliary_head=dict(image_label='presence')))
