# Stage 1 with a checkpoint chosen without labels of the target ("When to Start the Self-Training"):
# the one with the best mean mIoU on 500 SYNTHIA images in Cityscapes' style, in two strengths.
# dast_pipeline.py makes these images. Their originals stay in the training set, because the paper
# does not say that it takes them out. The target is validated too (Figure 4) but chooses nothing.
_base_ = ['./dast_vgg16-deeplabv2_1xb1-150k_synthia2cityscapes-1280x760.py']
train_cfg = dict(val_interval=5000)  # our choice: the paper does not say how often
val_cfg = dict(
    type='SelectionValLoop',
    selection={
        name: dict(
            dataloader=dict(
                batch_size=1,
                num_workers=4,
                persistent_workers=True,
                dataset=dict(
                    type='SYNTHIADataset',
                    data_root=f'{_base_.data_root}synthia_fda/{name}',
                    data_prefix=dict(img_path='images', seg_map_path='labels'),
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(
                            type='Resize',
                            scale=_base_.source_scale,
                            interpolation='bicubic',
                            backend='pillow'),
                        dict(type='LoadAnnotations'),  # scored at full resolution
                        dict(type='PackSegInputs')
                    ])))
        for name in ('beta05', 'beta09')  # beta = 0.5 and 0.9
    },
    mean='translated')
default_hooks = dict(checkpoint=dict(save_best='translated/mIoU', rule='greater'))
