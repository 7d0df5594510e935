# LoveDA, urban -> rural, as loveda_rural2urban.py.
_base_ = ['./loveda_rural2urban.py']
source, target = 'Urban', 'Rural'
train_dataloader = dict(
    source=dict(
        dataset=dict(
            data_prefix=dict(
                img_path=f'Train/{source}/images_png', seg_map_path=f'Train/{source}/masks_png'))),
    target=dict(dataset=dict(data_prefix=dict(img_path=f'Train/{target}/images_png'))))
val_dataloader = dict(
    dataset=dict(
        data_prefix=dict(
            img_path=f'Val/{target}/images_png', seg_map_path=f'Val/{target}/masks_png')))
test_dataloader = val_dataloader
