# DAFormer's schedule: AdamW at 6e-5, 10 times that in the head, weight decay 0.01 (none for layer
# norms), 40,000 iterations. The linear decay begins at 0 and multiplies the warm-up of 1,500
# iterations, so that the rate at its end is 0.9625 of the base; SegFormer's begins after it.
_base_ = ['./adamw_40k_segformer.py']
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., begin=0, end=40000, by_epoch=False)
]
train_cfg = dict(val_interval=4000)
