# Cityscapes -> Dark Zurich by night, as cityscapes2acdc.py. The archives are unpacked as they are:
#   dark_zurich/rgb_anon/<split>/night/<sequence>/*_rgb_anon.png
#   dark_zurich/gt/val/night/<sequence>/*_gt_labelTrainIds.png
_base_ = ['./cityscapes2acdc.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
train_dataloader = dict(
    target=dict(
        dataset=dict(
            _delete_=True,
            type='StreetDataset',
            data_root=data_root + 'dark_zurich',
            data_prefix=dict(img_path='rgb_anon/train/night'),
            img_suffix='_rgb_anon.png',
            pipeline=_base_.target_pipeline)))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='StreetDataset',
        data_root=data_root + 'dark_zurich',
        data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
        img_suffix='_rgb_anon.png',
        seg_map_suffix='_gt_labelTrainIds.png',
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
