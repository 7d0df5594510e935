# As gta2cityscapes.py, with the pseudo labels that tools/generate_pseudo_labels.py
# wrote for the target. For another directory:
#   --cfg-options train_dataloader.target.dataset.pipeline.1.pseudo_dir=DIRECTORY
_base_ = ['./gta2cityscapes.py']
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
