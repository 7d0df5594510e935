# DAFormer's network with SegFormer's encoder MiT-B1.
_base_ = ['./daformer_mit-b5.py']
model = dict(
    backbone=dict(
        num_layers=[2, 2, 2, 2],
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/'
            'mit_b1_20220624-02e5a6a1.pth')))
