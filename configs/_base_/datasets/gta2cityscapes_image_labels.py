# As gta2cityscapes.py, with PIT's image and batch size (Sec. 5.2): GTA5 at 1280x640, batch 4.
# tools/train_image_labels.py writes the target's image-level labels. For another file:
#   --cfg-options train_dataloader.target.dataset.pipeline.1.label_file=FILE
# Our choice: "batch size 4" is 4 images of each domain.
_base_ = ['./gta2cityscapes.py']
source_scale = (1280, 640)

train_dataloader = dict(
    source=dict(
        batch_size=4,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='Resize', scale=source_scale, interpolation='bicubic', backend='pillow'),
            dict(type='PackUDAInputs')
        ])),
    target=dict(
        batch_size=4,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadImageLabels', label_file='work_dirs/image_labels/gta2cityscapes.npz'),
            dict(
                type='Resize',
                scale=_base_.target_scale,
                interpolation='bicubic',
                backend='pillow'),
            dict(type='PackUDAInputs')
        ])))
