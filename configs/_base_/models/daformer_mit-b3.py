# DAFormer's network with SegFormer's encoder MiT-B3.
_base_ = ['./daformer_mit-b5.py']
model = dict(
    backbone=dict(
        num_layers=[3, 4, 18, 3],
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/'
            'mit_b3_20220624-13b1141c.pth')))
