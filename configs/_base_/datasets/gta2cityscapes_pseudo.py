# As gta2cityscapes.py, with pseudo labels on the target: the folder that tools/generate_pseudo_labels.py wrote.
_base_ = ['./gta2cityscapes.py']
pseudo_dir = '{{$MMSEG_UDA_DATA:data}}/pseudo_labels/gta2cityscapes'

train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPseudoLabels', pseudo_dir=pseudo_dir),
            dict(type='Resize', scale=_base_.target_scale, interpolation='bicubic'),
            dict(type='PackUDAInputs')
        ])))
