# DACS with DAFormer's rare class sampling. An image shows a class if 250 of its 172,800 pixels do.
_base_ = ['./dacs.py']
train_dataloader = dict(
    source=dict(
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/synth_street.npz',
            temperature=0.01,
            min_pixels=250,
            min_crop_ratio=0.5)))
