# DAFormer's network with SegFormer's encoder MiT-B4.
_base_ = ['./daformer_mit-b5.py']
model = dict(
    backbone=dict(
        num_layers=[3, 8, 27, 3],
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/'
            'mit_b4_20220624-d588d980.pth')))
